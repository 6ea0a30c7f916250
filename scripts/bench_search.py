#!/usr/bin/env python3
"""Nearest neighbours: simkin beside what a user would pick instead, on the same vectors, in one run.

Usage: scripts/bench_search.py [--sizes 10000,100000] [--dims 128,512] [--engines simkin,annoy,…] [--rounds 3]
                               [--queries 500] [--real CATALOG] [--no-curve] [--out FOLDER] [--quick]

Engines that are not installed are left out, and named: pip install '.[bench]' brings them all.

Vectors are made, seeded: cluster centres, one for each 300 items, in a latent space of 24 dimensions with a
falling spectrum; items around them; a random linear map to all dimensions, and a little noise. That is clustered
and of low intrinsic dimension, as embeddings are. With --real the rows of an existing catalog are drawn with
replacement instead, each moved a little towards another row nearby ("bootstrapped").
A simkin catalog of one facet is made of them, and every engine gets the very rows that its relation compares.

Each engine builds in a process of its own, and is asked in another, with one thread: items of the catalog as
queries, ten answers without the query itself, after as many questions about other items, which bring files that are
mapped, not read, into the process. Rounds are interleaved; figures are medians over rounds. Batches
are asked with all cores. Resident memory counts the process with its interpreter and the pages of files it has read;
bytes on disk are those of what is searched: simkin's database of items is not among them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

K = 10
LATENT, PER_CLUSTER = 24, 300
WANTED = 0.99
NO_CURVE = "no-curve"
"""A file of this name says that simkin is built for the recall wanted alone."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
NEEDS = {"annoy": "annoy", "hnswlib": "hnswlib", "voyager": "voyager", "usearch": "usearch", "faiss-flat": "faiss",
         "faiss-hnsw": "faiss", "faiss-ivf": "faiss", "numpy": "numpy", "simkin": "simkin"}  # fmt: skip

Rows = NDArray[np.float32]
Ask = Callable[[NDArray[np.int64]], NDArray[np.int64]]
"""Row numbers asked about → row numbers of ``K`` answers each, the query itself left out; -1 where there is none."""


class Engine(Protocol):
    """What is measured: built once into a folder, opened elsewhere, and asked at several settings."""

    def build(self, rows: Rows, folder: Path) -> None: ...

    def open(self, rows: Rows, folder: Path) -> None: ...

    def settings(self) -> Iterator[tuple[str, Ask, Ask]]:
        """Name of a setting, one question at a time, and many at once with all cores."""
        ...


def one_by_one(ask: Callable[[int], NDArray[np.int64]]) -> Ask:
    """An engine's single question, for many rows in turn."""
    return lambda asked: np.stack([ask(row) for row in asked.tolist()])


