"""Worker processes: they may crash, hang or never start, and cost at most one file."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from index.errors import MediaError, SimkinError
from index.ingesting.worker import PART, WHOLE, content_digest
from index.ingesting.workers import Described, Job, describe_all

PICTURE = ("builtin-image",)


def jobs(paths: list[Path]) -> Iterator[Job]:
    return (Job(number, os.fsencode(path), "image", PICTURE) for number, path in enumerate(paths))


def workers_alive() -> list[int]:
    """Processes below this one that serve files."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                command = Path(f"/proc/{name}/cmdline").read_bytes()
                parent = int(Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if b"index.ingesting.worker" in command and parent == os.getpid():
                found.append(int(name))
    return found


@pytest.fixture
def large(tmp_path: Path, picture: Callable[..., Path]) -> list[Path]:
    """Pictures that take some 0.1 s each, so that a signal arrives in the middle of one."""
    first = picture(tmp_path / "0.png", 1, size=(2000, 2000))
    copies = [first]
    for number in range(1, 12):
        copies.append(tmp_path / f"{number}.png")
        copies[-1].hardlink_to(first)
    return copies


def test_each_job_is_answered_once_with_the_vector(tmp_path: Path, pictures: Callable[..., list[Path]]) -> None:
    answers = sorted(describe_all(jobs(pictures(tmp_path, 30)), 2))
    assert [answer.number for answer in answers] == list(range(30))
    for answer in answers:
        ((name, content),) = answer.vectors
        assert (name, len(content)) == ("builtin-image", 4 * 1292)
        assert answer.stage == ""
    assert workers_alive() == []


def test_jobs_are_pulled_only_as_fast_as_answers_are_taken(tmp_path: Path, pictures: Callable[..., list[Path]]) -> None:
    paths = pictures(tmp_path, 1) * 1000
    pulled: list[int] = []
    answers = describe_all((pulled.append(job.number) or job for job in jobs(paths)), 1)
    for _ in range(5):
        next(answers)
    assert len(pulled) < 20
    answers.close()


def test_a_killed_worker_costs_one_file(large: list[Path]) -> None:
    answers = describe_all(jobs(large), 1)
    found = [next(answers)]
    (worker,) = workers_alive()
    os.kill(worker, signal.SIGKILL)
    found += answers
    assert sorted(answer.number for answer in found) == list(range(len(large)))
    (failed,) = [answer for answer in found if answer.stage]
    assert (failed.stage, failed.vectors) == ("worker", ())
    assert failed.reason == "the worker process was ended by SIGKILL, perhaps for want of memory"


def test_a_worker_that_hangs_is_replaced(large: list[Path]) -> None:
    answers = describe_all(jobs(large), 1, file_seconds=3)
    found = [next(answers)]
    (worker,) = workers_alive()
    os.kill(worker, signal.SIGSTOP)
    found += answers
    assert sorted(answer.number for answer in found) == list(range(len(large)))
    (failed,) = [answer for answer in found if answer.stage]
    assert failed.reason == "the file took longer than 3 s and was given up"


def test_a_slow_caller_is_no_reason_to_give_a_file_up(tmp_path: Path, pictures: Callable[..., list[Path]]) -> None:
    """Committing a batch may take longer than a file may: answers wait for it."""
    found = []
    for answer in describe_all(jobs(pictures(tmp_path, 12)), 2, file_seconds=0.5):
        found.append(answer)
        if len(found) in (1, 4):
            time.sleep(0.8)
    assert [answer.reason for answer in found if answer.stage and "longer" in answer.reason] == []


def test_workers_that_cannot_start_are_an_error_not_failures_of_every_file(
    tmp_path: Path, pictures: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(SimkinError, match="worker processes cannot start: the worker process ended with status 1"):
        list(describe_all(jobs(pictures(tmp_path, 3)), 2))
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(SimkinError, match="cannot start a worker process: No such file"):
        list(describe_all(jobs(pictures(tmp_path, 3)), 2))


def test_closing_early_leaves_no_process_and_no_descriptor(large: list[Path]) -> None:
    gc.collect()  # what other tests left open closes now, not in between
    before = len(os.listdir("/proc/self/fd"))
    answers = describe_all(jobs(large), 2)
    next(answers)
    answers.close()
    assert workers_alive() == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_same_content_is_not_described_again(tmp_path: Path, pictures: Callable[..., list[Path]]) -> None:
    (path,) = pictures(tmp_path, 1)
    known = content_digest(path)
    (answer,) = describe_all(iter([Job(0, os.fsencode(path), "image", PICTURE, known)]), 1)
    assert answer == Described(0, known, "", ())


def test_a_pipe_named_like_a_picture_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(MediaError, match="expected a regular file"):
        content_digest(tmp_path / "a.jpg")


def test_long_files_are_told_apart_by_their_ends_and_length(tmp_path: Path) -> None:
    digests = set()
    for size, first, last in [(WHOLE + 1, b"a", b"b"), (WHOLE + 1, b"a", b"c"), (WHOLE + 2, b"a", b"b")]:
        with (tmp_path / "long.wav").open("wb") as file:
            file.write(first)
            file.truncate(size)
            file.seek(-PART // 2, os.SEEK_END)
            file.write(last)
        digests.add(content_digest(tmp_path / "long.wav"))
    assert len(digests) == 3


def test_a_crash_in_the_first_file_of_a_run_is_told_in_failures_and_retried(
    tmp_path: Path, run_index: Any, pictures: Callable[..., list[Path]]
) -> None:
    from index.catalog import Catalog

    pictures(tmp_path / "p", 3)
    describe = run_index.describe
    run_index.describe = lambda job: (
        describe(job) if job.number != 2 else Described(2, b"", "", (), "worker", "was ended by SIGSEGV")
    )
    assert run_index(tmp_path / "c", tmp_path / "p").failed == 1
    with Catalog.open(tmp_path / "c") as catalog:
        (failure,) = catalog.failures()
    assert (failure.item_id, failure.stage, failure.attempts) == ("001.jpg", "worker", 1)
    run_index.describe = describe
    report = run_index(tmp_path / "c")
    assert (report.retried, report.failed, report.items) == (1, 0, 3)
