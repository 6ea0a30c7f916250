"""Batch embedding: shards, their manifest, and runs that are killed and go on."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import index.embedding.local
from index.embedding.job import SPOOL, EmbedOptions, EmbedReport, embed
from index.embedding.plan import JOB
from index.embedding.shards import MANIFEST, encoder_folder, read_vectors
from index.encoders import card_of
from index.errors import InputError, LockedError, StorageError
from index.ingesting.workers import Described
from index.lock import writer_lock

COLUMNS = [
    "id", "position", "path", "encoder", "fingerprint", "vector", "status", "stage", "error", "attributes", "tags"
]  # fmt: skip
Run = Callable[..., EmbedReport]


def table_of(folder: Path) -> pyarrow.Table:
    """All rows of one encoder's folder."""
    shards = sorted(folder.glob("shard-*.parquet"))
    return pyarrow.concat_tables(pyarrow.parquet.read_table(shard) for shard in shards)


def bytes_of(folder: Path) -> list[tuple[str, bytes]]:
    """Each row's id and the bytes of its vector."""
    table = table_of(folder)
    ids, vectors = table.column("id").to_pylist(), table.column("vector").to_pylist()
    return [(i, b"" if v is None else np.array(v, "<f4").tobytes()) for i, v in zip(ids, vectors, strict=True)]


def stamps(folder: Path) -> dict[str, int]:
    """When each shard was written."""
    return {shard.name: shard.stat().st_mtime_ns for shard in folder.glob("shard-*.parquet")}


def finished_shards(out: Path) -> list[str]:
    """Names of the picture shards that the manifest vouches for."""
    try:
        held = json.loads((out / MANIFEST).read_text())["encoders"]["builtin-image"]["shards"]
    except FileNotFoundError:
        return []
    return list(held)


