"""Exposure: which items are recommended how often, from hubs that stand everywhere to items never shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError


@dataclass(frozen=True, slots=True)
class Exposure:
    """How recommendations spread over the catalog.

    Attributes:
        skewness: Of k-occurrence, the number of lists an item stands in (Radovanović, Nanopoulos & Ivanović, JMLR
            2010); 0 is even, above 1 there are hubs. 0 when all items stand in equally many lists.
        never: Share of candidates that stand in no list.
        coverage: Share of candidates that stand in one at least: 1 - never.
        gini: Gini coefficient of k-occurrence: 0 when all are shown equally, near 1 when one item is all there is.
        histogram: Bound and count: candidates with a k-occurrence from the bound to below the next one, the bounds
            0, 1, 2, 4, 8, … .
        lists: Number of lists, one for each query.
        k: Their length.
    """

    skewness: float
    never: float
    coverage: float
    gini: float
    histogram: tuple[tuple[int, int], ...]
    lists: int
    k: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "skewness": self.skewness,
            "never": self.never,
            "coverage": self.coverage,
            "gini": self.gini,
            "histogram": [list(entry) for entry in self.histogram],
            "lists": self.lists,
            "k": self.k,
        }


def exposure(top: NDArray[np.int64], candidates: NDArray[np.int64]) -> Exposure:
    """Count how often each candidate is recommended.

    Args:
        top: int64, shape ``(q, k)``: rows listed for each query, -1 for none.
        candidates: int64, shape ``(c,)``: rows that could have been listed.

    Raises:
        InputError: There are no candidates.
    """
    if not len(candidates):
        raise InputError("there are no candidates whose exposure could be counted")
    listed = top[top >= 0]
    counts = np.bincount(listed, minlength=int(candidates.max()) + 1)[candidates]
    never = float((counts == 0).mean())
    bounds = [0, *(1 << power for power in range(int(counts.max()).bit_length()))]
    places = np.searchsorted(bounds, counts, "right") - 1
    histogram = zip(bounds, np.bincount(places, minlength=len(bounds)).tolist(), strict=True)
    return Exposure(skewness(counts), never, 1 - never, gini(counts), tuple(histogram), *top.shape)


def skewness(values: NDArray[np.integer] | NDArray[np.floating]) -> float:
    """Third central moment over the cube of the standard deviation; 0 for equal values. Shape ``(n,)``, n ≥ 1."""
    centred = values - values.mean()
    deviation = float(np.sqrt((centred**2).mean()))
    return float((centred**3).mean() / deviation**3) if deviation > 0 else 0.0


def gini(counts: NDArray[np.integer] | NDArray[np.floating]) -> float:
    """Gini coefficient of non-negative amounts, 0 to 1 - 1/n; 0 when all are zero. Shape ``(n,)``, n ≥ 1."""
    ordered = np.sort(counts).astype(np.float64)
    total, n = ordered.sum(), len(ordered)
    if total == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))
