#!/usr/bin/env python3
"""Recall told against recall measured from outside, and time per query, at several catalog sizes.

Usage: scripts/bench_recall.py [--sizes 2000,20000,200000] [--queries 300] [--keep FOLDER] [--learned] [--json]

Makes catalogs of vectors (no pictures) with a seeded generator: 300 clusters in 40 categories; an item
is a point near its cluster's centre in a 32-dimensional latent space with a falling spectrum, which
each facet sees through axes of its own, plus a little noise: clustered, of low intrinsic dimension.
Then asks each relation through the public `Recommender`, and compares with scores computed here from
the vectors in the database. With --learned the catalog has one more relation, `learned`: a head of 30
dimensions as learning gives it, here the principal axes of the facets, so that no edges are needed.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np

import simkin
from index.catalog import Catalog
from index.encoders import card_of
from index.engine.build import build_if_needed
from index.engine.head import Head
from index.learned import hold_relation
from index.relations import RELATIONS, Relation

CLUSTERS, CATEGORIES, LATENT = 300, 40, 32
ENCODER = "builtin-image"


def make_catalog(folder: Path, count: int, seed: int = 0) -> None:
    """Fill a catalog with `count` items that have vectors and no files."""
    rng = np.random.default_rng(seed)
    card = card_of(ENCODER)
    spectrum = 1 / np.sqrt(1 + np.arange(LATENT))
    centres = rng.normal(size=(CLUSTERS, LATENT)) * spectrum
    axes = {f.name: rng.normal(size=(LATENT, f.dim)) for f in card.facets}
    with Catalog.create(folder) as catalog, catalog.writing(), catalog.connection:
        sql = catalog.connection
        sql.execute("INSERT INTO sources VALUES (1, ?, 'folder', NULL)", (os.fsencode(folder / "none"),))
        catalog.hold_encoder(ENCODER, card)
        sequence = catalog.next_sequence()
        for start in range(0, count, 5000):
            size = min(5000, count - start)
            cluster = rng.integers(0, CLUSTERS, size)
            latent = centres[cluster] + 0.6 * rng.normal(size=(size, LATENT)) * spectrum
            facets = []
            for f in card.facets:
                points = latent @ axes[f.name]
                points += 0.1 * rng.normal(size=points.shape)
                facets.append(points / np.linalg.norm(points, axis=1, keepdims=True))
            vectors = np.hstack(facets).astype("<f4")
            keys = range(start + 1, start + size + 1)
            categories = [f"category-{c % CATEGORIES:02d}" for c in cluster]
            sql.executemany(
                "INSERT INTO items VALUES (?, ?, 1, ?, ?, x'00', ?)",
                [
                    (key, f"item-{key:07d}", name, json.dumps({"category": name, "price": key % 100}), sequence)
                    for key, name in zip(keys, categories, strict=True)
                ],
            )
            sql.executemany(
                "INSERT INTO media (media, source, id, position, item, path, modality, size, mtime_ns) "
                "VALUES (?1, 1, 'item-' || ?1, 0, ?1, x'00', 'image', 0, 0)",
                [(key,) for key in keys],
            )
            sql.executemany(
                "INSERT INTO vectors VALUES (?, 1, ?)",
                [(key, vector.tobytes()) for key, vector in zip(keys, vectors, strict=True)],
            )


def add_learned(folder: Path, rank: int = 30) -> None:
    """Keep a head as the relation `learned`, and build."""
    with Catalog.open(folder) as catalog, catalog.writing():
        space = simkin.Recommender(catalog).generation.spaces["image"]
        rows = np.asarray(space.vectors[:: max(1, len(space.vectors) // 10_000)])
        _, _, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
        spread = np.square((rows - rows.mean(axis=0)) @ axes[:rank].T).sum(axis=1).mean()
        matrix = np.ascontiguousarray(axes[:rank].T / np.sqrt(2 * spread), np.float32)  # at random, 1 apart
        nothing = np.zeros(rank, np.float32)
        head = Head(space.projection, matrix, matrix, nothing, 1.0, nothing[: len(space.projection.parts)])
        relation = Relation("learned", {}, "any", ("image",), "Made for a benchmark.", head.digest)
        with catalog.connection:
            hold_relation(catalog, relation, [ENCODER], head, "{}")
        build_if_needed(catalog)


def outside(folder: Path, relation: str, recommender: simkin.Recommender) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Items as the relation compares them: rows whose dot product is the score (whose distance gives it, when
    learned), categories, ids."""
    space = recommender.generation.spaces["image"]
    with sqlite3.connect(folder / "catalog.db") as sql:
        rows = sql.execute(
            "SELECT items.id, category, vector FROM items JOIN media USING (item) JOIN vectors USING (media)"
        )
        ids, categories, vectors = zip(*((i, c, np.frombuffer(v, "<f4")) for i, c, v in rows), strict=True)
    raw = np.stack(vectors)
    if relation == "learned":
        points = recommender.generation.learned[relation].head.project(raw)[:, :-1]
        return points, np.asarray(categories), list(ids)
    weights = RELATIONS[relation].weights_of(space.projection.facets)
    columns = []
    for part in space.projection.parts:
        points = (raw[:, part.raw] - part.space.mean) @ part.space.matrix
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        columns.append(points * np.sqrt(weights[part.facet.name]))
    return np.hstack(columns).astype(np.float32), np.asarray(categories), list(ids)


