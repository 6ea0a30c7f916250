"""Links made ready for fitting: checked, held out in part, and put into batches with fresh negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.errors import InputError
from index.learning.checks import checked_categories, checked_pairs, checked_rows, checked_weights
from index.learning.likelihood import LinkBatch, make_batch
from index.learning.training_negatives import are_linked, draw_negatives, link_keys
from index.types import Vectors

ROUND_PAIRS = 100_000
"""Links in one batch at most; more are visited a batch at a time, so that memory does not grow with them."""

HELD_OUT = 0.1
"""Share of the pairs kept for validation when the caller names none."""

REVERSED = 0.25
"""Share of the negatives of directed links that are links the other way round: what tells the directions apart."""


@dataclass(frozen=True, slots=True)
class Links:
    """What a fit learns from.

    Attributes:
        rows: float32, shape ``(n, d)``.
        scale: Factor under which two rows at random lie at a squared distance of 1 on average.
        pairs: To learn from, int64, shape ``(m, 2)``.
        weights: float32, shape ``(m,)``.
        numbers: Place of each pair among those the caller gave, int64, shape ``(m,)``.
        validation: Links and negatives that choices are made on; never learnt from.
        known: Keys of all links, those of the validation included: none is ever drawn as a negative.
        categories: int64, shape ``(n,)``, or ``None``.
        same_category: Share of the negatives drawn from the true target's category.
        directed: Whether a link holds from source to target alone.
    """

    rows: Vectors
    scale: float
    pairs: NDArray[np.int64]
    weights: NDArray[np.float32]
    numbers: NDArray[np.int64]
    validation: LinkBatch
    known: NDArray[np.int64]
    categories: NDArray[np.int64] | None
    same_category: float
    directed: bool


def prepare_links(
    rows: ArrayLike,
    pairs: ArrayLike,
    *,
    weights: ArrayLike | None,
    validation: ArrayLike | None,
    categories: ArrayLike | None,
    same_category: float,
    rng: np.random.Generator,
    directed: bool = False,
) -> Links:
    """Check what a fit is given, hold pairs out, and draw the negatives of the validation.

    Args:
        rows: Shape ``(n, d)``.
        pairs: Shape ``(m, 2)``, numbers of rows; both directions of a pair count as the same link when held out.
        weights: Shape ``(m,)``, or ``None`` for all alike.
        validation: Shape ``(v, 2)``, disjoint from ``pairs``; ``None`` holds out a tenth of them at random.
        categories: Whole numbers, shape ``(n,)``.
        same_category: Share of the negatives, 0 to 1.
        rng: Where chance comes from.
        directed: Whether a link holds from source to target alone; some negatives are then links reversed.

    Raises:
        InputError: Anything is not as described, or validation shares a link with ``pairs``.
    """
    checked = checked_rows(rows)
    count = len(checked)
    links = checked_pairs(pairs, count)
    loads = checked_weights(weights, len(links))
    kinds = checked_categories(categories, count)
    numbers = np.arange(len(links))
    if validation is None:
        out = _held_out(links, loads, count, rng)
        held, held_loads, held_numbers = links[out], loads[out], numbers[out]
        links, loads, numbers = links[~out], loads[~out], numbers[~out]
    else:
        held = checked_pairs(validation, count, what="validation pairs")
        held_loads, held_numbers = np.ones(len(held), np.float32), np.arange(len(held))
        if np.intersect1d(link_keys(links, count), link_keys(held, count)).size:
            raise InputError(
                "expected validation pairs that are not learnt from, found some that are; split them apart"
            )
    known = link_keys(np.concatenate([links, held]), count, directed=directed)
    batch = _batch(held, held_loads, held_numbers, count, rng, known, kinds, same_category, directed)
    spread = float(checked.var(axis=0, dtype=np.float64).sum())
    return Links(checked, (2 * spread) ** -0.5, links, loads, numbers, batch, known, kinds, same_category, directed)


def draw_batch(links: Links, rng: np.random.Generator, *, most: int = ROUND_PAIRS) -> LinkBatch:
    """At most ``most`` of the links at random, with as many fresh negatives."""
    pairs, weights, numbers = links.pairs, links.weights, links.numbers
    if len(pairs) > most:
        chosen = rng.choice(len(pairs), most, replace=False)
        pairs, weights, numbers = pairs[chosen], weights[chosen], numbers[chosen]
    return _batch(
        pairs,
        weights,
        numbers,
        len(links.rows),
        rng,
        links.known,
        links.categories,
        links.same_category,
        links.directed,
    )


def check_ranks(ranks: Sequence[int], links: Links) -> None:
    """Refuse ranks that the rows cannot carry.

    Raises:
        InputError: None given, one below 1, above the rows' dimensions, or not below the number of rows.
    """
    count, dim = links.rows.shape
    if not ranks or min(ranks) < 1:
        raise InputError(f"expected ranks of at least 1, found {list(ranks)}")
    if max(ranks) > dim:
        raise InputError(f"expected ranks of at most {dim}, the dimensions of the rows, found {max(ranks)}")
    if max(ranks) >= count:
        raise InputError(f"expected more items than the rank {max(ranks)}, found {count}; ask for a smaller rank")


def rows_of(links: Links, batch: LinkBatch) -> Vectors:
    """Rows of a batch's items, float32, shape ``(n, d)``; not copied where the batch concerns all."""
    return links.rows if len(batch.items) == len(links.rows) else links.rows[batch.items]


def _batch(
    pairs: NDArray[np.int64],
    weights: NDArray[np.float32],
    numbers: NDArray[np.int64],
    count: int,
    rng: np.random.Generator,
    known: NDArray[np.int64],
    categories: NDArray[np.int64] | None,
    same_category: float,
    directed: bool,
) -> LinkBatch:
    negatives, origin = draw_negatives(
        pairs, count, rng, known=known, categories=categories, same_category=same_category
    )
    if directed:
        back = pairs[origin, ::-1]
        turned = (rng.random(len(back)) < REVERSED) & ~are_linked(back, known, count)
        negatives[turned] = back[turned]
    return make_batch(pairs, negatives, weights, weights[origin], np.concatenate([numbers, numbers[origin]]))


def _held_out(
    pairs: NDArray[np.int64], weights: NDArray[np.float32], count: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which pairs to hold out: a tenth of the links, each with all its pairs in either direction."""
    keys = pairs.min(axis=1) * count + pairs.max(axis=1)
    distinct, link = np.unique(keys, return_inverse=True)
    if len(distinct) < 2:
        raise InputError("expected at least two different pairs, one to learn from and one to check on; found one")
    chosen = np.zeros(len(distinct), np.bool_)
    chosen[rng.permutation(len(distinct))[: max(1, round(HELD_OUT * len(distinct)))]] = True
    out = np.asarray(chosen[link])
    if not weights[out].any() or not weights[~out].any():
        raise InputError("expected several pairs of positive weight, found too few to hold some out; add pairs")
    return out
