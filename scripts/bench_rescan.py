"""Measure what ``simkin index`` costs when nothing changed.

Usage: scripts/bench_rescan.py [--files 100000] [--runs 5] [--json] [--quick]

Makes tiny files in a temporary folder and a catalog that knows them (rows written directly, the index built
while it was still empty, so that no time goes into describing), then times, as whole processes in turn,
``simkin index`` and a bare walk: ``os.scandir`` with one ``stat`` for each file. Prints the medians and their
ratio. A run that finds anything changed is an error: the measurement would be of something else.
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
from collections.abc import Callable
from pathlib import Path

import numpy as np

from index.catalog import Catalog
from index.encoders import card_of
from index.ingesting.ingest import IndexOptions, ingest
from index.ingesting.plan import digest, source_key
from index.ingesting.scan import scan_folder

IMAGE = "builtin-image"
FOLDER_FILES = 1000

WALK = """
import os, sys
def walk(folder):
    found = 0
    with os.scandir(folder) as listing:
        for entry in listing:
            if entry.is_dir():
                found += walk(entry.path)
            else:
                entry.stat()
                found += 1
    return found
print(walk(sys.argv[1]))
"""


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="10,000 files, three runs")
    options = parser.parse_args()
    files, runs = (10_000, 3) if options.quick else (options.files, options.runs)
    with tempfile.TemporaryDirectory(prefix="rescan-") as name:
        result = measure(Path(name), files, runs)
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{files} unchanged files, medians of {runs} runs of whole processes")
        print(f"bare walk     {result['walk_s']:.3f} s")
        print(f"simkin index  {result['rescan_s']:.3f} s   {result['ratio']:.2f} × the walk")


def measure(scratch: Path, files: int, runs: int) -> dict[str, float]:
    """Make files and catalog below a folder, and let both programs take turns."""
    folder, catalog = scratch / "pictures", scratch / "catalog.simkin"
    make_files(folder, files)
    make_catalog(catalog, folder)
    walks, rescans = [], []
    for _ in range(runs):
        walks.append(timed([sys.executable, "-c", WALK, str(folder)], lambda out: int(out) == files))
        rescans.append(
            timed(
                [sys.executable, "-m", "simkin", "index", "--json", "--catalog", str(catalog)],
                lambda out: json.loads(out)["unchanged"] == files,
            )
        )
    walk, rescan = statistics.median(walks), statistics.median(rescans)
    ratio = statistics.median(theirs / own for own, theirs in zip(walks, rescans, strict=True))
    result = {"files": files, "runs": runs, "walk_s": walk, "rescan_s": rescan, "ratio": ratio}
    return {name: round(value, 4) for name, value in result.items()}


def make_files(folder: Path, files: int) -> None:
    """Write files of a few bytes, ``FOLDER_FILES`` to a folder."""
    for start in range(0, files, FOLDER_FILES):
        below = folder / f"{start // FOLDER_FILES:04d}"
        below.mkdir(parents=True)
        for number in range(start, min(start + FOLDER_FILES, files)):
            (below / f"picture-{number:07d}.jpg").write_bytes(b"%d" % number)


def make_catalog(catalog: Path, folder: Path) -> None:
    """Write what the catalog would hold had these files been described: random vectors of the right length."""
    random = np.random.default_rng(0)
    starter = folder.parent / "starter"
    starter.mkdir()
    (starter / "broken.jpg").write_bytes(b"no picture")
    with Catalog.create(catalog) as opened:
        ingest(opened, [starter], IndexOptions(workers=1))  # builds an index of nothing
        connection = opened.connection
        with connection:
            connection.execute("DELETE FROM failures")
            connection.execute("DELETE FROM media")
            connection.execute("DELETE FROM sources")
            source = source_key(opened, os.fsencode(folder), "folder", None)
            (encoder,) = connection.execute("SELECT encoder FROM encoders WHERE name=?", (IMAGE,)).fetchone()
            entries = scan_folder(os.fsencode(folder), attributes_of, lambda _: None)
            for key, entry in enumerate(entries, 1):
                connection.execute(
                    "INSERT INTO items VALUES (?,?,?,json_extract(?4, '$.category'),?4,?5,0)",
                    (key, entry.item_id, source, entry.attributes, digest(entry.attributes)),
                )
                connection.execute(
                    "INSERT INTO media (media, source, id, position, item, path, modality, size, mtime_ns, digest) "
                    "VALUES (?,?,?,0,?,?,?,?,?,?)",
                    (
                        key,
                        source,
                        entry.item_id,
                        key,
                        entry.path,
                        entry.modality,
                        entry.size,
                        entry.mtime_ns,
                        b"0" * 16,
                    ),
                )
                vector = random.standard_normal(card_of(IMAGE).dim).astype("<f4").tobytes()
                connection.execute("INSERT INTO vectors VALUES (?,?,?)", (key, encoder, vector))


def attributes_of(_: str, folder: str) -> str:
    """What a folder says of the items in it."""
    return json.dumps({"category": folder} if folder else {}, ensure_ascii=False)


def timed(command: list[str], expected: Callable[[str], bool]) -> float:
    """Run a program, check what it printed, and return its wall-clock seconds."""
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode or not expected(done.stdout):
        sys.exit(f"unexpected answer of {command[:4]}: {done.stdout}{done.stderr}")
    return seconds


if __name__ == "__main__":
    main()
