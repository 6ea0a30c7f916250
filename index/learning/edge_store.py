"""Storing edges: a catalog's own record of what goes with what, by relation, in its database.

Edges refer to items by database key. When an item is removed its edges go with it; items without edges are fine.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import numpy as np

from index.errors import InputError
from index.learning.edges import EdgeArrays

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""What a relation that is learned can be called: names that folders can have anywhere."""

_BLOCK = 50_000


def write_edges(connection: sqlite3.Connection, relation: str, edges: EdgeArrays) -> None:
    """Replace all edges of a relation, in one transaction: all are written or nothing changes.

    Joins the transaction of the caller where there is one, behind a savepoint.

    Args:
        connection: To a catalog's database, with foreign keys switched on.
        relation: Name of the relation, made when new.
        edges: Between database keys of items, each (source, target, user) once.

    Raises:
        InputError: An edge refers to an item that is not there, stands twice, or has a weight that is not above 0;
            or the relation has no name.
    """
    if not relation:
        raise InputError("edges are stored under a relation's name, but it is empty; name the relation")
    connection.execute("SAVEPOINT write_edges")
    try:
        delete_edges(connection, relation)
        key = connection.execute("INSERT INTO edge_relations (name) VALUES (?)", (relation,)).lastrowid
        connection.executemany(
            "INSERT INTO edge_users VALUES (?, ?, ?)", ((key, user, name) for user, name in enumerate(edges.user_names))
        )
        connection.executemany("INSERT INTO edges VALUES (?, ?, ?, ?, ?)", ((key, *row) for row in _rows(edges)))
    except sqlite3.IntegrityError as error:
        _undo(connection)
        raise InputError(
            f"the edges of {relation!r} cannot be stored ({error}); resolve them against this catalog first"
        ) from None
    except BaseException:
        _undo(connection)
        raise
    connection.execute("RELEASE write_edges")


def set_edge(
    connection: sqlite3.Connection, relation: str, pair: tuple[int, int], weight: float, user: str | None
) -> None:
    """Say how strong one edge is, in place of what was said before; inside the caller's transaction.

    Args:
        relation: Name of the relation, made when new.
        pair: Database keys of source and target.
        weight: 0 takes the edge away.
        user: Whose edge it is, a name made when new; ``None`` for nobody's.

    Raises:
        InputError: An item is not there, or the weight is below 0.
    """
    connection.execute("INSERT OR IGNORE INTO edge_relations (name) VALUES (?)", (relation,))
    (key,) = connection.execute("SELECT relation FROM edge_relations WHERE name=?", (relation,)).fetchone()
    number = -1
    if user is not None:
        row = connection.execute("SELECT user FROM edge_users WHERE relation=? AND name=?", (key, user)).fetchone()
        if row is None:
            row = connection.execute(
                "INSERT INTO edge_users SELECT ?1, coalesce(max(user), -1) + 1, ?2 FROM edge_users WHERE relation=?1 "
                "RETURNING user",
                (key, user),
            ).fetchone()
        number = row[0]
    edge = (key, *pair, number)
    if weight == 0:
        connection.execute("DELETE FROM edges WHERE relation=? AND source=? AND target=? AND user=?", edge)
        return
    try:
        connection.execute("INSERT OR REPLACE INTO edges VALUES (?, ?, ?, ?, ?)", (*edge, weight))
    except sqlite3.IntegrityError as error:
        raise InputError(f"an edge of {relation!r} cannot be stored ({error})") from None


def read_edges_of(connection: sqlite3.Connection, relation: str) -> EdgeArrays:
    """Read all edges of a relation.

    Args:
        connection: To a catalog's database.
        relation: Name of the relation.

    Returns:
        Edges between database keys, in ascending order of source, target and user; none when the relation has none.
    """
    found = connection.execute("SELECT relation FROM edge_relations WHERE name=?", (relation,)).fetchone()
    key = found[0] if found else -1
    names = connection.execute("SELECT name FROM edge_users WHERE relation=? ORDER BY user", (key,)).fetchall()
    rows = np.fromiter(
        connection.execute("SELECT source, target, user, weight FROM edges WHERE relation=? ORDER BY 1, 2, 3", (key,)),
        np.dtype([("source", "i8"), ("target", "i8"), ("user", "i8"), ("weight", "f4")]),
    )
    pairs = np.column_stack([rows["source"], rows["target"]])
    return EdgeArrays(pairs, rows["weight"].copy(), rows["user"].copy(), tuple(name for (name,) in names))


def delete_edges(connection: sqlite3.Connection, relation: str) -> None:
    """Forget a relation's edges and its users' names; in the caller's transaction. Nothing happens when it has none."""
    connection.execute("DELETE FROM edge_relations WHERE name=?", (relation,))


def count_edges(connection: sqlite3.Connection) -> dict[str, int]:
    """How many edges each relation has, by name, in alphabetical order."""
    return dict(
        connection.execute(
            "SELECT r.name, COUNT(e.source) FROM edge_relations r LEFT JOIN edges e USING (relation) "
            "GROUP BY r.name ORDER BY r.name"
        )
    )


def _rows(edges: EdgeArrays) -> Iterator[tuple[int, int, int, float]]:
    for start in range(0, len(edges.pairs), _BLOCK):
        block = slice(start, start + _BLOCK)
        sources, targets = edges.pairs[block].T.tolist()
        yield from zip(sources, targets, edges.users[block].tolist(), edges.weights[block].tolist(), strict=True)


def _undo(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # a full disk may have undone it already
        connection.execute("ROLLBACK TO write_edges")
        connection.execute("RELEASE write_edges")
