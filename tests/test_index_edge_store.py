"""Edges in a catalog's database: replaced whole, read back, gone with their items."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from index.errors import InputError
from index.learning.edge_store import count_edges, delete_edges, read_edges_of, write_edges
from index.learning.edges import EdgeArrays
from index.schema import SCHEMA


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with the catalog's tables and items of keys 1 to 5."""
    path = tmp_path / "catalog.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA synchronous=OFF")
        database.executescript(SCHEMA)
        database.execute("INSERT INTO sources VALUES (1, x'2f', 'folder', NULL)")
        rows = [(key, f"i{key}") for key in range(1, 6)]
        database.executemany("INSERT INTO items VALUES (?, ?, 1, NULL, '{}', x'00', 1)", rows)
        database.commit()
    return path


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA foreign_keys=ON")
        database.execute("PRAGMA synchronous=OFF")
        yield database


def made(pairs: list[tuple[int, int]], users: list[int] | None = None, names: tuple[str, ...] = ()) -> EdgeArrays:
    count = len(pairs)
    weights = np.arange(1, count + 1, dtype=np.float32) / 8
    return EdgeArrays(
        np.array(pairs, np.int64).reshape(-1, 2), weights, np.array(users or [-1] * count, np.int64), names
    )


def assert_equal(found: EdgeArrays, expected: EdgeArrays) -> None:
    for name in ("pairs", "weights", "users"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))
        assert getattr(found, name).dtype == getattr(expected, name).dtype
    assert found.user_names == expected.user_names


def test_edges_come_back_in_order(database: sqlite3.Connection, path: Path) -> None:
    """With users and weights, and committed for other readers."""
    style = made([(1, 2), (1, 2), (2, 1), (4, 3)], [-1, 1, 0, 1], ("ann", "bob"))
    write_edges(database, "style", style)
    write_edges(database, "substitute", made([(1, 5)]))
    assert not database.in_transaction
    with closing(sqlite3.connect(path)) as other:
        assert_equal(read_edges_of(other, "style"), style)
        assert_equal(read_edges_of(other, "substitute"), made([(1, 5)]))
        assert count_edges(other) == {"style": 4, "substitute": 1}
    shuffled = EdgeArrays(style.pairs[::-1], style.weights[::-1], style.users[::-1], style.user_names)
    write_edges(database, "style", shuffled)
    assert_equal(read_edges_of(database, "style"), style)


def test_a_relation_without_edges_reads_as_none(database: sqlite3.Connection) -> None:
    """Unknown or emptied."""
    assert_equal(read_edges_of(database, "style"), made([]))
    write_edges(database, "style", made([]))
    assert_equal(read_edges_of(database, "style"), made([]))
    assert count_edges(database) == {"style": 0}


def test_writing_replaces_all_edges_and_users(database: sqlite3.Connection) -> None:
    """Nothing of the old ones stays, and other relations are not touched."""
    write_edges(database, "other", made([(1, 2)], [0], ("zoe",)))
    write_edges(database, "style", made([(1, 2), (1, 3)], [0, 1], ("ann", "bob")))
    write_edges(database, "style", made([(4, 5)], [0], ("cid",)))
    assert_equal(read_edges_of(database, "style"), made([(4, 5)], [0], ("cid",)))
    assert_equal(read_edges_of(database, "other"), made([(1, 2)], [0], ("zoe",)))
    assert database.execute("SELECT count(*) FROM edge_users").fetchone() == (2,)


@pytest.mark.parametrize(
    "bad",
    [
        made([(1, 2), (1, 99)]),
        made([(1, 2), (1, 2)]),
        EdgeArrays(np.array([[1, 2]]), np.array([np.nan], np.float32), np.array([-1]), ()),
        EdgeArrays(np.array([[1, 2]]), np.array([0], np.float32), np.array([-1]), ()),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_bad_edges_change_nothing(database: sqlite3.Connection, bad: EdgeArrays, inside: bool) -> None:
    """Unknown items, repetitions and bad weights; in a transaction of the caller, what else it did stays."""
    kept = made([(3, 4)], [0], ("ann",))
    write_edges(database, "style", kept)
    if inside:
        database.execute("UPDATE items SET category='Shoes' WHERE item=1")
    with pytest.raises(InputError, match="the edges of 'style' cannot be stored"):
        write_edges(database, "style", bad)
    assert database.in_transaction == inside
    assert_equal(read_edges_of(database, "style"), kept)
    if inside:
        database.commit()
        assert database.execute("SELECT category FROM items WHERE item=1").fetchone() == ("Shoes",)


def test_an_interruption_changes_nothing(database: sqlite3.Connection) -> None:
    """Such as a key pressed half-way."""
    kept = made([(3, 4)])
    write_edges(database, "style", kept)

    class Interrupting(tuple):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[str]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_edges(database, "style", EdgeArrays(kept.pairs, kept.weights, kept.users, Interrupting()))
    assert not database.in_transaction
    assert_equal(read_edges_of(database, "style"), kept)


def test_edges_go_with_their_items(database: sqlite3.Connection) -> None:
    """At either end, whatever the relation."""
    write_edges(database, "style", made([(1, 2), (2, 3), (3, 4)]))
    write_edges(database, "other", made([(2, 5), (4, 5)]))
    with database:
        database.execute("DELETE FROM items WHERE item=2")
    assert read_edges_of(database, "style").pairs.tolist() == [[3, 4]]
    assert read_edges_of(database, "other").pairs.tolist() == [[4, 5]]
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []


def test_deleting_edges_leaves_other_relations(database: sqlite3.Connection) -> None:
    """And nothing of its own."""
    write_edges(database, "style", made([(1, 2)], [0], ("ann",)))
    write_edges(database, "other", made([(1, 2)]))
    with database:
        delete_edges(database, "style")
        delete_edges(database, "never heard of")
    assert count_edges(database) == {"other": 1}
    assert database.execute("SELECT count(*) FROM edge_users").fetchone() == (0,)


def test_a_relation_needs_a_name(database: sqlite3.Connection) -> None:
    """An empty one is refused."""
    with pytest.raises(InputError, match="name the relation"):
        write_edges(database, "", made([(1, 2)]))
