"""The spaces of a generation in PostgreSQL: what questions need is read by key, everything only for who asks for it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from index.engine.generations import Generation, Manifest
from index.engine.head import Head
from index.engine.projection import Projection
from index.engine.rows import LearnedSpace, Space, SpaceRecord, category_ranges
from index.errors import StaleIndexError
from index.model_cache import cache_folder
from index.postgres.copying import numbers_of
from index.postgres.maps import ColumnMap
from index.postgres.schema import rows_table
from index.relations import Relation
from index.types import EncoderCard, Modality, Vectors

if TYPE_CHECKING:
    from index.postgres.catalog import PostgresCatalog

SAMPLE = 4000
"""Rows of which random pairs are made."""


class PostgresSpace(Space):
    """Rows of one modality."""

    def __init__(
        self,
        catalog: PostgresCatalog,
        name: str,
        table: str,
        projection: bytes,
        maps: dict[str, ColumnMap],
        modality: Modality,
        record: SpaceRecord,
        cards: Sequence[EncoderCard],
    ) -> None:
        self.catalog = catalog
        self.table = table
        self.maps = maps
        self.modality = modality
        self.plans = record.relations
        """How each relation is searched there; here, where lists have read every row, all of them are compared."""
        self.record = replace(record, relations={n: replace(p, method="exact") for n, p in record.relations.items()})
        self.cards = tuple(cards)
        self.offsets = np.asarray(record.offsets, np.int64)
        self.name = name
        self._projection = projection

    @cached_property
    def projection(self) -> Projection:
        with np.load(io.BytesIO(self._projection)) as arrays:
            return Projection.of_arrays(arrays, self.cards)

    def ids_at(self, keys: Sequence[int]) -> dict[int, str]:
        """None are kept: the catalog tells them."""
        return {}

    def vectors_at(self, keys: Sequence[int]) -> tuple[Vectors, NDArray[np.bool_]]:
        """Rows of items by key, and which there are: see ``Space.vectors_at``."""
        from psycopg import sql

        statement = sql.SQL("SELECT item, whole FROM {} WHERE item = ANY(%s)").format(sql.Identifier(self.table))
        found = np.zeros((len(keys), self.record.dim), np.float32)
        rows = dict(self.catalog.session.rows(statement, (list(keys),)))
        present = np.array([key in rows for key in keys], bool)
        if present.any():
            found[present] = numbers_of([rows[key] for key in keys if key in rows], self.record.dim)
        return found, present

    def rows_at(self, rows: NDArray[np.int64]) -> Vectors:
        """Of those that were all read."""
        return self.vectors[rows]

    def units_at(self, keys: Sequence[int]) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
        """None are kept: they are made of the vectors as encoded."""
        return np.zeros((len(keys), self.projection.raw_dim), np.float16), np.zeros(len(keys), bool)

    @cached_property
    def sample(self) -> Vectors:
        """Some rows, the same each time while nothing changes. float32, shape ``(n, dim)``."""
        from psycopg import sql

        share = min(100.0, 150.0 * SAMPLE / max(1, self.record.count))
        statement = sql.SQL("SELECT whole FROM {} TABLESAMPLE BERNOULLI ({}) REPEATABLE (1) LIMIT {}")
        composed = statement.format(sql.Identifier(self.table), sql.Literal(share), sql.Literal(SAMPLE))
        return numbers_of([row[0] for row in self.catalog.session.rows(composed)], self.record.dim)

    def pair_scores(self, relation: Relation, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of rows of ``sample`` with as many others, pair by pair."""
        asked, answers = self.sample[left], self.sample[right]
        products = np.einsum("ij,ij->i", self.question(relation, asked), answers)
        return self.head.probability(asked, products) if isinstance(self, LearnedSpace) else products

    def some_keys(self, count: int, seed: int) -> list[int]:
        from psycopg import sql

        most = self.catalog.session.rows(
            sql.SQL("SELECT min(item), max(item) FROM {}").format(sql.Identifier(self.table))
        )[0]
        if most[0] is None:
            return []
        low, high = np.random.default_rng(seed).integers(most[0], most[1] + 1), most[1]
        statement = sql.SQL("SELECT item FROM {} WHERE item BETWEEN %s AND %s ORDER BY item LIMIT %s")
        rows = self.catalog.session.rows(statement.format(sql.Identifier(self.table)), (int(low), high, count))
        return [key for (key,) in rows]

    def release(self) -> None:
        """Nothing is mapped here."""

    # Every row, for lists, maps and the like

    @cached_property
    def _everything(self) -> tuple[NDArray[np.int64], Vectors]:
        """Keys and rows by category and id, as a folder has them; read once."""
        from psycopg import sql

        statement = sql.SQL(
            "SELECT r.item, r.whole, i.category FROM {} r JOIN items i USING (item) "
            "ORDER BY i.category NULLS FIRST, i.id"
        ).format(sql.Identifier(self.table))
        rows = self.catalog.session.rows(statement)
        categories, offsets = category_ranges(row[2] for row in rows)
        self.record = replace(self.record, count=len(rows), categories=categories, offsets=offsets)
        self.offsets = np.asarray(self.record.offsets, np.int64)
        return np.array([row[0] for row in rows], np.int64), numbers_of([row[1] for row in rows], self.record.dim)

    @property
    def keys(self) -> NDArray[np.int64]:  # type: ignore[override]
        return self._everything[0]

    @property
    def vectors(self) -> Vectors:  # type: ignore[override]
        return self._everything[1]

    def rows_of(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        _ = self._everything  # which counts the rows
        return super().rows_of(keys)


class PostgresLearnedSpace(PostgresSpace, LearnedSpace):
    """Rows of one learned relation."""

    @cached_property
    def head(self) -> Head:
        return Head.load(self._projection, self.cards)

    @property
    def projection(self) -> Projection:
        return self.head.projection

    @property
    def facets(self) -> Vectors | None:
        """Facets that nothing keeps: they are projected anew where they are told of."""
        return None


class PostgresGeneration(Generation):
    """One generation; its folder, below the cache, keeps the maps that are computed of it here."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        super().__init__(folder, replace(manifest, spaces={}), {})
        self.manifest = manifest


def open_generation(catalog: PostgresCatalog) -> PostgresGeneration:
    """Open the generation in use.

    Raises:
        NotBuiltError: None was ever finished.
        StaleIndexError: It was dropped a moment ago.
    """
    manifest = catalog.manifest()
    number = manifest.number
    (origin,) = catalog.session.rows("SELECT origin FROM generations WHERE number=%s", (number,))[0]
    kept = hashlib.sha256(f"{catalog.identity} {origin} {manifest.sequence}".encode()).hexdigest()[:16]
    generation = PostgresGeneration(cache_folder() / "postgres" / kept, manifest)
    held = catalog.encoders()
    rows = catalog.session.rows("SELECT name, place, projection FROM spaces WHERE generation=%s", (number,))
    stored = {name: (place, content) for name, place, content in rows}
    columns = catalog.session.rows("SELECT space, relation, col, reducer FROM maps WHERE generation=%s", (number,))
    for name, record in manifest.spaces.items():
        if name not in stored:
            raise StaleIndexError(f"generation {number} of {catalog.shown} was replaced a moment ago; ask again")
        place, content = stored[name]
        maps = {
            relation: ColumnMap.of_bytes(column, reducer, record.dim, bool(record.learned))
            for space, relation, column, reducer in columns
            if space == name
        }
        cards = [held[encoder].card for encoder in record.encoders]
        own: tuple[Any, ...] = (
            catalog,
            name,
            rows_table(number, place),
            content,
            maps,
            cards[0].modality,
            record,
            cards,
        )
        if record.learned:
            generation.learned[record.learned] = PostgresLearnedSpace(*own)
        else:
            generation.spaces[name] = PostgresSpace(*own)
    return generation
