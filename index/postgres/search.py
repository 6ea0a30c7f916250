"""Searching rows there: candidates from a relation's HNSW index, or every row; exact products on full rows decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.engine.rows import SearchPlan, Space
from index.engine.search import CALIBRATED_K, SPARE
from index.filters import Filter
from index.postgres.copying import numbers_of
from index.postgres.maps import ColumnMap
from index.postgres.session import Session, vector_text
from index.relations import Relation
from index.types import Vector, Vectors

MOST = 1000
"""The largest ``hnsw.ef_search`` there is."""

FEW = 2000
"""Up to so many rows that may answer are all compared: it takes about as long as the index."""

SLACK = 4
"""A filtered scan of the index may look at so many times the rows that it should have to; beyond, all are compared."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Who may answer.

    Attributes:
        codes: Numbers of categories; ``None`` for all.
        inside: Whether those alone may answer, or all but those.
        condition: A filter over ``items i``; ``None`` for none.
        share: Roughly which share of the rows passes codes and condition together, 0 to 1.
        own: Keys of the query's own items, which never answer.
    """

    codes: tuple[int, ...] | None = None
    inside: bool = True
    condition: Filter | None = None
    share: float = 1.0
    own: tuple[int, ...] = ()

    @property
    def all(self) -> bool:
        """Whether everybody but the query itself may answer."""
        return self.codes is None and self.condition is None


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows found, best first: keys (int64), products with the question (float32), the rows, and the method used."""

    keys: NDArray[np.int64]
    products: NDArray[np.float32]
    vectors: Vectors
    method: str


class TableSearcher:
    """Answers one relation from one table of rows."""

    def __init__(
        self, session: Session, table: str, space: Space, relation: Relation, column: ColumnMap | None, plan: SearchPlan
    ) -> None:
        """Without a column every row is compared, as for weights that one question gives."""
        self.session = session
        self.table = table
        self.space = space
        self.relation = relation
        self.column = column
        self.plan = plan

    def search(self, query: Vector, count: int, limits: Limits) -> Candidates:
        """Find the ``count`` closest rows.

        Args:
            query: A row of the space: float32, shape ``(dim,)``.
            limits: Who may answer.

        Returns:
            As many as exist, at most ``count``, best first, ties by key.
        """
        question = self.space.question(self.relation, query)
        if self.plan.method == "hnsw" and self.column is not None:
            found = self._by_index(query, question, count, limits)
            if found is not None:
                return found
        return self._by_scan(question, count, limits)

    def _by_index(self, query: Vector, question: Vector, count: int, limits: Limits) -> Candidates | None:
        """Search by the index; ``None`` when comparing all is as fast, or when the index cannot keep its recall."""
        assert self.column is not None
        total = self.space.record.count
        if not limits.all and (not self.session.iterative or limits.share * total <= FEW):
            return None
        wanted = int(np.ceil(self.plan.candidates * max(1.0, count / (CALIBRATED_K + SPARE)))) + len(limits.own)
        if not self.session.iterative and wanted > MOST:
            return None
        breadth = min(MOST, max(self.plan.search_k, wanted))
        most = min(total, int(SLACK * wanted / max(limits.share, 1e-6)) + MOST)
        self.session.scan(breadth, most if self.session.iterative else 0)
        rows = self._rows(self.column.column, self.column.operator, self.column.asked(query), wanted, limits)
        if len(rows) < min(wanted, int(limits.share * total / SLACK)) and not limits.all:
            return None  # the filter points away from the query
        return self._best(rows, question, count, limits, "hnsw")

    def _by_scan(self, question: Vector, count: int, limits: Limits) -> Candidates:
        rows = self._rows("whole", "<#>", question, count + len(limits.own), limits)
        return self._best(rows, question, count, limits, "exact")

    def _rows(self, column: str, operator: str, asked: Vector, wanted: int, limits: Limits) -> list[tuple[int, bytes]]:
        from psycopg import sql

        tests: list[Any] = []
        parameters: list[Any] = []
        if limits.codes is not None:
            tests.append(sql.SQL("r.category = ANY(%s)" if limits.inside else "r.category <> ALL(%s)"))
            parameters.append(list(limits.codes))
        if limits.condition is not None:
            if operator == "<#>" and column == "whole":
                tests.append(sql.SQL(f"r.item IN (SELECT i.item FROM items i WHERE {limits.condition.sql})"))
            else:  # asked row by row, in the order of the index
                tests.append(sql.SQL(f"(SELECT {limits.condition.sql} FROM items i WHERE i.item = r.item)"))
            parameters += limits.condition.parameters
        statement = sql.SQL(
            "SELECT r.item, r.whole FROM {table} r {where} ORDER BY r.{column} {op} %s::vector LIMIT {n}"
        )
        composed = statement.format(
            table=sql.Identifier(self.table),
            where=sql.SQL("WHERE ") + sql.SQL(" AND ").join(tests) if tests else sql.SQL(""),
            column=sql.Identifier(column),
            op=sql.SQL(operator),
            n=sql.Literal(int(wanted)),
        )
        return self.session.rows(composed, [*parameters, vector_text(asked)])

    def _best(
        self, rows: Sequence[tuple[int, bytes]], question: Vector, count: int, limits: Limits, method: str
    ) -> Candidates:
        keys = np.array([key for key, _ in rows], np.int64)
        vectors = numbers_of([numbers for _, numbers in rows], self.space.record.dim)
        products = vectors @ question
        order = np.lexsort((keys, -products))
        order = order[~np.isin(keys[order], limits.own)][:count]
        return Candidates(keys[order], products[order], vectors[order], method)
