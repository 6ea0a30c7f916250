"""Running a server: one listening socket, one or several processes, and an end within a second of being asked."""

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
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import uvicorn

from index.errors import InputError
from simkin.server.app import create_app
from simkin.server.metrics import MULTIPROCESS
from simkin.server.settings import Settings

GRACE_SECONDS = 1
"""How long answers under way may take once the server is told to end, in whole seconds as uvicorn has it."""

HURRY_SECONDS = 0.7
"""How long in fact: then the process ends, whatever is still being read or decoded."""

BACKLOG = 2048


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
    """Serve until interrupted."""
    if settings.workers > 1:
        _serve_by_many(settings, listener)
    else:
        _serve_here(settings, listener)


def _serve_here(settings: Settings, listener: socket.socket) -> None:
    config = uvicorn.Config(
        create_app(settings),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=BACKLOG,
        ws="none",
    )
    _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends in time even where a decoder does not let go."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            timer = threading.Timer(HURRY_SECONDS, os._exit, (0,))
            timer.daemon = True
            timer.start()
        self.should_exit = True


def _serve_by_many(settings: Settings, listener: socket.socket) -> None:
    """Processes that share the socket; one that dies is replaced."""
    with tempfile.TemporaryDirectory(prefix="simkin-metrics-") as folder:
        workers = [_Worker(settings, listener, Path(folder)) for _ in range(settings.workers)]
        ending = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ending.set())
        try:
            while not ending.wait(0.2):
                for at, worker in enumerate(workers):
                    if not worker.lives():
                        time.sleep(worker.patience())
                        workers[at] = _Worker(settings, listener, Path(folder))
        finally:
            for worker in workers:
                worker.end()
            for worker in workers:
                worker.wait()


class _Worker:
    """One server process; it ends when its standard input does, so also when its parent dies."""

    def __init__(self, settings: Settings, listener: socket.socket, folder: Path) -> None:
        self._since = time.monotonic()
        number = listener.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simkin.server.run", str(number)],
            stdin=subprocess.PIPE,
            pass_fds=[number],
            env={**os.environ, MULTIPROCESS: str(folder)},
            start_new_session=True,  # Ctrl-C is for the parent, which tells its workers
        )
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps({**asdict(settings), "catalog": str(settings.catalog)}) + "\n").encode())
        self._process.stdin.flush()

    def lives(self) -> bool:
        return self._process.poll() is None

    def patience(self) -> float:
        """Seconds to wait before replacing it: one that died young may die young again."""
        return 0.0 if time.monotonic() - self._since > 5 else 1.0

    def end(self) -> None:
        if self.lives():
            self._process.terminate()

    def wait(self) -> None:
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


def _work(arguments: Sequence[str], ended: Callable[[int], object] = os._exit) -> None:
    """What a worker process does: settings come on standard input, the socket by number."""
    content = json.loads(sys.stdin.buffer.readline())
    settings = Settings(**{**content, "catalog": Path(content["catalog"])})

    def follow_parent() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow_parent, daemon=True).start()
    _serve_here(settings, socket.socket(fileno=int(arguments[0])))


if __name__ == "__main__":
    _work(sys.argv[1:])
