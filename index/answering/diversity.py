"""Diversity: answers that are close to the query and unlike each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FIRST = 1000
"""Answers beyond this rank are no longer traded for variety: time stays within bounds for any count."""


def diversify(
    places: list[int],
    scores: NDArray[np.float32],
    closeness: Callable[[int], NDArray[np.float32]],
    count: int,
    diversity: float,
) -> list[int]:
    """Choose answers that are close to the query and unlike each other.

    Maximal marginal relevance, Carbonell & Goldstein (SIGIR 1998), section 2, with λ = 1 - diversity.

    Args:
        places: Candidates, best first, as places in ``scores``.
        scores: float32, shape ``(n,)``.
        closeness: Given a place, the scores of all others with it: float32, shape ``(n,)``.
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
        closest = np.maximum(closest, closeness(best))
    return chosen + left[: count - len(chosen)]
