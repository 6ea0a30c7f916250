"""Items that stand in a learned relation where their own behaviour puts them, for every host."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from index.engine.head import Head
from index.engine.ids import ENDS, Ids, write_ids
from index.engine.mapping import mapped
from index.types import Vectors

PLACES = "places.f32"


class Known:
    """Places on a head's sphere by item, kept in a folder."""

    def __init__(self, folder: Path, head: Head) -> None:
        self._folder = folder
        self._head = head

    @staticmethod
    def keep(folder: Path, ids: Sequence[str], places: Vectors) -> None:
        """Write them down: ids, and float32, shape ``(m, K)``."""
        write_ids(folder, ids)
        (folder / PLACES).write_bytes(places.astype("<f4").tobytes())

    @cached_property
    def _row_of(self) -> dict[str, int]:
        count = (self._folder / ENDS).stat().st_size // 8 - 1
        return {name: at for at, name in enumerate(Ids(self._folder, count).of(np.arange(count)))}

    @cached_property
    def _places(self) -> Vectors:
        return mapped(self._folder / PLACES, "<f4", (len(self._row_of), self._head.rank))

    def put(self, names: Sequence[str], rows: Vectors) -> None:
        """Replace the rows of known items among these, projected from content, in place.

        Args:
            rows: float32, shape ``(n, width)``, in the order of names.
        """
        found = [(at, self._row_of[name]) for at, name in enumerate(names) if name in self._row_of]
        if found:
            at, known = np.asarray(found).T
            rows[at] = self._head.rows_at(self._places[known])
