"""Ranking: every candidate of every query is scored, and where the true targets stand is kept, ties told apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.baselines import random_scorer
from index.learning.scorers import Scorer, check_finite
from index.learning.splits import Pairs
from index.relations import CandidateRule

CELLS = 1 << 22
"""Scores held at once: 16 MB, and several times that with what is made of them."""

FEW = 32
"""Right answers of one query up to which counting beats sorting all its scores."""

NO_PAIRS = np.zeros((0, 2), np.int64)


@dataclass(frozen=True, slots=True)
class Questions:
    """Who is asked about, who may answer, and what the right answers are.

    An item never answers for itself.

    Attributes:
        queries: int64, shape ``(q,)``, distinct rows.
        candidates: int64, shape ``(c,)``, distinct rows.
        truth: int64, shape ``(t, 2)``: query row and the row of a right answer. Repeated ones count once.
        known: int64, shape ``(x, 2)``: pairs that, in either direction, are no candidates unless they are truth,
            such as the edges that were learned from.
        groups: int64, shape ``(n,)``, -1 for none: items of the query's own group (near-duplicates, the same
            artist) are no candidates.
        categories: int64, shape ``(n,)``, -1 for none.
        rule: Which categories may answer, as a relation says.
    """

    queries: NDArray[np.int64]
    candidates: NDArray[np.int64]
    truth: Pairs
    known: Pairs
    groups: NDArray[np.int64] | None = None
    categories: NDArray[np.int64] | None = None
    rule: CandidateRule = "any"


@dataclass(frozen=True, slots=True)
class Ranking:
    """Where the right answers stand among the candidates of their query.

    Attributes:
        queries: int64, shape ``(q,)``, as asked.
        pairs: int64, shape ``(t, 2)``: the truth that was among the candidates, by place of the query, then best first.
        place: int64, shape ``(t,)``: place of the pair's query in ``queries``.
        above: int64, shape ``(t,)``: candidates scored strictly higher.
        tied: int64, shape ``(t,)``: candidates scored the same, itself counted.
        true_above, true_tied: int64, shape ``(t,)``: how many of these are right answers too.
        candidates: int64, shape ``(q,)``: how many candidates each query had.
        top: int64, shape ``(q, k)``: rows of the best candidates, best first, ties in random order; -1 beyond the last.
        unreachable: Number of right answers that were no candidates (their group, their category, not listed).
    """

    queries: NDArray[np.int64]
    pairs: Pairs
    place: NDArray[np.int64]
    above: NDArray[np.int64]
    tied: NDArray[np.int64]
    true_above: NDArray[np.int64]
    true_tied: NDArray[np.int64]
    candidates: NDArray[np.int64]
    top: NDArray[np.int64]
    unreachable: int


def rank(scorer: Scorer, questions: Questions, *, k: int, seed: int) -> Ranking:
    """Score every candidate of every query, a block of queries at a time.

    Args:
        scorer: Higher is closer.
        questions: What is asked.
        k: How many of the best are kept in ``Ranking.top``.
        seed: Of the order of equal scores in ``Ranking.top``; nothing else depends on it.

    Raises:
        InputError: No queries, fewer than ``k`` candidates, a category rule without categories, or scores that are
            not finite.
    """
    queries, candidates = questions.queries, questions.candidates
    if not len(queries):
        raise InputError("there is nothing to ask; give held-out edges or labels that several items share")
    if not 1 <= k <= len(candidates) - 1:
        raise InputError(f"k must lie between 1 and {len(candidates) - 1}, one less than the candidates, found {k}")
    if questions.rule != "any" and questions.categories is None:
        raise InputError(f"the rule {questions.rule!r} needs categories; give items a category")
    truth = _Lookup.of(questions, np.unique(questions.truth, axis=0))
    known = _Lookup.of(questions, np.concatenate([questions.known, questions.known[:, ::-1]]))
    chance = random_scorer(seed)
    step = max(1, CELLS // len(candidates))
    counts = np.zeros(len(queries), np.int64)
    top = np.full((len(queries), k), -1, np.int64)
    places, columns, standings = [], [], []
    for start in range(0, len(queries), step):
        stop = min(start + step, len(queries))
        scores = np.array(scorer(queries[start:stop, None], candidates[None, :]), np.float32)
        check_finite(scores)
        allowed = _allowed(questions, start, stop, truth, known)
        scores[~allowed] = -np.inf
        counts[start:stop] = allowed.sum(axis=1)
        best = np.partition(scores, len(candidates) - k, axis=1)[:, -k]
        for place, own in truth.within(start, stop):
            own = own[allowed[place - start, own]]
            if len(own):
                standing = _standing(scores[place - start], scores[place - start, own])
                order = np.argsort(standing[0], kind="stable")
                places.append(np.full(len(own), place))
                columns.append(own[order])
                standings.append(standing[:, order])
        for row in range(stop - start):
            listed = np.flatnonzero((scores[row] >= best[row]) & allowed[row])
            shuffled = chance(queries[start + row : start + row + 1], candidates[listed])
            listed = listed[np.lexsort((shuffled, -scores[row, listed]))[:k]]
            top[start + row, : len(listed)] = candidates[listed]
    asked = np.concatenate([np.zeros(0, np.int64), *places])
    column = np.concatenate([np.zeros(0, np.int64), *columns])
    standing = np.concatenate([np.zeros((4, 0), np.int64), *standings], axis=1)
    pairs = np.stack([queries[asked], candidates[column]], axis=1)
    above, tied, true_above, true_tied = standing
    return Ranking(queries, pairs, asked, above, tied, true_above, true_tied, counts, top, truth.total - len(pairs))


def _standing(scores: NDArray[np.float32], own: NDArray[np.float32]) -> NDArray[np.int64]:
    """Candidates above and tied, and right answers above and tied, of each right answer: int64, ``(4, t)``."""
    counted: list[NDArray[np.int64]] = []
    for values in (scores, own):
        if len(own) > FEW:
            ordered = np.sort(values)
            upper = np.searchsorted(ordered, own, "right")
            counted += [len(values) - upper, upper - np.searchsorted(ordered, own, "left")]
        else:
            counted.append(np.array([np.count_nonzero(values > one) for one in own]))
            counted.append(np.array([np.count_nonzero(values == one) for one in own]))
    return np.stack(counted).astype(np.int64)


def _allowed(questions: Questions, start: int, stop: int, truth: _Lookup, known: _Lookup) -> NDArray[np.bool_]:
    """Which candidates may answer each query of a block: bool, shape ``(stop - start, c)``."""
    queries, candidates = questions.queries[start:stop, None], questions.candidates[None, :]
    allowed: NDArray[np.bool_] = queries != candidates
    for place, own in known.within(start, stop):
        allowed[place - start, own] = False
    for place, own in truth.within(start, stop):
        allowed[place - start, own] = questions.candidates[own] != questions.queries[place]
    if questions.groups is not None:
        group = questions.groups[queries]
        allowed &= (group != questions.groups[candidates]) | (group < 0)
    if questions.rule != "any" and questions.categories is not None:
        same = questions.categories[queries] == questions.categories[candidates]
        allowed &= same if questions.rule == "same category" else ~same
    return allowed


@dataclass(frozen=True, slots=True)
class _Lookup:
    """Pairs by the place of their query: columns of the candidates they name.

    Attributes:
        places: int64, shape ``(t,)``, ascending.
        columns: int64, shape ``(t,)``.
        total: Pairs of these queries, also those that name no candidate.
    """

    places: NDArray[np.int64]
    columns: NDArray[np.int64]
    total: int

    @classmethod
    def of(cls, questions: Questions, pairs: Pairs) -> _Lookup:
        places = _found(questions.queries, pairs[:, 0])
        columns = _found(questions.candidates, pairs[:, 1])
        fine = (places >= 0) & (columns >= 0)
        order = np.argsort(places[fine], kind="stable")
        return cls(places[fine][order], columns[fine][order], int((places >= 0).sum()))

    def within(self, start: int, stop: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Place and columns of each query of a block that has any."""
        low, high = np.searchsorted(self.places, [start, stop])
        places = self.places[low:high]
        firsts = np.flatnonzero(np.diff(places, prepend=-1))
        for first, last in zip(firsts, [*firsts, len(places)][1:], strict=True):
            yield int(places[first]), self.columns[low + first : low + last]


def _found(listed: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each wanted row in the list, -1 where it is not: int64."""
    order = np.argsort(listed)
    at = np.minimum(np.searchsorted(listed, wanted, sorter=order), len(listed) - 1)
    places = order[at]
    return np.where(listed[places] == wanted, places, -1)
