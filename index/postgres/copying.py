"""COPY in PostgreSQL's binary format: rows of numbers laid out by numpy, all of a block at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from index.types import Vectors

if TYPE_CHECKING:
    import psycopg

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


def copy_rows(
    connection: psycopg.Connection[Any],
    table: str,
    columns: list[str],
    keys: NDArray[np.int64],
    stamps: NDArray[np.int64],
    codes: NDArray[np.int64],
    vectors: list[Vectors],
) -> None:
    """Put rows into a table (item bigint, stamp bigint, category integer, then vector columns).

    Args:
        table: Its name.
        columns: Names of the vector columns.
        keys, stamps, codes: int64, shape ``(n,)``.
        vectors: For each column float32, shape ``(n, d)``.
    """
    from psycopg import sql

    fields: list[tuple[Any, ...]] = [
        ("fields", ">i2"),
        ("item_size", ">i4"), ("item", ">i8"),
        ("stamp_size", ">i4"), ("stamp", ">i8"),
        ("category_size", ">i4"), ("category", ">i4"),
    ]  # fmt: skip
    for at, block in enumerate(vectors):  # pgvector's own binary form: dimensions, nothing, numbers
        fields += [(f"size{at}", ">i4"), (f"dim{at}", ">i2"), (f"unused{at}", ">i2")]
        fields += [(f"numbers{at}", ">f4", (block.shape[1],))]
    rows = np.zeros(len(keys), np.dtype(fields))
    rows["fields"] = 3 + len(vectors)
    rows["item_size"], rows["item"] = 8, keys
    rows["stamp_size"], rows["stamp"] = 8, stamps
    rows["category_size"], rows["category"] = 4, codes
    for at, block in enumerate(vectors):
        rows[f"size{at}"], rows[f"dim{at}"] = 4 + 4 * block.shape[1], block.shape[1]
        rows[f"numbers{at}"] = block
    names = sql.SQL(", ").join(map(sql.Identifier, ["item", "stamp", "category", *columns]))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(sql.Identifier(table), names)
    with connection.cursor().copy(statement) as copy:
        copy.write(HEADER)
        copy.write(rows.tobytes())
        copy.write(TRAILER)


def numbers_of(values: list[bytes], dim: int) -> Vectors:
    """Vectors from pgvector's binary form. float32, shape ``(len(values), dim)``."""
    form = np.dtype([("dim", ">i2"), ("unused", ">i2"), ("numbers", ">f4", (dim,))])
    return np.frombuffer(b"".join(values), form)["numbers"].astype(np.float32)
