"""Databases damaged at random bytes: the damage is found, what is left is salvaged, what is lost is told."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from index.catalog import Catalog
from index.changes import change_item
from index.errors import SimkinError, StorageError
from index.learning.edge_store import set_edge
from index.recommender import Recommender
from index.salvage import DAMAGED, _Count, _rows, salvage
from index.verify import Problem, check

PICTURES = 40


@pytest.fixture
def indexed(tmp_path: Path, run_index: Any, pictures: Any) -> Path:
    """A catalog with attributes, an edit and edges, all of it in the database file."""
    pictures(tmp_path / "p/shoes", PICTURES // 2)
    pictures(tmp_path / "p/hats", PICTURES // 2, seed=1)
    run_index(tmp_path / "c", tmp_path / "p")
    with Catalog.open(tmp_path / "c") as catalog:
        change_item(catalog, "hats/003.jpg", {"price": 7})
        with catalog.writing(), catalog.connection as sql:
            for at in range(10):
                source, target = catalog.keys_of([f"hats/{at:03d}.jpg", f"shoes/{at:03d}.jpg"])
                set_edge(sql, "style", (source, target), 1.0, None)
        catalog.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return tmp_path / "c"


def content(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What must not change unnoticed."""
    with Catalog.open(folder) as catalog:
        sql = catalog.connection
        return {
            "items": sql.execute("SELECT id, category, attributes FROM items ORDER BY id").fetchall(),
            "vectors": sql.execute("SELECT id, vector FROM media JOIN vectors USING (media) ORDER BY id").fetchall(),
        }


def damage(path: Path, seed: int) -> None:
    """Other bytes in one to four places, up to 200 in a row."""
    rng = np.random.default_rng(seed)
    raw = bytearray(path.read_bytes())
    for _ in range(rng.integers(1, 5)):
        start, length = int(rng.integers(len(raw))), int(rng.choice([1, 2, 16, 200]))
        raw[start : start + length] = rng.bytes(len(raw[start : start + length]))
    path.write_bytes(bytes(raw))


def mended(folder: Path) -> tuple[list[Problem], list[Problem]]:
    """Repair; nothing at all is told where nothing at all could be read."""
    try:
        return check(folder, mend=True)
    except StorageError as error:
        if "nothing can be read" not in str(error):
            raise
        return [], []


@pytest.mark.slow
def test_damage_at_random_bytes_is_found_and_mended(indexed: Path, tmp_path: Path, run_index: Any) -> None:
    """Whatever is hit: found, or of no consequence; and after repair and another run of indexing all is back."""
    before = content(indexed)
    found = whole = lost = 0
    for seed in range(30):
        folder = tmp_path / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(indexed, folder)
        damage(folder / "catalog.db", seed)
        problems, _ = check(folder, mend=False)
        if not problems:
            assert content(folder) == before, seed
            continue
        found += 1
        told, left = mended(folder)
        if not told:
            lost += 1
            continue
        assert left == [], (seed, left)
        assert len(told) >= len(problems)
        run_index(folder, tmp_path / "p")
        after = content(folder)
        assert after["vectors"] == before["vectors"], seed
        edited = [row for row in before["items"] if row[0] != "hats/003.jpg"]
        assert [row for row in after["items"] if row[0] != "hats/003.jpg"] == edited, seed
        assert check(folder, mend=False) == ([], [])
        with Catalog.open(folder) as catalog:
            assert Recommender(catalog).query("shoes/001.jpg", k=3).hits
        whole += 1
    assert found >= 15
    assert whole >= 15
    assert lost <= 3


def test_what_is_lost_is_named(indexed: Path, tmp_path: Path) -> None:
    """Items by id; the damaged file stays beside the new one, and everything else is kept."""
    with sqlite3.connect(indexed / "catalog.db") as sql:
        (root,) = sql.execute("SELECT rootpage FROM sqlite_master WHERE name='items'").fetchone()
        (size,) = sql.execute("PRAGMA page_size").fetchone()
        kept = sql.execute("SELECT count(*) FROM sources").fetchone()
    sql.close()
    raw = bytearray((indexed / "catalog.db").read_bytes())
    raw[(root - 1) * size : root * size] = b"\xff" * size
    (indexed / "catalog.db").write_bytes(bytes(raw))
    told, left = check(indexed, mend=True)
    assert left == []
    lines = [problem.what for problem in told]
    assert any(line.startswith("items: at least 1 rows cannot be read") for line in lines)
    assert any(line.startswith("items lost: hats/000.jpg, hats/001.jpg, ") and "more" in line for line in lines)
    assert (indexed / DAMAGED).read_bytes() == bytes(raw)
    with Catalog.open(indexed) as catalog:
        assert catalog.connection.execute("SELECT count(*) FROM sources").fetchone() == kept


