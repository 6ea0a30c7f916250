"""Coarse copies: reduced rows in 8-bit numbers, which propose: a quarter of the memory is read for a question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.types import Vectors

LARGEST = 127

ABREAST = 8
"""Points whose products with a question are summed side by side, two dimensions at a time, as ``kernel.c`` does: adding
up the products of one point among themselves takes longer than making them."""


@dataclass(frozen=True, slots=True)
class Coarse:
    """A reduced copy, dimension by dimension in steps of its own.

    Attributes:
        scales: What one step is worth in each dimension: float32, shape ``(d,)``. A question is multiplied by them, so
            that its products with steps are those with numbers.
        centres: Of cells, in steps, as ``abreast`` lays them: int8.
        rows: In steps, in the order of places, laid the same way: int8.
        biases: What is added to each row's product: -‖x‖²/2 where distances count, so that who scores highest lies
            closest; else ``None``. float32, shape ``(n,)``.
    """

    scales: NDArray[np.float32]
    centres: NDArray[np.int8]
    rows: NDArray[np.int8]
    biases: NDArray[np.float32] | None


def scales_of(largest: NDArray[np.float32]) -> NDArray[np.float32]:
    """What one step is worth, by the largest magnitude in each dimension: float32, shape ``(d,)`` each."""
    return np.asarray(np.where(largest > 0, largest, 1) / LARGEST, np.float32)


def in_steps(rows: Vectors, scales: NDArray[np.float32]) -> NDArray[np.int8]:
    """Rows in steps: float32, shape ``(n, d)`` → int8, the nearest, none beyond ±127."""
    return np.asarray(np.clip(np.rint(rows / scales), -LARGEST, LARGEST), np.int8)


def laid_shape(count: int, dim: int) -> tuple[int, int, int, int]:
    """Of so many points of so many dimensions, as ``abreast`` lays them."""
    return -(-count // ABREAST), -(-dim // 2), ABREAST, 2


def abreast(steps: NDArray[np.int8]) -> NDArray[np.int8]:
    """Points ``ABREAST``, two dimensions after two, as the innermost loop reads them.

    Args:
        steps: int8, shape ``(n, d)``.

    Returns:
        int8, shape ``(⌈n / ABREAST⌉, ⌈d / 2⌉, ABREAST, 2)``, zero where points or a dimension are missing at the end.
    """
    count, dim = steps.shape
    blocks, pairs, many, two = laid_shape(count, dim)
    filled = np.zeros((blocks * many, pairs * two), np.int8)
    filled[:count, :dim] = steps
    return np.ascontiguousarray(filled.reshape(blocks, many, pairs, two).transpose(0, 2, 1, 3))
