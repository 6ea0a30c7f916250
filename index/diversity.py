"""Diversity: answers that are close to the query and unlike each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.types import Vectors

FIRST = 1000
"""Answers beyond this rank are no longer traded for variety: time stays within bounds for any count."""


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
    while left and len(chosen) < min(count, FIRST):
        gains = (1 - diversity) * scores[left] - (diversity * closest[left] if chosen else 0.0)
        best = left.pop(int(np.argmax(gains)))
        chosen.append(best)
        closest = np.maximum(closest, vectors @ (weights * vectors[best]))
    return chosen + left[: count - len(chosen)]
