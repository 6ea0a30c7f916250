"""Outfits: means over pairs from the definition, the weakest item, and the best of all replacements."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from index.engine.head import Head
from index.errors import InputError, UnknownNameError
from index.learned import hold_relation
from index.lists.outfits import score_outfit
from index.relations import Relation

BASKET = ["item-0-00001", "item-0-00005", "item-0-00017", "item-0-00030"]


@pytest.fixture(scope="module")
def filled(make_catalog: Callable[[], Any]) -> Any:
    """80 items in four categories, with a directed learned relation "goes-with" and one item that is new."""
    made = make_catalog()
    made.fill(80, categories=4)
    made.build()
    projection = made.open().generation.spaces["image"].projection
    source, target = np.random.default_rng(1).normal(0, 0.4, (2, projection.dim, 5)).astype(np.float32)
    none = np.zeros(len(projection.parts), np.float32)
    made.head = Head(projection, source, target, np.full(5, 0.2, np.float32), 2.0, none)
    with made.catalog.connection:
        relation = Relation("goes-with", {}, "other category", ("image",), "Made up.", made.head.digest)
        hold_relation(made.catalog, relation, ["builtin-image"], made.head, "{}")
    made.build()
    made.add(["new"], made.points(1, seed=5)[0], ["kind-00"])
    return made


def test_a_plain_relation_gives_the_mean_score_of_all_pairs(filled: Any) -> None:
    """Each pair as the relation scores it; the weakest is the one with the lowest mean."""
    recommender = filled.open()
    seen = filled.seen(recommender, "style")
    rows = {item_id: seen.rows[seen.ids.index(item_id)] for item_id in BASKET}
    found = score_outfit(recommender, BASKET, "style")
    pairs = {(a, b): rows[a] @ rows[b] for a, b in itertools.combinations(BASKET, 2)}
    assert found.measure == "score"
    assert [(pair.left, pair.right) for pair in found.pairs] == list(pairs)
    np.testing.assert_allclose([pair.score for pair in found.pairs], list(pairs.values()), atol=1e-5)
    assert found.score == pytest.approx(np.mean(list(pairs.values())), abs=1e-5)
    means = {one: np.mean([score for pair, score in pairs.items() if one in pair]) for one in BASKET}
    assert dict(found.items) == pytest.approx(means, abs=1e-5)
    assert found.weakest == min(means, key=lambda one: means[one])
    assert found.suggestion is None


def test_a_learned_relation_gives_the_mean_log_likelihood_of_both_directions(filled: Any) -> None:
    """From the definition: the logarithm of 1 / (1 + exp(‖xᵢA + b − xⱼB‖² − c)), there and back."""
    head: Head = filled.head
    raw = dict(
        filled.catalog.connection.execute(
            "SELECT i.id, v.vector FROM items i JOIN media USING (item) JOIN vectors v USING (media)"
        )
    )
    facets = head.projection.project(np.stack([np.frombuffer(raw[one], "<f4") for one in BASKET])).astype(float)
    apart = (((facets @ head.source + head.offset)[:, None] - (facets @ head.target)[None]) ** 2).sum(axis=2)
    likely = np.log(1 / (1 + np.exp(apart - head.shift)))
    found = score_outfit(filled.open(), BASKET, "goes-with")
    left, right = np.triu_indices(4, 1)
    wanted = (likely[left, right] + likely[right, left]) / 2
    assert found.measure == "log-likelihood"
    np.testing.assert_allclose([pair.score for pair in found.pairs], wanted, rtol=1e-3)
    assert found.score == pytest.approx(wanted.mean(), rel=1e-3)


def test_the_order_of_names_changes_nothing_but_the_order(filled: Any) -> None:
    """Also for a directed relation; of two equals the one named last is the weakest."""
    recommender = filled.open()
    there, back = (score_outfit(recommender, names, "goes-with") for names in (BASKET, BASKET[::-1]))
    assert there.score == pytest.approx(back.score)
    assert there.weakest == back.weakest
    assert score_outfit(recommender, BASKET[:2], "style").weakest == BASKET[1]
    assert score_outfit(recommender, BASKET[1::-1], "style").weakest == BASKET[0]


@pytest.mark.parametrize("relation", ["style", "similar", "goes-with"])
@pytest.mark.parametrize("basket", [BASKET, BASKET[:2], [*BASKET[1:3], "new"]], ids=["four", "two", "with new"])
def test_the_suggestion_is_the_best_of_all_replacements(filled: Any, relation: str, basket: list[str]) -> None:
    """Every item of the weakest one's category is tried here, one by one."""
    recommender = filled.open()
    found = score_outfit(recommender, basket, relation, suggest=True)
    category = dict(filled.catalog.connection.execute("SELECT id, category FROM items"))
    others = [one for one in basket if one != found.weakest]
    tried = {
        one: score_outfit(recommender, [*others, one], relation).score
        for one in category
        if category[one] == category[found.weakest] and one not in basket
    }
    best = max(tried, key=lambda one: tried[one])
    assert tried[best] > found.score
    assert found.suggestion is not None
    assert (found.suggestion.replaces, found.suggestion.item_id) == (found.weakest, best)
    assert found.suggestion.score == pytest.approx(tried[best], rel=1e-6)


def test_near_duplicates_are_no_suggestion_and_nothing_better_is_told(make_catalog: Callable[[], Any]) -> None:
    """A copy of what is there already would score highest; with copies alone there is no suggestion."""
    made = make_catalog()
    vectors, _ = made.points(3, seed=1)
    made.add(["a", "b", "copy of a"], vectors[[0, 1, 0]], ["kind"] * 3)
    made.build()
    assert score_outfit(made.open(), ["a", "b"], "similar", suggest=True).suggestion is None
    near, _ = made.points(1, seed=2)
    made.add(["other"], near, ["kind"])
    found = score_outfit(made.open(), ["a", "b"], "similar", suggest=True)
    better = score_outfit(made.open(), ["a", "other"], "similar").score > found.score
    assert (found.suggestion is not None) == better


@pytest.mark.parametrize(
    ("names", "relation", "told"),
    [
        (BASKET[:1], "style", "2 to 100 items, not 1"),
        ([BASKET[0], BASKET[0]], "style", "named twice"),
        (BASKET, "similar-track", "no audio item"),
        ([f"x{at}" for at in range(101)], "style", "not 101"),
    ],
)
def test_what_cannot_be_scored_is_told(filled: Any, names: list[str], relation: str, told: str) -> None:
    """One plain sentence each."""
    with pytest.raises(InputError, match=told):
        score_outfit(filled.open(), names, relation)


def test_unknown_items_are_told(filled: Any) -> None:
    """With the nearest that exists."""
    with pytest.raises(UnknownNameError, match="did you mean 'item-0-"):
        score_outfit(filled.open(), ["item-0-0001", BASKET[1]])
