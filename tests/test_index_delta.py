"""The delta: what changed since the build, searched exactly beside it."""

from __future__ import annotations

import numpy as np
import pytest

from index.engine.delta import Delta, read_delta

VECTORS = np.eye(4, dtype=np.float32)
DELTA = Delta(np.array([3, 5, 8, 9]), np.array(["a", "b", None, "a"], object), VECTORS, np.array([2, 7]))


@pytest.mark.parametrize(
    ("rule", "categories", "matching", "own", "expected"),
    [
        ("any", None, None, (), [3, 5, 8, 9]),
        ("any", None, None, (5, 100), [3, 8, 9]),
        ("same category", frozenset({"a"}), None, (), [3, 9]),
        ("other category", frozenset({"a"}), None, (), [5, 8]),
        ("other category", frozenset({"a", "b"}), None, (), [8]),
        ("any", None, [1, 5, 9, 12], (), [5, 9]),
        ("any", None, [], (), []),
        ("same category", frozenset({"a"}), [9], (9,), []),
    ],
)
def test_only_what_may_answer_is_scored(rule, categories, matching, own, expected):
    """By rule, filter, and not the query itself."""
    matching = None if matching is None else np.array(matching, np.int64)
    keys, scores, vectors = DELTA.search(np.arange(4, dtype=np.float32), rule, categories, matching, own)
    assert keys.tolist() == expected
    assert scores.tolist() == [DELTA.keys.tolist().index(key) for key in expected]
    assert len(vectors) == len(expected)


def test_items_are_located_beside_the_generation_or_in_it():
    """What changed stands beside it, whatever row it had; removed items stand nowhere."""
    places, rows = DELTA.locate(np.array([3, 4, 9, 10, 11]), np.array([1, 2, 7, 8, -1]))
    assert places.tolist() == [0, -1, 3, -1, -1]
    assert rows.tolist() == [-1, -1, -1, 8, -1]
    nothing = Delta(np.zeros(0, np.int64), np.zeros(0, object), VECTORS[:0], np.zeros(0, np.int64))
    places, rows = nothing.locate(np.array([3, 4]), np.array([1, -1]))
    assert (places.tolist(), rows.tolist()) == ([-1, -1], [1, -1])


def test_changes_become_a_delta_and_the_build_empties_it(make_catalog):
    """Added and changed items with their vectors; their old rows and removed ones masked."""
    made = make_catalog()
    made.fill(60)
    made.build()
    vectors, _ = made.points(2, seed=1)
    made.add(["new", "item-0-00005"], vectors, ["other", None])
    made.remove(["item-0-00009", "item-0-00010"])
    with_changes = made.open()
    generation = with_changes.generation
    space = generation.spaces["image"]
    delta = read_delta(made.catalog, generation.manifest.sequence, space)
    assert delta.categories.tolist() == [None, "other"]
    assert len(delta.masked) == 3
    np.testing.assert_allclose(delta.vectors, space.projection.project(vectors[::-1]), atol=1e-6)
    made.build()
    generation = with_changes.generation
    delta = read_delta(made.catalog, generation.manifest.sequence, generation.spaces["image"])
    assert not len(delta.keys)
    assert not len(delta.masked)
    assert delta.vectors.shape == (0, 240)


def test_k_answers_come_from_a_large_delta(make_catalog):
    """A small generation beside many changes, most of them copies: none is forgotten."""
    made = make_catalog()
    made.fill(5)
    made.build()
    vectors, _ = made.points(80, seed=2)
    made.add([f"copy-{row}" for row in range(60)], np.repeat(vectors[:1], 60, axis=0), ["kind"] * 60)
    made.add([f"new-{row}" for row in range(80)], vectors, ["kind"] * 80)
    answer = made.open().query("new-1", k=30)
    assert len(answer.hits) == 30


def test_changes_are_found_without_reading_all_items(make_catalog):
    """A million items that did not change cost an opening nothing."""
    made = make_catalog()
    made.fill(5)
    made.build()
    generation = made.open().generation
    asked: list[str] = []
    made.catalog.connection.set_trace_callback(asked.append)
    read_delta(made.catalog, generation.manifest.sequence, generation.spaces["image"])
    made.catalog.connection.set_trace_callback(None)
    (changed,) = [query for query in asked if "FROM items WHERE changed" in query]
    plan = made.catalog.connection.execute(f"EXPLAIN QUERY PLAN {changed}").fetchall()
    assert "items_by_change" in plan[0][3]
