"""Worker processes that decode and describe files: bounded, fed in order, and free to crash.

``concurrent.futures`` gives up the whole pool when one process dies and cannot tell which file did it.
Here each worker holds a short queue of its own and answers file by file, so the file at the head of a
dead or overdue worker's queue is the culprit: it alone is failed, the rest is handed to a new worker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from index.types import Modality

AHEAD = 8
"""Files queued at one worker: enough to hide the round trip, few enough to keep memory flat."""

FILE_SECONDS = 120.0
"""A file that takes longer than this is failed and its worker replaced."""


class Job(NamedTuple):
    """One file to describe.

    Attributes:
        number: The caller's number for it.
        path: Where it is, absolute.
        modality: Picture or sound.
        encoders: Names of those that shall describe it.
        known: Digest of the content described before; the same content is not described again.
    """

    number: int
    path: bytes
    modality: Modality
    encoders: tuple[str, ...]
    known: bytes = b""


class Described(NamedTuple):
    """What came of one job.

    Attributes:
        number: Of the job.
        digest: Of the file's content; empty when it could not be read.
        tags: JSON object of what the file says of itself; empty for none.
        prepared: For each encoder of the job, what ``Encoder.prepare`` returned, as bytes with dtype and shape;
            empty when the content is the one already known.
        stage: Where it failed; empty when it did not.
        reason: Why.
    """

    number: int
    digest: bytes
    tags: str
    prepared: tuple[tuple[str, str, tuple[int, ...], bytes], ...]
    stage: str = ""
    reason: str = ""


def usable_cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_all(jobs: Iterator[Job], workers: int, file_seconds: float = FILE_SECONDS) -> Iterator[Described]:
    """Describe files in ``workers`` processes; answers come as they are ready, one for each job.

    Args:
        jobs: Pulled only as fast as answers are taken.
        workers: Number of processes; started when there are jobs for them.
        file_seconds: Longest time for one file.

    Raises:
        OSError: A process cannot be started.
    """
    pool: list[_Worker] = []
    again: deque[Job] = deque()  # taken back from a dead worker
    exhausted = False
    try:
        while True:
            for place in range(workers):
                while not exhausted or again:
                    if place < len(pool) and len(pool[place].queue) >= AHEAD:
                        break
                    job = again.popleft() if again else next(jobs, None)
                    if job is None:
                        exhausted = True
                        break
                    if place == len(pool):
                        pool.append(_Worker.start())
                    pool[place].give(job)
            busy = [worker for worker in pool if worker.queue]
            if not busy:
                return
            ready = set(wait([worker.connection for worker in busy], timeout=1.0))
            for worker in busy:
                death = ""
                if worker.connection in ready:
                    try:
                        yield worker.take()
                        continue
                    except (EOFError, OSError):
                        death = worker.cause_of_death()
                elif time.monotonic() - worker.since > file_seconds:
                    death = f"the file took longer than {file_seconds:g} s and was given up"
                if death:
                    worker.stop(at_once=True)
                    culprit = worker.queue.popleft()
                    again.extendleft(reversed(worker.queue))
                    pool[pool.index(worker)] = _Worker.start()
                    yield Described(culprit.number, b"", "", (), "worker", death)
    finally:
        for worker in pool:
            worker.stop(at_once=bool(worker.queue))


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    queue: deque[Job]
    since: float

    @classmethod
    def start(cls) -> _Worker:
        """Start a fresh interpreter: no fork of a threaded process, no re-run of the caller's script."""
        ours, theirs = socket.socketpair()
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
            environment[f"{library}_NUM_THREADS"] = "1"  # the processes are the parallelism
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from index.worker import serve; serve({theirs.fileno()})"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # codecs complain there; what matters comes back as a reason
            pass_fds=[theirs.fileno()],
            env=environment,
        )
        theirs.close()
        return cls(process, Connection(ours.detach()), deque(), time.monotonic())

    def give(self, job: Job) -> None:
        if not self.queue:
            self.since = time.monotonic()
        self.queue.append(job)
        with contextlib.suppress(OSError):  # it died; the next take() finds out
            self.connection.send(tuple(job))

    def take(self) -> Described:
        described = Described(*self.connection.recv())
        self.queue.popleft()
        self.since = time.monotonic()
        return described

    def cause_of_death(self) -> str:
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "the worker process stopped answering"
        if code >= 0:
            return f"the worker process ended with status {code}"
        name = signal.Signals(-code).name
        hint = ", perhaps for want of memory" if name == "SIGKILL" else " while decoding it"
        return f"the worker process was ended by {name}{hint}"

    def stop(self, *, at_once: bool) -> None:
        self.connection.close()  # end of file: an idle worker leaves by itself
        if at_once:
            self.process.kill()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
