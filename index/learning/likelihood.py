"""The likelihood of links under squared distances, and its gradient, without a matrix of pairs by dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

BLOCK_NUMBERS = 1 << 19
"""Differences held at once: two megabytes, which stay in cache."""

Floats: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class LinkBatch:
    """Linked and unlinked pairs between the items concerned, sorted by source.

    Attributes:
        items: Rows concerned, int64, shape ``(n,)``, rising; pairs count within this list.
        sources, targets: int64, shape ``(m,)``.
        signs: +1 for a link, −1 for none; float32, shape ``(m,)``.
        weights: Summing to 1; float32, shape ``(m,)``.
        bounds: Where each source's pairs begin, int64, shape ``(n + 1,)``.
        origins: For each pair, the number of the link that it is or was drawn for, int64, shape ``(m,)``.
    """

    items: NDArray[np.int64]
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    signs: NDArray[np.float32]
    weights: NDArray[np.float32]
    bounds: NDArray[np.int64]
    origins: NDArray[np.int64]


def make_batch(
    links: NDArray[np.int64],
    negatives: NDArray[np.int64],
    link_weights: NDArray[np.float32],
    negative_weights: NDArray[np.float32],
    origins: NDArray[np.int64],
) -> LinkBatch:
    """Put links and negatives into one batch in which either kind weighs one half in all.

    Args:
        links: int64, shape ``(m, 2)``; ``link_weights`` float32, shape ``(m,)``, not all zero.
        negatives: int64, shape ``(k, 2)``; ``negative_weights`` float32, shape ``(k,)``.
        link_weights: How much each link counts among the links.
        negative_weights: How much each negative counts among the negatives.
        origins: Whatever number links, then negatives, are to be known by; int64, shape ``(m + k,)``.
    """
    pairs = np.concatenate([links, negatives])
    items, local = np.unique(pairs, return_inverse=True)
    local = local.reshape(pairs.shape)
    order = np.lexsort((local[:, 1], local[:, 0]))
    signs = np.repeat(np.array([1, -1], np.float32), [len(links), len(negatives)])
    negative_total = max(float(negative_weights.sum()), 1e-12)
    weights = np.concatenate([link_weights / link_weights.sum() / 2, negative_weights / negative_total / 2])
    sources = local[order, 0]
    return LinkBatch(
        items=items,
        sources=sources,
        targets=np.ascontiguousarray(local[order, 1]),
        signs=signs[order],
        weights=weights[order].astype(np.float32),
        bounds=np.searchsorted(sources, np.arange(len(items) + 1)),
        origins=origins[order],
    )


def squared_distances(left: Floats, right: Floats, sources: NDArray[np.int64], targets: NDArray[np.int64]) -> Floats:
    """‖left[source] − right[target]‖² for each pair: dtype of ``left``, shape ``(m,)``, block by block."""
    found: Floats = np.empty(len(sources), left.dtype)
    block = max(64, BLOCK_NUMBERS // left.shape[1])
    for start in range(0, len(sources), block):
        part = slice(start, start + block)
        difference = left[sources[part]]
        difference -= right[targets[part]]
        np.einsum("ij,ij->i", difference, difference, out=found[part])
    return found


def link_loss(distances: Floats, shift: float, batch: LinkBatch) -> tuple[float, Floats]:
    """Mean negative log-likelihood of a batch under P = σ(shift − distance), and its slope.

    McAuley et al. (SIGIR 2015, section 3): P(link) = 1 / (1 + exp(d − c)), and the log-likelihood sums
    log P over links and log (1 − P) over as many negatives.

    Returns:
        The loss, at log 2 for a coin; and its derivative by each distance, dtype and shape of ``distances``.
        The derivative by the shift is minus the sum of these.
    """
    from scipy.special import expit, log_expit

    margins = batch.signs * (shift - distances)
    loss = -float(np.dot(batch.weights.astype(np.float64), log_expit(margins).astype(np.float64)))
    slope: Floats = batch.weights * batch.signs * expit(-margins)
    return loss, slope.astype(distances.dtype, copy=False)


def distance_gradients(left: Floats, right: Floats, slope: Floats, batch: LinkBatch) -> tuple[Floats, Floats]:
    """Gradients of Σ slope·‖left[source] − right[target]‖² by ``left`` and by ``right``.

    With A the sparse matrix of slopes, they are 2 (diag(A1) left − A right) and 2 (diag(Aᵀ1) right − Aᵀ left):
    two sparse products, instead of adding m differences up row by row.

    Args:
        left, right: Shape ``(n, K)``, rows in the order of ``batch.items``.
        slope: Shape ``(m,)``.
        batch: Which pairs the slopes belong to.
    """
    from scipy.sparse import csr_matrix

    count = len(batch.items)
    links = csr_matrix((slope, batch.targets, batch.bounds), shape=(count, count))
    leaving = np.bincount(batch.sources, slope, count).astype(left.dtype)[:, None]
    arriving = np.bincount(batch.targets, slope, count).astype(left.dtype)[:, None]
    by_left: Floats = 2 * (leaving * left - links @ right)
    by_right: Floats = 2 * (arriving * right - links.T @ left)
    return by_left, by_right


def accuracy_of(distances: Floats, shift: float, batch: LinkBatch) -> float:
    """Share, by weight, of a batch on the right side of P = .5."""
    return float(batch.weights[(distances < shift) == (batch.signs > 0)].sum() / batch.weights.sum())
