"""What a second run finds: added, changed, renamed, removed, retried, unchanged, each counted once."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from index.answers import Query
from index.catalog import Catalog
from index.ingesting.ingest import IndexReport
from index.ingesting.plan import plan, source_key, take_in
from index.ingesting.scan import Entry
from index.recommender import Recommender


def counts(report: IndexReport) -> dict[str, int]:
    names = ("added", "changed", "renamed", "removed", "retried", "unchanged", "failed")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def dump(folder: Path, query: str) -> list[Any]:
    with Catalog.open(folder) as catalog:
        return catalog.connection.execute(query).fetchall()


@pytest.fixture
def shop(tmp_path: Path, run_index: Any, pictures: Callable[..., list[Path]]) -> Any:
    """Four indexed pictures; returns ``again()``, which indexes once more and counts."""
    pictures(tmp_path / "shop", 4)
    assert counts(run_index(tmp_path / "c", tmp_path / "shop")) == {"added": 4}
    return lambda **options: counts(run_index(tmp_path / "c", tmp_path / "shop", **options))


def test_an_unchanged_file_is_not_opened(tmp_path: Path, shop: Any, run_index: Any) -> None:
    before = dump(tmp_path / "c", "SELECT * FROM settings"), (tmp_path / "c/CURRENT").read_text()
    assert shop() == {"unchanged": 4}
    assert run_index.opened == []
    assert before == (dump(tmp_path / "c", "SELECT * FROM settings"), (tmp_path / "c/CURRENT").read_text())


def test_an_added_file_alone_is_opened(tmp_path: Path, shop: Any, run_index: Any, picture: Any) -> None:
    picture(tmp_path / "shop/new.jpg", 50)
    assert shop() == {"added": 1, "unchanged": 4}
    assert run_index.opened == ["new.jpg"]


def test_a_changed_file_is_described_again(tmp_path: Path, shop: Any, run_index: Any, picture: Any) -> None:
    old = dump(tmp_path / "c", "SELECT vector FROM vectors WHERE media=2")
    picture(tmp_path / "shop/001.jpg", 51)
    assert shop() == {"changed": 1, "unchanged": 3}
    assert dump(tmp_path / "c", "SELECT vector FROM vectors WHERE media=2") != old


def test_a_touched_but_identical_file_is_not_described_again(tmp_path: Path, shop: Any, run_index: Any) -> None:
    generation = (tmp_path / "c/CURRENT").read_text()
    os.utime(tmp_path / "shop/001.jpg", ns=(1, 1))
    assert shop() == {"changed": 1, "unchanged": 3}
    assert run_index.opened == ["001.jpg"]
    assert run_index.encoders == {} or (tmp_path / "c/CURRENT").read_text() == generation, "nothing to build"
    assert shop() == {"unchanged": 4}


def test_a_removed_file_takes_its_item_along(tmp_path: Path, shop: Any) -> None:
    (tmp_path / "shop/001.jpg").unlink()
    assert shop() == {"removed": 1, "unchanged": 3}
    assert dump(tmp_path / "c", "SELECT id FROM items ORDER BY id") == [("000.jpg",), ("002.jpg",), ("003.jpg",)]
    assert dump(tmp_path / "c", "SELECT count(*) FROM vectors") == [(3,)]


def test_a_renamed_file_keeps_its_vector_and_is_not_described(tmp_path: Path, shop: Any, run_index: Any) -> None:
    old = dump(tmp_path / "c", "SELECT item, vector FROM media JOIN vectors USING (media) WHERE id='001.jpg'")
    (tmp_path / "shop/001.jpg").rename(tmp_path / "shop/other.jpg")
    assert shop() == {"renamed": 1, "unchanged": 3}
    assert run_index.opened == []
    assert dump(tmp_path / "c", "SELECT item, vector FROM media JOIN vectors USING (media) WHERE id='other.jpg'") == old
    assert shop() == {"unchanged": 4}


def test_answers_know_a_renamed_item_by_its_new_name_before_anything_is_built(
    tmp_path: Path, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bare ids and scores come from the generation's own files, and those are older than the name."""
    asked = Query(items=(("000.jpg", 1.0),), relation="similar", k=3, duplicates=True)
    recommender = Recommender(Catalog.open(tmp_path / "c"))
    assert {name for name, _ in recommender.scores(asked)} == {"001.jpg", "002.jpg", "003.jpg"}
    monkeypatch.setattr("index.engine.build.ALWAYS_REBUILD", 0)
    monkeypatch.setattr("index.engine.build.REBUILD_SHARE", 2)
    (tmp_path / "shop/001.jpg").rename(tmp_path / "shop/other.jpg")
    assert shop() == {"renamed": 1, "unchanged": 3}
    assert {name for name, _ in recommender.scores(asked)} == {"other.jpg", "002.jpg", "003.jpg"}
    assert recommender.generation.manifest.number == 1


