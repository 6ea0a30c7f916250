"""Everybody's neighbours among shards, over an index in partitions: what one index over everything would answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from index.embedding.shards import EncoderShards, Manifest, Row, shard_name, write_shard
from index.engine.head import Head
from index.engine.sphere import Sphere
from index.errors import InputError, LockedError, UnknownNameError
from index.learned import Behaviour, hold_relation
from index.lock import writer_lock
from index.partitioned import job
from index.partitioned.job import PartitionedOptions, answer_everybody
from index.relations import Relation
from simkin.cli import main

NAME = "builtin-image"
COUNT = 900


@pytest.fixture(scope="module")
def made(make_catalog: Callable[[], Any], searching_by: Callable[[str], Any]) -> Any:
    """A catalog that tells the spaces, with a learned relation."""
    made = make_catalog()
    made.fill(300, categories=3)
    made.build()
    space = made.open().generation.spaces["image"]
    matrix = np.ascontiguousarray(np.linalg.svd(np.asarray(space.vectors), full_matrices=False)[2][:20].T * 3)
    nothing = np.zeros(20, np.float32)
    head = Head(space.projection, matrix[:, ::-1].copy(), matrix, nothing, 1.0, nothing[: len(space.projection.parts)])
    relation = Relation("bought", {}, "other category", ("image",), "Made for a test.", head.digest)
    with made.catalog.connection:
        hold_relation(made.catalog, relation, [NAME], head, "{}")
    made.build()
    return made


@pytest.fixture(scope="module")
def shards(made: Any, write_shards: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Twelve or so of them."""
    return write_shards(tmp_path_factory.mktemp("shards"), made, COUNT)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that partitions have several."""
    monkeypatch.setattr("index.partitioned.asking.CHUNK", 150)


def answers_files(out: Path) -> list[Path]:
    return sorted(out.glob("part-*.parquet"))


def answers(out: Path) -> dict[str, list[tuple[str, float]]]:
    """Query → its answers, best first."""
    found: dict[str, list[tuple[str, float]]] = {}
    for path in answers_files(out):
        for row in pyarrow.parquet.read_table(path).to_pylist():
            own = found.setdefault(row["query"], [])
            own.append((row["id"], row["score"]))
            assert row["rank"] == len(own)
    return found


def truth(made: Any, shards: Any, relation: str, k: int) -> dict[str, list[tuple[str, float]]]:
    """Every item compared with every other."""
    recommender = made.open()
    asked = recommender.catalog.relation(relation)
    ((_, space, _),) = recommender.generation.asked_by(asked)
    rows = space.project(shards.raw)
    products = space.question(asked, rows) @ rows.T
    names = np.array([name or "" for name in shards.categories])
    same = names[:, None] == names[None]
    allowed = {"any": np.ones_like(same), "same category": same, "other category": ~same}[asked.rule]
    allowed[names == ""] = True
    np.fill_diagonal(allowed, val=False)
    products = np.where(allowed, products, -np.inf)
    found = {}
    for at, name in enumerate(shards.ids):
        best = [row for row in np.argsort(-products[at], kind="stable")[:k] if allowed[at, row]]
        scores = space.scores(rows[at], products[at, best]) if best else []
        found[name] = [(shards.ids[row], float(score)) for row, score in zip(best, scores, strict=True)]
    return found


def recall_of(found: dict[str, list[tuple[str, float]]], true: dict[str, list[tuple[str, float]]]) -> float:
    assert found.keys() == {name for name, own in true.items() if own}
    hits = sum(len({name for name, _ in own} & {name for name, _ in true[query]}) for query, own in found.items())
    return hits / sum(map(len, true.values()))


@pytest.mark.parametrize("relation", ["similar", "substitute", "style", "bought"])
@pytest.mark.parametrize("size", [1, 300, 10_000])
def test_answers_are_those_of_one_index(made: Any, shards: Any, tmp_path: Path, relation: str, size: int) -> None:
    """Under every rule, with partitions of one shard, of some, and of all; several files of one item count as one."""
    seen: list[str] = []
    report = answer_everybody(
        made.open(), shards.folder, relation, tmp_path / "out", PartitionedOptions(k=12, partition_size=size),
        lambda stage, done, total: seen.append(stage) if done == total else None,
    )  # fmt: skip
    true = truth(made, shards, relation, 12)
    found = answers(tmp_path / "out")
    for query, own in true.items():
        assert [score for _, score in found.get(query, [])] == pytest.approx([score for _, score in own], abs=1e-5)
    assert recall_of(found, true) > 0.999
    assert (report.items, report.told, report.recall, report.measured_on) == (COUNT, 1.0, 1.0, 384)
    assert report.partitions == {1: 8, 300: 3, 10_000: 1}[size]
    assert dict.fromkeys(seen) == dict.fromkeys(["building", "asking", "measuring", "writing"])
    assert json.loads((tmp_path / "out" / "report.json").read_text())["items"] == COUNT
    assert not (tmp_path / "out" / ".work").exists()


@pytest.mark.parametrize("relation", ["similar", "substitute", "bought"])
def test_the_recall_told_is_that_of_the_answers(
    made: Any, shards: Any, tmp_path: Path, relation: str, searching_by: Callable[[str], Any]
) -> None:
    """Partitions that are searched by cells miss some; how many is measured over all of them together."""
    with searching_by("cells"):
        made.catalog.set_setting("recall", "0.9")
        options = PartitionedOptions(k=10, partition_size=450)
        report = answer_everybody(made.open(), shards.folder, relation, tmp_path / "out", options)
        made.catalog.connection.rollback()
    measured = recall_of(answers(tmp_path / "out"), truth(made, shards, relation, 10))
    assert measured > 0.85
    assert report.recall == pytest.approx(measured, abs=0.03)
    assert 0.85 < report.told <= 1


@pytest.mark.parametrize("stage", ["building", "asking", "measuring", "writing"])
def test_an_interrupted_job_goes_on(
    made: Any, shards: Any, tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was finished is not done again, and nothing differs in the end."""
    options = PartitionedOptions(k=5, partition_size=300)
    answer_everybody(made.open(), shards.folder, "substitute", tmp_path / "whole", options)

    def stop(at: str, done: int, total: int) -> None:
        if at == stage and done * 2 > total:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        answer_everybody(made.open(), shards.folder, "substitute", out, options, stop)
    done: list[tuple[str, int]] = []
    do = job.Worker.do
    monkeypatch.setattr(job.Worker, "do", lambda self, task: done.append((task.stage, task.number)) or do(self, task))
    with pytest.raises(InputError, match="belongs to another job"):
        answer_everybody(made.open(), shards.folder, "substitute", out, replace(options, k=6))
    answer_everybody(made.open(), shards.folder, "substitute", out, options)
    parts = len(answers_files(tmp_path / "whole"))
    assert 0 < len(done) < 3 + 3 * parts + 3 + parts
    assert answers(out) == answers(tmp_path / "whole")


