"""Annoy trees over rows: the only module that imports annoy, opened only behind a manifest.

An Annoy file has no header: opened under a wrong dimension or metric it answers nonsense without
complaint. Callers check the generation's manifest first; here dimension, metric and count are always
those of the manifest, and rows are always 0 … n - 1 without holes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.errors import StaleIndexError, StorageError
from index.types import Vector, Vectors

Metric: TypeAlias = Literal["angular", "euclidean"]
"""What nearness means to the trees: the angle between rows, or the distance between their ends."""

SEED = 1
BLOCK = 4096
"""Rows turned into lists at once: memory stays flat."""


class Trees:
    """An open Annoy file over rows 0 … count - 1."""

    def __init__(self, path: Path, dim: int, count: int, metric: Metric) -> None:
        """Memory-map a file that the manifest vouches for.

        Raises:
            StaleIndexError: Annoy cannot load it, or it holds another number of rows.
        """
        from annoy import AnnoyIndex

        self._annoy = AnnoyIndex(dim, metric)
        try:
            self._annoy.load(str(path))
        except OSError as error:
            raise StaleIndexError(f"{path} cannot be opened ({error}); rebuild with: simkin index --rebuild") from None
        if self._annoy.get_n_items() != count:
            raise StaleIndexError(
                f"{path} holds {self._annoy.get_n_items()} rows, the manifest says {count}; "
                "rebuild with: simkin index --rebuild"
            )

    def candidates(self, vector: Vector, count: int, search_k: int) -> NDArray[np.int64]:
        """Rows near a vector, nearest first as Annoy sees it.

        Args:
            vector: float32, shape ``(dim,)``.
            count: Return at most so many.
            search_k: Nodes to inspect; more finds more.

        Returns:
            int64, shape ``(at most count,)``.
        """
        return np.asarray(self._annoy.get_nns_by_vector(vector.tolist(), count, search_k), np.int64)


def build_trees(path: Path, rows: Vectors, trees: int, metric: Metric) -> None:
    """Build and save an Annoy file.

    Args:
        rows: float32, shape ``(n, dim)``.
        trees: How many; more finds more and takes more room.

    Raises:
        StorageError: The file cannot be written.
    """
    from annoy import AnnoyIndex

    annoy = AnnoyIndex(rows.shape[1], metric)
    annoy.set_seed(SEED)
    for start in range(0, len(rows), BLOCK):
        for row, vector in enumerate(rows[start : start + BLOCK].tolist(), start):
            annoy.add_item(row, vector)
    annoy.build(trees)
    try:
        annoy.save(str(path))
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}; free some space, then run again") from None
