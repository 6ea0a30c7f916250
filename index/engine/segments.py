"""Segments: things sorted by category, cut so that any choice of categories is a union of few ranges.

Over-fetching and discarding fails for filters that point away from the query ("other categories"):
the nearest are just the ones discarded. Here the categories are the leaves of a balanced binary
tree and each inner node that holds enough cells has Annoy trees of its own over their centres, so
"all but this category" is answered from about log2(categories) small indexes, each asked in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TREED = 1024
"""Segments of fewer cells have no trees: looking at so many centres takes less time than asking Annoy."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A contiguous range, of cells or of rows, that holds whole categories.

    Attributes:
        start: First of them.
        stop: One past the last.
        first: First category code in it.
        last: One past the last category code.
        children: Two halves, or none.
    """

    start: int
    stop: int
    first: int
    last: int
    children: tuple[Segment, ...] = ()

    @property
    def size(self) -> int:
        """Number of cells or rows."""
        return self.stop - self.start

    @property
    def has_trees(self) -> bool:
        """Whether these cells are enough for Annoy trees of their own."""
        return self.size > TREED

    @property
    def name(self) -> str:
        """File name of its trees."""
        return f"trees-{self.start}-{self.stop}.ann"

    def walk(self) -> Iterator[Segment]:
        """This segment and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def cut(offsets: Sequence[int] | NDArray[np.int64], *, by_category: bool) -> Segment:
    """Cut cells or rows into segments.

    Args:
        offsets: First of each category, then the number of all; int64, shape ``(categories + 1,)``.
        by_category: Go down to single categories (or segments too small for trees); else one segment.
    """
    return _cut(offsets, 0, len(offsets) - 1, by_category)


def _cut(offsets: Any, first: int, last: int, by_category: bool) -> Segment:
    start, stop = int(offsets[first]), int(offsets[last])
    if not by_category or last - first <= 1 or stop - start <= TREED:
        return Segment(start, stop, first, last)
    middle = int(np.searchsorted(offsets[first : last + 1], (start + stop) / 2)) + first
    middle = min(max(middle, first + 1), last - 1)
    left = _cut(offsets, first, middle, by_category)
    return Segment(start, stop, first, last, (left, _cut(offsets, middle, last, by_category)))


def cover(segment: Segment, allowed: NDArray[np.bool_], offsets: NDArray[np.int64]) -> list[Segment]:
    """The fewest segments that hold exactly the allowed categories, in order.

    Args:
        allowed: bool, shape ``(categories,)``.
        offsets: As given to ``cut``.

    Returns:
        Segments of the tree, and, below its leaves, ranges of single categories without trees.
    """
    inside = allowed[segment.first : segment.last]
    if inside.all():
        return [segment]
    if not inside.any():
        return []
    if segment.children:
        return [part for child in segment.children for part in cover(child, allowed, offsets)]
    ranges: list[Segment] = []
    for code in range(segment.first, segment.last):
        if allowed[code] and offsets[code + 1] > offsets[code]:
            if ranges and ranges[-1].last == code:
                before = ranges.pop()
                ranges.append(Segment(before.start, int(offsets[code + 1]), before.first, code + 1))
            else:
                ranges.append(Segment(int(offsets[code]), int(offsets[code + 1]), code, code + 1))
    return ranges
