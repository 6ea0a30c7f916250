#!/usr/bin/env python3
"""Peak memory of a run of `simkin index` or `simkin embed`, all processes together, at two sizes of one folder.

Usage: scripts/bench_memory.py [--verb index|embed] [--sizes 10000,100000] [--side 64] [--json]

Makes small JPEG pictures (real ones, from 500 different drawings, each file with bytes of its own),
indexes or embeds them, and samples the proportional set size of the run and its workers
from /proc every 0.1 s. Linux only.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from process_figures import Watch


def make_folder(folder: Path, count: int, side: int) -> None:
    """Write `count` JPEG files, 1,000 to a folder."""
    rng = np.random.default_rng(0)
    drawings = []
    for _ in range(500):
        small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        content = io.BytesIO()
        Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(content, "JPEG")
        drawings.append(content.getvalue())
    for number in range(count):
        place = folder / f"{number // 1000:03d}"
        place.mkdir(parents=True, exist_ok=True)
        tail = number.to_bytes(4, "little")  # after the end of the picture: other bytes, the same pixels
        (place / f"{number:06d}.jpg").write_bytes(drawings[number % 500] + tail)


def measure(verb: str, count: int, side: int) -> dict[str, object]:
    """Index or embed one folder and watch."""
    with tempfile.TemporaryDirectory() as scratch:
        make_folder(Path(scratch) / "pictures", count, side)
        started = time.monotonic()
        run = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "simkin",
                verb,
                "pictures",
                "--catalog" if verb == "index" else "--out",
                "c",
                "--json",
            ],
            cwd=scratch,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        watch = Watch(run, 0.1)
        out, _ = run.communicate()
        seconds = time.monotonic() - started
        samples = [sample.memory.total / 1e6 for sample in watch.end()]
        report = json.loads(out)
    return {
        "verb": verb,
        "pictures": count,
        "described": report["items" if verb == "index" else "files"],
        "peak_mb": round(max(samples), 1),
        "mb_at_quarters": [round(samples[part * (len(samples) - 1) // 4], 1) for part in range(5)],
        "seconds": round(seconds, 1),
        "per_second": round(count / seconds, 1),
    }


def main() -> None:
    """Measure every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verb", choices=["index", "embed"], default="index")
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    for size in map(int, args.sizes.split(",")):
        result = measure(args.verb, size, args.side)
        print(json.dumps(result) if args.json else "  ".join(f"{k}={v}" for k, v in result.items()), flush=True)


if __name__ == "__main__":
    main()
