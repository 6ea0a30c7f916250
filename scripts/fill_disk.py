#!/usr/bin/env python3
"""A disk that is full after every page: nothing committed is lost, and the same command goes on once there is room.

Usage: scripts/fill_disk.py [--steps 40] [--only STAGE]... [--json]        as root, or where tmpfs may be mounted; Linux

Each stage writes to a small file system in memory with less room than it needs, from none upwards: in steps of one
page (4 kB), or of more where it needs more than --steps pages. Stages:

  ingest   ready-made vectors into a catalog that holds others: temporary tables, database, its log, a build
  build    a generation anew
  learn    edges and a learned relation
  add      one picture added by itself, with its table, and another item described otherwise
  map      a map that is kept
  all      every item's neighbours into a file
  embed    a batch job: its plan, shards and manifest

Each attempt runs in a process of its own. It must end well or with one of our errors, never otherwise. Then the disk
gets room: the catalog must open and be sound (a build that is missing aside), hold every item and vector that it held
before, and the same stage run again must leave what it leaves on a disk that was never full.
Exit status 1 when anything of this is not so, 77 when no file system can be mounted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # attempts are forked

import numpy as np

PAGE = 4096
ROOM = 64 << 20
"""Bytes of a disk that is not full."""
ITEMS, MORE, DIM = 60, 80, 16


def mount(folder: Path, size: int, *, again: bool = False) -> bool:
    """Mount a file system in memory, or give the one there another size; whether that worked."""
    options = f"size={max(size, PAGE)},nr_inodes=10000" + (",remount" if again else "")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
    return done.returncode == 0


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[None]:
    """Such a file system, for a while."""
    folder.mkdir(exist_ok=True)
    if not mount(folder, size):
        sys.exit(77)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


# ---- Stages, which run in processes of their own -----------------------------------------------------


def ingest_more(disk: Path, data: Path) -> None:
    """Take vectors in."""
    from index.catalog import Catalog
    from index.ingesting.ingest import IndexOptions, ingest

    with Catalog.open(disk / "c") as catalog:
        ingest(catalog, [], IndexOptions(embeddings=(data / "more/made",)))


def build_anew(disk: Path, data: Path) -> None:
    """Build although nothing changed."""
    from index.catalog import Catalog
    from index.engine.build import build_if_needed

    with Catalog.open(disk / "c") as catalog, catalog.writing():
        build_if_needed(catalog, force=True)


def learn_pairs(disk: Path, data: Path) -> None:
    """Fit a relation to edges and keep it."""
    from index.catalog import Catalog
    from index.learning.learn import LearnOptions, learn

    with Catalog.open(disk / "c") as catalog:
        learn(catalog, data / "pairs.csv", LearnOptions(relation="style", force=True, ranks=(2,)))


def add_one(disk: Path, data: Path) -> None:
    """Add an item and change another; what the first attempt did is done."""
    from index.catalog import Catalog
    from index.changes import add_item, change_item

    with Catalog.open(disk / "p") as catalog:
        if not catalog.connection.execute("SELECT 1 FROM items WHERE id='added'").fetchone():
            add_item(catalog, data / "added.jpg", "image", {"price": 3}, "added", {})
        change_item(catalog, "0.jpg", {"price": 7})


def keep_map(disk: Path, data: Path) -> None:
    """Compute a map, which is kept with the generation."""
    import simkin
    from index.lists.map_store import kept_map

    kept_map(simkin.open(disk / "c"), "similar", method="pca")


def ask_all(disk: Path, data: Path) -> None:
    """Write every item's neighbours."""
    import simkin
    from index.answering import batch

    batch.QUERIES_AT_ONCE = 10
    simkin.write_all(simkin.open(data / "undisturbed"), simkin.Query(k=5), disk / "recs.jsonl")


def embed_folder(disk: Path, data: Path) -> None:
    """Describe a folder of pictures into shards."""
    from index.embedding.job import EmbedOptions, embed

    embed([data / "pictures"], disk / "out", EmbedOptions(workers=1, shard_size=3))


STAGES: dict[str, Callable[[Path, Path], None]] = {
    "ingest": ingest_more,
    "build": build_anew,
    "learn": learn_pairs,
    "add": add_one,
    "map": keep_map,
    "all": ask_all,
    "embed": embed_folder,
}


def attempt(stage: str, disk: Path, data: Path) -> str:
    """Run a stage in a child: empty when it ended well, else the kind of error; ``!`` before what must not be."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        told = ""
        try:
            os.close(reading)
            STAGES[stage](disk, data)
        except BaseException as error:
            from index.errors import SimkinError

            fine = isinstance(error, SimkinError)
            told = type(error).__name__ if fine else "!" + "".join(traceback.format_exception(error))[-1500:]
        finally:
            os.write(writing, told.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return told or (f"!ended by signal {-status}" if status else "")


# ---- What must hold afterwards -----------------------------------------------------------------------


def content(disk: Path) -> dict[str, Any]:
    """Everything that a stage leaves, as it can be compared."""
    from index.catalog import Catalog

    found: dict[str, Any] = {}
    for name in ("c", "p"):
        if (disk / name).is_dir():
            with Catalog.open(disk / name) as catalog:
                sql = catalog.connection
                found[name] = [
                    sql.execute("SELECT id, attributes FROM items ORDER BY id").fetchall(),
                    sql.execute(
                        "SELECT id, vector FROM media JOIN vectors USING (media) ORDER BY id, encoder"
                    ).fetchall(),
                    sql.execute("SELECT name, rule FROM learned ORDER BY name").fetchall(),
                    sql.execute("SELECT count(*) FROM edges").fetchone(),
                ]
    if (disk / "recs.jsonl").exists():
        found["all"] = (disk / "recs.jsonl").read_text()
    if (disk / "out").is_dir():
        found["embed"] = sorted((path.name, path.read_bytes()) for path in disk.glob("out/*/*.parquet"))
    return found


def unsound(disk: Path) -> list[str]:
    """What `verify` finds, other than that something has to be built."""
    from index.verify import check

    found = []
    for name in ("c", "p"):
        if (disk / name).is_dir():
            problems, _ = check(disk / name, mend=False)
            found += [problem.what for problem in problems if problem.where != "generation"]
    return found


def kept(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether all items and vectors of before are there, whatever else is."""
    for name in ("c", "p"):
        if name in before:
            ids = {item_id for item_id, _ in after[name][0]}
            if not {item_id for item_id, _ in before[name][0]} <= ids or not set(before[name][1]) <= set(
                after[name][1]
            ):
                return False
    return True


