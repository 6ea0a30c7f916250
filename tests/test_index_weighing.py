"""Weights of facets for one question: the same answers as scoring everything here."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from index.answering.batch import write_all
from index.answers import Query
from index.engine.head import Head
from index.errors import InputError, UnknownNameError
from index.learned import hold_relation
from index.relations import RELATIONS, Relation
from index.types import Facet

WEIGHTS = {"shape": 0.0, "color": 3.0, "texture": 1.0}


def weighed_rows(made, recommender, weights):
    """All items, from the database, so that products are scores under the weights; ids and categories."""
    projection = recommender.generation.spaces["image"].projection
    found = made.catalog.connection.execute(
        "SELECT i.id, category, attributes, vector FROM items i JOIN media USING (item) JOIN vectors USING (media)"
    ).fetchall()
    raw = np.stack([np.frombuffer(row[3], "<f4") for row in found]).astype(float)
    columns = []
    for part in projection.parts:
        points = (raw[:, part.raw] - part.space.mean) @ part.space.matrix
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        columns.append(points * np.sqrt(weights[part.facet.name] / sum(weights.values())))
    return (
        [row[0] for row in found],
        [row[1] for row in found],
        [json.loads(row[2]) for row in found],
        np.hstack(columns),
    )


def truth_of(made, recommender, weights, asked, rule="any", where=lambda _: True):
    """The score of every item that may answer."""
    ids, categories, attributes, rows = weighed_rows(made, recommender, weights)
    at = ids.index(asked)
    scores = rows @ rows[at]
    return {
        name: float(scores[other])
        for other, name in enumerate(ids)
        if other != at
        and where(attributes[other])
        and (rule == "any" or (categories[other] == categories[at]) == (rule == "same category"))
    }


@pytest.fixture(scope="module")
def made(make_catalog, searching_by):
    """Items with trees for every relation, and some beside them that came later."""
    with searching_by("annoy"):
        made = make_catalog()
        made.fill(1500, categories=3)
        made.build()
        vectors, clusters = made.points(30, seed=5)
        made.add([f"later-{row}" for row in range(30)], vectors, [f"kind-{c % 3:02d}" for c in clusters])
        made.remove(["item-0-00007"])
        made.recommender = made.open()
        assert made.recommender.query("item-0-00003").method == "annoy"
        yield made


@pytest.mark.parametrize("relation", ["similar", "substitute", "style"])
@pytest.mark.parametrize("asked", ["item-0-00003", "later-4"])
def test_answers_are_those_of_scoring_everything(made, relation, asked):
    """In every relation, beside the trees and in them: order, scores, method and recall."""
    answer = made.recommender.query(asked, relation=relation, k=25, facet_weights=WEIGHTS, duplicates=True)
    truth = truth_of(made, made.recommender, WEIGHTS, asked, RELATIONS[relation].rule)
    best = sorted(truth, key=truth.__getitem__, reverse=True)[:25]
    assert [hit.item_id for hit in answer.hits] == best
    assert [hit.score for hit in answer.hits] == pytest.approx([truth[name] for name in best], abs=1e-5)
    assert (answer.method, answer.recall) == ("exact", 1.0)


def test_filters_apply(made):
    """Only items that pass it answer, and all of them are looked at."""
    answer = made.recommender.query("item-0-00003", k=10, where="price<20", facet_weights=WEIGHTS, duplicates=True)
    truth = truth_of(made, made.recommender, WEIGHTS, "item-0-00003", where=lambda known: known["price"] < 20)
    assert [hit.item_id for hit in answer.hits] == sorted(truth, key=truth.__getitem__, reverse=True)[:10]


def test_diversity_is_by_the_same_weights(made):
    """The first stays the closest; the others are less alike in what is weighed."""
    ids, _, _, rows = weighed_rows(made, made.recommender, WEIGHTS)

    def alike(diversity: float) -> float:
        hits = made.recommender.query("item-0-00003", k=8, facet_weights=WEIGHTS, diversity=diversity).hits
        chosen = rows[[ids.index(hit.item_id) for hit in hits]]
        return float((chosen @ chosen.T)[np.triu_indices(8, 1)].mean())

    assert alike(0.0) > alike(0.5) > alike(1.0)


def test_near_duplicates_are_collapsed(make_catalog):
    """Copies of the query vanish, whatever facet is left to compare."""
    made = make_catalog()
    made.fill(60)
    vectors, _ = made.points(60)
    made.add(["copy"], vectors[:1], ["kind-00"])
    made.build()
    recommender = made.open()
    shown = recommender.query("item-0-00000", facet_weights={"shape": 0, "texture": 0}, duplicates=True)
    hidden = recommender.query("item-0-00000", facet_weights={"shape": 0, "texture": 0})
    assert shown.hits[0].item_id == "copy"
    assert "copy" not in {hit.item_id for hit in hidden.hits}


def test_shares_name_only_what_is_weighed(made):
    """They sum to one over the facets that count."""
    for hit in made.recommender.query("item-0-00003", relation="style", facet_weights=WEIGHTS).hits:
        assert set(hit.facets) == {"color", "texture"}
        assert sum(hit.facets.values()) == pytest.approx(1, abs=5e-4)


def test_weights_of_what_is_not_named_stay(made):
    """The relation's own weights given by hand change nothing but the method; one doubled changes that one alone."""
    own = {name: RELATIONS["style"].weights[name] for name in ("shape", "color", "texture")}
    plain = made.recommender.query("later-4", relation="style", k=20)
    same = made.recommender.query("later-4", relation="style", k=20, facet_weights=own)
    assert {h.item_id: h.score for h in same.hits} == pytest.approx({h.item_id: h.score for h in plain.hits}, abs=1e-5)
    doubled = made.recommender.query("later-4", relation="style", k=20, facet_weights={"texture": 0.4}, duplicates=True)
    truth = truth_of(made, made.recommender, {**own, "texture": 0.4}, "later-4", "other category")
    assert [h.item_id for h in doubled.hits] == sorted(truth, key=truth.__getitem__, reverse=True)[:20]


