#!/usr/bin/env python3
"""Figures of running processes, from /proc: memory, processor time and open files. Linux only.

Usage: scripts/process_figures.py PID…        prints them; benchmarks import the functions
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one or more processes, in bytes; pages that several share count in equal parts.

    Attributes:
        own: Pages that lie in no file: what a process has taken for itself.
        mapped: Pages of files that are mapped, which the kernel may drop when others need the memory.
    """

    own: int
    mapped: int

    @property
    def total(self) -> int:
        """Both together: the proportional set size."""
        return self.own + self.mapped


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for at in found:
        for task in Path(f"/proc/{at}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
    return found


def memory(pid: int) -> Memory:
    """Memory of one process; nothing when it is gone."""
    fields = {}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, value = line.partition(":")
            fields[name] = int(value.split()[0]) * 1024
    own = fields.get("Pss_Anon", fields.get("Anonymous", 0))
    return Memory(own, max(0, fields.get("Pss", 0) - own))


def memory_of_all(pid: int) -> Memory:
    """Memory of a process and all below it."""
    each = [memory(one) for one in family(pid)]
    return Memory(sum(one.own for one in each), sum(one.mapped for one in each))


def cpu_seconds(pid: int) -> float:
    """Processor time of one process, user and system, with that of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return 0.0
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def open_files(pid: int, below: Path = Path("/")) -> int:
    """Open file descriptors of one process, and its memory maps of files below a folder."""
    with contextlib.suppress(OSError):
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        return len(os.listdir(f"/proc/{pid}/fd")) + sum(f" {below}" in line for line in maps)
    return 0


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process and all below it held at one moment: seconds since the start, stage, memory."""

    second: float
    stage: str
    memory: Memory


class Watch:
    """Samples a running process every so many seconds, until it ends.

    Attributes:
        samples: Those taken so far, in order of time.
    """

    def __init__(self, process: subprocess.Popen[bytes], every: float, stage: Callable[[], str] = lambda: "") -> None:
        self.samples: list[Sample] = []
        self._process, self._every, self._stage = process, every, stage
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while self._process.poll() is None and not self._ended.wait(self._every):
            found = memory_of_all(self._process.pid)
            if found.total:
                self.samples.append(Sample(time.monotonic() - self._started, self._stage(), found))

    def end(self) -> list[Sample]:
        """Stop, and return all samples."""
        self._ended.set()
        self._thread.join()
        return self.samples


def main() -> None:
    """Print the figures of the processes named."""
    if not sys.argv[1:] or not all(pid.isdecimal() for pid in sys.argv[1:]):
        sys.exit("usage: scripts/process_figures.py PID…")
    for pid in map(int, sys.argv[1:]):
        held = memory(pid)
        print(
            f"{pid}: own {held.own / 1e6:.1f} MB, mapped {held.mapped / 1e6:.1f} MB, "
            f"{cpu_seconds(pid):.2f} s of processor time, {open_files(pid)} open files and maps"
        )


if __name__ == "__main__":
    main()
