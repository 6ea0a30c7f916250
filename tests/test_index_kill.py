"""Runs of indexing that are killed, interrupted or starved of disk: nothing is lost, the same command goes on."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from index.catalog import Catalog
from index.errors import SimkinError
from index.recommender import Recommender
from index.verify import verify

KILLS, OF_BUILDS = 31, 13


def heed_interrupts() -> None:
    """A shell's background jobs, such as these tests may be, ignore Ctrl-C and have their children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(folder: Path, *arguments: object, stderr: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start ``simkin index`` in a process group of its own."""
    command = [sys.executable, "-m", "simkin", "index", "--catalog", str(folder), "--workers", "2"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )


def group_members(group: int) -> list[int]:
    """Living processes of a process group; the group's leader started them all."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                state, _, member = Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()[:3]
            except (OSError, ValueError):
                continue
            if int(member) == group and state not in "ZX":
                found.append(int(name))
    return found


def wait_for_the_end(group: int) -> None:
    deadline = time.monotonic() + 5
    while group_members(group) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert group_members(group) == [], "orphans were left"


def described(folder: Path) -> int:
    """How many items a catalog holds that may still be in the making."""
    try:
        with Catalog.open(folder) as catalog:
            return catalog.count()
    except SimkinError:
        return 0


def problems(folder: Path) -> list[str]:
    with Catalog.open(folder) as catalog:
        return [f"{p.where}: {p.what}" for p in verify(catalog) if p.where != "generation" or "no built" not in p.what]


def content(folder: Path) -> dict[str, Any]:
    """Items with vectors, and the answers to some questions."""
    with Catalog.open(folder) as catalog:
        rows = catalog.connection.execute(
            "SELECT i.id, i.attributes, v.vector FROM items i JOIN media m USING (item) JOIN vectors v USING (media) "
            "ORDER BY i.id"
        ).fetchall()
        recommender = Recommender(catalog)
        answers = [
            [(hit.item_id, round(hit.score, 5)) for hit in recommender.query(item_id, k=5).hits]
            for item_id in ("000.jpg", "more/010.jpg", "songs/001.wav")
        ]
    return {"rows": rows, "answers": answers}


@pytest.fixture
def media(tmp_path: Path, pictures: Any, songs: Any) -> Path:
    pictures(tmp_path / "media", 40)
    pictures(tmp_path / "media/more", 40, seed=1)
    songs(tmp_path / "media/songs", 2)
    return tmp_path / "media"


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_lost(tmp_path: Path, media: Path) -> None:
    """Killed again and again at random moments, then left alone, a catalog is what it would have been."""
    rng = random.Random(20)
    folder, undisturbed = tmp_path / "c", tmp_path / "undisturbed"
    started = time.monotonic()
    assert start(undisturbed, media).wait() == 0
    whole = time.monotonic() - started
    started = time.monotonic()
    assert start(undisturbed, "--rebuild").wait() == 0
    rebuild = time.monotonic() - started
    kills = runs = 0
    while kills < KILLS:
        runs += 1
        assert runs < 3 * KILLS, "runs end before they can be killed"
        building = kills >= KILLS - OF_BUILDS
        if building and not (folder / "CURRENT").exists():
            assert start(folder, media).wait() == 0
        process = start(folder, media, *(["--rebuild"] if building else []))
        try:
            process.wait(timeout=rng.uniform(0.1, 0.95) * (rebuild if building else whole))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
        else:
            assert process.returncode == 0
            if not building:  # begin again, so that kills fall on every stage
                shutil.rmtree(folder)
        wait_for_the_end(process.pid)
        if (folder / "catalog.db").exists() and (folder / "catalog.db").stat().st_size > 4096:
            assert problems(folder) == []
    last = start(folder, media, "--rebuild")
    assert last.wait() == 0
    assert problems(folder) == []
    assert content(folder) == content(undisturbed)
    assert len(list((folder / "generations").iterdir())) <= 2, "what killed runs left was not cleared away"


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_keeps_what_was_described(tmp_path: Path, media: Path, pictures: Any) -> None:
    """The signal goes to the whole group, as from a terminal."""
    (first, *_) = pictures(media / "many", 1, seed=5)
    for number in range(1, 1500):  # enough to be at work for a while after the first batch
        (media / f"many/{number:03d}.jpg").hardlink_to(first)
    folder = tmp_path / "c"
    process = start(folder, media, stderr=subprocess.PIPE)
    while process.poll() is None and not described(folder):  # until the first batch is committed
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told.decode() == "stopped; what was committed is kept: run the same command to go on\n"
    wait_for_the_end(process.pid)
    assert problems(folder) == []
    with Catalog.open(folder) as catalog:
        kept = catalog.count()
        failed = list(catalog.failures())
    assert 0 < kept < 1582
    assert failed == []
    again = start(folder, media)
    assert again.wait() == 0
    with Catalog.open(folder) as catalog:
        assert catalog.count() == 1582


@pytest.mark.slow
def test_a_worker_killed_by_the_system_costs_one_file(tmp_path: Path, picture: Any) -> None:
    """As the kernel does when memory runs out; the file is named, and tried again by the next run."""
    first = picture(tmp_path / "p/00.png", 0, size=(1500, 1500))
    for number in range(1, 60):
        (tmp_path / f"p/{number:02d}.png").hardlink_to(first)
    folder = tmp_path / "c"
    process = start(folder, tmp_path / "p")
    killed = None
    while killed is None and process.poll() is None:
        for member in group_members(process.pid):
            try:
                working = b"index.ingesting.worker" in Path(f"/proc/{member}/cmdline").read_bytes()
                describing = b"/vision/kernel." in Path(f"/proc/{member}/maps").read_bytes()  # loaded by its first file
            except OSError:
                continue
            if working and describing:
                os.kill(member, signal.SIGKILL)
                killed = member
                break
        time.sleep(0.005)
    assert killed, "the run ended before a worker could be killed"
    assert process.wait(timeout=60) == 3
    with Catalog.open(folder) as catalog:
        (failure,) = catalog.failures()
        assert catalog.count() == 59
    assert (failure.stage, failure.attempts) == ("worker", 1)
    assert failure.reason == "the worker process was ended by SIGKILL, perhaps for want of memory"
    again = start(folder, tmp_path / "p")
    assert again.wait() == 0
    with Catalog.open(folder) as catalog:
        assert (catalog.count(), list(catalog.failures())) == (60, [])


LIMITED = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2);"
    "sys.argv[1:2] = []; from simkin.cli import main; main()"
)


def limited(size: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line where no file can grow beyond ``size`` bytes, as on a disk that is full."""
    command = [sys.executable, "-c", LIMITED, str(size), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_disk_that_fills_up_while_describing_loses_nothing(tmp_path: Path, media: Path) -> None:
    folder = tmp_path / "c"
    done = limited(200_000, "index", media, "--catalog", folder)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(folder) in done.stderr
    assert "then run again" in done.stderr
    assert problems(folder) == []
    again = start(folder, media)
    assert again.wait() == 0
    with Catalog.open(folder) as catalog:
        assert catalog.count() == 82


def test_a_disk_that_fills_up_while_building_keeps_the_generation_in_use(
    tmp_path: Path, media: Path, run_index: Any
) -> None:
    folder = tmp_path / "c"
    run_index(folder, media)
    before = content(folder)
    done = limited(50_000, "index", "--rebuild", "--catalog", folder)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot build in" in done.stderr
    assert "the items are kept: free some space, then run: simkin index --rebuild" in done.stderr
    assert problems(folder) == []
    assert content(folder) == before
    assert (folder / "CURRENT").read_text() == "1\n"
    assert run_index(folder, rebuild=True).generation == 2
    assert content(folder) == before
