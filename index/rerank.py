"""After the search: near-duplicates told apart from recommendations, and diversity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.projection import Projection
from index.types import Vectors

NEAR = 0.97
"""Cosine, in every facet's space, from which two items are the same photo or recording again."""

WINDOW = 256
"""Each answer is compared with so many before it: copies of one another score alike and rank close."""


def near_duplicates(projection: Projection, left: Vectors, right: Vectors) -> NDArray[np.bool_]:
    """Tell which items are the same photo or recording again: alike in every facet, not just on the whole.

    Args:
        left: float32, shape ``(m, dim)``, projected.
        right: float32, shape ``(n, dim)``, projected.

    Returns:
        bool, shape ``(m, n)``.
    """
    same = np.ones((len(left), len(right)), bool)
    for part in projection.parts:
        same &= left[:, part.own] @ right[:, part.own].T >= NEAR
    return same


def first_of_each(projection: Projection, vectors: Vectors) -> NDArray[np.int64]:
    """For each answer, the place of the first answer that it repeats; its own place when it repeats none.

    Args:
        vectors: float32, shape ``(n, dim)``, projected, best first.

    Returns:
        int64, shape ``(n,)``.
    """
    first = np.arange(len(vectors))
    for start in range(0, len(vectors), WINDOW):
        before = max(0, start - WINDOW)
        block = vectors[start : start + WINDOW]
        same = near_duplicates(projection, block, vectors[before : start + len(block)])
        for row in np.flatnonzero(same.sum(axis=1) > 1):
            place = start + int(row)
            earlier = np.flatnonzero(same[row]) + before
            leaders = [int(at) for at in earlier if at < place and first[at] == at]
            if leaders:
                first[place] = leaders[0]
    return first


def diversify(
    places: list[int],
    scores: NDArray[np.float32],
    vectors: Vectors,
    weights: NDArray[np.float32],
    count: int,
    diversity: float,
) -> list[int]:
    """Choose answers that are close to the query and unlike each other.

    Maximal marginal relevance, Carbonell & Goldstein (SIGIR 1998), section 2, with λ = 1 - diversity.

    Args:
        places: Candidates, best first, as rows of ``scores`` and ``vectors``.
        scores: float32, shape ``(n,)``.
        vectors: float32, shape ``(n, dim)``, projected.
        weights: float32, shape ``(dim,)``, of the relation.
        count: How many to choose.
        diversity: 0 keeps the order, 1 looks only at what was chosen before.

    Returns:
        At most ``count`` of the places, in the order chosen.
    """
    left = list(places)
    chosen: list[int] = []
    closest = np.full(len(scores), -1.0)
    while left and len(chosen) < count:
        gains = (1 - diversity) * scores[left] - (diversity * closest[left] if chosen else 0.0)
        best = left.pop(int(np.argmax(gains)))
        chosen.append(best)
        closest = np.maximum(closest, vectors @ (weights * vectors[best]))
    return chosen
