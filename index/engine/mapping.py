"""Built files as arrays: mapped into memory, read as they are touched, handed back when asked."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import StaleIndexError


def mapped(path: Path, dtype: str, shape: tuple[int, ...] | None) -> NDArray[Any]:
    """Numbers of a built file, mapped into memory; without a shape as many as it has.

    Raises:
        StaleIndexError: It is gone.
    """
    if shape is not None and 0 in shape:
        return np.zeros(shape, dtype)
    try:
        return np.asarray(np.memmap(path, dtype, "r", shape=shape))  # plain arrays are quicker to slice
    except (OSError, ValueError) as error:  # deleted since the manifest was read
        raise gone(path, error) from None


def gone(path: Path, error: Exception) -> StaleIndexError:
    """What to raise where a built file cannot be opened."""
    return StaleIndexError(f"{path} cannot be opened ({error}); rebuild with: simkin index --rebuild")


def release(mapped: NDArray[Any]) -> None:
    """Hand mapped pages back to the system."""
    base: Any = mapped
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if base is not None and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)  # clean pages of a file: read again when touched again
