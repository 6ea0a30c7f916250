"""From content to behaviour: where new items would lie among those that people have already used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.errors import InputError
from index.learning.checks import checked_rows
from index.types import Vectors

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Regularisations tried, in units of the mean variance of the inputs times the number of items."""

WAVES = 1000
"""Random features of the curved candidate."""

CLEAR_GAIN = 0.02
"""By how much of the variance the curved candidate must explain more to be taken instead of the straight one."""

FOLDS = 5


@dataclass(frozen=True, slots=True)
class ContentMap:
    """A fitted map from content to behaviour vectors.

    Attributes:
        mean: Of the rows learnt from, float32, shape ``(d,)``.
        waves: Directions of random features, float32, shape ``(d, W)``; W is 0 for a linear map.
        phases: float32, shape ``(W,)``.
        matrix: float32, shape ``(d + W, K)``.
        offset: float32, shape ``(K,)``.
        ridge: Regularisation chosen.
        explained: Share of the targets' variance explained on items left out, at most 1.
        tried: For each candidate, its random features, its ridge and what it explained.
        out_of_fold: Predictions for the items learnt from, each by a fit without it, float32, shape ``(n, K)``:
            what predictions for new items look like.
    """

    mean: NDArray[np.float32]
    waves: NDArray[np.float32]
    phases: NDArray[np.float32]
    matrix: NDArray[np.float32]
    offset: NDArray[np.float32]
    ridge: float
    explained: float
    tried: tuple[tuple[int, float, float], ...]
    out_of_fold: Vectors

    def predict(self, rows: Vectors) -> Vectors:
        """Behaviour vectors to be expected of content: float32, shape ``(n, d)`` → ``(n, K)``."""
        predicted: Vectors = _inputs(np.asarray(rows, np.float32) - self.mean, self.waves, self.phases) @ self.matrix
        return predicted + self.offset


def fit_regression(
    rows: ArrayLike, targets: ArrayLike, *, waves: Sequence[int] = (0, WAVES), seed: int = 0
) -> ContentMap:
    """Fit ridge regression from content to behaviour vectors, straight or, where that clearly wins, curved.

    Predicting listening factors from sound for songs without listeners: van den Oord, Dieleman & Schrauwen,
    "Deep content-based music recommendation" (NIPS 2013, section 4, eq. 2: mean squared error). The curved
    candidate adds random Fourier features (Rahimi & Recht, NIPS 2007, algorithm 1), as wide as the median
    distance. Regularisation is chosen by cross-validation in five folds.

    Args:
        rows: Content of items with known behaviour, shape ``(n, d)``; n at least 10.
        targets: Their behaviour vectors, shape ``(n, K)``, from any source.
        waves: Numbers of random features to try; 0 is a linear map.
        seed: The same seed and input give the same bytes.

    Raises:
        InputError: Too few items, shapes that do not fit, a target that is not finite, or constant input.
    """
    content, wanted = checked_rows(rows), checked_rows(targets, what="targets")
    if len(content) != len(wanted):
        raise InputError(f"expected one target for each of {len(content)} rows, found {len(wanted)}")
    if len(content) < 2 * FOLDS:
        raise InputError(f"expected at least {2 * FOLDS} items with known behaviour, found {len(content)}")
    if not waves or min(waves) < 0:
        raise InputError(f"expected numbers of random features, 0 or more, found {list(waves)}")
    rng = np.random.default_rng(seed)
    fold = rng.permutation(len(content)) % FOLDS
    fits = [_fit(content, wanted, fold, number, rng) for number in sorted(waves)]
    best = fits[0]
    for other in fits[1:]:
        best = other if other.explained > best.explained + CLEAR_GAIN else best
    tried = tuple(trial for fit in fits for trial in fit.tried)
    return ContentMap(
        best.mean,
        best.waves,
        best.phases,
        best.matrix,
        best.offset,
        best.ridge,
        best.explained,
        tried,
        best.out_of_fold,
    )


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes predicted vectors comparable with known ones: ``(p − mean) · scale + known_mean``.

    Attributes:
        mean: Of predictions, float32, shape ``(K,)``.
        scale: float32, shape ``(K,)``.
        known_mean: Of known vectors, float32, shape ``(K,)``.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    known_mean: NDArray[np.float32]

    def apply(self, predicted: Vectors) -> Vectors:
        """Calibrated predictions, float32, shape ``(n, K)``."""
        calibrated: Vectors = (predicted - self.mean) * self.scale + self.known_mean
        return calibrated


