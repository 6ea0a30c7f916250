"""Segments: any choice of categories is covered exactly once, by few ranges."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from index.engine.segments import TREED, Segment, cover, cut


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=40),
    chosen=st.integers(0, 2**40 - 1),
    by_category=st.booleans(),
)
def test_any_choice_of_categories_is_covered_exactly_once(sizes, chosen, by_category):
    """The rows covered are the rows of the chosen categories, ascending, without overlap."""
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    allowed = np.array([bool(chosen >> code & 1) for code in range(len(sizes))])
    parts = cover(cut(offsets, by_category=by_category), allowed, offsets)
    covered = np.zeros(offsets[-1], int)
    for part in parts:
        covered[part.start : part.stop] += 1
    assert (covered == np.repeat(allowed, sizes)).all()
    assert all(one.stop <= other.start for one, other in pairwise(parts))


@given(sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=40))
def test_every_segment_with_trees_is_one_that_was_built(sizes):
    """What a cover asks trees for has a trees file of that name."""
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    segments = cut(offsets, by_category=True)
    built = {segment.name for segment in segments.walk() if segment.has_trees}
    for code in range(len(sizes)):
        for allowed in (np.arange(len(sizes)) == code, np.arange(len(sizes)) != code):
            assert {part.name for part in cover(segments, allowed, offsets) if part.has_trees} <= built


def test_all_but_one_category_is_few_segments():
    """About twice the logarithm of the number of categories."""
    offsets = np.arange(257) * 20_000
    segments = cut(offsets, by_category=True)
    assert len(cover(segments, np.arange(256) != 100, offsets)) == 8


def test_without_categories_there_is_one_segment():
    """A relation that lets everything answer has one index over everything."""
    segment = cut([0, 50_000, 100_000], by_category=False)
    assert list(segment.walk()) == [Segment(0, 100_000, 0, 2)]
    assert segment.has_trees
    assert not Segment(0, TREED, 0, 1).has_trees


def test_nothing_can_be_cut():
    """A space without items is one empty segment."""
    offsets = np.array([0, 0])
    assert [s.size for s in cover(cut(offsets, by_category=True), np.array([False]), offsets)] == []
    assert cut(offsets, by_category=True).size == 0
