"""Evaluation: ways of recommending, held side by side to edges that were kept back or to labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.baselines import degrees_of
from index.learning.exposure import Exposure, exposure
from index.learning.intervals import Interval, bootstrap, bootstrap_auc
from index.learning.links import Links, draw_links, has_categories, score_links, threshold_of, training_links
from index.learning.metrics import (
    BUCKETS,
    Ties,
    average_precision,
    hits,
    label_precision,
    ndcg,
    rank_percentile,
    recall,
    reciprocal_rank,
    support_bucket,
)
from index.learning.ranking import NO_PAIRS, Questions, Ranking, rank
from index.learning.scorers import Contender
from index.learning.splits import Pairs, check_pairs
from index.relations import CandidateRule

CUTS = (1, 3, 5, 10, 20)
"""Lengths of lists at which recall and precision are taken."""

MAX_QUERIES = 10_000
"""More are sampled: their intervals are narrower than any difference worth acting on."""

MAX_LINKS = 20_000


@dataclass(frozen=True, slots=True)
class EdgeTruth:
    """Right answers are the targets of held-out edges.

    Attributes:
        held_out: int64, shape ``(m, 2)``: source and target rows.
        training: int64, shape ``(t, 2)``: edges that were learned from, possibly none. They are no answers, tell how
            much support an item had, and choose thresholds for scores that are no probabilities.
        what: What the edges are, in a few words, for the report.
    """

    held_out: Pairs
    training: Pairs
    what: str


@dataclass(frozen=True, slots=True)
class LabelTruth:
    """Right answers are items with the query's label.

    Attributes:
        labels: int64, shape ``(n,)``, -1 for none; items without are neither asked about nor answers.
        what: What the label is, in a few words, for the report.
    """

    labels: NDArray[np.int64]
    what: str


Truth: TypeAlias = EdgeTruth | LabelTruth


@dataclass(frozen=True, slots=True)
class ContenderFigures:
    """What one way of recommending reached.

    Attributes:
        name: The contender's.
        metrics: Name → mean over queries (or edges) with interval. Names are the same for all contenders, but
            accuracy is missing where there was nothing to choose a threshold on.
        support: Bucket of training edges the right answer had, then ``"seen"`` and ``"unseen"`` → recall at k.
            Buckets that no right answer falls in are missing; empty for labels.
        exposure: How its lists of k spread over the catalog.
    """

    name: str
    metrics: Mapping[str, Interval]
    support: Mapping[str, Interval]
    exposure: Exposure

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "name": self.name,
            "metrics": {name: one.to_json() for name, one in self.metrics.items()},
            "support": {name: one.to_json() for name, one in self.support.items()},
            "exposure": self.exposure.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that was measured, and on what.

    Attributes:
        relation: Name of what was evaluated; the first of ``contenders``.
        what: What the right answers are.
        curve: ``"recall"`` or ``"precision"``: which metric ``<curve>@k`` is drawn over k.
        contenders: Ours first, then the others, in the order given.
        items, queries: How many candidates and queries there were.
        k: Length of lists for support and exposure.
        ties: How equal scores were counted.
        seed: Of samples, negatives and intervals.
        data_hash: Of the vectors and edges.
        date: As given.
        notes: Sentences on what was left out.
    """

    relation: str
    what: str
    curve: str
    contenders: tuple[ContenderFigures, ...]
    items: int
    queries: int
    k: int
    ties: Ties
    seed: int
    data_hash: str
    date: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, stable keys."""
        return {
            "event": "evaluated",
            "relation": self.relation,
            "what": self.what,
            "curve": self.curve,
            "items": self.items,
            "queries": self.queries,
            "k": self.k,
            "ties": self.ties,
            "seed": self.seed,
            "data_hash": self.data_hash,
            "date": self.date,
            "notes": list(self.notes),
            "contenders": [one.to_json() for one in self.contenders],
        }


def evaluate(
    contenders: Sequence[Contender],
    truth: Truth,
    n: int,
    *,
    k: int = 10,
    seed: int,
    data_hash: str,
    date: str,
    categories: NDArray[np.int64] | None = None,
    groups: NDArray[np.int64] | None = None,
    rule: CandidateRule = "any",
    ties: Ties = "expected",
) -> Evaluation:
    """Measure every contender on the same queries, candidates and negatives.

    With edges: recall at ``CUTS``, MRR@20, MAP, nDCG@10, the mean percentile of the right answers' ranks, and how
    well links are told from as many non-links, drawn at random and, when there are categories, from the right
    answer's own. With labels: precision at ``CUTS``. Queries beyond ``MAX_QUERIES`` and links beyond ``MAX_LINKS``
    are sampled.

    Args:
        contenders: Ours first; names differ.
        truth: What is right.
        n: Number of rows that all row numbers refer to.
        k: Length of lists for support and exposure, below the number of items; recall and precision are taken at it,
            too.
        seed: The same input and seed give the same figures.
        data_hash: As ``index.learning.splits.data_hash`` gives it.
        date: Kept as it is.
        categories: int64, shape ``(n,)``, -1 for none.
        groups: int64, shape ``(n,)``, -1 for none: items of the query's own group, such as an artist, do not answer.
        rule: Which categories may answer.
        ties: How equal scores count.

    Raises:
        InputError: No contenders, names repeated, no edges, labels that are all distinct or all the same, k not
            below the number of items, or scores that are not finite.
    """
    names = [one.name for one in contenders]
    if not names or len(set(names)) < len(names):
        raise InputError(f"expected contenders of different names, found {', '.join(names) or 'none'}")
    rng = np.random.default_rng(seed)
    if isinstance(truth, EdgeTruth):
        judged: _Edges | _Labels = _Edges.prepare(truth, n, rng, seed, categories, groups, rule)
    else:
        judged = _Labels.prepare(truth, n, rng, categories, groups, rule)
    questions = judged.questions
    wanted = sorted({*CUTS, k})
    cuts = [cut for cut in wanted if cut < len(questions.candidates)]
    figures = []
    for contender in contenders:
        ranking = rank(contender.score, questions, k=max(k, *cuts) if isinstance(judged, _Labels) else k, seed=seed)
        metrics, support = judged.measure(contender, ranking, cuts, k, ties, seed)
        spread = exposure(ranking.top[:, :k], questions.candidates)
        figures.append(ContenderFigures(contender.name, metrics, support, spread))
    notes = list(judged.notes)
    if ranking.unreachable:
        notes.append(f"{ranking.unreachable:,} right answers could not be candidates and were left out")
    if len(cuts) < len(wanted):
        notes.append(f"the items are too few for lists longer than {cuts[-1]}, which were left out")
    return Evaluation(
        relation=names[0], what=truth.what, curve=judged.curve, contenders=tuple(figures),
        items=len(questions.candidates), queries=len(questions.queries), k=k, ties=ties, seed=seed,
        data_hash=data_hash, date=date, notes=tuple(notes),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Edges:
    """Held-out edges, made ready to be asked and told from negatives."""

    questions: Questions
    links: tuple[Links, ...]
    training: Links | None
    degrees: NDArray[np.int64]
    notes: tuple[str, ...]
    curve = "recall"

    @classmethod
    def prepare(
        cls,
        truth: EdgeTruth,
        n: int,
        rng: np.random.Generator,
        seed: int,
        categories: NDArray[np.int64] | None,
        groups: NDArray[np.int64] | None,
        rule: CandidateRule,
    ) -> _Edges:
        check_pairs(truth.held_out, n)
        if len(truth.training):
            check_pairs(truth.training, n)
        items = np.arange(n)
        known = np.concatenate([truth.held_out, truth.training])
        queries, notes = _sampled(np.unique(truth.held_out[:, 0]), rng)
        questions = Questions(queries, items, truth.held_out, truth.training, groups, categories, rule)
        some = truth.held_out
        if len(some) > MAX_LINKS:
            some = some[np.sort(rng.choice(len(some), MAX_LINKS, replace=False))]
            notes.append(f"links were judged on {MAX_LINKS:,} of {len(truth.held_out):,} edges, drawn at random")
        links = [draw_links(some, known, items, seed=seed)]
        if categories is not None and has_categories(categories, [items]):
            try:
                links.append(draw_links(some, known, items, seed=seed, categories=categories))
            except InputError as error:
                notes.append(f"no negatives of the same category: {error}")
        training = training_links(truth.training, known, seed=seed) if len(truth.training) else None
        return cls(questions, tuple(links), training, degrees_of(truth.training, n), tuple(notes))

    def measure(
        self, contender: Contender, ranking: Ranking, cuts: Sequence[int], k: int, ties: Ties, seed: int
    ) -> tuple[dict[str, Interval], dict[str, Interval]]:
        per_query = {f"recall@{cut}": recall(ranking, cut, ties) for cut in cuts}
        per_query["MRR@20"] = reciprocal_rank(ranking, 20, ties)
        per_query["MAP"] = average_precision(ranking, ties)
        per_query["nDCG@10"] = ndcg(ranking, 10, ties)
        per_query["rank percentile"] = rank_percentile(ranking)
        metrics = {name: bootstrap(values, seed=seed) for name, values in per_query.items()}
        threshold = contender.threshold
        if threshold is None and self.training is not None:
            threshold = threshold_of(contender, self.training)
        for links in self.links:
            scores = score_links(contender, links, 0.0 if threshold is None else threshold)
            sources = links.positive[:, 0]
            kind = "random" if links.kind == "at random" else "same-category"
            metrics[f"AUC, {kind} negatives"] = bootstrap_auc(
                scores.positive, scores.negative, seed=seed, clusters=sources
            )
            if threshold is not None:
                metrics[f"accuracy, {kind} negatives"] = bootstrap(scores.correct, seed=seed, clusters=sources)
        found, degrees = hits(ranking, k, ties), self.degrees[ranking.pairs[:, 1]]
        parts = {name: support_bucket(degrees) == name for name in BUCKETS}
        parts |= {"seen": degrees > 0, "unseen": degrees == 0}
        support = {
            name: bootstrap(found[part], seed=seed, clusters=ranking.place[part])
            for name, part in parts.items()
            if part.any()
        }
        return metrics, support


@dataclass(frozen=True, slots=True)
class _Labels:
    """Labels, made ready to be asked."""

    questions: Questions
    labels: NDArray[np.int64]
    answerable: NDArray[np.bool_]
    notes: tuple[str, ...]
    curve = "precision"

    @classmethod
    def prepare(
        cls,
        truth: LabelTruth,
        n: int,
        rng: np.random.Generator,
        categories: NDArray[np.int64] | None,
        groups: NDArray[np.int64] | None,
        rule: CandidateRule,
    ) -> _Labels:
        labels = truth.labels
        if labels.shape != (n,):
            raise InputError(f"expected one label for each of {n} items, found shape {labels.shape}")
        items = np.flatnonzero(labels >= 0)
        counts = np.bincount(labels[items])
        if counts.max(initial=0) < 2:
            raise InputError("the labels are all distinct, so no answer could be right; name a label that items share")
        if (counts > 0).sum() < 2:
            raise InputError("all items have the same label, so every answer would be right; name another label")
        queries, notes = _sampled(items, rng)
        questions = Questions(queries, items, NO_PAIRS, NO_PAIRS, groups, categories, rule)
        answerable = _reachable(questions, labels)
        if not answerable.any():
            raise InputError("no query has a candidate with its own label; check the label, the rule and the group")
        if not answerable.all():
            notes.append(f"{int((~answerable).sum()):,} queries had no candidate with their label and were left out")
        return cls(questions, labels, answerable, tuple(notes))

    def measure(
        self, contender: Contender, ranking: Ranking, cuts: Sequence[int], k: int, ties: Ties, seed: int
    ) -> tuple[dict[str, Interval], dict[str, Interval]]:
        return {
            f"precision@{cut}": bootstrap(label_precision(ranking, self.labels, cut, self.answerable), seed=seed)
            for cut in cuts
        }, {}


def _reachable(questions: Questions, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Queries for which a candidate with their label may answer, by counting: bool, shape ``(q,)``."""
    items, queries = questions.candidates, questions.queries
    zeros = np.zeros(len(labels), np.int64)
    group = zeros if questions.groups is None else questions.groups
    category = zeros if questions.rule == "any" or questions.categories is None else questions.categories

    def alike(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each query, how many candidates (itself counted) are the same in all columns."""
        _, number = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        number = number.reshape(-1)
        return np.bincount(number[items], minlength=int(number.max()) + 1)[number[queries]].astype(np.int64)

    grouped = (group[queries] >= 0) if questions.groups is not None else np.zeros(len(queries), bool)
    own = np.where(grouped, alike(labels, category, group), 1)
    within = alike(labels, category) - own
    if questions.rule != "other category":
        return within > 0
    all_own = np.where(grouped, alike(labels, group), 1)
    return alike(labels) - all_own - within > 0


def _sampled(queries: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], list[str]]:
    if len(queries) <= MAX_QUERIES:
        return queries, []
    drawn = np.sort(rng.choice(queries, MAX_QUERIES, replace=False))
    return drawn, [f"{MAX_QUERIES:,} of {len(queries):,} queries were asked, drawn at random"]
