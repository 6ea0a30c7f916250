"""The catalog folder: made whole or not at all, refused when it is something else, usable read-only."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from index.catalog import Catalog
from index.errors import NotACatalogError, StorageError, UnknownNameError
from index.recommender import Recommender


@pytest.fixture
def indexed(tmp_path: Path, run_index: Any, pictures: Any) -> Path:
    pictures(tmp_path / "p/Hats", 4)
    run_index(tmp_path / "c", tmp_path / "p")
    return tmp_path / "c"


def test_a_catalog_is_made_once_and_opened_after(tmp_path: Path) -> None:
    for _ in range(2):
        with Catalog.create(tmp_path / "deep/c") as catalog:
            assert catalog.count() == 0


def test_nothing_there_is_told_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(NotACatalogError, match="make one with: simkin index SOURCE"):
        Catalog.open(tmp_path / "c")


def test_another_format_version_is_refused(indexed: Path) -> None:
    with Catalog.open(indexed) as catalog, catalog.connection as sql:
        sql.execute("UPDATE settings SET value='99' WHERE key='format_version'")
    for way in (Catalog.open, Catalog.create):
        with pytest.raises(NotACatalogError, match="has catalog format 99, this program reads format 4; use the"):
            way(indexed)


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(NotACatalogError, match=r"holds other files \(thesis.tex"):
        Catalog.create(tmp_path)
    with pytest.raises(NotACatalogError, match="cannot be a catalog"):
        Catalog.create(tmp_path / "thesis.tex")


def test_what_a_run_killed_while_making_it_left_behind_is_finished(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    connection = sqlite3.connect(folder / "catalog.db")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    assert (folder / "catalog.db").stat().st_size > 0
    with Catalog.create(folder) as catalog:
        assert catalog.count() == 0


def test_a_database_that_is_none_is_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"this is no database" * 100)
    for way in (Catalog.open, Catalog.create):
        with pytest.raises(StorageError, match="the database is damaged; mend it with: simkin verify --repair"):
            way(tmp_path)


def test_an_unknown_item_is_told_with_the_nearest(indexed: Path) -> None:
    with Catalog.open(indexed) as catalog, pytest.raises(UnknownNameError, match=r"did you mean 'Hats/000.jpg'"):
        catalog.item("Hats/00.jpg")


def test_more_items_than_sql_takes_at_once_are_read(tmp_path: Path, make_catalog: Any) -> None:
    made = make_catalog()
    made.fill(1100)
    ids = [row[0] for row in made.catalog.connection.execute("SELECT id FROM items ORDER BY id DESC")]
    keys = made.catalog.keys_of(ids)
    items = made.catalog.items(keys)
    assert [items[key].item_id for key in keys] == ids


def test_a_file_of_an_item_is_found_by_its_path(indexed: Path, tmp_path: Path) -> None:
    with Catalog.open(indexed) as catalog:
        assert catalog.id_at(tmp_path / "p/Hats/001.jpg") == "Hats/001.jpg"
        assert catalog.id_at(tmp_path / "p/Hats/none.jpg") is None


def test_a_full_database_keeps_what_was_committed(tmp_path: Path, run_index: Any, pictures: Any) -> None:
    """SQLite is told to grow no further; its message is that of a full disk."""
    pictures(tmp_path / "p", 3)
    run_index(tmp_path / "c", tmp_path / "p")
    pictures(tmp_path / "p/more", 30, seed=1)
    connect = sqlite3.connect

    def small(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 5}")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("index.catalog.sqlite3.connect", small)
        with pytest.raises(StorageError, match="the disk is full; everything committed before is kept: free some"):
            run_index(tmp_path / "c")
    with Catalog.open(tmp_path / "c") as catalog:
        assert catalog.count() == 3
    report = run_index(tmp_path / "c")
    assert (report.items, report.added) == (33, 30)


def copied_for_reading(indexed: Path) -> Path:
    target = indexed.parent / "readonly"
    shutil.copytree(indexed, target, copy_function=shutil.copy2)
    for path in (target, *target.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return target


def test_a_read_only_catalog_answers_and_refuses_changes(
    indexed: Path, run_index: Any, run_simkin: Any, as_nobody: Any
) -> None:
    """As another user in a forked child, because root may write anywhere."""
    folder = copied_for_reading(indexed)

    def visit() -> tuple[list[str], str]:
        with Catalog.open(folder) as catalog:
            answer = Recommender(catalog).query("Hats/000.jpg", k=3)
        try:
            run_index(folder, indexed.parent / "p")
        except StorageError as error:
            return [hit.item_id for hit in answer.hits], str(error)
        raise AssertionError("it was changed")

    hits, refusal = as_nobody(indexed.parent, visit)
    assert len(hits) == 3
    assert "cannot write to" in refusal
    assert stat.S_IMODE(folder.stat().st_mode) == 0o555
    assert sorted(os.listdir(folder)) == sorted(os.listdir(indexed))
