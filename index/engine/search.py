"""Searching one relation's rows: candidates are proposed cheaply, exact scores on full vectors decide.

Two methods, of which the build picks the faster that keeps the recall asked for:

* ``cells``  rows lie in cells around centres; the cells nearest to the question are read as runs of a reduced copy,
             and propose. Which cells are nearest is asked of Annoy trees over the centres, so time grows with the
             logarithm of the catalog; while there are few centres, looking at those of the nearest groups of cells,
             or at all of them, is faster.
* ``exact``  every row that may answer is scored: small catalogs, small categories, narrow filters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.engine import kernel
from index.engine.cells import Cells, half_squares
from index.engine.coarse import abreast, in_steps
from index.engine.rows import SearchPlan, Space
from index.engine.segments import Segment, cover, cut
from index.relations import Relation
from index.types import Vector, Vectors

CALIBRATED_K = 10
"""Number of answers for which recall is measured and told."""

SPARE = 10
"""Rows fetched beyond the answers asked for, to stand in for near-duplicates that are collapsed; plans
are calibrated with them, longer lists look into more cells in proportion."""

FEW = 1000
"""So few rows that may answer are scored exactly at once."""

SPARSE = 0.3
"""Share of a range below which its allowed rows are gathered instead of scanning the whole range."""

SLACK = 1.5
"""Under a filter, so many times as many cells are looked into as its share of rows would have it, at most; a filter
that points further away from the query is scanned."""

NEARLY_ALL = 0.75
"""Share of rows from which on a filter does not steer the search; who fails it is left out afterwards."""

SORTING = 2.0
"""Finding the cells that pass a filter takes so many times as long as a question without one."""

PASSED_OVER = 0.3
"""What a cell costs whose rows fail the filter, of what one costs that is looked into. Measured on a million rows: a
filter that one in a hundred passes takes 35 times the time of a question without one, one in two hundred 70 times."""

GATHERED = 1024
"""Rows gathered at once."""

MASKS_KEPT = 16
"""Filters for which is kept which rows pass, and where these lie in cells."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """Which rows may answer.

    Attributes:
        categories: bool, shape ``(categories,)``; ``None`` allows all.
        mask: bool, shape ``(rows,)``: passes the filter, is neither removed nor outdated; ``None`` allows all. It is
            never changed.
        excluded: Sorted rows that may not answer, few of them: the query itself. int64.
    """

    categories: NDArray[np.bool_] | None
    mask: NDArray[np.bool_] | None
    excluded: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Found:
    """Rows found, best first, with their products with the question (float32) and the method used."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    method: str


@dataclass(frozen=True, slots=True)
class _Passing:
    """Where rows that pass a mask lie in the layout of cells.

    Attributes:
        laid: The mask, of places.
        bounds: How many pass before each cell, then of all. int64, shape ``(cells + 1,)``.
        sizes: How many of each cell pass. int64, shape ``(cells,)``.
    """

    laid: NDArray[np.bool_]
    bounds: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, cells: Cells, mask: NDArray[np.bool_]) -> _Passing:
        """Those of a mask of rows."""
        laid = mask[cells.rows]
        bounds = np.searchsorted(np.flatnonzero(laid), cells.starts)
        return cls(laid, bounds, np.diff(bounds))


_Kept = TypeVar("_Kept")


class _OfMasks(Generic[_Kept]):
    """What is worked out for a mask, kept for the last few of them."""

    def __init__(self, work_out: Callable[[NDArray[np.bool_]], _Kept]) -> None:
        self._work_out = work_out
        self._kept: dict[int, tuple[NDArray[np.bool_], _Kept]] = {}

    def __call__(self, mask: NDArray[np.bool_]) -> _Kept:
        kept = self._kept.get(id(mask))
        if kept is None or kept[0] is not mask:
            kept = mask, self._work_out(mask)
            while len(self._kept) >= MASKS_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[id(mask)] = kept
        return kept[1]


