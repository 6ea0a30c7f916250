"""Searching one relation's rows: Annoy proposes, exact scores decide, and narrow questions are scanned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.generations import Space
from index.relations import Relation
from index.segments import Segment, cover
from index.types import Vector

CALIBRATED_K = 10
"""Number of answers for which plans are calibrated; longer lists inspect in proportion."""

SPARSE = 0.3
"""Share of a range below which its allowed rows are gathered instead of scanning the whole range."""

SMALLEST_SHARE = 0.05
"""A segment's trees are asked for nodes in proportion to its rows, but never for less than this share."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """Which rows may answer.

    Attributes:
        categories: bool, shape ``(categories,)``; ``None`` allows all.
        mask: bool, shape ``(rows,)``, as from a filter; ``None`` allows all.
        excluded: Sorted rows that may not answer: the query itself, removed items. int64.
    """

    categories: NDArray[np.bool_] | None
    mask: NDArray[np.bool_] | None
    excluded: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Found:
    """Rows found, best first, with their scores (float32, higher is closer) and the method used."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    method: str


class Searcher:
    """Answers one relation over one space."""

    def __init__(self, space: Space, relation: Relation) -> None:
        self.space = space
        self.relation = relation
        self.plan = space.record.relations[relation.name]
        self.weights = space.facet_weights(relation)
        self.segments = space.segments(relation.name)
        self._reducer: NDArray[np.float32] | None = None

    def search(self, query: Vector, count: int, restriction: Restriction) -> Found:
        """Find the ``count`` closest rows.

        Args:
            query: float32, shape ``(dim,)``; facets of unit length, side by side.
            count: At least 1.
            restriction: Who may answer.

        Returns:
            As many rows as exist, at most ``count``, best first; ties in row order.
        """
        space = self.space
        weighted = self.weights * query
        allowed = restriction.categories
        if self.plan.method == "exact":
            return self._exact(weighted, self._ranges(allowed), count, restriction)
        parts = [self.segments] if allowed is None else cover(self.segments, allowed, space.offsets)
        total = sum(part.rows for part in parts)
        share = 1.0
        if restriction.mask is not None:
            share = sum(int(restriction.mask[p.start : p.stop].sum()) for p in parts) / max(total, 1)
        dead = min(len(restriction.excluded), total) / max(total, 1)
        stretch = max(1.0, count / CALIBRATED_K) / max(share * (1 - dead), 1e-9)
        treed = [part for part in parts if part.has_trees]
        by_annoy = self.plan.seconds_per_query * stretch
        by_scan = total * share * self.plan.seconds_per_row * (1.0 if share == 1 else 3.0)
        if not treed or by_annoy > by_scan:
            return self._exact(weighted, parts, count, restriction)
        found = self._propose(query, parts, stretch)
        if restriction.mask is not None:
            found = found[restriction.mask[found]]
        if len(restriction.excluded):
            found = found[~np.isin(found, restriction.excluded, assume_unique=True)]
        wanted = self.plan.candidates * max(1.0, count / CALIBRATED_K)
        if share < 1 and len(found) < min(wanted, total * share - len(restriction.excluded)):
            return self._exact(weighted, parts, count, restriction)  # the filter points away from the query
        scores = space.vectors[found] @ weighted
        return _best(found, scores, count, "annoy")

    def _propose(self, query: Vector, parts: list[Segment], stretch: float) -> NDArray[np.int64]:
        if self._reducer is None:
            self._reducer = self.space.reducer(self.relation.name)
        reduced = (np.sqrt(self.weights) * query) @ self._reducer
        candidates = int(np.ceil(self.plan.candidates * stretch))
        search_k = int(np.ceil(self.plan.search_k * stretch))
        proposed = []
        for part in parts:
            if part.has_trees:
                trees = self.space.trees(self.relation.name, part)
                nodes = int(np.ceil(search_k * max(part.rows / self.space.record.count, SMALLEST_SHARE)))
                proposed.append(trees.candidates(reduced, candidates, nodes) + part.start)
            else:
                proposed.append(np.arange(part.start, part.stop))
        return np.sort(np.concatenate(proposed))  # in row order, memory is read forwards

    def _ranges(self, allowed: NDArray[np.bool_] | None) -> list[Segment]:
        offsets = self.space.offsets
        whole = Segment(0, int(offsets[-1]), 0, len(offsets) - 1)
        return [whole] if allowed is None else cover(whole, allowed, offsets)

    def _exact(self, weighted: Vector, parts: list[Segment], count: int, restriction: Restriction) -> Found:
        rows: list[NDArray[np.int64]] = []
        scores: list[NDArray[np.float32]] = []
        for part in parts:
            allowed = None if restriction.mask is None else restriction.mask[part.start : part.stop]
            if allowed is not None and allowed.mean() < SPARSE:
                some = np.flatnonzero(allowed) + part.start
                rows.append(some)
                scores.append(self.space.vectors[some] @ weighted)
            else:
                found = self.space.vectors[part.start : part.stop] @ weighted
                if allowed is not None:
                    found[~allowed] = -np.inf
                rows.append(np.arange(part.start, part.stop))
                scores.append(found)
        if not rows:
            return Found(np.zeros(0, np.int64), np.zeros(0, np.float32), "exact")
        every, scored = np.concatenate(rows), np.concatenate(scores)
        if len(restriction.excluded):
            place = np.searchsorted(every, restriction.excluded)
            inside = place < len(every)
            place, excluded = place[inside], restriction.excluded[inside]
            scored[place[every[place] == excluded]] = -np.inf
        return _best(every, scored, count, "exact")


def _best(rows: NDArray[np.int64], scores: NDArray[np.float32], count: int, method: str) -> Found:
    """Keep the ``count`` best finite scores, ties in row order."""
    if len(rows) > count:
        threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
        some = np.flatnonzero(scores >= threshold)
        rows, scores = rows[some], scores[some]
    order = np.lexsort((rows, -scores))[:count]
    order = order[np.isfinite(scores[order])]
    return Found(rows[order], scores[order], method)
