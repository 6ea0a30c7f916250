#!/usr/bin/env python3
"""A catalog of a million items on this machine: taking vectors in, opening, adding, and every item's neighbours.

Usage: scripts/bench_million.py [--items 1000000] [--dim 128] [--out FOLDER] [--all-seconds 120] [--files N]
                                [--from parquet|npy] [--json] [--quick]

What is measured, each in a process of its own, whose memory is sampled all the while:

  index   `simkin index --embeddings` of ready-made vectors, as `simkin embed` writes them (Parquet shards) or as
          float16 .npy with a table; how long taking in and building last, and the memory of each
  open    a new process opens the catalog, and asks one question: seconds of each, medians of five processes
  add     1,000 more items: no build follows, and each of ten of them is found at once among the 500 answers to a
          question about the item closest to it
  all     `simkin query --all -k 20`, interrupted after some seconds and begun again: it goes on where it was, in
          memory that does not grow; the rate, and what the whole would take
  files   with --files N: `simkin index` of N tiny pictures (16 pixels a side) with the built-in encoder

Vectors are made, seeded, block by block: a cluster centre for each 300 items in a latent space of 24 dimensions with
a falling spectrum, a random linear map to all dimensions, and a little noise. Categories are groups of clusters.
With --out the folder is kept, and what it holds already is used again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from process_figures import Sample, Watch

from index.embedding.shards import EncoderShards, Manifest, Row, shard_name, write_shard
from index.types import EncoderCard, Facet

LATENT, PER_CLUSTER, CATEGORIES, SHARD = 24, 300, 50, 10_000
NAME = "vectors:made"
ADDED = 1000

OPEN = """
import json, sys, time
from index.catalog import Catalog
from index.recommender import Recommender
from index.answers import Query
started = time.perf_counter()
recommender = Recommender(Catalog.open(sys.argv[1]))
generation = recommender.generation
opened = time.perf_counter()
answer = recommender.query(sys.argv[2])
first = time.perf_counter()
times = []
for item in sys.argv[3:]:
    begun = time.perf_counter()
    recommender.query(item)
    times.append(time.perf_counter() - begun)
