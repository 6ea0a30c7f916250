"""Verifying and repairing: damage is found, what can be mended is mended, and nothing damaged is used."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from index.catalog import Catalog
from index.errors import StaleIndexError
from index.overview import overview
from index.recommender import Recommender
from index.verify import repair, verify


@pytest.fixture
def indexed(tmp_path: Path, run_index: Any, pictures: Any) -> Path:
    pictures(tmp_path / "p", 6)
    run_index(tmp_path / "c", tmp_path / "p")
    return tmp_path / "c"


def flip(path: Path, place: int = 40) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x01
    path.write_bytes(bytes(content))


def vectors(folder: Path) -> list[tuple[str, bytes]]:
    with Catalog.open(folder) as catalog:
        return catalog.connection.execute(
            "SELECT id, vector FROM media JOIN vectors USING (media) ORDER BY id"
        ).fetchall()


def test_a_sound_catalog_has_no_problems(indexed: Path) -> None:
    with Catalog.open(indexed) as catalog:
        assert verify(catalog) == []
        assert repair(catalog) == []


@pytest.mark.parametrize("damage", ["x'00'", "zeroblob(4*1292)", "x'0000c07f' || substr(vector, 5)"])
def test_a_damaged_vector_is_found_dropped_and_made_again(indexed: Path, run_index: Any, damage: str) -> None:
    before = vectors(indexed)
    with Catalog.open(indexed) as catalog:
        with catalog.connection as sql:
            sql.execute(f"UPDATE vectors SET vector=CAST({damage} AS BLOB) WHERE media=3")
        (problem,) = verify(catalog)
        assert (problem.where, problem.repair) == ("vectors", "drops them")
        assert problem.what.startswith("1 vectors have a wrong length or values that are no numbers")
        assert repair(catalog) == [problem]
        assert verify(catalog) == []
    assert len(vectors(indexed)) == 5
    run_index(indexed)
    assert vectors(indexed) == before
    assert run_index.opened == ["002.jpg"]


def test_a_flipped_byte_in_a_built_file_is_refused_and_repaired(indexed: Path) -> None:
    before = [hit.item_id for hit in Recommender(Catalog.open(indexed)).query("000.jpg").hits]
    path = next(indexed.glob("generations/*/image/vectors.f32"))
    flip(path)
    with Catalog.open(indexed) as catalog:
        with pytest.raises(StaleIndexError, match=r"image/vectors.f32 is damaged.* rebuild with: simkin index --rebui"):
            Recommender(catalog).query("000.jpg")
        (problem,) = verify(catalog)
        assert (problem.where, problem.repair) == ("generation", "builds a new generation")
        repair(catalog)
        assert verify(catalog) == []
        assert [hit.item_id for hit in Recommender(catalog).query("000.jpg").hits] == before


def test_indexing_replaces_a_damaged_generation(indexed: Path, run_index: Any) -> None:
    flip(next(indexed.glob("generations/*/image/keys.i64")), 3)
    run_index(indexed)
    with Catalog.open(indexed) as catalog:
        assert verify(catalog) == []


def test_a_flipped_byte_in_trees_is_refused(make_catalog: Any, searching_by: Any) -> None:
    made = make_catalog()
    with searching_by("annoy"):
        made.fill(900)
        made.build()
        made.open().query("item-0-00000")
        flip(next(made.folder.glob("generations/*/image/similar/*.ann")), 1000)
        with pytest.raises(StaleIndexError, match="is damaged"):
            made.open().query("item-0-00000")
        assert [problem.where for problem in verify(made.catalog)] == ["generation"]


def test_generations_can_be_deleted_and_come_back(indexed: Path, run_index: Any) -> None:
    shutil.rmtree(indexed / "generations")
    with Catalog.open(indexed) as catalog:
        (problem,) = verify(catalog)
        assert problem.where == "generation"
    run_index(indexed)
    with Catalog.open(indexed) as catalog:
        assert verify(catalog) == []


def test_a_damaged_database_is_told(indexed: Path) -> None:
    with sqlite3.connect(indexed / "catalog.db") as sql:
        sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        roots = sql.execute("SELECT rootpage FROM sqlite_master WHERE name IN ('items', 'media', 'vectors')").fetchall()
    sql.close()
    content = bytearray((indexed / "catalog.db").read_bytes())
    for (root,) in roots:
        place = (root - 1) * 4096
        content[place : place + 64] = b"\xff" * 64
    (indexed / "catalog.db").write_bytes(bytes(content))
    with Catalog.open(indexed) as catalog:
        problems = verify(catalog)
    assert problems
    assert {problem.where for problem in problems} == {"database"}


def test_the_overview_counts(indexed: Path, run_index: Any, songs: Any) -> None:
    songs(indexed.parent / "p/Pop", 2)
    (indexed.parent / "p/bad.jpg").write_text("x")
    run_index(indexed)
    with Catalog.open(indexed) as catalog:
        told = overview(catalog)
    assert (told.items, told.categories, told.failures) == ({"audio": 2, "image": 6}, 1, 1)
    assert (told.generation, told.state, told.pending) == (2, "current", 0)
    assert told.sources == [(str(indexed.parent / "p"), "folder")]
