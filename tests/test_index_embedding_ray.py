"""Jobs on a real Ray cluster of two nodes on this machine: the same files as without it, whatever dies."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from index.answering.batch import write_all
from index.answering.batch_ray import PartAnswerer
from index.answers import Query
from index.embedding.engine import Tally
from index.embedding.job import EmbedOptions, embed
from index.embedding.plan import Plan, Result, Shard
from index.embedding.ray_worker import TRIES, Desk, Needs, ShardDescriber, problem_here
from index.embedding.shards import MANIFEST, Manifest
from index.encoders import card_of
from index.partitioned.job import PartitionedOptions, answer_everybody

needs_ray = [
    pytest.mark.ray,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
]
PICTURE = "builtin-image"


def environment() -> dict[str, str]:
    """What all processes of the cluster and its drivers share."""
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {
        "PYTHONPATH": path,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "RAY_gcs_rpc_server_reconnect_timeout_s": "3",
    }


TOKEN = secrets.token_hex(32)


@contextlib.contextmanager
def node(*arguments: str, log: Path) -> Iterator[None]:
    """A node of a cluster, as ``ray start`` makes it."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address=127.0.0.1"]
    command += ["--num-cpus=2", "--object-store-memory=80000000", *arguments]
    with log.open("w") as file:
        process = subprocess.Popen(command, env=environment(), stdout=file, stderr=file)
        try:
            while "Ray runtime started" not in log.read_text() and "block forever" not in log.read_text():
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of two nodes with two places each."""
    folder = tmp_path_factory.mktemp("cluster")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    head = ("--head", f"--port={port}", "--include-dashboard=false")
    with (
        node(*head, log=folder / "head.log"),
        node(f"--address=127.0.0.1:{port}", log=folder / "node.log"),
    ):
        yield f"127.0.0.1:{port}"


def start(*arguments: object) -> subprocess.Popen[str]:
    """Begin a run of ``simkin embed``."""
    command = [sys.executable, "-m", "simkin", "embed", *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def run(*arguments: object, expected: int = 0) -> dict[str, Any]:
    """A whole run; returns its last event."""
    return ended(start(*arguments, "--json"), expected)


def ended(process: subprocess.Popen[str], expected: int = 0) -> dict[str, Any]:
    """The last event of a run that was begun with ``--json``, once it has ended."""
    out, errors = process.communicate(timeout=300)
    assert process.returncode == expected, errors
    event: dict[str, Any] = json.loads(out.splitlines()[-1])
    return event


def content(out: Path) -> dict[str, bytes]:
    """Every file that a job leaves, but those of the plan and the lock."""
    found = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.parquet"))}
    assert not [path.name for path in out.rglob(".*")], "something was left behind"
    return found | {MANIFEST: (out / MANIFEST).read_bytes()}


def finished(out: Path) -> dict[str, int]:
    """Shards that the manifest vouches for, and when they were written."""
    manifest = Manifest.load(out)
    if not manifest or PICTURE not in manifest.encoders:
        return {}
    held = manifest.encoders[PICTURE]
    return {name: (out / held.folder / name).stat().st_mtime_ns for name in held.shards}


def wait_for_a_shard(out: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a run has finished its first shard."""
    while not finished(out):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def descendants(name: str, of: int = 0) -> list[int]:
    """Processes whose command line holds a text, among all, or those below one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if name in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"):
                    found.append(int(entry.name))
    return [pid for pid in found if not of or of in ancestors(pid)]


def ancestors(pid: int) -> list[int]:
    """The processes above one."""
    above = []
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
        above.append(pid)
    return above


class TestOnACluster:
    """A driver of its own for each run, joining the cluster of this module."""

    pytestmark = needs_ray

    def test_the_same_files_whatever_the_engine_and_the_number_of_workers(
        self, cluster: str, pictures: Callable[..., list[Path]], songs: Callable[..., list[Path]], tmp_path: Path
    ) -> None:
        """Folders and tars, pictures and songs, good and bad ones; not a byte differs, in shards or manifest."""
        media = tmp_path / "media"
        made = pictures(media, 30)
        made[7].write_bytes(b"not a picture")
        made[8].write_bytes(b"")
        songs(media / "songs", 3)
        with tarfile.open(tmp_path / "more.tar", "w") as tar:
            for path in pictures(tmp_path / "packed", 6, seed=1):
                tar.add(path, path.name.replace(".jpg", "-t.jpg"))
        job = (media, tmp_path / "more.tar", "--shard-size", 4)
        event = run(*job, "--out", tmp_path / "local", expected=3)
        told = {name: event[name] for name in ("files", "failed", "described", "shards")}
        assert told == {"files": 39, "failed": 2, "described": 39, "shards": 10}
        for workers in (1, 2, 4):
            out = tmp_path / f"ray-{workers}"
            event = run(*job, "--out", out, "--engine", "ray", "--address", cluster, "--workers", workers, expected=3)
            assert {name: event[name] for name in told} == told
            assert content(out) == content(tmp_path / "local")
        again = run(*job, "--out", out, "--engine", "ray", "--address", cluster, expected=3)
        assert (again["described"], again["shards"], again["finished"]) == (0, 0, 10)

    def test_a_run_begun_by_one_engine_is_ended_by_the_other(
        self, cluster: str, pictures: Callable[..., list[Path]], picture: Callable[..., Path], tmp_path: Path
    ) -> None:
        """What the local engine kept of a shard it did not finish is not described again; changed files are."""
        media, out = tmp_path / "media", tmp_path / "out"
        pictures(media, 12)
        embed([media], out, EmbedOptions((PICTURE,), shard_size=6))
        (out / PICTURE / "shard-000001.parquet").unlink()
        manifest = Manifest.load(out)
        assert manifest
        del manifest.encoders[PICTURE].shards["shard-000001.parquet"]
        manifest.save(out)
        plan = Plan(out)
        second = list(plan.files(Shard("image", 1, 6, 12)))
        vector = card_of(PICTURE).dim * b"\0\0\x80\x3f"
        for file in second[:4]:
            plan.add(file.file, {PICTURE: Result(vector, "", "", "{}")})
        plan.close()
        picture(media / "000.jpg", 77, (65, 48))
        before = finished(out)
        event = run(media, "--out", out, "--engine", "ray", "--address", cluster)
        assert (event["files"], event["described"], event["shards"]) == (12, 3, 2)
        assert before["shard-000000.parquet"] != finished(out)["shard-000000.parquet"]
        rows = content(out)[f"{PICTURE}/shard-000001.parquet"]
        assert len(rows) > 0

    @pytest.mark.slow
    def test_ten_kills_of_workers_change_nothing(
        self, cluster: str, picture: Callable[..., Path], tmp_path: Path
    ) -> None:
        """Actors and the processes below them die at random moments; no row is lost, doubled or failed."""
        for number in range(400):
            picture(tmp_path / "photos" / f"{number:03d}.jpg", number, (320, 240))
        run(tmp_path / "photos", "--out", tmp_path / "local", "--shard-size", 10)
        out = tmp_path / "ray"
        process = start(
            tmp_path / "photos", "--out", out, "--shard-size", 10, "--engine", "ray", "--address", cluster,
            "--workers", 2, "--json",
        )  # fmt: skip
        rng = random.Random(3)
        killed: set[int] = set()
        deadline = time.monotonic() + 240
        while len(killed) < 10 and process.poll() is None and time.monotonic() < deadline:
            found = [pid for pid in descendants("ShardDescriber") if pid not in killed]
            for pid in found[:1]:
                time.sleep(rng.uniform(0, 0.3))
                below = descendants("index.ingesting.worker", of=pid)
                victim = below[0] if below and len(killed) % 3 == 2 else pid
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    killed.add(victim)
            time.sleep(0.02)
        event = ended(process)
        assert len(killed) == 10
        assert (event["files"], event["failed"]) == (400, 0)
        assert content(out) == content(tmp_path / "local")

    def test_a_second_driver_is_refused_and_a_lost_head_costs_the_shards_in_hand(
        self, cluster: str, picture: Callable[..., Path], tmp_path: Path
    ) -> None:
        """Without --address the run has a cluster of its own; when its head dies, another cluster goes on."""
        for number in range(300):
            picture(tmp_path / "photos" / f"{number:03d}.jpg", number, (320, 240))
        out = tmp_path / "out"
        job = (tmp_path / "photos", "--out", out, "--shard-size", 5, "--engine", "ray")
        first = start(*job, "--workers", 1)
        wait_for_a_shard(out, first)
        second = start(*job, "--address", cluster)
        assert "is being written by process" in second.communicate(timeout=60)[1]
        assert second.returncode == 1
        (head,) = descendants("gcs_server", of=first.pid) or [0]
        assert head, "the run has no cluster of its own"
        os.kill(head, signal.SIGKILL)
        first.communicate(timeout=120)
        assert first.returncode != 0
        before = finished(out)
        assert 0 < len(before) < 60
        event = run(*job, "--address", cluster)
        assert (event["files"], event["failed"], event["finished"]) == (300, 0, len(before))
        assert {name: finished(out)[name] for name in before} == before

    def test_a_source_that_vanishes_ends_the_run(
        self, cluster: str, picture: Callable[..., Path], tmp_path: Path
    ) -> None:
        """No row says that a file could not be read; once the source is back, the same command goes on."""
        for number in range(300):
            picture(tmp_path / "photos" / f"{number:03d}.jpg", number, (320, 240))
        out = tmp_path / "out"
        job = (tmp_path / "photos", "--out", out, "--shard-size", 5, "--engine", "ray", "--address", cluster)
        process = start(*job, "--workers", 1)
        wait_for_a_shard(out, process)
        (tmp_path / "photos").rename(tmp_path / "gone")
        assert "photos vanished while it was read" in process.communicate(timeout=120)[1]
        assert process.returncode == 1
        (tmp_path / "gone").rename(tmp_path / "photos")
        event = run(*job)
        assert (event["files"], event["failed"]) == (300, 0)
        assert event["finished"] > 0

    def test_the_answers_of_every_item_are_those_of_one_process(
        self, cluster: str, make_catalog: Callable[[], Any], tmp_path: Path
    ) -> None:
        """Parts are answered by whoever is free; a host whose catalog is in another state is refused."""
        made = make_catalog()
        made.fill(2300)
        made.build()
        write_all(made.open(), Query(k=4), tmp_path / "local.parquet")
        local = pyarrow.parquet.read_table(tmp_path / "local.parquet")
        command = [
            sys.executable, "-m", "simkin", "query", "--all", "-k", "4", "--catalog", str(made.folder), "--out",
            str(tmp_path / "ray.parquet"), "--engine", "ray", "--address", cluster, "--json",
        ]  # fmt: skip
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["queries"] == 2300
        found = pyarrow.parquet.read_table(tmp_path / "ray.parquet")
        assert found.drop(["score"]).equals(local.drop(["score"]))
        np.testing.assert_allclose(found["score"].to_numpy(), local["score"].to_numpy(), atol=1e-6)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["local.parquet", "ray.parquet"]
        worker = PartAnswerer(made.folder, (0, 0), Query(k=4), ".parquet")
        (problem,) = worker({"number": [0], "path": [str(tmp_path / "0.answers")], "ids": ["[]"]})["problem"]
        assert "is in another state there; copy the catalog to every host again" in problem

    def test_everybody_in_shards_is_answered_over_partitions(
        self, cluster: str, make_catalog: Callable[..., Any], write_shards: Callable[..., Any], tmp_path: Path
    ) -> None:
        """Built, asked, measured and written by the cluster: not an answer differs, also when workers are killed."""
        made = make_catalog()
        made.fill(200, categories=3)
        made.build()
        shards = write_shards(tmp_path / "vectors", made, 1200)
        options = PartitionedOptions(k=6, partition_size=500)
        answer_everybody(made.open(), shards.folder, "style", tmp_path / "local", options)
        command = [
            sys.executable, "-m", "simkin", "query", "--all", "--relation", "style", "-k", "6", "--catalog",
            str(made.folder), "--embeddings", str(shards.folder), "--partition-size", "500", "--out",
            str(tmp_path / "ray"), "--engine", "ray", "--address", cluster, "--json",
        ]  # fmt: skip
        process = subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        killed: set[int] = set()
        while len(killed) < 3 and process.poll() is None:
            for pid in [pid for pid in descendants("MapBatches(Worker)") if pid not in killed][:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            time.sleep(0.3)
        event = ended(process)
        assert (event["items"], event["partitions"], event["recall"]) == (1200, 3, 1.0)
        parts = sorted((tmp_path / "local").glob("part-*.parquet"))
        assert [path.name for path in parts] == [path.name for path in sorted((tmp_path / "ray").glob("part-*"))]
        for path in parts:
            assert pyarrow.parquet.read_table(tmp_path / "ray" / path.name).equals(pyarrow.parquet.read_table(path))

    def test_what_cannot_be_reached_or_mixed_is_told_in_one_line(
        self, cluster: str, pictures: Callable[..., list[Path]], tmp_path: Path
    ) -> None:
        """A folder of another revision, a client's address."""
        pictures(tmp_path / "photos", 2)
        job = (tmp_path / "photos", "--out", tmp_path / "out", "--engine", "ray")
        process = start(*job, "--address", "ray://127.0.0.1:1")
        errors = process.communicate(timeout=120)[1]
        assert (process.returncode, errors.count("\n"), "ray job submit" in errors) == (1, 1, True)
        run(*job, "--address", cluster)
        told = json.loads((tmp_path / "out" / MANIFEST).read_text())
        told["encoders"][PICTURE]["card"]["revision"] = 999
        (tmp_path / "out" / MANIFEST).write_text(json.dumps(told))
        process = start(*job, "--address", cluster)
        assert "name another --out" in process.communicate(timeout=120)[1]
        assert process.returncode == 1