def test_unusual_closeness_is_told_for_these_weights(made):
    """``closer_than`` is the share of random pairs that score lower under the weights asked with."""
    ids, _, _, rows = weighed_rows(made, made.recommender, WEIGHTS)
    scores = np.sort((rows @ rows.T)[np.triu_indices(len(ids), 1)])
    for hit in made.recommender.query("item-0-00003", k=400, facet_weights=WEIGHTS).hits[::40]:
        assert hit.closer_than == pytest.approx(np.searchsorted(scores, hit.score) / len(scores), abs=0.02)


def test_random_pairs_are_measured_once_for_each_weighing(made, monkeypatch):
    """A slider that comes back to where it was costs nothing."""
    recommender = made.open()
    measured = []
    pairs = type(recommender.generation.spaces["image"]).pair_scores

    def counted(self, relation, left, right):
        measured.append(relation.facets)
        return pairs(self, relation, left, right)

    monkeypatch.setattr("index.engine.rows.Space.pair_scores", counted)
    for color in (1.0, 2.0, 1.0):
        recommender.query("item-0-00003", facet_weights={"color": color})
    assert [dict(weights)["color"] for weights in dict.fromkeys(measured)] == [1.0, 2.0]
    before = len(measured)
    recommender.query("item-0-00004", facet_weights={"color": 2.0})
    assert len(measured) == before


@pytest.mark.parametrize(
    ("weights", "error", "told"),
    [
        ((("colour", 1.0),), UnknownNameError, "unknown image facet 'colour'; did you mean 'color'"),
        ((("rhythm", 1.0),), UnknownNameError, "unknown image facet 'rhythm' .known: color, shape, texture"),
        ((("color", -1.0),), InputError, "'color' must be a finite number, 0 or more, not -1"),
        ((("color", float("nan")),), InputError, "finite"),
        ((("color", float("inf")),), InputError, "finite"),
        ((("color", 1.0), ("color", 2.0)), InputError, "'color' is weighed twice"),
        ((("color", 0.0), ("shape", 0.0), ("texture", 0.0)), InputError, "nothing to compare"),
    ],
)
def test_weights_without_sense_are_refused(made, weights, error, told):
    """One sentence that says what to mend."""
    with pytest.raises(error, match=told):
        made.recommender.ask(Query(items=(("item-0-00003", 1.0),), weights=weights))


def test_a_learned_relation_has_no_weights(make_catalog):
    """Its numbers were fitted together."""
    made = make_catalog()
    made.fill(40)
    made.build()
    projection = made.open().generation.spaces["image"].projection
    matrix = np.eye(projection.dim, 4, dtype=np.float32)
    head = Head(projection, matrix, matrix, np.zeros(4, np.float32), 1.0, np.zeros(3, np.float32))
    with made.catalog.connection:
        relation = Relation("fitted", {}, "any", ("image",), "A test.", head.digest)
        hold_relation(made.catalog, relation, ["builtin-image"], head, "{}")
    made.build()
    with pytest.raises(InputError, match="'fitted' was learned"):
        made.open().query("item-0-00000", relation="fitted", facet_weights={"color": 1})


def test_a_kind_is_shared_and_a_name_goes_first():
    """Two networks' contents share the weight of ``content``; one of them by name has its own."""
    one = Facet("color", 0, 4, 0.5, 4, 0.9, "")
    facets = [one, replace(one, name="content:a"), replace(one, name="content:b")]
    relation = RELATIONS["similar"]
    assert dict(relation.reweighed(facets, {"content": 3}).facets) == {
        "color": 0.15,
        "content:a": 1.5,
        "content:b": 1.5,
    }
    named = relation.reweighed(facets, {"content": 3, "content:b": 1})
    assert dict(named.facets) == {"color": 0.15, "content:a": 3, "content:b": 1}
    assert named.weights_of(facets)["content:b"] == pytest.approx(1 / 4.15)
    assert relation.reweighed(facets, {}).weights_of(facets) == pytest.approx(relation.weights_of(facets))


def test_every_item_can_be_asked_with_weights(make_catalog, tmp_path):
    """The nightly job gives what single questions give."""
    made = make_catalog()
    made.fill(50)
    made.build()
    recommender = made.open()
    query = Query(k=3, weights=tuple(WEIGHTS.items()), where="price<30")
    write_all(recommender, query, tmp_path / "recs.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "recs.jsonl").read_text().splitlines()]
    found = [row["id"] for row in rows if row["query"] == "item-0-00003"]
    single = recommender.query("item-0-00003", k=3, where="price<30", facet_weights=WEIGHTS)
    assert found == [hit.item_id for hit in single.hits]