def test_lost_answers_are_found_again(made: Any, shards: Any, tmp_path: Path) -> None:
    """A file that a power cut left empty: its chunk asks everybody anew."""
    options = PartitionedOptions(k=5, partition_size=300)
    answer_everybody(made.open(), shards.folder, "similar", tmp_path / "whole", options)

    def stop(at: str, done: int, total: int) -> None:
        if at == "asking" and done * 4 > 3 * total:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        answer_everybody(made.open(), shards.folder, "similar", out, options, stop)
    held = sorted((out / ".work" / "answers").iterdir())
    held[0].write_bytes(b"")
    held[1].write_bytes(held[1].read_bytes()[:100])
    answer_everybody(made.open(), shards.folder, "similar", out, options)
    assert answers(out) == answers(tmp_path / "whole")


def shards_of(folder: Path, made: Any, files: list[tuple[str, int, bytes]], size: int) -> Path:
    """Shards of files: id, position, and vector, empty for a failed one."""
    shards = {}
    for number, start in enumerate(range(0, len(files), size)):
        rows = [
            Row(name, position, f"/p/{name}-{position}", "{}", "{}", vector, "" if vector else "decode", "")
            for name, position, vector in files[start : start + size]
        ]
        shards[shard_name(number)] = write_shard(folder / NAME / shard_name(number), NAME, made.card, rows)
    Manifest(["/p"], {NAME: EncoderShards(NAME, made.card, shards)}).save(folder)
    return folder


def test_an_item_with_files_in_several_partitions_is_one(made: Any, tmp_path: Path) -> None:
    """Wherever its files begin and end, whatever their positions, more of them than a shard holds."""
    vectors, _ = made.points(200, seed=3)
    files = [(f"a{at}", 2, vectors[at].tobytes()) for at in range(35)]
    files += [("large", 5 + at, vectors[40 + at].tobytes()) for at in range(90)]
    files += [(f"b{at}", 0, vectors[140 + at].tobytes()) for at in range(30)]
    folder = shards_of(tmp_path / "shards", made, files, 20)
    seen = []
    for size in (1, 50, 1000):
        out = tmp_path / f"out-{size}"
        report = answer_everybody(made.open(), folder, "similar", out, PartitionedOptions(k=5, partition_size=size))
        assert (report.items, report.recall) == (66, 1.0)
        found = {query: [name for name, _ in own] for query, own in answers(out).items()}
        assert len(found) == 66
        seen.append(found)
    assert seen[0] == seen[1] == seen[2]


