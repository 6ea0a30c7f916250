"""Memory that this process may use: the machine's, or what a control group leaves it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def usable_memory(own: Path = OWN, root: Path = ROOT) -> int:
    """Bytes that this process may use, in containers and services as well: of the machine's memory and all limits above
    it, the least.

    Args:
        own: Which control groups it is in, as the kernel tells.
        root: Where control groups are mounted.
    """
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _limits(own, root):
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # there is none, or "max"
            continue
    return min(found)


def _limits(own: Path, root: Path) -> Iterator[Path]:
    """Files that may tell a limit: of the own group and of each above it, of both kinds of control groups."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, group = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        folder, name = (root / "memory", "memory.limit_in_bytes") if kinds else (root, "memory.max")
        inner = folder / group.lstrip("/")
        for above in (inner, *inner.parents):
            yield above / name
            if above == folder:
                break
