"""Paths: the largest step is as small as can be, steps are counted, nothing comes twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from index.engine.head import Head
from index.engine.search import Searcher
from index.errors import InputError, UnknownNameError
from index.learned import hold_relation
from index.lists.paths import QUESTIONS, find_path
from index.relations import Relation

A, B = "item-0-00003", "item-0-00042"


@pytest.fixture(scope="module")
def filled(make_catalog: Callable[[], Any]) -> Any:
    """50 items: few enough that all of them are candidates."""
    made = make_catalog()
    made.fill(50)
    made.build()
    return made


def widest(scores: np.ndarray) -> np.ndarray:
    """The best lowest score of any way between any two items, after Floyd and Warshall."""
    best = scores.copy()
    for over in range(len(best)):
        best = np.maximum(best, np.minimum(best[:, over : over + 1], best[over]))
    return best


def ids_of(path: Any) -> list[str]:
    return [step.item_id for step in path.steps]


def test_the_largest_step_is_as_small_as_any_way_allows(filled: Any) -> None:
    """Against every way there is; and each step's score is the relation's."""
    recommender = filled.open()
    seen = filled.seen(recommender, "similar")
    scores = seen.rows @ seen.rows.T
    best = widest(scores)
    for start, goal in [(0, 1), (3, 42), (17, 9), (30, 4)]:
        found = find_path(recommender, seen.ids[start], seen.ids[goal], "similar")
        walked = [seen.ids.index(item_id) for item_id in ids_of(found)]
        assert (walked[0], walked[-1]) == (start, goal)
        assert len(set(walked)) == len(walked)
        assert found.lowest == pytest.approx(best[start, goal], abs=1e-5)
        told = [step.score for step in found.steps]
        assert told[0] is None
        np.testing.assert_allclose(told[1:], scores[walked[:-1], walked[1:]], atol=1e-5)
        assert found.lowest == min(told[1:])
        assert found.direct == pytest.approx(scores[start, goal], abs=1e-5)


@pytest.mark.parametrize("between", [0, 1, 2, 8, 30])
def test_exactly_so_many_items_lie_between(filled: Any, between: int) -> None:
    """Both ends besides, none twice, the same each time."""
    found = find_path(filled.open(), A, B, "similar", between)
    ids = ids_of(found)
    assert (ids[0], ids[-1], len(ids)) == (A, B, between + 2)
    assert len(set(ids)) == len(ids)
    assert found.lowest >= find_path(filled.open(), A, B, "similar", 0).lowest or between > 8
    assert find_path(filled.open(), A, B, "similar", between) == found


def test_one_item_between_is_the_best_of_all(filled: Any) -> None:
    """Whoever's lower score with both ends is highest."""
    recommender = filled.open()
    seen = filled.seen(recommender, "similar")
    both = np.minimum(seen.rows @ seen.rows[seen.ids.index(A)], seen.rows @ seen.rows[seen.ids.index(B)])
    both[[seen.ids.index(A), seen.ids.index(B)]] = -1
    assert ids_of(find_path(recommender, A, B, "similar", 1))[1] == seen.ids[int(np.argmax(both))]


@pytest.mark.parametrize(("start", "goal"), [(3, 42), (0, 6), (6, 0), (9, 40), (12, 38)])
def test_two_items_between_are_the_best_and_of_the_best_the_most_even(filled: Any, start: int, goal: int) -> None:
    """Against all pairs that lie in order along the line from one end to the other."""
    recommender = filled.open()
    seen = filled.seen(recommender, "similar")
    scores = seen.rows @ seen.rows.T
    line = seen.rows @ (seen.rows[goal] - seen.rows[start])
    line = np.clip(line, line[start], line[goal])
    others = [at for at in range(len(line)) if at not in (start, goal)]
    ways = [[start, one, two, goal] for one in others for two in others if one != two and line[one] <= line[two]]
    lowest = np.array([scores[way[:-1], way[1:]].min() for way in ways])
    best = [way for way, low in zip(ways, lowest, strict=True) if low >= lowest.max() - 1e-6]
    assert len(best) > 1 or (start, goal) == (3, 42)
    even = min(best, key=lambda way: float((np.diff(line[way]) ** 2).sum()))
    assert ids_of(find_path(recommender, seen.ids[start], seen.ids[goal], "similar", 2)) == [
        seen.ids[at] for at in even
    ]


def chain(made: Any, count: int) -> list[str]:
    """Add items evenly along the way from one cluster to another, far from all others."""
    ends = made.points(2, seed=8)[0]
    share = np.linspace(0, 1, count)[:, None]
    rows = (1 - share) * ends[0] + share * ends[1]
    for facet in made.card.facets:
        own = slice(facet.start, facet.stop)
        rows[:, own] /= np.linalg.norm(rows[:, own], axis=1, keepdims=True)
    ids = [f"chain-{at:02d}" for at in range(count)]
    made.add(ids, rows.astype(np.float32), ["chain"] * count)
    return ids


