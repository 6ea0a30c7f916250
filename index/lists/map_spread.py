"""Spreading things over a map: which items stand for a region, and cells in which pictures lie without overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEVELS = 11
"""Grids of 1, 4, 16, … cells from which items are taken: the finest has 1,024 by 1,024."""


def spread_order(at: NDArray[np.float32], count: int, first: Sequence[int] = ()) -> NDArray[np.int64]:
    """Items in such an order that any beginning of it is spread over the whole map.

    For grids of ever finer cells, the item nearest to the middle of each cell that holds none yet, from the fullest
    cell to the emptiest.

    Args:
        at: Places within 0 to 1. float32, ``(n, 2)``.
        count: Items wanted; fewer are returned where the finest cells have no more.
        first: Items that come first.

    Returns:
        int64, at most ``count``, no item twice.
    """
    chosen = list(dict.fromkeys(first))[:count]
    for level in range(LEVELS):
        if len(chosen) >= count:
            break
        across = 1 << level
        cells = np.minimum((at * across).astype(np.int64), across - 1)
        codes = cells[:, 0] * across + cells[:, 1]
        off = np.square((at * across) - cells - 0.5).sum(axis=1)
        sizes = np.bincount(codes, minlength=across * across)
        taken = np.zeros(across * across, bool)
        taken[codes[chosen]] = True
        free = np.flatnonzero(~taken[codes])
        order = free[np.lexsort((free, off[free], codes[free], -sizes[codes[free]]))]
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        chosen += order[starts][: count - len(chosen)].tolist()
    return np.asarray(chosen, np.int64)


def without_overlap(at: NDArray[np.float32], across: int, reach: float) -> NDArray[np.int64]:
    """Give each item a cell of a grid to itself, the nearest that is free, in the order of the items.

    Args:
        at: Places within 0 to 1, most important first. float32, ``(n, 2)``.
        across: Cells on each side.
        reach: Cells that an item may be moved at most; it goes without where none is free so near.

    Returns:
        Column and row of each item, -1 and -1 for one without. int64, ``(n, 2)``.
    """
    wide = int(reach)
    offsets = [(x, y) for x in range(-wide, wide + 1) for y in range(-wide, wide + 1)]
    steps = np.asarray(offsets, np.float64)
    taken = np.zeros((across, across), bool)
    found = np.full((len(at), 2), -1, np.int64)
    for row, place in enumerate(at.astype(np.float64) * across):
        home = np.minimum(place.astype(np.int64), across - 1)
        cells = home + steps
        apart = np.square(cells + 0.5 - place).sum(axis=1)
        inside = ((cells >= 0) & (cells < across)).all(axis=1) & (apart <= (reach + 0.5) ** 2)
        cells, apart = cells[inside].astype(np.int64), apart[inside]
        free = ~taken[cells[:, 0], cells[:, 1]]
        if free.any():
            cell = cells[free][np.argmin(apart[free])]
            taken[cell[0], cell[1]] = True
            found[row] = cell
    return found
