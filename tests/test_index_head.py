"""Heads and the relations made of them: learned maps are searched like any other relation."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from index.engine.build import raw_vectors
from index.engine.head import Content, Head, expected_parts
from index.engine.rows import FACETS, LearnedSpace
from index.errors import StaleIndexError, UnknownNameError
from index.learned import hold_relation
from index.relations import Relation

RANK = 6


def make_head(made: Any, *, symmetric: bool, seed: int = 3) -> Head:
    """Random maps over the facets of a built catalog."""
    projection = made.open().generation.spaces["image"].projection
    rng = np.random.default_rng(seed)
    source, target = rng.normal(0, 0.5, (2, projection.dim, RANK)).astype(np.float32)
    if symmetric:
        target = source
    offset = np.zeros(RANK, np.float32) if symmetric else rng.normal(size=RANK).astype(np.float32)
    head = Head(projection, source, target, offset, 2.0, np.zeros(len(projection.parts), np.float32))
    return replace(head, expected=expected_parts(head, projection.project(made.points(300, seed=9)[0])))


def learn(made: Any, head: Head, rule: Any = "any", name: str = "goes-with") -> Relation:
    """Keep a head as a relation, and build."""
    relation = Relation(name, {}, rule, ("image",), "Made up.", head.digest)
    with made.catalog.connection:
        hold_relation(made.catalog, relation, ["builtin-image"], head, "{}")
    made.build()
    return relation


def truth(made: Any, head: Head) -> tuple[list[str], np.ndarray]:
    """Ids, and the probability that the column's item answers the row's, from the definition."""
    found = made.catalog.connection.execute(
        "SELECT i.id, v.vector FROM items i JOIN media USING (item) JOIN vectors v USING (media) ORDER BY i.id"
    ).fetchall()
    facets = head.projection.project(np.stack([np.frombuffer(row[1], "<f4") for row in found])).astype(float)
    apart = (facets @ head.source + head.offset)[:, None] - (facets @ head.target)[None]
    return [row[0] for row in found], 1 / (1 + np.exp((apart**2).sum(axis=2) - head.shift))


@pytest.mark.parametrize("symmetric", [True, False])
def test_answers_are_those_of_the_definition(make_catalog: Callable[[], Any], symmetric: bool) -> None:
    """The most probable partners, with their probabilities."""
    made = make_catalog()
    made.fill(300)
    made.build()
    head = make_head(made, symmetric=symmetric)
    assert head.width == (RANK + 1 if symmetric else 2 * RANK + 1)
    learn(made, head)
    ids, probable = truth(made, head)
    recommender = made.open()
    for at in (0, 17, 123):
        answer = recommender.query(ids[at], relation="goes-with", k=8, duplicates=True)
        row = probable[at].copy()
        row[at] = -1
        best = np.argsort(-row)[:8]
        assert [hit.item_id for hit in answer.hits] == [ids[other] for other in best]
        np.testing.assert_allclose([hit.score for hit in answer.hits], row[best], rtol=1e-3)
        for hit in answer.hits:
            assert sum(hit.facets.values()) == pytest.approx(1, abs=1e-3)
        assert answer.method == "exact"


@pytest.mark.parametrize(("symmetric", "rule"), [(True, "any"), (False, "other category"), (False, "same category")])
def test_cells_keep_the_recall_they_tell(
    make_catalog: Callable[[], Any],
    searching_by: Callable[[str], AbstractContextManager[None]],
    symmetric: bool,
    rule: str,
) -> None:
    """Cells of where rows stand as answers, asked from where they stand when asked about."""
    made = make_catalog()
    made.fill(3000, categories=2)
    made.build()
    head = make_head(made, symmetric=symmetric)
    with searching_by("annoy"):
        learn(made, head, rule)
        ids, probable = truth(made, head)
        recommender = made.open()
        space = recommender.generation.learned["goes-with"]
        assert isinstance(space, LearnedSpace)
        plan = space.record.relations["goes-with"]
        assert plan.method == "cells"
        found = []
        category = dict(made.catalog.connection.execute("SELECT id, category FROM items"))
        same = np.array([[category[one] == category[other] for other in ids] for one in ids[:60]])
        for at in range(60):
            hits = recommender.query(ids[at], relation="goes-with", k=10, duplicates=True).hits
            may = {"any": np.ones(len(ids), bool), "same category": same[at], "other category": ~same[at]}[rule].copy()
            may[at] = False
            last = np.sort(np.where(may, probable[at], -1))[-10]
            found.append(np.mean([probable[at][ids.index(hit.item_id)] >= last - 1e-6 for hit in hits]))
            assert all(may[ids.index(hit.item_id)] for hit in hits)
        assert np.mean(found) > plan.recall - 0.03


def test_new_items_files_filters_and_diversity(make_catalog: Callable[[], Any]) -> None:
    """What every relation can do, a learned one can."""
    made = make_catalog()
    made.fill(200)
    made.build()
    head = make_head(made, symmetric=False)
    learn(made, head)
    vectors, _ = made.points(3, seed=77)
    made.add(["new-0", "new-1", "new-2"], vectors, ["kind-00"] * 3)
    recommender = made.open()
    ids, probable = truth(made, head)
    answer = recommender.query("new-1", relation="goes-with", k=5, where="price<50", duplicates=True)
    price = {i: json.loads(a)["price"] for i, a in made.catalog.connection.execute("SELECT id, attributes FROM items")}
    row = np.where([price[i] < 50 and i != "new-1" for i in ids], probable[ids.index("new-1")], -1)
    assert [hit.item_id for hit in answer.hits] == [ids[at] for at in np.argsort(-row)[:5]]
    asked = recommender.query("new-1", "item-0-00003", relation="goes-with", k=20, negatives=["item-0-00007"])
    assert not {"new-1", "item-0-00003", "item-0-00007"} & {hit.item_id for hit in asked.hits}
    spread = recommender.query("new-1", relation="goes-with", k=20, diversity=0.8)
    assert [hit.item_id for hit in spread.hits] != [hit.item_id for hit in asked.hits]
    assert len(spread.hits) == 20


def test_a_learned_relation_takes_the_place_of_a_built_in_one(make_catalog: Callable[[], Any]) -> None:
    """Until the catalog's encoder changes: then the built-in one answers again."""
    made = make_catalog()
    made.fill(50)
    made.build()
    plain = [hit.item_id for hit in made.open().query("item-0-00001", relation="style").hits]
    learn(made, make_head(made, symmetric=True), "other category", "style")
    assert made.catalog.relation("style").head
    assert [hit.item_id for hit in made.open().query("item-0-00001", relation="style").hits] != plain
    card = replace(made.card, revision=made.card.revision + 1)
    with made.catalog.connection:
        made.catalog.hold_encoder(card.name, card)
    assert not made.catalog.relation("style").head
    made.build()
    assert [hit.item_id for hit in made.open().query("item-0-00001", relation="style").hits] == plain


