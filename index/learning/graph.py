"""Re-ranking by the neighbourhood: shared neighbours, and distances measured by how crowded it is around an item."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.engine.reordering import CANDIDATES, SHARE
from index.engine.spaces import unit_rows
from index.engine.surroundings import SCALE_NEIGHBOUR
from index.errors import InputError
from index.learning.checks import checked_pairs, checked_rows
from index.types import Vectors

Graph: TypeAlias = Any
"""Who neighbours whom: a scipy sparse matrix of ones, shape ``(n, n)``, in which everyone neighbours himself."""

_BLOCK = 4096


def centred(rows: ArrayLike) -> Vectors:
    """Take the mean row off and scale to unit length: rows near the common mean are near everything before.

    Suzuki, Hara, Shimbo, Saerens & Fukumizu, "Centering similarity measures to reduce hubs" (EMNLP 2013).
    Rows of a built generation are centred facet by facet already.

    Args:
        rows: Shape ``(n, d)``.

    Returns:
        float32, shape ``(n, d)``, rows of unit length.

    Raises:
        InputError: Fewer than two rows, rows all the same, or a number that is not finite.
    """
    checked = checked_rows(rows)
    return unit_rows(checked - checked.mean(axis=0, dtype=np.float64).astype(np.float32))


def nearest(rows: Vectors, count: int = CANDIDATES) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Every row's nearest others by cosine, exactly, closest first, equals by row number.

    Args:
        rows: float32, shape ``(n, d)``, of unit length.
        count: How many, less than n.

    Returns:
        Row numbers, int64, and cosines, float32, each of shape ``(n, count)``.

    Raises:
        InputError: There are not that many other rows.
    """
    if not 0 < count < len(rows):
        raise InputError(f"expected from 1 to {len(rows) - 1} neighbours among {len(rows)} items, found {count}")
    found = np.empty((len(rows), count), np.int64)
    cosines = np.empty((len(rows), count), np.float32)
    block = max(1, (1 << 24) // len(rows))
    for start in range(0, len(rows), block):
        part = slice(start, min(start + block, len(rows)))
        close = rows[part] @ rows.T
        close[np.arange(part.stop - start), np.arange(start, part.stop)] = -np.inf
        top = np.sort(np.argpartition(-close, count - 1, axis=1)[:, :count], axis=1)
        values = np.take_along_axis(close, top, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        found[part], cosines[part] = np.take_along_axis(top, order, 1), np.take_along_axis(values, order, 1)
    return found, cosines


def neighbour_graph(neighbours: NDArray[np.int64]) -> Graph:
    """The graph in which each item neighbours those listed for it: int64, shape ``(n, k)``."""
    from scipy.sparse import csr_matrix

    count, wide = neighbours.shape
    columns = np.sort(np.concatenate([np.arange(count)[:, None], neighbours], axis=1), axis=1)
    bounds = np.arange(count + 1) * (wide + 1)
    return csr_matrix((np.ones(columns.size, np.float32), columns.ravel(), bounds), shape=(count, count))


def link_graph(pairs: ArrayLike, count: int) -> Graph:
    """The graph in which linked items neighbour each other, in both directions, each pair once.

    Args:
        pairs: Whole numbers, shape ``(m, 2)``.
        count: How many items there are; those without links neighbour themselves alone.

    Raises:
        InputError: No pairs, or pairs that name no item.
    """
    from scipy.sparse import csr_matrix

    links = checked_pairs(pairs, count)
    loops = np.arange(count)
    ends = np.concatenate([links, links[:, ::-1], np.stack([loops, loops], axis=1)])
    graph = csr_matrix((np.ones(len(ends), np.float32), (ends[:, 0], ends[:, 1])), shape=(count, count))
    graph.data[:] = 1
    return graph


def structural_similarity(
    graph: Graph, queries: NDArray[np.int64], candidates: NDArray[np.int64]
) -> NDArray[np.float32]:
    """|Γ(q) ∩ Γ(c)| / √(|Γ(q)| |Γ(c)|): which part of their neighbours two items share, each its own neighbour.

    Xu, Yuruk, Feng & Schweiger, "SCAN: a structural clustering algorithm for networks" (KDD 2007, definition 2).

    Args:
        graph: From `neighbour_graph` or `link_graph`.
        queries: Rows asked about, int64, shape ``(q,)``.
        candidates: Rows that may answer, int64, shape ``(q, m)``.

    Returns:
        0 to 1, float32, shape ``(q, m)``.
    """
    sizes = np.diff(graph.indptr).astype(np.float32)
    wide = candidates.shape[1]
    asked, answers = np.repeat(queries, wide), candidates.ravel()
    shared = np.empty(len(asked), np.float32)
    for start in range(0, len(asked), _BLOCK):
        part = slice(start, start + _BLOCK)
        shared[part] = graph[asked[part]].multiply(graph[answers[part]]).sum(axis=1).A1
    shared /= np.sqrt(sizes[asked] * sizes[answers])
    return shared.reshape(candidates.shape)


def rerank_by_neighbours(
    graph: Graph,
    queries: NDArray[np.int64],
    candidates: NDArray[np.int64],
    scores: NDArray[np.floating[Any]],
    *,
    share: float = SHARE,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Order candidates by score and shared neighbours together, best first.

    The mixture is that of Zhong, Zheng, Cao & Li, "Re-ranking person re-identification with k-reciprocal
    encoding" (CVPR 2017, eq. 12), with structural similarity in place of their Jaccard distance.

    Args:
        graph: From `neighbour_graph` or `link_graph`.
        queries: int64, shape ``(q,)``.
        candidates: int64, shape ``(q, m)``.
        scores: Closeness of each, higher is closer, at most 1, shape ``(q, m)``.
        share: Weight of shared neighbours, 0 (nothing changes) to 1.

    Returns:
        Candidates, int64, and mixed scores, float32, in their new order, each of shape ``(q, m)``.

    Raises:
        InputError: The share is outside 0 to 1.
    """
    if not 0.0 <= share <= 1.0:
        raise InputError(f"expected a share of shared neighbours from 0 to 1, found {share}")
    mixed = share * structural_similarity(graph, queries, candidates) + (1 - share) * scores
    return _ordered(candidates, mixed.astype(np.float32))


def local_scales(cosines: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Each item's own measure of near: the distance to its ``SCALE_NEIGHBOUR``-th neighbour.

    Args:
        cosines: Of each item's nearest, closest first, shape ``(n, k)``; the last counts when there are fewer.

    Returns:
        √(2 − 2 cosine), float32, shape ``(n,)``, never 0.
    """
    last = cosines[:, min(SCALE_NEIGHBOUR, cosines.shape[1]) - 1]
    return np.asarray(np.sqrt(np.maximum(2 - 2 * last, 1e-6)), np.float32)


def rerank_by_local_scale(
    scales: NDArray[np.float32],
    queries: NDArray[np.int64],
    candidates: NDArray[np.int64],
    cosines: NDArray[np.floating[Any]],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Order candidates by exp(−d² / (σ_q σ_c)): what is near by the candidate's own measure comes first.

    Zelnik-Manor & Perona, "Self-tuning spectral clustering" (NIPS 2004, section 2); as a correction of hubs, items
    that are among the nearest of very many: Schnitzer, Flexer, Schedl & Widmer, "Local and global scaling reduce
    hubs in space" (JMLR 2012, section 3). It suits the ``CANDIDATES`` nearest, not the whole catalog.

    Args:
        scales: From `local_scales`, float32, shape ``(n,)``.
        queries: int64, shape ``(q,)``.
        candidates: int64, shape ``(q, m)``.
        cosines: Shape ``(q, m)``.

    Returns:
        Candidates, int64, and scores from 0 to 1, float32, in their new order, each of shape ``(q, m)``.
    """
    squared = np.maximum(2 - 2 * cosines, 0)
    scores = np.exp(-squared / (scales[queries][:, None] * scales[candidates]))
    return _ordered(candidates, scores.astype(np.float32))


def _ordered(
    candidates: NDArray[np.int64], scores: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(scores, order, axis=1)
