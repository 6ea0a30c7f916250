"""Pairs from groups: weights, windows, sampling, the cap on best-sellers, and bounds on memory."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import index.learning.pairing as pairing_module
from index.errors import InputError
from index.learning.edges import Edge, Event, Reading
from index.learning.pairing import Pairing, npmi, pairs_of_groups


def paired(events: list[Event], *, ordered: bool = False, **options: int) -> dict[tuple[str, str], float]:
    """Weights by pair of ids in alphabetical order."""
    edges = list(pairs_of_groups(events, Pairing(**options), Reading(), ordered=ordered))
    found = {(min(e.source, e.target), max(e.source, e.target)): e.weight for e in edges}
    assert len(found) == len(edges)
    return found


def basket(group: str, items: str) -> list[Event]:
    return [Event(group, item) for item in items]


def test_each_item_hands_out_one_in_each_basket() -> None:
    """A pair in a basket of n weighs 1 / (n - 1); weights of baskets add up, however rows are mixed."""
    mixed = [e for both in zip(basket("g", "abc"), basket("h", "abx"), strict=True) for e in both]
    assert paired(mixed) == {
        ("a", "b"): 1.0, ("a", "c"): 0.5, ("b", "c"): 0.5, ("a", "x"): 0.5, ("b", "x"): 0.5,
    }  # fmt: skip


def test_single_and_repeated_items_make_no_pair_with_themselves() -> None:
    """An item counts once in a basket."""
    assert paired(basket("g", "aaab") + basket("h", "cc") + basket("i", "d")) == {("a", "b"): 1.0}
    assert paired([]) == {}


def test_in_order_only_neighbours_are_paired() -> None:
    """Times decide, not rows; equal times keep the order of rows."""
    events = [Event("g", "c", 3.0), Event("g", "a", 1.0), Event("g", "d", 3.0), Event("g", "b", 2.0)]
    assert paired(events, ordered=True, window=1) == {("a", "b"): 0.5, ("b", "c"): 0.5, ("c", "d"): 0.5}
    assert set(paired(events, ordered=True, window=2)) == set(combinations("abcd", 2)) - {("a", "d")}
    assert paired(events, ordered=True, window=9) == dict.fromkeys(combinations("abcd", 2), 1 / 3)


def test_a_long_sequence_pairs_neighbours_as_a_short_one_does() -> None:
    """The path for long groups agrees with that for short ones."""
    events = [Event("g", f"{place:04d}", place) for place in range(400)]
    expected = {(f"{i:04d}", f"{i + d:04d}"): 1 / 6 for d in (1, 2, 3) for i in range(400 - d)}
    assert paired(events, ordered=True, window=3) == expected


def test_large_baskets_are_sampled_by_seed_and_name() -> None:
    """Equal seeds draw equally, whatever else is read; other seeds and other groups draw otherwise."""
    big = [Event("g", str(item)) for item in range(500)]
    drawn = paired(big, largest=10)
    assert len(drawn) == 45
    assert set(drawn.values()) == {1 / 9}
    assert paired(basket("a", "xy") + big, largest=10).keys() - {("x", "y")} == drawn.keys()
    assert paired(big, largest=10, seed=1) != drawn
    assert paired([Event("h", event.item) for event in big], largest=10) != drawn


def test_readings_count_groups_pairs_and_what_was_dropped() -> None:
    """What happened can be told."""
    reading = Reading()
    events = basket("g", "abcdef") + basket("h", "xy") + basket("i", "z")
    edges = list(pairs_of_groups(events, Pairing(largest=4, cap=1), reading, ordered=False))
    assert (reading.groups, reading.sampled, reading.pairs) == (2, 1, 7)
    assert reading.capped == 7 - len(edges) > 0


def test_ratings_below_the_least_are_ignored() -> None:
    """What somebody disliked links nothing."""
    events = [Event("u", "a", None, 5.0), Event("u", "b", None, 4.0), Event("u", "c", None, 1.0)]
    edges = list(pairs_of_groups(events, Pairing(least=4.0), Reading(), ordered=False))
    assert edges == [Edge("a", "b", 1.0)]


def test_best_sellers_do_not_become_everybodys_neighbour() -> None:
    """One item stands in every basket beside a couple that belongs together; couples stay, its partners are few."""
    events = [
        Event(f"{pair}-{times}", item)
        for pair in range(200)
        for times in range(3)
        for item in ("bestseller", f"{pair}a", f"{pair}b")
    ]
    uncapped = paired(events, cap=1000)
    assert sum("bestseller" in pair for pair in uncapped) == 400
    capped = paired(events, cap=5)
    assert sum("bestseller" in pair for pair in capped) == 5
    assert all((f"{pair}a", f"{pair}b") in capped for pair in range(200))
    alone = paired(events, cap=1)
    assert set(alone) == {(f"{pair}a", f"{pair}b") for pair in range(200)}


def test_ties_fall_evenly_on_all_items() -> None:
    """In one basket all pairs are equal: nobody keeps all its partners while another loses all."""
    edges = paired([Event("g", str(item)) for item in range(100)], cap=20)
    degrees = Counter(item for pair in edges for item in pair)
    assert len(degrees) == 100
    assert max(degrees.values()) <= 20


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40)), min_size=30, max_size=90),
    st.integers(1, 4),
    st.booleans(),
)
def test_spilling_to_files_changes_nothing(rows: list[tuple[int, int]], cap: int, spill: bool) -> None:
    """No item keeps more than the cap, and many small folds and files agree with one in memory."""
    events = [Event(str(group), str(item)) for group, item in rows]
    plain = paired(events, cap=cap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairing_module, "FOLD_PAIRS", 7)
        patch.setattr(pairing_module, "HELD_PAIRS", 20 if spill else 10**9)
        assert paired(events, cap=cap) == pytest.approx(plain)
    degrees = Counter(item for pair in plain for item in pair)
    assert max(degrees.values(), default=0) <= cap
    held = {group: {i for g, i in rows if g == group} for group, _ in rows}
    everything = paired(events, cap=1000)
    for (first, second), weight in everything.items():
        assert weight == pytest.approx(
            sum(1 / (len(items) - 1) for items in held.values() if {int(first), int(second)} <= items)
        )


def test_scores_are_those_of_the_paper() -> None:
    """1 for two that are only met together, 0 for chance."""
    one = np.ones(1)
    # all weight is on one pair of strength 1 each: p(i, j) = p(i) = p(j) = 1/2, ordered pairs counted
    assert npmi(one, one, one, 2.0) == pytest.approx([1.0])
    assert npmi(one, 2 * one, 8 * one, 16.0) == pytest.approx([0.0])
    assert npmi(one, 4 * one, 8 * one, 16.0)[0] == pytest.approx(-np.log(2) / np.log(16))


def test_a_giant_basket_stays_within_bounds() -> None:
    """A hundred thousand items in one group cost what sampling keeps, not their square."""

    def events() -> Iterator[Event]:
        return (Event("all", str(item)) for item in range(100_000))

    reading = Reading()
    tracemalloc.start()
    try:
        edges = list(pairs_of_groups(events(), Pairing(), reading, ordered=False))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reading.sampled == 1
    assert reading.pairs == 4950
    assert len({item for edge in edges for item in edge[:2]}) == 100
    assert peak < 60e6


@pytest.mark.parametrize("options", [{"window": 0}, {"cap": 0}, {"seed": -1}, {"largest": 1}, {"largest": 2001}])
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    """Before anything is read."""
    with pytest.raises(InputError, match="must"):
        Pairing(**options)
