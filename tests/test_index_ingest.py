"""Bringing a catalog in line with its sources: attributes, several sources, encoders, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mutagen.flac
import numpy as np
import pytest

from index.catalog import Catalog
from index.errors import InputError, StaleIndexError


def attributes(folder: Path, item_id: str) -> dict[str, Any]:
    with Catalog.open(folder) as catalog:
        return catalog.item(item_id).attributes


def vectors(folder: Path) -> dict[tuple[str, int, int], bytes]:
    with Catalog.open(folder) as catalog:
        rows = catalog.connection.execute("SELECT id, position, encoder, vector FROM media JOIN vectors USING (media)")
        return {(item_id, position, encoder): vector for item_id, position, encoder, vector in rows}


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return tmp_path / "c"


def tagged(path: Path, **tags: str) -> Path:
    opened = mutagen.flac.FLAC(path)
    opened.delete()
    opened.update(tags)
    opened.save()
    return path


# What becomes an attribute


def test_the_folder_is_the_category(tmp_path: Path, catalog: Path, run_index: Any, picture: Any) -> None:
    picture(tmp_path / "shop/Men/Shoes/a.jpg", 1)
    picture(tmp_path / "shop/b.jpg", 2)
    run_index(catalog, tmp_path / "shop")
    assert attributes(catalog, "Men/Shoes/a.jpg") == {"category": "Shoes"}
    assert attributes(catalog, "b.jpg") == {}


def test_tags_become_attributes_and_the_table_wins(tmp_path: Path, catalog: Path, run_index: Any, song: Any) -> None:
    tagged(song(tmp_path / "a.flac", 1), title="Own", artist="Somebody", date="1999-01-01")
    (tmp_path / "t.csv").write_text("id,path,title,artist\n1,a.flac,Told,\n")
    run_index(catalog, tmp_path / "t.csv")
    assert attributes(catalog, "1") == {"title": "Told", "artist": "Somebody", "year": 1999, "duration": 1}


def test_tags_taken_out_of_a_file_are_forgotten(tmp_path: Path, catalog: Path, run_index: Any, song: Any) -> None:
    path = tagged(song(tmp_path / "shop/a.flac", 1), title="Own", artist="Somebody")
    run_index(catalog, tmp_path / "shop")
    tagged(path, title="New")
    run_index(catalog)
    assert attributes(catalog, "a.flac") == {"title": "New", "duration": 1}


def test_metadata_adds_to_a_folder_and_is_remembered(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any
) -> None:
    pictures(tmp_path / "shop/Hats", 2)
    table = tmp_path / "m.csv"
    table.write_text("id,price,category\nHats/000.jpg,5,Caps\n")
    run_index(catalog, tmp_path / "shop", metadata=table)
    assert attributes(catalog, "Hats/000.jpg") == {"category": "Caps", "price": 5}
    assert attributes(catalog, "Hats/001.jpg") == {"category": "Hats"}
    table.write_text("id,price\nHats/000.jpg,6\n")
    for sources in ((), (tmp_path / "shop",)):
        run_index(catalog, *sources)
        assert attributes(catalog, "Hats/000.jpg") == {"category": "Hats", "price": 6}


def test_metadata_for_a_table_alone_is_refused(tmp_path: Path, catalog: Path, run_index: Any) -> None:
    (tmp_path / "t.csv").write_text("id,path\n")
    with pytest.raises(InputError, match="a table brings its own columns"):
        run_index(catalog, tmp_path / "t.csv", metadata=tmp_path / "t.csv")


def test_attributes_changed_in_the_table_alone_need_no_file(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any
) -> None:
    pictures(tmp_path, 3)
    table = tmp_path / "t.csv"
    table.write_text("id,path,price\n" + "".join(f"{i},00{i}.jpg,1\n" for i in range(3)))
    run_index(catalog, table)
    before = vectors(catalog)
    table.write_text(table.read_text().replace("002.jpg,1", "002.jpg,2"))
    report = run_index(catalog, table)
    assert (report.changed, report.unchanged, run_index.opened) == (1, 2, [])
    assert attributes(catalog, "2") == {"price": 2}
    assert vectors(catalog) == before


def test_a_file_and_its_attributes_changed_together_count_once(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any, picture: Any
) -> None:
    pictures(tmp_path, 2)
    table = tmp_path / "t.csv"
    table.write_text("id,path,price\n0,000.jpg,1\n1,001.jpg,1\n")
    run_index(catalog, table)
    table.write_text("id,path,price\n0,000.jpg,2\n1,001.jpg,1\n")
    picture(tmp_path / "000.jpg", 70)
    report = run_index(catalog, table)
    assert (report.changed, report.unchanged) == (1, 1)


# Several media, several sources


def test_an_item_of_several_files_keeps_all_vectors(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any, song: Any
) -> None:
    pictures(tmp_path, 2)
    tagged(song(tmp_path / "s.flac", 1), title="Own")
    (tmp_path / "t.jsonl").write_text('{"id": "x", "path": ["000.jpg", "001.jpg", "s.flac"]}')
    report = run_index(catalog, tmp_path / "t.jsonl")
    assert (report.added, report.items) == (3, 1)
    assert sorted(vectors(catalog)) == [("x", 0, 1), ("x", 1, 1), ("x", 2, 2)]
    assert attributes(catalog, "x")["title"] == "Own"
    (tmp_path / "t.jsonl").write_text('{"id": "x", "path": ["000.jpg"]}')
    report = run_index(catalog, tmp_path / "t.jsonl")
    assert (report.removed, report.items) == (2, 1)
    assert attributes(catalog, "x") == {}


def test_a_picture_that_becomes_a_sound_keeps_no_picture_vector(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any, songs: Any
) -> None:
    pictures(tmp_path, 1)
    songs(tmp_path, 1)
    table = tmp_path / "t.csv"
    table.write_text("id,path\nx,000.jpg\n")
    run_index(catalog, table)
    table.write_text("id,path\nx,000.wav\n")
    run_index(catalog, table)
    assert sorted(vectors(catalog)) == [("x", 0, 2)]


def test_two_sources_share_a_catalog_and_are_known_afterwards(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any, songs: Any
) -> None:
    pictures(tmp_path / "p", 2)
    songs(tmp_path / "s", 2)
    assert run_index(catalog, tmp_path / "p").items == 2
    assert run_index(catalog, tmp_path / "s").items == 4
    (tmp_path / "p/000.jpg").unlink()
    report = run_index(catalog)
    assert (report.removed, report.unchanged, report.items) == (1, 3, 3)


def test_an_id_of_another_source_is_a_failure_and_the_first_is_kept(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any
) -> None:
    pictures(tmp_path / "one", 1, seed=1)
    pictures(tmp_path / "two", 1, seed=2)
    run_index(catalog, tmp_path / "one")
    before = vectors(catalog)
    report = run_index(catalog, tmp_path / "two")
    assert (report.failed, report.items) == (1, 1)
    with Catalog.open(catalog) as opened:
        (failure,) = opened.failures()
    assert f"the id belongs to an item of {tmp_path / 'one'}" in failure.reason
    assert vectors(catalog) == before


def test_a_single_file_is_a_source(tmp_path: Path, catalog: Path, run_index: Any, pictures: Any) -> None:
    (path,) = pictures(tmp_path / "p", 1)
    assert run_index(catalog, path).added == 1
    assert run_index(catalog).unchanged == 1


# What is refused


def test_an_empty_folder_is_refused(tmp_path: Path, catalog: Path, run_index: Any) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("x")
    with pytest.raises(InputError, match="holds no picture or sound; expected files such as"):
        run_index(catalog, tmp_path / "empty")


def test_nothing_to_index_is_refused(tmp_path: Path, catalog: Path, run_index: Any) -> None:
    with pytest.raises(InputError, match="nothing to index: name a folder"):
        run_index(catalog)
    with pytest.raises(InputError, match="does not exist"):
        run_index(catalog, tmp_path / "nowhere")
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(InputError, match="neither a folder, a table"):
        run_index(catalog, tmp_path / "x.txt")


def test_a_source_that_now_holds_nothing_removes_nothing(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any
) -> None:
    pictures(tmp_path / "p", 2)
    run_index(catalog, tmp_path / "p")
    shutil.rmtree(tmp_path / "p")
    with pytest.raises(InputError, match="is not there now; is its disk mounted"):
        run_index(catalog)
    (tmp_path / "p").mkdir()
    with pytest.raises(InputError, match="2 of its files are in the catalog"):
        run_index(catalog)
    assert len(vectors(catalog)) == 2
    assert run_index(catalog, allow_empty=True).removed == 2


def test_a_source_that_is_really_gone_can_be_let_go(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any, songs: Any
) -> None:
    pictures(tmp_path / "p", 2)
    songs(tmp_path / "s", 1)
    run_index(catalog, tmp_path / "p", tmp_path / "s")
    shutil.rmtree(tmp_path / "p")
    report = run_index(catalog, allow_empty=True)
    assert (report.removed, report.items) == (2, 1)
    assert run_index(catalog).unchanged == 1


def test_a_changed_file_that_is_bad_keeps_its_last_good_vector(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any
) -> None:
    path, _ = pictures(tmp_path / "p", 2)
    run_index(catalog, tmp_path / "p")
    before = vectors(catalog)
    path.write_bytes(path.read_bytes()[:300])
    report = run_index(catalog)
    assert (report.changed, report.failed, report.items) == (1, 1, 2)
    assert vectors(catalog) == before
    with Catalog.open(catalog) as opened:
        assert [failure.item_id for failure in opened.failures()] == ["000.jpg"]


# Encoders


def test_another_fingerprint_is_refused_until_everything_is_embedded_again(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any, songs: Any
) -> None:
    pictures(tmp_path / "p", 2)
    songs(tmp_path / "s", 1)
    run_index(catalog, tmp_path / "p", tmp_path / "s")
    before = vectors(catalog)
    with Catalog.open(catalog) as opened, opened.connection as sql:
        sql.execute(
            "UPDATE encoders SET fingerprint='old', card=json_set(card, '$.revision', 99) WHERE modality='image'"
        )
        sql.execute("UPDATE vectors SET vector=zeroblob(8)")
    with pytest.raises(StaleIndexError, match=f"simkin index --re-embed --catalog {catalog}"):
        run_index(catalog)
    run_index(catalog, tmp_path / "p", re_embed=True)
    assert vectors(catalog) == before, "the sources that were not named, too"
    assert run_index(catalog).unchanged == 3


def test_embedding_again_goes_on_where_it_was_interrupted(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "p", 4)
    run_index(catalog, tmp_path / "p")
    describe = run_index.describe

    def interrupted(job: Any) -> Any:
        if len(run_index.opened) == 3:
            raise KeyboardInterrupt
        return describe(job)

    run_index.describe = interrupted
    with pytest.raises(KeyboardInterrupt):
        run_index(catalog, re_embed=True)
    assert len(vectors(catalog)) == 2
    run_index.describe = describe
    run_index(catalog, re_embed=True)
    assert (len(run_index.opened), len(vectors(catalog))) == (2, 4)
    run_index(catalog, re_embed=True)
    assert len(run_index.opened) == 4, "asked anew, it begins anew"


def test_an_encoder_added_later_describes_what_is_there(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any, songs: Any
) -> None:
    pictures(tmp_path / "m", 2)
    songs(tmp_path / "m", 1)
    run_index(catalog, tmp_path / "m", encoders=("builtin-image",))
    assert len(vectors(catalog)) == 2
    run_index(catalog, encoders=("builtin-audio",))
    assert (len(vectors(catalog)), run_index.opened) == (3, ["000.wav"])


def test_an_encoder_that_gives_no_numbers_is_a_failure(
    tmp_path: Path, catalog: Path, run_index: Any, pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "p", 3)
    made = iter([np.nan, 0.0, 1.0])

    def spoil(_: object, path: Path) -> Any:
        return np.full(1292, next(made), np.float32)

    monkeypatch.setattr("vision.builtin.BuiltinPictureEncoder.describe", spoil)
    report = run_index(catalog, tmp_path / "p")
    assert (report.failed, len(vectors(catalog)), report.items) == (2, 1, 1)


# The command line


def test_failed_files_make_the_exit_code_3(tmp_path: Path, catalog: Path, run_simkin: Any, pictures: Any) -> None:
    pictures(tmp_path / "p", 2)
    (tmp_path / "p/bad.jpg").write_text("no picture")
    done = run_simkin("index", tmp_path / "p", "--catalog", catalog, "--json")
    assert done.returncode == 3
    report = json.loads(done.stdout)
    assert (report["event"], report["added"], report["failed"], report["items"]) == ("indexed", 3, 1, 2)
    assert "1 files failed; see: simkin failures" in done.stderr
    listed = run_simkin("failures", "--catalog", catalog, "--json")
    assert json.loads(listed.stdout)["id"] == "bad.jpg"
    told = run_simkin("index", tmp_path / "p", "--catalog", catalog).stdout
    assert "2 items (3 unchanged; 1 of these files failed) in" in told


def test_a_refusal_is_one_line_without_traceback(tmp_path: Path, catalog: Path, run_simkin: Any) -> None:
    (tmp_path / "t.csv").write_text("path\na.jpg\n")
    done = run_simkin("index", tmp_path / "t.csv", "--catalog", catalog)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {tmp_path / 't.csv'} has no column 'id'; found: path\n"
