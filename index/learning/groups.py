"""Groups: baskets, sessions, playlists and histories as arrays, and what is left of them without some pairs."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.learning.edges import Event
from index.learning.splits import Pairs

AT_ONCE = 1 << 20
"""Events with a partner that are looked for at once."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Which items stood together, each once in a group, groups one after another, in order where there is one.

    Attributes:
        groups: Numbers of groups, ascending, int64, shape ``(e,)``.
        items: Row numbers, int64, shape ``(e,)``.
        values: Ratings or counts, above 0, float32, shape ``(e,)``.
        ordered: Whether the order within a group says anything, as in sessions and playlists.
    """

    groups: NDArray[np.int64]
    items: NDArray[np.int64]
    values: NDArray[np.float32]
    ordered: bool = False

    def only(self, kept: NDArray[np.bool_]) -> Groups:
        """Those events that are marked, of groups that keep two at least."""
        sizes = np.bincount(self.groups[kept], minlength=int(self.groups.max(initial=-1)) + 1)
        kept = kept & (sizes[self.groups] >= 2)
        return Groups(self.groups[kept], self.items[kept], self.values[kept], self.ordered)


class EventLog:
    """Keeps events while others read them, 28 bytes each, so that a file is read once."""

    def __init__(self, least: float = 0.0) -> None:
        self.least = least
        self.ordered = False
        self._group_codes: dict[str, int] = {}
        self._item_codes: dict[str, int] = {}
        self._groups, self._items, self._times, self._values = array("q"), array("q"), array("d"), array("f")

    def keep(self, events: Iterable[Event], *, ordered: bool) -> Iterator[Event]:
        """Pass events on, and keep those whose value is not too small."""
        self.ordered = ordered
        for event in events:
            if event.value >= self.least:
                self._groups.append(self._group_codes.setdefault(event.group, len(self._group_codes)))
                self._items.append(self._item_codes.setdefault(event.item, len(self._item_codes)))
                self._times.append(0.0 if event.time is None else event.time)
                self._values.append(event.value)
            yield event

    def groups(self, find: Callable[[str], int]) -> Groups | None:
        """What was kept, by row numbers, or ``None`` where no events came.

        Args:
            find: Id → row number, or -1 for items that are unknown, which are left out.
        """
        if not self._groups:
            return None
        numbers = np.array([find(name) for name in self._item_codes], np.int64)
        groups, items = np.array(self._groups, np.int64), numbers[np.array(self._items, np.int64)]
        order = np.lexsort((np.array(self._times), groups))
        order = order[items[order] >= 0]
        groups, items, values = groups[order], items[order], np.array(self._values, np.float32)[order]
        _, first, place = np.unique(groups * (int(numbers.max()) + 1) + items, return_index=True, return_inverse=True)
        sums = np.bincount(place.ravel(), values)
        turn = np.argsort(first)
        found = Groups(groups[first[turn]], items[first[turn]], sums[turn].astype(np.float32), self.ordered)
        return found.only(np.ones(len(found.items), bool))


def groups_of_pairs(pairs: Pairs, weights: NDArray[np.float32]) -> Groups:
    """Each item with its partners as one group, for links of which nothing else is known.

    Args:
        pairs: int64, shape ``(m, 2)``; direction plays no part.
        weights: float32, shape ``(m,)``; one on average is as much as an item counts in its own group.
    """
    linked = np.unique(pairs)
    groups = np.concatenate([linked, pairs[:, 0], pairs[:, 1]])
    items = np.concatenate([linked, pairs[:, 1], pairs[:, 0]])
    values = np.concatenate([np.ones(len(linked)), np.tile(weights / weights.mean(), 2)])
    codes, place = np.unique(groups * (int(linked.max()) + 1) + items, return_inverse=True)
    sums = np.bincount(place.ravel(), values)
    return Groups(*np.divmod(codes, int(linked.max()) + 1), sums.astype(np.float32))


def without_pairs(groups: Groups, pairs: Pairs, seed: int) -> Groups:
    """Leave items out of groups until no given pair stands together in any, and as few as may be.

    In each group a maximal independent set of items stays, found in rounds (Luby, SIAM Journal on Computing 15,
    1986, algorithm A) in which those with fewest such partners go first.

    Args:
        groups: Of row numbers.
        pairs: int64, shape ``(m, 2)``; direction plays no part.
        seed: Decides between equals.
    """
    one, other = _together(groups, pairs)
    dropped = np.zeros(len(groups.items), bool)
    lots = np.random.default_rng(seed).random(len(dropped))
    turn = np.empty(len(dropped), np.int64)
    turn[np.lexsort((lots, np.bincount(one, minlength=len(dropped))))] = np.arange(len(dropped))
    while len(one):
        first = np.full(len(dropped), len(dropped))
        np.minimum.at(first, one, turn[other])
        stays = turn < first
        stays[~np.isin(np.arange(len(dropped)), one)] = False
        dropped[other[stays[one]]] = True
        left = ~(dropped[one] | dropped[other] | stays[one] | stays[other])
        one, other = one[left], other[left]
    return groups.only(~dropped)


def _together(groups: Groups, pairs: Pairs) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of events of one group that are such a pair, both ways round: int64, shape ``(c,)`` each."""
    if not len(pairs) or not len(groups.items):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    ways = np.concatenate([pairs, pairs[:, ::-1]])
    ways = ways[np.argsort(ways[:, 0], kind="stable")]
    width = int(max(groups.items.max(), ways.max())) + 1
    codes = groups.groups * width + groups.items
    order = np.argsort(codes)
    starts, stops = (np.searchsorted(ways[:, 0], groups.items, side=side) for side in ("left", "right"))
    ends = np.cumsum(stops - starts)
    ones, others = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for block in range(0, int(ends[-1]), AT_ONCE):
        way = np.arange(block, min(block + AT_ONCE, int(ends[-1])))
        event = np.searchsorted(ends, way, side="right")
        partner = ways[stops[event] - (ends[event] - way), 1]
        wanted = groups.groups[event] * width + partner
        place = np.searchsorted(codes, wanted, sorter=order).clip(max=len(codes) - 1)
        met = codes[order[place]] == wanted
        ones.append(event[met])
        others.append(order[place[met]])
    return np.concatenate(ones), np.concatenate(others)
