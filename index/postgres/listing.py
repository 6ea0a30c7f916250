"""Filters and listings of a catalog in PostgreSQL; see ``index.reading.CatalogReader`` for each method."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import UnknownNameError
from index.filters import Filter, parse_filter
from index.items import title_of
from index.postgres.filters import COLLATIONS, Postgres, dialect_of
from index.postgres.session import Session, storable
from index.types import Modality


class PostgresListing:
    """The half of ``PostgresCatalog`` that lists and filters."""

    session: Session
    _dialect: Postgres | None

    # Filters

    def condition(self, where: str) -> Filter:
        """A filter, compiled.

        Raises:
            InputError: It is none.
        """
        if self._dialect is None:
            rows = self.session.rows("SELECT collname FROM pg_collation WHERE collname = ANY(%s)", (list(COLLATIONS),))
            self._dialect = dialect_of([row[0] for row in rows], self.session.connection.info.server_version)
        return parse_filter(where, self._dialect)

    def matching(self, where: str) -> NDArray[np.int64]:
        """Keys of the items that pass a filter, ascending. int64, shape ``(n,)``.

        Raises:
            InputError: It is no filter.
            UnknownNameError: Nothing passes, and it names an attribute that no item has.
        """
        condition = self.condition(where)
        rows = self.session.rows(
            f"SELECT i.item FROM items i WHERE {condition.sql} ORDER BY i.item", condition.parameters
        )
        if not rows:
            self.check_names(condition)
        return np.array([row[0] for row in rows], np.int64)

    def count_matching(self, where: str) -> int:
        """How many items pass a filter; raises as ``matching``."""
        condition = self.condition(where)
        ((count,),) = self.session.rows(f"SELECT count(*) FROM items i WHERE {condition.sql}", condition.parameters)
        if not count:
            self.check_names(condition)
        return int(count)

    def check_names(self, condition: Filter) -> None:
        """Refuse a filter that names an attribute which no item has.

        Raises:
            UnknownNameError: It does.
        """
        known = {"id", *self.attribute_names()}
        for name in sorted(condition.names - known):
            raise UnknownNameError.of("attribute", name, known)

    def attribute_names(self) -> list[str]:
        """Names of attributes that any item has."""
        return [row[0] for row in self.session.rows("SELECT DISTINCT jsonb_object_keys(attributes) FROM items")]

    def count_unpriced(self, categories: Sequence[str], where: str) -> int:
        condition = self.condition(where) if where else Filter("TRUE", ())
        ((count,),) = self.session.rows(
            "SELECT count(*) FROM items i WHERE i.category = ANY(%s) AND "
            f"coalesce(jsonb_typeof(i.attributes -> 'price') <> 'number', TRUE) AND {condition.sql}",
            ([name for name in categories if storable(name)], *condition.parameters),
        )
        return int(count)

    def cheapest(self, category: str, where: str, limit: int) -> list[int]:
        condition = self.condition(where)
        rows = self.session.rows(
            f"SELECT i.item FROM items i WHERE i.category = %s AND {condition.sql} ORDER BY "
            "CASE jsonb_typeof(i.attributes -> 'price') WHEN 'number' THEN (i.attributes -> 'price')::numeric END "
            "NULLS LAST, i.item LIMIT %s",
            (category, *condition.parameters, limit),
        )
        return [key for (key,) in rows]

    # Listings

    def entries(self) -> list[tuple[int, str]]:
        return [(key, item_id) for key, item_id in self.session.rows("SELECT item, id FROM items ORDER BY item")]

    def attributes_since(self, sequence: int) -> Iterable[tuple[int, str]]:
        rows = self.session.rows("SELECT item, attributes::text FROM items")  # a push does not tell which it changed
        return [(key, attributes) for key, attributes in rows]

    def keys_in(self, category: str) -> NDArray[np.int64]:
        if not storable(category):
            return np.zeros(0, np.int64)
        return self._keys("SELECT item FROM items WHERE category=%s", category)

    def keys_with(self, modality: Modality) -> NDArray[np.int64]:
        return self._keys("SELECT DISTINCT item FROM media WHERE modality=%s", modality)

    def keys_by_id(self, *, down: bool) -> NDArray[np.int64]:
        return self._keys(f"SELECT item FROM items ORDER BY id {'DESC' if down else 'ASC'}")

    def keys_by_value(self, name: str, *, down: bool) -> tuple[NDArray[np.int64], bool]:
        rows = self.session.rows("SELECT item, id, attributes -> %s FROM items ORDER BY id", (name,))
        valued: list[tuple[tuple[bool, Any], int]] = []
        others: list[int] = []
        for key, item_id, value in rows:
            told = title_of(item_id, value) if name == "title" else value
            if told is None:
                others.append(key)
            elif isinstance(told, str | list | dict):
                valued.append(((True, _folded(told)), key))
            else:
                valued.append(((False, told), key))
        texts = sorted((pair for pair in valued if pair[0][0]), key=lambda pair: pair[0], reverse=down)
        numbers = sorted((pair for pair in valued if not pair[0][0]), key=lambda pair: pair[0], reverse=down)
        keys = [key for _, key in (*numbers, *texts)] + others
        return np.asarray(keys, np.int64), bool(valued) or not rows

    def modality_counts(self) -> dict[str, int]:
        return dict(self.session.rows("SELECT modality, count(DISTINCT item) FROM media GROUP BY modality"))

    def category_counts(self) -> list[tuple[str, int]]:
        sql = "SELECT category, count(*) FROM items WHERE category IS NOT NULL GROUP BY category ORDER BY category"
        return [(name, count) for name, count in self.session.rows(sql)]

    def _keys(self, statement: str, *parameters: str) -> NDArray[np.int64]:
        return np.array([row[0] for row in self.session.rows(statement, parameters)], np.int64)


def _folded(value: Any) -> str:
    """How SQLite compares texts without case: small letters of ASCII alone."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.translate(_SMALL)


_SMALL = {ord(letter): ord(letter) + 32 for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
