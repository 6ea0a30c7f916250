"""Places: where the items of a catalog stand in one relation's space, as they are now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.answering.duplicates import find_repeats, same_pairs
from index.answering.question import units_of_items, vectors_of
from index.engine.delta import Delta
from index.engine.head import Head
from index.engine.rows import LearnedSpace, Space
from index.errors import InputError, StaleIndexError
from index.items import Item
from index.reading import CatalogReader
from index.recommender import Recommender
from index.relations import Relation
from index.types import Vectors

BLOCK = 32_768
"""Rows read at once: memory stays flat however many items there are."""


@dataclass(frozen=True, slots=True)
class Places:
    """The space of one relation with what changed since its generation was built.

    Attributes:
        catalog: Whose items.
        relation: What is asked.
        space: Its rows, of which ``Vectors`` below are.
        facets: The rows of the same modality, facets side by side.
        delta: Changes beside ``space``.
        facets_delta: Changes beside ``facets``.
    """

    catalog: CatalogReader
    relation: Relation
    space: Space
    facets: Space
    delta: Delta
    facets_delta: Delta

    @property
    def head(self) -> Head | None:
        """The fitted maps of a learned relation; ``None`` for a plain one."""
        return self.space.head if isinstance(self.space, LearnedSpace) else None

    def vectors(self, keys: Sequence[int]) -> Vectors:
        """Rows of the space by database key. float32, ``(len(keys), dim)``."""
        return vectors_of(self.space, self.delta, list(keys))[0]

    def points(self, vectors: Vectors) -> NDArray[np.float32]:
        """Where items stand as answers, so that near means related.

        For a plain relation the facets times the square roots of their weights: the product of two points is
        their score. For a learned one xB of ``index.engine.head.Head``.

        Args:
            vectors: Rows of the space. float32, shape ``(n, dim)``.

        Returns:
            float32, shape ``(n, p)``, without the dimensions that the relation leaves out.
        """
        if self.head is not None:
            return vectors[:, : self.head.rank]
        weights = self.space.facet_weights(self.relation)
        compared = np.flatnonzero(weights)
        return vectors[:, compared] * np.sqrt(weights[compared])

    def apart(self, asked: Vectors, answers: Vectors) -> NDArray[np.float64]:
        """Squared distances from items asked about to items that answer.

        For a plain relation 2 − 2·score, which of unit vectors is the squared Euclidean distance; for a learned
        one ‖xᵢA + b − xⱼB‖² (``index.engine.head.Head``), which may differ by direction.

        Args:
            asked: Rows of the space. float32, shape ``(n, dim)``.
            answers: Likewise, shape ``(m, dim)``.

        Returns:
            float64, shape ``(n, m)``, none negative.
        """
        right = self.points(answers).astype(np.float64)
        if self.head is None:
            return np.maximum(2 - 2 * (self.points(asked).astype(np.float64) @ right.T), 0.0)
        left = self.head.asked(asked).astype(np.float64)
        lengths = np.einsum("ij,ij->i", left, left)[:, None] + np.einsum("ij,ij->i", right, right)
        squared: NDArray[np.float64] = np.maximum(lengths - 2 * (left @ right.T), 0.0)
        return squared

    def log_likelihoods(self, apart: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithms of link probabilities at squared distances, for a learned relation. Same shape."""
        assert self.head is not None
        return -np.logaddexp(0.0, apart - self.head.shift)

    def scores(self, apart: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores at squared distances: cosines, or link probabilities. Same shape."""
        return 1 - apart / 2 if self.head is None else np.exp(self.log_likelihoods(apart))

    def select(self, where: str = "") -> Selection:
        """All items that pass a filter (``index.filters``; empty for all) and stand somewhere.

        Raises:
            InputError: The filter is none.
            UnknownNameError: Nothing passes it, and it names an attribute that no item has.
        """
        kept = np.ones(self.space.record.count, bool)
        kept[self.delta.masked] = False
        beside = np.arange(len(self.delta.keys))
        if where:
            matching = self.catalog.matching(where)
            rows = self.space.rows_of(matching)
            passing = np.zeros(len(kept), bool)
            passing[rows[rows >= 0]] = True
            kept &= passing
            beside = beside[np.isin(self.delta.keys, matching)]
        return Selection(self, np.flatnonzero(kept), beside)

    def of_category(self, category: str | None) -> Selection:
        """All items of one category, or all that have none."""
        known = self.space.record.categories
        rows = np.zeros(0, np.int64)
        if category in known:
            code = known.index(category)
            rows = np.arange(self.space.offsets[code], self.space.offsets[code + 1])
        beside = np.flatnonzero(np.array([name == category for name in self.delta.categories], bool))
        return Selection(self, rows[~np.isin(rows, self.delta.masked)], beside)

    def repeats(self, keys: Sequence[int], named: int) -> NDArray[np.int64]:
        """For each item the place of the first before it whose near-duplicate it is: see ``find_repeats``.

        Args:
            keys: Database keys.
            named: The first so many repeat nothing.

        Returns:
            int64, shape ``(len(keys),)``; its own place for an item that repeats none.
        """
        listed = list(keys)
        facets = vectors_of(self.facets, self.facets_delta, listed)[0]
        return find_repeats(
            self.facets.projection,
            facets,
            named,
            lambda wanted: units_of_items(self.catalog, self.facets, self.facets_delta, [listed[at] for at in wanted]),
        )

    def same(self, keys: Sequence[int]) -> NDArray[np.bool_]:
        """Which items are near-duplicates of which, by database key: see ``same_pairs``. bool, ``(n, n)``."""
        listed = list(keys)
        return same_pairs(
            self.facets.projection,
            vectors_of(self.facets, self.facets_delta, listed)[0],
            lambda wanted: units_of_items(self.catalog, self.facets, self.facets_delta, [listed[at] for at in wanted]),
        )

    def ids(self, keys: Sequence[int]) -> list[str]:
        """Ids of items by database key, in order.

        Raises:
            StaleIndexError: One was removed a moment ago.
        """
        found = self.catalog.ids_of(keys)
        if not found.keys() >= set(keys):
            raise StaleIndexError("an item was removed from the catalog while it was asked about; ask again")
        return [found[key] for key in keys]

    def items(self, keys: Sequence[int]) -> tuple[Item, ...]:
        """Items by database key, in order, without those removed a moment ago."""
        found = self.catalog.items(list(keys))
        return tuple(found[key] for key in keys if key in found)


@dataclass(frozen=True, slots=True)
class Selection:
    """Some items of a space: rows of its generation, then places in its delta. int64, each ascending."""

    places: Places
    rows: NDArray[np.int64]
    beside: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows) + len(self.beside)

    def take(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], Vectors]:
        """Database keys and rows of the items at some positions of this selection.

        Args:
            positions: int64, shape ``(m,)``, ascending, below ``len(self)``.

        Returns:
            int64 ``(m,)`` and float32 ``(m, dim)``.
        """
        space, delta = self.places.space, self.places.delta
        rows = self.rows[positions[positions < len(self.rows)]]
        beside = self.beside[positions[positions >= len(self.rows)] - len(self.rows)]
        keys = np.concatenate([space.keys[rows], delta.keys[beside]])
        return keys, np.concatenate([space.vectors[rows], delta.vectors[beside]])

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        """All items, ``BLOCK`` at a time, as ``take`` gives them; read pages are handed back to the system."""
        for start in range(0, len(self), BLOCK):
            yield self.take(np.arange(start, min(start + BLOCK, len(self))))
            self.places.space.release()


def places_of(recommender: Recommender, relation: str, keys: Sequence[int] = (), modality: str = "") -> Places:
    """Find the space in which a relation compares items.

    Args:
        recommender: Of an opened catalog.
        relation: Its name.
        keys: Database keys of items that must all stand in it.
        modality: ``"image"`` or ``"audio"``; empty where the relation or the items leave no choice. A space without
            items is none.

    Raises:
        UnknownNameError: No relation has this name.
        InputError: No space has all of the items, or none has the relation's facets, or several do.
        NotBuiltError, StaleIndexError: See ``Recommender.generation``.
    """
    asked = recommender.catalog.relation(relation)
    generation = recommender.generation
    if asked.head and relation not in generation.learned:
        raise StaleIndexError(f"relation {relation!r} was learned a moment ago and is being built; ask again soon")
    spaces = [generation.learned[relation]] if asked.head else list(generation.spaces.values())
    found: list[Places] = []
    lacking: int | None = None
    for space in spaces:
        if not space.compares(asked) or modality not in ("", space.modality):
            continue
        facets = next(one for one in generation.spaces.values() if one.modality == space.modality)
        delta, beside = recommender.delta(space), recommender.delta(facets)
        places = Places(recommender.catalog, asked, space, facets, delta, beside)
        present = vectors_of(space, delta, list(keys))[1]
        if not present.all():
            lacking = keys[int(np.argmin(present))]
        elif len(places.select()):
            found.append(places)
    if len(found) > 1:
        names = " and ".join(places.space.modality for places in found)
        raise InputError(f"relation {relation!r} is asked of {names} items, each by themselves; say which modality")
    if found:
        return found[0]
    if lacking is not None:
        item = recommender.catalog.items([lacking])[lacking]
        raise InputError(
            f"relation {relation!r} cannot compare these items together: {item.item_id!r} has nothing that it "
            f"compares in the others; name items of one kind, {' or '.join(asked.modalities)}"
        )
    kind = modality or " or ".join(asked.modalities)
    raise InputError(f"no {kind} item of this catalog has what relation {relation!r} compares; see: simkin relations")


def named_keys(recommender: Recommender, names: Sequence[str | Path]) -> list[int]:
    """Database keys of items by id, or by the path of a file of theirs, in order.

    Raises:
        UnknownNameError: A name is neither an id nor a file.
        InputError: A file belongs to no item, or an item is named twice.
    """
    ids: list[str] = []
    for name in names:
        resolved = recommender.resolve(str(name))
        if isinstance(resolved, Path):
            raise InputError(f"{resolved} belongs to no item of the catalog; index it first, or name an item")
        if resolved in ids:
            raise InputError(f"item {resolved!r} is named twice; name each item once")
        ids.append(resolved)
    return recommender.catalog.keys_of(ids)
