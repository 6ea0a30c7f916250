"""Ids of rows as a generation keeps them, so that answers need not ask the database what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.engine import kernel
from index.engine.mapping import mapped

IDS, ENDS = "ids.utf8", "ids.i64"

AT_ONCE = 65_536
"""Ids written at once."""


class Ids:
    """Ids of rows 0 … count - 1: their bytes one after another, and where each one ends."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Where each one ends, after a 0 for where the first begins. int64, shape ``(count + 1,)``."""
        return mapped(self.folder / ENDS, "<i8", (self.count + 1,))

    @cached_property
    def _bytes(self) -> NDArray[np.uint8]:
        return mapped(self.folder / IDS, "u1", (int(self._ends[-1]),))

    def of(self, rows: NDArray[np.int64]) -> list[str]:
        """The ids of rows, in their order.

        Args:
            rows: int64, shape ``(n,)``.

        Raises:
            StaleIndexError: The files are gone.
        """
        return kernel.texts(self._bytes, self._ends, rows)


def write_ids(folder: Path, ids: Iterable[str]) -> None:
    """Write ids in the order of rows, as they come."""
    end = 0
    with (folder / IDS).open("wb") as content, (folder / ENDS).open("wb") as ends:
        ends.write(bytes(8))
        for some in _lists(ids):
            encoded = [one.encode() for one in some]
            content.write(b"".join(encoded))
            stops = end + np.cumsum([len(one) for one in encoded], dtype="<i8")
            ends.write(stops.tobytes())
            end = int(stops[-1])


def _lists(ids: Iterable[str]) -> Iterator[list[str]]:
    some: list[str] = []
    for one in ids:
        some.append(one)
        if len(some) == AT_ONCE:
            yield some
            some = []
    if some:
        yield some
