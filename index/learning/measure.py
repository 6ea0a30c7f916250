"""Measuring a catalog's relations, or vectors from elsewhere, against labels or edges, beside every baseline."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.catalog import Catalog
from index.engine.build import cards
from index.engine.generations import Generation, open_generation
from index.engine.rows import LearnedSpace, Space
from index.errors import InputError
from index.learned import links_of
from index.learning.baselines import baselines
from index.learning.dataset import categories_of, labels_of
from index.learning.edge_store import read_edges_of
from index.learning.evaluate import EdgeTruth, Evaluation, LabelTruth, evaluate
from index.learning.formats import read_edges
from index.learning.ranking import NO_PAIRS
from index.learning.reranked import reranked
from index.learning.resolve import renumber, resolve_edges
from index.learning.scorers import Contender, cosine_scorer, link_scorer
from index.learning.splits import Pairs, data_hash
from index.learning.vectors_file import read_vectors_file
from index.relations import RELATIONS, CandidateRule, Relation
from index.types import Vectors


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """What is measured, and against what; either ``label`` or ``edges``.

    Attributes:
        relation: Whose answers, unless ``vectors`` are given.
        label: Attribute that right answers share with the query.
        edges: File of edges whose targets are right answers; those that the relation was learned from are left out.
        group: Attribute whose bearers do not answer each other, such as ``artist``; empty for none.
        k: Length of lists.
        vectors: File of vectors from elsewhere, compared by cosine.
        rerank: Show each way of re-ranking beside the relation's plain answers.
        seed: Of samples, negatives and intervals.
    """

    relation: str = "similar"
    label: str = ""
    edges: Path | None = None
    group: str = ""
    k: int = 10
    vectors: Path | None = None
    rerank: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Rows:
    """The items that are asked about and answer: database keys, facets and category codes, the space of their facets,
    our contender, and the space that it is asked in."""

    keys: NDArray[np.int64]
    facets: Vectors
    categories: NDArray[np.int64]
    space: Space
    ours: Contender
    own: Space


def measure(catalog: Catalog, options: MeasureOptions) -> Evaluation:
    """Measure one relation beside random, popular, same-category, colour and raw-cosine answers.

    Raises:
        InputError: Neither or both of label and edges; nothing to measure by; vectors of other items.
        UnknownNameError: There is no such relation or attribute.
        NotBuiltError, StaleIndexError: The catalog must be built.
    """
    if bool(options.label) == bool(options.edges):
        raise InputError("measure by a label or by a file of edges, one of the two")
    if options.rerank and options.vectors:
        raise InputError("vectors from elsewhere have no surroundings in this catalog; measure a relation's re-ranking")
    generation = open_generation(catalog.folder, cards(catalog), catalog.relations())
    relation = catalog.relation(options.relation)
    spaces = [space for space in generation.every_space() if space.compares(relation) and space.record.count]
    if not spaces:
        raise InputError(f"no item of this catalog has a facet that {options.relation!r} compares")
    each = [_rows(generation, space, relation) for space in spaces]
    found = max(each, key=lambda rows: len(rows.keys))
    if options.label:
        labelled = [(rows, labels_of(catalog, rows.keys, options.label)) for rows in each]
        found, labels = max(labelled, key=lambda one: int((one[1] >= 0).sum()))
    if options.vectors:
        found = _replaced(catalog, found, options.vectors)
        labels = labels_of(catalog, found.keys, options.label) if options.label else np.zeros(0, np.int64)
    training = renumber(read_edges_of(catalog.connection, options.relation), found.keys).pairs
    if options.edges:
        pairs, notes = _held_out(catalog, found.keys, options, training if relation.head else NO_PAIRS)
        truth: EdgeTruth | LabelTruth = EdgeTruth(pairs, training, f"edges of {options.edges.name}")
    else:
        other = f", of another {options.group}" if options.group else ""
        pairs, notes, truth = NO_PAIRS, (), LabelTruth(labels, f"items of the same {options.label}{other}")
    colour = next((part.own for part in found.space.projection.parts if part.facet.kind == "color"), None)
    learned_from = training if len(training) else None
    others = baselines(
        found.facets, seed=options.seed, training=learned_from, categories=found.categories, color=colour
    )
    rule: CandidateRule = "any" if options.label or options.vectors else relation.rule
    groups = labels_of(catalog, found.keys, options.group) if options.group else None
    contenders = [found.ours, *_unlearned(found, relation, options)]
    if options.rerank:
        pairs_linked, weights = links_of(catalog, relation.name)
        rows = found.own.rows_of(pairs_linked.reshape(-1)).reshape(pairs_linked.shape)
        known = (rows >= 0).all(axis=1)
        contenders[1:1] = reranked(
            found.ours,
            found.own,
            relation,
            rule=rule,
            categories=found.categories,
            groups=groups,
            links=(rows[known], weights[known]),
        )
    contenders += [one for one in others if one.name not in {c.name for c in contenders}]
    measured = evaluate(
        contenders,
        truth,
        len(found.keys),
        k=min(options.k, max(1, len(found.keys) - 1)),
        seed=options.seed,
        data_hash=data_hash(found.facets, pairs, found.categories),
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        categories=found.categories,
        groups=groups,
        rule=rule,
    )
    return replace(measured, notes=(*notes, *measured.notes))


def _rows(generation: Generation, space: Space, relation: Relation) -> _Rows:
    keys = np.array(space.keys)
    if isinstance(space, LearnedSpace):
        facets = generation.spaces[space.modality]
        targets = space.vectors[:, : space.head.rank]
        ours = Contender(relation.name, link_scorer(space.head.asked(space.vectors), targets, space.head.shift), 0.0)
        rows = facets.vectors[facets.rows_of(keys)]
        return _Rows(keys, rows, categories_of(space), facets, ours, space)
    weighted = space.vectors * np.sqrt(space.facet_weights(relation))
    ours = Contender(relation.name, cosine_scorer(weighted))
    return _Rows(keys, np.array(space.vectors), categories_of(space), space, ours, space)


def _unlearned(found: _Rows, relation: Relation, options: MeasureOptions) -> list[Contender]:
    """The built-in relation of a learned one's name, and the plain neighbour."""
    beside = []
    for name in dict.fromkeys((relation.name, "similar")):
        plain = RELATIONS.get(name)
        asked = plain is not None and plain.compares(found.space.modality, found.space.projection.facets)
        if plain and asked and (relation.head or name != relation.name or options.vectors):
            weighted = found.facets * np.sqrt(found.space.facet_weights(plain))
            beside.append(Contender(f"{name}, unlearned", cosine_scorer(weighted)))
    return beside


