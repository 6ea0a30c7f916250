"""Re-ranked contenders: a relation's answers in the orders of re-ranking, judged beside its plain ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from index.engine.reordering import CANDIDATES, mixed, shared_neighbours
from index.engine.rows import Space
from index.engine.surroundings import find_surroundings
from index.learning.scorers import Contender
from index.relations import RERANKS, CandidateRule, Relation, Rerank


def reranked(
    plain: Contender,
    space: Space,
    relation: Relation,
    *,
    rule: CandidateRule,
    categories: NDArray[np.int64],
    groups: NDArray[np.int64] | None = None,
    links: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None,
) -> list[Contender]:
    """One contender for each way of re-ranking.

    The closest ``CANDIDATES`` of each query exchange their scores: the first in the new order has the highest of them,
    so that only the order differs from the plain contender's, and probabilities keep their scale.

    Args:
        plain: Scores of the space's rows.
        space: Its record holds the relation's plan.
        rule: Under which candidates, and what surrounds rows, are found.
        categories: Codes of the rows, -1 for none. int64, shape ``(n,)``.
        groups: Rows of one group do not answer each other; -1 for none. int64, shape ``(n,)``.
        links: See ``find_surroundings``.
    """
    orders = _Orders(space, replace(relation, rule=rule), categories, groups, links)
    return [_contender(plain, orders, how) for how in RERANKS if how != "none"]


class _Orders:
    """The closest rows of each, and the orders that re-ranking puts them in, found when asked for."""

    def __init__(
        self,
        space: Space,
        relation: Relation,
        categories: NDArray[np.int64],
        groups: NDArray[np.int64] | None,
        links: tuple[NDArray[np.int64], NDArray[np.float32]] | None,
    ) -> None:
        self.space = space
        self.relation = relation
        self.categories = categories
        self.groups = groups
        self.around = find_surroundings(space, relation, links)
        self._known: dict[int, dict[Rerank, NDArray[np.int64]]] = {}

    def of(self, row: int, how: Rerank) -> NDArray[np.int64]:
        """The closest rows of one, in their new order: int64, at most ``CANDIDATES``."""
        if row not in self._known:
            self._known[row] = self._found(row)
        return self._known[row][how]

    def _found(self, row: int) -> dict[Rerank, NDArray[np.int64]]:
        space, asked = self.space, self.space.vectors[row]
        products = space.vectors @ space.question(self.relation, asked)
        products[row] = -np.inf
        if self.relation.rule != "any" and self.categories[row] >= 0:
            same = self.categories == self.categories[row]
            products[~same if self.relation.rule == "same category" else same] = -np.inf
        if self.groups is not None and self.groups[row] >= 0:
            products[self.groups == self.groups[row]] = -np.inf
        kept = min(CANDIDATES, len(products))
        top = np.argpartition(products, len(products) - kept)[len(products) - kept :]
        top = top[np.isfinite(products[top])]
        top = top[np.lexsort((top, -products[top]))]
        shared = shared_neighbours(
            self.around.members_of(row).astype(np.int64),
            [self.around.members_of(one).astype(np.int64) for one in top.tolist()],
        )
        squared = space.squared(asked, products[top]).astype(np.float64)
        scaled = -squared / (float(self.around.scales[row]) * self.around.scales[top])
        scores = space.scores(asked, products[top])
        return {
            how: top[np.argsort(-mixed(how, scores, shared, scaled), kind="stable")] for how in RERANKS if how != "none"
        }


def _contender(plain: Contender, orders: _Orders, how: Rerank) -> Contender:
    def score(queries: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        found = np.array(plain.score(queries, candidates), np.float32)
        asked, answers = np.broadcast_arrays(queries, candidates)
        flat, sources, targets = found.reshape(-1), asked.reshape(-1), answers.reshape(-1)
        by_query = np.argsort(sources, kind="stable")
        firsts = np.flatnonzero(np.diff(sources[by_query], prepend=-1))
        place = np.full(len(orders.categories), -1)
        for own in np.split(by_query, firsts[1:]):
            if not len(own):
                continue
            row = int(sources[own[0]])
            top = orders.of(row, how)
            values = np.sort(plain.score(np.full(len(top), row), top))[::-1]
            place[top] = np.arange(len(top))
            at = place[targets[own]]
            flat[own[at >= 0]] = values[at[at >= 0]]
            place[top] = -1
        return flat.reshape(found.shape)

    return Contender(f"{plain.name}, {how}", score, plain.threshold)
