"""Kin: which pictures of a catalog show the same, by a label, by edges, or by being photos of one item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.catalog import Catalog, absolute
from index.errors import InputError
from index.learning.dataset import labels_of
from index.learning.edges import EdgeArrays
from index.learning.resolve import renumber

KinKind: TypeAlias = Literal["items", "label", "edges"]
"""What makes pictures kin: they are of one item; their items share a label; their items are linked."""


@dataclass(frozen=True, slots=True)
class Kin:
    """Pictures, numbered, and which of them show the same.

    Attributes:
        kind: What makes them kin.
        paths: The pictures' files.
        items: Database key of each picture's item. int64, shape ``(n,)``.
        classes: From 0. Pictures of one class show the same; with edges, a class is an item. int64, shape ``(n,)``.
        categories: Codes of the items' categories, -1 for none. int64, shape ``(n,)``.
        duplicates: Near-duplicates share a number: the items' groups, as the catalog sees them. int64, ``(n,)``.
        linked: With edges, which classes are linked, both ways: a SciPy sparse array of bool, shape ``(c, c)``.
        what: What kin share, for people.
    """

    kind: KinKind
    paths: tuple[Path, ...]
    items: NDArray[np.int64]
    classes: NDArray[np.int64]
    categories: NDArray[np.int64]
    duplicates: NDArray[np.int64]
    linked: Any
    what: str

    def chosen(self, rows: NDArray[np.bool_]) -> Kin:
        """Some of the pictures, renumbered; ``rows``: bool, shape ``(n,)``."""
        return Kin(
            self.kind,
            tuple(path for path, kept in zip(self.paths, rows.tolist(), strict=True) if kept),
            self.items[rows],
            self.classes[rows],
            self.categories[rows],
            self.duplicates[rows],
            self.linked,
            self.what,
        )

    def are_kin(self, asked: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which pictures show the same as which; of other items, unless photos of one item are what is compared.

        Args:
            asked, others: Pictures, int64, shapes ``(a,)`` and ``(b,)``.

        Returns:
            bool, shape ``(a, b)``.
        """
        mine, theirs = self.classes[asked], self.classes[others]
        same: NDArray[np.bool_] = mine[:, None] == theirs[None]
        if self.kind == "items":
            same &= asked[:, None] != others[None]
            return same
        if self.kind == "label":
            same &= self.items[asked][:, None] != self.items[others][None]
            return same
        found: NDArray[np.bool_] = self.linked[mine][:, theirs].toarray()
        found &= ~same
        return found

    def are_the_same(self, asked: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which pictures say nothing about which: the very same, another photo of the item, a near-duplicate.

        Shapes as for ``are_kin``. Photos of one item are kept where they are what is compared.
        """
        itself: NDArray[np.bool_] = asked[:, None] == others[None]
        near = self.duplicates[asked][:, None] == self.duplicates[others][None]
        if self.kind == "items":
            near &= self.items[asked][:, None] != self.items[others][None]
        itself |= near
        return itself


def kin_of(
    catalog: Catalog,
    *,
    label: str = "",
    edges: EdgeArrays | None = None,
    groups_of: Callable[[NDArray[np.int64]], NDArray[np.int64]],
) -> Kin:
    """Find the pictures of a catalog that have kin.

    Args:
        label: Attribute that kin share; empty for none.
        edges: Between database keys; ``None`` for none. With neither, photos of one item are kin.
        groups_of: From database keys of items to the numbers of their near-duplicate groups.

    Raises:
        InputError: No picture has kin, or all are kin of one another; the message says what to give instead.
        UnknownNameError: No item has this attribute.
    """
    from scipy.sparse import csr_array

    paths, items = _pictures(catalog)
    links = np.zeros((0, 2), np.int64)
    if label:
        classes = labels_of(catalog, items, label)
        fine, what = _labelled(items, classes, label), f"items of the same {label}"
    elif edges is not None:
        own = np.unique(items)
        links = renumber(edges, own).pairs
        if not len(links):
            raise InputError(
                f"none of {len(edges.pairs)} edges joins two items with pictures; give edges between items whose "
                "picture files are indexed"
            )
        fine, what = np.isin(np.searchsorted(own, items), links), "linked items"
        classes = np.searchsorted(own, items)
    else:
        classes = items
        fine, what = _of_one_item(items), "photos of one item"
    kept = np.unique(classes[fine])
    ends = np.searchsorted(kept, links)
    ones = np.ones(2 * len(ends), bool)
    linked = csr_array((ones, np.concatenate([ends, ends[:, ::-1]]).T), shape=(len(kept), len(kept)))
    own_items = items[fine]
    return Kin(
        kind="label" if label else "items" if edges is None else "edges",
        paths=tuple(path for path, good in zip(paths, fine.tolist(), strict=True) if good),
        items=own_items,
        classes=np.searchsorted(kept, classes[fine]).astype(np.int64),
        categories=_categories(catalog, own_items),
        duplicates=groups_of(own_items),
        linked=linked,
        what=what,
    )


def _pictures(catalog: Catalog) -> tuple[list[Path], NDArray[np.int64]]:
    """Files of all pictures that were indexed from files, in id order, and the keys of their items."""
    rows = catalog.connection.execute(
        "SELECT s.location, s.kind, m.path, m.item FROM media m JOIN sources s USING (source) "
        "WHERE m.item IS NOT NULL AND m.modality='image' AND s.kind != 'embeddings' ORDER BY m.id, m.position"
    ).fetchall()
    if not rows:
        raise InputError("the catalog holds no pictures that were indexed from files; index some first")
    return [absolute(location, kind, path) for location, kind, path, _ in rows], np.array([row[3] for row in rows])


def _labelled(items: NDArray[np.int64], classes: NDArray[np.int64], label: str) -> NDArray[np.bool_]:
    """Pictures whose label another item has, too."""
    pairs = np.unique(np.column_stack([classes, items])[classes >= 0], axis=0)
    values, times = np.unique(pairs[:, 0], return_counts=True)
    several = values[times > 1]
    if not len(several):
        raise InputError(
            f"no {label} has two items with pictures ({len(values)} values were found, each of one item); name an "
            "attribute that items share, such as the number of the product they show"
        )
    if len(values) == 1:
        raise InputError(
            f"all pictures are of one {label}, so nothing tells them apart; name an attribute with several values"
        )
    return np.isin(classes, several)


def _of_one_item(items: NDArray[np.int64]) -> NDArray[np.bool_]:
    values, times = np.unique(items, return_counts=True)
    several = values[times > 1]
    if len(several) < 2:
        raise InputError(
            f"{len(several)} of {len(values)} items have two pictures; name what makes pictures kin: --label "
            "ATTRIBUTE, or a file of edges"
        )
    return np.isin(items, several)


def _categories(catalog: Catalog, items: NDArray[np.int64]) -> NDArray[np.int64]:
    names = dict(catalog.connection.execute("SELECT item, category FROM items"))
    codes: dict[str, int] = {}
    return np.array(
        [-1 if names.get(key) is None else codes.setdefault(str(names[key]), len(codes)) for key in items.tolist()],
        np.int64,
    )
