"""The ways of fitting a relation, in one form: edges between rows in, two maps and a shift out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.learning.asymmetric import fit_asymmetric
from index.learning.diagonal import fit_diagonal
from index.learning.lowrank import Trial, fit_low_rank
from index.learning.negatives import random_negatives
from index.learning.regression import fit_regression
from index.learning.splits import Pairs
from index.learning.triplets import fit_triplets
from index.types import Vectors

SAME_CATEGORY = 0.5
"""Share of the negatives drawn from the right answer's own category, where there are categories: told from them
alone, a relation would learn the categories."""


@dataclass(frozen=True, slots=True)
class Maps:
    """P(j answers i) = 1 / (1 + exp(‖xᵢA + b − xⱼB‖² − c)), whatever it was fitted by.

    Attributes:
        source: A, float32, shape ``(d, K)``.
        target: B, likewise; A itself when the relation has no direction.
        offset: b, float32, shape ``(K,)``.
        shift: c.
        tried: Fits that this one was chosen from by validation; empty where there is nothing to choose.
    """

    source: NDArray[np.float32]
    target: NDArray[np.float32]
    offset: NDArray[np.float32]
    shift: float
    tried: tuple[Trial, ...]

    @property
    def rank(self) -> int:
        """K."""
        return int(self.source.shape[1])


@dataclass(frozen=True, slots=True)
class Task:
    """What a relation is fitted to.

    Attributes:
        rows: float32, shape ``(n, d)``.
        pairs: int64, shape ``(m, 2)``.
        weights: float32, shape ``(m,)``.
        validation: int64, shape ``(v, 2)``; ``None`` holds out a tenth.
        categories: int64, shape ``(n,)``, -1 for none; ``None`` where nobody has any.
        ranks: Dimensions to choose from.
        ridges: Regularisations to choose from.
        seed: Of all that is random.
    """

    rows: Vectors
    pairs: Pairs
    weights: NDArray[np.float32]
    validation: Pairs | None
    categories: NDArray[np.int64] | None
    ranks: Sequence[int]
    ridges: Sequence[float]
    seed: int

    @property
    def same_category(self) -> float:
        """Share of negatives of the right answer's category."""
        return 0.0 if self.categories is None else SAME_CATEGORY


Fit: TypeAlias = Callable[[Task], Maps]


def low_rank(task: Task) -> Maps:
    """``index.learning.lowrank.fit_low_rank``."""
    found = fit_low_rank(
        task.rows, task.pairs, weights=task.weights, validation=task.validation, categories=task.categories,
        same_category=task.same_category, ranks=task.ranks, ridges=task.ridges, seed=task.seed,
    )  # fmt: skip
    return _symmetric(found.matrix, found.shift, found.tried)


def asymmetric(task: Task) -> Maps:
    """``index.learning.asymmetric.fit_asymmetric``."""
    found = fit_asymmetric(
        task.rows, task.pairs, weights=task.weights, validation=task.validation, categories=task.categories,
        same_category=task.same_category, ranks=task.ranks, ridges=task.ridges, seed=task.seed,
    )  # fmt: skip
    return Maps(found.source, found.target, found.offset, found.shift, found.tried)


def neighbours(task: Task) -> Maps:
    """``index.learning.diagonal.fit_diagonal``: one weight for each dimension."""
    found = fit_diagonal(
        task.rows, task.pairs, weights=task.weights, validation=task.validation, categories=task.categories,
        same_category=task.same_category, seed=task.seed,
    )  # fmt: skip
    return _symmetric(found.matrix, found.shift, ())


def triplets(task: Task) -> Maps:
    """``index.learning.triplets.fit_triplets`` at the largest rank, scaled so that distances are log-odds."""
    matrix = fit_triplets(
        task.rows, task.pairs, weights=task.weights, validation=task.validation, categories=task.categories,
        rank=max(task.ranks), seed=task.seed,
    ).matrix  # fmt: skip
    scale, shift = log_odds(task.rows @ matrix, task.pairs, task.seed)
    return _symmetric((matrix * np.sqrt(scale)).astype(np.float32), shift, ())


