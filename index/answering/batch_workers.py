"""Processes that answer parts of a batch side by side, each with the catalog open."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TypeAlias

from index.address import Place
from index.answers import Query
from index.errors import SimkinError

TOLD_EVERY = 50
"""Items answered before a process says so."""


@dataclass(frozen=True, slots=True)
class Part:
    """Items to be asked about, and the file that their answers go to: ``index.answering.batch`` writes it."""

    number: int
    ids: list[str]
    path: Path


Answering: TypeAlias = Callable[[Place, Query, str, Iterator[Part], int, Callable[[int], None]], Iterator[Part]]
"""Has parts answered, as ``answer_parts`` does."""


def answer_parts(
    catalog: Place, query: Query, suffix: str, parts: Iterator[Part], processes: int, on_items: Callable[[int], None]
) -> Iterator[Part]:
    """Have parts answered; each is given back once its file is written, in whatever order that happens.

    Args:
        catalog: The catalog's folder, or its address.
        query: All but its items.
        suffix: Of the format.
        parts: Pulled only as fast as they are answered.
        processes: How many.
        on_items: Told how many more items were answered, now and then.

    Raises:
        SimkinError: A process ended, or could not answer; what it was at is not given back.
    """
    pool: list[_Process] = []
    try:
        for part in parts:
            if len(pool) < processes:
                pool.append(_Process.start(catalog, query, suffix))
                pool[-1].give(part)
                continue
            while not any(process.part is None for process in pool):
                yield from _taken(pool, on_items)
            next(process for process in pool if process.part is None).give(part)
        while any(process.part for process in pool):
            yield from _taken(pool, on_items)
    finally:
        for process in pool:
            process.stop()


def _taken(pool: list[_Process], on_items: Callable[[int], None]) -> Iterator[Part]:
    busy = {process.connection: process for process in pool if process.part}
    for ready in wait(list(busy), timeout=1.0):
        process = busy[ready]  # type: ignore[index]
        try:
            answered, problem = process.connection.recv()
        except (EOFError, OSError):
            raise SimkinError(
                f"a process that answers ended with status {process.process.wait()}; run the same command to go on"
            ) from None
        if problem:
            raise SimkinError(problem)
        if answered:
            on_items(answered)
        elif process.part:
            yield process.part
            process.part = None


@dataclass(eq=False)
class _Process:
    process: subprocess.Popen[bytes]
    connection: Connection
    part: Part | None = field(default=None)

    @classmethod
    def start(cls, catalog: Place, query: Query, suffix: str) -> _Process:
        ours, theirs = socket.socketpair()
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        environment |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        code = f"from index.answering.batch_workers import serve; serve({theirs.fileno()})"
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        made = cls(process, Connection(ours.detach()))
        made.connection.send((catalog, query, suffix))
        return made

    def give(self, part: Part) -> None:
        self.part = part
        with contextlib.suppress(OSError):  # it died, which is found out when its answer is waited for
            self.connection.send((part.ids, part.path))

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


def serve(number: int) -> None:
    """Answer parts until the connection, a socket by its number, is closed: what such a process runs."""
    import signal

    from index.answering.batch import write_part
    from index.opening import open_recommender

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and ends this
    connection = Connection(number)
    with contextlib.suppress(EOFError, OSError):
        catalog, query, suffix = connection.recv()
        recommender = open_recommender(catalog)
        while True:
            ids, path = connection.recv()
            try:
                write_part(recommender, query, suffix, ids, path, lambda count: connection.send((count, "")))
                connection.send((0, ""))
            except (SimkinError, OSError) as error:
                connection.send((0, str(error)))
