"""Candidates: the items around a place in a relation's space, from which lists are then chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.answering.places import Places
from index.engine.search import Restriction, Searcher
from index.types import Vector


class Candidates:
    """Asks a relation's index for whoever passes a filter; the relation's own rule is not looked at."""

    def __init__(self, places: Places, where: str = "") -> None:
        """Read who passes the filter.

        Args:
            places: Where the items stand.
            where: See ``index.filters``; empty for all items.

        Raises:
            InputError: The filter is none.
            UnknownNameError: Nothing passes it, and it names an attribute that no item has.
        """
        self.places = places
        self._searcher = Searcher(places.space, places.relation)
        self._matching = places.catalog.matching(where) if where else None
        self._mask: NDArray[np.bool_] | None = None
        if self._matching is not None or len(places.delta.masked):
            self._mask = np.full(places.space.record.count, self._matching is None)
            if self._matching is not None:
                rows = places.space.rows_of(self._matching)
                self._mask[rows[rows >= 0]] = True
            self._mask[places.delta.masked] = False

    def around(
        self, row: Vector, count: int, own: Sequence[int] = (), category: str | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The items closest to a place.

        Args:
            row: A row of the space, or a sum of rows. float32, shape ``(dim,)``.
            count: At least 1.
            own: Database keys that are no candidates.
            category: The only one asked; ``None`` for all.

        Returns:
            Database keys (int64) and scores (float32), best first, at most ``count``; ties by key.
        """
        space, delta = self.places.space, self.places.delta
        excluded = space.rows_of(np.asarray(own, np.int64))
        categories = None
        if category is not None:
            categories = np.array([name == category for name in space.record.categories], bool)
        restriction = Restriction(categories, self._mask, np.unique(excluded[excluded >= 0]))
        found = self._searcher.search(row, count, restriction)
        beside, products, _ = delta.search(
            space.question(self.places.relation, row),
            "same category",
            None if category is None else frozenset((category,)),
            self._matching,
            own,
        )
        keys = np.concatenate([space.keys[found.rows], beside])
        products = np.concatenate([found.scores, products])
        best = np.lexsort((keys, -products))[:count]
        return keys[best], space.scores(row, products[best])

    def between(self, ends: Sequence[int], places: int, count: int, most: int) -> list[int]:
        """Items around both ends of a way and around places between them, which are weighted combinations.

        Args:
            ends: Database keys of two items.
            places: How many places, both ends among them.
            count: Items around each.
            most: So many at most are returned.

        Returns:
            Database keys, those closest to any of the places first, without the ends.
        """
        vectors = self.places.vectors(ends)
        lists = []
        for share in np.linspace(0, 1, places):
            row = self.places.space.combine(vectors, np.asarray([1 - share, share], np.float32))
            lists.append(self.around(row, count, ends)[0].tolist())
        ranked = (some[rank] for rank in range(count) for some in lists if rank < len(some))
        return list(dict.fromkeys(ranked))[:most]
