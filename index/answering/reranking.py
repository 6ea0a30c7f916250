"""Re-ranking: a relation's closest candidates in an order that looks at what surrounds them, too.

How is said in ``index.engine.reordering``; here it is done for one question to a catalog.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from index.answering.question import Question
from index.catalog import Catalog
from index.engine.build import build_if_needed
from index.engine.calibrate import rule_categories
from index.engine.delta import Delta
from index.engine.reordering import CANDIDATES, mixed, shared_neighbours
from index.engine.search import Searcher
from index.engine.surroundings import LINKS, Surroundings, around, open_surroundings
from index.errors import UnknownNameError
from index.learned import hold_rerank
from index.reading import CatalogReader
from index.relations import RERANKS, Rerank
from index.types import Vector, Vectors

KEPT = 50_000
"""Items whose surroundings were found on the way, remembered until the catalog changes."""


def set_rerank(catalog: Catalog, relation: str, how: Rerank) -> None:
    """Choose how a relation's answers are re-ranked, and build what that needs.

    Raises:
        UnknownNameError: There is no such relation, or no such way.
        LockedError, StorageError: See ``Catalog.writing``.
    """
    if how not in RERANKS:
        raise UnknownNameError.of("re-ranking", how, RERANKS)
    with catalog.writing():
        catalog.relation(relation)
        with catalog.connection:
            hold_rerank(catalog, relation, how)
        build_if_needed(catalog)


class Reranker:
    """Puts the candidates of one relation in order.

    What surrounds the rows of a generation is kept with it where the relation is always re-ranked; else, and for items
    that came later, it is found when it is needed. Items that came later are in nobody else's surroundings until the
    next build.
    """

    def __init__(self, catalog: CatalogReader, searcher: Searcher, delta: Delta) -> None:
        self.catalog = catalog
        self.searcher = searcher
        self.delta = delta
        self._found: dict[int, tuple[NDArray[np.int64], float]] = {}

    @cached_property
    def _kept(self) -> Surroundings | None:
        plan = self.searcher.plan
        return open_surroundings(self.searcher.space, self.searcher.relation.name) if plan.surroundings else None

    def order(
        self, question: Question, keys: NDArray[np.int64], scores: NDArray[np.float32], vectors: Vectors, how: Rerank
    ) -> NDArray[np.int64]:
        """Places of candidates in their new order: the first ``CANDIDATES`` re-ranked, the others as they came.

        Args:
            question: What was asked.
            keys: Database keys, best first, int64, shape ``(n,)``.
            scores: float32, shape ``(n,)``.
            vectors: Rows of the space, float32, shape ``(n, dim)``.
            how: Not ``"none"``.

        Returns:
            int64, shape ``(n,)``; candidates that are equal keep their order.
        """
        some, space = slice(CANDIDATES), self.searcher.space
        asked, scale = self._asked(question)
        others = [self._of(key, vector) for key, vector in zip(keys[some].tolist(), vectors[some], strict=True)]
        products = vectors[some] @ space.question(self.searcher.relation, question.vector)
        squared = space.squared(question.vector, products).astype(np.float64)
        scaled = -squared / (scale * np.array([scale for _, scale in others]))
        shared = shared_neighbours(asked, [members for members, _ in others])
        order = np.argsort(-mixed(how, scores[some], shared, scaled), kind="stable")
        return np.concatenate([order, np.arange(len(order), len(keys))])

    def _asked(self, question: Question) -> tuple[NDArray[np.int64], float]:
        """What surrounds whoever is asked about."""
        if len(question.own) == 1 and not len(question.described):
            return self._of(question.own[0], question.vector)
        rows = self.searcher.space.rows_of(np.asarray(question.own, np.int64))
        allowed = self._allowed(question.categories)
        members, scale = around(self.searcher, question.vector, allowed, np.unique(rows[rows >= 0]))
        return np.append(members, -1), scale  # several together, or a file, are no row

    def _of(self, key: int, vector: Vector) -> tuple[NDArray[np.int64], float]:
        """What surrounds an item: rows, itself among them, and its own measure of near."""
        listed = np.asarray([key])
        rows = self.searcher.space.rows_of(listed)
        place = int(self.delta.locate(listed, rows)[0][0])
        row, beside = int(rows[0]), place if place >= 0 else None
        if self._kept is not None and beside is None:
            return self._kept.members_of(row).astype(np.int64), float(self._kept.scales[row])
        if key not in self._found:
            if len(self._found) >= KEPT:
                self._found.clear()
            if beside is None:
                allowed = rule_categories(self.searcher.space, self.searcher.relation, row)
            else:
                allowed = self._allowed(frozenset([self.delta.categories[beside]]))
            own = np.asarray([row] if row >= 0 else [], np.int64)
            members, scale = around(self.searcher, vector, allowed, own)
            linked = self._linked(key)
            members = linked if len(linked) else members
            self._found[key] = np.append(members, row if row >= 0 else -1 - key), scale
        return self._found[key]

    def _linked(self, key: int) -> NDArray[np.int64]:
        """Rows that behaviour links most strongly with an item, as `index.engine.surroundings` keeps them."""
        pairs, weights = self.catalog.links_of(self.searcher.relation.name, [key])
        keys, place = np.unique(np.where(pairs[:, 0] == key, pairs[:, 1], pairs[:, 0]), return_inverse=True)
        rows = self.searcher.space.rows_of(keys)
        sums = np.bincount(place, weights, len(keys))
        order = np.lexsort((rows, -sums))
        return rows[order][rows[order] >= 0][:LINKS]

    def _allowed(self, categories: frozenset[str | None] | None) -> NDArray[np.bool_] | None:
        """Category codes that may answer by the rule, for who is of some categories."""
        relation, space = self.searcher.relation, self.searcher.space
        if relation.rule == "any" or categories is None or None in categories:
            return None
        inside = np.array([name in categories for name in space.record.categories], bool)
        return inside if relation.rule == "same category" else ~inside
