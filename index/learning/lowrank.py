"""Low-rank Mahalanobis maps: linked items lie within a learned distance of each other, others beyond it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.learning.likelihood import Floats, LinkBatch, accuracy_of, distance_gradients, link_loss, squared_distances
from index.learning.rounds import Objective, Parameters, minimise_in_rounds
from index.learning.training_links import Links, check_ranks, draw_batch, prepare_links, rows_of
from index.types import Vectors

RANKS = (10, 30, 100)
"""Dimensions tried, those of McAuley et al."""

RIDGE = 2e-6
"""Weight of ‖Y‖² beside the mean loss, for rows scaled so that two at random lie 1 apart: ranks are compared by it."""

RIDGES = (RIDGE / 10, RIDGE, RIDGE * 10, RIDGE * 100, RIDGE * 1000)
"""Tried at the rank that was best. Thousands of links between hundreds of items want little; for items that were
never seen, more of it generalises better."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One fit among those that a choice was made from.

    Attributes:
        rank: Dimensions of the map.
        ridge: Regularisation.
        rounds: Batches it took.
        loss: Mean negative log-likelihood of the validation links and negatives; log 2 for a coin.
        accuracy: Share of them on the right side of P = .5.
    """

    rank: int
    ridge: float
    rounds: int
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class LinkMap:
    """A fitted linear map under which the distance of two items tells how likely they are linked.

    Attributes:
        method: ``"low rank"`` or ``"weighted neighbours"``.
        matrix: Y, float32, shape ``(d, K)``.
        shift: c: the squared distance at which a link is as likely as not.
        tried: Every fit that this one was chosen from.
    """

    method: str
    matrix: NDArray[np.float32]
    shift: float
    tried: tuple[Trial, ...]

    def project(self, rows: Vectors) -> Vectors:
        """Map items into the space where distances count: float32, shape ``(n, d)`` → ``(n, K)``."""
        projected: Vectors = np.asarray(rows, np.float32) @ self.matrix
        return projected

    def probability(self, squared: ArrayLike) -> NDArray[np.float64]:
        """P(link) = 1 / (1 + exp(‖(xᵢ−xⱼ)Y‖² − c)) of squared distances between projected rows; same shape."""
        return link_probability(squared, self.shift)


def link_probability(squared: ArrayLike, shift: float) -> NDArray[np.float64]:
    """σ(shift − squared distance), in 0 to 1, float64, same shape."""
    from scipy.special import expit

    found: NDArray[np.float64] = expit(shift - np.asarray(squared, np.float64))
    return found


def fit_low_rank(
    rows: ArrayLike,
    pairs: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    validation: ArrayLike | None = None,
    categories: ArrayLike | None = None,
    same_category: float = 0.0,
    ranks: Sequence[int] = RANKS,
    ridges: Sequence[float] = RIDGES,
    seed: int = 0,
) -> LinkMap:
    """Fit a low-rank Mahalanobis distance with a learned shift to linked pairs.

    McAuley, Targett, Shi & van den Hengel, "Image-based recommendations on styles and substitutes" (SIGIR
    2015, eq. 3–5): P = 1 / (1 + exp(‖(xᵢ−xⱼ)Y‖² − c)), maximum likelihood of the links and of as many
    negatives, here drawn anew each round. Every rank is fitted, then other regularisations at the best of
    them; the one most likely on the validation is returned. Memory grows with items, never with pairs × d.

    Args:
        rows: Item vectors, shape ``(n, d)``; read as float32.
        pairs: Linked items, whole numbers of shape ``(m, 2)``. Direction plays no part.
        weights: How much each pair counts, shape ``(m,)``.
        validation: Links to choose on, shape ``(v, 2)``, none of them in ``pairs``; ``None`` holds out a tenth.
        categories: Whole numbers, shape ``(n,)``.
        same_category: Share of the negatives drawn from the true target's category, 0 to 1.
        ranks: Dimensions K to choose from, each at most d and less than n.
        ridges: Regularisations to choose from; see ``choose``.
        seed: The same seed and input give the same bytes.

    Raises:
        InputError: Input that nothing can be learnt from; the message says what is wrong.
    """
    rng = np.random.default_rng(seed)
    links = prepare_links(
        rows,
        pairs,
        weights=weights,
        validation=validation,
        categories=categories,
        same_category=same_category,
        rng=rng,
    )
    check_ranks(ranks, links)
    point, trial, tried = choose(
        ranks,
        ridges,
        lambda rank: _begin(links, rank, rng),
        lambda start, rank, ridge: _fit_from(start, links, rank, ridge, rng),
    )
    matrix = (point[:-1].reshape(-1, trial.rank) * links.scale).astype(np.float32)
    return LinkMap("low rank", matrix, float(point[-1]), tried)


def choose(
    ranks: Sequence[int],
    ridges: Sequence[float],
    begin: Callable[[int], Parameters],
    fit: Callable[[Parameters, int, float], tuple[Parameters, Trial]],
) -> tuple[Parameters, Trial, tuple[Trial, ...]]:
    """Fit every rank, then the other regularisations at the best of them.

    Args:
        ranks: At least one.
        ridges: At least one; ranks are compared by ``RIDGE`` where it is among them, else by the first.
        begin: Parameters to start a rank from.
        fit: Fits from there, by a rank and a ridge.

    Returns:
        The parameters that were most likely on the validation, their trial, and all trials.
    """
    first = RIDGE if RIDGE in ridges else ridges[0]
    fits = [fit(begin(rank), rank, first) for rank in ranks]
    begun, chosen = min(fits, key=lambda one: one[1].loss)
    fits += [fit(begun, chosen.rank, ridge) for ridge in ridges if ridge != first]
    point, trial = min(fits, key=lambda one: one[1].loss)
    return point, trial, tuple(each for _, each in fits)


def low_rank_loss(
    parameters: Parameters, rows: NDArray[Any], batch: LinkBatch, rank: int, ridge: float, scale: float = 1.0
) -> tuple[float, Parameters]:
    """Regularised loss of one batch and its gradient.

    Args:
        parameters: Y row by row, then c: float64, shape ``(d·rank + 1,)``.
        rows: Of the batch's items, shape ``(n, d)``; its dtype is what is computed in.
        batch: Links and negatives.
        rank: K.
        ridge: Weight of ‖Y‖².
        scale: What the rows are multiplied by, without copying them.
    """
    matrix = (parameters[:-1].reshape(-1, rank) * scale).astype(rows.dtype)
    points = rows @ matrix
    distances = squared_distances(points, points, batch.sources, batch.targets)
    loss, slope = link_loss(distances, float(parameters[-1]), batch)
    by_source, by_target = distance_gradients(points, points, slope, batch)
    by_matrix = rows.T @ (by_source + by_target)
    gradient = np.empty_like(parameters)
    gradient[:-1] = scale * by_matrix.ravel() + 2 * ridge * parameters[:-1]
    gradient[-1] = -slope.sum(dtype=np.float64)
    return loss + ridge * float(np.square(parameters[:-1]).sum()), gradient


def _begin(links: Links, rank: int, rng: np.random.Generator) -> Parameters:
    """A random Y, and the shift at which half of the validation pairs are likelier linked than not."""
    start = np.append(rng.normal(size=links.rows.shape[1] * rank), 0.0)
    start[-1] = float(np.median(_held_distances(start, links, rank)))
    return start


def _held_distances(parameters: Parameters, links: Links, rank: int) -> Floats:
    """Squared distances of the validation pairs, float32, shape ``(v,)``."""
    matrix = (parameters[:-1].reshape(-1, rank) * links.scale).astype(np.float32)
    points = rows_of(links, links.validation) @ matrix
    return squared_distances(points, points, links.validation.sources, links.validation.targets)


def _fit_from(
    start: Parameters, links: Links, rank: int, ridge: float, rng: np.random.Generator
) -> tuple[Parameters, Trial]:
    """Fit one rank and regularisation, beginning at ``start``."""

    def next_objective() -> Objective:
        batch = draw_batch(links, rng)
        rows = rows_of(links, batch)
        return lambda parameters: low_rank_loss(parameters, rows, batch, rank, ridge, links.scale)

    def judge(parameters: Parameters) -> float:
        return link_loss(_held_distances(parameters, links, rank), float(parameters[-1]), links.validation)[0]

    point, loss, rounds = minimise_in_rounds(start, next_objective, judge)
    accuracy = accuracy_of(_held_distances(point, links, rank), float(point[-1]), links.validation)
    return point, Trial(rank, ridge, rounds, loss, accuracy)
