"""Links: held-out edges beside their negatives, scored by each way of recommending on the very same pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.learning.metrics import best_threshold, correct, wins
from index.learning.negatives import random_negatives, same_category_negatives
from index.learning.scorers import Contender, score_pairs
from index.learning.splits import Pairs

NegativeKind: TypeAlias = Literal["at random", "same category"]

THRESHOLD_PAIRS = 20_000
"""Training edges that a threshold is chosen on: more move it less than a test set can tell."""


@dataclass(frozen=True, slots=True)
class Links:
    """Held-out edges and as many non-links.

    Attributes:
        kind: Where the negatives come from.
        positive: int64, shape ``(m, 2)``.
        negative: int64, shape ``(m, 2)``, the same sources with other targets.
    """

    kind: NegativeKind
    positive: Pairs
    negative: Pairs


@dataclass(frozen=True, slots=True)
class LinkScores:
    """What one contender makes of links, edge by edge.

    Attributes:
        positive, negative: float32, shape ``(m,)``: scores.
        wins: float64, shape ``(m,)``: 1 where the edge scores above its negative, ½ where equal.
        correct: float64, shape ``(m,)``: share of the two that is called rightly at P > 0.5.
    """

    positive: NDArray[np.float32]
    negative: NDArray[np.float32]
    wins: NDArray[np.float64]
    correct: NDArray[np.float64]


def draw_links(
    held_out: Pairs,
    known: Pairs,
    items: NDArray[np.int64],
    *,
    seed: int,
    categories: NDArray[np.int64] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> Links:
    """Give every held-out edge a negative; edges that can have none are left out.

    Args:
        held_out: int64, shape ``(m, 2)``.
        known: int64, shape ``(x, 2)``: every other edge there is; none is drawn.
        items: int64, shape ``(c,)``: rows that may be drawn.
        categories: int64, shape ``(n,)``: draw from the true target's own category; at random when not given.
        groups: int64, shape ``(n,)``, near-duplicates.

    Raises:
        InputError: No edge has a negative.
    """
    if categories is None:
        places, negative = random_negatives(held_out, known, items, seed=seed, groups=groups)
        return Links("at random", held_out[places], negative)
    places, negative = same_category_negatives(held_out, known, items, categories, seed=seed, groups=groups)
    return Links("same category", held_out[places], negative)


def score_links(contender: Contender, links: Links, threshold: float) -> LinkScores:
    """Score links and their negatives.

    Args:
        threshold: Score above which a pair counts as linked, as ``threshold_of`` gives it.

    Raises:
        InputError: A score is not finite.
    """
    positive, negative = score_pairs(contender.score, links.positive), score_pairs(contender.score, links.negative)
    return LinkScores(positive, negative, wins(positive, negative), correct(positive, negative, threshold))


def threshold_of(contender: Contender, training: Links) -> float:
    """The contender's own threshold, or the best one on training edges and their negatives."""
    if contender.threshold is not None:
        return contender.threshold
    return best_threshold(
        score_pairs(contender.score, training.positive), score_pairs(contender.score, training.negative)
    )


def training_links(training: Pairs, known: Pairs, *, seed: int, groups: NDArray[np.int64] | None = None) -> Links:
    """Training edges with negatives at random, at most ``THRESHOLD_PAIRS`` of them, to choose thresholds on.

    Raises:
        InputError: There are no edges, or none has a negative.
    """
    some = training
    if len(training) > THRESHOLD_PAIRS:
        some = training[np.sort(np.random.default_rng(seed).choice(len(training), THRESHOLD_PAIRS, replace=False))]
    return draw_links(some, known, np.unique(training), seed=seed, groups=groups)


def has_categories(categories: NDArray[np.int64] | None, among: Sequence[NDArray[np.int64]]) -> bool:
    """Whether the rows named carry two categories at least, so that "the same category" means something."""
    if categories is None:
        return False
    own = categories[np.concatenate([rows.ravel() for rows in among])]
    return len(np.unique(own[own >= 0])) > 1
