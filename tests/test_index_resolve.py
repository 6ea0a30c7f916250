"""Edges between ids become edges between a catalog's items, and what does not fit is told."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import InputError
from index.learning.edges import Edge, EdgeArrays
from index.learning.resolve import renumber, resolve_edges

NUMBERS = {"a": 0, "b": 1, "c": 2, "d": 3}


def rows(edges: EdgeArrays) -> list[tuple[int, int, int, float]]:
    return [(*pair, user, weight) for pair, user, weight in zip(
        edges.pairs.tolist(), edges.users.tolist(), edges.weights.tolist(), strict=True
    ) for pair in [tuple(pair)]]  # fmt: skip


def test_edges_become_arrays_in_order() -> None:
    """Shapes and types are as promised; weights of equal edges add up, direction and user tell edges apart."""
    edges, report = resolve_edges(
        [
            Edge("b", "a", 1.0, "", "ann"), Edge("a", "c", 2.0), Edge("a", "c", 0.5), Edge("c", "a", 1.0),
            Edge("b", "a", 1.0, "", "bob"), Edge("b", "a", 3.0, "", "ann"), Edge("b", "a", 1.0),
        ],
        NUMBERS,
    )  # fmt: skip
    assert rows(edges) == [(0, 2, -1, 2.5), (1, 0, -1, 1.0), (1, 0, 0, 4.0), (1, 0, 1, 1.0), (2, 0, -1, 1.0)]
    assert edges.user_names == ("ann", "bob")
    assert (edges.pairs.dtype, edges.weights.dtype, edges.users.dtype) == (np.int64, np.float32, np.int64)
    assert (report.edges, report.kept, report.duplicates) == (7, 5, 2)


def test_both_directions_can_be_one() -> None:
    """The smaller number becomes the source."""
    edges, _ = resolve_edges([Edge("c", "a"), Edge("a", "c"), Edge("d", "b")], NUMBERS, directed=False)
    assert rows(edges) == [(0, 2, -1, 2.0), (1, 3, -1, 1.0)]


def test_what_is_left_out_is_counted_and_listed() -> None:
    """Unknown items, loops and other relations; each unknown id is counted once, the first twenty are listed."""
    strangers = [Edge("a", f"x{n % 30}") for n in range(60)]
    edges, report = resolve_edges(
        [*strangers, Edge("a", "a"), Edge("a", "b", 1.0, "style"), Edge("b", "c", 1.0, "other"), Edge("c", "d")],
        NUMBERS,
        relation="style",
    )
    assert rows(edges) == [(0, 1, -1, 1.0), (2, 3, -1, 1.0)]
    assert (report.edges, report.unknown, report.self_loops, report.unknown_ids) == (64, 60, 1, 30)
    assert report.unknown_examples == tuple(f"x{n}" for n in range(20))
    assert report.other_relations == {"other": 1}
    assert report.by_name == 0


@pytest.mark.parametrize(
    ("given_id", "found"),
    [
        ("shoes/17.jpg", "shoes/17.jpg"),
        ("/data/shop/shoes/17.jpg", "shoes/17.jpg"),
        ("shop\\shoes\\17.jpg", "shoes/17.jpg"),
        ("17.jpg", "shoes/17.jpg"),
        ("17", "shoes/17.jpg"),
        ("shoes/17", "shoes/17.jpg"),
        ("/data/shoes/17.png", "shoes/17.jpg"),
        ("rock/01.mp3", "rock/01.mp3"),
        ("music/jazz/01.flac", "jazz/01.mp3"),
        ("hats/17.jpg", None),
        ("s/17.jpg", None),
        ("01.mp3", None),
        ("01", None),
        ("7.jpg", None),
        ("", None),
        ("v1.5", "v1.5"),
        ("v1.6", None),
        ("v1", None),
    ],
)
def test_ids_are_looked_for_as_paths(given_id: str, found: str | None) -> None:
    """Only where exactly one item can be meant, and only endings of pictures and sounds may differ."""
    ids = ["other", "shoes/17.jpg", "rock/01.mp3", "jazz/01.mp3", "v1.5"]
    numbers = {item_id: number for number, item_id in enumerate(ids)}
    edges, report = resolve_edges([Edge("other", given_id), Edge("other", "v1.5")], numbers)
    if found is None:
        assert report.unknown_examples == (given_id,)
        return
    assert (0, ids.index(found)) in [tuple(pair) for pair in edges.pairs.tolist()]
    assert report.unknown == 0
    assert report.by_name_examples == (() if given_id == found else ((given_id, found),))
    assert report.by_name == (given_id != found)


def test_equal_names_with_other_endings_are_not_guessed() -> None:
    """A cover and its song share a stem: the one with the ending is meant, else neither."""
    numbers = {"x/a.jpg": 0, "x/a.mp3": 1, "b": 2}
    edges, report = resolve_edges([Edge("b", "a.mp3"), Edge("b", "a"), Edge("b", "a.flac")], numbers)
    assert rows(edges) == [(2, 1, -1, 1.0)]
    assert report.unknown_examples == ("a", "a.flac")


def test_nothing_left_names_both_kinds_of_ids() -> None:
    """A wrong prefix shows at once."""
    edges = [Edge(f"SKU-{n}", f"SKU-{n + 1}") for n in range(9)]
    with pytest.raises(InputError) as refused:
        resolve_edges(edges, NUMBERS)
    assert str(refused.value) == (
        "none of 9 edges can be used: 9 name unknown items (such as 'SKU-0', 'SKU-1', 'SKU-2'; "
        "the catalog's ids look like 'a', 'b', 'c'); make ids agree"
    )


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([], "there are no edges"),
        ([Edge("a", "a")], "1 link an item to itself; give pairs of different items"),
        ([Edge("a", "b", 1.0, "other")], r"1 are of other relations than 'style' \(other\); ask for another relation"),
        ([Edge("a", "b", float("nan"))], "must be a number above 0, found nan"),
        ([Edge("a", "b", -1.0)], r"weight of edge 'a' to 'b' must be a number above 0, found -1\.0"),
    ],
)
def test_what_leaves_nothing_is_refused(edges: list[Edge], message: str) -> None:
    """With the reason."""
    with pytest.raises(InputError, match=message):
        resolve_edges(edges, NUMBERS, relation="style")


def test_edges_of_many_strangers_stay_small() -> None:
    """What is remembered of unknown ids is bounded; a stream is read once."""
    import tracemalloc

    def edges() -> Iterator[Edge]:
        yield Edge("a", "b")
        for n in range(60_000):
            yield Edge(f"stranger {n}", "b")

    tracemalloc.start()
    try:
        _, report = resolve_edges(edges(), NUMBERS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.unknown_ids == 60_000
    assert peak < 40e6


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 9), st.sampled_from(["", "u", "v"])),
                min_size=1), st.booleans())  # fmt: skip
def test_no_weight_is_lost(drawn: list[tuple[int, int, int, str]], directed: bool) -> None:
    """The sum over each pair and user is that of the input; loops are gone."""
    numbers = {str(n): n for n in range(6)}
    expected: dict[tuple[int, int, str], float] = {}
    for source, target, weight, user in drawn:
        if source != target:
            key = (source, target) if directed else (min(source, target), max(source, target))
            expected[(*key, user)] = expected.get((*key, user), 0.0) + weight
    if not expected:
        with pytest.raises(InputError, match="itself"):
            resolve_edges([Edge(str(s), str(t), w, "", u) for s, t, w, u in drawn], numbers, directed=directed)
        return
    edges, report = resolve_edges([Edge(str(s), str(t), w, "", u) for s, t, w, u in drawn], numbers, directed=directed)
    assert {(s, t, "" if u < 0 else edges.user_names[u]): w for s, t, u, w in rows(edges)} == expected
    assert report.kept + report.duplicates + report.self_loops == len(drawn)


def test_extreme_weights_stay_weights() -> None:
    """What float32 cannot hold becomes the nearest that it can."""
    extremes = [Edge("a", "b", 1e308), Edge("a", "b", 1e308), Edge("a", "c", 1e-300)]
    edges, _ = resolve_edges(extremes, NUMBERS)
    assert np.isfinite(edges.weights).all()
    assert (edges.weights > 0).all()


def test_keys_become_rows() -> None:
    """In whatever order keys stand; edges to items without a row go."""
    edges = EdgeArrays(
        np.array([[70, 5], [5, 9], [9, 80], [1, 5]]), np.ones(4, np.float32), np.array([0, -1, 1, -1]), ("u", "v")
    )
    found = renumber(edges, np.array([9, 70, 5]))
    assert rows(found) == [(1, 2, 0, 1.0), (2, 0, -1, 1.0)]
    assert found.user_names == ("u", "v")
    assert len(renumber(edges, np.zeros(0, np.int64)).pairs) == 0
