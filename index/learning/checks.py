"""What every fit asks of its input: rows that differ, pairs that name them, finite numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.errors import InputError
from index.types import Vectors


def checked_rows(rows: ArrayLike, *, what: str = "rows") -> Vectors:
    """Item vectors as float32, shape ``(n, d)``, contiguous; not copied where they already are.

    Raises:
        InputError: Not two-dimensional, fewer than two rows, no columns, a number that is not finite,
            or every row the same.
    """
    given = np.asarray(rows)
    if given.ndim != 2 or given.shape[1] == 0:
        raise InputError(f"expected {what} of shape (items, dimensions), found {given.shape}")
    if len(given) < 2:
        raise InputError(f"expected at least two {what} to learn from, found {len(given)}; index more items")
    checked: Vectors = np.ascontiguousarray(given, dtype=np.float32)
    finite = np.isfinite(checked.sum(axis=1, dtype=np.float64))
    if not finite.all():
        raise InputError(
            f"expected finite numbers in {what}, found others in row {int(np.argmin(finite))} "
            f"({int((~finite).sum())} rows in all); leave those items out"
        )
    if not np.any(checked != checked[0]):
        raise InputError(f"expected {what} that differ, found {len(checked)} that are all the same; nothing to learn")
    return checked


def checked_pairs(pairs: ArrayLike, count: int, *, what: str = "pairs") -> NDArray[np.int64]:
    """Pairs of row numbers as int64, shape ``(m, 2)``, source before target.

    Args:
        pairs: Whole numbers from 0 to ``count - 1``.
        count: How many rows there are.
        what: What the pairs are called in messages.

    Raises:
        InputError: Wrong shape or type, no pair at all, a row that does not exist, or an item paired with itself.
    """
    given = np.asarray(pairs)
    if given.size == 0:
        raise InputError(f"expected {what} to learn from, found none; check that the edges name indexed items")
    if given.ndim != 2 or given.shape[1] != 2 or given.dtype.kind not in "iu":
        raise InputError(f"expected {what} as whole numbers of shape (m, 2), found {given.dtype} {given.shape}")
    checked: NDArray[np.int64] = given.astype(np.int64, copy=False)
    low, high = int(checked.min()), int(checked.max())
    if low < 0 or high >= count:
        raise InputError(f"expected row numbers from 0 to {count - 1} in {what}, found {low if low < 0 else high}")
    loops = int((checked[:, 0] == checked[:, 1]).sum())
    if loops:
        raise InputError(f"expected {what} of two different items, found {loops} of an item with itself; drop them")
    return checked


def checked_weights(weights: ArrayLike | None, count: int) -> NDArray[np.float32]:
    """Weights as float32, shape ``(count,)``; all 1 when none are given.

    Raises:
        InputError: Wrong length, a weight that is negative or not finite, or all of them zero.
    """
    if weights is None:
        return np.ones(count, np.float32)
    checked = np.asarray(weights, np.float32)
    if checked.shape != (count,):
        raise InputError(f"expected {count} weights, one for each pair, found shape {checked.shape}")
    if not np.isfinite(checked).all() or (checked < 0).any() or not checked.any():
        raise InputError("expected weights that are finite, not negative and not all zero; correct the weights")
    return checked


def checked_categories(categories: ArrayLike | None, count: int) -> NDArray[np.int64] | None:
    """Category numbers as int64, shape ``(count,)``, or ``None``.

    Raises:
        InputError: Not one whole number for each row.
    """
    if categories is None:
        return None
    given = np.asarray(categories)
    if given.shape != (count,) or given.dtype.kind not in "iu":
        raise InputError(f"expected {count} category numbers, one for each row, found {given.dtype} {given.shape}")
    return given.astype(np.int64, copy=False)