# ---- Without a cluster -------------------------------------------------------------------------------


def test_ray_is_not_loaded_unless_asked_for() -> None:
    """Neither by the command nor by the modules of the engine; without it, the extra is named."""
    code = "import sys, simkin.cli.embed, index.embedding.job, index.embedding.ray_engine; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.strip() == "False"
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from index.cluster import on_cluster\n"
        "try:\n with on_cluster('', 1): pass\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.startswith("MissingExtraError")
    assert "pip install 'simkin[ray]'" in done.stdout


def test_a_host_that_lacks_something_says_what(tmp_path: Path) -> None:
    """The output folder, a source, the same encoder."""
    (tmp_path / ".host-1").touch()
    fingerprints = {PICTURE: card_of(PICTURE).fingerprint}
    whole = Needs(str(tmp_path), ".host-1", (str(tmp_path),), fingerprints)
    assert problem_here(whole) == ""
    assert "cannot write to" in problem_here(whole._replace(token=".host-2"))
    assert "does not see /nowhere: mount it" in problem_here(whole._replace(sources=("/nowhere",)))
    assert "install the same simkin" in problem_here(whole._replace(fingerprints={PICTURE: "0" * 16}))
    gone = problem_here(whole._replace(fingerprints={"onnx:/nowhere/net.onnx": "0" * 16}))
    assert "cannot use onnx:/nowhere/net.onnx" in gone


