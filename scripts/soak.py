#!/usr/bin/env python3
"""A long run of everything at once: one writer, a rebuild every minute, readers that check every answer.

Usage: scripts/soak.py [--minutes 30] [--rebuild-seconds 60] [--rebuilds 2] [--readers 4] [--items 12000] [--kept 60]
                       [--pause 0.02] [--json]

A catalog of made vectors is filled, then, until time is up:

  writer    adds pictures and removes them again, one at a time, as `simkin serve --write` does, and every so many
            seconds changes a folder of pictures and runs `simkin index --rebuild` on it
  readers   processes that keep one recommender open and ask: about items that were always there, by every relation,
            filtered and not, and about pictures of the writer's, each of which has a twin that must be among its
            answers from the moment its addition is committed, and must not be from the moment its removal is

A query fails when it raises. An answer is stale when it shows what was removed before the query began, misses what
was added before, or comes from a generation that was replaced before. Memory, and open files and maps of the catalog,
of every process are sampled once all are at work; they are flat when the median of the last quarter of the time is not
above that of the second quarter by more than a tenth and 5 MB, or, for files, by more than four.
At the end `simkin verify` looks at all of it. Exit status 1 when anything of this is not as it should be.
The run lasts longer than told until there were --rebuilds, and a removal, too. Readers rest between questions
(--pause), so that a machine that does other things can run this; with --pause 0 they do not.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bench_recall import make_catalog
from PIL import Image, ImageDraw
from process_figures import memory, open_files

import simkin
from index.catalog import Catalog
from index.changes import add_item, remove_item
from index.errors import SimkinError, UnknownNameError
from index.ingesting.ingest import IndexOptions, ingest
from index.types import Encoder
from index.verify import verify

IN_FOLDER = 40
"""Pictures in the folder that is indexed with every rebuild; a quarter of them are others each time."""
GROWTH, SLACK_MB, SLACK_FILES = 1.1, 5.0, 4


def draw(path: Path, seed: int, quality: int = 92) -> None:
    """Write a small picture that no other seed gives."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (96, 96), tuple(int(v) for v in rng.integers(40, 256, 3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y = rng.integers(0, 60, 2)
        box = (int(x), int(y), int(x + rng.integers(12, 36)), int(y + rng.integers(12, 36)))
        shape = (pen.rectangle, pen.ellipse)[int(rng.integers(2))]
        shape(box, fill=tuple(int(v) for v in rng.integers(0, 256, 3)))
    picture.save(path, quality=quality)


class Events:
    """What the writer did, as lines of a file that readers follow; times are of the one monotonic clock."""

    def __init__(self, path: Path, *, writing: bool = False) -> None:
        self._file = path.open("a" if writing else "r")
        self._rest = ""

    def tell(self, what: str, name: str) -> None:
        """Write one down, at once."""
        self._file.write(json.dumps([time.monotonic(), what, name]) + "\n")
        self._file.flush()

    def new(self) -> Iterator[tuple[float, str, str]]:
        """Those that came since the last call."""
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        for line in lines:
            at, what, name = json.loads(line)
            yield at, what, name


def wait_until(moment: float, stop: Path) -> None:
    """Sleep, but not beyond the end."""
    while time.monotonic() < moment and not stop.exists():
        time.sleep(min(0.2, max(0.0, moment - time.monotonic())))


