"""Learning a relation: edges in, a head out, if it beats what was there on edges held out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.catalog import Catalog
from index.engine.build import build_if_needed
from index.engine.head import Head, expected_parts
from index.errors import InputError, UnknownNameError
from index.learned import Behaviour, hold_relation, hold_rerank
from index.learning.dataset import Dataset, dataset_of
from index.learning.edge_store import NAME, read_edges_of, write_edges
from index.learning.edges import EdgeArrays, Reading
from index.learning.fitting import METHODS, Maps, Task
from index.learning.formats import read_edges
from index.learning.gate import GateResult, Trial, judge
from index.learning.groups import EventLog
from index.learning.lowrank import RANKS, RIDGES
from index.learning.pairing import Pairing
from index.learning.people import PeopleReport, check_people, fit_people, judge_people
from index.learning.resolve import ResolveReport, finder_of, resolve_edges
from index.learning.scorers import Contender, cosine_scorer, link_scorer, under_rule
from index.learning.splits import Pairs, cold_split, warm_split
from index.learning.targets import MODELS, TARGETS, Evidence, Known, Targets, check_targets, known_of_file, targets_of
from index.relations import RELATIONS, CandidateRule, Relation, Rerank

ALWAYS_THERE = "similar"
"""The plain neighbour, asked of pictures and sounds alike: nothing learned takes its place."""

LEAN = 0.8
"""Share of edges inside categories, or between them, from which the relation answers there alone."""


@dataclass(frozen=True, slots=True)
class LearnOptions:
    """What learning may be told.

    Attributes:
        relation: Name of what is learned; that of a built-in relation takes its place in this catalog.
        format: Of the edges, one of ``index.learning.formats.FORMATS``; empty: told from the file.
        method: A key of ``index.learning.fitting.METHODS``. With ``asymmetric``, what goes with a camera is a case,
            but a case is not asked for a camera.
        targets: With ``regression``, where behaviour vectors come from: one of ``index.learning.targets.TARGETS``, or
            a file of vectors, see ``index.learning.vectors_file``.
        rule: Who may answer; ``None`` takes that of the built-in relation of this name, or follows the edges.
        ranks: Dimensions to choose from.
        pairing: How pairs are made of baskets, sessions and playlists.
        force: Save it even if it does not pass; recorded with it.
        personal: Fit weights of people's own, too, where edges name users; kept if they tell people's links better.
        rerank: How its answers are re-ranked, once saved; ``None`` leaves that as it is.
        seed: Of splits, negatives and fits.
    """

    relation: str
    format: str = ""
    method: str = "low-rank"
    targets: str = TARGETS[0]
    rule: CandidateRule | None = None
    ranks: tuple[int, ...] = RANKS
    pairing: Pairing = field(default_factory=Pairing)
    force: bool = False
    personal: bool = False
    rerank: Rerank | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LearnReport:
    """What came of learning.

    Attributes:
        relation: Its name.
        saved: Whether the catalog has it now.
        forced: Whether it was saved without passing.
        gate: How it was judged.
        rank: Dimensions of the space it compares in.
        edges: Edges that were learned from and judged by.
        items: Items in the catalog that it answers with.
        rule: Who may answer.
        known: Items that stand where their own behaviour puts them; 0 when nothing was saved.
        read: What reading met and left out; ``None`` when the catalog's own edges were used.
        resolved: What became of the edges; likewise.
        seconds: Duration.
        people: How personal weights were judged, where they were asked for and the relation was saved.
    """

    relation: str
    saved: bool
    forced: bool
    gate: GateResult
    rank: int
    edges: int
    items: int
    rule: CandidateRule
    known: int
    read: Reading | None
    resolved: ResolveReport | None
    seconds: float
    people: PeopleReport | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "event": "learned",
            "relation": self.relation,
            "saved": self.saved,
            "forced": self.forced,
            "rank": self.rank,
            "edges": self.edges,
            "items": self.items,
            "rule": self.rule,
            "known": self.known,
            "seconds": self.seconds,
            "read": asdict(self.read) if self.read else None,
            "resolved": asdict(self.resolved) if self.resolved else None,
            "gate": self.gate.to_json(),
            "people": self.people.to_json() if self.people else None,
        }


def learn(
    catalog: Catalog,
    source: Path | None,
    options: LearnOptions,
    on_progress: Callable[[str], None] = lambda _stage: None,
) -> LearnReport:
    """Fit a relation to edges, judge it on edges held out, and save it if it passes.

    It is fitted on the training edges of a warm and of a cold split, to be judged on the rest, and then on all
    edges, to be saved. The warm split's validation chooses the dimensions, both together the regularisation: what
    serves items that were seen and items that were not.

    Args:
        source: Behaviour data, see ``index.learning.formats.read_edges``; ``None`` learns anew from the edges that
            the catalog keeps of this relation.
        on_progress: Told what is being done.

    Raises:
        InputError: The edges or targets cannot be read, none is left, or nothing can be learned or judged by them;
            nothing is saved.
        UnknownNameError: There is no such format, method or target.
        MissingExtraError: The targets need a library that is not installed.
        LockedError: Another process is writing.
        StorageError: The disk is full or failing.
    """
    started = time.monotonic()
    if options.relation == ALWAYS_THERE or not NAME.fullmatch(options.relation):
        raise InputError(
            f"{options.relation[:80]!r} cannot be learned; name the relation with up to 64 small letters, digits and "
            f"dashes, and leave {ALWAYS_THERE!r} as the plain neighbour"
        )
    if options.method not in METHODS:
        raise UnknownNameError.of("method", options.method, METHODS)
    if options.personal and options.method != "low-rank":
        raise InputError(f"personal weights are those of a low-rank map; leave out --method {options.method}")
    check_targets(options.targets)
    if options.method != "regression" and options.targets != TARGETS[0]:
        raise InputError(f"targets are what the method 'regression' fits to; {options.method!r} takes none")
    known = 0
    with catalog.writing():
        on_progress("reading edges")
        log = EventLog(options.pairing.least) if options.targets in MODELS else None
        edges, reading, resolved = _edges(catalog, source, options, log)
        data = dataset_of(catalog, edges)
        if options.personal:
            check_people(data)
        rule = options.rule or _rule_of(options.relation, data)
        targets, notes = _targets(catalog, data, options, log)
        gate, rank, ridge = _judged(data, rule, targets, options, on_progress)
        gate = replace(gate, notes=(*gate.notes, *notes))
        saved = gate.passed or options.force
        judged: PeopleReport | None = None
        if saved:
            on_progress("fitting all edges")
            maps = _fit(data, data.edges.pairs, None, (rank,), (ridge,), targets, options)
            people = None
            if options.personal:
                on_progress("judging weights of people")
                fit = partial(_fit, data, ranks=(rank,), ridges=(ridge,), targets=targets, options=options)
                judged = judge_people(data, fit, options.seed)
                if judged.kept:
                    on_progress("fitting weights of people")
                    people = fit_people(data, maps, data.edges.pairs, options.seed)
                    maps = replace(maps, source=people.matrix, target=people.matrix, shift=people.shift)
            head = head_of_maps(data, maps)
            head = replace(head, expected=expected_parts(head, data.rows, options.seed))
            behaviour = Behaviour(data.keys[maps.known.rows], maps.known.vectors) if maps.known else None
            known = len(behaviour.keys) if behaviour else 0
            weights = (people.names, people.weights) if people else None
            why = f"Learned from {len(data.edges.pairs):,} links; {gate.sentence}."
            relation = Relation(options.relation, {}, rule, (data.modality,), why, head.digest)
            report = {"gate": gate.to_json(), "forced": options.force and not gate.passed}
            report |= {"people": judged.to_json()} if judged else {}
            with catalog.connection:
                write_edges(catalog.connection, options.relation, edges)
                hold_relation(catalog, relation, data.encoders, head, json.dumps(report), behaviour, weights)
                if options.rerank is not None:
                    hold_rerank(catalog, options.relation, options.rerank)
            on_progress("building")
            build_if_needed(catalog)
    return LearnReport(
        relation=options.relation,
        saved=saved,
        forced=saved and not gate.passed,
        gate=gate,
        rank=rank,
        edges=len(data.edges.pairs),
        items=len(data.keys),
        rule=rule,
        known=known,
        read=reading,
        resolved=resolved,
        seconds=round(time.monotonic() - started, 3),
        people=judged,
    )


def forget(catalog: Catalog, relation: str) -> None:
    """Drop a learned relation; a built-in one of its name answers again. Its edges stay.

    Raises:
        InputError: No relation of this name was learned.
        LockedError, StorageError: As ``learn``.
    """
    with catalog.writing():
        with catalog.connection:
            if not catalog.connection.execute("DELETE FROM learned WHERE name=?", (relation,)).rowcount:
                raise InputError(f"no relation named {relation!r} was learned in this catalog")
            catalog.next_sequence()
        build_if_needed(catalog)


def _edges(
    catalog: Catalog, source: Path | None, options: LearnOptions, log: EventLog | None
) -> tuple[EdgeArrays, Reading | None, ResolveReport | None]:
    """Edges between database keys."""
    if source is None:
        kept = read_edges_of(catalog.connection, options.relation)
        if not len(kept.pairs):
            raise InputError(f"the catalog keeps no edges of {options.relation!r}; name a file of them")
        return kept, None, None
    numbers = dict(catalog.connection.execute("SELECT id, item FROM items"))
    reading = Reading()
    found = read_edges(source, format=options.format, pairing=options.pairing, reading=reading, log=log)
    edges, resolved = resolve_edges(found, numbers, relation=options.relation, directed=options.method == "asymmetric")
    return edges, reading, resolved


def _targets(
    catalog: Catalog, data: Dataset, options: LearnOptions, log: EventLog | None
) -> tuple[Targets, tuple[str, ...]]:
    """Where behaviour vectors come from, and sentences on them."""
    given: Known | None = None
    notes: tuple[str, ...] = ()
    row_of = {key: row for row, key in enumerate(data.keys.tolist())}
    find_key = finder_of(dict(catalog.connection.execute("SELECT id, item FROM items")))

    def find(name: str) -> int:
        return row_of.get(find_key(name), -1)

    if options.targets not in TARGETS:
        given, notes = known_of_file(Path(options.targets), find)
    groups = log.groups(find) if log else None
    evidence = Evidence(data.edges.pairs, len(data.keys), groups, options.pairing.window)
    return targets_of(options.targets, evidence, given), notes


def _rule_of(name: str, data: Dataset) -> CandidateRule:
    if name in RELATIONS:
        return RELATIONS[name].rule
    if data.crossing >= LEAN:
        return "other category"
    inside = (data.categories >= 0).any() and data.crossing <= 1 - LEAN
    return "same category" if inside else "any"


def _judged(
    data: Dataset,
    rule: CandidateRule,
    targets: Targets,
    options: LearnOptions,
    on_progress: Callable[[str], None],
) -> tuple[GateResult, int, float]:
    """Fit on the training edges of two splits, and judge on the others; also the rank and ridge chosen."""
    splits = [
        split(data.rows, data.edges.pairs, seed=options.seed, groups=data.groups, categories=data.categories)
        for split in (warm_split, cold_split)
    ]
    ranks = options.ranks
    losses: dict[float, float] = {}
    done: dict[str, Maps] = {}
    for split in splits:
        on_progress(f"choosing on the {split.kind} split")
        done[split.kind] = maps = _fit(data, split.train, split.validation, ranks, RIDGES, targets, options)
        ranks = (maps.rank,) if maps.tried else ranks
        for trial in maps.tried:
            if trial.rank == maps.rank:
                losses[trial.ridge] = losses.get(trial.ridge, 0.0) + trial.loss
    ridge = min(losses, key=losses.__getitem__) if losses else RIDGES[0]
    trials = []
    for split in splits:
        maps = done[split.kind]
        if len(losses) > 1:
            on_progress(f"fitting the {split.kind} split")
            maps = _fit(data, split.train, split.validation, ranks, (ridge,), targets, options)
        contenders = (_learned(data, maps), _unlearned(data, options.relation))
        trials.append(Trial(split, *(under_rule(one, rule, data.categories) for one in contenders)))
    on_progress("judging")
    gate = judge(*trials, seed=options.seed, categories=data.categories, groups=data.groups, rule=rule)
    return gate, maps.rank, ridge


def _fit(
    data: Dataset,
    pairs: Pairs,
    validation: Pairs | None,
    ranks: Sequence[int],
    ridges: Sequence[float],
    targets: Targets,
    options: LearnOptions,
) -> Maps:
    known = bool((data.categories >= 0).any())
    most = min(data.rows.shape[1], len(data.rows) - 1)
    task = Task(
        rows=data.rows,
        pairs=pairs,
        weights=_weights(data, pairs),
        validation=validation if validation is not None and len(validation) else None,
        categories=data.categories if known else None,
        ranks=tuple(rank for rank in ranks if rank <= most) or (most,),
        ridges=ridges,
        seed=options.seed,
        targets=targets,
    )
    return METHODS[options.method](task)


def _weights(data: Dataset, pairs: Pairs) -> NDArray[np.float32]:
    """Weights of some of the edges. float32, shape ``(len(pairs),)``; those of several users are added."""
    count = len(data.keys)
    keys = data.edges.pairs[:, 0] * count + data.edges.pairs[:, 1]
    unique, place = np.unique(keys, return_inverse=True)
    sums = np.bincount(place, data.edges.weights)
    return sums[np.searchsorted(unique, pairs[:, 0] * count + pairs[:, 1])].astype(np.float32)


def _learned(data: Dataset, maps: Maps) -> Contender:
    """As it would be served: known items stand where their behaviour in the training edges puts them."""
    head = head_of_maps(data, maps)
    rows = head.rows_of(data.rows)
    if maps.known is not None:
        rows[maps.known.rows] = head.rows_at(maps.known.vectors)
    return Contender("learned", link_scorer(head.asked(rows), rows[:, : head.rank], head.shift), threshold=0.0)


def _unlearned(data: Dataset, name: str) -> Contender:
    """The built-in relation of this name where it is asked of this modality, else the plain neighbour."""
    plain = RELATIONS.get(name, RELATIONS[ALWAYS_THERE])
    if not plain.compares(data.modality, data.projection.facets):
        plain = RELATIONS[ALWAYS_THERE]
    each = plain.weights_of(data.projection.facets)
    weights = np.zeros(data.rows.shape[1], np.float32)
    for part in data.projection.parts:
        weights[part.own] = each[part.facet.name]
    return Contender(plain.name, cosine_scorer(data.rows * np.sqrt(weights)))


def head_of_maps(data: Dataset, maps: Maps) -> Head:
    """What serves fitted maps, yet without what is expected of its facets."""
    nothing = np.zeros(len(data.projection.parts), np.float32)
    return Head(data.projection, maps.source, maps.target, maps.offset, maps.shift, nothing, maps.sphere)