def test_a_shard_that_kills_every_worker_is_given_up(
    pictures: Callable[..., list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray would begin it again for ever."""
    pictures(tmp_path / "photos", 2)
    out = tmp_path / "out"
    embed([tmp_path / "photos"], out, EmbedOptions((PICTURE,), workers=1))
    manifest = Manifest.load(out)
    assert manifest
    manifest.encoders[PICTURE].shards.clear()
    desk = Desk(str(out), manifest, False)
    shard = Shard("image", 0, 0, 2)
    for _ in range(TRIES):
        handed = desk.work(shard)
        assert handed
        assert handed[0].count == 2
        desk.tell(shard, Tally(done=1))
    assert desk.work(shard) is None
    assert desk.tally().done == 1

    class Handle:
        """Calls the desk as Ray's handle would."""

        def __init__(self, call: Callable[..., Any]) -> None:
            self.remote = call

    class Handles:
        work, tell = Handle(desk.work), Handle(desk.tell)

    ray = type(sys)("ray")
    ray.get = lambda value: value  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    (out / ".host-1").touch()
    worker = ShardDescriber(Needs(str(out), ".host-1", (), {}), Handles())
    row = worker({name: [value] for name, value in shard._asdict().items()})
    assert row["kind"] == ["other"]
    assert f"{TRIES} workers died over shard 0" in row["problem"][0]