class Searcher:
    """Answers one relation over one space. One object serves one thread at a time."""

    def __init__(self, space: Space, relation: Relation, plan: SearchPlan | None = None) -> None:
        """Searches by the space's own plan, or by another for the same files."""
        self.space = space
        self.relation = relation
        self.plan = plan or space.record.relations[relation.name]
        self.whole = cut(space.offsets, by_category=False)
        self._few_passing = _OfMasks(_few_passing)
        if self.plan.method == "cells":
            self.cells = space.cells(relation.name)
            self._passing = _OfMasks(partial(_Passing.of, self.cells))
            self.starts = self.cells.starts
            self.centres = np.ascontiguousarray(self.cells.centres)
            self.biases = -half_squares(self.centres)
            self.segments = cut(self.cells.offsets, by_category=self.plan.by_category)
            self.coarse = space.coarse(relation.name)
            self.everywhere = np.asarray([(self.segments.start, self.segments.stop)], np.int64)
            self.grouped: tuple[Any, Any, Any] = None, None, None
            if self.plan.groups:
                middles = self.cells.middles()
                laid = abreast(in_steps(middles, self.coarse.scales))
                self.grouped = laid, -half_squares(middles), self.cells.groups
            _, self.reducer = space.reducers(relation)
            self.to_steps = self.reducer * self.coarse.scales

    def search(self, query: Vector, count: int, restriction: Restriction) -> Found:
        """Find the ``count`` closest rows.

        Args:
            query: A row of the space, of whoever is asked about: float32, shape ``(dim,)``.
            count: At least 1.
            restriction: Who may answer.

        Raises:
            StorageError: The rows cannot be read.

        Returns:
            As many rows as exist, at most ``count``, best first, with their products with the question, which
            ``Space.scores`` makes scores of; ties in row order.
        """
        weighted = self.space.question(self.relation, query)
        found = None
        if self.plan.method == "cells" and (restriction.categories is None or self.plan.by_category):
            found = self._by_cells(query, weighted, count, restriction)
        if found is None:
            pieces = [self._scan(part, weighted, restriction.mask) for part in self._ranges(restriction)]
            found = _best(pieces, count, restriction, "exact")
        return found

    def _ranges(self, restriction: Restriction) -> list[Segment]:
        """Ranges of rows of the categories that may answer."""
        if restriction.categories is None:
            return [self.whole]
        return cover(self.whole, restriction.categories, self.space.offsets)

    def _scan(
        self, part: Segment, weighted: Vector, mask: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Score every row of a range that passes the mask."""
        vectors = self.space.vectors
        if mask is None:
            return np.arange(part.start, part.stop), vectors[part.start : part.stop] @ weighted
        few = self._few_passing(mask)
        if few is None:
            rows = np.flatnonzero(mask[part.start : part.stop]) + part.start
        else:
            rows = few[slice(*np.searchsorted(few, (part.start, part.stop)))]
        if len(rows) < SPARSE * part.size:
            return rows, _products(vectors, rows, weighted)
        return rows, (vectors[part.start : part.stop] @ weighted)[rows - part.start]

    def _by_cells(self, query: Vector, weighted: Vector, count: int, restriction: Restriction) -> Found | None:
        """Look into the nearest cells; ``None`` when a scan is faster, or when they cannot keep their recall."""
        if restriction.categories is None:
            parts, total = [self.segments], self.space.record.count
        else:
            parts = cover(self.segments, restriction.categories, self.cells.offsets)
            total = int(sum(self.starts[part.stop] - self.starts[part.start] for part in parts))
        passing = self._passing(restriction.mask) if restriction.mask is not None else None
        may = int(sum(_count(passing, part) for part in parts)) if passing else total
        stretch = max(1.0, count / (CALIBRATED_K + SPARE))
        if may <= max(FEW, count) or self._scan_pays(may, total, stretch, parts if passing else ()):
            return None
        share = may / total
        steps = query @ self.to_steps
        steered = passing is not None and share < NEARLY_ALL
        if passing is not None and steered:
            chosen = self._nearest_passing(query @ self.reducer, parts, stretch, share, passing)
        else:
            chosen = self._nearest(query, steps, parts, stretch / share)
        if passing and passing.sizes[chosen].sum() * SLACK < self._rows(len(chosen)) * share:
            return None  # those that pass lie further away
        rows, scores = np.empty(count, np.int64), np.empty(count, np.float32)
        stored = self.space.stored
        try:
            written = kernel.look(
                steps,
                weighted,
                chosen,
                self.starts,
                self.coarse.rows,
                self.coarse.biases,
                self.cells.rows,
                stored.everything if stored.file < 0 else None,
                passing.laid if passing else None,
                restriction.excluded,
                rows,
                scores,
                math.ceil(self.plan.candidates * stretch) + len(restriction.excluded),
                stored.file,
            )
        except OSError as error:
            raise stored.trouble(error) from error
        if written < min(count, may - len(restriction.excluded)):
            return None
        method = "annoy" if not steered and any(map(self._asks_annoy, parts)) else "cells"
        return Found(rows[:written], scores[:written], method)

    def _scan_pays(self, may: int, total: int, stretch: float, filtered: Sequence[Segment]) -> bool:
        """Whether a scan is faster than cells; ``filtered`` are the ranges of cells that a filter is looked for in."""
        by_scan = total * self.plan.seconds_per_row * min(1.0, may / total / SPARSE)
        cells = self.plan.probes * stretch
        held = sum(part.size for part in filtered)
        over = min(cells * total / may, held) / cells - 1  # cells looked at in vain for each other one
        effort = SORTING + PASSED_OVER * max(0.0, over) if filtered else 1.0
        return self.plan.seconds_per_query * stretch * effort > by_scan

    def _asks_annoy(self, part: Segment) -> bool:
        return part.has_trees and self.plan.search_k > 0

    def _rows(self, cells: float) -> float:
        """Rows in so many cells, on average."""
        return cells * self.space.record.count / self.plan.cells

    def _nearest(self, query: Vector, steps: Vector, parts: list[Segment], stretch: float) -> NDArray[np.int64]:
        """The cells to look into."""
        probes = math.ceil(self.plan.probes * stretch)
        ranges = self.everywhere
        if self.plan.search_k or parts[0] is not self.segments:
            asked = [part for part in parts if self._asks_annoy(part)]
            point = query @ self.reducer
            proposed = [cell for part in asked for cell in self._ask_annoy(point, part, probes, stretch)]
            if len(parts) == len(asked) == 1:
                return np.asarray(proposed, np.int64)
            pieces = [(part.start, part.stop) for part in parts if not self._asks_annoy(part)]
            ranges = np.asarray([*pieces, *((cell, cell + 1) for cell in proposed)], np.int64)
        cells = np.empty(probes, np.int64)
        most = math.ceil(self.plan.groups * stretch)
        return cells[: kernel.nearest(steps, self.coarse.centres, self.biases, ranges, *self.grouped, cells, most)]

    def _nearest_passing(
        self, point: Vector, parts: list[Segment], stretch: float, share: float, passing: _Passing
    ) -> NDArray[np.int64]:
        """The nearest cells that together hold as many passing rows as a question without a filter looks at, as far
        as their share lets expect."""
        probes = self.plan.probes * stretch
        most = int(np.ceil(probes * SLACK / share))
        cells = np.concatenate([np.arange(part.start, part.stop) for part in parts])
        closeness = np.concatenate([self._closeness(point, part) for part in parts])
        if len(cells) > most:
            nearest = np.argpartition(closeness, len(cells) - most)[len(cells) - most :]
            cells, closeness = cells[nearest], closeness[nearest]
        cells = cells[np.argsort(-closeness)]
        depth = int(np.searchsorted(np.cumsum(passing.sizes[cells]), self._rows(probes))) + 1
        return cells[:depth]

    def _closeness(self, point: Vector, part: Segment) -> NDArray[np.float32]:
        """How close centres are: p·x - ‖p‖²/2, which is greatest where the distance is least."""
        closeness: NDArray[np.float32] = self.centres[part.start : part.stop] @ point
        closeness += self.biases[part.start : part.stop]
        return closeness

    def _ask_annoy(self, point: Vector, part: Segment, probes: int, stretch: float) -> list[int]:
        nodes = math.ceil(self.plan.search_k * stretch)
        return [cell + part.start for cell in self.space.trees(self.relation.name, part).nearest(point, probes, nodes)]


def _few_passing(mask: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """Rows that pass a mask, ascending, if they take no more room than the mask; else ``None``."""
    return np.flatnonzero(mask) if 8 * np.count_nonzero(mask) <= len(mask) else None


def _count(passing: _Passing, part: Segment) -> int:
    """Number of rows of a range of cells that pass."""
    return int(passing.bounds[part.stop] - passing.bounds[part.start])


def _products(rows_of: Vectors, rows: NDArray[np.int64], query: Vector) -> NDArray[np.float32]:
    """Products of some rows with a question, a few rows at a time: they then stay in the processor's cache, which for
    ten thousand rows takes two thirds of the time, for a hundred thousand a third."""
    products = np.empty(len(rows), np.float32)
    block = np.empty((min(GATHERED, len(rows)), len(query)), np.float32)
    for start in range(0, len(rows), GATHERED):
        some = rows[start : start + GATHERED]
        np.take(rows_of, some, axis=0, out=block[: len(some)], mode="clip")  # the default mode would copy once more
        np.dot(block[: len(some)], query, out=products[start : start + len(some)])
    return products


def _best(
    pieces: list[tuple[NDArray[np.int64], NDArray[np.float32]]], count: int, restriction: Restriction, method: str
) -> Found:
    """Keep the ``count`` best of rows (ascending, over all pieces) that are not excluded; ties in row order."""
    if not pieces:
        return Found(np.zeros(0, np.int64), np.zeros(0, np.float32), method)
    rows = pieces[0][0] if len(pieces) == 1 else np.concatenate([some for some, _ in pieces])
    scores = pieces[0][1] if len(pieces) == 1 else np.concatenate([some for _, some in pieces])
    for row in restriction.excluded.tolist():
        place = int(np.searchsorted(rows, row))
        if place < len(rows) and rows[place] == row:
            scores[place] = -np.inf
    if len(rows) > count:
        threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
        some = np.flatnonzero(scores >= threshold)
        rows, scores = rows[some], scores[some]
    order = np.lexsort((rows, -scores))[:count]
    order = order[np.isfinite(scores[order])]
    return Found(rows[order], scores[order], method)
