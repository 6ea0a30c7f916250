"""The ways of fitting a relation, in one form: edges between rows in, two maps and a shift out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.engine.spaces import unit_rows
from index.engine.sphere import Sphere
from index.errors import InputError
from index.learning.asymmetric import fit_asymmetric
from index.learning.diagonal import fit_diagonal
from index.learning.lowrank import RIDGES, Trial, fit_low_rank
from index.learning.negatives import random_negatives
from index.learning.regression import Placing, place_behaviour
from index.learning.splits import Pairs
from index.learning.targets import Known, Targets, cooccurrence
from index.learning.triplets import fit_triplets
from index.types import Vectors

SAME_CATEGORY = 0.5
"""Share of the negatives drawn from the right answer's own category, where there are categories: told from them
alone, a relation would learn the categories."""

LEAST_KNOWN = 10
"""Items with behaviour that a regression needs."""

LEANS = (0.0, 0.1, 0.25, 0.5)
"""How much of the prediction is added to the behaviour vectors of known items, to choose from."""

HELD_OUT = 10
"""One in so many links is held out where no validation is given."""


@dataclass(frozen=True, slots=True)
class Maps:
    """P(j answers i) = 1 / (1 + exp(‖xᵢA + b − xⱼB‖² − c)), whatever it was fitted by.

    Attributes:
        source: A, float32, shape ``(d, K)``.
        target: B, likewise; A itself when the relation has no direction.
        offset: b, float32, shape ``(K,)``.
        shift: c.
        tried: Fits that this one was chosen from by validation; empty where there is nothing to choose.
        sphere: On which places lie, after these maps, if they do.
        known: Places on it of rows whose behaviour is known.
    """

    source: NDArray[np.float32]
    target: NDArray[np.float32]
    offset: NDArray[np.float32]
    shift: float
    tried: tuple[Trial, ...]
    sphere: Sphere | None = None
    known: Known | None = None

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
        targets: Where behaviour vectors come from; see ``regression``.
    """

    rows: Vectors
    pairs: Pairs
    weights: NDArray[np.float32]
    validation: Pairs | None
    categories: NDArray[np.int64] | None
    ranks: Sequence[int]
    ridges: Sequence[float]
    seed: int
    targets: Targets = cooccurrence

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
    odds = log_odds(task.rows @ matrix, task.pairs, task.seed)
    return _symmetric((matrix * np.sqrt(odds.scale)).astype(np.float32), odds.shift, ())


def regression(task: Task) -> Maps:
    """``index.learning.regression.place_behaviour`` from content to behaviour vectors.

    The vector of an item that was seldom used, or whose use the first dimensions do not show, is short, and its
    direction is chance. So to each vector some of the prediction for that item, by a fit without it, is added: what
    is long stays where it is, and what is short goes where its content points.

    How much is added, and how many dimensions count, is chosen, and how the odds of a link fall with distance is
    fitted, by links that no behaviour vector has seen: the task's validation, or a tenth. There known items are as new
    as those of the catalog are: they count at their predicted place in the share that items without behaviour have.

    Raises:
        InputError: Too few items with behaviour, or as ``place_behaviour``.
    """
    rng = np.random.default_rng(task.seed)
    held, inner = task.validation, task
    if held is None:
        side = rng.permutation(len(task.pairs)) < len(task.pairs) // HELD_OUT
        held = task.pairs[side]
        inner = replace(task, pairs=task.pairs[~side], weights=task.weights[~side])
    known, placing = _placed(inner)
    new = rng.random(len(known.rows)) < 1 - len(known.rows) / len(task.rows)
    points = (task.rows - placing.mean) @ placing.matrix
    ranks = sorted({min(rank, points.shape[1]) for rank in task.ranks})
    found: dict[int, tuple[LogOdds, float]] = {}
    for lean in LEANS:
        points[known.rows] = np.where(new[:, None], placing.as_new, placing.known + lean * placing.as_new)
        for rank in ranks:
            odds = log_odds(unit_rows(points[:, :rank]), held if len(held) else task.pairs, task.seed)
            if rank not in found or odds.loss < found[rank][0].loss:
                found[rank] = odds, lean
    if inner is not task:
        known, placing = _placed(task)
    tried = tuple(Trial(rank, RIDGES[0], 1, odds.loss, odds.accuracy) for rank, (odds, _) in found.items())
    rank = min(tried, key=lambda trial: trial.loss).rank
    odds, lean = found[rank]
    sphere = Sphere(placing.mean, float(np.sqrt(odds.scale)))
    places = sphere.on((placing.known + np.float32(lean) * placing.as_new)[:, :rank])
    maps = _symmetric(placing.matrix[:, :rank], odds.shift, tried)
    return replace(maps, sphere=sphere, known=Known(known.rows, places))


def _placed(task: Task) -> tuple[Known, Placing]:
    known = task.targets(task.pairs, task.weights, max(task.ranks), task.seed)
    if len(known.rows) < LEAST_KNOWN:
        raise InputError(
            f"behaviour is known of {len(known.rows)} items with vectors in this catalog; at least {LEAST_KNOWN} are "
            "needed to learn how content tells it"
        )
    return known, place_behaviour(task.rows[known.rows], known.vectors, seed=task.seed)


METHODS: Mapping[str, Fit] = {
    "low-rank": low_rank,
    "asymmetric": asymmetric,
    "triplets": triplets,
    "regression": regression,
    "neighbours": neighbours,
}
"""As typed after ``--method``."""


@dataclass(frozen=True, slots=True)
class LogOdds:
    """P(link) = 1 / (1 + exp(a·d² − c)), fitted to distances.

    Attributes:
        scale: a, above 0.
        shift: c.
        loss: Mean negative log-likelihood of the links and negatives; log 2 for a coin.
        accuracy: Share of them on the right side of P = .5.
    """

    scale: float
    shift: float
    loss: float
    accuracy: float


def log_odds(points: Vectors, pairs: Pairs, seed: int, most: int = 20_000) -> LogOdds:
    """Fit P(link) = 1 / (1 + exp(a·d² − c)) to distances, as Platt (1999) fits a sigmoid to scores.

    Args:
        points: float32, shape ``(n, K)``.
        pairs: Linked, int64, shape ``(m, 2)``; as many others are drawn as negatives.
        seed: Of what is drawn.
        most: Pairs looked at.
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

    best = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-10, 10), (None, None)])
    scale, shift = float(np.exp(best.x[0]) / unit), float(best.x[1])
    accuracy = float(((shift - scale * squared > 0) == (signs > 0)).mean())
    return LogOdds(scale, shift, float(best.fun), accuracy)


def _symmetric(matrix: NDArray[np.float32], shift: float, tried: tuple[Trial, ...]) -> Maps:
    return Maps(matrix, matrix, np.zeros(matrix.shape[1], np.float32), shift, tried)