def write(scratch: Path, rebuild_seconds: float, kept: int) -> dict[str, Any]:
    """The writer: pairs of pictures come and go, and every so often everything is built anew."""
    catalog, folder, stop = scratch / "catalog.simkin", scratch / "folder", scratch / "stop"
    events = Events(scratch / "events", writing=True)
    encoders: dict[str, Encoder] = {}
    pairs: list[int] = []
    told = {"added": 0, "removed": 0, "rebuilds": 0, "rebuild_s": []}
    number, due = 0, time.monotonic() + rebuild_seconds / 2
    with Catalog.open(catalog) as opened:
        while not stop.exists():
            if time.monotonic() >= due:
                due = time.monotonic() + rebuild_seconds
                for at in range(IN_FOLDER // 4):
                    draw(folder / f"{(told['rebuilds'] * 10 + at) % IN_FOLDER:02d}.jpg", 10**6 + number * 100 + at)
                begun = time.monotonic()
                report = json.loads(
                    subprocess.run(
                        [sys.executable, "-m", "simkin", "index", folder, "--catalog", catalog, "--rebuild", "--json"],
                        check=True, capture_output=True,
                    ).stdout
                )  # fmt: skip
                events.tell("built", str(report["generation"]))
                told["rebuilds"] += 1
                told["rebuild_s"].append(round(time.monotonic() - begun, 2))
            number += 1
            for side, quality in (("a", 92), ("b", 85)):
                picture = scratch / f"{side}.jpg"
                draw(picture, number, quality)
                events.tell("adding", f"pair-{number}-{side}")
                add_item(opened, picture, "image", {"price": number % 100}, f"pair-{number}-{side}", encoders)
                events.tell("added", f"pair-{number}-{side}")
                told["added"] += 1
            pairs.append(number)
            (scratch / "ready-writer").touch()
            if len(pairs) > kept:
                oldest = pairs.pop(0)
                for side in "ba":
                    events.tell("removing", f"pair-{oldest}-{side}")
                    remove_item(opened, f"pair-{oldest}-{side}")
                    events.tell("removed", f"pair-{oldest}-{side}")
                    told["removed"] += 1
            wait_until(time.monotonic() + 0.3, stop)
    return told


class Reader:
    """Asks, and holds every answer against what the writer said it had done before."""

    def __init__(self, scratch: Path, seed: int, items: int) -> None:
        self.scratch, self.items, self.seed = scratch, items, seed
        self.random = random.Random(seed)
        self.recommender = simkin.open(scratch / "catalog.simkin")
        self.events = Events(scratch / "events")
        self.state: dict[str, str] = {}
        self.generation = 0
        self.times: list[float] = []
        self.failed: list[str] = []
        self.stale: list[str] = []
        self.checked = {"twin found": 0, "twin gone": 0, "item gone": 0, "uncertain": 0}

    def run(self, pause: float) -> dict[str, Any]:
        """Until the file `stop` is there."""
        while not (self.scratch / "stop").exists():
            self.follow()
            if len(self.times) == 100:
                (self.scratch / f"ready-{self.seed}").touch()
            if self.state and self.random.random() < 0.5:
                self.ask_about_a_pair()
            else:
                self.ask_about_what_stays()
            time.sleep(pause)
        times = sorted(self.times)
        return {
            "queries": len(times),
            "failed": self.failed[:20],
            "stale": self.stale[:20],
            "checked": self.checked,
            "p50_ms": round(1000 * times[len(times) // 2], 2),
            "p99_ms": round(1000 * times[int(0.99 * len(times))], 2),
            "longest_ms": round(1000 * times[-1], 1),
        }

    def follow(self) -> None:
        """Take in what the writer has done by now."""
        for _, what, name in self.events.new():
            if what == "built":
                self.generation = int(name)
            else:
                self.state[name] = what

    def ask(self, *names: str, **how: Any) -> simkin.Answer | None:
        """Ask; a failure is noted, unless the item asked about is unknown, which the caller judges."""
        wanted = self.generation
        begun = time.perf_counter()
        try:
            answer = self.recommender.query(*names, **how)
        except UnknownNameError:
            return None
        except (SimkinError, OSError, ValueError, ArithmeticError, LookupError) as error:
            self.failed.append(f"{names} {how}: {type(error).__name__}: {error}")
            return None
        finally:
            self.times.append(time.perf_counter() - begun)
        if answer.generation < wanted:
            self.stale.append(f"{names}: from generation {answer.generation} after {wanted} was put in use")
        return answer

    def ask_about_what_stays(self) -> None:
        """Items that nobody changes: they are always known, and answers are as many as asked for."""
        name = f"item-{self.random.randrange(1, self.items + 1):07d}"
        relation = self.random.choice(("similar", "substitute", "style"))
        where = self.random.choice(("", "", "price<50", "price=7" if relation == "similar" else "price>20"))
        gone = [item for item, state in self.state.items() if state == "removed"]
        answer = self.ask(name, relation=relation, where=where, k=10)
        if answer is None:
            if len(self.failed) == 0 or name not in self.failed[-1]:
                self.failed.append(f"{name} {relation} {where}: unknown")
            return
        if not answer.hits:
            self.failed.append(f"{name} {relation} {where}: no answer")
        shown = {hit.item_id for hit in answer.hits} & set(gone)
        if shown:
            self.stale.append(f"{name}: shows {sorted(shown)}, removed before")

    def ask_about_a_pair(self) -> None:
        """A picture of the writer's: its twin is the answer, exactly while it is there."""
        name = self.random.choice(list(self.state))
        twin = name[:-1] + ("b" if name.endswith("a") else "a")
        before = (self.state[name], self.state.get(twin, ""))
        answer = self.ask(name, k=3, duplicates=True)
        self.follow()
        if (self.state[name], self.state.get(twin, "")) != before or {"adding", "removing"} & set(before):
            self.checked["uncertain"] += 1
            return
        shown = answer is not None and twin in {hit.item_id for hit in answer.hits}
        match before:
            case ("removed", _):
                self.checked["item gone"] += 1
                if answer is not None:
                    self.stale.append(f"{name} answers after it was removed")
            case ("added", _) if answer is None:
                self.stale.append(f"{name} is unknown after it was added")
            case ("added", "added"):
                self.checked["twin found"] += 1
                if not shown:
                    self.stale.append(f"{name} does not show {twin}, added before")
            case ("added", _):
                self.checked["twin gone"] += 1
                if shown:
                    self.stale.append(f"{name} shows {twin}, not there then")


def prepare(scratch: Path, items: int) -> None:
    """A catalog of made vectors, a folder of pictures, and a first build."""
    catalog, folder = scratch / "catalog.simkin", scratch / "folder"
    make_catalog(catalog, items)
    folder.mkdir()
    for number in range(IN_FOLDER):
        draw(folder / f"{number:02d}.jpg", 10**5 + number)
    with Catalog.open(catalog) as opened:
        ingest(opened, [folder], IndexOptions(workers=1, rebuild=True))
    (scratch / "events").touch()


def start(scratch: Path, role: str, *told: object) -> subprocess.Popen[str]:
    """Start this script in one role; it prints one JSON object at its end."""
    command = [sys.executable, __file__, "--role", role, "--scratch", scratch, *told]
    return subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)


def watch(scratch: Path, processes: dict[str, subprocess.Popen[str]], seconds: float, rebuilds: int) -> dict[str, Any]:
    """Sample memory and open files of each process until time is up, and say how they went."""
    samples: dict[str, list[tuple[float, float, int]]] = {name: [] for name in processes}

    def running() -> bool:
        return all(process.poll() is None for process in processes.values())

    while len(list(scratch.glob("ready-*"))) < len(processes) and running():
        time.sleep(0.1)
    events, built, removed = Events(scratch / "events"), 0, False
    started = time.monotonic()
    while running() and (time.monotonic() - started < seconds or built < rebuilds or not removed):
        for _, what, _ in events.new():
            built += what == "built"
            removed |= what == "removed"
        for name, process in processes.items():
            held = memory(process.pid)
            samples[name].append((held.own / 1e6, held.mapped / 1e6, open_files(process.pid, scratch)))
        time.sleep(min(10.0, seconds / 40))
    figures = {}
    for name, found in samples.items():
        if not found:
            figures[name] = {"flat": False}
            continue
        parts = [found[len(found) * part // 4 : len(found) * (part + 1) // 4] or found[-1:] for part in range(4)]
        own, mapped, files = (
            [statistics.median(sample[at] for sample in part) for part in parts] for at in range(3)
        )  # fmt: skip
        figures[name] = {
            "own_mb": [round(value, 1) for value in own],
            "mapped_mb": [round(value, 1) for value in mapped],
            "files": files,
            "flat": own[3] <= GROWTH * own[1] + SLACK_MB and files[3] <= files[1] + SLACK_FILES,
        }
    return figures


def soak(scratch: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Everything at once, and what came of it."""
    prepare(scratch, args.items)
    processes = {"writer": start(scratch, "writer", "--rebuild-seconds", args.rebuild_seconds, "--kept", args.kept)}
    for number in range(args.readers):
        told = ("--seed", number, "--items", args.items, "--pause", args.pause)
        processes[f"reader {number + 1}"] = start(scratch, "reader", *told)
    seconds = args.seconds or 60 * args.minutes
    figures = watch(scratch, processes, seconds, args.rebuilds)
    (scratch / "stop").touch()
    reports: dict[str, Any] = {}
    for name, process in processes.items():
        out, _ = process.communicate(timeout=600)
        reports[name] = (json.loads(out) if process.returncode == 0 else {"ended with": process.returncode}) | figures[
            name
        ]
    with Catalog.open(scratch / "catalog.simkin") as catalog:
        problems = [f"{problem.where}: {problem.what}" for problem in verify(catalog)]
    readers = [report for name, report in reports.items() if name != "writer"]
    good = (
        not problems
        and all("ended with" not in report and report["flat"] for report in reports.values())
        and not any(report["failed"] or report["stale"] for report in readers)
    )
    return {"good": good, "seconds": seconds, "items": args.items, "problems": problems, "processes": reports}


def show(result: dict[str, Any]) -> None:
    """Print for people."""
    print(f"{result['seconds']:.0f} s, {result['items']} items: {'all is well' if result['good'] else 'NOT WELL'}")
    for problem in result["problems"]:
        print(f"  verify: {problem}")
    for name, report in result["processes"].items():
        print(f"  {name}: " + ", ".join(f"{key} {value}" for key, value in report.items()))


def main() -> None:
    """Parse, soak, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=0.0, help="instead of --minutes")
    parser.add_argument("--rebuild-seconds", type=float, default=60.0)
    parser.add_argument("--rebuilds", type=int, default=2, help="at least so many, however long they take")
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--items", type=int, default=12_000)
    parser.add_argument("--kept", type=int, default=60, help="pairs of pictures that the writer keeps at a time")
    parser.add_argument("--pause", type=float, default=0.02, help="seconds that readers rest between questions")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--role", choices=["writer", "reader"], help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == "writer":
        print(json.dumps(write(args.scratch, args.rebuild_seconds, args.kept)))
        return
    if args.role == "reader":
        print(json.dumps(Reader(args.scratch, args.seed, args.items).run(args.pause)))
        return
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        result = soak(Path(temporary), args)
    print(json.dumps(result)) if args.json else show(result)
    sys.exit(0 if result["good"] else 1)


if __name__ == "__main__":
    main()
