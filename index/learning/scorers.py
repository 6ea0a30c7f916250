"""Scorers: how close pairs of rows are, in one form that every way of recommending can be judged by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.engine.spaces import unit_rows
from index.errors import InputError
from index.relations import CandidateRule
from index.types import Vectors

Scorer: TypeAlias = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""Rows of queries and rows of candidates → scores, float32, finite, higher is closer.

Row numbers are int64 and broadcast as numpy's arrays do: ``(m,)`` with ``(m,)`` gives the scores of m pairs,
``(q, 1)`` with ``(1, c)`` a table of shape ``(q, c)``. A pair has the same score in either form.
"""

PAIRS = 1 << 14
"""Pairs scored at once."""

BARRED = 1e6
"""Taken off the score of whoever may not answer: more than scores differ by."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of recommending, as it is judged beside others.

    Attributes:
        name: As shown in tables.
        score: Its scores.
        threshold: Score above which it says "linked": 0.5 for a probability, 0 for the logarithm of its odds.
            None when its scores are no probabilities: the threshold that is best on training edges is then used.
    """

    name: str
    score: Scorer
    threshold: float | None = None


def cosine_scorer(rows: Vectors) -> Scorer:
    """The cosine of two rows, to six decimals, which is as far as float32 carries: equal rows then tie exactly.

    Args:
        rows: float32, shape ``(n, d)``; an all-zero row scores 0 with everything.
    """
    units = unit_rows(rows)

    def score(queries: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.round(_products(units, units, queries, candidates), 6)

    return score


def link_scorer(sources: Vectors, targets: Vectors, shift: float) -> Scorer:
    """The log-odds of a link, c - ‖sᵢ - tⱼ‖², of a low-rank map that was fitted.

    The probability is 1 / (1 + exp(‖sᵢ - tⱼ‖² - c)) (McAuley, Targett, Shi & van den Hengel, SIGIR 2015, eq. 3-5),
    so P > 0.5 where this exceeds 0. Odds are scored, since float32 cannot tell probabilities near 1 apart.

    Args:
        sources: float32, shape ``(n, k)``, items as they are asked about, mapped.
        targets: float32, shape ``(n, k)``, items as they answer; the same array for a symmetric relation.
        shift: c.
    """
    source_lengths = np.einsum("ij,ij->i", sources, sources, dtype=np.float64)
    target_lengths = np.einsum("ij,ij->i", targets, targets, dtype=np.float64)

    def score(queries: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        products = _products(sources, targets, queries, candidates)
        distances = source_lengths[queries] + target_lengths[candidates] - 2.0 * products
        found: NDArray[np.float32] = (shift - np.maximum(distances, 0)).astype(np.float32)
        return found

    return score


def under_rule(contender: Contender, rule: CandidateRule, categories: NDArray[np.int64]) -> Contender:
    """The same, but whom its rule lets not answer scores below everybody.

    Args:
        categories: int64, shape ``(n,)``, -1 for none: who has none is answered by all.
    """
    if rule == "any":
        return contender

    def score(queries: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        own, other = categories[queries], categories[candidates]
        barred = (own >= 0) & ((own != other) if rule == "same category" else (own == other))
        found: NDArray[np.float32] = (contender.score(queries, candidates) - np.where(barred, BARRED, 0)).astype(
            np.float32
        )
        return found

    return replace(contender, score=score)


def score_pairs(scorer: Scorer, pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores of pairs, in blocks of bounded memory.

    Args:
        pairs: int64, shape ``(m, 2)``.

    Returns:
        float32, shape ``(m,)``.

    Raises:
        InputError: A score is not finite.
    """
    blocks = [pairs[start : start + PAIRS] for start in range(0, len(pairs), PAIRS)]
    scores = np.concatenate([np.zeros(0, np.float32), *(scorer(block[:, 0], block[:, 1]) for block in blocks)])
    check_finite(scores)
    return scores


def check_finite(scores: NDArray[np.float32]) -> None:
    """Refuse scores that cannot be ordered.

    Raises:
        InputError: A score is infinite or not a number.
    """
    if not np.isfinite(scores).all():
        raise InputError("a score is infinite or not a number; check the vectors for such values")


def _products(
    left: Vectors, right: Vectors, queries: NDArray[np.int64], candidates: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Inner products of rows, as a table by one matrix product, else pair by pair."""
    if queries.ndim == 2 and candidates.ndim == 2 and queries.shape[1] == 1 and candidates.shape[0] == 1:
        table: NDArray[np.float32] = left[queries[:, 0]] @ right[candidates[0]].T
        return table
    products: NDArray[np.float32] = np.einsum("...d,...d->...", left[queries], right[candidates])
    return products
