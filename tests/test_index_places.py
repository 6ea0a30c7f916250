"""Places: what is computed between items is what the relation's answers say, plain, learned and directed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from index.answering.places import named_keys, places_of
from index.encoders import card_of
from index.engine.head import Head
from index.errors import InputError, StaleIndexError, UnknownNameError
from index.learned import hold_relation
from index.relations import Relation


def learn(made: Any, symmetric: bool, build: bool = True) -> None:
    """Keep random maps as the relation "goes-with"."""
    projection = made.open().generation.spaces["image"].projection
    source, target = np.random.default_rng(1).normal(0, 0.5, (2, projection.dim, 4)).astype(np.float32)
    offset = np.full(4, 0.0 if symmetric else 0.3, np.float32)
    none = np.zeros(len(projection.parts), np.float32)
    head = Head(projection, target if symmetric else source, target, offset, 2.0, none)
    with made.catalog.connection:
        relation = Relation("goes-with", {}, "any", ("image",), "Made up.", head.digest)
        hold_relation(made.catalog, relation, ["builtin-image"], head, "{}")
    if build:
        made.build()


@pytest.fixture(scope="module")
def filled(make_catalog: Callable[[], Any]) -> Any:
    """A catalog of 60 items, two of them new since it was built, one removed."""
    made = make_catalog()
    made.fill(60)
    made.build()
    learn(made, symmetric=False)
    made.add(["new-0", "new-1"], made.points(2, seed=5)[0], ["kind-00", "kind-01"])
    made.remove(["item-0-00002"])
    return made


@pytest.mark.parametrize("relation", ["similar", "goes-with"])
def test_scores_are_those_of_answers(filled: Any, relation: str) -> None:
    """In the direction in which the question is asked, for items of the generation and for new ones."""
    recommender = filled.open()
    for asked in ("item-0-00001", "new-1"):
        hits = recommender.query(asked, relation=relation, k=100, duplicates=True).hits
        ids = [hit.item_id for hit in hits]
        assert len(ids) == 60
        assert "item-0-00002" not in ids
        keys = named_keys(recommender, [asked, *ids])
        places = places_of(recommender, relation, keys)
        vectors = places.vectors(keys)
        found = places.scores(places.apart(vectors[:1], vectors[1:]))[0]
        np.testing.assert_allclose(found, [hit.score for hit in hits], rtol=1e-3, atol=1e-5)
        assert places.ids(keys) == [asked, *ids]


def test_a_directed_relation_differs_by_direction_and_its_likelihoods_are_logarithms(filled: Any) -> None:
    """There and back are two numbers, each the logarithm of its probability."""
    recommender = filled.open()
    places = places_of(recommender, "goes-with")
    _, vectors = places.select().take(np.arange(10))
    apart = places.apart(vectors, vectors)
    assert not np.allclose(apart, apart.T)
    np.testing.assert_allclose(np.exp(places.log_likelihoods(apart)), 1 / (1 + np.exp(apart - 2.0)), rtol=1e-9)
    assert np.isfinite(places.log_likelihoods(apart + 1e6)).all()


def test_near_points_are_related_items(filled: Any) -> None:
    """The product of two points of a plain relation is their score."""
    recommender = filled.open()
    places = places_of(recommender, "style")
    keys, vectors = places.select().take(np.arange(20))
    points = places.points(vectors)
    seen = filled.seen(recommender, "style")
    rows = seen.rows[[seen.ids.index(name) for name in places.ids(keys.tolist())]]
    np.testing.assert_allclose(points @ points.T, rows @ rows.T, atol=1e-5)


def test_selections_hold_what_the_catalog_holds_now(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All, those that pass a filter, those of a category; changed, new and removed ones as they are now."""
    recommender = filled.open()
    places = places_of(recommender, "similar")
    rows = filled.catalog.connection.execute("SELECT item, category, attributes->>'price' FROM items").fetchall()

    def held(selection: Any) -> list[int]:
        keys = [key for some, vectors in selection.blocks() for key in some.tolist() if len(vectors) == len(some)]
        assert len(keys) == len(selection)
        return sorted(keys)

    monkeypatch.setattr("index.answering.places.BLOCK", 7)
    assert held(places.select()) == sorted(key for key, *_ in rows)
    assert held(places.select("price<10")) == sorted(key for key, _, price in rows if int(price) < 10)
    of_kind = sorted(key for key, category, _ in rows if category == "kind-01")
    assert held(places.of_category("kind-01")) == of_kind
    assert held(places.of_category("kind-77")) == []
    keys, vectors = places.select().take(np.arange(len(rows)))
    np.testing.assert_array_equal(vectors, places.vectors(keys.tolist()))