def test_a_relation_that_is_not_built_yet_says_so(make_catalog: Callable[[], Any]) -> None:
    """Readers that hold the generation before are told to wait."""
    made = make_catalog()
    made.fill(50)
    made.build()
    reader = made.open()
    reader.query("item-0-00001")
    head = make_head(made, symmetric=True)
    relation = Relation("new", {}, "any", ("image",), "Made up.", head.digest)
    with made.catalog.connection:
        hold_relation(made.catalog, relation, ["builtin-image"], head, "{}")
    for asking in (reader, made.open()):
        with pytest.raises(StaleIndexError, match="learned or forgotten a moment ago"):
            asking.query("item-0-00001", relation="new")
        assert asking.query("item-0-00001").hits, "the others answer"
    made.build()
    assert reader.query("item-0-00001", relation="new").hits
    with pytest.raises(UnknownNameError, match="did you mean 'new'"):
        reader.query("item-0-00001", relation="knew")


def test_a_head_is_read_as_it_was_written(make_catalog: Callable[[], Any]) -> None:
    """The same numbers, the same digest; other bytes are refused."""
    made = make_catalog()
    made.fill(50)
    made.build()
    head = make_head(made, symmetric=False)
    again = Head.load(head.to_bytes(), [made.card])
    assert again.digest == head.digest
    raw = raw_vectors(made.catalog, made.catalog.keys_of(["item-0-00001"]), made.catalog.encoders().values())
    np.testing.assert_array_equal(again.project(raw), head.project(raw))
    assert replace(head, shift=head.shift + 1).digest != head.digest
    with pytest.raises(StaleIndexError, match="learn it anew"):
        Head.load(head.to_bytes()[:-50], [made.card])