def test_a_file_moved_to_another_folder_counts_once_and_takes_its_category(tmp_path: Path, shop: Any) -> None:
    (tmp_path / "shop/Hats").mkdir()
    (tmp_path / "shop/001.jpg").rename(tmp_path / "shop/Hats/001.jpg")
    assert shop() == {"renamed": 1, "unchanged": 3}
    assert dump(tmp_path / "c", "SELECT id FROM items WHERE category='Hats'") == [("Hats/001.jpg",)]


def test_a_file_renamed_to_another_modality_is_not_taken_for_the_same(tmp_path: Path, shop: Any) -> None:
    (tmp_path / "shop/001.jpg").rename(tmp_path / "shop/001.wav")
    assert shop() == {"added": 1, "removed": 1, "unchanged": 3, "failed": 1}


def test_two_files_that_swap_names_are_changed(tmp_path: Path, shop: Any) -> None:
    (tmp_path / "shop/000.jpg").rename(tmp_path / "shop/x")
    (tmp_path / "shop/001.jpg").rename(tmp_path / "shop/000.jpg")
    (tmp_path / "shop/x").rename(tmp_path / "shop/001.jpg")
    vectors = dict(dump(tmp_path / "c", "SELECT id, vector FROM media JOIN vectors USING (media)"))
    assert sum(shop().values()) == 4
    after = dict(dump(tmp_path / "c", "SELECT id, vector FROM media JOIN vectors USING (media)"))
    assert (after["000.jpg"], after["001.jpg"]) in [
        (vectors["001.jpg"], vectors["000.jpg"]),
        (vectors["000.jpg"], vectors["001.jpg"]),  # the same size and time: told apart by nothing but content
    ]


def test_a_copy_of_a_removed_file_is_renamed_once(tmp_path: Path, shop: Any) -> None:
    for name in ("x.jpg", "y.jpg"):
        shutil.copy(tmp_path / "shop/001.jpg", tmp_path / "shop" / name)
    (tmp_path / "shop/001.jpg").unlink()
    assert shop() == {"renamed": 1, "added": 1, "unchanged": 3}


def test_everything_at_once_is_counted_once(tmp_path: Path, shop: Any, picture: Any) -> None:
    folder = tmp_path / "shop"
    picture(folder / "new.jpg", 60)
    picture(folder / "000.jpg", 61)
    (folder / "001.jpg").rename(folder / "001b.jpg")
    (folder / "002.jpg").unlink()
    (folder / "bad.jpg").write_text("no picture")
    assert shop() == {"added": 2, "changed": 1, "renamed": 1, "removed": 1, "unchanged": 1, "failed": 1}


@pytest.mark.parametrize(("stage", "tries"), [("read", 2), ("worker", 2), ("decode", 0), ("encode", 0)])
def test_failures_to_read_are_retried_and_bad_files_are_not(
    tmp_path: Path, shop: Any, run_index: Any, stage: str, tries: int
) -> None:
    """A file that was read and found bad stays bad until it changes; after three attempts the others do too."""
    (tmp_path / "shop/bad.jpg").write_text("no picture")
    describe = run_index.describe
    run_index.describe = lambda job: describe(job)._replace(stage=stage, reason="told to fail", tags="", vectors=())
    assert shop() == {"added": 1, "unchanged": 4, "failed": 1}
    for _ in range(tries):
        assert shop() == {"retried": 1, "unchanged": 4, "failed": 1}
    assert shop() == {"unchanged": 5, "failed": 1}
    assert shop(retry_failed=True) == {"retried": 1, "unchanged": 4, "failed": 1}


