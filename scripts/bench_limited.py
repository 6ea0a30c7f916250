#!/usr/bin/env python3
"""Questions to a large catalog by a process that may hold less memory than the catalog's vectors take.

Usage: scripts/bench_limited.py [--items 1000000] [--dim 512] [--megabytes 0,1024,512] [--questions 3000] [--keep DIR]

A generation's files are mapped, and what a process has touched of them counts as its resident memory, although the
kernel takes it back when it is needed. So what a process needs is told by a limit: it runs in a memory control group
of so many megabytes (0: no limit), with none of the files in memory when it starts. Told are questions a second in
thirds of the run, and what the process holds at the end, its own and of files. Needs Linux and root.

Vectors are those of bench_search.py.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_search import WANTED, make_catalog, make_vectors

ONE, TWO = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
"""Where control groups of the first and of the second kind are."""


def limited(megabytes: int) -> Path | None:
    """Make a control group that holds so much, and return its folder; ``None`` for no limit."""
    if not megabytes:
        return None
    first = ONE.is_dir()
    group = (ONE if first else TWO) / f"simkin-{os.getpid()}-{megabytes}"
    group.mkdir()
    (group / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(megabytes << 20))
    return group


def forget(folder: Path) -> None:
    """Have the kernel let go of what it keeps of some files."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def ask(catalog: Path, questions: int, group: str) -> None:
    """Ask about random items, and print what it took."""
    if group:
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    import simkin

    recommender = simkin.open(catalog)
    keys = recommender.generation.spaces["image"].keys
    rows = np.random.default_rng(3).integers(0, len(keys), questions).tolist()
    seconds = []
    for row in rows:
        query = simkin.Query(items=((f"item-{int(keys[row]):07d}", 1.0),), k=10, duplicates=True)
        started = time.perf_counter()
        recommender.scores(query)
        seconds.append(time.perf_counter() - started)
    third = len(seconds) // 3
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(
        json.dumps(
            {
                "a_second": [round(third / sum(seconds[at : at + third])) for at in range(0, 3 * third, third)],
                "p50_ms": round(1000 * statistics.median(seconds), 2),
                "own_mb": int(status["RssAnon"].split()[0]) // 1024,
                "files_mb": int(status["RssFile"].split()[0]) // 1024,
            }
        )
    )


def main() -> None:
    """Make a catalog, and ask it under each limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--megabytes", default="0,1024,512")
    parser.add_argument("--questions", type=int, default=3000)
    parser.add_argument("--keep", type=Path, help="make the catalog here, or take the one that is there")
    parser.add_argument("--ask", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ask:
        ask(Path(args.ask[0]), int(args.ask[1]), args.ask[2])
        return
    from index.catalog import Catalog
    from index.engine.build import build_if_needed

    with tempfile.TemporaryDirectory(prefix="bench-limited-") as scratch:
        folder = (args.keep or Path(scratch)) / "limited.simkin"
        if not folder.exists():
            make_catalog(folder, make_vectors(args.items, args.dim))
            with Catalog.open(folder) as catalog, catalog.writing():
                with catalog.connection:
                    catalog.set_setting("recall", str(WANTED))
                build_if_needed(catalog)
        print(f"{args.items:,} × {args.dim}: vectors take {args.items * args.dim * 4 >> 20:,} MB")
        for megabytes in map(int, args.megabytes.split(",")):
            forget(folder)
            group = limited(megabytes)
            words = [sys.executable, __file__, "--ask", str(folder), str(args.questions), str(group or "")]
            done = subprocess.run(words, capture_output=True, text=True)
            if group:
                group.rmdir()
            told = done.stdout.strip() if not done.returncode else f"ended with status {done.returncode}"
            print(f"limit {megabytes or 'none'} MB: {told}{done.stderr[-300:]}", flush=True)


if __name__ == "__main__":
    main()
