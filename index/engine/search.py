"""Searching one relation's rows: candidates are proposed cheaply, exact scores on full vectors decide.

Three methods, of which the build picks the fastest that keeps the recall asked for:

* ``annoy``    Annoy trees propose: time grows with the logarithm of the catalog.
* ``reduced``  a scan of the copy that trees are built on proposes: a quarter of the memory of a full scan.
* ``exact``    every row that may answer is scored: small catalogs, small categories, narrow filters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.engine.rows import SearchPlan, Space
from index.engine.segments import Segment, cover, cut
from index.relations import Relation
from index.types import Vector, Vectors

CALIBRATED_K = 10
"""Number of answers for which recall is measured and told."""

SPARE = 10
"""Rows fetched beyond the answers asked for, to stand in for near-duplicates that are collapsed; plans
are calibrated with them, longer lists inspect in proportion."""

SPARSE = 0.3
"""Share of a range below which its allowed rows are gathered instead of scanning the whole range."""

SMALLEST_SHARE = 0.05
"""A segment's trees are asked for nodes in proportion to its rows, but never for less than this share."""

SLACK = 1.5
"""Under a filter, so many times the candidates are proposed, and the share of them that pass may fall short
of the filter's overall share by this factor; a filter that points further away from the query is scanned."""

FEW = 4
"""Up to so many times the candidates of a reduced scan, rows are scored exactly at once."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """Which rows may answer.

    Attributes:
        categories: bool, shape ``(categories,)``; ``None`` allows all.
        mask: bool, shape ``(rows,)``: passes the filter, is neither removed nor outdated; ``None`` allows all.
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


class Searcher:
    """Answers one relation over one space."""

    def __init__(self, space: Space, relation: Relation, plan: SearchPlan | None = None) -> None:
        """Searches by the space's own plan, or by another for the same files."""
        self.space = space
        self.relation = relation
        self.plan = plan or space.record.relations[relation.name]
        self.whole = Segment(0, space.record.count, 0, len(space.record.categories))
        self.segments = self.whole
        if self.plan.method == "annoy":
            self.segments = cut(space.offsets, by_category=self.plan.by_category)
        if self.plan.method == "reduced":
            self.reduced = space.reduced(relation.name)
        if self.plan.method != "exact":
            _, self.to_trees = space.tree_maps(relation)

    def search(self, query: Vector, count: int, restriction: Restriction) -> Found:
        """Find the ``count`` closest rows.

        Args:
            query: A row of the space, of whoever is asked about: float32, shape ``(dim,)``.
            count: At least 1.
            restriction: Who may answer.

        Returns:
            As many rows as exist, at most ``count``, best first, with their products with the question, which
            ``Space.scores`` makes scores of; ties in row order.
        """
        weighted = self.space.question(self.relation, query)
        parts = self._parts(restriction)
        passing = sum(_passing(part, restriction) for part in parts)
        found = None
        if passing and self.plan.method == "annoy":
            found = self._by_trees(query, weighted, count, parts, passing, restriction)
        elif self.plan.method == "reduced":
            found = self._by_reduced(query, weighted, count, parts, passing, restriction)
        if found is None:
            pieces = [_scan(self.space.vectors, part, weighted, restriction) for part in parts]
            found = _best(pieces, count, restriction, "exact")
        return found

    def _by_trees(
        self, query: Vector, weighted: Vector, count: int, parts: list[Segment], passing: int, restriction: Restriction
    ) -> Found | None:
        """Search with trees; ``None`` when a scan is faster, or when trees cannot keep their recall."""
        if not any(part.has_trees for part in parts):
            return None
        total = sum(part.rows for part in parts)
        share = passing / total
        stretch = max(1.0, count / (CALIBRATED_K + SPARE)) / share * (1.0 if restriction.mask is None else SLACK)
        by_scan = total * self.plan.seconds_per_row * min(1.0, share / SPARSE)
        if self.plan.seconds_per_query * stretch > by_scan:
            return None
        reduced = query @ self.to_trees
        pieces = []
        for part in parts:
            if not part.has_trees:
                pieces.append(_scan(self.space.vectors, part, weighted, restriction))
                continue
            near = self._propose(part, reduced, stretch)
            if restriction.mask is not None:
                proposed = len(near)
                near = near[restriction.mask[near]]
                if len(near) * SLACK < proposed * _passing(part, restriction) / part.rows:
                    return None
            pieces.append((near, self.space.vectors[near] @ weighted))
        found = _best(pieces, count, restriction, "annoy")
        return found if len(found.rows) >= min(count, passing) else None

    def _propose(self, part: Segment, reduced: Vector, stretch: float) -> NDArray[np.int64]:
        trees = self.space.trees(self.relation.name, part)
        nodes = self.plan.search_k * stretch * max(part.rows / self.space.record.count, SMALLEST_SHARE)
        near = trees.candidates(reduced, int(np.ceil(self.plan.candidates * stretch)), int(np.ceil(nodes)))
        near.sort()  # in row order, memory is read forwards
        return near + part.start

    def _by_reduced(
        self, query: Vector, weighted: Vector, count: int, parts: list[Segment], passing: int, restriction: Restriction
    ) -> Found | None:
        """Search the reduced copy; ``None`` when so few rows may answer that all can be scored."""
        kept = int(np.ceil(self.plan.candidates * max(1.0, count / (CALIBRATED_K + SPARE))))
        if passing <= FEW * kept:
            return None
        pieces = [_scan(self.reduced, part, query @ self.to_trees, restriction) for part in parts]
        near = np.sort(_best(pieces, kept, restriction, "reduced").rows)
        return _best([(near, self.space.vectors[near] @ weighted)], count, restriction, "reduced")

    def _parts(self, restriction: Restriction) -> list[Segment]:
        if restriction.categories is None:
            return [self.segments]
        return cover(self.segments, restriction.categories, self.space.offsets)


def _scan(
    rows_of: Vectors, part: Segment, query: Vector, restriction: Restriction
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Score every row of a range that passes the mask."""
    if restriction.mask is None:
        return np.arange(part.start, part.stop), rows_of[part.start : part.stop] @ query
    rows = np.flatnonzero(restriction.mask[part.start : part.stop])
    if len(rows) < SPARSE * part.rows:
        rows += part.start
        return rows, rows_of[rows] @ query
    return rows + part.start, (rows_of[part.start : part.stop] @ query)[rows]


def _passing(part: Segment, restriction: Restriction) -> int:
    """Number of rows of a range that pass the mask."""
    if restriction.mask is None:
        return part.rows
    return int(np.count_nonzero(restriction.mask[part.start : part.stop]))


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
