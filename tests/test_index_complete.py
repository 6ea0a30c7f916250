"""Completing outfits: the best of all combinations, within price and filter, alternatives that differ."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from index.engine.head import Head
from index.errors import InputError, UnknownNameError
from index.learned import hold_relation
from index.lists.complete import complete_outfit
from index.lists.outfits import score_outfit
from index.relations import Relation

GIVEN = ["item-0-00001", "item-0-00005"]


@pytest.fixture(scope="module")
def filled(make_catalog: Callable[[], Any]) -> Any:
    """60 items in six categories, prices 0 to 59, a directed learned relation, and copies in two of the categories."""
    made = make_catalog()
    made.fill(60, categories=6)
    made.build()
    projection = made.open().generation.spaces["image"].projection
    source, target = np.random.default_rng(1).normal(0, 0.4, (2, projection.dim, 5)).astype(np.float32)
    none = np.zeros(len(projection.parts), np.float32)
    head = Head(projection, source, target, np.full(5, 0.2, np.float32), 2.0, none)
    with made.catalog.connection:
        relation = Relation("goes-with", {}, "other category", ("image",), "Made up.", head.digest)
        hold_relation(made.catalog, relation, ["builtin-image"], head, "{}")
    made.build()
    vectors = made.points(60)[0]
    made.add(["copy-1", "copy-2"], vectors[[1, 2]], ["kind-00", "kind-01"], [7, None])
    return made


def every_outfit(
    filled: Any, slots: list[str], relation: str, cap: float | None = None
) -> dict[tuple[str, ...], float]:
    """Each way of filling slots with different things: the mean over its pairs, as ``score_outfit`` has it."""
    recommender = filled.open()
    rows = filled.catalog.connection.execute(
        "SELECT id, category, json_extract(attributes, '$.price') FROM items"
    ).fetchall()
    thing = {"copy-1": "item-0-00001", "copy-2": "item-0-00002"}
    price = {item_id: amount for item_id, _, amount in rows}
    lists = [[item_id for item_id, category, _ in rows if category == slot and item_id not in GIVEN] for slot in slots]
    found = {}
    for outfit in itertools.product(*lists):
        if cap is not None and (None in [price[one] for one in outfit] or sum(price[one] for one in outfit) > cap):
            continue
        if len({thing.get(one, one) for one in (*GIVEN, *outfit)}) == len(outfit) + len(GIVEN):
            found[outfit] = score_outfit(recommender, [*GIVEN, *outfit], relation).score
    return found


def ids_of(alternative: Any) -> tuple[str, ...]:
    return tuple(choice.item.item_id for choice in alternative.items)


@pytest.mark.parametrize("relation", ["style", "goes-with"])
@pytest.mark.parametrize(
    ("slots", "cap"), [(["kind-00", "kind-03"], None), (["kind-01", "kind-01"], None), (["kind-00", "kind-04"], 40)]
)
def test_the_best_of_all_combinations_is_found(filled: Any, relation: str, slots: list[str], cap: float | None) -> None:
    """Every outfit is scored here; also for two items of one category, and within a price."""
    tried = every_outfit(filled, slots, relation, cap)
    found = complete_outfit(filled.open(), GIVEN, slots, relation, max_price=cap).alternatives[0]
    best = max(tried, key=lambda outfit: tried[outfit])
    assert found.score == pytest.approx(tried[best], rel=1e-5)
    assert tried[ids_of(found)] == pytest.approx(tried[best], rel=1e-5)
    scored = dict(score_outfit(filled.open(), [*GIVEN, *ids_of(found)], relation).items)
    for choice in found.items:
        assert choice.score == pytest.approx(scored[choice.item.item_id], rel=1e-5)
        assert choice.slot == choice.item.category
    if cap is not None:
        assert found.price == sum(choice.item.attributes["price"] for choice in found.items)
        assert found.price <= cap


@pytest.mark.parametrize(("diversity", "shared"), [(0.0, 1), (0.5, 1), (0.6, 0), (1.0, 0)])
def test_each_alternative_is_the_best_that_differs_enough(filled: Any, diversity: float, shared: int) -> None:
    """From all outfits, one after another; order within an outfit does not make another one."""
    slots = ["kind-01", "kind-01"]
    tried = every_outfit(filled, slots, "style")
    found = complete_outfit(filled.open(), GIVEN, slots, alternatives=3, diversity=diversity).alternatives
    assert len(found) == 3
    before: list[set[str]] = []
    thing = {"copy-2": "item-0-00002"}
    for alternative in found:
        different = {
            outfit: score
            for outfit, score in tried.items()
            if all(len({thing.get(one, one) for one in outfit} & other) <= shared for other in before)
        }
        assert alternative.score == pytest.approx(max(different.values()), rel=1e-5)
        assert ids_of(alternative) in different
        before.append({thing.get(one, one) for one in ids_of(alternative)})


def test_what_is_left_out_and_what_is_missing_is_told(filled: Any) -> None:
    """Items without a price under a cap, and alternatives that there are not; without a cap they may be chosen."""
    found = complete_outfit(filled.open(), GIVEN, ["kind-01"], max_price=1000, alternatives=20)
    assert found.notes[0] == "1 items without a price in numbers are left out"
    assert found.notes[1].startswith(f"only {len(found.alternatives)} of 20 alternatives")
    assert all(one.price is not None for one in found.alternatives)
    free = complete_outfit(filled.open(), GIVEN, ["kind-01"], alternatives=20, where="id=copy-2")
    assert [(ids_of(one), one.price) for one in free.alternatives] == [(("copy-2",), None)]
    assert free.to_json()["alternatives"][0]["items"][0]["id"] == "copy-2"


def test_the_filter_and_near_duplicates_of_what_is_given_hold(filled: Any) -> None:
    """A copy of a given item completes nothing, even alone in its category."""
    with pytest.raises(InputError, match="too few different items for kind-00"):
        complete_outfit(filled.open(), GIVEN, ["kind-00"], where="id=copy-1")
    found = complete_outfit(filled.open(), GIVEN, ["kind-03", "kind-04"], where="price>=30 or price<10")
    assert all(not 10 <= choice.item.attributes["price"] < 30 for choice in found.alternatives[0].items)


def test_the_cheapest_are_candidates_under_a_cap(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where few are proposed for their style; a cap below them is told with what they cost."""
    monkeypatch.setattr("index.lists.complete.PROPOSED", 1)
    slots = ["kind-02", "kind-03"]
    rows = filled.catalog.connection.execute(
        "SELECT category, min(json_extract(attributes, '$.price')) FROM items "
        "WHERE category IN (?, ?) AND id NOT IN (?, ?) GROUP BY 1",
        (*slots, *GIVEN),
    ).fetchall()
    assert len(rows) == 2
    least = sum(price for _, price in rows)
    found = complete_outfit(filled.open(), GIVEN, slots, max_price=least).alternatives[0]
    assert found.price == least
    with pytest.raises(InputError, match=f"cost {least} together|no item of category"):
        complete_outfit(filled.open(), GIVEN, slots, max_price=least - 1)


