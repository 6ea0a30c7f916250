#!/usr/bin/env python3
"""Everybody's neighbours: `simkin query --all` beside a NumPy blocked matrix product, on the same vectors.

Usage: scripts/bench_all.py [--items 100000] [--dim 512] [-k 20] [--rounds 3] [--partitions 4] [--no-numpy] [--quick]

Vectors are those of scripts/bench_search.py. All use all cores and end with Parquet files of ids and scores;
rounds are interleaved, figures are medians. NumPy multiplies blocks of 1,024 rows with all of them, picks the best by
`argpartition` and sorts these. simkin starts from a built catalog, as a nightly job does, and its whole command is
timed; its recall is that of 500 items against NumPy's answers. Near-duplicates are kept (`--duplicates`), since NumPy
knows nothing of them.

With --partitions the same items are also asked as shards, of 10,000 items, over an index in so many partitions, or
fewer where shards do not divide, that the command builds itself (`simkin query --all --embeddings`), in one process.
With --no-numpy, at sizes where a matrix product takes hours, the recall of both is that of 500 items against all
others, by one product.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from bench_search import make_catalog, make_vectors

from index.catalog import Catalog
from index.embedding.shards import EncoderShards, Manifest, Row, shard_name, write_shard
from index.engine.build import build_if_needed

BLOCK = 1024
ASKED = 500
"""Items that recall is measured on."""


def make_shards(catalog: Path, items: int, dim: int, folder: Path) -> None:
    """Write the catalog's items as `simkin embed` would have written them."""
    with Catalog.open(catalog) as opened:
        card = opened.encoders()["made"].card
    held = EncoderShards("made", card)
    key = 1
    for number, block in enumerate(make_vectors(items, dim)):
        rows = [
            Row(f"item-{key + at:07d}", 0, f"/made/{key + at}.jpg", "{}", "{}", vector.tobytes())
            for at, vector in enumerate(block)
        ]
        key += len(block)
        held.shards[shard_name(number)] = write_shard(folder / "made" / shard_name(number), "made", card, rows)
    Manifest(["/made"], {"made": held}).save(folder)


def by_numpy(rows: np.ndarray, names: list[str], k: int, out: Path, asked: slice = slice(None)) -> None:
    """The nearest of every row, or of some, exactly."""
    text = np.asarray(names)
    schema = pyarrow.schema([("query", pyarrow.string()), ("id", pyarrow.string()), ("score", pyarrow.float32())])
    with pyarrow.parquet.ParquetWriter(out, schema) as writer:
        numbers = np.arange(len(rows))[asked]
        block = max(1, min(BLOCK, 2**28 // len(rows)))
        for start in range(0, len(numbers), block):
            some = numbers[start : start + block]
            products = rows[some] @ rows.T
            products[np.arange(len(some)), some] = -np.inf
            best = np.argpartition(products, len(rows) - k, axis=1)[:, len(rows) - k :]
            scores = np.take_along_axis(products, best, axis=1)
            order = np.argsort(-scores, axis=1)
            best, scores = np.take_along_axis(best, order, axis=1), np.take_along_axis(scores, order, axis=1)
            columns = [np.repeat(text[some], k), text[best.ravel()], scores.ravel()]
            writer.write_table(pyarrow.table(columns, schema=schema))


def by_simkin(catalog: Path, k: int, out: Path, *more: str) -> None:
    """The command, as it is typed."""
    words = ["query", "--all", "--relation", "similar", "-k", str(k), "--duplicates", "--out", str(out), *more]
    subprocess.run([sys.executable, "-m", "simkin", *words, "--catalog", str(catalog)], check=True, capture_output=True)


def recall(exact: Path, ours: Path, asked: list[str], k: int) -> float:
    """Share of the exact answers' scores that are reached, over some items."""
    least: dict[str, float] = {}
    for name, score in _scores(exact, asked):
        least[name] = min(score, least.get(name, np.inf))
    hits = [score >= least[name] - 1e-5 for name, score in _scores(ours, asked)]
    return sum(hits) / k / len(asked)


def _scores(path: Path, asked: list[str]) -> list[tuple[str, float]]:
    files = sorted(path.glob("part-*.parquet")) if path.is_dir() else path
    table = pyarrow.parquet.read_table(files, columns=["query", "score"], filters=[("query", "in", asked)])
    return list(zip(table["query"].to_pylist(), table["score"].to_pylist(), strict=True))


def main() -> None:
    """Make a catalog, run all in turn, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("-k", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=0, help="ask shards, too, over so many partitions")
    parser.add_argument("--no-numpy", dest="numpy", action="store_false")
    parser.add_argument("--quick", action="store_true", help="20,000 items of 128 dimensions, two rounds")
    args = parser.parse_args()
    if args.quick:
        args.items, args.dim, args.rounds = 20_000, 128, 2
    with tempfile.TemporaryDirectory(prefix="bench-all-") as scratch:
        _compare(args, Path(scratch))


def _compare(args: argparse.Namespace, folder: Path) -> None:
    import simkin

    make_catalog(folder / "c.simkin", make_vectors(args.items, args.dim))
    with Catalog.open(folder / "c.simkin") as catalog, catalog.writing():
        build_if_needed(catalog)
    space = simkin.open(folder / "c.simkin").generation.spaces["image"]
    names = [f"item-{key:07d}" for key in space.keys.tolist()]
    asked = slice(0, None, max(1, len(names) // ASKED))
    by_numpy(space.vectors, names, args.k, folder / "truth.parquet", asked)
    every = {"simkin": lambda out: by_simkin(folder / "c.simkin", args.k, out)}
    if args.numpy:
        rows = np.array(space.vectors)
        every["numpy"] = lambda out: by_numpy(rows, names, args.k, out)
    if args.partitions:
        make_shards(folder / "c.simkin", args.items, args.dim, folder / "shards")
        size = str(-(-args.items // args.partitions))
        words = ("--embeddings", str(folder / "shards"), "--partition-size", size)
        every["in partitions"] = lambda out: by_simkin(folder / "c.simkin", args.k, out, *words)
    seconds: dict[str, list[float]] = {name: [] for name in every}
    reached: dict[str, float] = {}
    for number in range(args.rounds):
        for name in every if number % 2 == 0 else reversed(every):
            out = folder / (f"{number}" if name == "in partitions" else f"{name}.parquet")
            begun = time.perf_counter()
            every[name](out)
            seconds[name].append(time.perf_counter() - begun)
            print(f"{name}: {seconds[name][-1]:.1f} s", file=sys.stderr, flush=True)
            reached[name] = recall(folder / "truth.parquet", out, names[asked], args.k)
    print(f"{args.items:,} × {args.dim}, {args.k} neighbours of each, medians of {args.rounds} rounds")
    for name, own in seconds.items():
        ratio = statistics.median(one / other for one, other in zip(own, seconds["simkin"], strict=True))
        spread = f"{statistics.median(own):.1f} s ({min(own):.1f} to {max(own):.1f})"
        print(f"  {name}: {spread}, {ratio:.2f} × simkin's time, recall@{args.k} {reached[name]:.4f}")


if __name__ == "__main__":
    main()
