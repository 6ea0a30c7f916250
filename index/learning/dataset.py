"""What a catalog holds, as the arrays that learning and judging work on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.catalog import Catalog
from index.engine.build import build_if_needed, cards
from index.engine.generations import open_generation
from index.engine.projection import Projection
from index.engine.rows import Space
from index.errors import InputError, UnknownNameError
from index.learning.edges import EdgeArrays
from index.learning.resolve import renumber
from index.learning.splits import Pairs, find_groups
from index.types import Modality, Vectors

SAME = 0.9
"""Mean cosine of the facets, as compared in the catalog, from which two items count as the same photo or recording
when edges are split: lower than what collapses answers, for a leak is worse here than a lost edge."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Items of one modality as rows 0 … n − 1, and the edges between them.

    Attributes:
        modality: Pictures or sounds.
        encoders: Whose vectors the facets are of, in order.
        projection: From those vectors to ``rows``.
        keys: Database keys of the rows. int64, shape ``(n,)``.
        rows: Facets side by side, each of unit length. float32, shape ``(n, d)``.
        categories: Category codes, -1 for none. int64, shape ``(n,)``.
        groups: Near-duplicates among items with edges share a number; others have one of their own. int64, ``(n,)``.
        edges: Between rows.
        lost: Edges whose items have no vectors of this modality.
    """

    modality: Modality
    encoders: tuple[str, ...]
    projection: Projection
    keys: NDArray[np.int64]
    rows: Vectors
    categories: NDArray[np.int64]
    groups: NDArray[np.int64]
    edges: EdgeArrays
    lost: int

    @property
    def crossing(self) -> float:
        """Share of the edges between categories, of those whose items both have one; 0 without any."""
        own = self.categories[self.edges.pairs]
        known = (own >= 0).all(axis=1)
        return float((own[known, 0] != own[known, 1]).mean()) if known.any() else 0.0


def dataset_of(catalog: Catalog, edges: EdgeArrays) -> Dataset:
    """Read the items of the modality that most of the edges join.

    The caller holds the writer's lock: a generation is built where the catalog's is behind.

    Args:
        edges: Between database keys.

    Raises:
        InputError: No edge joins two items that have vectors of one modality.
    """
    build_if_needed(catalog)
    generation = open_generation(catalog.folder, cards(catalog), catalog.relations())
    found = [(space, renumber(edges, space.keys)) for space in generation.spaces.values()]
    space, own = max(found, key=lambda one: len(one[1].pairs))
    if not len(own.pairs):
        raise InputError(
            "no edge joins two items that both are pictures, or both are sounds, with vectors; index their files first"
        )
    return Dataset(
        modality=space.modality,
        encoders=space.record.encoders,
        projection=space.projection,
        keys=np.array(space.keys),
        rows=np.array(space.vectors),
        categories=categories_of(space),
        groups=_groups(space.vectors, own.pairs),
        edges=own,
        lost=len(edges.pairs) - len(own.pairs),
    )


def categories_of(space: Space) -> NDArray[np.int64]:
    """Category codes of all rows, -1 for none. int64, shape ``(n,)``."""
    codes = space.categories_of(np.arange(space.record.count))
    without = np.array([name is None for name in space.record.categories], bool)
    return np.where(without[codes], -1, codes)


def labels_of(catalog: Catalog, keys: NDArray[np.int64], attribute: str) -> NDArray[np.int64]:
    """The value of an attribute as a number, -1 where an item has none. int64, shape ``(n,)``.

    Args:
        keys: Database keys of items, int64, shape ``(n,)``.

    Raises:
        InputError: It is no name of an attribute.
        UnknownNameError: No item has it.
    """
    path = f'$."{attribute}"'
    if '"' in attribute:
        raise InputError(f"{attribute!r} is no name of an attribute")
    found = dict(
        catalog.connection.execute(
            "SELECT item, CAST(json_extract(attributes, ?1) AS TEXT) FROM items WHERE json_extract(attributes, ?1) "
            "IS NOT NULL",
            (path,),
        )
    )
    if not found:
        names = catalog.connection.execute("SELECT DISTINCT key FROM items, json_each(items.attributes)")
        raise UnknownNameError.of("attribute", attribute, (name for (name,) in names))
    codes: dict[str, int] = {}
    return np.array([codes.setdefault(found[k], len(codes)) if k in found else -1 for k in keys.tolist()], np.int64)


def _groups(rows: Vectors, pairs: Pairs) -> NDArray[np.int64]:
    groups = np.arange(len(rows)) + len(rows)
    linked = np.unique(pairs)
    groups[linked] = find_groups(rows[linked], SAME)
    return groups
