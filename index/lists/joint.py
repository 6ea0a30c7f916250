"""Joint choice: one candidate for each slot, so that everything chosen goes together best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH = 2000
"""Partial choices that are carried on. Below as many as there are, the search is exhaustive; one slot of up to 200
candidates and the next are always searched in full."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What may be chosen, slots one after another.

    Attributes:
        bounds: Candidates of slot s are ``bounds[s]`` to ``bounds[s + 1] - 1``. int64, shape ``(slots + 1,)``.
        alone: Worth of each candidate with what is given. float64, shape ``(n,)``.
        pairs: Worth of two candidates together, symmetric. float64, shape ``(n, n)``.
        same: Which candidates are the same thing and must not meet, each with itself too. bool, ``(n, n)``, symmetric.
        prices: Of each candidate, float64, shape ``(n,)``; looked at only under a cap.
        cap: Highest sum of prices; infinite for none.
    """

    bounds: NDArray[np.int64]
    alone: NDArray[np.float64]
    pairs: NDArray[np.float64]
    same: NDArray[np.bool_]
    prices: NDArray[np.float64]
    cap: float = np.inf

    @property
    def slots(self) -> int:
        """How many candidates are chosen."""
        return len(self.bounds) - 1

    def of_slot(self, slot: int) -> slice:
        """The candidates of one slot."""
        return slice(int(self.bounds[slot]), int(self.bounds[slot + 1]))

    def worth(self, chosen: NDArray[np.int64]) -> float:
        """Sum over the candidates chosen, one for each slot, alone and in pairs."""
        together = self.pairs[np.ix_(chosen, chosen)]
        return float(self.alone[chosen].sum() + np.triu(together, 1).sum())


def choose_jointly(
    choices: Choices, earlier: Sequence[NDArray[np.int64]] = (), shared: int = 0
) -> NDArray[np.int64] | None:
    """Choose a candidate for each slot so that the sum of ``alone`` and of all ``pairs`` is highest.

    Beam search (Lowerre, "The Harpy speech recognition system", 1976, chapter 3) over the slots in order: partial
    choices are ranked by what they could still reach if every later slot took its best candidate for them, an upper
    bound, so that nothing that leads to the best is dropped while there are fewer than ``WIDTH``.

    Args:
        choices: What may be chosen.
        earlier: Choices made before, candidates as returned.
        shared: So many candidates may be the same thing as one of an earlier choice, for each of those.

    Returns:
        One candidate for each slot, int64, shape ``(slots,)``; of equals the one named first. ``None`` when no
        choice keeps to cap and sharing.
    """
    repeated = np.array([choices.same[one].any(axis=0) for one in earlier], np.int64)
    repeated = repeated.reshape(len(earlier), len(choices.alone))
    cheapest = [choices.prices[choices.of_slot(s)].min(initial=np.inf) for s in range(choices.slots)]
    meeting = np.where(choices.same, -np.inf, choices.pairs)
    best_pair = np.array([meeting[:, choices.of_slot(s)].max(axis=1, initial=-np.inf) for s in range(choices.slots)])
    chosen = np.zeros((1, 0), np.int64)
    worth, cost, again = np.zeros(1), np.zeros(1), np.zeros((1, len(earlier)), np.int64)
    reach = choices.alone[None].copy()  # of every candidate with what is given and what is chosen
    for slot in range(choices.slots):
        own = choices.of_slot(slot)
        later = range(slot + 1, choices.slots)
        total = worth[:, None] + reach[:, own]
        price = cost[:, None] + choices.prices[own]
        if np.isfinite(choices.cap):
            total[price + sum(cheapest[s] for s in later) > choices.cap + 1e-9] = -np.inf
        for one in range(len(earlier)):
            total[again[:, one, None] + repeated[one, own] > shared] = -np.inf
        hoped = total.copy()
        for other in later:
            hoped += reach[:, choices.of_slot(other)].max(axis=1)[:, None] + best_pair[other, own]
        ranked = np.argsort(-hoped, axis=None, kind="stable")[:WIDTH]
        ranked = ranked[np.isfinite(hoped.ravel()[ranked])]
        if not len(ranked):
            return None
        before, place = np.unravel_index(ranked, hoped.shape)
        taken = place + own.start
        chosen = np.column_stack([chosen[before], taken])
        worth, cost = total[before, place], price[before, place]
        again = again[before] + repeated[:, taken].T
        reach = reach[before] + choices.pairs[taken]
        reach[choices.same[taken]] = -np.inf
    best: NDArray[np.int64] = chosen[int(np.argmax(worth))]
    return best
