"""Asymmetric maps: a case goes with a camera, but a camera is not what goes with a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.learning.likelihood import (
    Floats,
    LinkBatch,
    accuracy_of,
    distance_gradients,
    link_loss,
    squared_distances,
)
from index.learning.lowrank import RANKS, RIDGES, Trial, choose, link_probability
from index.learning.rounds import Objective, Parameters, minimise_in_rounds
from index.learning.training_links import Links, check_ranks, draw_batch, prepare_links, rows_of
from index.types import Vectors


@dataclass(frozen=True, slots=True)
class TwoMaps:
    """Two fitted maps: what is asked about goes through one, what may answer through the other.

    Attributes:
        source: A, float32, shape ``(d, K)``.
        target: B, float32, shape ``(d, K)``.
        offset: b, added to mapped sources, float32, shape ``(K,)``.
        shift: c: the squared distance at which a link is as likely as not.
        tried: Every fit that this one was chosen from.
    """

    source: NDArray[np.float32]
    target: NDArray[np.float32]
    offset: NDArray[np.float32]
    shift: float
    tried: tuple[Trial, ...]

    def project_sources(self, rows: Vectors) -> Vectors:
        """Map items that are asked about: float32, shape ``(n, d)`` → ``(n, K)``."""
        projected: Vectors = np.asarray(rows, np.float32) @ self.source + self.offset
        return projected

    def project_targets(self, rows: Vectors) -> Vectors:
        """Map items that may answer, which is what an index holds: float32, shape ``(n, d)`` → ``(n, K)``."""
        projected: Vectors = np.asarray(rows, np.float32) @ self.target
        return projected

    def probability(self, squared: ArrayLike) -> NDArray[np.float64]:
        """P(target goes with source) = σ(c − d) of squared distances between the two projections; same shape."""
        return link_probability(squared, self.shift)


def fit_asymmetric(
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
) -> TwoMaps:
    """Fit P(i → j) = σ(c − ‖xᵢA + b − xⱼB‖²) to directed pairs.

    He, Packer & McAuley, "Learning compatibility across categories for heterogeneous item recommendation"
    (ICDM 2016, section "The model"): Monomer embeds the query by one map and candidates by others, mixed by
    weights that depend on the query; this is its case of a single other map, with which one nearest-neighbour
    index answers. The offset b is ours. Likelihood and the choice of K are those of
    `index.learning.lowrank.fit_low_rank`, whose arguments and errors these are; but pairs read source → target,
    and a quarter of the negatives are links turned round, where those are no links themselves.

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
        directed=True,
    )
    check_ranks(ranks, links)
    point, trial, tried = choose(
        ranks,
        ridges,
        lambda rank: _begin(links, rank, rng),
        lambda start, rank, ridge: _fit_from(start, links, rank, ridge, rng),
    )
    source, target, offset = (part.astype(np.float32) for part in _parts(point, trial.rank, links.scale))
    return TwoMaps(source, target, offset, float(point[-1]), tried)


def asymmetric_loss(
    parameters: Parameters, rows: NDArray[Any], batch: LinkBatch, rank: int, ridge: float, scale: float = 1.0
) -> tuple[float, Parameters]:
    """Regularised loss of one batch and its gradient.

    Args:
        parameters: A row by row, B row by row, b, then c: float64, shape ``(2·d·rank + rank + 1,)``.
        rows: Of the batch's items, shape ``(n, d)``; its dtype is what is computed in.
        batch: Links and negatives.
        rank: K.
        ridge: Weight of ‖A‖² + ‖B‖².
        scale: What the rows are multiplied by, without copying them.
    """
    source, target, offset = (part.astype(rows.dtype) for part in _parts(parameters, rank, scale))
    left, right = rows @ source + offset, rows @ target
    distances = squared_distances(left, right, batch.sources, batch.targets)
    loss, slope = link_loss(distances, float(parameters[-1]), batch)
    by_left, by_right = distance_gradients(left, right, slope, batch)
    maps = parameters[: 2 * source.size]
    gradient = np.empty_like(parameters)
    gradient[: source.size] = scale * (rows.T @ by_left).ravel()
    gradient[source.size : 2 * source.size] = scale * (rows.T @ by_right).ravel()
    gradient[: 2 * source.size] += 2 * ridge * maps
    gradient[2 * source.size : -1] = by_left.sum(axis=0)
    gradient[-1] = -slope.sum(dtype=np.float64)
    return loss + ridge * float(np.square(maps).sum()), gradient


def _parts(parameters: Parameters, rank: int, scale: float) -> tuple[Parameters, Parameters, Parameters]:
    """A and B for rows as they are, and b: shapes ``(d, rank)`` twice and ``(rank,)``."""
    maps = (parameters[: -rank - 1] * scale).reshape(2, -1, rank)
    return maps[0], maps[1], parameters[-rank - 1 : -1]


def _begin(links: Links, rank: int, rng: np.random.Generator) -> Parameters:
    """One random map on both sides, for linked items are alike in some ways; c as in the middle link."""
    both = rng.normal(size=links.rows.shape[1] * rank)
    start = np.concatenate([both, both, np.zeros(rank + 1)])
    start[-1] = float(np.median(_held_distances(start, links, rank)))
    return start


def _held_distances(parameters: Parameters, links: Links, rank: int) -> Floats:
    """Squared distances of the validation pairs, float32, shape ``(v,)``."""
    held = rows_of(links, links.validation)
    source, target, offset = (part.astype(np.float32) for part in _parts(parameters, rank, links.scale))
    return squared_distances(held @ source + offset, held @ target, links.validation.sources, links.validation.targets)


def _fit_from(
    start: Parameters, links: Links, rank: int, ridge: float, rng: np.random.Generator
) -> tuple[Parameters, Trial]:
    """Fit one rank and regularisation, beginning at ``start``."""

    def next_objective() -> Objective:
        batch = draw_batch(links, rng)
        rows = rows_of(links, batch)
        return lambda parameters: asymmetric_loss(parameters, rows, batch, rank, ridge, links.scale)

    def judge(parameters: Parameters) -> float:
        return link_loss(_held_distances(parameters, links, rank), float(parameters[-1]), links.validation)[0]

    point, loss, rounds = minimise_in_rounds(start, next_objective, judge)
    accuracy = accuracy_of(_held_distances(point, links, rank), float(point[-1]), links.validation)
    return point, Trial(rank, ridge, rounds, loss, accuracy)
