"""The recommender of a catalog in PostgreSQL: candidates come from there, everything else is as of a folder."""

from __future__ import annotations

from dataclasses import replace

from index.answering.choosing import Pool
from index.answering.question import Question
from index.answers import Answer, Query
from index.engine.rows import SearchPlan, Space
from index.errors import InputError
from index.postgres.catalog import PostgresCatalog
from index.postgres.indexing import share_of
from index.postgres.search import Limits, TableSearcher
from index.postgres.spaces import PostgresSpace
from index.recommender import Recommender
from index.relations import Relation

NOT_RERANKED = (
    "the owner of the catalog has this relation re-ranked by {how}, which takes the folder; here it is in the order of "
    "scores"
)


class PostgresRecommender(Recommender):
    """Answers questions to a catalog in PostgreSQL; follows pushes by itself. One serves one thread at a time."""

    def __init__(self, catalog: PostgresCatalog) -> None:
        super().__init__(catalog)
        self._there = catalog
        self._shares: dict[str, float] = {}
        self._version_of_shares = -1

    def ask(self, query: Query) -> Answer:
        if query.rerank not in (None, "none"):
            raise InputError(
                "re-ranking looks at what surrounds items, which is not pushed to PostgreSQL; ask the folder of the "
                "catalog, or leave it out"
            )
        answer = super().ask(query)
        how = self._there.reranked().get(query.relation)
        if how is None or query.rerank == "none":
            return answer
        return replace(answer, notes=(*answer.notes, NOT_RERANKED.format(how=how)))

    def _candidates(self, question: Question, relation: Relation, query: Query, count: int) -> tuple[Pool, bool]:
        space = question.space
        found = self._searcher_of(space, relation).search(
            question.vector, count, self._limits(question, relation, query.where)
        )
        scores = space.scores(question.vector, found.products)
        return Pool(found.keys, scores, lambda: found.vectors, found.method), len(found.keys) < count

    def _make_together(self, relation: Relation, k: int, duplicates: bool) -> None:
        """Nobody: each question goes there by itself."""

    def _searcher_of(self, space: Space, relation: Relation) -> TableSearcher:
        assert isinstance(space, PostgresSpace)
        plan, column = space.plans[relation.name], space.maps.get(relation.name)
        if relation.facets:  # the index is of the relation's own weights
            plan, column = _every_row(plan), None
        return TableSearcher(self._there.session, space.table, space, relation, column, plan)

    def _limits(self, question: Question, relation: Relation, where: str) -> Limits:
        share, codes, inside = 1.0, None, relation.rule == "same category"
        if question.categories is not None:
            known = self._there.codes()
            codes = tuple(known[name] for name in question.categories if name in known)
            share = share_of(question.space, {name for name in question.categories if name}, inside=inside)
        condition = None
        if where.strip():
            share *= self._share(where)
            condition = self._there.condition(where)
        return Limits(codes, inside, condition, share, question.own)

    def _share(self, where: str) -> float:
        """Which share of all items passes a filter, remembered until the next push."""
        if self._version_of_shares != self._version:
            self._shares.clear()
            self._version_of_shares = self._version
        if where not in self._shares:
            if len(self._shares) >= 256:
                self._shares.clear()
            self._shares[where] = self._there.count_matching(where) / max(1, self._there.count())
        return self._shares[where]


def _every_row(plan: SearchPlan) -> SearchPlan:
    return replace(plan, method="exact", recall=1.0)
