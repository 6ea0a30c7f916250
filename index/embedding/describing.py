"""Describing planned files: brought where a worker can read them, described, and told apart from a lost source."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from index.embedding.fetch import ahead, bring
from index.embedding.plan import PlannedFile, Result
from index.embedding.remote import is_http, look_up, scheme_of
from index.errors import InputError, MediaError, SimkinError
from index.ingesting.workers import Described, Job

LOOK_SECONDS = 5.0
"""A source behind a URL is looked up at most so often."""


class Asked(NamedTuple):
    """A file that encoders shall describe."""

    file: PlannedFile
    encoders: tuple[str, ...]


class Answer(NamedTuple):
    """What came of one file.

    Attributes:
        asked: The file, and by which encoders.
        described: The worker's answer, or why there is none.
        opened: Whether a worker had it.
        fetched: Seconds that bringing it took.
    """

    asked: Asked
    described: Described
    opened: bool
    fetched: float

    def results(self) -> dict[str, Result]:
        """Encoder → result."""
        vectors = dict(self.described.vectors)
        reason = self.described.reason.encode("utf-8", "backslashreplace").decode()
        stage, tags = self.described.stage, self.described.tags
        return {name: Result(vectors.get(name, b""), stage, reason, tags) for name in self.asked.encoders}


def describe_files(
    asked: Iterator[Asked],
    describe: Callable[[Iterator[Job]], Generator[Described, None, None]],
    spool: Path,
    keep: Callable[[Answer], None],
) -> Iterator[None]:
    """Describe files; every engine does it by this function.

    Args:
        asked: Pulled as fast as answers come, and a little ahead.
        describe: Worker processes, see ``index.ingesting.workers``.
        spool: A folder for copies of files that lie elsewhere.
        keep: Given one answer for each file, those that are ready first.

    Yields:
        After some answers each time, so that the caller can do other things.

    Raises:
        InputError: A source vanished: a file cannot be read, and neither can the source that names it.
        SimkinError: Worker processes cannot be started.
    """
    waiting: dict[int, tuple[Asked, Path | None, float]] = {}
    sources = _Sources()

    def jobs() -> Iterator[Job]:
        with closing(ahead(asked, lambda one: _place(one.file, spool))) as placed:
            for one, future in placed:
                file = one.file
                try:
                    path, copy, seconds = future.result()
                except MediaError as error:
                    sources.check(file, error.stage)
                    keep(Answer(one, Described(file.file, b"", "", (), error.stage, error.reason), False, 0.0))
                    continue
                waiting[file.file] = (one, copy, seconds)
                yield Job(file.file, path, file.modality, one.encoders)

    with closing(describe(jobs())) as answers:
        for described in answers:
            one, copy, seconds = waiting.pop(described.number)
            if copy:
                copy.unlink(missing_ok=True)
            sources.check(one.file, described.stage)
            keep(Answer(one, described, True, seconds))
            yield


def _place(file: PlannedFile, spool: Path) -> tuple[bytes, Path | None, float]:
    """Where a file can be read; the copy to be deleted afterwards, when it had to be brought; seconds that took."""
    if file.problem:
        raise MediaError("read", file.problem)
    if file.start < 0 and not scheme_of(os.fsdecode(file.path)):
        return file.path, None, 0.0
    started = time.monotonic()
    name = file.member or os.fsdecode(file.path).partition("?")[0]
    target = spool / f"{file.file}{Path(name).suffix[:10]}"
    bring(file.path, file.start, file.size, file.modality, target)
    return os.fsencode(target), target, time.monotonic() - started


class _Sources:
    """Tells a file that cannot be read from a source that is gone, so that a lost disk fails no million files."""

    def __init__(self) -> None:
        self._looked: dict[str, float] = {}

    def check(self, file: PlannedFile, stage: str) -> None:
        if stage != "read" or file.problem or is_http(file.source):
            return
        now = time.monotonic()
        remote = bool(scheme_of(file.source))
        if remote and now - self._looked.get(file.source, -LOOK_SECONDS) < LOOK_SECONDS:
            return
        self._looked[file.source] = now
        if not (_remote_is_there(file.source) if remote else _is_there(Path(file.source))):
            raise InputError(
                f"{file.source} vanished while it was read; shards that were finished are kept: bring it back, then "
                "run again"
            )


def _is_there(source: Path) -> bool:
    """A disk that was unmounted leaves an empty folder behind."""
    try:
        if not source.is_dir():
            return source.exists()
        with os.scandir(source) as names:
            return next(names, None) is not None
    except OSError:
        return False


def _remote_is_there(source: str) -> bool:
    try:
        look_up(source)
    except SimkinError:
        return False
    return True
