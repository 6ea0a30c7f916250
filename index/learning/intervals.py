"""Bootstrap intervals: how far a mean over queries might lie from what other queries would have given."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError

RESAMPLES = 1000
LEVEL = 0.95
CELLS = 1 << 21
"""Drawn query numbers held at once: 16 MB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % bootstrap interval.

    Attributes:
        value: The mean over all observations.
        low, high: Bounds of the interval; equal to the value when every query agrees.
        n: Observations behind the mean (queries, or edges).
    """

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, float | int]:
        """As plain JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(values: NDArray[np.floating], *, seed: int, clusters: NDArray[np.int64] | None = None) -> Interval:
    """The mean of observations with its percentile bootstrap interval (Efron 1979), queries drawn with replacement.

    For a paired comparison, give the differences of the two sides on the same observations.

    Args:
        values: Shape ``(m,)``; those that are NaN are left out.
        seed: The same values and seed give the same interval.
        clusters: int64, shape ``(m,)``: observations with the same number, such as the edges of one query, are
            drawn together, since they are not independent. Each by itself when not given.

    Raises:
        InputError: Nothing is left to average.
    """
    fine = ~np.isnan(values)
    values = values[fine].astype(np.float64)
    if not len(values):
        raise InputError("there is nothing to average; give queries whose targets are among the candidates")
    own = np.arange(len(values)) if clusters is None else _numbered(clusters[fine])
    sums: NDArray[np.float64] = np.bincount(own, values).astype(np.float64)
    counts = np.bincount(own)
    rng = np.random.default_rng(seed)
    means = []
    step = max(1, CELLS // len(sums))
    for start in range(0, RESAMPLES, step):
        drawn = rng.integers(0, len(sums), (min(step, RESAMPLES - start), len(sums)), dtype=np.int64)
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return _interval(math.fsum(values) / len(values), np.concatenate(means), len(values))


def bootstrap_auc(
    positive: NDArray[np.floating], negative: NDArray[np.floating], *, seed: int, clusters: NDArray[np.int64]
) -> Interval:
    """The AUC: how probably a link scores above a non-link, ties half (Mann & Whitney 1947), by query resampled.

    Args:
        positive, negative: Scores, shape ``(m,)``: each link and the non-link of the same query.
        seed: The same scores and seed give the same interval.
        clusters: int64, shape ``(m,)``: query of each.

    Raises:
        InputError: There are no links.
    """
    if not len(positive):
        raise InputError("the AUC needs links and non-links; there are none")
    own = _numbered(clusters)
    queries = int(own.max()) + 1
    ordered = np.unique(np.concatenate([positive, negative]))
    of_positive, of_negative = np.searchsorted(ordered, positive), np.searchsorted(ordered, negative)

    def area(times: NDArray[np.integer]) -> float:
        """With each query counted as often as it was drawn."""
        weights = times[own].astype(np.float64)
        at = np.bincount(of_negative, weights, minlength=len(ordered))
        below = np.cumsum(at) - at / 2
        return float(weights @ below[of_positive] / weights.sum() ** 2)

    rng = np.random.default_rng(seed)
    drawn = (rng.integers(0, queries, queries) for _ in range(RESAMPLES))
    areas = np.array([area(np.bincount(some, minlength=queries)) for some in drawn])
    return _interval(area(np.ones(queries, np.int64)), areas, len(own))


def _numbered(clusters: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(clusters, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _interval(value: float, resampled: NDArray[np.float64], n: int) -> Interval:
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, min(value, float(low)), max(value, float(high)), n)
