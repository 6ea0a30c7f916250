"""Calibration: the fastest way of searching that keeps the asked recall, measured on held-out queries."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from index.engine.rows import SearchPlan, Space
from index.engine.search import CALIBRATED_K, FEW, SPARE, Found, Restriction, Searcher
from index.relations import Relation

CHOOSING = 384
"""Queries on which settings are chosen."""

TELLING = 384
"""Other queries, on which the recall that is told is measured. Its standard error at recall 0.99 is 0.002 where most
queries miss an answer now and then, and 0.005 where a few miss all of them, as among many near-copies."""

TIMED = 8
TIMED_ROWS = 100_000
"""So often, so many rows are scored and the best of them picked, to learn what scanning one costs: more than
processor caches hold."""

DEPTHS = (30, 50, 100, 200, 400, 800, 1600)
"""Numbers of candidates tried."""

FEWEST_PROBES = 2
"""Cells first looked into; doubled until recall suffices or a scan is faster."""

HALVINGS = 3
"""So often, a number between the cells that sufficed and those that did not is tried."""

GROUPS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
"""Shares of all groups of cells: those tried in which cells are looked for."""

OF_GROUPS = 0.2
"""So many times the misses that the settings before them may make may be added by looking at some groups only."""

NODES = (16, 32, 64, 128)
"""Nodes that Annoy inspects for each cell that it proposes: numbers tried."""

MARGIN = 0.7
"""Share of the allowed misses that the chosen settings use on the queries they were chosen on, so
that the held-out figure, which is the one told, still meets what was asked."""

ROUNDING = 1e-5
"""Products this close, relative to 1 or to themselves, are the same answer: sums in another order differ by as much."""

RELEASED_AFTER = 32
"""Queries after which mapped pages are handed back, so that a build does not seem to hold all its trees."""

BLOCK = 8192
"""Rows whose true scores are computed at once."""


def rule_categories(space: Space, relation: Relation, row: int) -> NDArray[np.bool_] | None:
    """The categories that may answer a row of this space by the relation's rule; ``None`` for all."""
    if relation.rule == "any":
        return None
    code = int(space.categories_of(np.asarray([row]))[0])
    return categories_for(space, relation, space.record.categories[code])


def categories_for(space: Space, relation: Relation, category: str | None) -> NDArray[np.bool_] | None:
    """The categories of this space that may answer an item of some category; ``None`` for all."""
    if relation.rule == "any" or category is None:
        return None
    own = np.array([name == category for name in space.record.categories], bool)
    return own if relation.rule == "same category" else ~own


@dataclass(frozen=True, slots=True)
class _Measured:
    """How a plan did on some queries.

    Attributes:
        recall: Mean over them.
        error: Its standard error.
        seconds: Of a typical one.
    """

    recall: float
    error: float
    seconds: float


@dataclass(frozen=True, slots=True)
class _Goal:
    """What settings must reach on the queries they are chosen on, so that others find the asked recall, too.

    Attributes:
        asked: Recall that must be surpassed by a standard error.
        wanted: Recall to reach: see ``MARGIN``.
    """

    asked: float
    wanted: float

    def met_by(self, measured: _Measured) -> bool:
        """Whether it was reached."""
        return measured.recall >= self.wanted and measured.recall - measured.error >= self.asked


@dataclass(frozen=True, slots=True)
class _Probe:
    """Queries to try plans on.

    Attributes:
        rows: int64, shape ``(n,)``.
        last: Score of each one's last true answer; -inf when it has none. float32, shape ``(n,)``.
        answers: How many true answers each has, at most ``CALIBRATED_K``. int64, shape ``(n,)``.
        per_scan: Seconds of an exact scan under the relation's rule.
    """

    rows: NDArray[np.int64]
    last: NDArray[np.float32]
    answers: NDArray[np.int64]
    per_scan: float

    def part(self, places: slice) -> _Probe:
        return _Probe(self.rows[places], self.last[places], self.answers[places], self.per_scan)


