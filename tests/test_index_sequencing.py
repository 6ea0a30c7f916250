"""Sequencing: as long as can be, as cheap as can be, no artist again too soon; against everything there is."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from index.lists.sequencing import in_turn, longest, walk


def keeps(artists: list[int], gap: int) -> bool:
    """No artist comes again before ``gap`` others."""
    return all(artist not in artists[max(0, at - gap) : at] for at, artist in enumerate(artists))


def most(counts: Counter[int], recent: list[int], gap: int) -> int:
    """The longest list by trying all."""
    best = 0
    for artist in [one for one, count in counts.items() if count and one not in recent]:
        rest = counts.copy()
        rest[artist] -= 1
        best = max(best, 1 + most(rest, [*recent, artist][-gap:] if gap else [], gap))
    return best


@pytest.mark.parametrize("seed", range(60))
def test_the_longest_list_is_known_beforehand(seed: int) -> None:
    """From any state, against all lists."""
    rng = np.random.default_rng(seed)
    counts = Counter(rng.integers(0, 4, rng.integers(0, 9)).tolist())
    gap = int(rng.integers(0, 4))
    recent = rng.permutation(5)[: rng.integers(0, gap + 1)].tolist()
    truth = most(counts, recent, gap)
    assert longest(counts, recent, gap, 20) == truth
    assert longest(counts, recent, gap, 3) == min(3, truth)


@pytest.mark.parametrize("seed", range(40))
def test_a_list_taken_in_turn_is_the_longest_and_the_first_of_all(seed: int) -> None:
    """Of the lists of that length, the one whose ranks come first in the order of a dictionary."""
    rng = np.random.default_rng(seed)
    artists = rng.integers(0, 3, 7).tolist()
    gap, length = int(rng.integers(0, 3)), int(rng.integers(1, 8))
    found = in_turn(artists, gap, length, lambda _: range(7))
    lists = [
        list(one)
        for count in range(1, length + 1)
        for one in itertools.permutations(range(7), count)
        if keeps([artists[at] for at in one], gap)
    ]
    size = max(map(len, lists))
    assert found == min(one for one in lists if len(one) == size)


def test_many_tracks_of_few_artists() -> None:
    """Two with many tracks each, between rare ones: counted by hand."""
    artists = [0] * 40 + [1] * 40 + [2] * 3 + [3] * 2
    found = in_turn(artists, 3, 50, lambda _: range(len(artists)))
    assert len(found) == 11  # three, the first rare one, three, the second, three
    assert keeps([artists[at] for at in found], 3)


@pytest.mark.parametrize("seed", range(25))
def test_a_walk_costs_least_of_all(seed: int) -> None:
    """For every number of tracks, with and without given ends, and with steps that are forbidden."""
    rng = np.random.default_rng(seed)
    count = 6
    steps = rng.uniform(0, 1, (count, count))
    steps[rng.random((count, count)) < 0.3] = np.inf
    nodes = rng.uniform(0, 1, count)
    artists = rng.integers(0, 4, count)
    gap = int(rng.integers(0, 3))
    for first, last in [(None, None), (0, None), (0, 5)]:
        found = walk(steps, nodes, artists, gap, count, first, last)
        assert len(found) == count
        for size in range(1, count + 1):
            costs = {
                one: nodes[list(one)].sum() + steps[list(one[:-1]), list(one[1:])].sum()
                for one in itertools.permutations(range(count), size)
                if keeps(artists[list(one)].tolist(), gap)
                and (first is None or one[0] == first)
                and (last is None or one[-1] == last)
            }
            least = min(costs.values(), default=np.inf)
            way = found[size - 1]
            assert bool(way) == bool(np.isfinite(least))
            if way:
                assert costs[tuple(way)] == pytest.approx(least)


def test_a_walk_in_a_large_pool_keeps_the_rules() -> None:
    """600 tracks of 40 artists: no track twice, no artist within three, both ends as given, cheaper than chance."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(600, 8))
    steps = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    artists = rng.integers(0, 40, 600)
    found = walk(steps, np.zeros(600), artists, 3, 30, 0, 1)
    for size, way in enumerate(found[5:], 6):
        assert (len(way), way[0], way[-1]) == (size, 0, 1)
        assert len(set(way)) == size
        assert keeps(artists[way].tolist(), 3)
        assert steps[way[:-1], way[1:]].max() < np.median(steps)
