"""Negatives: as many pairs that are no known edges as there are edges, at random or from the same category."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.splits import Pairs

ROUNDS = 8
"""Draws tried for all edges at once, before those still without a negative look at all that is left."""


def random_negatives(
    pairs: Pairs,
    known: Pairs,
    items: NDArray[np.int64],
    *,
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], Pairs]:
    """For each edge, its source with another target, uniform over ``items``.

    As many negatives as positives, |Q| = |R|, as McAuley, Targett, Shi & van den Hengel (SIGIR 2015) judge links;
    here each with the source of its own edge, so that the two can be compared one by one.

    Args:
        pairs: int64, shape ``(m, 2)``, the edges to be judged or learned.
        known: int64, shape ``(x, 2)``, every edge known anywhere; none of them, in either direction, is drawn.
        items: int64, shape ``(c,)``, distinct rows that may be drawn, such as those of one part of a cold split.
        seed: The same input and seed give the same negatives.
        groups: int64, shape ``(n,)``: near-duplicates share a number, and none of a known partner is drawn.

    Returns:
        Places in ``pairs`` that have a negative, int64 ascending, shape ``(k,)``, and the negatives, int64 ``(k, 2)``.
        An edge whose source is linked to everything has none.

    Raises:
        InputError: There are no edges, or none has a negative.
    """
    pool = np.zeros(len(items), np.int64)
    return _drawn(pairs, known, items, pool, np.zeros(len(pairs), np.int64), groups, seed)


def same_category_negatives(
    pairs: Pairs,
    known: Pairs,
    items: NDArray[np.int64],
    categories: NDArray[np.int64],
    *,
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], Pairs]:
    """For each edge, its source with another target of the true target's own category.

    Knowing which categories go together does not help to tell these from the edges.

    Args:
        pairs, known, items, seed, groups: As for ``random_negatives``.
        categories: int64, shape ``(n,)``, -1 for none. Edges whose target has none get no negative.

    Returns:
        As ``random_negatives``.

    Raises:
        InputError: There are no edges, none has a negative, or the items are all of one category.
    """
    if len(np.unique(categories[categories >= 0])) < 2:
        raise InputError("negatives of the same category need two categories at least; give items a category")
    having = items[categories[items] >= 0]
    return _drawn(pairs, known, having, categories[having], categories[pairs[:, 1]], groups, seed)


def _drawn(
    pairs: Pairs,
    known: Pairs,
    items: NDArray[np.int64],
    pools: NDArray[np.int64],
    wanted: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
    seed: int,
) -> tuple[NDArray[np.int64], Pairs]:
    """Draw for each edge one of the items whose pool is the wanted one."""
    if not len(pairs):
        raise InputError("there are no edges left to draw negatives for; give more edges")
    highest = max(int(pairs.max()), int(known.max(initial=0)), int(items.max(initial=0)))
    group_of = np.arange(highest + 1) if groups is None else groups
    span = int(group_of.max()) + 1
    forbidden = np.unique(_keys(group_of[np.concatenate([pairs, known])], span))
    order = np.lexsort((items, pools))
    items, pools = items[order], pools[order]
    starts, stops = np.searchsorted(pools, wanted, "left"), np.searchsorted(pools, wanted, "right")
    rng = np.random.default_rng(seed)
    drawn = np.full(len(pairs), -1, np.int64)

    def allowed(sources: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.bool_]:
        ends = np.stack([group_of[sources], group_of[targets]], axis=1)
        keys = _keys(ends, span)
        at = np.minimum(np.searchsorted(forbidden, keys), len(forbidden) - 1)
        fine: NDArray[np.bool_] = (forbidden[at] != keys) & (ends[:, 0] != ends[:, 1])
        return fine

    left = np.flatnonzero(stops > starts)
    for _ in range(ROUNDS):
        tried = items[rng.integers(starts[left], stops[left])]
        fine = allowed(pairs[left, 0], tried)
        drawn[left[fine]] = tried[fine]
        left = left[~fine]
    for place in left.tolist():
        pool = items[starts[place] : stops[place]]
        rest = pool[allowed(np.full(len(pool), pairs[place, 0]), pool)]
        if len(rest):
            drawn[place] = rng.choice(rest)
    places = np.flatnonzero(drawn >= 0)
    if not len(places):
        raise InputError("no edge has a negative: every candidate is already linked to its source; give more items")
    return places, np.stack([pairs[places, 0], drawn[places]], axis=1)


def _keys(ends: NDArray[np.int64], span: int) -> NDArray[np.int64]:
    """One number for each pair of groups, whichever comes first."""
    keys: NDArray[np.int64] = ends.min(axis=1) * span + ends.max(axis=1)
    return keys
