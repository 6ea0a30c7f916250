"""Together: the same question about each of many items, of which all that they share is done once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.answering.duplicates import find_repeats
from index.answers import Query
from index.engine.calibrate import rule_categories
from index.engine.rows import Space
from index.engine.search import SPARE, Restriction, Searcher


class Together:
    """Asks a generation's rows about themselves, as ``Recommender.scores`` asks of items one by one."""

    def __init__(self, searcher: Searcher, facets: Space, k: int, duplicates: bool) -> None:
        """Of items that did not change since the rows were built.

        Args:
            searcher: Of the relation.
            facets: The rows of its modality.
            k, duplicates: Of a query that ``Together.answers_to``.
        """
        self._searcher = searcher
        self._space = searcher.space
        self._facets = facets
        self._k, self._duplicates = k, duplicates
        self._categories: dict[int, NDArray[np.bool_] | None] = {}

    @staticmethod
    def answers_to(query: Query) -> bool:
        """Whether nothing is asked beyond a relation, a number of answers and near-duplicates."""
        more = query.files or query.negatives or query.where or query.weights or query.category
        return not (more or query.diversity or query.user is not None or query.rerank not in (None, "none"))

    def of(self, keys: Sequence[int]) -> list[list[tuple[str, float]] | None]:
        """Ids and scores of the closest, best first, of each of some items by database key; ``None`` for one that has
        to be asked about by itself: it is not among the rows, or some of its answers are near-duplicates."""
        rows = self._space.rows_of_few(keys)
        return [self._one(row, key) if row >= 0 else None for row, key in zip(rows, keys, strict=True)]

    def _one(self, row: int, key: int) -> list[tuple[str, float]] | None:
        space, k = self._space, self._k
        own = np.asarray([row], np.int64)
        vector = space.rows_at(own)[0]
        if not np.count_nonzero(vector):
            return None
        found = self._searcher.search(vector, k + SPARE, Restriction(self._allowed(row), None, own))
        best = found.rows[:k]
        if not self._duplicates and self._repeats(np.append(np.int64(key), space.keys[best])):
            return None
        scores = space.scores(vector, found.scores[:k]).tolist()
        return list(zip(space.ids.of(best), scores, strict=True))

    def _allowed(self, row: int) -> NDArray[np.bool_] | None:
        """Categories that may answer a row."""
        if self._searcher.relation.rule == "any":
            return None
        code = int(self._space.categories_of(np.asarray([row]))[0])
        if code not in self._categories:
            self._categories[code] = rule_categories(self._space, self._searcher.relation, row)
        return self._categories[code]

    def _repeats(self, keys: NDArray[np.int64]) -> bool:
        """Whether any item repeats one before it."""
        rows = self._facets.rows_of(keys)
        first = find_repeats(
            self._facets.projection, self._facets.rows_at(rows), 1, lambda places: self._facets.units.at(rows[places])
        )
        return bool(np.count_nonzero(first - np.arange(len(first))))