def test_the_modality_is_asked_for_only_where_both_have_items(make_catalog: Callable[[], Any]) -> None:
    """A catalog that could hold songs and has none is one of pictures; with a song it must be said."""
    made = make_catalog()
    made.fill(5)
    card = card_of("builtin-audio")
    with made.catalog.connection:
        made.catalog.hold_encoder(card.name, card)
    made.build()
    assert places_of(made.open(), "similar").space.modality == "image"
    song = np.random.default_rng(0).normal(size=card.dim).astype("<f4")
    with made.catalog.connection as sql:
        values = ("song", made.catalog.next_sequence())
        sql.execute("INSERT INTO items (id, source, attributes, given, changed) VALUES (?, 1, '{}', x'00', ?)", values)
        sql.execute(
            "INSERT INTO media (media, source, id, position, item, path, modality, size, mtime_ns) "
            "SELECT 99, 1, id, 0, item, 'song.wav', 'audio', 0, 0 FROM items WHERE id='song'"
        )
        sql.execute("INSERT INTO vectors VALUES (99, 2, ?)", (song.tobytes(),))
    recommender = made.open()
    with pytest.raises(InputError, match="image and audio items, each by themselves; say which modality"):
        places_of(recommender, "similar")
    assert len(places_of(recommender, "similar", modality="audio").select()) == 1
    assert places_of(recommender, "similar", named_keys(recommender, ["song"])).space.modality == "audio"
    with pytest.raises(InputError, match="cannot compare these items together"):
        places_of(recommender, "similar", named_keys(recommender, ["song", "item-0-00001"]))


def test_what_cannot_be_compared_is_told(make_catalog: Callable[[], Any]) -> None:
    """Relations of other media, unknown names, one name twice, a relation that is not built yet."""
    made = make_catalog()
    made.fill(5)
    made.build()
    recommender = made.open()
    with pytest.raises(InputError, match="no audio item of this catalog"):
        places_of(recommender, "similar-track")
    with pytest.raises(InputError, match="no audio item"):
        places_of(recommender, "similar", modality="audio")
    with pytest.raises(UnknownNameError, match="did you mean 'style'"):
        places_of(recommender, "styl")
    with pytest.raises(InputError, match="named twice"):
        named_keys(recommender, ["item-0-00001", "item-0-00001"])
    with pytest.raises(StaleIndexError, match="removed from the catalog while"):
        places_of(recommender, "similar").ids([1, 999])
    with pytest.raises(UnknownNameError, match="item-0-0000"):
        named_keys(recommender, ["item-0-0001"])
    with pytest.raises(InputError, match="belongs to no item"):
        named_keys(recommender, [__file__])
    with made.catalog.connection as sql:
        sequence = made.catalog.next_sequence()
        sql.execute(
            "INSERT INTO items (id, source, category, attributes, given, changed) VALUES ('bare',1,'x','{}',x'00',?)",
            (sequence,),
        )
    keys = named_keys(recommender, ["item-0-00001", "bare"])
    with pytest.raises(InputError, match="'bare' has nothing that it compares"):
        places_of(recommender, "similar", keys)
    learn(made, symmetric=True, build=False)
    with pytest.raises(StaleIndexError, match="learned a moment ago"):
        places_of(recommender, "goes-with")
