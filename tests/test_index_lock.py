"""One writer at a time: who holds the lock is told, and death frees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from index.errors import LockedError, StorageError
from index.lock import writer_lock

HOLD = """
import sys
from pathlib import Path
from index.lock import writer_lock
with writer_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of ``tmp_path``."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_writer_is_told_who_holds_the_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(LockedError, match=f"is being written by process {holder.pid} on .* since 2"):
        writer_lock(tmp_path).__enter__()


def test_death_frees_the_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with writer_lock(tmp_path):
        assert json.loads((tmp_path / "writer.json").read_text())["pid"] == os.getpid()


def test_the_lock_is_held_within_one_process_too(tmp_path: Path) -> None:
    with writer_lock(tmp_path), pytest.raises(LockedError), writer_lock(tmp_path):
        pass


def test_trouble_with_another_file_names_that_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"other\.bin: no such file"), writer_lock(tmp_path):
        (tmp_path / "sub/other.bin").write_bytes(b"")


def test_a_reader_that_went_away_is_no_trouble_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), writer_lock(tmp_path):
        raise BrokenPipeError(32, "Broken pipe")


def test_a_second_index_says_who_holds_the_lock_and_ends_with_1(
    tmp_path: Path, run_index: Any, run_simkin: Any, pictures: Any
) -> None:
    folder = tmp_path / "c"
    pictures(tmp_path / "p", 1)
    run_index(folder, tmp_path / "p")
    with writer_lock(folder):
        done = run_simkin("index", "--catalog", folder)
        assert done.returncode == 1
        assert f"is being written by process {os.getpid()} on " in done.stderr
        assert done.stderr.count("\n") == 1
        assert run_simkin("query", "000.jpg", "--catalog", folder).returncode == 0, "questions are still answered"
    assert run_simkin("index", "--catalog", folder).returncode == 0
