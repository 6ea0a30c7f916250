"""Every item's neighbours: both formats, equal to single questions, whole or not there."""

from __future__ import annotations

import json

import pyarrow.parquet
import pytest

from index.answering import batch, batch_workers
from index.answering.batch import write_all
from index.answers import Query
from index.errors import InputError, LockedError, SimkinError, StorageError, UnknownNameError


@pytest.fixture(scope="module")
def made(make_catalog):
    """A small catalog with a few copies."""
    made = make_catalog()
    made.fill(150)
    vectors, _ = made.points(150)
    made.add([f"copy-{row}" for row in range(20)], vectors[:20], ["kind-00"] * 20)
    made.build()
    return made


def _rows(path):
    if path.suffix == ".jsonl":
        return [tuple(json.loads(line).values()) for line in path.read_text().splitlines()]
    table = pyarrow.parquet.read_table(path)
    assert table.schema.names == ["query", "rank", "id", "score"]
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


@pytest.mark.parametrize(
    "query",
    [
        Query(k=5),
        Query(relation="style", k=3, where="price<50"),
        Query(relation="substitute", k=200, duplicates=True),
        Query(k=4, diversity=0.5),
    ],
)
def test_both_formats_equal_single_questions(made, tmp_path, query, monkeypatch):
    """Whatever is asked, also when rows are written in several pieces."""
    monkeypatch.setattr(batch, "QUERIES_AT_ONCE", 40)
    recommender = made.open()
    told: list[tuple[int, int]] = []
    found = []
    for name in ("a.jsonl", "a.parquet"):
        assert write_all(recommender, query, tmp_path / name, lambda done, total: told.append((done, total))) == 170
        found.append(_rows(tmp_path / name))
    assert [row[:3] for row in found[0]] == [row[:3] for row in found[1]]
    assert [row[3] for row in found[0]] == pytest.approx([row[3] for row in found[1]], abs=1e-6)
    expected = []
    for item_id in sorted(recommender.item_ids("image")):
        answer = recommender.query(
            item_id, relation=query.relation, k=query.k, where=query.where, diversity=query.diversity,
            duplicates=query.duplicates,
        )  # fmt: skip
        expected += [(item_id, hit.rank, hit.item_id) for hit in answer.hits]
    assert [row[:3] for row in found[0]] == expected
    assert told[0] == (0, 170)
    assert told[-1] == (170, 170)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "a.parquet"]


def _stopping_at(limit):
    def stop(done: int, _total: int) -> None:
        if done >= limit:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_an_interrupted_run_leaves_the_old_file_and_goes_on(made, tmp_path, name, monkeypatch):
    """The file appears only when it is whole, and nobody finished is asked about again."""
    monkeypatch.setattr(batch, "QUERIES_AT_ONCE", 40)
    recommender = made.open()
    assert write_all(recommender, Query(k=2), tmp_path / f"whole-{name}") == 170
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_all(recommender, Query(k=2), tmp_path / name, _stopping_at(80))
    assert (tmp_path / name).read_bytes() == b"old"
    asked = []
    each = recommender.scores_of_each
    monkeypatch.setattr(recommender, "scores_of_each", lambda query, ids: asked.extend(ids) or each(query, ids))
    assert write_all(recommender, Query(k=2), tmp_path / name) == 170
    assert len(asked) == 170 - 80
    assert _rows(tmp_path / name) == _rows(tmp_path / f"whole-{name}")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"whole-{name}"])


