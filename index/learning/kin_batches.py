"""Batches of kin: few categories at a time, so that every picture meets negatives of its own kind and of others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.kin import Kin
from index.learning.triplets import BATCH_CATEGORIES, IN_CLASS
from index.types import Batch

EACH = 4
"""Pictures of one class in a batch; more where there are too few classes to fill it."""


class KinBatches:
    """Draws batches of the pictures to learn from.

    Negatives are mixed as in Shankar, Narumanchi, Ananya, Kompalli & Chaudhury, "Deep learning based large scale visual
    recommendation and search for e-commerce" (2017, Visnet, section 4): 30 % of the pictures are held against others
    of their own category, the rest against other categories, where a batch has both.

    Args:
        rows: Pictures to learn from, int64, ascending.
        size: Pictures in a batch, about.
    """

    def __init__(self, kin: Kin, rows: NDArray[np.int64], size: int) -> None:
        self._kin = kin
        self._size = size
        order = rows[np.argsort(kin.classes[rows], kind="stable")]
        classes, starts = np.unique(kin.classes[order], return_index=True)
        self._pictures = dict(zip(classes.tolist(), np.split(order, starts[1:]), strict=True))
        units = _linked(kin, classes) if kin.kind == "edges" else _several(kin, self._pictures)
        if len(units) < 2:
            raise InputError(
                f"{len(units)} groups of {kin.what} are left to learn from, expected two; give more pictures"
            )
        self._units = units
        self._each = max(EACH, size // len(units))
        first = [int(self._pictures[unit][0]) for unit in units[:, 0].tolist()]
        self._categories = kin.categories[first]

    def __len__(self) -> int:
        """Batches in which each picture comes about once."""
        return max(1, -(-sum(map(len, self._pictures.values())) // self._size))

    def draw(self, rng: np.random.Generator) -> Batch:
        """Draw one batch; the same generator state gives the same batch."""
        rows, labels = [], []
        taken: set[int] = set()
        for number, place in enumerate(self._order(rng).tolist()):
            members = set(self._units[place].tolist())
            if members & taken:
                continue
            taken |= members
            for member in sorted(members):
                own = self._pictures[member]
                wanted = self._each // len(members)
                some = own if len(own) <= wanted else rng.choice(own, wanted, replace=False)
                rows.extend(np.sort(some).tolist())
                labels.extend([number] * len(some))
            if len(rows) >= self._size:
                break
        chosen, marks = np.array(rows, np.int64), np.array(labels, np.int64)
        return Batch(chosen, marks, self._negatives(chosen, marks, rng))

    def _order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Classes or links in random order, those of a few random categories first."""
        known = np.unique(self._categories)
        few = rng.permutation(known)[:BATCH_CATEGORIES]
        shuffled = rng.permutation(len(self._units))
        return shuffled[np.argsort(~np.isin(self._categories[shuffled], few), kind="stable")]

    def _negatives(
        self, rows: NDArray[np.int64], labels: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        kin = self._kin
        strangers: NDArray[np.bool_] = labels[:, None] != labels[None]
        strangers &= ~kin.are_kin(rows, rows) & ~kin.are_the_same(rows, rows)
        same = kin.categories[rows][:, None] == kin.categories[rows][None]
        wanted = strangers & (same == (rng.random(len(rows)) < IN_CLASS)[:, None])
        return np.where(wanted.any(axis=1)[:, None], wanted, strangers)


def _several(kin: Kin, pictures: dict[int, NDArray[np.int64]]) -> NDArray[np.int64]:
    """Classes with kin among the pictures to learn from, shape ``(c, 1)``."""
    return np.array([[one] for one, own in pictures.items() if kin.are_kin(own[:1], own).any()], np.int64)


def _linked(kin: Kin, classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Links between classes that both have pictures to learn from, each once, shape ``(m, 2)``."""
    links = kin.linked.tocoo()
    ends = np.column_stack([links.row, links.col]).astype(np.int64)
    return ends[(ends[:, 0] < ends[:, 1]) & np.isin(ends, classes).all(axis=1)]
