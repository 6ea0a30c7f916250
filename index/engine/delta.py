"""The delta: items changed since the generation was built, searched exactly beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.catalog import Catalog
from index.engine.build import raw_vectors
from index.engine.rows import LearnedSpace, Space
from index.learned import rows_of_items
from index.relations import CandidateRule
from index.types import Vector, Vectors


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed since a generation was built, in one modality.

    Attributes:
        keys: Database keys of items added or changed. int64, shape ``(n,)``, ascending.
        categories: Their categories as they are now.
        vectors: As rows of the space. float32, shape ``(n, dim)``.
        masked: Rows of the generation that are outdated or removed. int64, ascending.
    """

    keys: NDArray[np.int64]
    categories: NDArray[np.object_]
    vectors: Vectors
    masked: NDArray[np.int64]

    def locate(self, keys: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where items stand now.

        Args:
            keys: Database keys.
            rows: Their rows of the generation, -1 where it has none. Same shape.

        Returns:
            Places among ``keys`` of this delta, -1 for items that did not change; and the rows, -1 where they are
            outdated. int64, same shape.
        """
        if not len(self.keys) and not len(self.masked):
            return np.full(len(keys), -1, np.int64), rows
        places = _places(self.keys, keys)
        return places, np.where((places >= 0) | (_places(self.masked, rows) >= 0), -1, rows)

    def search(
        self,
        weighted: Vector,
        rule: CandidateRule,
        categories: frozenset[str | None] | None,
        matching: NDArray[np.int64] | None,
        own: Sequence[int],
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], Vectors]:
        """Score every item that may answer.

        Args:
            weighted: The question, as ``Space.question`` makes it. float32, shape ``(dim,)``.
            rule: What ``categories`` means: the only ones that may answer, or the only ones that may not.
            categories: ``None`` allows all.
            matching: Keys that pass the filter, ascending; ``None`` allows all.
            own: Keys of the query's own items, never answers.

        Returns:
            Keys (int64), products with the question (float32) and vectors (float32, ``(m, dim)``), in key order.
        """
        may = ~np.isin(self.keys, np.asarray(own, np.int64))
        if categories is not None:
            inside = np.array([name in categories for name in self.categories], bool)
            may &= inside if rule == "same category" else ~inside
        if matching is not None:
            place = np.searchsorted(matching, self.keys)
            may &= place < np.searchsorted(matching, self.keys, side="right")
        vectors = self.vectors[may]
        return self.keys[may], vectors @ weighted, vectors


def _places(among: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where numbers stand in an ascending list, -1 for those that do not. int64, shape of ``wanted``."""
    if not len(among):
        return np.full(len(wanted), -1, np.int64)
    places = np.minimum(np.searchsorted(among, wanted), len(among) - 1)
    return np.where(among[places] == wanted, places, -1)


def read_delta(catalog: Catalog, sequence: int, space: Space) -> Delta:
    """Read what changed after a generation's sequence number."""
    connection = catalog.connection
    # the plus keeps SQLite from reading all items in the order of their keys
    changed = connection.execute(
        "SELECT item, category FROM items WHERE changed > ? ORDER BY +item", (sequence,)
    ).fetchall()
    removed = connection.execute("SELECT item FROM removed WHERE changed > ?", (sequence,)).fetchall()
    rows = space.rows_of(np.asarray([key for key, *_ in (*changed, *removed)], np.int64))
    keys = [key for key, _ in changed]
    held = catalog.encoders()
    raw = raw_vectors(catalog, keys, [held[name] for name in space.record.encoders])
    present = raw.any(axis=1)
    own = np.asarray(keys, np.int64)[present]
    if isinstance(space, LearnedSpace):
        vectors = rows_of_items(catalog, space.record.learned, space.head, own.tolist(), raw[present])
    else:
        vectors = space.project(raw[present])
    return Delta(
        own,
        np.asarray([category for _, category in changed], object)[present],
        vectors,
        np.sort(rows[rows >= 0]),
    )
