"""Cells: rows that lie near each other, laid out in runs of memory that are read as one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from index.types import Vectors

CELL = 64
"""Rows of a cell, on average. Measured on 100,000 rows: cells of 128 need as long for recall 0.99, of 32 and of 256
longer."""

LARGEST = 4 * CELL
"""Rows of a cell at most: where many rows are the same, one centre has several cells."""

FLAT = 256
"""Up to so many cells are fitted at once; more are fitted inside groups of about the square root of their number, so
that the work grows with n·√n."""

NEAR = 12
"""Groups whose cells a row is compared with at last, so that no border between groups remains. Measured on 100,000
clustered rows: without, recall 0.99 took twice the cells."""

SAMPLE = 64
"""Rows for each centre that Lloyd's rounds look at."""

ROUNDS = 8
"""Of Lloyd's algorithm: later ones move hardly any row."""

BLOCK = 4096
"""Rows assigned at once: memory stays flat."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows divided into cells.

    Attributes:
        centres: float32, shape ``(cells, dim)``.
        starts: Places at which cells begin in the layout, then the number of rows: int64, shape ``(cells + 1,)``.
        rows: Which row lies at each place: int32, shape ``(n,)``.
        offsets: First cell of each category, then the number of cells; without categories one range. int64.
        groups: First cell of each group of cells that lie near each other, then the number of cells; none goes beyond
            its category. int64.
    """

    centres: Vectors
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    offsets: NDArray[np.int64]
    groups: NDArray[np.int64]

    def middles(self) -> Vectors:
        """The mean of the rows of each group, as their centres tell it. float32, shape ``(groups, dim)``."""
        sizes = np.diff(self.starts).astype(np.float32)
        first = self.groups[:-1]
        sums = np.add.reduceat(self.centres * sizes[:, None], first, axis=0)
        return np.asarray(sums / np.add.reduceat(sizes, first)[:, None], np.float32)


def fit_cells(rows: Vectors, offsets: NDArray[np.int64], seed: int = 0) -> Cells:
    """Divide rows into cells by k-means; no cell holds rows of two categories.

    Lloyd's algorithm on samples (IEEE Transactions on Information Theory 28(2), 1982), in two levels where there are
    many cells, as inverted files of vectors are made (Sivic & Zisserman, ICCV 2003; Jégou, Douze & Schmid, TPAMI
    2011). Memory stays flat: rows are read in blocks.

    Args:
        rows: float32, shape ``(n, dim)``.
        offsets: First row of each category, then n.
        seed: Equal rows and seeds give equal cells.
    """
    rng = np.random.default_rng(seed)
    centres: list[Vectors] = [np.zeros((0, rows.shape[1]), np.float32)]
    members: list[NDArray[np.int64]] = []
    cells_of, groups = [0], [0]
    for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        own = np.arange(start, stop)
        points, nearest, tops = _divide(rows, own, rng)
        before = []
        order = np.argsort(nearest, kind="stable")
        bounds = np.searchsorted(nearest[order], np.arange(len(points) + 1)).tolist()
        for cell, (low, high) in enumerate(pairwise(bounds)):
            before.append(len(members))
            for at in range(low, high, LARGEST):
                centres.append(points[cell : cell + 1])
                members.append(own[order[at : min(at + LARGEST, high)]])
        before.append(len(members))
        cells_of.append(len(members))
        groups += [before[top] for top in tops]
    sizes = [len(own) for own in members]
    return Cells(
        np.concatenate(centres),
        np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64),
        np.concatenate([np.zeros(0, np.int64), *members]).astype(np.int32),
        np.asarray(cells_of, np.int64),
        np.unique([*groups, len(members)]).astype(np.int64),
    )


def _divide(
    rows: Vectors, own: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Vectors, NDArray[np.int64], list[int]]:
    """Centres of some rows, the centre that each of them is closest to, and the first centre of each group of them;
    some centres may have no rows."""
    wanted = round(len(own) / CELL)
    if not len(own):
        return np.zeros((0, rows.shape[1]), np.float32), own, []
    if wanted <= FLAT:
        centres = _lloyd(rows, own, max(1, wanted), rng)
        return centres, _assign(rows, own, centres), [0]
    tops = _lloyd(rows, own, round(wanted**0.5), rng)
    groups = _split(own, _assign(rows, own, tops), len(tops))
    inner = [_lloyd(rows, group, max(1, round(len(group) / CELL)), rng) for group in groups]
    starts = np.concatenate([[0], np.cumsum([len(some) for some in inner])]).tolist()
    centres = np.concatenate(inner)
    near = np.argsort(half_squares(tops)[None] - tops @ tops.T, axis=1, kind="stable")[:, :NEAR]
    beside = [np.concatenate([np.arange(starts[one], starts[one + 1]) for one in some]) for some in near.tolist()]
    sums, sizes = np.zeros(centres.shape, np.float64), np.zeros(len(centres), np.int64)
    for group, cells in zip(groups, beside, strict=True):
        for at in range(0, len(group), BLOCK):
            some = rows[group[at : at + BLOCK]]
            nearest = cells[_nearest(some, centres[cells])]
            np.add.at(sums, nearest, some)
            sizes += np.bincount(nearest, minlength=len(centres))
    filled = sizes > 0
    centres[filled] = sums[filled] / sizes[filled, None]
    found = np.zeros(len(own), np.int64)
    for group, cells in zip(groups, beside, strict=True):
        found[group - own[0]] = cells[_assign(rows, group, centres[cells])]
    return centres, found, starts[:-1]


def _split(own: NDArray[np.int64], group: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """Members of each group, ascending."""
    order = np.argsort(group, kind="stable")
    return np.split(own[order], np.searchsorted(group[order], np.arange(1, count)))


def _lloyd(rows: Vectors, own: NDArray[np.int64], count: int, rng: np.random.Generator) -> Vectors:
    """Centres of some rows, ``count`` of them or as many as there are rows."""
    if not len(own):
        return np.zeros((0, rows.shape[1]), np.float32)
    sample = rows[np.sort(rng.permutation(own)[: count * SAMPLE])]
    centres: Vectors = sample[np.sort(rng.permutation(len(sample))[:count])]
    for _ in range(ROUNDS):
        nearest = _nearest(sample, centres)
        order = np.argsort(nearest, kind="stable")
        sizes = np.bincount(nearest, minlength=len(centres))
        filled = np.flatnonzero(sizes)
        sums = np.add.reduceat(sample[order], (np.cumsum(sizes) - sizes)[filled], axis=0)
        centres[filled] = sums / sizes[filled, None]
        empty = len(centres) - len(filled)
        if empty:
            centres[sizes == 0] = sample[rng.integers(0, len(sample), empty)]
    return centres


def _assign(rows: Vectors, own: NDArray[np.int64], centres: Vectors) -> NDArray[np.int64]:
    if not len(own):
        return own
    return np.concatenate([_nearest(rows[own[at : at + BLOCK]], centres) for at in range(0, len(own), BLOCK)])


def _nearest(some: Vectors, centres: Vectors) -> NDArray[np.int64]:
    products = some @ centres.T
    products -= half_squares(centres)
    return np.asarray(np.argmax(products, axis=1), np.int64)


def half_squares(points: Vectors) -> NDArray[np.float32]:
    """‖p‖²/2 of points, float32 ``(n, dim)`` → ``(n,)``: who has the greatest ``p·x - ‖p‖²/2`` lies closest to x."""
    return np.asarray(np.einsum("ij,ij->i", points, points) / 2, np.float32)