def without_own(found: NDArray[Any], asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """``K`` answers of ``K + 1`` each, the query itself left out."""
    found = np.asarray(found, np.int64)
    kept = found != asked[:, None]
    kept[kept.all(axis=1), -1] = False
    return found[kept].reshape(len(found), -1)[:, :K]


class Numpy:
    """Exact: one product with all rows, and the best of it."""

    def build(self, rows: Rows, folder: Path) -> None:
        np.save(folder / "rows.npy", rows)

    def open(self, rows: Rows, folder: Path) -> None:
        self.rows = np.load(folder / "rows.npy")

    def settings(self) -> Iterator[tuple[str, Ask, Ask]]:
        def ask(asked: NDArray[np.int64]) -> NDArray[np.int64]:
            products = self.rows[asked] @ self.rows.T
            some = np.argpartition(-products, K, axis=1)[:, : K + 1]
            order = np.argsort(-np.take_along_axis(products, some, 1), axis=1)
            return without_own(np.take_along_axis(some, order, 1), asked)

        yield "", one_by_one(lambda row: ask(np.array([row]))[0]), blocked(ask)


def blocked(ask: Ask, size: int = 256) -> Ask:
    """Many questions, so many at once."""
    return lambda asked: np.vstack([ask(asked[at : at + size]) for at in range(0, len(asked), size)])


class Annoy:
    """Annoy by itself, at several numbers of trees."""

    trees = (10, 30, 100)

    def build(self, rows: Rows, folder: Path) -> None:
        from annoy import AnnoyIndex

        for trees in self.trees:
            annoy = AnnoyIndex(rows.shape[1], "angular")
            annoy.set_seed(1)
            for row, vector in enumerate(rows):
                annoy.add_item(row, vector)
            annoy.build(trees)
            annoy.save(str(folder / f"{trees}.ann"))

    def open(self, rows: Rows, folder: Path) -> None:
        self.dim, self.folder = rows.shape[1], folder

    def settings(self) -> Iterator[tuple[str, Ask, Ask]]:
        from annoy import AnnoyIndex

        for trees in self.trees:
            annoy = AnnoyIndex(self.dim, "angular")
            annoy.load(str(self.folder / f"{trees}.ann"))
            for nodes in (500, 1000, 2000, 4000, 8000, 16000, 32000, 64000):

                def ask(row: int, annoy: Any = annoy, nodes: int = nodes) -> NDArray[np.int64]:
                    found = np.asarray(annoy.get_nns_by_item(row, K + 1, nodes))[None]
                    return without_own(found, np.array([row]))[0]

                yield f"trees {trees}, search_k {nodes}", one_by_one(ask), threaded(ask)


def threaded(ask: Callable[[int], NDArray[np.int64]]) -> Ask:
    """A single question, asked from as many threads as there are cores."""
    from concurrent.futures import ThreadPoolExecutor

    def many(asked: NDArray[np.int64]) -> NDArray[np.int64]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return np.stack(list(pool.map(ask, asked.tolist(), chunksize=32)))

    return many


class Hnswlib:
    """hnswlib, M = 16, ef_construction = 200, as its README has it."""

    def build(self, rows: Rows, folder: Path) -> None:
        import hnswlib

        index = hnswlib.Index("ip", rows.shape[1])
        index.init_index(len(rows), M=16, ef_construction=200, random_seed=1)
        index.add_items(rows, num_threads=os.cpu_count())
        index.save_index(str(folder / "hnsw"))

    def open(self, rows: Rows, folder: Path) -> None:
        import hnswlib

        self.rows = rows
        self.index = hnswlib.Index("ip", rows.shape[1])
        self.index.load_index(str(folder / "hnsw"))

    def settings(self) -> Iterator[tuple[str, Ask, Ask]]:
        for depth in (16, 32, 64, 128, 256, 512):

            def ask(asked: NDArray[np.int64], threads: int = 1, depth: int = depth) -> NDArray[np.int64]:
                self.index.set_ef(depth)
                return without_own(
                    self.index.knn_query(np.array(self.rows[asked]), K + 1, num_threads=threads)[0], asked
                )

            yield f"ef {depth}", one_by_one(lambda row, a=ask: a(np.array([row]))[0]), lambda q, a=ask: a(q, -1)


class Voyager:
    """Voyager at its defaults: M = 12, ef_construction = 200."""

    def build(self, rows: Rows, folder: Path) -> None:
        import voyager

        index = voyager.Index(voyager.Space.InnerProduct, rows.shape[1])
        index.add_items(rows)
        index.save(str(folder / "voyager"))

    def open(self, rows: Rows, folder: Path) -> None:
        import voyager

        self.rows, self.index = rows, voyager.Index.load(str(folder / "voyager"))

    def settings(self) -> Iterator[tuple[str, Ask, Ask]]:
        for depth in (16, 32, 64, 128, 256, 512):

            def ask(asked: NDArray[np.int64], threads: int = 1, depth: int = depth) -> NDArray[np.int64]:
                found = self.index.query(np.array(self.rows[asked]), K + 1, num_threads=threads, query_ef=depth)[0]
                return without_own(found, asked)

            yield f"query_ef {depth}", one_by_one(lambda row, a=ask: a(np.array([row]))[0]), lambda q, a=ask: a(q, -1)


class Usearch:
    """usearch at its defaults, float32."""

    def build(self, rows: Rows, folder: Path) -> None:
        from usearch.index import Index

        index = Index(ndim=rows.shape[1], metric="ip", dtype="f32")
        index.add(np.arange(len(rows)), rows)
        index.save(str(folder / "usearch"))

    def open(self, rows: Rows, folder: Path) -> None:
        from usearch.index import Index

        self.rows = rows
        self.index = Index(ndim=rows.shape[1], metric="ip", dtype="f32")
        self.index.view(str(folder / "usearch"))

    def settings(self) -> Iterator[tuple[str, Ask, Ask]]:
        for depth in (16, 32, 64, 128, 256, 512):

            def ask(asked: NDArray[np.int64], threads: int = 1, depth: int = depth) -> NDArray[np.int64]:
                self.index.expansion_search = depth
                keys = self.index.search(np.array(self.rows[asked]), K + 1, threads=threads).keys
                return without_own(keys.reshape(len(asked), -1), asked)

            yield f"expansion {depth}", one_by_one(lambda row, a=ask: a(np.array([row]))[0]), lambda q, a=ask: a(q, 0)


class Faiss:
    """faiss: flat, HNSW32, or IVF with 4·√n lists."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def build(self, rows: Rows, folder: Path) -> None:
        import faiss

        lists = int(4 * np.sqrt(len(rows)))
        words = {"flat": "Flat", "hnsw": "HNSW32", "ivf": f"IVF{lists},Flat"}[self.kind]
        index = faiss.index_factory(rows.shape[1], words, faiss.METRIC_INNER_PRODUCT)
        index.train(rows)
        index.add(rows)
        faiss.write_index(index, str(folder / "faiss"))

    def open(self, rows: Rows, folder: Path) -> None:
        import faiss

        self.rows, self.index = rows, faiss.read_index(str(folder / "faiss"))

    def settings(self) -> Iterator[tuple[str, Ask, Ask]]:
        import faiss

        depths = {"flat": (0,), "hnsw": (16, 32, 64, 128, 256, 512), "ivf": (1, 2, 4, 8, 16, 32, 64, 128)}[self.kind]
        for depth in depths:

            def ask(asked: NDArray[np.int64], threads: int = 1, depth: int = depth) -> NDArray[np.int64]:
                faiss.omp_set_num_threads(threads)
                if self.kind == "hnsw":
                    self.index.hnsw.efSearch = depth
                if self.kind == "ivf":
                    self.index.nprobe = depth
                return without_own(self.index.search(np.array(self.rows[asked]), K + 1)[1], asked)

            name = {"flat": "", "hnsw": f"efSearch {depth}", "ivf": f"nprobe {depth}"}[self.kind]
            yield name, one_by_one(lambda row, a=ask: a(np.array([row]))[0]), lambda q, a=ask: a(q, os.cpu_count() or 1)


class Simkin:
    """simkin by its public door: questions by item id, answers with ids and scores, at several recalls asked for.

    What is timed is the build at ``WANTED``; the others are for the curve.
    """

    recalls = (0.8, 0.9, 0.95, WANTED, 0.999)

    def build(self, rows: Rows, folder: Path) -> None:
        self._build(folder, WANTED)

    def more(self, folder: Path) -> None:
        """Builds that are not timed."""
        for recall in self.recalls:
            if recall != WANTED and not (folder.parent / NO_CURVE).exists():
                self._build(folder, recall)

    def _build(self, folder: Path, recall: float) -> None:
        from index.catalog import Catalog
        from index.engine.build import build_if_needed

        place = folder / f"{recall}.simkin"
        shutil.copytree(
            folder.parent / "catalog.simkin", place, ignore=shutil.ignore_patterns("generations", "CURRENT")
        )
        with Catalog.open(place) as opened, opened.writing():
            with opened.connection:
                opened.set_setting("recall", str(recall))
            build_if_needed(opened, force=True)

    def open(self, rows: Rows, folder: Path) -> None:
        self.folder = folder

    def settings(self) -> Iterator[tuple[str, Ask, Ask]]:
        import simkin

        for recall in (WANTED, *(other for other in self.recalls if other != WANTED)):
            if not (self.folder / f"{recall}.simkin").exists():
                continue
            recommender = simkin.open(self.folder / f"{recall}.simkin")
            space = recommender.generation.spaces["image"]
            names = [f"item-{key:07d}" for key in space.keys.tolist()]
            rows = {name: row for row, name in enumerate(names)}

            def numbers(found: list[tuple[str, float]], rows: dict[str, int] = rows) -> Any:
                return np.asarray([rows[name] for name, _ in found] + [-1] * (K - len(found)))

            def ask(row: int, asked: Any = recommender, names: list[str] = names, told: Any = numbers) -> Any:
                return told(asked.scores(simkin.Query(items=((names[row], 1.0),), k=K, duplicates=True)))

            def many(
                asked: NDArray[np.int64], of: Any = recommender, names: list[str] = names, told: Any = numbers
            ) -> Any:
                query = simkin.Query(k=K, duplicates=True)
                return np.stack([told(found) for found in of.scores_of_each(query, [names[row] for row in asked])])

            plan = space.record.relations["similar"]
            looked = f"centres of {plan.groups} groups looked at" if plan.groups else "all centres looked at"
            proposed = "Annoy finds cells" if plan.search_k else looked
            how = f"{plan.probes} cells, {proposed}" if plan.method == "cells" else plan.method
            yield f"--recall {recall} ({how})", one_by_one(ask), many


ENGINES: dict[str, Callable[[], Engine]] = {
    "simkin": Simkin, "annoy": Annoy, "hnswlib": Hnswlib, "voyager": Voyager, "usearch": Usearch,
    "faiss-flat": lambda: Faiss("flat"), "faiss-hnsw": lambda: Faiss("hnsw"), "faiss-ivf": lambda: Faiss("ivf"),
    "numpy": Numpy,
}  # fmt: skip


def make_vectors(count: int, dim: int, seed: int = 0) -> Iterator[Rows]:
    """Blocks of vectors, as the docstring above tells."""
    rng = np.random.default_rng(seed)
    spectrum = 1 / np.sqrt(1 + np.arange(LATENT))
    centres = rng.normal(size=(max(1, count // PER_CLUSTER), LATENT)) * spectrum
    axes = rng.normal(size=(LATENT, dim)) / np.sqrt(LATENT)
    for start in range(0, count, 10_000):
        size = min(10_000, count - start)
        latent = centres[rng.integers(0, len(centres), size)] + 0.5 * rng.normal(size=(size, LATENT)) * spectrum
        points = latent @ axes + 0.05 * rng.normal(size=(size, dim))
        yield (points / np.linalg.norm(points, axis=1, keepdims=True)).astype("<f4")


def bootstrap(catalog: Path, count: int, seed: int = 0) -> Iterator[Rows]:
    """Blocks of rows of a catalog's pictures (or sounds), each moved up to a third towards another one nearby."""
    import simkin

    spaces = simkin.open(catalog).generation.spaces
    space = spaces.get("image") or spaces["audio"]
    rows = np.asarray(space.vectors)
    rng = np.random.default_rng(seed)
    for start in range(0, count, 10_000):
        size = min(10_000, count - start)
        own = rng.integers(0, len(rows), size)
        near = np.argpartition(-(rows[own] @ rows.T), min(10, len(rows) - 1), axis=1)[:, :10]
        other = near[np.arange(size), rng.integers(0, near.shape[1], size)]
        points = rows[own] + rng.uniform(0, 1 / 3, (size, 1)) * (rows[other] - rows[own])
        points += 0.02 * rng.normal(size=points.shape) / np.sqrt(points.shape[1])
        yield (points / np.linalg.norm(points, axis=1, keepdims=True)).astype("<f4")


def lot_of(key: Any) -> Any:
    """A number below 1,000 for each item, as good as random: filters ask for lots below some number."""
    return key * 2_654_435_761 % 2**32 % 1000


def make_catalog(folder: Path, blocks: Iterator[Rows]) -> None:
    """A catalog of vectors without files, under a card that compares by cosine."""
    from index.catalog import Catalog
    from index.types import EncoderCard, Facet

    first = next(blocks)
    dim = first.shape[1]
    facet = Facet("content", 0, dim, 0.0, dim, 2.0, "made for a benchmark")
    card = EncoderCard("made", 1, "image", (facet,), {}, "Apache-2.0", "scripts/bench_search.py")
    with Catalog.create(folder) as catalog, catalog.writing(), catalog.connection:
        sql = catalog.connection
        sql.execute("INSERT INTO sources VALUES (1, ?, 'folder', NULL)", (os.fsencode(folder / "none"),))
        catalog.hold_encoder("made", card)
        sequence = catalog.next_sequence()
        start = 1
        for block in (first, *blocks):
            keys = range(start, start + len(block))
            start += len(block)
            sql.executemany(
                "INSERT INTO items VALUES (?, ?, 1, NULL, ?, x'00', ?)",
                [(key, f"item-{key:07d}", json.dumps({"lot": lot_of(key)}), sequence) for key in keys],
            )
            sql.executemany(
                "INSERT INTO media (media, source, id, position, item, path, modality, size, mtime_ns) "
                "VALUES (?1, 1, 'item-' || ?1, 0, ?1, x'00', 'image', 0, 0)",
                [(key,) for key in keys],
            )
            sql.executemany(
                "INSERT INTO vectors VALUES (?, 1, ?)",
                [(key, vector.tobytes()) for key, vector in zip(keys, block, strict=True)],
            )


def truth(rows: Rows, asked: NDArray[np.int64]) -> NDArray[np.float32]:
    """The product with each query's last true answer."""
    last = np.empty(len(asked), np.float32)
    for start in range(0, len(asked), 64):
        some = asked[start : start + 64]
        products = rows[some] @ rows.T
        products[np.arange(len(some)), some] = -np.inf
        last[start : start + 64] = np.partition(products, len(rows) - K, axis=1)[:, len(rows) - K]
    return last


def prepare(folder: Path, count: int, dim: int, queries: int, real: Path | None) -> None:
    """Catalog, rows, queries and their true answers."""
    import simkin
    from index.catalog import Catalog
    from index.engine.build import build_if_needed

    make_catalog(folder / "catalog.simkin", bootstrap(real, count) if real else make_vectors(count, dim))
    with Catalog.open(folder / "catalog.simkin") as catalog, catalog.writing():
        with catalog.connection:
            catalog.set_setting("recall", "0.5")  # only its rows are wanted, and this builds soonest
        build_if_needed(catalog)
    rows = np.asarray(simkin.open(folder / "catalog.simkin").generation.spaces["image"].vectors)
    np.save(folder / "rows.npy", rows)
    asked = np.random.default_rng(7).choice(len(rows), min(queries, len(rows)), replace=False)
    np.savez(folder / "asked.npz", asked=asked, last=truth(rows, asked))


def child(engine: str, stage: str, folder: Path) -> None:
    """One stage of one engine, in a process of its own; prints JSON."""
    if stage == "filters":
        print(json.dumps(filtered(folder)))
        return
    made = ENGINES[engine]()
    rows = np.load(folder / "rows.npy", mmap_mode="r")
    place = folder / engine
    if stage == "build":
        place.mkdir(exist_ok=True)
        loaded = np.array(rows)
        started = time.perf_counter()
        made.build(loaded, place)
        seconds = time.perf_counter() - started
        size = sum(f.stat().st_size for f in place.rglob("*") if f.is_file() and "catalog.db" not in f.name)
        print(json.dumps({"build_s": seconds, "bytes": size}))
        if isinstance(made, Simkin):
            made.more(place)
        return
    with np.load(folder / "asked.npz") as file:
        asked, last = file["asked"], file["last"]
    others = np.setdiff1d(np.random.default_rng(8).choice(len(rows), min(len(asked), len(rows)), replace=False), asked)
    started = time.perf_counter()
    made.open(rows, place)
    found: list[dict[str, Any]] = []
    first, held = 0.0, 0
    for name, single, many in made.settings():
        single(asked[:1])
        first = first or time.perf_counter() - started
        for at in range(len(others)):
            single(others[at : at + 1])
        seconds, answers = [], []
        for at in range(len(asked)):
            begun = time.perf_counter()
            answers.append(single(asked[at : at + 1])[0])
            seconds.append(time.perf_counter() - begun)
        held = held or resident()  # with the first setting alone, and before the truth is looked up
        begun = time.perf_counter()
        many(asked)
        batch = time.perf_counter() - begun
        hits = [
            np.count_nonzero(rows[own[own >= 0]] @ rows[row] >= least - 1e-5)
            for own, row, least in zip(answers, asked, last, strict=True)
        ]
        found.append(
            {
                "setting": name,
                "recall": float(np.mean(hits)) / K,
                "p50_ms": 1000 * statistics.median(seconds),
                "p99_ms": 1000 * float(np.quantile(seconds, 0.99)),
                "qps": len(asked) / sum(seconds),
                "batch_qps": len(asked) / batch,
            }
        )
    print(json.dumps({"first_s": first, "resident_mb": held / 1e6, "settings": found}))


def filtered(folder: Path) -> list[dict[str, Any]]:
    """simkin's questions under filters that fewer and fewer items pass: recall of what passes, and median time."""
    import simkin

    recommender = simkin.open(folder / "simkin" / f"{WANTED}.simkin")
    space = recommender.generation.spaces["image"]
    rows, keys = np.asarray(space.vectors), np.asarray(space.keys)
    row_of = {f"item-{key:07d}": row for row, key in enumerate(keys.tolist())}
    names = list(row_of)
    lots = lot_of(keys)
    with np.load(folder / "asked.npz") as file:
        asked = file["asked"][:200]
    found = []
    for lot in (1000, 500, 100, 10, 1):
        where = f"lot<{lot}" if lot < 1000 else ""
        passing = np.flatnonzero(lots < lot)
        seconds, hits, methods = [], [], set()
        recommender.query(names[asked[0]], where=where, duplicates=True)  # the filter itself is worked out once
        for row in asked.tolist():
            begun = time.perf_counter()
            answer = recommender.query(names[row], where=where, k=K, duplicates=True)
            seconds.append(time.perf_counter() - begun)
            methods.add(answer.method)
            products = rows[passing] @ rows[row]
            products[passing == row] = -np.inf
            wanted = min(K, int(np.isfinite(products).sum()))
            least = np.sort(products)[len(products) - wanted] if wanted else 0.0
            own = [row_of[hit.item_id] for hit in answer.hits]
            hits.append(np.count_nonzero(rows[own] @ rows[row] >= least - 1e-5) / wanted if wanted else 1.0)
        found.append(
            {
                "share": lot / 1000,
                "recall": float(np.mean(hits)),
                "p50_ms": 1000 * statistics.median(seconds),
                "methods": sorted(methods),
            }
        )
    return found


def told_filtered(title: str, rounds: list[list[dict[str, Any]]]) -> str:
    """The same as Markdown, medians over rounds."""
    lines = [f"### {title}: simkin under filters", "", "| pass | recall | p50 ms | against no filter | found by |"]
    lines.append("|---|---|---|---|---|")
    for at, row in enumerate(rounds[0]):
        own = statistics.median(one[at]["p50_ms"] for one in rounds)
        ratio = statistics.median(one[at]["p50_ms"] / one[0]["p50_ms"] for one in rounds)
        lines.append(
            f"| {row['share']:.1%} | {row['recall']:.4f} | {own:.2f} | {ratio:.2f} × | {', '.join(row['methods'])} |"
        )
    return "\n".join(lines) + "\n"


def draw(title: str, table: list[dict[str, Any]], path: Path) -> None:
    """Recall against queries per second, as ann-benchmarks draws it: up and to the right is better."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5.5))
    for engine in dict.fromkeys(row["engine"] for row in table):
        own = sorted((row["recall"], row["qps"]) for row in table if row["engine"] == engine and row["recall"] > 0.5)
        best = [point for at, point in enumerate(own) if all(point[1] > other[1] for other in own[at + 1 :])]
        if best:
            axes.plot(*zip(*best, strict=True), marker="o", label=engine, linewidth=2.5 if engine == "simkin" else 1.2)
    axes.set(xlabel=f"recall@{K}", ylabel="questions a second, one thread", yscale="log", title=title)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def resident() -> int:
    """Bytes of this process in memory, with the pages of files that it has touched."""
    status = Path("/proc/self/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Rss:")) * 1024


def run(engine: str, stage: str, folder: Path) -> Any:
    """A stage in its own process, asked with one thread."""
    threads = {} if stage == "build" else dict.fromkeys(THREADS, "1")
    words = [sys.executable, __file__, "--child", engine, stage, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **threads})
    if done.returncode:
        sys.exit(f"{engine} failed to {stage}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(folder: Path, engines: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Build once, ask in interleaved rounds; one row for each engine and setting, medians over rounds."""
    built = {}
    for engine in engines:
        built[engine] = run(engine, "build", folder)
        print(f"  {engine}: built in {built[engine]['build_s']:.1f} s", file=sys.stderr, flush=True)
    asked: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
    for number in range(rounds):
        for engine in engines if number % 2 == 0 else reversed(engines):
            asked[engine].append(run(engine, "ask", folder))
    table = []
    for engine in engines:
        for at, setting in enumerate(asked[engine][0]["settings"]):
            each = [one["settings"][at] for one in asked[engine]]
            row = {name: statistics.median(one[name] for one in each) for name in setting if name != "setting"}
            spread = [one["qps"] for one in each]
            table.append(
                {
                    "engine": engine,
                    "setting": setting["setting"],
                    **row,
                    "qps_low": min(spread),
                    "qps_high": max(spread),
                    "first_s": statistics.median(one["first_s"] for one in asked[engine]),
                    "resident_mb": statistics.median(one["resident_mb"] for one in asked[engine]),
                    **built[engine],
                }
            )
    return table


def told(title: str, table: list[dict[str, Any]]) -> str:
    """For each engine its fastest setting that reaches ``WANTED``, as Markdown, with ratios to simkin."""
    best: dict[str, dict[str, Any]] = {}
    for row in table:
        held = best.get(row["engine"])
        if row["recall"] >= WANTED and (held is None or row["qps"] > held["qps"]):
            best[row["engine"]] = row
    ours = best.get("simkin")
    lines = [
        f"### {title}, recall@{K} of {WANTED} or better",
        "",
        "| engine | setting | recall | queries/s (low–high) | simkin is | p50 ms | p99 ms | batch/s | build s "
        "| MB on disk | MB resident | first answer s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in sorted(best.items(), key=lambda pair: -pair[1]["qps"]):
        ratio = f"{ours['qps'] / row['qps']:.2f} ×" if ours else ""
        lines.append(
            f"| {name} | {row['setting']} | {row['recall']:.4f} | {row['qps']:,.0f} ({row['qps_low']:,.0f}–"
            f"{row['qps_high']:,.0f}) | {ratio} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} | {row['batch_qps']:,.0f} "
            f"| {row['build_s']:.1f} | {row['bytes'] / 1e6:,.0f} | {row['resident_mb']:,.0f} | {row['first_s']:.2f} |"
        )
    missing = sorted({row["engine"] for row in table} - set(best))
    if missing:
        lines += ["", f"Below that recall at every setting tried: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make vectors, measure every engine, print tables and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--dims", default="128,512")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--real", type=Path, metavar="CATALOG", help="bootstrap the rows of this catalog instead")
    parser.add_argument(
        "--no-curve", action="store_true", help="build simkin for the recall wanted alone, which is sooner"
    )
    parser.add_argument("--out", type=Path, help="write figures (JSON), tables (Markdown) and plots (SVG) here")
    parser.add_argument(
        "--quick", action="store_true", help="20,000 vectors of 128 dimensions, two rounds, 200 queries"
    )
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], args.child[1], Path(args.child[2]))
        return
    if args.quick:
        args.sizes, args.dims, args.rounds, args.queries = "20000", "128", 2, 200
    engines = [name for name in args.engines.split(",") if importlib.util.find_spec(NEEDS[name])]
    absent = sorted(set(args.engines.split(",")) - set(engines))
    if absent:
        print(f"not installed, left out: {', '.join(absent)}", file=sys.stderr)
    for size in map(int, args.sizes.split(",")):
        for dim in [0] if args.real else map(int, args.dims.split(",")):
            with tempfile.TemporaryDirectory(prefix="bench-search-") as scratch:
                folder = Path(scratch)
                title = f"{size:,} vectors" + (f" of {args.real.name}, bootstrapped" if args.real else f" × {dim}")
                print(title, file=sys.stderr, flush=True)
                prepare(folder, size, dim, args.queries, args.real)
                if args.no_curve:
                    (folder / NO_CURVE).touch()
                table = compare(folder, engines, args.rounds)
                text = told(title, table)
                if "simkin" in engines:
                    text += "\n" + told_filtered(title, [run("simkin", "filters", folder) for _ in range(args.rounds)])
                print(text, flush=True)
                if args.out:
                    args.out.mkdir(parents=True, exist_ok=True)
                    name = f"{size}-{args.real.stem if args.real else dim}"
                    (args.out / f"{name}.json").write_text(json.dumps(table, indent=1))
                    (args.out / f"{name}.md").write_text(text)
                    if importlib.util.find_spec("matplotlib"):
                        draw(title, table, args.out / f"{name}.svg")


if __name__ == "__main__":
    main()