def test_partitions_without_vectors_are_passed_over(made: Any, tmp_path: Path) -> None:
    """All files of some shards failed."""
    vectors, _ = made.points(60, seed=3)
    files = [(f"a{at}", 0, b"" if 20 <= at < 40 else vectors[at].tobytes()) for at in range(60)]
    folder = shards_of(tmp_path / "shards", made, files, 10)
    options = PartitionedOptions(k=3, partition_size=10)
    report = answer_everybody(made.open(), folder, "similar", tmp_path / "out", options)
    assert (report.items, report.partitions, report.recall) == (40, 6, 1.0)
    nothing = shards_of(tmp_path / "nothing", made, [("a", 0, b""), ("b", 0, b"")], 1)
    with pytest.raises(InputError, match="holds no vector"):
        answer_everybody(made.open(), nothing, "similar", tmp_path / "none", options)


def test_files_that_came_later_never_make_an_item_its_own_answer(made: Any, tmp_path: Path) -> None:
    """A later run of embed appended them, far from the first ones."""
    vectors, _ = made.points(60, seed=3)
    files = [(f"a{at}", 0, vectors[at].tobytes()) for at in range(60)]
    files += [(f"a{at}", 1, vectors[at].tobytes()) for at in range(5)]
    folder = shards_of(tmp_path / "shards", made, files, 10)
    for size, items in ((10, 65), (1000, 60)):
        out = tmp_path / f"out-{size}"
        report = answer_everybody(made.open(), folder, "similar", out, PartitionedOptions(k=3, partition_size=size))
        assert report.items == items
        for path in answers_files(out):
            for row in pyarrow.parquet.read_table(path).to_pylist():
                assert row["query"] != row["id"]


def test_what_a_run_killed_at_its_very_end_left_is_removed(made: Any, shards: Any, tmp_path: Path) -> None:
    """The answers are whole, and said to be."""
    out, options = tmp_path / "out", PartitionedOptions()
    answer_everybody(made.open(), shards.folder, "similar", out, options)
    (out / ".work" / "answers").mkdir(parents=True)
    with pytest.raises(InputError, match="finished answers"):
        answer_everybody(made.open(), shards.folder, "similar", out, options)
    assert not (out / ".work").exists()


