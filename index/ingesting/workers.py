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
from collections import Counter, deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from index.errors import SimkinError
from index.types import Modality

READY = "ready"
"""What a worker sends before anything else."""

STARTS = 4
"""Workers that may die in a row before they are ready: then it is not for want of luck."""

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
        tags: JSON object of what the file says of itself; empty when it was not asked.
        vectors: For each encoder of the job, its name and the vector as little-endian float32;
            empty when the content is the one already known.
        stage: Where it failed; empty when it did not.
        reason: Why.
        spent: Seconds of reading the file, and of decoding and encoding it.
    """

    number: int
    digest: bytes
    tags: str
    vectors: tuple[tuple[str, bytes], ...]
    stage: str = ""
    reason: str = ""
    spent: tuple[float, float] = (0.0, 0.0)


def describe_all(
    jobs: Iterator[Job], workers: int, file_seconds: float = FILE_SECONDS
) -> Generator[Described, None, None]:
    """Describe files in ``workers`` processes; answers come as they are ready, one for each job.

    Args:
        jobs: Pulled only as fast as answers are taken.
        workers: Number of processes; started when there are jobs for them.
        file_seconds: Longest time for one file.

    Raises:
        SimkinError: Processes cannot be started, or end before they take a file.
    """
    pool = WorkerPool(workers, file_seconds)
    try:
        yield from pool.describe(jobs)
    finally:
        pool.close()


class WorkerPool:
    """Worker processes that stay for several runs of files.

    Args:
        workers, file_seconds: As for ``describe_all``.
        chances: How often a file is tried again whose process was killed from outside (SIGKILL), as by the
            kernel for the memory that others took.
    """

    def __init__(self, workers: int, file_seconds: float = FILE_SECONDS, chances: int = 0) -> None:
        self._count, self._file_seconds, self._chances = workers, file_seconds, chances
        self._workers: list[_Worker] = []

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    def describe(self, jobs: Iterator[Job]) -> Generator[Described, None, None]:
        """See ``describe_all``; processes are kept, except those that have files left when it is given up."""
        self._drop([worker for worker in self._workers if worker.process.poll() is not None])  # died in between
        try:
            yield from self._describe(jobs)
        finally:
            self._drop([worker for worker in self._workers if worker.queue])

    def _drop(self, workers: list[_Worker]) -> None:
        for worker in workers:
            worker.stop()
            self._workers.remove(worker)

    def _describe(self, jobs: Iterator[Job]) -> Generator[Described, None, None]:
        pool, file_seconds = self._workers, self._file_seconds
        again: deque[Job] = deque()  # taken back from a dead worker
        killed: Counter[int] = Counter()
        exhausted = False
        stillborn = 0
        while True:
            for place in range(self._count):
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
                overdue = time.monotonic() - worker.since > file_seconds
                if worker.connection in ready or (overdue and worker.connection.poll()):
                    # asked again when overdue: the answer may have come while the caller was busy
                    try:
                        described = worker.take()
                    except (EOFError, OSError):
                        death = worker.cause_of_death()
                    else:
                        stillborn = 0
                        if described:
                            yield described
                        continue
                elif overdue:
                    death = f"the file took longer than {file_seconds:g} s and was given up"
                else:
                    continue
                worker.stop()
                culprit = worker.queue.popleft() if worker.ready else None
                again.extendleft(reversed(worker.queue))
                worker.queue.clear()
                stillborn += culprit is None
                if stillborn >= STARTS:
                    raise SimkinError(
                        f"worker processes cannot start: {death}; try: python -c 'import index.ingesting.worker'"
                    )
                pool[pool.index(worker)] = _Worker.start()
                if culprit and worker.process.returncode == -signal.SIGKILL and not overdue:
                    killed[culprit.number] += 1
                    if killed[culprit.number] <= self._chances:
                        again.appendleft(culprit)
                        culprit = None
                if culprit:
                    yield Described(culprit.number, b"", "", (), "worker", death)


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    queue: deque[Job]
    since: float
    ready: bool = False

    @classmethod
    def start(cls) -> _Worker:
        """Start a fresh interpreter: no fork of a threaded process, no re-run of the caller's script."""
        ours, theirs = socket.socketpair()
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
            environment[f"{library}_NUM_THREADS"] = "1"  # the processes are the parallelism
        with theirs:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", f"from index.ingesting.worker import serve; serve({theirs.fileno()})"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # codecs complain there; what matters comes back as a reason
                    pass_fds=[theirs.fileno()],
                    env=environment,
                )
            except OSError as error:
                ours.close()
                raise SimkinError(f"cannot start a worker process: {error.strerror or error}") from error
        return cls(process, Connection(ours.detach()), deque(), time.monotonic())

    def give(self, job: Job) -> None:
        if not self.queue:
            self.since = time.monotonic()
        self.queue.append(job)
        with contextlib.suppress(OSError):  # it died; the next take() finds out
            self.connection.send(tuple(job))

    def take(self) -> Described | None:
        """Receive one answer; ``None`` when it only says that the process is ready."""
        message = self.connection.recv()
        self.since = time.monotonic()
        if message == READY:
            self.ready = True
            return None
        self.queue.popleft()
        return Described(*message)

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

    def stop(self) -> None:
        """End the process; it keeps nothing that could be lost, and an orderly exit takes a quarter of a second."""
        self.connection.close()
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel, as with a dead network disk
            self.process.wait(timeout=5)