def test_a_damaged_head_of_the_file_costs_nothing(indexed: Path) -> None:
    """The first hundred bytes say nothing that is not known."""
    before = content(indexed)
    raw = bytearray((indexed / "catalog.db").read_bytes())
    raw[:100] = b"\0" * 100
    (indexed / "catalog.db").write_bytes(bytes(raw))
    with pytest.raises(SimkinError, match="damaged"):
        Catalog.open(indexed)
    told, left = check(indexed, mend=True)
    assert left == []
    assert "lost" not in " ".join(problem.what for problem in told)
    assert content(indexed) == before


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    """Nothing can be read, and nothing is replaced."""
    (tmp_path / "catalog.db").write_bytes(b"no database at all " * 1000)
    with pytest.raises(StorageError, match="nothing can be read"):
        salvage(tmp_path)
    assert (tmp_path / "catalog.db").read_bytes().startswith(b"no database")
    assert not (tmp_path / DAMAGED).exists()


def test_one_changed_bit_of_a_vector_is_found(indexed: Path, run_index: Any) -> None:
    """Also where the value is still a number like any other."""
    before = content(indexed)
    with sqlite3.connect(indexed / "catalog.db") as sql:
        (vector,) = sql.execute("SELECT vector FROM vectors WHERE media=3").fetchone()
    sql.close()
    raw = bytearray((indexed / "catalog.db").read_bytes())
    part = raw.index(vector[:400])
    raw[part + 102] ^= 0x10
    (indexed / "catalog.db").write_bytes(bytes(raw))
    told, left = check(indexed, mend=True)
    assert [problem.where for problem in told] == ["vectors"]
    assert left == []
    run_index(indexed)
    assert content(indexed) == before


class Torn:
    """A database in which row 3 is found only when it is asked for alone, row 5 not at all, and 9 says it is 2."""

    def execute(self, sql: str, bound: tuple[int]) -> Any:
        (key,) = bound
        if "rowid=" in sql:
            return Answer([row for row in (3, 6) if row == key])
        if key < 6:
            return Answer([row for row in (1, 2) if row > key], broken=True)
        return Answer([7, 8, 2, 10])


class Answer:
    """Rows, and then perhaps an error."""

    def __init__(self, keys: list[int], broken: bool = False) -> None:
        self.keys, self.broken = keys, broken

    def __iter__(self) -> Iterator[tuple[int, str]]:
        yield from ((key, f"row {key}") for key in self.keys)
        if self.broken:
            raise sqlite3.DatabaseError("database disk image is malformed")

    def fetchone(self) -> tuple[int, str] | None:
        return next(iter(self), None)


def test_salvage_ends_whatever_the_pages_say() -> None:
    """A row that only a question about it alone finds, and keys that run backwards, keep nobody busy for ever."""
    lost = _Count()
    rows = list(islice(_rows(cast("sqlite3.Connection", Torn()), "vectors", "vector", lost), 20))
    assert rows == [(f"row {key}",) for key in (1, 2, 3, 6, 7, 8, 2, 10)]
    assert lost.rows == 2


def test_one_key_that_reads_too_high_costs_no_other_row() -> None:
    """Keys after it are lower, and are rows all the same."""
    with sqlite3.connect(":memory:") as sql:
        sql.execute("CREATE TABLE vectors (vector TEXT)")
        sql.executemany("INSERT INTO vectors (rowid, vector) VALUES (?, ?)", [(at, f"{at}") for at in range(1, 30)])

    class Wrong:
        """Says 1,000 in place of 5."""

        def execute(self, text: str, bound: tuple[int]) -> Any:
            return [(1000 if key == 5 else key, value) for key, value in sql.execute(text, bound)]

    lost = _Count()
    rows = list(_rows(cast("sqlite3.Connection", Wrong()), "vectors", "vector", lost))
    assert rows == [(f"{at}",) for at in range(1, 30)]
    assert lost.rows == 0
