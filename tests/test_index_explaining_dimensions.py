"""Dimensions of learned relations: what brought two items close, shown by the items at its ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from index.engine.head import Head, expected_parts
from index.engine.sphere import Sphere
from index.explaining import explain
from index.learned import Behaviour, hold_relation
from index.relations import Relation


@pytest.fixture(scope="module")
def learned(make_catalog: Callable[[], Any]) -> Any:
    """A catalog with a relation that looks along two directions of its items, the first much wider."""
    made = make_catalog()
    made.fill(300)
    made.build()
    space = made.open().generation.spaces["image"]
    rng = np.random.default_rng(4)
    axes = np.linalg.qr(rng.normal(size=(space.projection.dim, 2)))[0] * (6.0, 2.0)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])  # a fit's own axes are as good as any rotation of them
    maps = (axes @ turn).astype(np.float32)
    none = np.zeros(2, np.float32)
    head = Head(space.projection, maps, maps, none, 1.0, np.zeros(3, np.float32))
    head = Head(space.projection, maps, maps, none, 1.0, expected_parts(head, np.asarray(space.vectors)))
    with made.catalog.connection:
        relation = Relation("goes-with", {}, "any", ("image",), "Made up.", head.digest)
        hold_relation(made.catalog, relation, ["builtin-image"], head, "{}")
    made.build()
    made.points_along = np.asarray(space.vectors) @ (axes / (6.0, 2.0))
    made.keys = np.asarray(space.keys)
    return made


def test_the_direction_in_which_two_stand_close_is_shown_by_its_ends(learned: Any) -> None:
    """Two items that are alike along the wide direction: its ends are the catalog's outermost items there."""
    recommender = learned.open()
    wide = learned.points_along[:, 0]
    order = np.argsort(wide)
    items = recommender.catalog.items(learned.keys.tolist())
    ids = [items[int(key)].item_id for key in learned.keys]
    a, b = ids[order[150]], ids[order[151]]
    found = explain(recommender, a, b, "goes-with")
    first = found.dimensions[0]
    ends = [set(first.low), set(first.high)]
    outermost = [{ids[at] for at in order[:8]}, {ids[at] for at in order[-8:]}]
    assert (ends[0] <= outermost[0] and ends[1] <= outermost[1]) or (
        ends[0] <= outermost[1] and ends[1] <= outermost[0]
    )
    assert first.share > 0.5
    assert first.a == pytest.approx(0.5, abs=0.05)
    assert first.b == pytest.approx(first.a, abs=0.02)
    assert any("lies along one dimension of the relation" in line for line in found.words)
    assert found.learned


def test_the_score_is_the_link_probability_of_the_answer(learned: Any) -> None:
    """As a query tells it, with its shares."""
    recommender = learned.open()
    hit = recommender.query("item-0-00005", relation="goes-with", k=1, duplicates=True).hits[0]
    found = explain(recommender, "item-0-00005", hit.item_id, "goes-with")
    assert found.score == pytest.approx(hit.score, abs=1e-5)
    assert dict(found.facets) == pytest.approx(dict(hit.facets), abs=1e-3)
    told = found.to_json()["dimensions"]
    assert list(told[0]) == ["share", "low", "high", "a", "b"]
    assert sum(one["share"] for one in told) <= 1 + 1e-6


def test_two_far_apart_share_no_dimension(learned: Any) -> None:
    """What does not bring them closer is not named."""
    recommender = learned.open()
    order = np.argsort(learned.points_along[:, 0])
    ids = [recommender.catalog.items([int(learned.keys[at])])[int(learned.keys[at])].item_id for at in order[[0, -1]]]
    found = explain(recommender, ids[0], ids[1], "goes-with")
    assert all(abs(one.a - one.b) < 0.6 for one in found.dimensions)


def test_a_plain_relation_has_no_dimensions(learned: Any) -> None:
    """Its facets are its dimensions."""
    found = explain(learned.open(), "item-0-00001", "item-0-00002", "similar")
    assert found.dimensions == ()
    assert "dimensions" not in found.to_json()


def test_the_page_names_items_at_the_ends_that_have_no_picture(learned: Any) -> None:
    """Ids are told where there is nothing to show."""
    found = explain(learned.open(), "item-0-00003", "item-0-00004", "goes-with")
    if found.dimensions:
        assert f"<code>{found.dimensions[0].low[0]}</code>" in found.html()


def test_what_people_did_is_among_the_reasons(make_catalog: Callable[[], Any]) -> None:
    """Of a relation learned from behaviour; it has a share and no cosine."""
    made = make_catalog()
    made.fill(80)
    made.build()
    projection = made.open().generation.spaces["image"].projection
    rng = np.random.default_rng(3)
    maps = rng.normal(0, 0.5, (projection.dim, 4)).astype(np.float32)
    facets = projection.project(made.points(200, seed=9)[0])
    sphere = Sphere(facets.mean(axis=0), 1.5)
    head = Head(projection, maps, maps, np.zeros(4, np.float32), 2.0, np.zeros(3, np.float32), sphere)
    head = replace(head, expected=expected_parts(head, facets))
    known = ["item-0-00001", "item-0-00002"]
    places = sphere.on(np.array([[1, 0, 0, 0], [1, 0.01, 0, 0]], np.float32))  # always bought together
    relation = Relation("goes-with", {}, "any", ("image",), "Made up.", head.digest)
    with made.catalog.connection:
        behaviour = Behaviour(np.array(made.catalog.keys_of(known)), places)
        hold_relation(made.catalog, relation, ["builtin-image"], head, "{}", behaviour)
    made.build()
    recommender = made.open()
    hit = recommender.query(known[0], relation="goes-with", k=1, duplicates=True).hits[0]
    found = explain(recommender, *known, "goes-with")
    assert hit.item_id == known[1]
    assert found.score == pytest.approx(hit.score, abs=1e-5)
    assert dict(found.facets) == pytest.approx(dict(hit.facets), abs=1e-3)
    assert found.facets["behaviour"] > 0.2
    assert "behaviour" not in found.cosines
    assert "what people did with them" in found.sentence
    assert "what people did with them" in found.html()
