"""The columns of candidates: for each relation of a space one linear map, from rows and from whoever is asked about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.engine.build import fit_reducer
from index.engine.rows import LearnedSpace, Space
from index.relations import Relation
from index.types import Vector, Vectors


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """What a relation's column of candidates holds.

    Attributes:
        column: Its name.
        of_rows: From rows to the column, float32, shape ``(dim, reduced)``.
        of_asked: From whoever is asked about to what is compared with it, likewise.
        learned: Whether near means a short Euclidean distance, not a large inner product.
    """

    column: str
    of_rows: NDArray[np.float32]
    of_asked: NDArray[np.float32]
    learned: bool

    @property
    def operator(self) -> str:
        """pgvector's operator that is smallest for the closest."""
        return "<->" if self.learned else "<#>"

    @property
    def operators(self) -> str:
        """pgvector's operator class for the index."""
        return "vector_l2_ops" if self.learned else "vector_ip_ops"

    @property
    def dim(self) -> int:
        """Numbers in the column."""
        return int(self.of_rows.shape[1])

    def column_of(self, rows: Vectors) -> Vectors:
        """The column of rows: float32, ``(n, dim)`` → ``(n, reduced)``."""
        return np.ascontiguousarray(rows @ self.of_rows, np.float32)

    def asked(self, row: Vector) -> Vector:
        """What the column is compared with: float32, ``(dim,)`` → ``(reduced,)``."""
        return np.asarray(row @ self.of_asked, np.float32)

    def to_bytes(self) -> bytes:
        """Both matrices, little-endian float32."""
        return self.of_rows.astype("<f4").tobytes() + self.of_asked.astype("<f4").tobytes()

    @classmethod
    def of_bytes(cls, column: str, content: bytes, dim: int, learned: bool) -> ColumnMap:
        """What ``to_bytes`` gave, for rows of ``dim`` numbers."""
        both = np.frombuffer(content, "<f4").reshape(2, dim, -1)
        return cls(column, both[0], both[1], learned)


def fit_column(space: Space, relation: Relation, column: str) -> ColumnMap:
    """Fit the map of one relation on rows of a generation; a learned relation has its own."""
    if isinstance(space, LearnedSpace):
        return ColumnMap(column, *space.reducers(relation), learned=True)
    roots = np.sqrt(space.facet_weights(relation))
    weighted = roots[:, None] * fit_reducer(space.vectors, roots)
    return ColumnMap(column, weighted, weighted, learned=False)
