"""Negatives: pairs that are not linked, drawn at random or from the true target's own category."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError

TRIES = 20
"""Draws before a pair is given up whose source is linked to nearly everything it could be drawn with."""


def link_keys(pairs: NDArray[np.int64], count: int, *, directed: bool = False) -> NDArray[np.int64]:
    """Sorted int64 keys of pairs, to look up whether two of ``count`` items are linked; in both directions, unless
    ``directed``."""
    source, target = pairs[:, 0], pairs[:, 1]
    forth = source * count + target
    return np.unique(forth if directed else np.concatenate([forth, target * count + source]))


def are_linked(pairs: NDArray[np.int64], keys: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """Whether each of ``(m, 2)`` pairs is among the keys made by `link_keys`; bool, shape ``(m,)``."""
    asked = pairs[:, 0] * count + pairs[:, 1]
    places = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.asarray(keys[places] == asked)


def draw_negatives(
    pairs: NDArray[np.int64],
    count: int,
    rng: np.random.Generator,
    *,
    known: NDArray[np.int64],
    categories: NDArray[np.int64] | None = None,
    same_category: float = 0.0,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw one unlinked pair for each linked one: the source stays, the target is another item.

    Equal numbers of links and non-links are those of McAuley et al. (SIGIR 2015, section 3). A negative
    of the same category has a target of the *true target's* category, so that category alone cannot tell
    the two apart.

    Args:
        pairs: Linked pairs, int64, shape ``(m, 2)``.
        count: How many items there are to draw from.
        rng: Where chance comes from.
        known: Keys of all linked pairs, from `link_keys`: none of them is drawn.
        categories: int64, shape ``(count,)``; needed for ``same_category``.
        same_category: Share of the negatives drawn from the category of the true target, 0 to 1.

    Returns:
        The negatives, int64, shape ``(k, 2)``, and for each the number of the pair it was drawn for, int64,
        shape ``(k,)``, rising. k is m, less the pairs for which chance found no unlinked item.

    Raises:
        InputError: A share outside 0 to 1, a share without categories, or no unlinked pair found at all.
    """
    if not 0.0 <= same_category <= 1.0:
        raise InputError(f"expected a share of same-category negatives from 0 to 1, found {same_category}")
    if same_category and categories is None:
        raise InputError("expected categories to draw same-category negatives from, found none; give them or ask for 0")
    negatives = pairs.copy()
    within = rng.random(len(pairs)) < same_category
    open_ = np.arange(len(pairs))
    for _ in range(TRIES):
        negatives[open_, 1] = rng.integers(0, count, len(open_))
        inside = open_[within[open_]]
        if categories is not None and len(inside):
            negatives[inside, 1] = _of_same_category(pairs[inside, 1], categories, rng)
        drawn = negatives[open_]
        open_ = open_[(drawn[:, 0] == drawn[:, 1]) | are_linked(drawn, known, count)]
        if not len(open_):
            break
    origin = np.delete(np.arange(len(pairs)), open_)
    if not len(origin):
        raise InputError("expected some pairs that are not linked, found none: every item is linked to every other")
    return negatives[origin], origin


def _of_same_category(
    targets: NDArray[np.int64], categories: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """One item at random from the category of each target; int64, shape of ``targets``."""
    by_category = np.argsort(categories, kind="stable")
    laid_out = categories[by_category]
    first = np.searchsorted(laid_out, categories[targets], side="left")
    size = np.searchsorted(laid_out, categories[targets], side="right") - first
    return np.asarray(by_category[first + rng.integers(0, size)], np.int64)
