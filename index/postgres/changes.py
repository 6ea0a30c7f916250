"""Changes: what differs between a block of stamped keys here and the same range of keys in a table there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import psycopg

LAST = 2**63 - 1
"""The largest key there can be."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What must be done to a range of a table.

    Attributes:
        put: Places in the block whose rows are new or changed. int64, ascending.
        drop: Keys there that are changed or gone.
        gone: How many of those are not here any more.
    """

    put: NDArray[np.int64]
    drop: list[int]
    gone: int


def changes(
    connection: psycopg.Connection[Any],
    table: str,
    keys: NDArray[np.int64],
    stamps: NDArray[np.int64],
    after: int,
    upto: int,
) -> Changes:
    """Compare a block with the rows of a table whose keys lie in (after, upto].

    Args:
        keys: Ascending, all in that range. int64, shape ``(n,)``.
        stamps: int64, likewise.
    """
    from psycopg import sql

    statement = sql.SQL("SELECT item, stamp FROM {} WHERE item > %s AND item <= %s ORDER BY item")
    found = connection.execute(statement.format(sql.Identifier(table)), (after, upto)).fetchall()
    there = np.array(found, np.int64).reshape(-1, 2)
    if not len(there):
        return Changes(np.arange(len(keys)), [], 0)
    place = np.minimum(np.searchsorted(there[:, 0], keys), len(there) - 1)
    known = there[place, 0] == keys
    same = known & (there[place, 1] == stamps)
    gone = there[~np.isin(there[:, 0], keys), 0]
    return Changes(np.flatnonzero(~same), [*keys[known & ~same].tolist(), *gone.tolist()], len(gone))
