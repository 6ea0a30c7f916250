"""Baselines: ways of recommending that know nothing of what was learned, and that it must beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.scorers import Contender, Scorer, cosine_scorer
from index.learning.splits import Pairs
from index.types import Vectors

CHANCE = "chance"
RANDOM = "random"
POPULAR = "popularity"
SAME_CATEGORY = "same category, random"
SAME_CATEGORY_POPULAR = "same category, most popular"
COLOR = "colour histogram"
COSINE = "raw cosine"


def chance_scorer(queries: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
    """The same score for every pair: what half of all links against non-links are won with, ties half."""
    return np.zeros(np.broadcast_shapes(queries.shape, candidates.shape), np.float32)


def random_scorer(seed: int) -> Scorer:
    """A number in [0, 1) for each pair of rows, which depends on nothing but the two rows and the seed.

    Mixed by the finaliser of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
    """
    salt = np.random.default_rng(seed).integers(1 << 63, dtype=np.uint64)

    def score(queries: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        return _uniform(_mixed(queries.astype(np.uint64) + salt) ^ candidates.astype(np.uint64))

    return score


def popularity_scorer(training: Pairs, n: int) -> Scorer:
    """How many training edges the candidate has, whoever asks; rows nobody has seen score 0.

    Args:
        training: int64, shape ``(m, 2)``; both ends of an edge count.
        n: Number of rows.
    """
    degrees = degrees_of(training, n).astype(np.float32)

    def score(queries: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.broadcast_to(degrees[candidates], np.broadcast_shapes(queries.shape, candidates.shape)).copy()

    return score


def same_category_scorer(categories: NDArray[np.int64], *, seed: int, training: Pairs | None = None) -> Scorer:
    """Candidates of the query's category before all others; within it at random, or the most popular first.

    Args:
        categories: int64, shape ``(n,)``, -1 for none: such an item shares its category with nobody.
        seed: Of the random order, which also parts equally popular candidates.
        training: int64, shape ``(m, 2)``: order by how many of these edges a candidate has; random when not given.

    Returns:
        A scorer with values in [0, 1) for other categories and in [1, 2) for the same.

    Raises:
        InputError: There are fewer than two categories.
    """
    if len(np.unique(categories[categories >= 0])) < 2:
        raise InputError("the same-category baseline needs two categories at least; give items a category")
    chance = random_scorer(seed)
    if training is None:
        share, rest = np.zeros(len(categories), np.float32), np.float32(1)
    else:
        degrees = degrees_of(training, len(categories))
        share = (degrees / (degrees.max(initial=0) + 1)).astype(np.float32)
        rest = np.float32(1 / (degrees.max(initial=0) + 1))

    def score(queries: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        own = categories[queries]
        same = (own == categories[candidates]) & (own >= 0)
        scores: NDArray[np.float32] = (share[candidates] + rest * chance(queries, candidates) + same).astype(np.float32)
        return scores

    return score


def degrees_of(pairs: Pairs, n: int) -> NDArray[np.int64]:
    """How many edges each row has, at either end: int64, shape ``(n,)``."""
    return np.bincount(pairs.ravel(), minlength=n).astype(np.int64)


def baselines(
    rows: Vectors,
    *,
    seed: int,
    training: Pairs | None = None,
    categories: NDArray[np.int64] | None = None,
    color: slice | None = None,
) -> tuple[Contender, ...]:
    """Every baseline that the data allows, from the plainest on.

    Args:
        rows: float32, shape ``(n, d)``.
        seed: Of all that is random.
        training: int64, shape ``(m, 2)``: without it nothing is known to be popular.
        categories: int64, shape ``(n,)``, -1 for none; used when there are two at least.
        color: Columns of ``rows`` that hold the colour histogram, when there is one.

    Raises:
        InputError: The vectors are not finite, or all the same.
    """
    if not np.isfinite(rows).all():
        raise InputError("a vector holds an infinite value or NaN; repair or remove it")
    if (rows == rows[:1]).all():
        raise InputError("all vectors are the same, so nothing can be told apart by them; describe other items")
    found = [Contender(RANDOM, random_scorer(seed))]
    if training is not None:
        found.append(Contender(POPULAR, popularity_scorer(training, len(rows))))
    if categories is not None and len(np.unique(categories[categories >= 0])) > 1:
        found.append(Contender(SAME_CATEGORY, same_category_scorer(categories, seed=seed)))
        if training is not None:
            popular = same_category_scorer(categories, seed=seed, training=training)
            found.append(Contender(SAME_CATEGORY_POPULAR, popular))
    if color is not None:
        found.append(Contender(COLOR, cosine_scorer(rows[:, color])))
    found.append(Contender(COSINE, cosine_scorer(rows)))
    return tuple(found)


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _uniform(state: NDArray[np.uint64]) -> NDArray[np.float32]:
    """The upper 24 bits of the mixed state, in [0, 1)."""
    return (_mixed(state) >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
