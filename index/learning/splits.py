"""Splits: which edges are learned from and which are held out, so that nothing seen in training is judged."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.engine.spaces import unit_rows
from index.errors import InputError
from index.types import Vectors

Pairs: TypeAlias = NDArray[np.int64]
"""Edges: int64, shape ``(m, 2)``, row numbers of source and target."""

TRAIN, VALIDATION, TEST = 0, 1, 2
CELLS = 1 << 22
"""Cosines held at once while looking for near-duplicates: 16 MB."""


@dataclass(frozen=True, slots=True)
class Split:
    """Edges apart: to learn from, to choose settings by, and to judge by.

    Attributes:
        kind: ``"warm"``: judged edges run between items that training has seen in other edges;
            ``"cold"``: neither end of a judged edge, nor a near-duplicate of it, occurs in training.
        seed: The split is a function of it and of the input.
        train: int64, shape ``(a, 2)``.
        validation: int64, shape ``(b, 2)``.
        test: int64, shape ``(c, 2)``.
        parts: int8, shape ``(n,)``: the part each item belongs to (0 train, 1 validation, 2 test); all 0 when warm.
        within: Edges left out because both ends are one item or near-duplicates of each other.
        lost: Edges left out because they cross from one part to another; always 0 when warm.
        data_hash: Of vectors, edges and categories, as ``data_hash`` gives it.
    """

    kind: Literal["warm", "cold"]
    seed: int
    train: Pairs
    validation: Pairs
    test: Pairs
    parts: NDArray[np.int8]
    within: int
    lost: int
    data_hash: str

    def to_json(self) -> dict[str, Any]:
        """Counts and identity as plain JSON, without the edges."""
        return {
            "kind": self.kind,
            "seed": self.seed,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "items": np.bincount(self.parts, minlength=3).tolist(),
            "within": self.within,
            "lost": self.lost,
            "data_hash": self.data_hash,
        }


def check_pairs(pairs: Pairs, n: int) -> None:
    """Hold edges to their form.

    Raises:
        InputError: They are no int64 array of shape ``(m, 2)``, there are none, or a row number is not in 0 … n - 1.
    """
    if pairs.dtype != np.int64 or pairs.ndim != 2 or pairs.shape[1] != 2:
        raise InputError(f"edges must be int64 of shape (m, 2), found {pairs.dtype} of shape {pairs.shape}")
    if not len(pairs):
        raise InputError("there are no edges left; give edges between items that the catalog holds")
    low, high = int(pairs.min()), int(pairs.max())
    if low < 0 or high >= n:
        raise InputError(f"edges must name rows 0 to {n - 1}, found {low if low < 0 else high}")


def data_hash(rows: Vectors, pairs: Pairs, categories: NDArray[np.int64] | None = None) -> str:
    """Hash (16 hex digits) of what was learned from and judged; equal data has equal hashes on every machine.

    Args:
        rows: float32, shape ``(n, d)``.
        pairs: int64, shape ``(m, 2)``, in the order given.
        categories: int64, shape ``(n,)``, or none.
    """
    digest = hashlib.sha256(repr((rows.shape, pairs.shape, categories is None)).encode())
    digest.update(np.ascontiguousarray(rows, "<f4").data)
    digest.update(np.ascontiguousarray(pairs, "<i8").data)
    if categories is not None:
        digest.update(np.ascontiguousarray(categories, "<i8").data)
    return digest.hexdigest()[:16]


def find_groups(rows: Vectors, threshold: float) -> NDArray[np.int64]:
    """Group near-duplicates: items joined, directly or through others, by a cosine of at least ``threshold``.

    Every pair is compared, a block of rows at a time, in bounded memory; time grows with n².

    Args:
        rows: float32, shape ``(n, d)``; an all-zero row is nobody's duplicate.
        threshold: Above 0, at most 1; what is "the same photo" depends on the vectors, so there is no default.

    Returns:
        int64, shape ``(n,)``: group numbers from 0, in order of first appearance.

    Raises:
        InputError: The threshold is not in (0, 1].
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not 0 < threshold <= 1:
        raise InputError(f"the cosine of near-duplicates must lie above 0 and at most at 1, found {threshold}")
    n = len(rows)
    units = unit_rows(rows)
    groups = np.arange(n)
    step = max(1, CELLS // max(1, n))
    for start in range(0, n, step):
        alike = units[start : start + step] @ units[start:].T >= threshold - 1e-6
        left, right = (groups[start + places] for places in np.nonzero(alike))
        apart = left != right
        if apart.any():
            links = coo_array((np.ones(int(apart.sum()), bool), (left[apart], right[apart])), shape=(n, n))
            groups = connected_components(links, directed=False)[1].astype(np.int64)[groups]
    return _renumbered(groups)


def warm_split(
    rows: Vectors,
    pairs: Pairs,
    *,
    seed: int,
    groups: NDArray[np.int64] | None = None,
    categories: NDArray[np.int64] | None = None,
    validation: float = 0.1,
    test: float = 0.1,
) -> Split:
    """Hold out edges between items that training still sees in other edges.

    All edges between the same two groups of near-duplicates, in either direction, fall on one side. An edge drawn
    to be held out goes back to training when one of its items would otherwise not occur there, so sparse edges
    may leave fewer held out than asked.

    Args:
        rows: float32, shape ``(n, d)``; only hashed here.
        pairs: int64, shape ``(m, 2)``.
        seed: Chooses what is held out.
        groups: int64, shape ``(n,)``, near-duplicates sharing a number; each item by itself when not given.
        categories: int64, shape ``(n,)``; only hashed here.
        validation, test: Shares of edges to hold out.

    Raises:
        InputError: Malformed input, or no edge remains to learn from or to be judged.
    """
    groups = _checked(rows, pairs, groups, validation, test)
    ends = np.sort(groups[pairs], axis=1)
    kept = ends[:, 0] != ends[:, 1]
    within = int(len(pairs) - kept.sum())
    used, ends = pairs[kept], ends[kept]
    if not len(used):
        raise InputError("every edge joins an item to itself or to its near-duplicate; there is nothing to learn")
    _, bundle = np.unique(ends[:, 0] * len(rows) + ends[:, 1], return_inverse=True)
    bundle = bundle.reshape(-1)
    side = _drawn(int(bundle.max()) + 1, validation, test, np.random.default_rng(seed))
    seen = np.zeros(len(rows), bool)
    seen[used[side[bundle] == TRAIN]] = True
    unseen = ~seen[used].all(axis=1)
    side[bundle[unseen]] = TRAIN
    parts = np.zeros(len(rows), np.int8)
    hashed = data_hash(rows, pairs, categories)
    return _split("warm", seed, used, side[bundle], parts, within, 0, hashed)


def cold_split(
    rows: Vectors,
    pairs: Pairs,
    *,
    seed: int,
    groups: NDArray[np.int64] | None = None,
    categories: NDArray[np.int64] | None = None,
    validation: float = 0.1,
    test: float = 0.25,
) -> Split:
    """Hold out items: both ends of every judged edge, and their near-duplicates, are unseen in training.

    Edges between parts serve neither side and are lost; ``Split.lost`` counts them. Of edges that fall at random,
    a share of ``test²`` can be judged.

    Args:
        rows: float32, shape ``(n, d)``; only hashed here.
        pairs: int64, shape ``(m, 2)``.
        seed: Chooses the items held out, among those that have edges.
        groups: int64, shape ``(n,)``, near-duplicates sharing a number; each item by itself when not given.
        categories: int64, shape ``(n,)``; only hashed here.
        validation, test: Shares of groups of items to hold out.

    Raises:
        InputError: Malformed input, or no edge remains to learn from or to be judged.
    """
    groups = _checked(rows, pairs, groups, validation, test)
    linked = np.unique(groups[pairs])
    parts_of_groups = np.zeros(int(groups.max()) + 1, np.int8)
    parts_of_groups[linked] = _drawn(len(linked), validation, test, np.random.default_rng(seed))
    parts = parts_of_groups[groups]
    same = groups[pairs[:, 0]] == groups[pairs[:, 1]]
    sides = parts[pairs]
    crossing = sides[:, 0] != sides[:, 1]
    kept = ~same & ~crossing
    hashed = data_hash(rows, pairs, categories)
    return _split("cold", seed, pairs[kept], sides[kept, 0], parts, int(same.sum()), int(crossing.sum()), hashed)


def _checked(
    rows: Vectors, pairs: Pairs, groups: NDArray[np.int64] | None, validation: float, test: float
) -> NDArray[np.int64]:
    """Group numbers from 0, after everything given was held to its form."""
    check_pairs(pairs, len(rows))
    if not (validation >= 0 and test > 0 and validation + test < 1):
        raise InputError(
            f"shares held out must leave something to learn from, found validation {validation} and test {test}"
        )
    if groups is None:
        return np.arange(len(rows))
    if groups.shape != (len(rows),):
        raise InputError(f"expected one group for each of {len(rows)} items, found shape {groups.shape}")
    numbered = _renumbered(groups)
    if len(rows) > 1 and not numbered.any():
        raise InputError("all items are near-duplicates of one another; nothing can be held out")
    return numbered


def _renumbered(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    order = np.empty(len(first), np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    return order[inverse.reshape(-1)]


def _drawn(count: int, validation: float, test: float, rng: np.random.Generator) -> NDArray[np.int8]:
    """Parts of ``count`` things, int8, in random order."""
    sides = np.zeros(count, np.int8)
    order = rng.permutation(count)
    tested = round(count * test)
    sides[order[:tested]] = TEST
    sides[order[tested : tested + round(count * validation)]] = VALIDATION
    return sides


def _split(
    kind: Literal["warm", "cold"],
    seed: int,
    pairs: Pairs,
    sides: NDArray[np.int8],
    parts: NDArray[np.int8],
    within: int,
    lost: int,
    hashed: str,
) -> Split:
    train, validation, test = (pairs[sides == part] for part in (TRAIN, VALIDATION, TEST))
    for name, some in (("learn from", train), ("judge by", test)):
        if not len(some):
            raise InputError(f"no edges are left to {name} after the {kind} split; give more edges, found {len(pairs)}")
    return Split(kind, seed, train, validation, test, parts, within, lost, hashed)
