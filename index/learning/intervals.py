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
    if clusters is None:
        sums, counts = values, np.ones(len(values))
    else:
        _, own = np.unique(clusters[fine], return_inverse=True)
        own = own.reshape(-1)
        sums, counts = np.bincount(own, values), np.bincount(own).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = []
    step = max(1, CELLS // len(sums))
    for start in range(0, RESAMPLES, step):
        drawn = rng.integers(0, len(sums), (min(step, RESAMPLES - start), len(sums)), dtype=np.int64)
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    mean = math.fsum(values) / len(values)
    return Interval(mean, min(mean, float(low)), max(mean, float(high)), len(values))
