"""Running a server: one listening socket, processes that answer at it, and an end within a second of being asked."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict

from index.address import place_of
from index.errors import InputError, SimkinError
from simkin.server.settings import Settings

BACKLOG = 2048

METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""Where several processes keep what they count; prometheus-client reads it when it is imported."""

MATRIX_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Set to 1 for server processes where they are not set: questions come side by side, each is small, and threads of
matrix libraries would only wait for each other."""

YOUNG_SECONDS = 5.0
YOUNG_DEATHS = 3
"""A process that dies sooner than so many seconds after its start, so many times in a row, is not started again."""


def listen(host: str, port: int) -> socket.socket:
    """Open the socket that connections come to.

    Raises:
        InputError: The address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot listen at {host}:{port}: {reason.lower()}; name another with --port") from None


def address_of(listener: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host in ("localhost", "::1") or host.startswith("127.")


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve until interrupted. A process that dies, as of a file that crashes a decoder, is replaced.

    Raises:
        SimkinError: Processes die as soon as they are started.
    """
    ending = threading.Event()
    before = {number: signal.signal(number, lambda *_: ending.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    workers: list[_Worker] = []
    try:
        with tempfile.TemporaryDirectory(prefix="simkin-metrics-", ignore_cleanup_errors=True) as folder:
            environment = dict.fromkeys(MATRIX_THREADS, "1") | os.environ
            if settings.workers > 1:
                environment[METRICS] = folder
            workers += (_Worker(settings, listener, environment) for _ in range(settings.workers))
            deaths = 0
            while not ending.wait(0.2):
                for at, worker in enumerate(workers):
                    status = worker.status()
                    if status is None:
                        continue
                    deaths = deaths + 1 if worker.age() < YOUNG_SECONDS else 0
                    if deaths >= YOUNG_DEATHS:
                        raise SimkinError(f"the server's processes end as soon as they are started (status {status})")
                    workers[at] = _Worker(settings, listener, environment)
            _end(workers)
    finally:
        _end(workers)
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.end()
    while workers:
        workers.pop().wait()


class _Worker:
    """One server process (``simkin.server.worker``); it ends when its standard input does, so also when its parent
    dies."""

    def __init__(self, settings: Settings, listener: socket.socket, environment: dict[str, str]) -> None:
        self._since = time.monotonic()
        number = listener.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simkin.server.worker", str(number)],
            stdin=subprocess.PIPE,
            pass_fds=[number],
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which tells its processes
        )
        content = json.dumps({**asdict(settings), "catalog": str(settings.catalog)})
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{content}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:  # it is dead already, which will be found out
            pass

    def status(self) -> int | None:
        """Exit status; ``None`` while it lives."""
        return self._process.poll()

    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._since

    def end(self) -> None:
        """Tell it to end."""
        if self.status() is None:
            self._process.terminate()

    def wait(self) -> None:
        """Wait for its end; it has a second."""
        try:
            self._process.wait(1.5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


def settings_from(line: bytes) -> Settings:
    """Settings as a worker is told them."""
    content = json.loads(line)
    return Settings(**{**content, "catalog": place_of(content["catalog"]), "hosts": tuple(content["hosts"])})
