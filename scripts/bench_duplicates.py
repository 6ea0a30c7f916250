#!/usr/bin/env python3
"""Time and memory of `simkin duplicates`, and how many of the near-duplicates put among the items it finds.

Usage: scripts/bench_duplicates.py [--items 100000] [--runs 3] [--keep FOLDER] [--json]

Makes vectors as scripts/bench_serve.py does, puts a near copy of every hundredth item among them (each facet's cosine
with the original drawn between what its card calls the same and 1), takes them in by `simkin index --embeddings`, and
runs `simkin duplicates --json` in a process of its own. Prints medians of its wall-clock and processor seconds, its
peak memory, and the share of copies that are grouped with their original. There are no files, so no picture is laid
over another, which on a catalog of pictures costs a moment for each pair whose facets agree. Runs offline.
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
from bench_serve import ENCODER, write_vectors

from index.encoders import card_of

EVERY = 100


def main() -> None:
    """Make the catalog, find its near-duplicates, print figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="Make the catalog here, or use the one made here before.")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        catalog = folder / f"{args.items}-copies.simkin"
        if not catalog.exists():
            write_vectors(folder / "vectors", args.items)
            put_copies(folder / "vectors" / "vectors.npy")
            command = [sys.executable, "-m", "simkin", "index", "--embeddings", str(folder / "vectors")]
            subprocess.run([*command, "--catalog", str(catalog)], check=True)
        runs = [run(catalog) for _ in range(args.runs)]
    figures = {name: statistics.median(one[name] for one in runs) for name in runs[0]}
    figures["copies_found"] = figures["copies_found"] / len(range(0, args.items - 1, EVERY))
    if args.json:
        print(json.dumps({"items": args.items, **figures}))
        return
    print(
        f"{args.items:,} items: {figures['wall_s']:.0f} s, {figures['cpu_s']:.0f} s of processor time, "
        f"{figures['peak_mb']:.0f} MB at its peak; {100 * figures['copies_found']:.1f} % of the copies found, "
        f"{figures['groups']:.0f} groups"
    )


def put_copies(path: Path) -> None:
    """Make every so many rows a near copy of the row before."""
    rng = np.random.default_rng(2)
    vectors = np.load(path, mmap_mode="r+")
    for row in range(0, len(vectors) - 1, EVERY):
        copy = vectors[row].astype(float)
        for facet in card_of(ENCODER).facets:
            own = copy[facet.start : facet.stop]
            length = np.linalg.norm(own)
            aside = rng.normal(size=own.shape)
            aside -= own * (own @ aside) / length**2
            aside *= length / np.linalg.norm(aside)
            cosine = rng.uniform(facet.same + 0.1 * (1 - facet.same), 1)
            copy[facet.start : facet.stop] = cosine * own + np.sqrt(1 - cosine**2) * aside
        vectors[row + 1] = copy
    vectors.flush()


def run(catalog: Path) -> dict[str, float]:
    """One run of the verb."""
    started = time.monotonic()
    command = [sys.executable, "-m", "simkin", "duplicates", "--catalog", str(catalog), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    groups = [set(group["items"]) for group in json.loads(process.stdout.read())["groups"]]
    _, _, used = os.wait4(process.pid, 0)
    numbers = [{int(name.removeprefix("item-")) for name in group} for group in groups]
    found = sum(one % EVERY == 0 and one + 1 in group for group in numbers for one in group)
    return {
        "wall_s": time.monotonic() - started,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
        "groups": len(groups),
        "copies_found": found,
    }


if __name__ == "__main__":
    main()
