#!/usr/bin/env python3
"""Everybody's neighbours: `simkin query --all` beside a NumPy blocked matrix product, on the same vectors.

Usage: scripts/bench_all.py [--items 100000] [--dim 512] [-k 20] [--rounds 3] [--quick]

Vectors are those of scripts/bench_search.py. Both use all cores and end with a Parquet file of ids and scores;
rounds are interleaved, figures are medians. NumPy multiplies blocks of 1,024 rows with all of them, picks the best by
`argpartition` and sorts these. simkin starts from a built catalog, as a nightly job does, and its whole command is
timed; its recall is that of 500 items against NumPy's answers. Near-duplicates are kept (`--duplicates`), since NumPy
knows nothing of them.
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

BLOCK = 1024


def by_numpy(rows: np.ndarray, names: list[str], k: int, out: Path) -> None:
    """Every row's nearest, exactly."""
    text = np.asarray(names)
    schema = pyarrow.schema([("query", pyarrow.string()), ("id", pyarrow.string()), ("score", pyarrow.float32())])
    with pyarrow.parquet.ParquetWriter(out, schema) as writer:
        for start in range(0, len(rows), BLOCK):
            products = rows[start : start + BLOCK] @ rows.T
            own = np.arange(len(products))
            products[own, own + start] = -np.inf
            best = np.argpartition(products, len(rows) - k, axis=1)[:, len(rows) - k :]
            scores = np.take_along_axis(products, best, axis=1)
            order = np.argsort(-scores, axis=1)
            best, scores = np.take_along_axis(best, order, axis=1), np.take_along_axis(scores, order, axis=1)
            columns = [np.repeat(text[start : start + BLOCK], k), text[best.ravel()], scores.ravel()]
            writer.write_table(pyarrow.table(columns, schema=schema))


def by_simkin(catalog: Path, k: int, out: Path) -> None:
    """The command, as it is typed."""
    words = ["query", "--all", "--relation", "similar", "-k", str(k), "--duplicates", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "simkin", *words, "--catalog", str(catalog)], check=True, capture_output=True)


def recall(exact: Path, ours: Path, asked: list[str], k: int) -> float:
    """Share of the exact answers' scores that are reached, over some items."""
    least: dict[str, float] = {}
    wanted = pyarrow.array(asked)
    for name, score in _scores(exact, wanted):
        least[name] = min(score, least.get(name, np.inf))
    hits = [score >= least[name] - 1e-5 for name, score in _scores(ours, wanted)]
    return sum(hits) / k / len(asked)


def _scores(path: Path, wanted: pyarrow.Array) -> list[tuple[str, float]]:
    table = pyarrow.parquet.read_table(path, columns=["query", "score"], filters=[("query", "in", wanted.to_pylist())])
    return list(zip(table["query"].to_pylist(), table["score"].to_pylist(), strict=True))


def main() -> None:
    """Make a catalog, run both in turn, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("-k", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="20,000 items of 128 dimensions, two rounds")
    args = parser.parse_args()
    if args.quick:
        args.items, args.dim, args.rounds = 20_000, 128, 2
    import simkin
    from index.catalog import Catalog
    from index.engine.build import build_if_needed

    with tempfile.TemporaryDirectory(prefix="bench-all-") as scratch:
        folder = Path(scratch)
        make_catalog(folder / "c.simkin", make_vectors(args.items, args.dim))
        with Catalog.open(folder / "c.simkin") as catalog, catalog.writing():
            build_if_needed(catalog)
        space = simkin.open(folder / "c.simkin").generation.spaces["image"]
        rows, names = np.array(space.vectors), [f"item-{key:07d}" for key in space.keys.tolist()]
        seconds: dict[str, list[float]] = {"numpy": [], "simkin": []}
        for number in range(args.rounds):
            for name in ("numpy", "simkin") if number % 2 == 0 else ("simkin", "numpy"):
                begun = time.perf_counter()
                if name == "numpy":
                    by_numpy(rows, names, args.k, folder / "numpy.parquet")
                else:
                    by_simkin(folder / "c.simkin", args.k, folder / "simkin.parquet")
                seconds[name].append(time.perf_counter() - begun)
                print(f"{name}: {seconds[name][-1]:.1f} s", file=sys.stderr, flush=True)
        asked = names[:: max(1, len(names) // 500)]
        reached = recall(folder / "numpy.parquet", folder / "simkin.parquet", asked, args.k)
        ratio = statistics.median(one / other for one, other in zip(seconds["numpy"], seconds["simkin"], strict=True))
        print(f"{args.items:,} × {args.dim}, {args.k} neighbours of each, medians of {args.rounds} rounds")
        for name, own in seconds.items():
            print(f"  {name}: {statistics.median(own):.1f} s ({min(own):.1f} to {max(own):.1f})")
        print(f"  simkin is {ratio:.2f} × as fast, at recall@{args.k} {reached:.4f}")


if __name__ == "__main__":
    main()
