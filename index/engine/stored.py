"""Rows of a built file: mapped into memory where they take little of it, else read one by one as they are asked for.

Mapped rows are the quickest, once they have been read. But what a process has touched of a mapped file counts as its
memory, and where memory is short each row that is missing brings its neighbours, which are not needed, and drives out
others. Rows that lie far apart are therefore read singly from files that are large beside the memory: all that are
missing at once, so that a disk is asked for many at a time.
"""

from __future__ import annotations

import os
import weakref
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.engine import kernel
from index.engine.mapping import gone, mapped
from index.errors import StorageError
from index.memory import usable_memory

MAPPED = 1 / 16
"""Share of the usable memory up to which a file's rows are mapped. Of a million rows of 128 dimensions that are in
memory, the 30 that a question needs take 2 µs mapped and 17 µs read."""


class StoredRows:
    """Rows of one file, of one type and width."""

    def __init__(self, path: Path, dtype: str, shape: tuple[int, int]) -> None:
        """Nothing is opened until rows are asked for."""
        self.path = path
        self.dtype = np.dtype(dtype)
        self.shape = shape

    @cached_property
    def everything(self) -> NDArray[Any]:
        """All rows, mapped, for whoever reads them one after another.

        Raises:
            StaleIndexError: The file is gone.
        """
        return mapped(self.path, self.dtype.str, self.shape)

    @cached_property
    def file(self) -> int:
        """The file's descriptor, where rows are read one by one; -1 where they are mapped.

        Raises:
            StaleIndexError: The file is gone.
        """
        if self.shape[0] * self.shape[1] * self.dtype.itemsize <= _most_mapped():
            return -1
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise gone(self.path, error) from None
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    def at(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Some rows, by number: int64, shape ``(n,)`` → the file's type, shape ``(n, width)``.

        Raises:
            StaleIndexError: The file is gone.
            StorageError: It cannot be read, or ends too early.
        """
        if self.file < 0:
            return self.everything[rows]
        found = np.empty((len(rows), self.shape[1]), self.dtype)
        try:
            kernel.gather(np.ascontiguousarray(rows, np.int64), found.view(np.uint8), self.file)
        except OSError as error:
            raise self.trouble(error) from error
        return found

    def trouble(self, error: OSError) -> StorageError:
        """What to raise where reading the file failed."""
        advice = "check the disk, then rebuild with: simkin index --rebuild"
        return StorageError(f"{self.path} cannot be read ({error.strerror}); {advice}")


@lru_cache(1)
def _most_mapped() -> float:
    return usable_memory() * MAPPED
