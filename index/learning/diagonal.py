"""Weighted nearest neighbours: one learned weight for each dimension, the baseline of low-rank maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from index.learning.likelihood import Floats, accuracy_of, link_loss, squared_distances
from index.learning.lowrank import RIDGE, LinkMap, Trial
from index.learning.rounds import Objective, Parameters, minimise_in_rounds
from index.learning.training_links import ROUND_PAIRS, draw_batch, prepare_links, rows_of

SQUARES = 1 << 24
"""Squared differences held at once: 64 MiB."""


def fit_diagonal(
    rows: ArrayLike,
    pairs: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    validation: ArrayLike | None = None,
    categories: ArrayLike | None = None,
    same_category: float = 0.0,
    seed: int = 0,
) -> LinkMap:
    """Fit P = 1 / (1 + exp(‖w∘(xᵢ−xⱼ)‖² − c)) to linked pairs.

    McAuley et al. (SIGIR 2015, section 3, "weighted nearest neighbor"). The loss is convex in w² ≥ 0, which
    is what is fitted, on as many pairs a round as ``SQUARES`` allows: there are only d weights to find.

    Args, errors and result are those of `index.learning.lowrank.fit_low_rank`; ``matrix`` is diagonal, shape
    ``(d, d)``.
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
    dim = links.rows.shape[1]
    ridge = RIDGE
    most = min(ROUND_PAIRS, max(1, SQUARES // dim // 2))
    held = rows_of(links, links.validation)

    def next_objective() -> Objective:
        batch = draw_batch(links, rng, most=most)
        squares = links.rows[batch.items[batch.sources]]
        squares -= links.rows[batch.items[batch.targets]]
        squares *= np.float32(links.scale)
        np.square(squares, out=squares)

        def objective(parameters: Parameters) -> tuple[float, Parameters]:
            loss, slope = link_loss(squares @ parameters[:-1].astype(np.float32), float(parameters[-1]), batch)
            gradient = np.append(slope @ squares + ridge, -slope.sum(dtype=np.float64)).astype(np.float64)
            return loss + ridge * float(parameters[:-1].sum()), gradient

        return objective

    def distances(parameters: Parameters) -> Floats:
        points = held * (np.sqrt(parameters[:-1]) * links.scale).astype(np.float32)
        return squared_distances(points, points, links.validation.sources, links.validation.targets)

    def judge(parameters: Parameters) -> float:
        return link_loss(distances(parameters), float(parameters[-1]), links.validation)[0]

    bounds: list[tuple[float | None, float | None]] = [(0.0, None)] * dim + [(None, None)]
    point, loss, rounds = minimise_in_rounds(np.ones(dim + 1), next_objective, judge, bounds=bounds)
    shift = float(point[-1])
    trial = Trial(dim, ridge, rounds, loss, accuracy_of(distances(point), shift, links.validation))
    matrix = np.diag((np.sqrt(point[:-1]) * links.scale).astype(np.float32))
    return LinkMap("weighted neighbours", matrix, shift, (trial,))