print(json.dumps({"open_s": opened - started, "first_query_s": first - opened,
                  "query_s": sorted(times)[len(times) // 2], "method": answer.method,
                  "recall": answer.recall, "generation": answer.generation}))
"""

FOUND = """
import json, sys
import simkin
recommender = simkin.open(sys.argv[1])
found = [recommender.query(item, k=1, duplicates=True).hits for item in sys.argv[2:]]
back = [recommender.query(hits[0].item_id, k=500, duplicates=True).hits for hits in found]
print(json.dumps({"answered": sum(bool(hits) for hits in found), "generation": recommender.generation.manifest.number,
                  "found": sum(item in {hit.item_id for hit in hits} for item, hits in zip(sys.argv[2:], back))}))
"""


class Maker:
    """Makes vectors block by block; the same seed and block give the same vectors."""

    def __init__(self, items: int, dim: int) -> None:
        rng = np.random.default_rng(7)
        spectrum = 1 / np.sqrt(1 + np.arange(LATENT))
        self.centres = rng.normal(size=(max(2, items // PER_CLUSTER), LATENT)) * spectrum
        self.map = rng.normal(size=(LATENT, dim))
        self.spread = 0.5 * spectrum

    def block(self, start: int, count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Vectors of unit length, float32 ``(count, dim)``, and the cluster of each."""
        rng = np.random.default_rng((seed, start))
        clusters = rng.integers(0, len(self.centres), count)
        latent = self.centres[clusters] + rng.normal(size=(count, LATENT)) * self.spread
        rows = latent @ self.map
        rows += 0.1 * rng.normal(size=rows.shape) * np.sqrt(np.mean(rows**2))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.astype(np.float32), clusters


def card(dim: int) -> EncoderCard:
    """Of ready-made vectors of one facet."""
    facet = Facet("content:made", 0, dim, whitening=0.0, kept=min(dim, 256), same=0.999, source="made")
    return EncoderCard(NAME, 1, "image", (facet,), {"dim": dim}, "none", "scripts/bench_million.py")


def rows_of(maker: Maker, items: int, prefix: str, seed: int) -> Iterator[tuple[list[Row], NDArray[np.float32]]]:
    """Blocks of rows, with their vectors once more as an array."""
    for start in range(0, items, SHARD):
        count = min(SHARD, items - start)
        vectors, clusters = maker.block(start, count, seed)
        yield (
            [
                Row(
                    f"{prefix}-{start + at:07d}", 0, f"/made/{prefix}-{start + at:07d}.jpg",
                    json.dumps({"category": f"kind-{clusters[at] % CATEGORIES:02d}", "price": (start + at) % 100}),
                    "{}", vectors[at].tobytes(),
                )
                for at in range(count)
            ],
            vectors,
        )  # fmt: skip


def make_shards(folder: Path, maker: Maker, items: int, dim: int, prefix: str = "item", seed: int = 1) -> None:
    """Write what `simkin embed` would have written."""
    own = card(dim)
    held = EncoderShards("vectors-made", own)
    for number, (rows, _) in enumerate(rows_of(maker, items, prefix, seed)):
        held.shards[shard_name(number)] = write_shard(folder / held.folder / shard_name(number), NAME, own, rows)
    Manifest(["made"], {NAME: held}).save(folder)


def make_npy(folder: Path, maker: Maker, items: int, dim: int) -> None:
    """Write float16 vectors beside a table of their rows."""
    import pyarrow
    import pyarrow.parquet

    folder.mkdir(parents=True)
    text = pyarrow.string()
    schema = pyarrow.schema([("id", text), ("path", text), ("category", text), ("price", pyarrow.int64())])
    with (
        (folder / "made.npy").open("wb") as file,
        pyarrow.parquet.ParquetWriter(folder / "made.parquet", schema) as table,
    ):
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": (items, dim)})
        for rows, vectors in rows_of(maker, items, "item", 1):
            file.write(vectors.astype("<f2").tobytes())
            told = [json.loads(row.attributes) for row in rows]
            columns = [
                [row.item_id for row in rows],
                [row.path for row in rows],
                [t["category"] for t in told],
                [t["price"] for t in told],
            ]
            table.write_table(pyarrow.table(columns, schema=schema))


def make_files(folder: Path, count: int) -> None:
    """Write tiny JPEG pictures, 1,000 to a folder: 500 drawings, each file with bytes of its own."""
    import io

    from PIL import Image

    rng = np.random.default_rng(0)
    drawings = []
    for _ in range(500):
        small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        content = io.BytesIO()
        Image.fromarray(small).resize((16, 16), Image.Resampling.BICUBIC).save(content, "JPEG")
        drawings.append(content.getvalue())
    for number in range(count):
        place = folder / f"{number // 1000:04d}"
        if number % 1000 == 0:
            place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:07d}.jpg").write_bytes(drawings[number % 500] + number.to_bytes(4, "little"))