def measure(folder: Path, relation: str, where: str, queries: int) -> dict[str, object]:
    """Ask `queries` random items; return recall told, recall measured, and times."""
    recommender = simkin.open(folder)
    rows, categories, ids = outside(folder, relation, recommender)
    prices = np.array([int(i.split("-")[1]) % 100 for i in ids])
    rng = np.random.default_rng(12345)
    asked = rng.choice(len(ids), min(queries, len(ids)), replace=False)
    found = total = 0
    told, seconds, methods = [], [], set()
    for row in asked:
        started = time.perf_counter()
        answer = recommender.query(ids[row], relation=relation, k=10, where=where, duplicates=True)
        seconds.append(time.perf_counter() - started)
        told.append(answer.recall)
        methods.add(answer.method)
        if relation == "learned":
            scores = 1 / (1 + np.exp(np.square(rows - rows[row]).sum(axis=1, dtype=np.float64) - 1))
        else:
            scores = (rows @ rows[row]).astype(np.float64)
        scores[row] = -np.inf
        rule = RELATIONS[relation].rule if relation in RELATIONS else "any"
        if rule == "same category":
            scores[categories != categories[row]] = -np.inf
        if rule == "other category":
            scores[categories == categories[row]] = -np.inf
        if where:
            scores[prices >= int(where.split("<")[1])] = -np.inf
        truth = np.sort(scores[np.isfinite(scores)])[::-1][:10]
        found += sum(hit.score >= truth[-1] - 1e-5 for hit in answer.hits)
        total += len(truth)
    generation = recommender.generation
    plan = generation.learned.get(relation, generation.spaces["image"]).record.relations[relation]
    return {
        "items": len(ids),
        "relation": relation,
        "where": where,
        "methods": sorted(methods),
        "recall_told": round(float(np.mean(told)), 4),
        "recall_measured": round(found / total, 4),
        "p50_ms": round(1000 * float(np.median(seconds)), 3),
        "p99_ms": round(1000 * float(np.quantile(seconds, 0.99)), 3),
        "cells": plan.cells,
        "probes": plan.probes,
        "search_k": plan.search_k,
        "candidates": plan.candidates,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="2000,20000,200000")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--keep", type=Path, help="keep the catalogs here and use them again")
    parser.add_argument("--learned", action="store_true", help="ask a learned relation, too")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for size in map(int, args.sizes.split(",")):
            folder = (args.keep or Path(scratch)) / f"{size}.simkin"
            if not folder.exists():
                folder.parent.mkdir(parents=True, exist_ok=True)
                make_catalog(folder, size)
            with Catalog.open(folder) as catalog, catalog.writing():
                started = time.perf_counter()
                build_if_needed(catalog, force=True)
                built = time.perf_counter() - started
            if args.learned:
                add_learned(folder)
            asked = [("similar", ""), ("substitute", ""), ("style", ""), ("similar", "price<50"), ("style", "price<5")]
            for relation, where in asked + [("learned", ""), ("learned", "price<50")] * args.learned:
                result = {**measure(folder, relation, where, args.queries), "build_seconds": round(built, 1)}
                print(json.dumps(result) if args.json else "  ".join(f"{k}={v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