def test_a_chain_of_items_is_followed_and_evenly_parted(make_catalog: Callable[[], Any]) -> None:
    """In order, among 300 others; fewer items between are spread over the whole way."""
    made = make_catalog()
    made.fill(300)
    ids = chain(made, 5)
    made.build()
    recommender = made.open()
    assert ids_of(find_path(recommender, ids[0], ids[-1], "similar")) == ids
    assert ids_of(find_path(recommender, ids[0], ids[-1], "similar", 3)) == ids
    assert ids_of(find_path(recommender, ids[0], ids[-1], "similar", 1)) == ids[::2]
    assert ids_of(find_path(recommender, ids[-1], ids[0], "similar", 1)) == ids[::-2]


def test_near_duplicates_are_no_steps_and_changes_are_seen(make_catalog: Callable[[], Any]) -> None:
    """A copy of an end leads nowhere; new items are walked over, removed ones are not."""
    made = make_catalog()
    made.fill(60)
    made.build()
    ids = chain(made, 5)
    rows = made.catalog.connection.execute(
        "SELECT vector FROM items JOIN media USING (item) JOIN vectors USING (media) WHERE items.id=?", (ids[0],)
    ).fetchone()
    made.add(["copy"], np.frombuffer(rows[0], "<f4")[None], ["chain"])
    recommender = made.open()
    assert ids_of(find_path(recommender, ids[0], ids[-1], "similar")) == ids
    every = ids_of(find_path(recommender, ids[0], ids[-1], "similar", 50))
    assert "copy" not in every
    made.remove([ids[2], "item-0-00007"])
    again = ids_of(find_path(recommender, ids[0], ids[-1], "similar", 50))
    assert not {ids[2], "item-0-00007"} & set(again)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_learned_relation_is_walked_in_its_direction(make_catalog: Callable[[], Any], symmetric: bool) -> None:
    """The smallest largest step of all ways, by the probabilities that its answers have."""
    made = make_catalog()
    made.fill(40)
    made.build()
    projection = made.open().generation.spaces["image"].projection
    source, target = np.random.default_rng(1).normal(0, 0.4, (2, projection.dim, 5)).astype(np.float32)
    none = np.zeros(len(projection.parts), np.float32)
    head = Head(projection, target if symmetric else source, target, np.zeros(5, np.float32), 2.0, none)
    with made.catalog.connection:
        relation = Relation("goes-with", {}, "other category", ("image",), "Made up.", head.digest)
        hold_relation(made.catalog, relation, ["builtin-image"], head, "{}")
    made.build()
    recommender = made.open()
    found = find_path(recommender, A, "item-0-00011", "goes-with")
    facets = projection.project(made.points(40)[0]).astype(float)
    apart = ((facets @ head.source)[:, None] - (facets @ head.target)[None]) ** 2
    likely = 1 / (1 + np.exp(apart.sum(axis=2) - 2.0))
    walked = [int(item_id[-5:]) for item_id in ids_of(found)]
    np.testing.assert_allclose([step.score for step in found.steps[1:]], likely[walked[:-1], walked[1:]], rtol=1e-3)
    np.fill_diagonal(likely, 0)
    assert found.lowest == pytest.approx(widest(likely)[3, 11], rel=1e-3)


def test_the_number_of_questions_is_bounded(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many items are asked for between."""
    asked: list[int] = []
    search = Searcher.search

    def counted(self: Searcher, *arguments: Any) -> Any:
        asked.append(1)
        return search(self, *arguments)

    monkeypatch.setattr(Searcher, "search", counted)
    find_path(filled.open(), A, B, "similar", 40)
    assert len(asked) == QUESTIONS


@pytest.mark.parametrize(
    ("goal", "between", "told"),
    [
        (A, None, "named twice"),
        (B, -1, "between 0 and 100, not -1"),
        (B, 101, "between 0 and 100, not 101"),
        (B, 60, "48 different items were found .* at most 48"),
    ],
)
def test_what_cannot_be_walked_is_told(filled: Any, goal: str, between: int | None, told: str) -> None:
    """One plain sentence each."""
    with pytest.raises(InputError, match=told):
        find_path(filled.open(), A, goal, "similar", between)


def test_unknown_items_and_other_media_are_told(filled: Any) -> None:
    """With the nearest that exists."""
    with pytest.raises(UnknownNameError, match="did you mean"):
        find_path(filled.open(), A, "item-0-0042")
    with pytest.raises(InputError, match="no audio item"):
        find_path(filled.open(), A, B, "similar-track")
