"""Surroundings: which rows lie around each row of a relation, and how near, kept with a generation for re-ranking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.cores import usable_cores
from index.engine.calibrate import rule_categories
from index.engine.mapping import mapped
from index.engine.rows import Space
from index.engine.search import Restriction, Searcher
from index.relations import Relation
from index.types import Vector

NEIGHBOURS = 20
"""How many of the nearest make up a neighbourhood."""

SCALE_NEIGHBOUR = 10
"""Whose distance is a row's own measure of near: the tenth neighbour, as in Schnitzer et al."""

LINKS = 100
"""Strongest links kept for each row, where behaviour tells the neighbourhood."""

CELLS = 1 << 22
"""Products held at once by each thread."""

CHUNK = 16_384
"""Rows after which mapped pages are handed back."""

BOUNDS, MEMBERS, SCALES = "bounds.i64", "members.i32", "scales.f32"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lies around rows: ragged lists under one roof.

    Attributes:
        bounds: Where each row's members begin, then their number: int64, shape ``(n + 1,)``.
        members: Rows that neighbour each row, ascending, itself among them: int32, shape ``(bounds[-1],)``.
        scales: Each row's own measure of near, √ of the squared distance of its ``SCALE_NEIGHBOUR``-th neighbour:
            float32, shape ``(n,)``, never 0.
    """

    bounds: NDArray[np.int64]
    members: NDArray[np.int32]
    scales: NDArray[np.float32]

    def members_of(self, row: int) -> NDArray[np.int32]:
        """The neighbourhood of one row, itself among it."""
        return self.members[self.bounds[row] : self.bounds[row + 1]]

    def write(self, folder: Path) -> None:
        """Write three files of little-endian numbers."""
        folder.mkdir(exist_ok=True)
        (folder / BOUNDS).write_bytes(self.bounds.astype("<i8").tobytes())
        (folder / MEMBERS).write_bytes(self.members.astype("<i4").tobytes())
        (folder / SCALES).write_bytes(self.scales.astype("<f4").tobytes())


def open_surroundings(space: Space, relation: str) -> Surroundings:
    """Map what was written for one relation of a space.

    Raises:
        StaleIndexError: It is gone.
    """
    folder, count = space.folder / relation, space.record.count
    bounds = mapped(folder / BOUNDS, "<i8", (count + 1,))
    members = mapped(folder / MEMBERS, "<i4", (int(bounds[-1]),))
    return Surroundings(bounds, members, mapped(folder / SCALES, "<f4", (count,)))


def around(
    searcher: Searcher, vector: Vector, categories: NDArray[np.bool_] | None, own: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float]:
    """The nearest rows of whoever stands somewhere, closest first, and his own measure of near.

    Args:
        searcher: Of the relation.
        vector: A row of its space.
        categories: Which may answer by the relation's rule; ``None`` for all.
        own: Rows that are himself, ascending.
    """
    found = searcher.search(vector, NEIGHBOURS, Restriction(categories, None, own))
    return found.rows, float(_scales(searcher.space.squared(vector, found.scores)[None])[0])


def find_surroundings(
    space: Space, relation: Relation, links: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None
) -> Surroundings:
    """Find every row's nearest by the relation's own way of searching, on all cores, in bounded memory.

    Where it is answered exactly, rows are compared block by block; else each row is asked about as any item is.

    Args:
        space: Its record holds the relation's plan.
        links: Pairs of rows that people linked, int64 ``(m, 2)``, with weights, float32 ``(m,)``: a row that has any is
            surrounded by those (the ``LINKS`` strongest) instead of the nearest.
    """
    from threadpoolctl import threadpool_limits

    searcher = Searcher(space, relation)
    count = space.record.count
    nearest = np.full((count, NEIGHBOURS), -1, np.int32)
    scales = np.ones(count, np.float32)
    one = _compared if searcher.plan.method == "exact" else _searched
    with threadpool_limits(1), ThreadPoolExecutor(usable_cores()) as threads:
        for start in range(0, count, CHUNK):
            blocks = list(_blocks(space, relation, start, min(start + CHUNK, count)))
            for (first, stop), (rows, near) in zip(blocks, threads.map(partial(one, searcher), blocks), strict=True):
                nearest[first:stop], scales[first:stop] = rows, near
            space.release()
    return _ragged(nearest, scales, links)


def _blocks(space: Space, relation: Relation, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows of one category each, where the rule looks at them, that are compared at once."""
    step = max(1, min(CELLS // max(1, space.record.count), 512))
    cuts = [start, stop]
    if relation.rule != "any":
        inner = space.offsets[(space.offsets > start) & (space.offsets < stop)]
        cuts = [start, *np.unique(inner).tolist(), stop]
    for low, high in pairwise(cuts):
        for first in range(low, high, step):
            yield first, min(first + step, high)


def _compared(searcher: Searcher, block: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The nearest of a block of rows, by comparing it with every row that may answer."""
    space, relation, (start, stop) = searcher.space, searcher.relation, block
    own = np.arange(start, stop)
    low, high, allowed = 0, space.record.count, rule_categories(space, relation, start)
    if allowed is not None and relation.rule == "same category":
        code = int(np.flatnonzero(allowed)[0])
        low, high = int(space.offsets[code]), int(space.offsets[code + 1])
    products = space.question(relation, space.vectors[start:stop]) @ space.vectors[low:high].T
    products[own - start, own - low] = -np.inf
    if allowed is not None and relation.rule == "other category":
        code = int(np.flatnonzero(~allowed)[0])
        products[:, space.offsets[code] - low : space.offsets[code + 1] - low] = -np.inf
    kept = min(NEIGHBOURS, high - low)
    top = np.sort(np.argpartition(products, high - low - kept, axis=1)[:, high - low - kept :], axis=1)
    close = np.take_along_axis(products, top, axis=1)
    order = np.argsort(-close, axis=1, kind="stable")
    top, close = np.take_along_axis(top, order, axis=1) + low, np.take_along_axis(close, order, axis=1)
    rows = np.full((stop - start, NEIGHBOURS), -1, np.int32)
    rows[:, :kept] = np.where(np.isfinite(close), top, -1)
    return rows, _scales(space.squared(space.vectors[start:stop], close))


def _searched(searcher: Searcher, block: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The nearest of a block of rows, by asking about each."""
    rows = np.full((block[1] - block[0], NEIGHBOURS), -1, np.int32)
    scales = np.ones(len(rows), np.float32)
    categories = rule_categories(searcher.space, searcher.relation, block[0])
    for at, row in enumerate(range(*block)):
        found, scales[at] = around(searcher, searcher.space.vectors[row], categories, np.asarray([row]))
        rows[at, : len(found)] = found
    return rows, scales


def _scales(squared: NDArray[np.float32]) -> NDArray[np.float32]:
    """Measures of near from squared distances, closest first, infinite beyond the last: float32, ``(n, k)`` → ``(n,)``;
    1 for who has no neighbour."""
    if not squared.shape[1]:
        return np.ones(len(squared), np.float32)
    last = np.minimum(np.isfinite(squared).sum(axis=1), SCALE_NEIGHBOUR)
    own = np.take_along_axis(squared, np.maximum(last - 1, 0)[:, None], axis=1)[:, 0]
    return np.where(last > 0, np.sqrt(np.maximum(np.where(last > 0, own, 1), 1e-6)), 1).astype(np.float32)


def _ragged(
    nearest: NDArray[np.int32],
    scales: NDArray[np.float32],
    links: tuple[NDArray[np.int64], NDArray[np.float32]] | None,
) -> Surroundings:
    count = len(nearest)
    listed: Sequence[NDArray[np.int32]] = [np.zeros(0, np.int32)] * count
    if links is not None and len(links[0]):
        listed = strongest(links[0], links[1], count)
    bounds = np.zeros(count + 1, np.int64)
    members = []
    for row in range(count):
        others = listed[row] if len(listed[row]) else nearest[row][nearest[row] >= 0]
        members.append(np.unique(np.append(others, np.int32(row))))
        bounds[row + 1] = bounds[row] + len(members[-1])
    return Surroundings(bounds, np.concatenate([np.zeros(0, np.int32), *members]).astype(np.int32), scales)


def strongest(pairs: NDArray[np.int64], weights: NDArray[np.float32], count: int) -> list[NDArray[np.int32]]:
    """Of each row, the ``LINKS`` rows it is linked with most strongly, in either direction, weights added up."""
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    keys, place = np.unique(ends[:, 0] * count + ends[:, 1], return_inverse=True)
    sums = np.bincount(place.reshape(-1), np.concatenate([weights, weights]))
    rows, others = keys // count, keys % count
    order = np.lexsort((others, -sums, rows))
    bounds = np.searchsorted(rows[order], np.arange(count + 1))
    ranked = others[order].astype(np.int32)
    return [ranked[bounds[row] : bounds[row + 1]][:LINKS] for row in range(count)]