@pytest.fixture
def run(run_index: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Embed in this process: ``run(out, *sources, **EmbedOptions)``."""
    monkeypatch.setattr(index.embedding.local, "describe_all", run_index.describe_all)
    return lambda out, *sources, **options: embed(list(sources), out, EmbedOptions(**options))


KILLS = 20


@pytest.mark.slow
def test_twenty_kills_give_the_bytes_of_an_undisturbed_run(picture: Callable[..., Path], tmp_path: Path) -> None:
    """The kills come at random moments; finished shards are not redone, and little is described twice."""
    count = 300
    for number in range(count):
        picture(tmp_path / "photos" / f"{number:03d}.jpg", number, (640, 480))
    (tmp_path / "photos" / "057.jpg").write_bytes(b"not a picture")
    out, whole = tmp_path / "killed", tmp_path / "whole"
    folder = out / "builtin-image"
    command = [sys.executable, "-m", "simkin", "embed", str(tmp_path / "photos"), "--out", str(out)]
    command += ["--shard-size", "7", "--workers", "1"]
    rng = random.Random(5)
    kept: dict[str, int] = {}
    killed = 0
    for kill in range(KILLS):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if kill % 2:  # the others come before anything is written
            while process.poll() is None and len(finished_shards(out)) <= len(kept):
                time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05) if kill % 2 else rng.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        killed += process.wait(timeout=30) == -signal.SIGKILL
        now = stamps(folder)
        assert {name: now[name] for name in kept} == kept, "a finished shard was written again"
        kept = {name: now[name] for name in finished_shards(out)}
    assert killed >= KILLS // 2  # a machine that stalls this process may let a run end
    finished = len(kept)
    report = embed([tmp_path / "photos"], out, EmbedOptions(workers=2, shard_size=7))
    assert (report.files, report.failed, report.finished) == (count, 1, finished)
    assert {name: stamps(folder)[name] for name in kept} == kept
    assert not (out / SPOOL).exists()
    embed([tmp_path / "photos"], whole, EmbedOptions(workers=1, shard_size=100))
    assert len(stamps(whole / "builtin-image")) == 3
    assert bytes_of(folder) == bytes_of(whole / "builtin-image")


def test_a_kill_in_the_middle_of_a_large_shard_costs_seconds(
    run: Run, run_index: Any, pictures: Callable[..., list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was described is committed before its shard is complete."""
    pictures(tmp_path / "photos", 6)
    monkeypatch.setattr("index.embedding.plan.COMMIT_ROWS", 1)

    def dies(jobs: Any, workers: int) -> Any:
        for number, described in enumerate(run_index.describe_all(jobs, workers)):
            if number == 4:
                raise KeyboardInterrupt
            yield described

    with monkeypatch.context() as patch:
        patch.setattr(index.embedding.local, "describe_all", dies)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out", tmp_path / "photos")
    run_index.opened = []
    report = run(tmp_path / "out", tmp_path / "photos")
    assert run_index.opened == ["004.jpg", "005.jpg"]
    assert (report.files, report.described, report.shards) == (6, 2, 1)
    run(tmp_path / "whole", tmp_path / "photos")
    assert bytes_of(tmp_path / "out" / "builtin-image") == bytes_of(tmp_path / "whole" / "builtin-image")


def test_a_source_that_vanishes_fails_no_files(
    run: Run, run_index: Any, pictures: Callable[..., list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is unmounted ends the run with one sentence; once it is back, the same command goes on."""
    pictures(tmp_path / "photos", 6)

    def unmounted(jobs: Any, workers: int) -> Any:
        for described in run_index.describe_all(jobs, workers):
            yield described
            if len(run_index.opened) == 3:
                (tmp_path / "photos").rename(tmp_path / "elsewhere")
                (tmp_path / "photos").mkdir()

    with monkeypatch.context() as patch:
        patch.setattr(index.embedding.local, "describe_all", unmounted)
        with pytest.raises(InputError, match="photos vanished while it was read"):
            run(tmp_path / "out", tmp_path / "photos", shard_size=2)
    assert finished_shards(tmp_path / "out") == ["shard-000000.parquet"]
    (tmp_path / "photos").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "photos")
    report = run(tmp_path / "out", tmp_path / "photos", shard_size=2)
    assert (report.files, report.failed, report.finished) == (6, 0, 1)


def test_columns_and_the_fixed_size_of_vectors(
    run: Run, picture: Callable[..., Path], song: Callable[..., Path], tmp_path: Path
) -> None:
    """One folder for each encoder, each with its modality's items."""
    picture(tmp_path / "media" / "shoes" / "a.png", 1)
    song(tmp_path / "media" / "b.wav", 2)
    assert run(tmp_path / "out", tmp_path / "media").files == 2
    for name, item in (("builtin-image", "shoes/a.png"), ("builtin-audio", "b.wav")):
        table, card = table_of(tmp_path / "out" / name), card_of(name)
        assert table.column_names == COLUMNS
        assert table.schema.field("vector").type == pyarrow.list_(pyarrow.float32(), card.dim)
        (row,) = table.to_pylist()
        assert (row["id"], row["path"]) == (item, str(tmp_path / "media" / item))
        assert (row["encoder"], row["fingerprint"], row["status"]) == (name, card.fingerprint, "ok")
        assert row["stage"] is None
        assert row["error"] is None


def test_read_vectors_passes_failures_over(run: Run, pictures: Callable[..., list[Path]], tmp_path: Path) -> None:
    """Other programs read ids beside float32 (n, dim)."""
    pictures(tmp_path / "photos", 5)
    (tmp_path / "photos" / "002.jpg").write_bytes(b"")
    run(tmp_path / "out", tmp_path / "photos", shard_size=2, npy=True)
    folder, dim = tmp_path / "out" / "builtin-image", card_of("builtin-image").dim
    parts = list(read_vectors(folder))
    assert [i for ids, _ in parts for i in ids] == ["000.jpg", "001.jpg", "003.jpg", "004.jpg"]
    vectors = np.concatenate([part for _, part in parts])
    assert (vectors.dtype, vectors.shape) == (np.float32, (4, dim))
    assert [v.tobytes() for v in vectors] == [content for _, content in bytes_of(folder) if content]
    half = np.load(folder / "vectors.npy")
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, vectors.astype(np.float16))
    assert pyarrow.parquet.read_table(folder / "metadata.parquet").column("id").to_pylist() == [
        "000.jpg", "001.jpg", "003.jpg", "004.jpg"
    ]  # fmt: skip
    with pytest.raises(InputError, match="holds no shards"):
        next(read_vectors(tmp_path))


def test_retry_rewrites_only_shards_with_failures(
    run: Run, run_index: Any, pictures: Callable[..., list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed rows say where and why; asked to, a run opens their files again, and no others."""
    paths = pictures(tmp_path / "photos", 6)
    paths[5].write_bytes(b"not a picture")
    out, folder = tmp_path / "out", tmp_path / "out" / "builtin-image"

    def one_dies(jobs: Any, workers: int) -> Any:
        for described in run_index.describe_all(jobs, workers):
            dies = run_index.opened[-1] == "003.jpg"
            yield Described(described.number, b"", "", (), "worker", "out of memory") if dies else described

    with monkeypatch.context() as patch:
        patch.setattr(index.embedding.local, "describe_all", one_dies)
        assert run(out, tmp_path / "photos", shard_size=2).failed == 2
    bad = [row for row in table_of(folder).to_pylist() if row["status"] == "failed"]
    assert [(row["id"], row["stage"], row["vector"]) for row in bad] == [
        ("003.jpg", "worker", None), ("005.jpg", "decode", None)
    ]  # fmt: skip
    assert bad[0]["error"] == "out of memory"
    before = stamps(folder)
    assert run(out, tmp_path / "photos").described == 0  # not tried again unless asked
    run_index.opened = []
    report = run(out, tmp_path / "photos", retry_failed=True)
    assert (report.files, report.failed, report.described, report.shards, report.finished) == (
        6,
        1,
        2,
        1,
        2,
    )  # 005 is as bad as before
    assert run_index.opened == ["003.jpg", "005.jpg"]
    assert stamps(folder)["shard-000000.parquet"] == before["shard-000000.parquet"]
    run(tmp_path / "anew", tmp_path / "photos")
    assert bytes_of(folder) == bytes_of(tmp_path / "anew" / "builtin-image")


def test_a_file_that_appears_is_described_without_being_asked(
    run: Run, picture: Callable[..., Path], pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    """A link that led nowhere leads somewhere now; a bad file was mended."""
    paths = pictures(tmp_path / "photos", 3)
    paths[1].unlink()
    paths[1].symlink_to(tmp_path / "gone.jpg")
    paths[2].write_bytes(b"not a picture")
    assert run(tmp_path / "out", tmp_path / "photos").failed == 2
    picture(tmp_path / "gone.jpg", 9)
    picture(paths[2], 3)
    assert run(tmp_path / "out", tmp_path / "photos").failed == 0


def test_new_files_are_appended_and_changed_ones_described_again(
    run: Run, run_index: Any, pictures: Callable[..., list[Path]], picture: Callable[..., Path], tmp_path: Path
) -> None:
    """What is planned keeps its place; only the shard of the changed file is written again."""
    pictures(tmp_path / "photos", 3)
    out = tmp_path / "out"
    run(out, tmp_path / "photos", shard_size=2)
    before = stamps(out / "builtin-image")
    picture(tmp_path / "photos" / "0001.jpg", 50)
    picture(tmp_path / "photos" / "000.jpg", 51, (65, 48))
    run_index.opened = []
    report = run(out, tmp_path / "photos", shard_size=2)
    assert (report.files, report.described, report.shards, report.finished) == (4, 2, 2, 1)
    assert sorted(run_index.opened) == ["000.jpg", "0001.jpg"]
    assert [i for i, _ in bytes_of(out / "builtin-image")] == ["000.jpg", "001.jpg", "002.jpg", "0001.jpg"]
    assert stamps(out / "builtin-image")["shard-000001.parquet"] == before["shard-000001.parquet"]
    again = run(out, tmp_path / "photos")
    assert (again.files, again.described, again.shards, again.finished) == (4, 0, 0, 3)
    run(tmp_path / "whole", tmp_path / "photos")
    whole = dict(bytes_of(tmp_path / "whole" / "builtin-image"))
    assert dict(bytes_of(out / "builtin-image")) == whole


def test_what_a_table_says_otherwise_is_written_without_opening_files(
    run: Run, run_index: Any, pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    """A new price costs a shard, not a picture."""
    pictures(tmp_path, 2)
    table = tmp_path / "items.csv"
    table.write_text("id,path,price\na,000.jpg,1\nb,001.jpg,2\n")
    run(tmp_path / "out", table)
    table.write_text("id,path,price\na,000.jpg,1\nb,001.jpg,3\n")
    run_index.opened = []
    report = run(tmp_path / "out", table)
    assert (run_index.opened, report.described, report.shards) == ([], 0, 1)
    told = table_of(tmp_path / "out" / "builtin-image").column("attributes").to_pylist()
    assert [json.loads(row) for row in told] == [{"price": 1}, {"price": 3}]
    assert run(tmp_path / "out", table).shards == 0


def test_an_encoder_added_later_describes_what_is_there(
    run: Run, run_index: Any, pictures: Callable[..., list[Path]], song: Callable[..., Path], tmp_path: Path
) -> None:
    """The shards of the others stay as they are."""
    pictures(tmp_path / "media", 3)
    song(tmp_path / "media" / "a.wav", 1)
    out = tmp_path / "out"
    assert run(out, tmp_path / "media", encoders=("builtin-image",)).files == 3
    before = stamps(out / "builtin-image")
    run_index.opened = []
    report = run(out, tmp_path / "media", encoders=("builtin-audio",))
    assert (report.files, report.described, report.shards, report.finished) == (4, 1, 1, 1)
    assert run_index.opened == ["a.wav"]
    assert stamps(out / "builtin-image") == before
    assert run(out, tmp_path / "media").described == 0


def test_a_shard_that_is_not_what_was_written_is_redone(
    run: Run, pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    """Damaged or missing: both come back as they were."""
    pictures(tmp_path / "photos", 6)
    folder = tmp_path / "out" / "builtin-image"
    run(tmp_path / "out", tmp_path / "photos", shard_size=2)
    whole = bytes_of(folder)
    (folder / "shard-000000.parquet").unlink()
    (folder / "shard-000002.parquet").write_bytes(b"damaged")
    report = run(tmp_path / "out", tmp_path / "photos")
    assert (report.files, report.shards, report.finished) == (6, 2, 1)
    assert bytes_of(folder) == whole


def test_a_table_and_a_single_file(run: Run, picture: Callable[..., Path], tmp_path: Path) -> None:
    """A table's ids are its own; an id that another source has is a failed row."""
    picture(tmp_path / "shop" / "img" / "1.jpg", 1)
    picture(tmp_path / "one.jpg", 2)
    table = tmp_path / "shop" / "items.csv"
    table.write_text("id,path\nsku-1,img/1.jpg\nsku-2,img/2.jpg\none.jpg,img/1.jpg\n,img/1.jpg\n")
    report = run(tmp_path / "out", table, tmp_path / "one.jpg")
    assert (report.files, report.failed) == (5, 3)
    rows = {row["id"]: row for row in table_of(tmp_path / "out" / "builtin-image").to_pylist()[:4]}
    assert rows["sku-1"]["status"] == "ok"
    assert rows["sku-1"]["path"] == str(tmp_path / "shop" / "img" / "1.jpg")
    assert rows["sku-2"]["error"] == "no such file or directory"
    assert (
        "another source has an item of this id" in table_of(tmp_path / "out" / "builtin-image").to_pylist()[4]["error"]
    )


def test_what_cannot_be_mixed_is_refused(run: Run, pictures: Callable[..., list[Path]], tmp_path: Path) -> None:
    """Each refusal says what differs and what to do."""
    pictures(tmp_path / "photos", 2)
    out = tmp_path / "out"
    run(out, tmp_path / "photos", shard_size=2)
    content = json.loads((out / MANIFEST).read_text())
    content["encoders"]["builtin-image"]["card"]["revision"] = 999
    (out / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"with fingerprint \w{16}, now it has \w{16}.*another --out"):
        run(out, tmp_path / "photos")
    (out / MANIFEST).write_text("{}")
    with pytest.raises(InputError, match="not a manifest"):
        run(out, tmp_path / "photos")
    with pytest.raises(InputError, match="holds other files"):
        run(tmp_path / "photos", tmp_path / "photos")
    with pytest.raises(InputError, match="does not exist"):
        run(tmp_path / "new", tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no picture or sound"):
        run(tmp_path / "new", tmp_path / "empty")


def test_a_damaged_plan_is_told(run: Run, pictures: Callable[..., list[Path]], tmp_path: Path) -> None:
    """Finished shards stay readable without it."""
    pictures(tmp_path / "photos", 2)
    run(tmp_path / "out", tmp_path / "photos")
    (tmp_path / "out" / JOB).write_bytes(b"no database at all, but long enough to be looked at" * 99)
    with pytest.raises(StorageError, match=r"delete job\.db, finished shards are kept"):
        run(tmp_path / "out", tmp_path / "photos")
    assert len(list(read_vectors(tmp_path / "out" / "builtin-image"))) == 1


@pytest.mark.parametrize("lost", [(JOB,), (MANIFEST,), (JOB, MANIFEST)])
def test_a_lost_plan_or_manifest_costs_only_shards_that_hold_something_else(
    run: Run, run_index: Any, pictures: Callable[..., list[Path]], picture: Callable[..., Path], tmp_path: Path,
    lost: tuple[str, ...],
) -> None:  # fmt: skip
    """Shards are adopted by what they hold; a plan made anew may put files that were appended elsewhere."""
    pictures(tmp_path / "photos", 6)
    out = tmp_path / "out"
    run(out, tmp_path / "photos", shard_size=2)
    picture(tmp_path / "photos" / "0031.jpg", 50)  # comes before 004.jpg in a plan made anew
    run(out, tmp_path / "photos", shard_size=2)
    before = dict(bytes_of(out / "builtin-image"))
    for name in lost:
        (out / name).unlink()
    if lost == (JOB, MANIFEST):
        with pytest.raises(InputError, match="holds other files"):
            run(out, tmp_path / "photos", shard_size=2)
        return
    run_index.opened = []
    report = run(out, tmp_path / "photos", shard_size=2)
    expected = ["0031.jpg", "004.jpg", "005.jpg"] if lost == (JOB,) else []
    assert sorted(run_index.opened) == sorted(expected)
    assert (report.files, report.failed) == (7, 0)
    assert dict(bytes_of(out / "builtin-image")) == before


def test_one_process_writes_at_a_time(run: Run, pictures: Callable[..., list[Path]], tmp_path: Path) -> None:
    """A second run is told who holds the folder."""
    pictures(tmp_path / "photos", 1)
    (tmp_path / "out").mkdir()
    with writer_lock(tmp_path / "out"), pytest.raises(LockedError):
        run(tmp_path / "out", tmp_path / "photos")
    shutil.rmtree(tmp_path / "out")
    assert run(tmp_path / "out", tmp_path / "photos").files == 1


def test_folders_of_encoders_are_plain_names() -> None:
    """A model's path becomes the end of it and a hash."""
    assert encoder_folder("builtin-image") == "builtin-image"
    first, second = encoder_folder("onnx:/a/net.onnx"), encoder_folder("onnx:/b/net.onnx")
    assert first.startswith("net-onnx-")
    assert first != second
