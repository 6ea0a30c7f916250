"""Batches in which a costly content tower is evaluated once for each distinct item, and negatives are shared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.errors import InputError
from index.learning.checks import checked_pairs
from index.learning.training_negatives import are_linked, link_keys


@dataclass(frozen=True, slots=True)
class TowerBatch:
    """What one step of stochastic descent looks at.

    Attributes:
        sources: Distinct rows asked about, int64, shape ``(s,)``, rising.
        targets: Distinct rows that may answer, int64, shape ``(t,)``, rising: one evaluation of the tower each.
        balance: float32, shape ``(s, t)``: above 0 for links and below for negatives, by their weights, which sum
            to 1 and to −1; 0 where neither is meant.
        links: How many links were drawn.
    """

    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    balance: NDArray[np.float32]
    links: int

    @property
    def tower_evaluations(self) -> int:
        """How often the step evaluates the content tower."""
        return len(self.targets)


def independent_batches(
    pairs: ArrayLike, count: int, *, size: int, negatives: int, people: int = 0, seed: int = 0
) -> Iterator[TowerBatch]:
    """Every link once, in random order, each with negatives of its own: what the others are measured against.

    Chen, Sun, Shi & Hong, "On sampling strategies for neural network-based collaborative filtering" (KDD 2017,
    section 4, "IID sampling"); items drawn twice in a batch are evaluated once even so.

    Args:
        pairs: Links, whole numbers from 0 to ``count − 1``, shape ``(m, 2)``, source before target.
        count: How many items there are to draw negatives from.
        size: Links in a batch, at least 1.
        negatives: Drawn at random for each link, at least 1; a draw that is itself a link is left out.
        people: How many sources there are, where sources are not items but people; 0 where both are items.
        seed: The same seed gives the same batches.

    Raises:
        InputError: Pairs that name no items, or sizes below 1; raised before the first batch.
    """
    links = _checked(pairs, count, people)
    _check(size=size, negatives=negatives)
    return _independent(links, count, size, negatives, people, seed)


def shared_batches(
    pairs: ArrayLike, count: int, *, size: int, per_target: int = 1, people: int = 0, seed: int = 0
) -> Iterator[TowerBatch]:
    """Every link once, grouped by target, all other targets of the batch being each link's negatives.

    Negative sharing, and with ``per_target`` above 1 stratified sampling by item with negative sharing (Chen et
    al., KDD 2017, section 4): a batch evaluates the tower for its own links' targets only, and has links × targets
    terms. Negatives thus occur as often as they are linked; linked pairs are never among them.

    Args:
        pairs: Links, whole numbers from 0 to ``count − 1``, shape ``(m, 2)``, source before target.
        count: How many items there are.
        size: Links in a batch, at least 2; the last batch may be smaller, and one without negatives is left out.
        per_target: Links of one target kept together, at least 1.
        people: How many sources there are, where sources are not items but people; 0 where both are items.
        seed: The same seed gives the same batches.

    Raises:
        InputError: Pairs that name no items, or sizes too small; raised before the first batch.
    """
    links = _checked(pairs, count, people)
    _check(size=size - 1, per_target=per_target)
    return _shared(links, count, size, per_target, people, seed)


def tower_loss(
    asked: NDArray[Any], answers: NDArray[Any], batch: TowerBatch
) -> tuple[float, NDArray[Any], NDArray[Any]]:
    """Logistic loss of a batch under scores asked · answer, and its gradients.

    Chen et al. (KDD 2017, eq. 3, the log loss), with negatives weighing as much as links in all.

    Args:
        asked: Vectors of ``batch.sources``, shape ``(s, K)``.
        answers: What the tower gave for ``batch.targets``, shape ``(t, K)``.
        batch: Which of their products are links.

    Returns:
        The loss, 2 log 2 for scores of 0; gradients by ``asked`` and by ``answers``, to go back into the tower.
    """
    margins = np.sign(batch.balance) * (asked @ answers.T)
    small = np.exp(-np.abs(margins))
    each = np.log1p(small) - np.minimum(margins, 0)
    loss = float(np.vdot(np.abs(batch.balance), each))
    slope = -batch.balance * np.where(margins > 0, small, 1) / (1 + small)
    return loss, slope @ answers, slope.T @ asked


def _checked(pairs: ArrayLike, count: int, people: int) -> NDArray[np.int64]:
    """Links; people, where sources are people, are numbered after the items, so that nobody is an item."""
    if not people:
        return checked_pairs(pairs, count)
    given = np.asarray(pairs)
    if given.size and given.ndim == 2 and given.shape[1] == 2 and given.dtype.kind in "iu":
        if given.min() < 0 or given[:, 0].max() >= people or given[:, 1].max() >= count:
            raise InputError(f"expected pairs of {people} people and {count} items, numbered from 0, found others")
        given = given + np.array([count, 0])
    return checked_pairs(given, count + people)


def _check(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise InputError(f"expected batches of enough links, found {name} = {value}; ask for more")


def _independent(
    links: NDArray[np.int64], count: int, size: int, negatives: int, people: int, seed: int
) -> Iterator[TowerBatch]:
    rng = np.random.default_rng(seed)
    total = count + people
    keys = link_keys(links, total, directed=True)
    order = rng.permutation(len(links))
    for start in range(0, len(order), size):
        drawn = links[order[start : start + size]]
        others = np.stack([np.repeat(drawn[:, 0], negatives), rng.integers(0, count, len(drawn) * negatives)], axis=1)
        others = others[~are_linked(others, keys, total) & (others[:, 0] != others[:, 1])]
        if len(others):
            yield _batch_of(drawn, others, count if people else 0)


def _batch_of(drawn: NDArray[np.int64], others: NDArray[np.int64], first_source: int) -> TowerBatch:
    pairs = np.concatenate([drawn, others])
    sources, source = np.unique(pairs[:, 0], return_inverse=True)
    targets, target = np.unique(pairs[:, 1], return_inverse=True)
    loads = np.repeat([1 / len(drawn), -1 / len(others)], [len(drawn), len(others)])
    balance = np.zeros((len(sources), len(targets)))
    np.add.at(balance, (source, target), loads)
    return TowerBatch(sources - first_source, targets, balance.astype(np.float32), len(drawn))


def _shared(
    links: NDArray[np.int64], count: int, size: int, per_target: int, people: int, seed: int
) -> Iterator[TowerBatch]:
    rng = np.random.default_rng(seed)
    total = count + people
    keys = link_keys(links, total, directed=True)
    shuffled = links[rng.permutation(len(links))]
    by_target = shuffled[np.argsort(shuffled[:, 1], kind="stable")]
    first = np.searchsorted(by_target[:, 1], by_target[:, 1])
    group = np.cumsum((np.arange(len(links)) - first) % per_target == 0) - 1
    turn = rng.permutation(int(group[-1]) + 1)[group]
    ordered = by_target[np.argsort(turn, kind="stable")]
    for start in range(0, len(ordered), size):
        drawn = ordered[start : start + size]
        sources, source = np.unique(drawn[:, 0], return_inverse=True)
        targets, target = np.unique(drawn[:, 1], return_inverse=True)
        every = np.stack(np.broadcast_arrays(sources[:, None], targets[None]), axis=2).reshape(-1, 2)
        unlinked = ~are_linked(every, keys, total) & (every[:, 0] != every[:, 1])
        times = np.bincount(source, minlength=len(sources))[:, None]
        others = times * unlinked.reshape(len(sources), len(targets))
        if not others.any():
            continue
        balance = -others / others.sum()
        np.add.at(balance, (source, target), 1 / len(drawn))
        yield TowerBatch(sources - (count if people else 0), targets, balance.astype(np.float32), len(drawn))