def calibrate(known: ArrayLike, out_of_fold: ArrayLike) -> Calibration:
    """Give predictions the mean and the variance of known vectors, dimension by dimension.

    Least squares predicts towards the mean: predictions are shorter, and lie closer to each other and to the
    middle than what they stand for. Compared by cosine with known vectors they are then near to everything,
    and crowd what is known out of its own neighbourhoods.

    Args:
        known: Behaviour vectors, shape ``(n, K)``.
        out_of_fold: Predictions for the same items by fits without them, shape ``(n, K)``; predictions by a fit
            that has seen the items vary more than those for new ones.

    Raises:
        InputError: Shapes that differ, a number that is not finite, or predictions that are all the same.
    """
    vectors = checked_rows(known, what="known vectors")
    predicted = checked_rows(out_of_fold, what="predictions")
    if vectors.shape != predicted.shape:
        raise InputError(f"expected a prediction for each known vector, found {predicted.shape} for {vectors.shape}")
    spread, wanted = predicted.std(axis=0, dtype=np.float64), vectors.std(axis=0, dtype=np.float64)
    scale = np.divide(wanted, spread, out=np.zeros_like(wanted), where=spread > 1e-6 * wanted.max())
    return Calibration(
        predicted.mean(axis=0, dtype=np.float64).astype(np.float32),
        scale.astype(np.float32),
        vectors.mean(axis=0, dtype=np.float64).astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class Placing:
    """Content and behaviour in one space, in which neither crowds the other out: see ``index.engine.sphere``.

    What counts is the direction of points from 0. Dimensions are principal axes of the behaviour vectors, so that
    the first ones, without the rest, are the best space of fewer dimensions.

    Attributes:
        matrix: From content less ``mean`` to points, float32, shape ``(d, K)``.
        mean: Of the content of items with known behaviour, float32, shape ``(d,)``.
        known: Where those items are by their behaviour, float32, shape ``(m, K)``.
        as_new: Where fits without them put them by their content, likewise: what new items are like.
        explained: Share of the behaviour vectors' variance that is predicted for items left out, at most 1.
    """

    matrix: NDArray[np.float32]
    mean: NDArray[np.float32]
    known: Vectors
    as_new: Vectors
    explained: float


def place_behaviour(rows: ArrayLike, vectors: ArrayLike, *, seed: int = 0) -> Placing:
    """Bring content and behaviour vectors into one space, by a straight fit and its calibration.

    Args:
        rows: Content of items with known behaviour, shape ``(m, d)``.
        vectors: Their behaviour vectors, shape ``(m, K)``.
        seed: Of the folds.

    Raises:
        InputError: As ``fit_regression`` and ``calibrate``.
    """
    content, wanted = checked_rows(rows), checked_rows(vectors, what="behaviour vectors")
    centred = wanted - wanted.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    known = np.asarray(centred @ axes[:, ::-1], np.float32)
    learned = fit_regression(content, known, waves=(0,), seed=seed)
    calibration = calibrate(known, learned.out_of_fold)
    return Placing(
        matrix=learned.matrix * calibration.scale,
        mean=learned.mean,
        known=known,
        as_new=calibration.apply(learned.out_of_fold),
        explained=learned.explained,
    )


def _inputs(centred: Vectors, waves: NDArray[np.float32], phases: NDArray[np.float32]) -> Vectors:
    """Content beside its random features, these as long in all as content is: float32, ``(n, d + W)``."""
    if not len(phases):
        return centred
    features = np.cos(centred @ waves + phases)
    features *= np.float32(np.sqrt(2 / len(phases)))
    return np.hstack([centred, features])


def _fit(rows: Vectors, targets: Vectors, fold: NDArray[np.int64], number: int, rng: np.random.Generator) -> ContentMap:
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = rows - mean
    some = rng.integers(0, len(rows), (2, 1000))
    width = float(np.median(np.linalg.norm(centred[some[0]] - centred[some[1]], axis=1))) or 1.0
    waves = (rng.normal(size=(rows.shape[1], number)) / width).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, number).astype(np.float32)
    inputs = _inputs(centred, waves, phases)
    predicted = np.empty((len(RIDGES), *targets.shape), np.float32)
    for left_out in range(FOLDS):
        inside = fold != left_out
        for place, (matrix, offset) in enumerate(_solve(inputs[inside], targets[inside], RIDGES)):
            predicted[place, ~inside] = inputs[~inside] @ matrix + offset
    total = float(np.square(targets - targets.mean(axis=0)).sum(dtype=np.float64))
    explained = [1 - float(np.square(targets - one).sum(dtype=np.float64)) / total for one in predicted]
    best = int(np.argmax(explained))
    ((matrix, offset),) = _solve(inputs, targets, RIDGES[best : best + 1])
    tried = tuple((number, ridge, gain) for ridge, gain in zip(RIDGES, explained, strict=True))
    return ContentMap(mean, waves, phases, matrix, offset, RIDGES[best], explained[best], tried, predicted[best].copy())


def _solve(
    inputs: Vectors, targets: Vectors, ridges: Sequence[float]
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Matrix and offset for each ridge, from one eigendecomposition; through the smaller side of the inputs."""
    middle, goal = inputs.mean(axis=0, dtype=np.float64), targets.mean(axis=0, dtype=np.float64)
    centred, wanted = inputs - middle, targets - goal
    tall = centred.shape[0] >= centred.shape[1]
    values, axes = np.linalg.eigh(centred.T @ centred if tall else centred @ centred.T)
    projected = axes.T @ (centred.T @ wanted if tall else wanted)
    unit = max(float(np.maximum(values, 0).sum()) / centred.shape[1], 1e-12)
    found = []
    for ridge in ridges:
        solved = axes @ (projected / (np.maximum(values, 0) + ridge * unit)[:, None])
        matrix = solved if tall else centred.T @ solved
        found.append((matrix.astype(np.float32), (goal - middle @ matrix).astype(np.float32)))
    return found