def sweep(stage: str, data: Path, disk: Path, steps: int) -> dict[str, Any]:
    """One stage on disks with more and more room, until it ends well by itself."""
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    base = data / "base" / ("p" if stage == "add" else "c")
    with mounted(disk, ROOM):
        prepared(base, disk, stage)
        before, used = content(disk), usage(disk)
        failure = attempt(stage, disk, data)
        if failure:
            return {"attempts": 0, "wrong": [f"fails on a disk with room: {failure}"]}
        whole, need = content(disk), max(PAGE, usage(disk) - used)
    step = max(PAGE, -(-need // steps // PAGE) * PAGE)
    room = 0
    while True:
        with mounted(disk, ROOM):
            prepared(base, disk, stage)
            if not mount(disk, usage(disk) + room, again=True):
                return {"attempts": 0, "wrong": ["the disk cannot be made smaller"]}
            outcome = attempt(stage, disk, data)
            outcomes[outcome if not outcome.startswith("!") else "not ours"] += 1
            if outcome.startswith("!"):
                wrong.append(f"{room} bytes: {outcome[1:]}")
            mount(disk, ROOM, again=True)
            try:
                if found := unsound(disk):
                    wrong.append(f"{room} bytes: {found}")
                if not kept(before, content(disk)):
                    wrong.append(f"{room} bytes: something is lost")
                if again := attempt(stage, disk, data):
                    wrong.append(f"{room} bytes: does not go on: {again}")
                elif content(disk) != whole:
                    wrong.append(f"{room} bytes: another result")
            except Exception as error:
                wrong.append(f"{room} bytes: {type(error).__name__}: {error}")
        if not outcome or room > 20 * need + (4 << 20):
            break
        room += step
    return {"attempts": sum(outcomes.values()), "step": step, "outcomes": dict(outcomes), "wrong": wrong[:5]}


def prepared(base: Path, disk: Path, stage: str) -> None:
    """What a stage starts from."""
    if stage not in ("all", "embed"):
        shutil.copytree(base, disk / base.name)


def usage(disk: Path) -> int:
    """Bytes in use."""
    status = os.statvfs(disk)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def make_data(data: Path) -> None:
    """Vectors, pictures, edges, and catalogs to start from; none of it on the small disk."""
    import pyarrow
    import pyarrow.parquet
    from PIL import Image

    from index.catalog import Catalog
    from index.ingesting.ingest import IndexOptions, ingest

    rng = np.random.default_rng(0)
    for name, count, first in (("some", ITEMS, 0), ("more", MORE, ITEMS)):
        folder = data / name / "made"  # both named alike: their vectors are of one encoder
        folder.mkdir(parents=True)
        np.save(folder / "made.npy", rng.normal(size=(count, DIM)).astype("<f2"))
        ids = [f"item-{first + at:03d}" for at in range(count)]
        kinds = [f"kind-{at % 4}" for at in range(count)]
        table = pyarrow.table({"id": ids, "path": [f"{one}.jpg" for one in ids], "category": kinds})
        pyarrow.parquet.write_table(table, folder / "made.parquet")
    (data / "pictures").mkdir()
    for at in range(8):
        small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        small.resize((48, 48), Image.Resampling.BICUBIC).save(data / f"pictures/{at}.jpg")
    (data / "pictures/7.jpg").rename(data / "added.jpg")
    pairs = [(a, b) for a in range(ITEMS) for b in range(a + 1, ITEMS) if a % 4 == b % 4 and (a + b) % 3 == 0]
    (data / "pairs.csv").write_text("source,target\n" + "".join(f"item-{a:03d},item-{b:03d}\n" for a, b in pairs))
    for path, sources, options in (
        (data / "base/c", [], IndexOptions(embeddings=(data / "some/made",))),
        (data / "undisturbed", [], IndexOptions(embeddings=(data / "some/made",))),
        (data / "base/p", [data / "pictures"], IndexOptions(workers=1)),
    ):
        with Catalog.create(path) as catalog:
            ingest(catalog, sources, options)
            catalog.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def main() -> None:
    """Parse, sweep, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="about so many disks for each stage (default 40)")
    parser.add_argument("--only", action="append", choices=list(STAGES))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="full-") as temporary:
        data, disk = Path(temporary), Path(temporary) / "disk"
        disk.mkdir()
        os.environ["SQLITE_TMPDIR"] = str(disk)  # its temporary tables are full, too
        make_data(data)
        result = {stage: sweep(stage, data, disk, args.steps) for stage in args.only or STAGES}
    print(json.dumps(result) if args.json else json.dumps(result, indent=1))
    sys.exit(1 if any(told["wrong"] for told in result.values()) else 0)


if __name__ == "__main__":
    main()