def start(arguments: Sequence[object]) -> subprocess.Popen[bytes]:
    """Start the command line; it heeds Ctrl-C also where this program, started in the background, does not."""
    return subprocess.Popen(
        [sys.executable, "-m", "simkin", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def indexed(catalog: Path, *sources: object) -> dict[str, Any]:
    """Run `simkin index` and watch: what it reported, and seconds and memory of its stages."""
    before = {path.name for path in (catalog / "generations").glob("*")}

    def stage() -> str:
        built = {path.name for path in (catalog / "generations").glob("*")}
        return "build" if built - before else "take in"

    process = start(["index", *sources, "--catalog", catalog, "--json"])
    watch = Watch(process, 0.5, stage)
    out, _ = process.communicate()
    samples = watch.end()
    if process.returncode:
        sys.exit(f"simkin index {sources} ended with {process.returncode}")
    return {"report": json.loads(out), "stages": stages(samples)}


def stages(samples: Sequence[Sample]) -> dict[str, Any]:
    """Of each stage: seconds, and memory at its quarters and at its highest, in MB."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(sample.stage for sample in samples):
        own = [sample for sample in samples if sample.stage == name]
        quarters = [own[round(part * (len(own) - 1) / 4)] for part in range(5)]
        found[name] = {
            "seconds": round(own[-1].second - own[0].second, 1),
            "own_mb_at_quarters": [round(sample.memory.own / 1e6, 1) for sample in quarters],
            "peak_own_mb": round(max(sample.memory.own for sample in own) / 1e6, 1),
            "peak_mb_with_files": round(max(sample.memory.total for sample in own) / 1e6, 1),
        }
    return found


def opened(catalog: Path, items: int) -> dict[str, Any]:
    """Open and ask in new processes; medians."""
    rng = np.random.default_rng(3)
    runs = []
    for _ in range(5):
        some = [f"item-{number:07d}" for number in rng.integers(0, items, 51)]
        done = subprocess.run([sys.executable, "-c", OPEN, catalog, *some], capture_output=True, text=True, check=True)
        runs.append(json.loads(done.stdout))
    told = {name: runs[0][name] for name in ("method", "recall")}
    return told | {
        name: round(statistics.median(run[name] for run in runs), 4) for name in ("open_s", "first_query_s", "query_s")
    }


def added(catalog: Path, scratch: Path, maker: Maker, dim: int) -> dict[str, Any]:
    """Take 1,000 more items in, and ask about ten of them."""
    more = scratch / "more"
    if not more.exists():
        make_shards(more, maker, ADDED, dim, "more", seed=2)
    before = (catalog / "CURRENT").read_text()
    watched = indexed(catalog, "--embeddings", more)
    some = [f"more-{number:07d}" for number in range(0, ADDED, ADDED // 10)]
    done = subprocess.run([sys.executable, "-c", FOUND, catalog, *some], capture_output=True, text=True, check=True)
    return {
        "seconds": watched["report"]["seconds"],
        "added": watched["report"]["added"],
        "built": (catalog / "CURRENT").read_text() != before,
        "asked": len(some),
        **json.loads(done.stdout),
    }


def asked_all(catalog: Path, scratch: Path, seconds: float) -> dict[str, Any]:
    """Ask about every item for some seconds, twice, the second time going on from the first."""
    out = scratch / "recs.parquet"
    runs = []
    for _ in range(2):
        process = start(["query", "--all", "-k", "20", "--out", out, "--catalog", catalog, "--json"])
        watch = Watch(process, 0.5)
        begun = time.monotonic()
        while process.poll() is None and time.monotonic() - begun < seconds:
            time.sleep(0.1)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate()
        ran = time.monotonic() - begun
        own = [sample.memory.own / 1e6 for sample in watch.end()]
        runs.append(
            {
                "seconds": round(ran, 1),
                "status": process.returncode,
                "finished": out.exists(),
                "own_mb_at_quarters": [round(own[round(part * (len(own) - 1) / 4)], 1) for part in range(5)],
                "parts": len(list((out.parent / f".{out.name}.parts").glob("*.answers"))),
            }
        )
        if out.exists():
            break
    return {"runs": runs}


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--from", dest="form", choices=["parquet", "npy"], default="parquet")
    parser.add_argument("--files", type=int, default=0, help="index so many tiny pictures, too")
    parser.add_argument("--all-seconds", type=float, default=120.0, help="seconds of each of two runs of --all")
    parser.add_argument("--out", type=Path, help="folder to keep (default: a temporary one)")
    parser.add_argument("--only", action="append", choices=["index", "open", "add", "all", "files"])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="20,000 items, 2,000 files, ten seconds of --all")
    args = parser.parse_args()
    if args.quick:
        args.items, args.files, args.all_seconds = 20_000, 2000, 10.0
    with tempfile.TemporaryDirectory(prefix="million-") as temporary:
        scratch = args.out or Path(temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        result = measure(args, scratch)
    print(json.dumps(result) if args.json else json.dumps(result, indent=1))


def measure(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Everything that was asked for."""
    maker = Maker(args.items, args.dim)
    catalog, vectors = scratch / "catalog.simkin", scratch / args.form
    parts = args.only or ["index", "open", "add", "all", *(["files"] if args.files else [])]
    result: dict[str, Any] = {
        "items": args.items,
        "dim": args.dim,
        "from": args.form,
        "cores": len(os.sched_getaffinity(0)),
    }
    if "index" in parts:
        if not vectors.exists():
            (make_shards if args.form == "parquet" else make_npy)(vectors, maker, args.items, args.dim)
        result["index"] = indexed(catalog, "--embeddings", vectors)
        result["database_mb"] = round((catalog / "catalog.db").stat().st_size / 1e6, 1)
        built = [path for path in (catalog / "generations").rglob("*") if path.is_file()]
        result["generation_mb"] = round(sum(path.stat().st_size for path in built) / 1e6, 1)
    if "open" in parts:
        result["open"] = opened(catalog, args.items)
    if "add" in parts:
        result["add"] = added(catalog, scratch, maker, args.dim)
    if "all" in parts:
        result["all"] = asked_all(catalog, scratch, args.all_seconds)
    if "files" in parts:
        if not (scratch / "files").exists():
            make_files(scratch / "files", args.files)
        result["files"] = indexed(scratch / "files.simkin", scratch / "files")
    return result


if __name__ == "__main__":
    main()
