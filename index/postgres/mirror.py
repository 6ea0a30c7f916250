"""Mirroring: items, their files and their vectors as encoded, and what is told of the catalog as a whole."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from index.postgres.changes import LAST, changes
from index.postgres.session import storable
from index.postgres.source import ItemRow, Source

if TYPE_CHECKING:
    import psycopg

AT_ONCE = 5000
"""Items of one transaction."""


def put_items(
    source: Source, connection: psycopg.Connection[Any], on_stage: Callable[[str, int, int], None]
) -> tuple[int, int]:
    """Bring items that are new or changed, with files and vectors, and take away those that are gone.

    Returns:
        How many were put, and how many removed.
    """
    total, done, put, gone, after = source.catalog.count(), 0, 0, 0, -1
    items = source.items()
    while block := list(islice(items, AT_ONCE)):
        last = len(block) < AT_ONCE
        upto = LAST if last else block[-1].key
        put_now, gone_now = _put_block(source, connection, block, after, upto)
        put, gone, after, done = put + put_now, gone + gone_now, block[-1].key, done + len(block)
        on_stage("items", done, total)
        if last:
            return put, gone
    return put, gone + _put_block(source, connection, [], after, LAST)[1]


def _put_block(
    source: Source, connection: psycopg.Connection[Any], block: list[ItemRow], after: int, upto: int
) -> tuple[int, int]:
    keys = np.array([item.key for item in block], np.int64)
    stamps = np.array([item.stamp for item in block], np.int64)
    found = changes(connection, "items", keys, stamps, after, upto)
    wanted = [block[at] for at in found.put.tolist()]
    if not wanted and not found.drop:
        return 0, 0
    with connection.transaction():
        for table in ("items", "media", "vectors"):
            if found.drop:
                connection.execute(f"DELETE FROM {table} WHERE item = ANY(%s)", (found.drop,))
        _copy(connection, "items", ITEMS, ((i.key, i.stamp, clean(i.item_id), i.category and clean(i.category),
                                            clean_json(i.attributes)) for i in wanted))  # fmt: skip
        media = (
            (item.key, at, *one[:-1], one[-1] and clean(one[-1]))
            for item in wanted
            for at, one in enumerate(item.media)
        )
        _copy(connection, "media", MEDIA, media)
        _copy(connection, "vectors", VECTORS, source.vectors([item.key for item in wanted]))
    return len(wanted), found.gone


ITEMS = ["int8", "int8", "text", "text", "jsonb"]
MEDIA = ["int8", "int4", "bytea", "text", "text", "int8", "text"]
VECTORS = ["int8", "int4", "int4", "bytea"]


def _copy(connection: psycopg.Connection[Any], table: str, types: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def put_small_tables(source: Source, connection: psycopg.Connection[Any]) -> None:
    """Bring what is told of the catalog as a whole, inside the caller's transaction."""
    execute = connection.execute
    for table in ("encoders", "sources", "learned", "personal"):
        execute(f"DELETE FROM {table}")
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO encoders VALUES (%s, %s, %s, %s)",
            [
                (held.key, clean(name), held.card.fingerprint, json.dumps(held.card.to_json()))
                for name, held in source.catalog.encoders().items()
            ],
        )
        cursor.executemany("INSERT INTO sources VALUES (%s, %s)", source.sources())
        cursor.executemany("INSERT INTO learned VALUES (%s, %s, %s, %s, %s, %s)", source.learned())
    _copy(connection, "personal", ["text", "text", "bytea"], source.personal())


def clean(text: str) -> str:
    """A text that PostgreSQL can hold: what it cannot becomes U+FFFD."""
    if storable(text):
        return text
    return "".join("\ufffd" if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in text)


def clean_json(text: str) -> Any:
    """Attributes that PostgreSQL can hold, as a value that psycopg writes as JSON."""
    from psycopg.types.json import Jsonb

    return Jsonb({clean(name): _value(value) for name, value in json.loads(text).items()})


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no such number
        return None
    return value