def test_a_mended_file_is_retried_and_indexed(tmp_path: Path, shop: Any, picture: Any) -> None:
    (tmp_path / "shop/bad.jpg").write_text("no picture")
    assert shop() == {"added": 1, "unchanged": 4, "failed": 1}
    picture(tmp_path / "shop/bad.jpg", 62)
    assert shop() == {"retried": 1, "unchanged": 4}


def test_a_folder_that_cannot_be_listed_keeps_its_items(
    tmp_path: Path, run_index: Any, pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "shop/sub", 2)
    pictures(tmp_path / "shop/sub.more", 1, seed=2)
    run_index(tmp_path / "c", tmp_path / "shop")
    scandir = os.scandir

    def refuse(folder: Any) -> Any:
        if os.fsencode(folder).endswith(b"/sub"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr("index.ingesting.scan.os.scandir", refuse)
    report = run_index(tmp_path / "c", tmp_path / "shop")
    assert (report.removed, report.failed, report.items) == (0, 1, 3)
    with Catalog.open(tmp_path / "c") as catalog:
        (failure,) = catalog.failures()
    assert (failure.item_id, failure.stage) == ("sub/", "read")
    assert failure.reason == "the folder cannot be listed: permission denied"
    monkeypatch.undo()


def test_a_link_to_a_disk_that_is_gone_keeps_its_items(tmp_path: Path, run_index: Any, pictures: Any) -> None:
    pictures(tmp_path / "disk", 2)
    pictures(tmp_path / "shop", 1, seed=1)
    (tmp_path / "shop/disk").symlink_to(tmp_path / "disk")
    assert run_index(tmp_path / "c", tmp_path / "shop").added == 3
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    assert counts(run_index(tmp_path / "c", tmp_path / "shop")) == {"unchanged": 1}
    assert dump(tmp_path / "c", "SELECT count(*) FROM items") == [(3,)]


def test_the_order_of_a_table_does_not_matter(tmp_path: Path, run_index: Any, pictures: Any) -> None:
    names = [path.name for path in pictures(tmp_path, 6)]
    for seed in range(3):
        random.Random(seed).shuffle(names)
        (tmp_path / "t.csv").write_text("id,path\n" + "".join(f"{name[1:]},{name}\n" for name in names))
        report = run_index(tmp_path / "c", tmp_path / "t.csv")
        assert counts(report) == ({"unchanged": 6} if seed else {"added": 6})


def test_random_changes_are_counted_as_a_plain_comparison_counts_them(tmp_path: Path) -> None:
    """Entries and rows made up at random, in and out of order, against dictionaries compared in Python."""
    rng = random.Random(7)
    with Catalog.create(tmp_path / "c") as catalog:
        sql = catalog.connection
        with sql:
            source = source_key(catalog, b"/nowhere", "folder", None)
        for turn in range(60):
            with sql:
                sql.execute("DELETE FROM media")
                known = {f"é{rng.randrange(30)}/x": rng.randrange(2) for _ in range(20)}
                for name, size in known.items():
                    sql.execute(
                        "INSERT INTO media (source, id, position, path, modality, size, mtime_ns) "
                        "VALUES (?, ?, 0, ?, 'image', ?, 0)",
                        (source, name, name.encode(), size),
                    )
            now = {f"é{rng.randrange(30)}/x": rng.randrange(2) for _ in range(20)}
            names = list(now) if turn % 2 else sorted(now)
            entries = [Entry(name, 0, name.encode(), "image", now[name], 0, "{}") for name in names]
            found, same = take_in(catalog, source, entries)
            told = plan(catalog, source, found, same, [], retry=False)
            assert told.added == len(now.keys() - known.keys())
            assert told.removed == len(known.keys() - now.keys())
            assert told.changed == sum(now[name] != known[name] for name in now.keys() & known.keys())
            assert told.unchanged == sum(now[name] == known[name] for name in now.keys() & known.keys())
