"""Metrics: how well links are told from non-links, and how high the right answers stand, with ties counted fairly.

Equal scores must not help. A sort that happens to leave the right answer first turns constant scores into a perfect
recall, so every metric of ranks takes ``ties``:

* ``"expected"`` — the mean over all orders of the equal ones, in closed form (McSherry & Najork, "Computing
  information retrieval performance measures efficiently in the presence of tied scores", ECIR 2008): constant scores
  then score exactly as a random order does, at every cut-off and for any number of candidates;
* ``"median"`` — a right answer stands in the middle of the wrong ones it is tied with;
* ``"conservative"`` — behind all of them.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.ranking import Ranking

Ties: TypeAlias = Literal["expected", "median", "conservative"]

BUCKETS: dict[str, tuple[int, int | None]] = {"0": (0, 1), "1-2": (1, 3), "3-9": (3, 10), "10+": (10, None)}
"""Support: name → training edges an item had, from and below."""


def wins(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 where a link scores higher than its own negative, 0 where lower, one half where equal.

    The mean is the AUC within queries, as Rendle, Freudenthaler, Gantner & Schmidt-Thieme (UAI 2009) use it.

    Args:
        positive, negative: Shape ``(m,)``, edge by edge.
    """
    return np.where(positive == negative, 0.5, positive > negative)


def correct(positive: NDArray[np.floating], negative: NDArray[np.floating], threshold: float) -> NDArray[np.float64]:
    """Share of each edge and its negative that is called rightly: 0, one half or 1, shape ``(m,)``.

    A score above the threshold says "linked". The mean is the link accuracy with |Q| = |R| of McAuley et al.
    (SIGIR 2015), where constant scores reach one half.
    """
    return ((positive > threshold).astype(np.float64) + (negative <= threshold)) / 2


def best_threshold(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> float:
    """The score that parts links from as many non-links with the fewest errors, for scores that are no probabilities.

    It lies midway between two scores; of equally good ones, the lowest.

    Args:
        positive, negative: Scores of training edges, shapes ``(p,)`` and ``(q,)``.

    Raises:
        InputError: One of them is empty.
    """
    if not len(positive) or not len(negative):
        raise InputError("a threshold needs links and non-links; there are none of one kind")
    values = np.unique(np.concatenate([positive, negative]).astype(np.float64))
    cuts = np.concatenate([values[:1] - 1, (values[1:] + values[:-1]) / 2, values])
    cuts.sort()
    missed = np.searchsorted(np.sort(positive), cuts, "right") / len(positive)
    rejected = np.searchsorted(np.sort(negative), cuts, "right") / len(negative)
    return float(cuts[np.argmax(rejected - missed)])


def hits(ranking: Ranking, k: int, ties: Ties = "expected") -> NDArray[np.float64]:
    """Whether each right answer is among the first k of its query, 0 to 1: float64, shape of ``ranking.place``."""
    if ties != "expected":
        return (_ranks(ranking, ties) <= k).astype(np.float64)
    found: NDArray[np.float64] = np.clip((k - ranking.above) / ranking.tied, 0, 1)
    return found


def recall(ranking: Ranking, k: int, ties: Ties = "expected") -> NDArray[np.float64]:
    """Share of each query's right answers among its first k: float64, shape ``(q,)``, NaN for queries without any."""
    return _per_query(ranking, hits(ranking, k, ties))


def average_precision(ranking: Ranking, ties: Ties = "expected") -> NDArray[np.float64]:
    """Mean precision at the ranks of a query's right answers, over all candidates: float64, shape ``(q,)``.

    NaN for queries without right answers; the mean over queries is the MAP.
    """
    if ties != "expected":
        return _per_query(ranking, _order(ranking) / _ranks(ranking, ties))
    above, tied = ranking.above, ranking.tied
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, int((above + tied).max(initial=0)) + 1))])
    rate = np.divide(ranking.true_tied - 1, tied - 1, out=np.zeros(len(tied)), where=tied > 1)
    constant = ranking.true_above + 1 - rate * (above + 1)
    return _per_query(ranking, (constant * (harmonic[above + tied] - harmonic[above]) + rate * tied) / tied)