def test_facets_share_what_brings_two_closer_than_chance(make_catalog: Callable[[], Any]) -> None:
    """A head that looks at one facet alone gives it everything."""
    made = make_catalog()
    made.fill(100)
    made.build()
    head = make_head(made, symmetric=True)
    colour = next(part for part in head.projection.parts if part.facet.name == "color")
    only = np.zeros_like(head.source)
    only[colour.own] = head.source[colour.own]
    head = replace(head, source=only, target=only)
    facets = head.projection.project(made.points(300, seed=9)[0])
    head = replace(head, expected=expected_parts(head, facets))
    nearer = (((facets[0] - facets[1:50]) @ only) ** 2).sum(axis=1)
    shares = head.shares(Content(facets[:1], np.ones(1, np.float32), facets[1:50]), nearer)
    names = [part.facet.name for part in head.projection.parts]
    assert set(np.flatnonzero(shares.sum(axis=0))) == {names.index("color")}
    spoke = shares.sum(axis=1) > 0
    np.testing.assert_array_equal(spoke, nearer < head.expected.sum())


def test_shares_are_the_same_wherever_facets_are_kept(
    make_catalog: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the modality's own rows, beside the relation's once the catalog has grown, or in the database, which is read
    for nothing else."""
    made = make_catalog()
    made.fill(200)
    made.build()
    head = make_head(made, symmetric=False)
    learn(made, head)
    found = made.catalog.connection.execute(
        "SELECT i.id, v.vector FROM items i JOIN media USING (item) JOIN vectors v USING (media)"
    ).fetchall()
    facets = {name: head.projection.project(np.frombuffer(vector, "<f4")[None]) for name, vector in found}

    def check(recommender: Any, *names: str) -> None:
        hits = recommender.query(*names, relation="goes-with", k=15, duplicates=True).hits
        answers = np.vstack([facets[hit.item_id] for hit in hits])
        content = Content(np.vstack([facets[name] for name in names]), np.ones(len(names), np.float32), answers)
        expected = head.shares(content, np.zeros(len(hits), np.float32))
        told = np.array([[hit.facets[name] for name in head.reasons] for hit in hits])
        np.testing.assert_allclose(told, expected, atol=2e-4)

    folder = made.open().generation.learned["goes-with"].folder
    assert not (folder / FACETS).exists()
    read: list[list[int]] = []
    real = raw_vectors
    for place in ("index.engine.build", "index.engine.delta"):
        monkeypatch.setattr(
            f"{place}.raw_vectors", lambda catalog, keys, held: (read.append(list(keys)), real(catalog, keys, held))[1]
        )
    recommender = made.open()
    recommender.generation  # noqa: B018  # opened, with what changed
    read.clear()
    check(recommender, "item-0-00003")
    check(recommender, "item-0-00003", "item-0-00004")
    assert not read
    made.fill(60, seed=1)
    later = head.projection.project(made.points(60, seed=1)[0])
    facets |= {f"item-1-{row:05d}": later[row : row + 1] for row in range(60)}
    check(made.open(), "item-1-00003")
    made.build()
    recommender = made.open()
    space = recommender.generation.learned["goes-with"]
    assert space.facets is not None
    assert not space.projects_as(recommender.generation.spaces["image"])
    read.clear()
    check(recommender, "item-0-00003")
    check(recommender, "item-1-00003", "item-0-00004")
    assert not any(read)
    vectors, _ = made.points(1, seed=77)
    made.add(["item-0-00009"], vectors, ["kind-00"])
    facets["item-0-00009"] = head.projection.project(vectors)
    check(made.open(), "item-0-00009")
    check(made.open(), "item-0-00003")
