#!/usr/bin/env python3
"""What starting costs: seconds of processor time and memory until a program can do its first useful thing.

Usage: scripts/bench_start.py [--items 20000] [--rounds 9] [--catalog DIR] [--json] [--quick]

Each contender is a fresh process, started in turns with the others:

  python        an interpreter that does nothing: the limit
  numpy         one that imports numpy: the limit of whatever calculates
  import        python -c 'import simkin'
  help          simkin --help
  query         simkin query ID, an item of a catalog
  query --json  the same, as programs ask
  serve         simkin serve, from its start until the first question asked of it over HTTP is answered

Reported are processor seconds (user and system, of the process and those it started), wall-clock seconds, and the
highest resident memory of any one process; medians over the rounds with the lowest and highest, and what each takes
beyond the bare interpreter. Without --catalog one of made vectors is built first (not measured).
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from process_figures import cpu_seconds, family, memory_of_all

SIMKIN = [sys.executable, "-m", "simkin"]


RUN = """
import json, os, resource, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
complaint = process.stderr.read().decode()
_, status, used = os.wait4(process.pid, 0)
print(json.dumps({"status": status, "complaint": complaint, "wall_s": time.perf_counter() - started,
                  "cpu_s": used.ru_utime + used.ru_stime, "mb": used.ru_maxrss / 1024}))
"""
"""Starts what is measured from a small process: a child counts what its parent held when it was forked, too."""


def run(*command: str) -> dict[str, float]:
    """One process, from start to end."""
    done = subprocess.run([sys.executable, "-S", "-c", RUN, *command], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    if told["status"]:
        sys.exit(f"{' '.join(command)} failed: {told['complaint']}")
    return {name: told[name] for name in ("cpu_s", "wall_s", "mb")}


def serve(catalog: Path, item: str) -> dict[str, float]:
    """A server, until it has answered one question."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [*SIMKIN, "serve", "--catalog", str(catalog), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = next(word for word in process.stdout.readline().split() if word.startswith("http"))
        asked = f"{address.rstrip('/')}/api/recommend?{urllib.parse.urlencode({'id': item, 'k': 10})}"
        with urllib.request.urlopen(asked, timeout=60) as answer:
            assert json.load(answer)["hits"]
        return {
            "wall_s": time.perf_counter() - started,
            "cpu_s": sum(cpu_seconds(pid) for pid in family(process.pid)),
            "mb": memory_of_all(process.pid).total / 1e6,
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def contenders(catalog: Path, item: str) -> dict[str, Callable[[], dict[str, float]]]:
    """What is measured, by name."""
    ask = [*SIMKIN, "query", item, "--catalog", str(catalog)]
    return {
        "python": lambda: run(sys.executable, "-c", "pass"),
        "numpy": lambda: run(sys.executable, "-c", "import numpy"),
        "import": lambda: run(sys.executable, "-c", "import simkin"),
        "help": lambda: run(*SIMKIN, "--help"),
        "query": lambda: run(*ask),
        "query --json": lambda: run(*ask, "--json"),
        "serve": lambda: serve(catalog, item),
    }


def measure(catalog: Path, item: str, rounds: int) -> dict[str, Any]:
    """Let them take turns; the first turn warms up and does not count."""
    found: dict[str, list[dict[str, float]]] = {}
    for turn in range(rounds + 1):
        for name, start in contenders(catalog, item).items():
            figures = start()
            if turn:
                found.setdefault(name, []).append(figures)
    bare = [figures["cpu_s"] for figures in found["python"]]
    told: dict[str, Any] = {}
    for name, runs in found.items():
        told[name] = {key: spread([figures[key] for figures in runs]) for key in ("cpu_s", "wall_s", "mb")}
        beyond = [figures["cpu_s"] - least for figures, least in zip(runs, bare, strict=True)]
        told[name]["cpu_s_beyond_python"] = spread(beyond)
    return told


def spread(values: list[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {
        "median": round(statistics.median(values), 3), "low": round(min(values), 3), "high": round(max(values), 3)
    }  # fmt: skip


def show(result: dict[str, Any]) -> None:
    """Print for people."""
    print(f"{result['items']} items, medians of {result['rounds']} rounds (lowest to highest)\n")
    print(f"{'':<14}{'processor s':<26}{'beyond python':<16}{'wall-clock s':<26}{'MB':<10}")
    for name, told in result["processes"].items():
        cpu, wall = told["cpu_s"], told["wall_s"]
        print(
            f"{name:<14}"
            + f"{cpu['median']:.3f} ({cpu['low']:.3f} to {cpu['high']:.3f})".ljust(26)
            + f"{told['cpu_s_beyond_python']['median']:.3f}".ljust(16)
            + f"{wall['median']:.3f} ({wall['low']:.3f} to {wall['high']:.3f})".ljust(26)
            + f"{told['mb']['median']:.1f}"
        )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000, help="of the catalog that is made (default 20,000)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--catalog", type=Path, help="one that is there, instead of making one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="2,000 items, three rounds")
    args = parser.parse_args()
    if args.quick:
        args.items, args.rounds = 2000, 3
    with tempfile.TemporaryDirectory(prefix="start-") as temporary:
        catalog = args.catalog or made(Path(temporary) / "made.simkin", args.items)
        item, count = some_item(catalog)
        result = {"items": count, "rounds": args.rounds, "processes": measure(catalog, item, args.rounds)}
    print(json.dumps(result)) if args.json else show(result)


def made(catalog: Path, items: int) -> Path:
    """A catalog of made vectors, built."""
    from bench_recall import make_catalog

    from index.catalog import Catalog
    from index.engine.build import build_if_needed

    make_catalog(catalog, items)
    with Catalog.open(catalog) as opened, opened.writing():
        build_if_needed(opened)
    return catalog


def some_item(catalog: Path) -> tuple[str, int]:
    """The id of an item in the middle, and how many there are."""
    from index.catalog import Catalog

    with Catalog.open(catalog) as opened:
        count = opened.count()
        row = opened.connection.execute("SELECT id FROM items ORDER BY id LIMIT 1 OFFSET ?", (count // 2,)).fetchone()
        return str(row[0]), count


if __name__ == "__main__":
    main()