@pytest.mark.parametrize("other", [Query(k=3), Query(k=2, where="price<50"), None])
def test_another_question_or_a_changed_catalog_begins_anew(make_catalog, tmp_path, other, monkeypatch):
    """Parts of two questions, or of two states of a catalog, are never joined."""
    monkeypatch.setattr(batch, "QUERIES_AT_ONCE", 20)
    made = make_catalog()
    made.fill(60)
    made.build()
    recommender = made.open()
    with pytest.raises(KeyboardInterrupt):
        write_all(recommender, Query(k=2), tmp_path / "a.jsonl", _stopping_at(50))
    if other is None:
        made.add(["new"], made.points(1, seed=4)[0], ["kind-00"])
    query = other or Query(k=2)
    assert write_all(recommender, query, tmp_path / "a.jsonl") == (60 if other else 61)
    write_all(recommender, query, tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_several_processes_write_the_same_file(made, tmp_path, monkeypatch):
    """Whoever is done first, answers stand in id order; interrupted, the run goes on."""
    monkeypatch.setattr(batch, "QUERIES_AT_ONCE", 20)
    told: list[int] = []
    for name in ("a.parquet", "a.jsonl"):
        write_all(made.open(), Query(k=3), tmp_path / f"alone-{name}")
        write_all(made.open(), Query(k=3), tmp_path / name, lambda done, _total: told.append(done), processes=2)
        assert _rows(tmp_path / name) == _rows(tmp_path / f"alone-{name}")
    assert told[-1] == 170
    with pytest.raises(KeyboardInterrupt):
        write_all(made.open(), Query(k=2), tmp_path / "b.jsonl", _stopping_at(100), processes=2)
    assert write_all(made.open(), Query(k=2), tmp_path / "b.jsonl", processes=2) == 170
    assert len(_rows(tmp_path / "b.jsonl")) == 340
    assert not list(tmp_path.glob(".*"))


def test_a_process_that_is_killed_ends_the_run_and_the_next_goes_on(made, tmp_path, monkeypatch):
    """What was finished stays; the sentence says what to do."""
    monkeypatch.setattr(batch, "QUERIES_AT_ONCE", 20)
    started = []
    start = batch_workers._Process.start

    def remembered(*arguments):
        started.append(start(*arguments))
        return started[-1]

    monkeypatch.setattr(batch_workers._Process, "start", remembered)

    def kill(done: int, _total: int) -> None:
        if done >= 40:
            for one in started:
                one.process.kill()

    with pytest.raises(SimkinError, match="run the same command to go on"):
        write_all(made.open(), Query(k=2), tmp_path / "a.jsonl", kill, processes=2)
    assert not (tmp_path / "a.jsonl").exists()
    assert write_all(made.open(), Query(k=2), tmp_path / "a.jsonl", processes=2) == 170


def test_interrupted_before_anything_was_answered_nothing_is_left(made, tmp_path):
    """Not even a folder."""
    with pytest.raises(KeyboardInterrupt):
        write_all(made.open(), Query(k=2), tmp_path / "a.jsonl", _stopping_at(0))
    assert list(tmp_path.iterdir()) == []


def test_two_runs_do_not_write_the_same_file(made, tmp_path):
    """The second is told so, and the first goes on."""
    inner = []

    def meanwhile(done: int, _total: int) -> None:
        if not inner:
            with pytest.raises(LockedError, match="being written by another process"):
                write_all(made.open(), Query(k=2), tmp_path / "a.jsonl")
            inner.append(done)

    assert write_all(made.open(), Query(k=2), tmp_path / "a.jsonl", meanwhile) == 170


@pytest.mark.parametrize("name", ["out.csv", "out", ".parquet"])
def test_other_endings_are_refused(made, tmp_path, name):
    """Before any work is done."""
    with pytest.raises(InputError, match=r"must end in \.parquet or \.jsonl"):
        write_all(made.open(), Query(), tmp_path / name)


def test_a_place_that_cannot_be_written_is_told(made, tmp_path):
    """A missing folder is a sentence."""
    with pytest.raises(StorageError, match="cannot write"):
        write_all(made.open(), Query(), tmp_path / "nowhere" / "a.jsonl")


def test_what_cannot_be_asked_is_refused(made, tmp_path):
    """No item has such facets; no such relation."""
    with pytest.raises(InputError, match="no item"):
        write_all(made.open(), Query(relation="similar-track"), tmp_path / "a.jsonl")
    with pytest.raises(UnknownNameError):
        write_all(made.open(), Query(relation="nonsense"), tmp_path / "a.jsonl")
    assert not list(tmp_path.iterdir())


def test_items_without_vectors_are_left_out(make_catalog, tmp_path):
    """An item whose file failed has no neighbours and stops nobody."""
    made = make_catalog()
    made.fill(12)
    with made.catalog.connection as sql:
        sql.execute("DELETE FROM vectors WHERE media=1")
        sql.execute("UPDATE items SET changed=? WHERE item=1", (made.catalog.next_sequence(),))
    made.build()
    assert write_all(made.open(), Query(k=3), tmp_path / "a.jsonl") == 11