def reciprocal_rank(ranking: Ranking, k: int = 20, ties: Ties = "expected") -> NDArray[np.float64]:
    """One over the rank of a query's first right answer, 0 beyond the first k: float64, shape ``(q,)``.

    NaN for queries without right answers; the mean over queries is the MRR@k.
    """
    first = np.flatnonzero(np.diff(ranking.place, prepend=-1))
    found = np.full(len(ranking.queries), np.nan)
    if ties == "expected":
        above, tied, right = ranking.above[first], ranking.tied[first], ranking.true_tied[first]
        values, none_yet = np.zeros(len(first)), np.ones(len(first))
        for before in range(k):
            left = np.maximum(tied - before, 1)
            hit = np.clip(right / left, 0, 1) * (before < tied)
            rank = above + before + 1
            values += np.where(rank <= k, none_yet * hit / rank, 0.0)
            none_yet *= 1 - hit
    else:
        ranks = _ranks(ranking, ties)[first]
        values = np.where(ranks <= k, 1.0 / ranks, 0.0)
    found[ranking.place[first]] = values
    return found


def ndcg(ranking: Ranking, k: int = 10, ties: Ties = "expected") -> NDArray[np.float64]:
    """Normalised discounted cumulative gain of the first k, gain 1 for a right answer: float64, shape ``(q,)``.

    Discount 1 / log2(1 + rank) (Järvelin & Kekäläinen, TOIS 2002, in the form used today). NaN for queries without
    right answers.
    """
    gains = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(2, k + 2)))])
    if ties == "expected":
        last = np.minimum(ranking.above + ranking.tied, k)
        values = (gains[last] - gains[np.minimum(ranking.above, k)]) / ranking.tied
    else:
        ranks = _ranks(ranking, ties)
        values = np.where(ranks <= k, 1.0 / np.log2(1.0 + ranks), 0.0)
    counts = _counts(ranking)
    best = gains[np.minimum(counts, k)]
    none = np.full(len(counts), np.nan)
    found: NDArray[np.float64] = np.divide(_sums(ranking, values), best, out=none, where=counts > 0)
    return found


def rank_percentile(ranking: Ranking) -> NDArray[np.float64]:
    """Mean share of candidates that stand before a query's right answers, ties half: float64, shape ``(q,)``.

    0 is best, 0.5 is random; NaN for queries without right answers or with one candidate.
    """
    others = ranking.candidates[ranking.place] - 1.0
    middle = ranking.above + (ranking.tied - 1) / 2
    return _per_query(ranking, np.divide(middle, others, out=np.full(len(middle), np.nan), where=others > 0))


def label_precision(
    ranking: Ranking, labels: NDArray[np.int64], k: int, answerable: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Share of each query's first k answers that carry its label: float64, shape ``(q,)``.

    Args:
        ranking: With at least k in ``top``; items of the query's own artist or group are left out of it when
            ``Questions.groups`` said so (Pampalk, Flexer & Widmer, ISMIR 2005, the artist filter).
        labels: int64, shape ``(n,)``, -1 for none.
        k: Fewer candidates than this make the list as long as they are.
        answerable: bool, shape ``(q,)``: queries whose label another candidate carries; the others are NaN.
    """
    top = ranking.top[:, :k]
    right = ((labels[top] == labels[ranking.queries][:, None]) & (top >= 0)).sum(axis=1)
    listed = np.maximum((top >= 0).sum(axis=1), 1)
    return np.where(answerable, right / listed, np.nan)


def support_bucket(degrees: NDArray[np.int64]) -> NDArray[np.str_]:
    """Name of the bucket of ``BUCKETS`` each number of training edges falls in: shape of ``degrees``."""
    names = np.array(list(BUCKETS))
    found: NDArray[np.str_] = names[np.searchsorted([low for low, _ in BUCKETS.values()], degrees, "right") - 1]
    return found


def _order(ranking: Ranking) -> NDArray[np.int64]:
    """1 for a query's best right answer, 2 for its second, and so on."""
    first = np.searchsorted(ranking.place, ranking.place, "left")
    return np.arange(len(ranking.place)) - first + 1


def _ranks(ranking: Ranking, ties: Ties) -> NDArray[np.float64]:
    """Rank, from 1, behind the right answers before it, the wrong ones above, and half or all of the tied wrong."""
    wrong_above = ranking.above - ranking.true_above
    wrong_tied = ranking.tied - ranking.true_tied
    share = 0.5 if ties == "median" else 1.0
    ranks: NDArray[np.float64] = _order(ranking) + wrong_above + wrong_tied * share
    return ranks


def _counts(ranking: Ranking) -> NDArray[np.int64]:
    return np.bincount(ranking.place, minlength=len(ranking.queries)).astype(np.int64)


def _sums(ranking: Ranking, values: NDArray[np.float64]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = np.bincount(ranking.place, values, minlength=len(ranking.queries)).astype(np.float64)
    return sums


def _per_query(ranking: Ranking, values: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = _counts(ranking)
    means: NDArray[np.float64] = np.divide(
        _sums(ranking, values), counts, out=np.full(len(counts), np.nan), where=counts > 0
    )
    return means
