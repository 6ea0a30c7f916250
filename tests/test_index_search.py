"""Searching: answers equal an exact scan within the recall told, whatever may answer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.answers import Query
from index.engine.search import Restriction, Searcher
from index.relations import RELATIONS

COUNT = 3000
RULES = ("similar", "substitute", "style")


@pytest.fixture(scope="module", params=["annoy", "cells", "cells, rows read singly"])
def made(request, make_catalog, searching_by):
    """A catalog answered by trees or by its reduced copy, rows mapped or not, with tombstones and a delta."""
    method, _, singly = request.param.partition(", ")
    with searching_by(method), pytest.MonkeyPatch.context() as patch:
        if singly:
            patch.setattr("index.engine.stored._most_mapped", lambda: 0)
        made = make_catalog()
        made.fill(COUNT, categories=6)
        made.build()
        made.method = method
        made.remove([f"item-0-{row:05d}" for row in range(0, COUNT, 9)])
        vectors, clusters = made.points(60, seed=5)
        ids = [f"new-{row}" for row in range(30)] + [f"item-0-{row:05d}" for row in range(1, 271, 9)]
        made.add(ids, vectors, [f"kind-{cluster % 6:02d}" for cluster in clusters])
        made.recommender = made.open()
        made.compared = {relation: made.seen(made.recommender, relation) for relation in RULES}
        yield made


@pytest.mark.parametrize("relation", RULES)
@pytest.mark.parametrize("where", ["", "price<50", "price<5", "not category=kind-02"])
def test_answers_reach_the_recall_told(made, measure_recall, relation, where):
    """With and without filters, beside a delta and tombstones, by both rules."""
    seen = made.compared[relation]
    prices = np.array([item["price"] for item in seen.attributes])
    may = {
        "": None,
        "price<50": prices < 50,
        "price<5": prices < 5,
        "not category=kind-02": np.array(seen.categories) != "kind-02",
    }[where]
    recalls, told, methods = [], [], []
    for item_id in seen.ids[::37]:
        answer = made.recommender.query(item_id, relation=relation, where=where, duplicates=True)
        truth = seen.truth(item_id, may)
        assert len(answer.hits) == min(10, len(truth))
        assert all(hit.item_id != item_id for hit in answer.hits)
        for hit in answer.hits:
            assert hit.score == pytest.approx(truth[hit.item_id], abs=1e-5)
        assert all(one.score >= other.score for one, other in pairwise(answer.hits))
        recalls.append(measure_recall(answer.hits, truth, 10))
        told.append(answer.recall)
        methods.append(answer.method)
    assert np.mean(recalls) >= np.mean(told) - 0.01
    if not where and relation == "similar":
        assert methods.count(made.method) > 0.95 * len(methods)  # else cells nearby happened to hold few


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.integers(0, COUNT // 2),
    others=st.lists(st.integers(0, COUNT // 2), max_size=3),
    price=st.one_of(st.none(), st.integers(0, 100)),
    k=st.sampled_from([1, 7, 10, 40, 300]),
    relation=st.sampled_from(RULES),
)
def test_whatever_is_asked_as_many_answers_as_exist_come_back(made, measure_recall, row, others, price, k, relation):
    """The planner may choose any way, the answers are those of an exact scan within the recall told."""
    seen = made.compared[relation]
    item_id = seen.ids[row]
    where = "" if price is None else f"price<{price}"
    negatives = sorted({seen.ids[other] for other in others} - {item_id})
    query = Query(
        items=((item_id, 1.0),), negatives=tuple((n, 1e-6) for n in negatives), relation=relation, k=k, where=where,
        duplicates=True,
    )  # fmt: skip
    answer = made.recommender.ask(query)
    may = np.array([price is None or item["price"] < price for item in seen.attributes], bool)
    may &= ~np.isin(seen.ids, negatives)
    truth = seen.truth(item_id, may)
    assert len(answer.hits) == min(k, len(truth))
    assert measure_recall(answer.hits, truth, k) >= (1.0 if answer.method == "exact" else 0.7)


def test_a_filter_that_points_away_from_the_query_keeps_recall(make_catalog, searching_by, measure_recall):
    """None of the nearest hundreds pass: the nearest cells cannot help, and the answers are right all the same."""
    with searching_by("annoy"):
        made = make_catalog()
        made.fill(2000)
        near, _ = made.points(700, seed=3, cluster=7)
        made.add([f"near-{row}" for row in range(700)], near, ["kind-07"] * 700, [900] * 700)
        made.build()
        recommender = made.open()
        seen = made.seen(recommender, "similar")
        cheap = np.array([item["price"] < 900 for item in seen.attributes])
        for row in range(0, 700, 50):
            answer = recommender.query(f"near-{row}", where="price<900", duplicates=True)
            assert measure_recall(answer.hits, seen.truth(f"near-{row}", cheap), 10) == 1.0


def test_removing_all_neighbours_still_leaves_k_answers(make_catalog, searching_by, measure_recall):
    """Tombstones around the query do not eat up its answers."""
    with searching_by("annoy"):
        made = make_catalog()
        made.fill(2000)
        near, _ = made.points(700, seed=3, cluster=7)
        made.add([f"near-{row}" for row in range(700)], near, ["kind-07"] * 700)
        made.build()
        made.remove([f"near-{row}" for row in range(1, 700)])
        recommender = made.open()
        answer = recommender.query("near-0", k=20, duplicates=True)
        assert len(answer.hits) == 20
        assert measure_recall(answer.hits, made.seen(recommender, "similar").truth("near-0"), 20) == 1.0


@pytest.mark.parametrize("k", [2999, 5000, 10**9])
def test_more_answers_than_items_are_all_items(made, k):
    """Asking for a billion gives what there is, at once."""
    answer = made.recommender.query("item-0-00002", k=k, duplicates=True)
    assert len(answer.hits) == len(made.compared["similar"].ids) - 1


def test_ties_come_in_row_order(make_catalog):
    """Identical vectors are all found, and always in the same order."""
    made = make_catalog()
    vectors, _ = made.points(1)
    made.add([f"same-{row:02d}" for row in range(30)], np.repeat(vectors, 30, axis=0), ["kind"] * 30)
    made.build()
    recommender = made.open()
    answer = recommender.query("same-07", k=40, duplicates=True)
    assert sorted(hit.item_id for hit in answer.hits) == [f"same-{row:02d}" for row in range(30) if row != 7]
    assert all(hit.score == pytest.approx(1.0, abs=1e-5) for hit in answer.hits)
    assert not recommender.query("same-07").hits


def test_nothing_may_answer(made):
    """A restriction that allows nothing gives nothing."""
    space = made.recommender.generation.spaces["image"]
    none = np.zeros(0, np.int64)
    for relation, plan in space.record.relations.items():
        searcher = Searcher(space, RELATIONS[relation], plan)
        for restriction in (
            Restriction(np.zeros(len(space.record.categories), bool), None, none),
            Restriction(None, np.zeros(space.record.count, bool), none),
        ):
            assert not len(searcher.search(space.vectors[0], 10, restriction).rows)
