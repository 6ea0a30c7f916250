"""Truth: a sample of all rows is compared with every row of every partition, which tells the recall of the whole."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.embedding.shards import put_in_place
from index.engine.calibrate import ROUNDING
from index.engine.rows import Space
from index.partitioned.asking import Answers, Chunk, allowed_in
from index.partitioned.terms import TRUTH, Terms, open_partition
from index.types import Vector

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
    partial = work / TRUTH / "sample.part"
    partial.write_text(json.dumps(sample))
    put_in_place(partial, work / TRUTH / "sample.json")
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
    """Write the scores of a partition's best answers to each row of the sample, every row of it compared."""
    space = open_partition(work, terms, number)
    found: list[NDArray[np.float32]] = []
    for partition, places in groupby(read_sample(work), key=lambda place: place[0]):
        own = open_partition(work, terms, partition) if partition != number else space
        rows = np.asarray([row for _, row in places], np.int64)
        codes = own.categories_of(rows).tolist()
        for row, code, vector in zip(rows.tolist(), codes, own.rows_at(rows), strict=True):
            best = np.full(terms.k, -np.inf, np.float32)
            if own.modality == space.modality and np.count_nonzero(vector):
                allowed = allowed_in(space, terms, own.record.categories[code])
                best = _best(space, terms, vector, allowed, row if own is space else -1)
            found.append(best)
    partial = _path(work, number).with_suffix(".part")
    with partial.open("wb") as file:
        np.save(file, np.reshape(found, (-1, terms.k)))
    put_in_place(partial, _path(work, number))


def _best(
    space: Space, terms: Terms, vector: Vector, allowed: NDArray[np.bool_] | None, itself: int
) -> NDArray[np.float32]:
    """Scores of the ``k`` best rows, best first; -∞ where there are not so many."""
    weighted = space.question(terms.relation, vector)
    best = np.full(terms.k, -np.inf, np.float32)
    for code in range(len(space.record.categories)):
        if allowed is not None and not allowed[code]:
            continue
        for start in range(space.record.offsets[code], space.record.offsets[code + 1], BLOCK):
            stop = min(start + BLOCK, space.record.offsets[code + 1])
            products = space.vectors[start:stop] @ weighted
            if start <= itself < stop:
                products[itself - start] = -np.inf
            best = np.sort(np.concatenate([best, products]))[: -terms.k - 1 : -1]
    space.release()
    there = np.isfinite(best)
    best[there] = space.scores(vector, best[there])
    return best


def measured_recall(work: Path, terms: Terms, chunks: list[Chunk], partitions: int) -> float:
    """What share of the sample's true answers was found, at ``k``; 1 where there are none."""
    sample = read_sample(work)
    scores = np.concatenate([np.load(_path(work, number)) for number in range(partitions)], axis=1)
    true = -np.sort(-scores, axis=1)[:, : terms.k]
    wanted = found = 0
    for (partition, row), own in zip(sample, true, strict=True):
        count = int(np.isfinite(own).sum())
        if not count:
            continue
        chunk = next(c for c in chunks if c.partition == partition and c.start <= row < c.stop)
        answers = Answers.load(work, chunk.number)
        told = answers.scores[row - chunk.start] if answers else np.zeros(0, np.float32)
        least = own[count - 1] - ROUNDING * max(1.0, abs(float(own[count - 1])))
        wanted += count
        found += min(count, int(np.count_nonzero(told >= least)))
    return found / wanted if wanted else 1.0
