"""The planner: whatever the filter, exclusions, changes since the build, rule and number of answers, answers equal an
exact scan of the vectors in the database within the recall told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.answers import Query

COUNT, KINDS = 1500, 40
RULES = ("similar", "substitute", "style")
LEAST = 0.6
"""Recall that a single question with several answers may fall to; the mean over many is held to what is told."""

Test = tuple[str, Callable[[dict[str, Any]], bool]]
"""A filter as it is typed, and whether an item's attributes pass it."""


def _category(name: str) -> Test:
    return f"category={name}", lambda item: item.get("category") == name


def _below(price: int) -> Test:
    return f"price<{price}", lambda item: item["price"] < price


def _among(prices: list[int]) -> Test:
    return f"price in ({', '.join(map(str, prices))})", lambda item: item["price"] in prices


def _no_category(_: None) -> Test:
    return "category is null", lambda item: "category" not in item


def _not(test: Test) -> Test:
    return f"not ({test[0]})", lambda item: not test[1](item)


def _both(one: Test, other: Test) -> Test:
    return f"({one[0]}) and ({other[0]})", lambda item: one[1](item) and other[1](item)


def _either(one: Test, other: Test) -> Test:
    return f"({one[0]}) or ({other[0]})", lambda item: one[1](item) or other[1](item)


KIND = st.integers(0, KINDS + 1).map(lambda kind: f"kind-{kind:02d}")  # two that no item has
FILTERS: st.SearchStrategy[Test] = st.recursive(
    st.one_of(
        KIND.map(_category),
        st.integers(0, 101).map(_below),
        st.lists(st.integers(0, 99), min_size=1, max_size=3).map(_among),
        st.none().map(_no_category),
    ),
    lambda inner: st.one_of(inner.map(_not), st.builds(_both, inner, inner), st.builds(_either, inner, inner)),
    max_leaves=4,
)


@dataclass
class Planned:
    """A catalog with everything in it that a planner can stumble over, and what was found by asking it."""

    made: Any
    recommender: Any
    seen: dict[str, Any]
    recalls: list[float]
    told: list[float]

    def truth(self, relation: str, items: Sequence[tuple[str, float]], may: np.ndarray) -> dict[str, float]:
        """The product with the question of every item that may answer, computed from the vectors in the database.

        The question is the weighted sum of the items' rows, each facet brought to unit length by itself.
        """
        seen = self.seen[relation]
        rows = {item_id: at for at, item_id in enumerate(seen.ids)}
        total = sum(weight * seen.rows[rows[item_id]] for item_id, weight in items)
        for part in self.recommender.generation.spaces["image"].projection.parts:
            own = np.linalg.norm(seen.rows[rows[items[0][0]], part.own])  # the root of the facet's weight
            length = np.linalg.norm(total[part.own])
            total[part.own] *= own / length if length else 0.0
        allowed = may.copy()
        allowed[[rows[item_id] for item_id, _ in items]] = False
        named = {seen.categories[rows[item_id]] for item_id, weight in items if weight > 0}
        rule = {"similar": "any", "substitute": "same", "style": "other"}[relation]
        if rule != "any" and None not in named:
            inside = np.array([category in named for category in seen.categories])
            allowed &= inside if rule == "same" else ~inside
        scores = seen.rows @ total
        return {seen.ids[at]: float(scores[at]) for at in np.flatnonzero(allowed)}