def regression(task: Task) -> Maps:
    """``index.learning.regression.fit_regression`` from content to vectors of co-occurrence, at the largest rank.

    The targets are those that Item2Vec approaches: the truncated SVD of the positive pointwise mutual information
    of linked items (Levy & Goldberg, NIPS 2014, section 4), each half of a singular value on either side.
    """
    linked, vectors = cooccurrence(task.pairs, task.weights, len(task.rows), max(task.ranks))
    learned = fit_regression(task.rows[linked], vectors, waves=(0,), seed=task.seed)
    scale, shift = log_odds(task.rows @ learned.matrix, task.pairs, task.seed)
    return _symmetric((learned.matrix * np.sqrt(scale)).astype(np.float32), shift, ())


METHODS: Mapping[str, Fit] = {
    "low-rank": low_rank,
    "asymmetric": asymmetric,
    "triplets": triplets,
    "regression": regression,
    "neighbours": neighbours,
}
"""As typed after ``--method``."""


def cooccurrence(
    pairs: Pairs, weights: NDArray[np.float32], count: int, rank: int
) -> tuple[NDArray[np.int64], Vectors]:
    """Vectors of items by what they are linked with.

    Args:
        pairs: int64, shape ``(m, 2)``; direction plays no part.
        weights: float32, shape ``(m,)``.
        count: Number of rows.
        rank: Dimensions, fewer where fewer items are linked.

    Returns:
        The rows that have links, int64 ascending, shape ``(l,)``, and their vectors, float32, shape ``(l, K)``.
    """
    from scipy.sparse import csr_matrix, diags_array
    from scipy.sparse.linalg import svds

    linked, ends = np.unique(pairs, return_inverse=True)
    ends = ends.reshape(pairs.shape)
    size = len(linked)
    both = csr_matrix((np.tile(weights, 2), np.hstack([ends.T, ends[:, ::-1].T])), shape=(size, size), dtype=float)
    degrees = np.asarray(both.sum(axis=1)).ravel()
    lift = (diags_array(1 / degrees) @ both @ diags_array(1 / degrees)) * degrees.sum()
    lift.data = np.log(np.maximum(lift.data, 1.0))  # positive mutual information; what never meets counts as none
    dims = min(rank, size - 2)
    values, axes = np.linalg.eigh(lift.toarray()) if size <= 4 * dims else svds(lift, dims, random_state=0)[1::-1]
    order = np.argsort(-np.abs(values))[:dims]
    return linked, np.asarray(axes[:, order] * np.sqrt(np.abs(values[order])), np.float32)


def log_odds(points: Vectors, pairs: Pairs, seed: int, most: int = 20_000) -> tuple[float, float]:
    """Fit P(link) = 1 / (1 + exp(a·d² − c)) to distances, as Platt (1999) fits a sigmoid to scores.

    Args:
        points: float32, shape ``(n, K)``.
        pairs: Linked, int64, shape ``(m, 2)``; as many others are drawn as negatives.
        seed: Of what is drawn.
        most: Pairs looked at.

    Returns:
        a, above 0, and c.
    """
    from scipy.optimize import minimize
    from scipy.special import expit, log_expit

    rng = np.random.default_rng(seed)
    some = pairs[rng.permutation(len(pairs))[:most]]
    places, others = random_negatives(some, pairs, np.unique(pairs), seed=seed)
    both = np.concatenate([some[places], others])
    squared = np.square(points[both[:, 0]] - points[both[:, 1]]).sum(axis=1, dtype=np.float64)
    signs = np.repeat([1.0, -1.0], [len(places), len(others)])
    unit = float(squared.mean()) or 1.0

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scale = np.exp(at[0])
        margins = signs * (at[1] - scale * squared / unit)
        slope = -signs * expit(-margins)
        gradient = np.array([-(slope * scale * squared / unit).mean(), slope.mean()])
        return -float(log_expit(margins).mean()), gradient

    best = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-10, 10), (None, None)]).x
    return float(np.exp(best[0]) / unit), float(best[1])


def _symmetric(matrix: NDArray[np.float32], shift: float, tried: tuple[Trial, ...]) -> Maps:
    return Maps(matrix, matrix, np.zeros(matrix.shape[1], np.float32), shift, tried)