def test_work_of_another_layout_is_not_gone_on_with(
    made: Any, shards: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of another version mean something else."""

    def stop(at: str, done: int, total: int) -> None:
        if at == "asking":
            raise KeyboardInterrupt

    out, options = tmp_path / "out", PartitionedOptions(partition_size=300)
    with pytest.raises(KeyboardInterrupt):
        answer_everybody(made.open(), shards.folder, "similar", out, options, stop)
    monkeypatch.setattr("index.partitioned.terms.LAYOUT", [999, 1])
    with pytest.raises(InputError, match="belongs to another job"):
        answer_everybody(made.open(), shards.folder, "similar", out, options)
    row = {"stage": ["ask"], "number": [0], "turn": [0]}
    told = job.Worker(out.absolute() / ".work", out)(row)
    assert "another version of simkin" in told["problem"][0]


def test_what_does_not_fit_is_refused(made: Any, shards: Any, tmp_path: Path) -> None:
    """With a sentence that says why."""
    recommender, options, out = made.open(), PartitionedOptions(), tmp_path / "out"
    with pytest.raises(UnknownNameError, match="similar"):
        answer_everybody(recommender, shards.folder, "similaar", out, options)
    with pytest.raises(InputError, match="no folder"):
        answer_everybody(recommender, tmp_path / "nowhere", "similar", out, options)
    with pytest.raises(InputError, match="asked of audio items"):
        answer_everybody(recommender, shards.folder, "similar-track", out, options)
    with pytest.raises(InputError, match="at least 1"):
        answer_everybody(recommender, shards.folder, "similar", out, replace(options, k=0))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        answer_everybody(recommender, shards.folder, "similar", tmp_path / "other", options)
    assert not out.exists()
    answer_everybody(recommender, shards.folder, "similar", out, options)
    with pytest.raises(InputError, match="finished answers"):
        answer_everybody(recommender, shards.folder, "similar", out, options)
    (out / "report.json").unlink()
    with pytest.raises(InputError, match="answers of another job"):
        answer_everybody(recommender, shards.folder, "similar", out, options)
    (tmp_path / "busy").mkdir()
    with writer_lock(tmp_path / "busy"), pytest.raises(LockedError, match="being written"):
        answer_everybody(recommender, shards.folder, "similar", tmp_path / "busy", options)


def test_two_at_once_are_refused(made: Any, shards: Any, tmp_path: Path) -> None:
    """One output, one driver."""
    out, options, refused = tmp_path / "out", PartitionedOptions(partition_size=300), []

    def again(stage: str, done: int, total: int) -> None:
        if stage == "asking" and not refused:
            with pytest.raises(LockedError, match="is being written by process"):
                answer_everybody(made.open(), shards.folder, "similar", out, options)
            refused.append(1)

    answer_everybody(made.open(), shards.folder, "similar", out, options, again)
    assert refused


def test_vectors_of_another_encoder_are_refused(made: Any, tmp_path: Path) -> None:
    """Their numbers mean something else."""
    other = replace(made.card, revision=made.card.revision + 1)
    shard = write_shard(tmp_path / NAME / shard_name(0), NAME, other, [])
    Manifest(["/p"], {NAME: EncoderShards(NAME, other, {shard_name(0): shard})}).save(tmp_path)
    with pytest.raises(InputError, match="fingerprint"):
        answer_everybody(made.open(), tmp_path, "similar", tmp_path / "out", PartitionedOptions())


def test_a_damaged_shard_is_named(made: Any, write_shards: Callable[..., Any], tmp_path: Path) -> None:
    """Before anything is made of it."""
    shards = write_shards(tmp_path / "shards", made, 100)
    path = shards.folder / NAME / shard_name(0)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"shard-000000\.parquet is missing or not what was written"):
        answer_everybody(made.open(), shards.folder, "similar", tmp_path / "out", PartitionedOptions())


def test_by_command_line(made: Any, shards: Any, tmp_path: Path) -> None:
    """What came of it, and what is refused."""
    words = ["query", "--all", "--embeddings", str(shards.folder), "--catalog", str(made.folder), "-k", "3"]
    done = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "out"), "--partition-size", "300", "--json"])
    assert done.exit_code == 0, done.output
    event = json.loads(done.stdout.splitlines()[-1])
    assert (event["event"], event["items"], event["partitions"], event["recall"]) == ("asked", COUNT, 3, 1.0)
    told = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "more")])
    assert "similar of 900 items over 1 partition in" in told.stdout
    for more in (["--where", "price<5"], ["--user", "x"], ["--diversity", "0.5"]):
        assert "only --relation and -k" in CliRunner().invoke(main, [*words, "--out", "o", *more]).output
    without = CliRunner().invoke(main, ["query", "ware", "--embeddings", "x", "--catalog", str(made.folder)])
    assert "--embeddings goes with --all" in without.output


def test_items_stand_where_their_behaviour_puts_them(
    make_catalog: Callable[[], Any], shards: Any, tmp_path: Path
) -> None:
    """Those that the catalog knows behaviour of, as in the catalog; the others where content predicts."""
    made = make_catalog()
    made.fill(200)
    known = list(range(0, COUNT, 9))
    made.add([shards.ids[at] for at in known], shards.raw[known], [None] * len(known))
    made.build()
    projection = made.open().generation.spaces["image"].projection
    rng = np.random.default_rng(3)
    matrix = rng.normal(0, 0.5, (projection.dim, 6)).astype(np.float32)
    facets = projection.project(shards.raw)
    sphere = Sphere(facets.mean(axis=0), 1.5)
    places = sphere.on(rng.normal(size=(len(known), 6)).astype(np.float32))
    nothing = np.zeros(len(projection.parts), np.float32)
    head = Head(projection, matrix, matrix, np.zeros(6, np.float32), 2.0, nothing, sphere)
    relation = Relation("used", {}, "any", ("image",), "Made for a test.", head.digest)
    behaviour = Behaviour(np.array(made.catalog.keys_of([shards.ids[at] for at in known])), places)
    with made.catalog.connection:
        hold_relation(made.catalog, relation, [NAME], head, "{}", behaviour)
    made.build()
    answer_everybody(made.open(), shards.folder, "used", tmp_path / "out", PartitionedOptions(k=5, partition_size=300))
    points = (facets.astype(float) - sphere.mean) @ matrix
    stands = 1.5 * points / np.linalg.norm(points, axis=1, keepdims=True)
    stands[known] = places
    probable = 1 / (1 + np.exp(((stands[:, None] - stands[None]) ** 2).sum(axis=2) - 2.0))
    np.fill_diagonal(probable, -1)
    found = answers(tmp_path / "out")
    for at, name in enumerate(shards.ids):
        best = np.sort(probable[at])[::-1][:5]
        np.testing.assert_allclose([score for _, score in found[name]], best, rtol=1e-3)