def calibrate(space: Space, relation: Relation, asked: float, seed: int = 0) -> SearchPlan:
    """Choose a method and its settings; cells, their trees and the reduced copy are already there.

    Queries are items of the catalog, each excluded from its own answer and asked under the relation's
    rule; what is chosen on some of them is measured on the others.

    Args:
        space: Its record must hold a plan for the relation, with method ``"cells"``.
        asked: Recall at 10 to reach.

    Returns:
        The plan, also put into the record; with method ``"exact"`` when nothing else reaches the recall faster.
    """
    probe, per_row = _probe(space, relation, seed)
    plan = replace(space.record.relations[relation.name], seconds_per_row=per_row)
    some = min(CHOOSING, len(probe.rows) // 2)
    chosen_on, told_on = probe.part(slice(some)), probe.part(slice(some, None))
    best = _cells_plan(space, relation, plan, chosen_on, _Goal(asked, 1 - (1 - asked) * MARGIN))
    while best and best.seconds_per_query < probe.per_scan:
        told = _measure(space, relation, best, told_on)
        best = replace(best, seconds_per_query=told.seconds)
        if told.recall >= asked:
            best = replace(best, recall=round(told.recall, 4), measured_on=len(told_on.rows))
            space.record.relations[relation.name] = best
            return best
        best = replace(
            best, probes=best.probes * 3 // 2, groups=-(best.groups * -3 // 2), search_k=best.search_k * 3 // 2,
            candidates=best.candidates * 3 // 2,
        )  # fmt: skip
    return exact_plan(space, relation, per_row)


def _cells_plan(space: Space, relation: Relation, plan: SearchPlan, probe: _Probe, goal: _Goal) -> SearchPlan | None:
    """The fastest settings that reach the goal, or ``None``."""
    best: SearchPlan | None = None
    probes = FEWEST_PROBES
    while probes < 2 * plan.cells:
        trial, seconds = _with_probes(space, relation, plan, probes, probe, goal)
        if trial:
            if best and trial.seconds_per_query >= best.seconds_per_query:
                break
            best = trial
            if best.candidates == DEPTHS[0]:
                break  # more cells only cost more from here on
        elif seconds > probe.per_scan:
            break
        probes *= 2
    if best is None:
        return None
    too_few = best.probes // 2 if best.probes > FEWEST_PROBES else 0
    for _ in range(HALVINGS):
        between = (too_few + best.probes) // 2
        if between == too_few:
            break
        trial, _ = _with_probes(space, relation, plan, between, probe, goal)
        if trial and (trial.candidates <= best.candidates or trial.seconds_per_query < best.seconds_per_query):
            best = trial
        else:
            too_few = between
    return _by_annoy(space, relation, _in_groups(space, relation, best, probe, goal), probe, goal)


def _with_probes(
    space: Space, relation: Relation, plan: SearchPlan, probes: int, probe: _Probe, goal: _Goal
) -> tuple[SearchPlan | None, float]:
    """The shallowest settings with so many cells that reach the goal, or ``None``; and seconds of a question that looks
    as deep as any into them."""
    deep = replace(plan, probes=probes, candidates=DEPTHS[-1])
    measured = _measure(space, relation, deep, probe)
    if not goal.met_by(measured):
        return None, measured.seconds
    for depth in DEPTHS[:-1]:
        trial = replace(plan, probes=probes, candidates=depth)
        found = _measure(space, relation, trial, probe)
        if goal.met_by(found):
            return replace(trial, seconds_per_query=found.seconds), measured.seconds
    return replace(deep, seconds_per_query=measured.seconds), measured.seconds


def _in_groups(space: Space, relation: Relation, plan: SearchPlan, probe: _Probe, goal: _Goal) -> SearchPlan:
    """The same plan looking for cells in the nearest groups of them, where that is faster at nearly that recall."""
    goal = replace(goal, wanted=goal.wanted - OF_GROUPS * (1 - goal.wanted))
    held = len(space.cells(relation.name).groups) - 1
    for share in GROUPS:
        trial = replace(plan, groups=math.ceil(share * held))
        found = _measure(space, relation, trial, probe)
        if goal.met_by(found):
            faster = found.seconds < plan.seconds_per_query
            return replace(trial, seconds_per_query=found.seconds) if faster else plan
    return plan


def _by_annoy(space: Space, relation: Relation, plan: SearchPlan, probe: _Probe, goal: _Goal) -> SearchPlan:
    """The same plan with Annoy asked for the nearest cells, where that is faster and reaches the goal."""
    if not space.segments(relation.name).has_trees:
        return plan
    for nodes in NODES:
        trial = replace(plan, groups=0, search_k=plan.probes * nodes)
        found = _measure(space, relation, trial, probe)
        if found.seconds >= plan.seconds_per_query:
            break
        if goal.met_by(found):
            return replace(trial, seconds_per_query=found.seconds)
    return plan


def exact_plan(space: Space, relation: Relation, seconds_per_row: float = 0.0) -> SearchPlan:
    """Put the plan of a relation that is answered by scanning into the record."""
    plan = scan_plan(relation, seconds_per_row)
    space.record.relations[relation.name] = plan
    return plan


def scan_plan(relation: Relation, seconds_per_row: float = 0.0) -> SearchPlan:
    """The plan of scanning: recall 1 by construction."""
    return SearchPlan(
        digest=relation.digest, method="exact", recall=1.0, measured_on=0, cells=0, probes=0, groups=0, search_k=0,
        candidates=0, dim=0, by_category=False, seconds_per_query=0.0, seconds_per_row=seconds_per_row, random=(),
    )  # fmt: skip


def _probe(space: Space, relation: Relation, seed: int) -> tuple[_Probe, float]:
    """Draw queries and find their true answers; also the seconds that scanning one row takes."""
    rng = np.random.default_rng(seed)
    askable = np.flatnonzero(rows_that_meet_cells(space, relation))
    rows = rng.permutation(askable)[: CHOOSING + TELLING]
    last, answers = _truth(space, relation, rows)
    some = space.vectors[:TIMED_ROWS]
    weighted = space.question(relation, space.vectors[0])
    timed = []
    for _ in range(TIMED):
        started = time.perf_counter()
        products = some @ weighted
        np.partition(products, max(len(products) - CALIBRATED_K - SPARE, 0))
        timed.append(time.perf_counter() - started)
    per_row = _typical(timed[1:]) / len(some)  # the first reads the rows from the file
    space.release()
    return _Probe(rows, last, answers, per_row * _rows_scanned(space, relation, rows)), per_row


def _rows_scanned(space: Space, relation: Relation, rows: NDArray[np.int64]) -> float:
    """Rows that may answer a question by the relation's rule, on average over queries."""
    if relation.rule == "any":
        return float(space.record.count)
    inside = float(np.mean(np.diff(space.offsets)[space.categories_of(rows)]))
    return inside if relation.rule == "same category" else space.record.count - inside


def rows_that_meet_cells(space: Space, relation: Relation) -> NDArray[np.bool_]:
    """Rows whose questions look at enough rows for cells; the others are scanned. bool, ``(count,)``."""
    if relation.rule != "same category":
        return np.ones(space.record.count, bool)
    large = [
        name is None or size > FEW
        for name, size in zip(space.record.categories, np.diff(space.offsets).tolist(), strict=True)
    ]
    return np.repeat(large, np.diff(space.offsets))


def _truth(space: Space, relation: Relation, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Score of each query's last true answer, and how many it has: every row scored, block by block."""
    weighted = space.question(relation, space.vectors[rows])
    own = space.categories_of(rows)
    looks = np.array([rule_categories(space, relation, row) is not None for row in rows.tolist()])[:, None]
    best = np.full((len(rows), CALIBRATED_K), -np.inf, np.float32)
    for start in range(0, space.record.count, BLOCK):
        some = np.arange(start, min(start + BLOCK, space.record.count))
        scores = weighted @ space.vectors[start : some[-1] + 1].T
        scores[rows[:, None] == some] = -np.inf
        if relation.rule != "any":
            same = own[:, None] == space.categories_of(some)
            scores[looks & (~same if relation.rule == "same category" else same)] = -np.inf
        both = np.hstack([best, scores])
        best = np.partition(both, both.shape[1] - CALIBRATED_K, axis=1)[:, -CALIBRATED_K:]
        space.release()
    answers = np.isfinite(best).sum(axis=1)
    return np.where(np.isfinite(best), best, np.inf).min(axis=1), answers


def _measure(space: Space, relation: Relation, plan: SearchPlan, probe: _Probe) -> _Measured:
    """How a plan does on the queries that it answers by its own method, not by a scan."""
    from threadpoolctl import threadpool_limits

    searcher = Searcher(space, relation, replace(plan, seconds_per_query=0.0))  # free, so always preferred to a scan
    recalls, seconds = [], []
    asked = zip(probe.rows.tolist(), probe.last.tolist(), probe.answers.tolist(), strict=True)
    with threadpool_limits(1):  # as questions are asked: many at once, each by one thread
        for number, (row, last, answers) in enumerate(asked):
            if number % RELEASED_AFTER == 0:
                space.release()
            found, spent = _ask(searcher, row)
            if found.method != "exact":
                seconds.append(spent)
                reached = np.count_nonzero(found.scores[:CALIBRATED_K] >= last - ROUNDING * max(1.0, abs(last)))
                recalls.append(min(reached, answers) / answers if answers else 1.0)
    if not recalls:
        return _Measured(0.0, 0.0, math.inf)
    error = float(np.std(recalls)) / math.sqrt(len(recalls))
    return _Measured(float(np.mean(recalls)), error, _typical(seconds))


def _typical(seconds: list[float]) -> float:
    """The lower quartile: what else the machine does lengthens some, and shortens none."""
    return float(np.quantile(seconds, 0.25))


def _ask(searcher: Searcher, row: int) -> tuple[Found, float]:
    started = time.perf_counter()
    restriction = Restriction(rule_categories(searcher.space, searcher.relation, row), None, np.asarray([row]))
    found = searcher.search(searcher.space.vectors[row], CALIBRATED_K + SPARE, restriction)
    return found, time.perf_counter() - started


def random_quantiles(
    count: int,
    pair_scores: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]],
    levels: tuple[float, ...],
) -> tuple[float, ...]:
    """Quantiles of the scores of random pairs of items: what "unusually close" is measured against.

    Args:
        count: Number of rows.
        pair_scores: Given rows and as many others, the score of each pair.
        levels: Ascending, 0 to 1.
    """
    if count < 2:
        return tuple(0.0 for _ in levels)
    rng = np.random.default_rng(1)
    left = np.sort(rng.integers(0, count, 20_000))
    right = (left + rng.integers(1, count, len(left))) % count
    scores = np.concatenate(
        [pair_scores(left[at : at + 2000], right[at : at + 2000]) for at in range(0, len(left), 2000)]
    )
    return tuple(float(value) for value in np.quantile(scores, levels))
