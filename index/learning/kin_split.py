"""Parting kin: which pictures are learned from, which choose the epoch, and which judge, none on two sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.kin import Kin
from index.learning.splits import TEST, TRAIN, VALIDATION

Held: TypeAlias = Literal["classes", "items"]

SHARES = {VALIDATION: 0.15, TEST: 0.25}

FEW = 20
"""Classes from which they are held out whole. With fewer, three or four held out would be told apart by anything, so
items are held out instead: each class is seen, no picture of the judged ones is."""

MANY = 20
"""Pictures of a class on average from which it is a kind rather than a product: what comes tomorrow is more of the same
kinds, so items are held out, too."""

GIANT = 0.3
"""Share of the pictures from which one connected group is too large to lie on one side."""

LEAST_ASKED = 4
"""Pictures with kin that the smallest part must have."""


@dataclass(frozen=True, slots=True)
class KinSplit:
    """Pictures apart.

    Attributes:
        held: What is held out whole: classes (with edges: all that is connected), or items with their near-duplicates.
        parts: int8, shape ``(n,)``: ``TRAIN``, ``VALIDATION`` or ``TEST``.
        units: How many of what is held out whole.
    """

    held: Held
    parts: NDArray[np.int8]
    units: int

    def rows(self, part: int) -> NDArray[np.int64]:
        """The pictures of one part, int64, ascending."""
        return np.flatnonzero(self.parts == part)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, without the pictures."""
        train, validation, test = np.bincount(self.parts, minlength=3).tolist()
        return {"held": self.held, "units": self.units, "train": train, "validation": validation, "test": test}


def split_kin(kin: Kin, seed: int) -> KinSplit:
    """Hold out classes whole where they are many and small, else items; near-duplicates stay on one side.

    With edges a class is all that is connected. Links and labels between the sides are nobody's: neither side of what
    is judged occurs in training.

    Raises:
        InputError: A part has too few pictures with kin.
    """
    held: Held = "classes"
    units = _connected(kin)
    sizes = np.bincount(units)
    if len(sizes) < FEW or len(units) > MANY * len(sizes) or sizes.max() > GIANT * len(units):
        held = "items"
        units = np.unique(kin.duplicates, return_inverse=True)[1].reshape(-1).astype(np.int64)
    count = int(units.max()) + 1
    order = np.random.default_rng(seed).permutation(count)
    sides = np.full(count, TRAIN, np.int8)
    start = 0
    for part, share in SHARES.items():
        stop = start + max(1, round(count * share))
        sides[order[start:stop]] = part
        start = stop
    split = KinSplit(held, sides[units], count)
    for part, name in ((TRAIN, "learn from"), (VALIDATION, "choose the epoch by"), (TEST, "judge by")):
        rows = split.rows(part)
        some = rows[:2000]
        asked = int((kin.are_kin(some, rows) & ~kin.are_the_same(some, rows)).any(axis=1).sum()) if len(rows) else 0
        if asked < LEAST_ASKED:
            raise InputError(
                f"{len(kin.paths):,} pictures with kin ({kin.what}) are too few: of those to {name}, {asked} have kin "
                f"among them, expected {LEAST_ASKED}; give more pictures, or more edges between them"
            )
    return split


def _connected(kin: Kin) -> NDArray[np.int64]:
    """Pictures joined by class, by link or by being near-duplicates share a number from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    classes = int(kin.classes.max()) + 1
    groups = np.unique(kin.duplicates, return_inverse=True)[1].reshape(-1)
    ones = np.ones(len(groups), bool)
    total = classes + int(groups.max()) + 1
    joined = coo_array((ones, (kin.classes, classes + groups)), shape=(total, total)).tocsr()
    links = kin.linked.tocoo()
    extra = coo_array((np.ones(len(links.row), bool), (links.row, links.col)), shape=(total, total)).tocsr()
    labels = connected_components(joined + extra, directed=False)[1]
    return np.unique(labels[kin.classes], return_inverse=True)[1].reshape(-1).astype(np.int64)
