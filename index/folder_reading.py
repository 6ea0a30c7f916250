"""What questions read of a catalog's database beyond items: by plain statements, each with a name."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from index.address import Place
from index.items import title_of
from index.reading import HeldEncoder
from index.relations import Relation
from index.types import Attribute, Modality, Vectors

if TYPE_CHECKING:
    from index.catalog import Catalog
    from index.engine.delta import Delta
    from index.engine.generations import Generation
    from index.engine.rows import Space
    from index.overview import Overview

_HELD = (
    "FROM items i WHERE EXISTS (SELECT 1 FROM media m JOIN vectors USING (media) "
    "WHERE m.item=i.item AND m.modality IN ({}))"
)

IDS_AT_ONCE = 500
"""Parameters in one SQL statement; SQLite allows 999 or more everywhere."""


class FolderReading:
    """The half of ``Catalog`` that lists, filters and opens what was built; see ``CatalogReader`` for each method."""

    folder: Path
    connection: sqlite3.Connection

    @property
    def place(self) -> Place:
        return self.folder.absolute()

    def ids_of(self, keys: Sequence[int]) -> dict[int, str]:
        return dict(self._of_items("SELECT item, id FROM items WHERE item IN ({})", keys))

    def has(self, item_id: str) -> bool:
        return self.connection.execute("SELECT 1 FROM items WHERE id=?", (item_id,)).fetchone() is not None

    def bases(self) -> list[Path]:
        rows = self.connection.execute("SELECT location, kind FROM sources ORDER BY source")
        return list(dict.fromkeys(absolute(location, kind, b"") for location, kind in rows))

    def item_ids(self, modality: Modality) -> list[str]:
        rows = self.connection.execute(
            "SELECT id FROM items i WHERE EXISTS (SELECT 1 FROM media m JOIN vectors USING (media) "
            "WHERE m.item=i.item AND m.modality=?) ORDER BY id",
            (modality,),
        )
        return [row[0] for row in rows]

    def count_with(self, modalities: Sequence[Modality]) -> int:
        sql = f"SELECT count(*) {_HELD.format(marks(modalities))}"
        return int(self.connection.execute(sql, list(modalities)).fetchone()[0])

    def ids_after(self, modalities: Sequence[Modality], last: str, limit: int) -> list[str]:
        sql = f"SELECT id {_HELD.format(marks(modalities))} AND id > ? ORDER BY id LIMIT ?"
        return [row[0] for row in self.connection.execute(sql, [*modalities, last, limit])]

    def category_by_key(self, keys: Sequence[int]) -> dict[int, str]:
        sql = "SELECT item, category FROM items WHERE category IS NOT NULL AND item IN ({})"
        return dict(self._of_items(sql, keys))

    def attributes_of(self, keys: Sequence[int]) -> dict[int, dict[str, Attribute]]:
        rows = self._of_items("SELECT item, attributes FROM items WHERE item IN ({})", keys)
        return {key: json.loads(attributes) for key, attributes in rows}

    def durations(self, keys: Sequence[int]) -> dict[int, Attribute]:
        sql = (
            "SELECT item, json_extract(tags, '$.duration') FROM media WHERE modality='audio' AND tags IS NOT NULL "
            "AND item IN ({}) ORDER BY position DESC"
        )
        return dict(self._of_items(sql, keys))

    def sizes(self, keys: Sequence[int], modality: Modality) -> dict[int, int]:
        sql = "SELECT item, size FROM media WHERE item IN ({}) AND modality=? ORDER BY position DESC"
        return dict(self._of_items(sql, keys, modality))

    def _of_items(self, sql: str, keys: Sequence[int], *others: object) -> Iterator[tuple[Any, Any]]:
        for some in chunks(list(keys)):
            yield from self.connection.execute(sql.format(marks(some)), (*some, *others)).fetchall()

    # Vectors and behaviour

    def raw_vectors(  # type: ignore[misc]
        self: Catalog,
        keys: Sequence[int],
        encoders: Iterable[HeldEncoder],
    ) -> Vectors:
        from index.engine.build import raw_vectors

        return raw_vectors(self, keys, encoders)

    def media_vectors(self, key: int, modality: Modality) -> Iterator[tuple[Path, int, bytes]]:
        for location, kind, path, encoder, vector in self.connection.execute(
            "SELECT s.location, s.kind, m.path, v.encoder, v.vector FROM media m JOIN sources s USING (source) "
            "JOIN vectors v USING (media) WHERE m.item=? AND m.modality=? ORDER BY m.position",
            (key, modality),
        ):
            yield absolute(location, kind, path), encoder, vector

    def weights_of_person(self: Catalog, relation: Relation, name: str) -> NDArray[np.float32]:  # type: ignore[misc]
        from index.learned import weights_of_person

        return weights_of_person(self, relation, name)

    def links_of(  # type: ignore[misc]
        self: Catalog,
        name: str,
        keys: Sequence[int] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        from index.learned import links_of

        return links_of(self, name, keys)

    # What was built

    def open_generation(self: Catalog) -> Generation:  # type: ignore[misc]
        from index.engine.generations import open_generation

        cards = {name: held.card for name, held in self.encoders().items()}
        return open_generation(self.folder, cards, self.relations())

    def delta(self: Catalog, sequence: int, space: Space) -> Delta:  # type: ignore[misc]
        from index.engine.delta import read_delta

        return read_delta(self, sequence, space)

    def damage(self) -> str:
        from index.engine.generations import current_number, damage, read_manifest

        return damage(self.folder, read_manifest(self.folder, current_number(self.folder)), thorough=False)

    def overview(self: Catalog) -> Overview:  # type: ignore[misc]
        from index.overview import overview

        return overview(self)

    # Filters and listings

    def matching(self: Catalog, where: str) -> NDArray[np.int64]:  # type: ignore[misc]
        from index.matching import matching_keys

        return matching_keys(self, where)

    def attribute_names(self) -> list[str]:
        rows = self.connection.execute("SELECT DISTINCT key FROM items, json_each(items.attributes)")
        return [name for (name,) in rows]

    def count_unpriced(self, categories: Sequence[str], where: str) -> int:
        from index.filters import parse_filter

        condition = parse_filter(where) if where else None
        (count,) = self.connection.execute(
            f"SELECT count(*) FROM items i WHERE category IN ({marks(categories)}) AND "
            "coalesce(json_type(attributes, '$.price') NOT IN ('integer', 'real'), TRUE)"
            + (f" AND ({condition.sql})" if condition else ""),
            (*categories, *(condition.parameters if condition else ())),
        ).fetchone()
        return int(count)

    def cheapest(self, category: str, where: str, limit: int) -> list[int]:
        from index.filters import parse_filter

        condition = parse_filter(where)
        rows = self.connection.execute(
            f"SELECT item FROM items i WHERE category=? AND {condition.sql} "
            "ORDER BY json_extract(attributes, '$.price'), item LIMIT ?",
            (category, *condition.parameters, limit),
        )
        return [key for (key,) in rows]

    def entries(self) -> list[tuple[int, str]]:
        return self.connection.execute("SELECT item, id FROM items ORDER BY item").fetchall()

    def attributes_since(self, sequence: int) -> Iterable[tuple[int, str]]:
        return self.connection.execute("SELECT item, attributes FROM items WHERE changed > ?", (sequence,))

    def keys_in(self, category: str) -> NDArray[np.int64]:
        return self._keys("SELECT item FROM items WHERE category=?", category)

    def keys_with(self, modality: Modality) -> NDArray[np.int64]:
        return self._keys("SELECT DISTINCT item FROM media WHERE item NOT NULL AND modality=?", modality)

    def keys_by_id(self, *, down: bool) -> NDArray[np.int64]:
        return self._keys(f"SELECT item FROM items ORDER BY id {'DESC' if down else 'ASC'}")

    def keys_by_value(self, name: str, *, down: bool) -> tuple[NDArray[np.int64], bool]:
        value = "json_extract(attributes, ?)"
        if name == "title":
            self.connection.create_function("title_of", 2, title_of, deterministic=True)
            value = "title_of(id, json_extract(attributes, ?))"
        rows = self.connection.execute(
            f"SELECT item, {value} AS value FROM items ORDER BY value IS NULL, typeof(value) = 'text', "
            f"value COLLATE NOCASE {'DESC' if down else 'ASC'}, id",
            (f'$."{name}"',),
        ).fetchall()
        held = not rows or rows[0][1] is not None  # the first has it if any has
        return np.fromiter((key for key, _ in rows), np.int64, len(rows)), held

    def modality_counts(self) -> dict[str, int]:
        sql = "SELECT modality, count(DISTINCT item) FROM media WHERE item NOT NULL GROUP BY modality"
        return dict(self.connection.execute(sql))

    def category_counts(self) -> list[tuple[str, int]]:
        sql = "SELECT category, count(*) FROM items WHERE category NOT NULL GROUP BY category ORDER BY category"
        return self.connection.execute(sql).fetchall()

    def _keys(self, statement: str, *parameters: str) -> NDArray[np.int64]:
        return np.fromiter((row[0] for row in self.connection.execute(statement, parameters)), np.int64)


def absolute(location: bytes, kind: str, path: bytes) -> Path:
    """Return the absolute path of a media row from its source's location and kind."""
    return Path(os.fsdecode(os.path.join(base_of(location, kind), path)))


@lru_cache(64)
def base_of(location: bytes, kind: str) -> bytes:
    """What the paths of a source's media are relative to."""
    return location if kind == "folder" else os.path.dirname(location)


def chunks(values: Sequence[Any]) -> Iterator[list[Any]]:
    """Cut a sequence into lists short enough for one SQL statement."""
    for start in range(0, len(values), IDS_AT_ONCE):
        yield list(values[start : start + IDS_AT_ONCE])


def marks(values: Iterable[object]) -> str:
    """Return as many SQL placeholders as there are values."""
    return ",".join("?" for _ in values)