def _replaced(catalog: Catalog, found: _Rows, path: Path) -> _Rows:
    """The same items by vectors from a file; those without one are left out."""
    ids, vectors = read_vectors_file(path)
    numbers = dict(catalog.connection.execute("SELECT id, item FROM items"))
    keys = np.array([numbers.get(name, -1) for name in ids], np.int64)
    order = np.argsort(found.keys)
    place = np.searchsorted(found.keys, keys, sorter=order).clip(max=len(found.keys) - 1)
    rows = order[place]
    known = found.keys[rows] == keys
    if known.sum() < 2:
        raise InputError(
            f"{path} names {int(known.sum())} items of this catalog, such as {ids[0]!r} is not; check its ids"
        )
    rows, own = rows[known], vectors[known]
    ours = Contender(path.name, cosine_scorer(own))
    return _Rows(found.keys[rows], found.facets[rows], found.categories[rows], found.space, ours, found.own)


def _held_out(
    catalog: Catalog, keys: NDArray[np.int64], options: MeasureOptions, training: Pairs
) -> tuple[Pairs, tuple[str, ...]]:
    """Edges of a file that the relation was not learned from, and sentences on those left out."""
    assert options.edges is not None
    numbers = dict(catalog.connection.execute("SELECT id, item FROM items"))
    edges, told = resolve_edges(read_edges(options.edges), numbers, relation=options.relation)
    pairs = renumber(edges, keys).pairs
    count = len(keys)
    ends = np.sort(pairs, axis=1)
    learned = np.sort(training, axis=1)
    fresh = pairs[~np.isin(ends[:, 0] * count + ends[:, 1], learned[:, 0] * count + learned[:, 1])]
    if not len(fresh):
        raise InputError(
            f"{options.relation!r} was learned from every edge of {options.edges}; measure it by edges it has not "
            "seen, or see the report of learning"
        )
    notes = []
    if len(fresh) < len(pairs):
        notes.append(f"{len(pairs) - len(fresh):,} of {len(pairs):,} edges were learned from and left out")
    if told.unknown:
        notes.append(f"{told.unknown:,} edges name items that are not in the catalog and were left out")
    return np.unique(fresh, axis=0), tuple(notes)
