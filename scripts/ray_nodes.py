"""Ray nodes on this machine for benchmarks, as `ray start` makes them, each held to one processor core.

Usage: imported by benchmarks, `with cluster([0, 1]) as address:`
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
}


@contextlib.contextmanager
def cluster(cores: list[int]) -> Iterator[str]:
    """Start one node with one place on each of these cores; yields the address."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as logs, contextlib.ExitStack() as stack:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        for number, core in enumerate(cores):
            role = [f"--address=127.0.0.1:{port}"] if number else ["--head", f"--port={port}"]
            stack.enter_context(_node(role, core, Path(logs) / f"{number}.log"))
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def _node(role: list[str], core: int, log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address=127.0.0.1"]
    command += ["--num-cpus=1", "--object-store-memory=80000000", *role]
    command += ["--include-dashboard=false"] if "--head" in role else []
    with log.open("w") as file:
        process = subprocess.Popen(
            command, env=os.environ | ENVIRONMENT, stdout=file, stderr=file,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )  # fmt: skip
        try:
            while "block forever" not in log.read_text():
                if process.poll() is not None:
                    raise SystemExit(log.read_text())
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)
