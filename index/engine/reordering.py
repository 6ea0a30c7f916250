"""Reordering: the closest candidates by what surrounds them, on arrays.

Two corrections, alone or together. ``neighbours`` prefers candidates that share their neighbours with the query, by
structural similarity (Xu, Yuruk, Feng & Schweiger, KDD 2007, definition 2) mixed with the score (Zhong, Zheng, Cao &
Li, CVPR 2017, eq. 12). ``local-scale`` measures each distance by how crowded it is at both ends (Zelnik-Manor & Perona,
NIPS 2004, section 2), which takes their places from hubs, items near to very many (Schnitzer, Flexer, Schedl & Widmer,
JMLR 2012, section 3). The mean that all items share is no matter here: facets are centred when a generation is built.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.relations import Rerank

CANDIDATES = 100
"""How many of the closest are put in another order."""

SHARE = 0.3
"""Weight of shared neighbours beside the score. On shop photos, phone photos and songs, from .2 to .35 the first answer
is right as often as without, and the first ten more often; .5 costs first answers."""


def shared_neighbours(asked: NDArray[np.int64], others: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """|Γ(q) ∩ Γ(c)| / √(|Γ(q)| |Γ(c)|): which part of its neighbours each candidate shares with who is asked about.

    Args:
        asked: Γ(q), without repeats, itself among them.
        others: Γ(c) of each candidate, likewise.

    Returns:
        0 to 1, float64, shape ``(len(others),)``.
    """
    sizes = np.array([len(members) for members in others], np.int64)
    if not len(sizes):
        return np.zeros(0)
    inside = np.isin(np.concatenate(others), asked)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return np.asarray(np.add.reduceat(inside, starts, dtype=np.int64) / np.sqrt(sizes * len(asked)))


def mixed(
    how: Rerank, scores: NDArray[np.float32], shared: NDArray[np.float64], scaled: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What candidates are ordered by, higher first.

    Args:
        how: Not ``"none"``.
        scores: The relation's, float32, shape ``(n,)``.
        shared: From ``shared_neighbours``.
        scaled: −d² / (σ_q σ_c), float64, shape ``(n,)``.
    """
    if how == "local-scale":
        return scaled  # in the order of exp(−d² / σσ), which is 0 for all that are far
    return SHARE * shared + (1 - SHARE) * (np.exp(scaled) if how == "both" else scores)