@pytest.fixture(scope="module", params=["annoy", "cells"])
def planned(request: Any, make_catalog: Any, searching_by: Any) -> Any:
    """Many small categories and a large one, items without any, copies, and a delta of all kinds of change."""
    with searching_by(request.param):
        made = make_catalog()
        vectors, clusters = made.points(COUNT)
        kinds: list[str | None] = [f"kind-{cluster % KINDS:02d}" for cluster in clusters]
        kinds[:300] = ["kind-00"] * 300
        kinds[300:340] = [None] * 40
        ids = [f"item-{row:04d}" for row in range(COUNT)]
        vectors[400:440] = vectors[440]  # copies of one item, more than answers asked for
        made.add(ids, vectors, kinds)
        made.build()
        fresh, clusters = made.points(120, seed=5)
        made.add([f"new-{row:02d}" for row in range(60)], fresh[:60], [f"kind-{c % KINDS:02d}" for c in clusters[:60]])
        made.add(ids[0:300:10], fresh[60:90], [f"kind-{c % KINDS:02d}" for c in clusters[60:90]])  # other places
        made.add(ids[5:300:10], vectors[5:300:10], ["kind-01"] * 30)  # the same place, another category
        made.add([f"copy-{row}" for row in range(20)], np.repeat(vectors[440:441], 20, axis=0), ["kind-03"] * 20)
        made.remove([*ids[1:COUNT:7], *[f"new-{row:02d}" for row in range(0, 60, 9)]])
        recommender = made.open()
        yield Planned(made, recommender, {rule: made.seen(recommender, rule) for rule in RULES}, [], [])


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([0.5, 1.0, 3.0])), min_size=1, max_size=3),
    against=st.lists(st.integers(0, 10**6), max_size=2),
    test=st.one_of(st.just(("", lambda item: True)), FILTERS),
    k=st.sampled_from([1, 3, 10, 25, 200, 5000]),
    relation=st.sampled_from(RULES),
)
def test_answers_equal_an_exact_scan(planned, measure_recall, rows, against, test, k, relation) -> None:
    """One item or several, others to move away from, any filter: as many answers as exist, and the right ones."""
    where, passes = test
    seen = planned.seen[relation]
    items = {seen.ids[row % len(seen.ids)]: weight for row, weight in rows}
    negatives = {seen.ids[row % len(seen.ids)]: 0.1 for row in against if seen.ids[row % len(seen.ids)] not in items}
    answer = planned.recommender.ask(
        Query(
            items=tuple(items.items()), negatives=tuple(negatives.items()), relation=relation, k=k, where=where,
            duplicates=True,
        )
    )  # fmt: skip
    signed = [*items.items(), *((item_id, -weight) for item_id, weight in negatives.items())]
    may = np.array([passes(item) for item in seen.attributes], bool)
    truth = planned.truth(relation, signed, may)
    assert len(answer.hits) == min(k, len(truth)), (where, relation)
    recall = measure_recall(answer.hits, truth, k)
    assert recall >= (1.0 if answer.method == "exact" else LEAST if k >= 10 else 0.0), (where, relation, answer.method)
    if k == 10:
        planned.recalls.append(recall)
        planned.told.append(answer.recall)
    scores = [truth[hit.item_id] for hit in answer.hits]
    assert scores == sorted(scores, reverse=True) or np.allclose(scores, sorted(scores, reverse=True), atol=1e-5)


def test_the_mean_recall_is_the_one_told(planned, measure_recall) -> None:
    """Over items of all kinds, asked about plainly, and over what was asked above."""
    for relation in RULES:
        seen = planned.seen[relation]
        for item_id in seen.ids[::29]:
            answer = planned.recommender.query(item_id, relation=relation, duplicates=True)
            truth = planned.truth(relation, [(item_id, 1.0)], np.ones(len(seen.ids), bool))
            planned.recalls.append(measure_recall(answer.hits, truth, 10))
            planned.told.append(answer.recall)
    assert np.mean(planned.recalls) >= np.mean(planned.told) - 0.01


CHANGES = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 300)),
    st.tuples(st.just("change"), st.integers(0, 300)),
    st.tuples(st.just("remove"), st.integers(0, 300)),
    st.tuples(st.just("build"), st.just(0)),
)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGES, min_size=1, max_size=8), row=st.integers(0, 10**6), relation=st.sampled_from(RULES))
def test_any_order_of_changes_and_builds_is_followed(make_catalog, measure_recall, changes, row, relation) -> None:
    """One recommender stays open; after each change its answers are those of what the database holds now."""
    made = make_catalog()
    made.fill(120, categories=4)
    made.build()
    recommender = made.open()
    here = [f"item-0-{at:05d}" for at in range(120)]
    for number, (change, at) in enumerate(changes):
        vectors, _ = made.points(3, seed=100 + at)
        match change:
            case "add":
                names = [f"added-{number}-{each}" for each in range(3)]
                made.add(names, vectors, ["kind-00", "kind-09", None])
                here += names
            case "change":
                made.add([here[at % len(here)]], vectors[:1], [f"kind-{at % 4:02d}"])
            case "remove" if len(here) > 2:
                made.remove([here.pop(at % len(here))])
            case "build":
                made.build()
        item_id = here[row % len(here)]
        answer = recommender.query(item_id, relation=relation, k=5, duplicates=True)
        truth = made.seen(recommender, relation).truth(item_id)
        assert len(answer.hits) == min(5, len(truth))
        assert measure_recall(answer.hits, truth, 5) == 1.0
    made.catalog.close()
    recommender.catalog.close()
