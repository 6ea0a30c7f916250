"""Calibration: the cheapest search settings that keep the asked recall, measured on held-out queries."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from index.generations import SearchPlan, Space
from index.relations import Relation
from index.search import CALIBRATED_K, Found, Restriction, Searcher
from index.segments import EXACT_ROWS
from index.types import Vectors

CHOOSING = 128
"""Queries on which settings are chosen."""

TELLING = 384
"""Other queries, on which the recall that is told is measured: its standard error at recall 0.99 is
then about 0.003 (the ten answers of one query are not independent)."""

DEPTHS = (50, 100, 200, 400, 800)
DEEPEST = 1600
"""Numbers of candidates tried."""

MARGIN = 0.6
"""Share of the allowed misses that the chosen settings use on the queries they were chosen on, so
that the held-out figure, which is the one told, still meets what was asked."""

_NONE = np.zeros(0, np.int64)


def rule_categories(space: Space, relation: Relation, row: int) -> NDArray[np.bool_] | None:
    """The categories that may answer a row of this space by the relation's rule; ``None`` for all."""
    if relation.rule == "any":
        return None
    code = int(space.categories_of(np.asarray([row]))[0])
    if space.record.categories[code] is None:
        return None
    own = np.arange(len(space.record.categories)) == code
    return np.asarray(own if relation.rule == "same category" else ~own)


def calibrate(space: Space, relation: Relation, asked: float, seed: int = 0) -> SearchPlan:
    """Choose ``search_k`` and the number of candidates for trees that are already built.

    Queries are items of the catalog, each excluded from its own answer and asked under the relation's
    rule; what is chosen on one half of them is measured on the other.

    Args:
        space: Its record must hold a plan for the relation, with method ``"annoy"`` and the trees built.
        asked: Recall at 10 to reach.

    Returns:
        The plan; with method ``"exact"`` when no setting reaches the recall faster than a scan.
    """
    plan = space.record.relations[relation.name]
    sample = np.random.default_rng(seed).permutation(space.record.count)[: CHOOSING + TELLING]
    chosen_on, told_on = sample[:CHOOSING], sample[CHOOSING:]
    truth = {int(row): _exact(space, relation, int(row)) for row in sample}
    per_scan = float(np.median([seconds for _, seconds in truth.values()]))
    plan = replace(plan, seconds_per_row=per_scan / space.record.count)
    wanted = 1 - (1 - asked) * MARGIN
    best: SearchPlan | None = None
    search_k = 250
    while search_k < 4 * space.record.count:
        trial = replace(plan, search_k=search_k, candidates=DEEPEST)
        recall, seconds = _measure(space, relation, trial, chosen_on, truth)
        if recall >= wanted:
            for depth in (*DEPTHS, DEEPEST):
                trial = replace(trial, candidates=depth)
                recall, seconds = _measure(space, relation, trial, chosen_on, truth)
                if recall >= wanted:
                    break
            if best is None or seconds < best.seconds_per_query:
                best = replace(trial, seconds_per_query=seconds)
            else:
                break  # more nodes only cost more from here on
        elif seconds > per_scan:
            break
        search_k *= 2
    while best and best.seconds_per_query < per_scan:
        recall, seconds = _measure(space, relation, replace(best, seconds_per_query=0.0), told_on, truth)
        if recall >= asked:
            best = replace(best, recall=round(recall, 4), measured_on=len(told_on), seconds_per_query=seconds)
            space.record.relations[relation.name] = best
            return best
        best = replace(best, search_k=best.search_k * 3 // 2, candidates=best.candidates * 3 // 2)
    return exact_plan(space, relation, per_scan / space.record.count)


def exact_plan(space: Space, relation: Relation, seconds_per_row: float = 0.0) -> SearchPlan:
    """The plan of a relation that is answered by scanning: recall 1 by construction."""
    plan = SearchPlan(
        digest=relation.digest, method="exact", recall=1.0, measured_on=0, trees=0, search_k=0, candidates=0, dim=0,
        by_category=False, seconds_per_query=0.0, seconds_per_row=seconds_per_row, random=(),
    )  # fmt: skip
    space.record.relations[relation.name] = plan
    return plan


def needs_trees(count: int) -> bool:
    """Whether a space is large enough for trees to be worth trying."""
    return count > EXACT_ROWS


def recall_of(found: Found, truth: Found) -> float:
    """Share of the true scores that were reached; rows of equal score count as the same answer."""
    if not len(truth.rows):
        return 1.0
    reached = np.sum(found.scores >= truth.scores[-1] - 1e-6)
    return float(min(reached, len(truth.rows)) / len(truth.rows))


def _exact(space: Space, relation: Relation, row: int) -> tuple[Found, float]:
    trial = replace(space.record.relations[relation.name], method="exact")
    started = time.perf_counter()
    found = _ask(space, relation, trial, row)
    return found, time.perf_counter() - started


def _measure(
    space: Space, relation: Relation, plan: SearchPlan, rows: NDArray[np.int64], truth: dict[int, tuple[Found, float]]
) -> tuple[float, float]:
    """Mean recall and median seconds of a plan over queries."""
    recalls, seconds = [], []
    for row in rows.tolist():
        started = time.perf_counter()
        found = _ask(space, relation, plan, row)
        seconds.append(time.perf_counter() - started)
        recalls.append(recall_of(found, truth[row][0]))
    return float(np.mean(recalls)), float(np.median(seconds))


def _ask(space: Space, relation: Relation, plan: SearchPlan, row: int) -> Found:
    kept = space.record.relations[relation.name]
    space.record.relations[relation.name] = plan
    try:
        restriction = Restriction(rule_categories(space, relation, row), None, np.asarray([row]))
        return Searcher(space, relation).search(space.vectors[row], CALIBRATED_K, restriction)
    finally:
        space.record.relations[relation.name] = kept


def random_quantiles(vectors: Vectors, weights: NDArray[np.float32], levels: tuple[float, ...]) -> tuple[float, ...]:
    """Quantiles of the scores of random pairs of items: what "unusually close" is measured against.

    Args:
        vectors: float32, shape ``(n, dim)``.
        weights: float32, shape ``(dim,)``.
        levels: Ascending, 0 to 1.
    """
    count = len(vectors)
    if count < 2:
        return tuple(0.0 for _ in levels)
    rng = np.random.default_rng(1)
    left = np.sort(rng.integers(0, count, 20_000))
    right = (left + rng.integers(1, count, len(left))) % count
    scores = np.concatenate(
        [
            np.einsum("ij,j,ij->i", vectors[left[at : at + 2000]], weights, vectors[right[at : at + 2000]])
            for at in range(0, len(left), 2000)
        ]
    )
    return tuple(float(value) for value in np.quantile(scores, levels))