@pytest.mark.parametrize(
    ("names", "slots", "options", "told"),
    [
        ([], ["kind-00"], {}, "1 to 50 items, not 0"),
        (GIVEN, [], {}, "1 to 8 slots"),
        (GIVEN, ["kind-00"] * 9, {}, "1 to 8 slots"),
        ([GIVEN[0], GIVEN[0]], ["kind-00"], {}, "named twice"),
        (GIVEN, ["kind-00"], {"alternatives": 0}, "alternatives"),
        (GIVEN, ["kind-00"], {"diversity": 1.5}, "diversity"),
        (GIVEN, ["kind-00"], {"max_price": -1}, "highest price"),
        (GIVEN, ["kind-00"], {"max_price": float("nan")}, "highest price"),
        (GIVEN, ["kind-00"], {"where": "id=nothing"}, "passes the filter"),
        (GIVEN, ["kind-00"], {"where": "id=="}, "expected"),
        (GIVEN, ["kind-00"], {"relation": "similar-track"}, "no audio item"),
    ],
)
def test_what_cannot_be_completed_is_told(
    filled: Any, names: list[str], slots: list[str], options: dict[str, Any], told: str
) -> None:
    """One plain sentence each."""
    with pytest.raises(InputError, match=told):
        complete_outfit(filled.open(), names, slots, **options)


def test_unknown_names_are_told_with_the_nearest(filled: Any) -> None:
    """Items, categories and relations."""
    with pytest.raises(UnknownNameError, match="category 'kind-0'; did you mean 'kind-0"):
        complete_outfit(filled.open(), GIVEN, ["kind-0"])
    with pytest.raises(UnknownNameError, match="did you mean 'item-0-"):
        complete_outfit(filled.open(), ["item-0-0001"], ["kind-00"])
    with pytest.raises(UnknownNameError, match="did you mean 'style'"):
        complete_outfit(filled.open(), GIVEN, ["kind-00"], "stile")


def test_it_shows_itself_in_a_notebook(filled: Any) -> None:
    """With nothing taken as markup."""
    filled.add(["<b>bold</b>"], filled.points(1, seed=9)[0], ["kind-<i>"])
    found = complete_outfit(filled.open(), GIVEN, ["kind-<i>"])
    shown = found._repr_html_()
    assert "&lt;b&gt;bold" in shown
    assert "<b>bold" not in shown
    assert "<i>" not in shown


def test_the_verb_prints_a_table_and_json(filled: Any, run_simkin: Callable[..., Any]) -> None:
    """Slots separated by commas; the ids are those of the library."""
    found = complete_outfit(filled.open(), GIVEN, ["kind-01", "kind-03"], alternatives=2)
    asked = ("complete", *GIVEN, "--slots", "kind-01, kind-03", "--alternatives", 2, "--catalog", filled.folder)
    told = run_simkin(*asked)
    assert told.returncode == 0, told.stderr
    assert all(item_id in told.stdout for one in found.alternatives for item_id in ids_of(one))
    told = run_simkin(*asked, "--json")
    assert json.loads(told.stdout) == found.to_json()
