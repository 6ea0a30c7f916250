"""Truth: a sample of all rows is compared with every row of every partition, which tells the recall of the whole."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.embedding.shards import placed
from index.engine.calibrate import ROUNDING, categories_for
from index.engine.rows import Space
from index.partitioned.asking import Answers, Chunk, finished
from index.partitioned.terms import TRUTH, Terms, open_partition
from index.types import Vectors

SAMPLE = 384
"""Rows in the sample: see ``index.engine.calibrate.TELLING``."""

BLOCK = 8192
"""Rows compared at once."""

Place = tuple[int, int]
"""A partition, and a row of it."""


def draw_sample(work: Path, counts: list[int], seed: int = 0) -> list[Place]:
    """Draw rows of all partitions, and write them down for every host; the same each time."""
    total = sum(counts)
    drawn = np.sort(np.random.default_rng(seed).choice(total, min(SAMPLE, total), replace=False))
    starts = np.concatenate([[0], np.cumsum(counts)])
    partitions = np.searchsorted(starts, drawn, side="right") - 1
    sample = [(int(number), int(row - starts[number])) for number, row in zip(partitions, drawn, strict=True)]
    (work / TRUTH).mkdir(exist_ok=True)
    with placed(work / TRUTH / "sample.json") as partial:
        partial.write_text(json.dumps(sample))
    return sample


def read_sample(work: Path) -> list[Place]:
    """What ``draw_sample`` wrote."""
    return [(number, row) for number, row in json.loads((work / TRUTH / "sample.json").read_text())]


def _path(work: Path, number: int) -> Path:
    return work / TRUTH / f"{number:06d}.npy"


def was_told(work: Path, number: int) -> bool:
    """Whether a partition was compared with the sample."""
    return _path(work, number).is_file()


def tell_truth(work: Path, terms: Terms, number: int) -> None:
    """Write the scores of a partition's best answers to each row of the sample, every row of it compared: float32,
    ``(sample, k)``, best first; -∞ where there are not so many."""
    space = open_partition(work, terms, number)
    sample = read_sample(work)
    found = np.full((len(sample), terms.k), -np.inf, np.float32)
    if space.record.count:
        found = _compared(work, terms, number, space, sample)
    with placed(_path(work, number)) as partial, partial.open("wb") as file:
        np.save(file, found)


def _compared(work: Path, terms: Terms, number: int, space: Space, sample: list[Place]) -> NDArray[np.float32]:
    vectors = np.zeros((len(sample), space.record.dim), np.float32)
    may = np.zeros((len(sample), len(space.record.categories)), bool)
    for partition, places in groupby(range(len(sample)), key=lambda at: sample[at][0]):
        if terms.partitions[partition].modality != space.modality:
            continue
        own, each = open_partition(work, terms, partition), list(places)
        rows = np.asarray([sample[at][1] for at in each], np.int64)
        vectors[each] = own.rows_at(rows)
        for at, code in zip(each, own.categories_of(rows).tolist(), strict=True):
            allowed = categories_for(space, terms.relation, own.record.categories[code])
            may[at] = True if allowed is None else allowed
    may[~vectors.any(axis=1)] = False
    itself = np.asarray([row if partition == number else -1 for partition, row in sample])
    return _best(space, terms, vectors, may, itself)


def _best(
    space: Space, terms: Terms, vectors: Vectors, may: NDArray[np.bool_], itself: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Scores of the ``k`` best rows of the categories that may answer each vector, but for the one that it is."""
    weighted = space.question(terms.relation, vectors)
    best = np.full((len(vectors), terms.k), -np.inf, np.float32)
    for code in range(len(space.record.categories)):
        some = np.flatnonzero(may[:, code])
        stop = space.record.offsets[code + 1]
        for start in range(space.record.offsets[code], stop, BLOCK) if len(some) else ():
            products = weighted[some] @ space.vectors[start : min(start + BLOCK, stop)].T
            inside = np.flatnonzero((itself[some] >= start) & (itself[some] < start + products.shape[1]))
            products[inside, itself[some[inside]] - start] = -np.inf
            both = np.hstack([best[some], products])
            best[some] = -np.sort(np.partition(-both, terms.k - 1, axis=1)[:, : terms.k], axis=1)
    space.release()
    for vector, own in zip(vectors, best, strict=True):
        there = np.isfinite(own)
        own[there] = space.scores(vector, own[there])
    return best


def measured_recall(work: Path, terms: Terms, chunks: list[Chunk], partitions: int) -> float:
    """What share of the sample's true answers was found, at ``k``; 1 where there are none."""
    scores = np.concatenate([np.load(_path(work, number)) for number in range(partitions)], axis=1)
    true = -np.sort(-scores, axis=1)[:, : terms.k]
    wanted = found = 0
    held: tuple[Chunk, Answers] | None = None
    for (partition, row), own in zip(read_sample(work), true, strict=True):
        count = int(np.isfinite(own).sum())
        if not count:
            continue
        chunk = next(c for c in chunks if c.partition == partition and c.start <= row < c.stop)
        if held is None or held[0] != chunk:  # the sample is in the order of chunks
            held = chunk, finished(work, terms, chunk)
        told = held[1].scores[row - chunk.start]
        least = own[count - 1] - ROUNDING * max(1.0, abs(float(own[count - 1])))
        wanted += count
        found += min(count, int(np.count_nonzero(told >= least)))
    return found / wanted if wanted else 1.0
