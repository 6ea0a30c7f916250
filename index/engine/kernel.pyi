"""The innermost loops of a question, compiled from ``kernel.c``.

Arrays are C-contiguous and of the kind named; anything else is a TypeError, shapes that do not fit a ValueError, and
numbers that point outside of an array, as in damaged files, an IndexError. Nothing else is read or written.
"""

import numpy as np
from numpy.typing import NDArray

def nearest(
    point: NDArray[np.float32],
    centres: NDArray[np.int8],
    biases: NDArray[np.float32],
    ranges: NDArray[np.int64],
    middles: NDArray[np.int8] | None,
    middle_biases: NDArray[np.float32] | None,
    groups: NDArray[np.int64] | None,
    cells: NDArray[np.int64],
    most: int,
    /,
) -> int:
    """Find the cells of some ranges whose centres lie closest to a point: p·x - ‖x‖²/2 is greatest there.

    Args:
        point: float32, shape ``(d,)``.
        centres: As ``index.engine.coarse.abreast`` lays them: int8.
        biases: -‖x‖²/2 of each: float32, shape ``(n,)``.
        ranges: First cell and one past the last of each range, no two of which overlap: int64, shape ``(m, 2)``.
        middles: Of groups of cells, laid likewise: int8; ``None`` where all cells are looked at.
        middle_biases: -‖x‖²/2 of each of them: float32, shape ``(g,)``; ``None`` likewise.
        groups: First cell of each group, then the number of cells, ascending: int64, shape ``(g + 1,)``; ``None``
            likewise.
        cells: The nearest are written here, the closest first: int64, as many as are wanted.
        most: Number of groups that are looked at, those with the nearest middles, where more begin in the ranges; 0
            for all cells.

    Returns:
        How many were written.
    """

def look(
    point: NDArray[np.float32],
    weighted: NDArray[np.float32],
    cells: NDArray[np.int64],
    starts: NDArray[np.int64],
    reduced: NDArray[np.int8],
    biases: NDArray[np.float32] | None,
    layout: NDArray[np.int32],
    vectors: NDArray[np.float32] | None,
    passing: NDArray[np.bool_] | None,
    excluded: NDArray[np.int64],
    rows: NDArray[np.int64],
    scores: NDArray[np.float32],
    candidates: int,
    file: int,
    /,
) -> int:
    """Find the closest rows in some cells: the reduced copy proposes, products of whole rows decide.

    Args:
        point: What the reduced copy is multiplied by: float32, shape ``(w,)``.
        weighted: What rows are multiplied by: float32, shape ``(d,)``.
        cells: Cells to look into, each at most once: int64.
        starts: First place of each cell, then the number of places: int64, shape ``(cells + 1,)``.
        reduced: Rows in the order of places, as ``index.engine.coarse.abreast`` lays them: int8.
        biases: Added to their products with the point: float32, shape ``(n,)``; ``None`` for nothing.
        layout: Which row lies at each place: int32, shape ``(n,)``.
        vectors: Rows: float32, shape ``(n, d)``; ``None`` where they are in a file.
        passing: Which places may answer: bool, shape ``(n,)``; ``None`` for all.
        excluded: Rows that may not answer, few of them: int64.
        rows: The closest are written here, best first, ties in row order: int64, as many as are wanted.
        scores: And their products: float32, as many.
        candidates: How many places are proposed, at least 1.
        file: Descriptor of the file that holds the rows one after another; -1 where they are in memory.

    Returns:
        How many were written.

    Raises:
        OSError: The file cannot be read, or ends too early.
    """

def gather(rows: NDArray[np.int64], found: NDArray[np.uint8], file: int, /) -> None:
    """Read some rows of a file: all that are not in memory are asked of the disk at once, and other threads run
    meanwhile.

    Args:
        rows: int64, shape ``(n,)``.
        found: Their bytes are written here: uint8, shape ``(n, bytes of a row)``.
        file: Its descriptor.

    Raises:
        OSError: The file cannot be read, or ends too early.
    """

def alike(
    rows: NDArray[np.float32],
    bounds: NDArray[np.int64],
    least: NDArray[np.float32],
    found: NDArray[np.bool_],
    first: int,
    /,
) -> int:
    """Find the pairs of rows whose product reaches a number in every part of them.

    Args:
        rows: float32, shape ``(n, d)``.
        bounds: Where parts begin, then where the last one ends, ascending: int64, shape ``(parts + 1,)``.
        least: The number that each part's product has to reach: float32, shape ``(parts,)``.
        found: Set to true for each pair, where its later row stands in the columns: bool, shape ``(n, n)``.
        first: Of two rows, the later is this one or one after it.

    Returns:
        How many pairs there are.
    """

def agreed(
    rows: NDArray[np.float16],
    bounds: NDArray[np.int64],
    least: NDArray[np.float32],
    pairs: NDArray[np.bool_],
    /,
) -> None:
    """Of some pairs of rows, keep those whose cosine reaches a number in every part of them.

    Args:
        rows: float16, finite, shape ``(n, d)``; what is zero in a part has no cosine above 0 there.
        bounds, least: See ``alike``.
        pairs: Which are looked at; set to false for those that do not: bool, shape ``(n, n)``.
    """

def texts(bytes: NDArray[np.uint8], ends: NDArray[np.int64], numbers: NDArray[np.int64], /) -> list[str]:
    """Some of many texts that lie one after another.

    Args:
        bytes: All of them, as UTF-8: uint8.
        ends: Where each one ends, after a 0 for where the first begins: int64, shape ``(texts + 1,)``.
        numbers: Which are wanted: int64.

    Raises:
        UnicodeDecodeError: One of them is no UTF-8.
    """
