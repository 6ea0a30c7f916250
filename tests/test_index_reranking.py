"""Re-ranking one question's closest candidates: held to the same measures taken on whole arrays."""

from __future__ import annotations

import json

import numpy as np
import pytest

from index.answering.reranking import set_rerank
from index.answers import Query
from index.engine import surroundings
from index.engine.generations import generation_folder
from index.engine.head import Head
from index.engine.reordering import CANDIDATES, SHARE
from index.engine.surroundings import NEIGHBOURS, find_surroundings, open_surroundings
from index.errors import InputError, StaleIndexError, UnknownNameError
from index.learned import hold_relation
from index.learning.edge_store import write_edges
from index.learning.edges import EdgeArrays
from index.learning.graph import (
    link_graph,
    local_scales,
    neighbour_graph,
    rerank_by_local_scale,
    rerank_by_neighbours,
    structural_similarity,
)
from index.relations import RELATIONS, Relation

HOW = ("neighbours", "local-scale", "both")


def scores_of(made, recommender, relation):
    """Ids, and the scores of all pairs under the relation's rule, barred ones −9."""
    seen = made.seen(recommender, relation)
    scores = (seen.rows @ seen.rows.T).astype(np.float32)
    categories = np.array(seen.categories, object)
    same = categories[:, None] == categories[None]
    if RELATIONS[relation].rule != "any":
        barred = ~same if RELATIONS[relation].rule == "same category" else same
        scores[barred & (categories != None)[:, None]] = -9  # noqa: E711
    np.fill_diagonal(scores, -9)
    return seen.ids, scores


def reference(scores, how, graph=None, ordered=None):
    """For each row its candidates in their new order, and what orders them, as the arrays of `index.learning` say."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :CANDIDATES]
    cosines = np.take_along_axis(scores, order, axis=1)
    graph = graph if graph is not None else neighbour_graph(order[:, :NEIGHBOURS])
    scales = local_scales(cosines)
    if ordered is not None:
        order, cosines = ordered, np.take_along_axis(scores, ordered, axis=1)
    rows = np.arange(len(scores))
    if how == "neighbours":
        return rerank_by_neighbours(graph, rows, order, cosines)
    order, scaled = rerank_by_local_scale(scales, rows, order, cosines)
    return (order, scaled) if how == "local-scale" else rerank_by_neighbours(graph, rows, order, scaled)


def check_order(answer, ids, order, mixed):
    """The hits are in the reference's order, but for what differs by rounding alone."""
    place = {ids[row]: value for row, value in zip(order.tolist(), mixed.tolist(), strict=True)}
    assert {hit.item_id for hit in answer.hits} == set(list(place)[: len(answer.hits)])
    values = [place[hit.item_id] for hit in answer.hits]
    assert values == pytest.approx(sorted(values, reverse=True), abs=2e-5)


@pytest.fixture(scope="module")
def made(make_catalog):
    """Items in few, large categories, compared one by one."""
    made = make_catalog()
    made.fill(450, categories=3)
    made.build()
    return made


@pytest.mark.parametrize("relation", ["similar", "substitute", "style"])
@pytest.mark.parametrize("how", HOW)
def test_order_is_that_of_the_measures_on_whole_arrays(made, relation, how):
    """In every relation and by every measure; the scores told are those of the relation."""
    recommender = made.open()
    ids, scores = scores_of(made, recommender, relation)
    order, mixed = reference(scores, how)
    for name in ("item-0-00003", "item-0-00100", "item-0-00200"):
        row = ids.index(name)
        answer = recommender.query(name, relation=relation, k=CANDIDATES, rerank=how, duplicates=True)
        check_order(answer, ids, order[row], mixed[row])
        told = [hit.score for hit in answer.hits]
        assert told == pytest.approx([scores[row, ids.index(hit.item_id)] for hit in answer.hits], abs=1e-5)
        assert told != sorted(told, reverse=True)
        assert (answer.method, answer.recall, answer.rerank) == ("exact", 1.0, how)
        assert how in answer.notes[-1]


def test_a_relation_switched_on_answers_as_one_question_that_asks_for_it(make_catalog):
    """What is kept is what is else found on the way; switched off, all is as it was, bit for bit."""
    made = make_catalog()
    made.fill(300, categories=3)
    made.build()
    names = [f"item-0-{row:05d}" for row in range(0, 300, 37)]

    def answers(**options):
        recommender = made.open()
        return [recommender.query(name, relation="style", k=25, **options).hits for name in names]

    plain, asked = answers(), answers(rerank="both")
    set_rerank(made.open().catalog, "style", "both")
    opened = made.open()
    assert opened.catalog.relation("style").rerank == "both"
    assert opened.generation.spaces["image"].record.relations["style"].surroundings
    assert not opened.generation.spaces["image"].record.relations["similar"].surroundings
    assert answers() == asked != plain
    assert answers(rerank="none") == plain
    assert opened.query(names[0], relation="similar").rerank == "none"
    set_rerank(made.open().catalog, "style", "none")
    assert answers() == plain


def test_more_answers_than_are_re_ranked_follow_by_score(made):
    """The first hundred are others' order, the rest is as it was."""
    recommender = made.open()
    plain = recommender.query("item-0-00003", k=150, duplicates=True)
    ranked = recommender.query("item-0-00003", k=150, rerank="neighbours", duplicates=True)
    assert {h.item_id for h in plain.hits[:CANDIDATES]} == {h.item_id for h in ranked.hits[:CANDIDATES]}
    assert [h.item_id for h in plain.hits[CANDIDATES:]] == [h.item_id for h in ranked.hits[CANDIDATES:]]
    assert [hit.rank for hit in ranked.hits] == list(range(1, 151))


def test_filters_leave_the_neighbourhoods_whole(made):
    """Only items that pass answer; who surrounds the query and them is found among all."""
    recommender = made.open()
    ids, scores = scores_of(made, recommender, "similar")
    price = {
        row[0]: json.loads(row[1])["price"]
        for row in made.catalog.connection.execute("SELECT id, attributes FROM items")
    }
    passing = np.array([price[name] < 30 for name in ids])
    row = ids.index("item-0-00003")
    kept = np.where(passing, scores, -9)
    ordered = np.argsort(-kept, axis=1, kind="stable")[:, :CANDIDATES]
    order, mixed = reference(scores, "both", ordered=ordered)
    answer = recommender.query("item-0-00003", k=40, where="price<30", rerank="both", duplicates=True)
    check_order(answer, ids, order[row], mixed[row])


def test_several_items_and_diversity(made):
    """A question of several items has the surroundings of the point between; diversity keeps the first."""
    recommender = made.open()
    together = recommender.query("item-0-00003", "item-0-00004", rerank="neighbours", k=10)
    assert len(together.hits) == 10
    space, seen = recommender.generation.spaces["image"], made.seen(recommender, "similar")
    rows = space.rows_of(np.asarray(made.catalog.keys_of(["item-0-00003", "item-0-00004"])))
    centre = space.combine(space.vectors[rows], np.ones(2, np.float32))
    order_of = {key: at for at, key in enumerate(space.keys.tolist())}
    scores = space.vectors @ (space.facet_weights(RELATIONS["similar"]) * centre)
    scores[rows] = -9
    top = np.argsort(-scores, kind="stable")[:CANDIDATES]
    own, all_scores = {*top[:NEIGHBOURS].tolist()}, scores_of(made, recommender, "similar")
    lists = np.argsort(-all_scores[1], axis=1, kind="stable")[:, :NEIGHBOURS]
    key_of = dict(made.catalog.connection.execute("SELECT id, item FROM items"))
    row_of = [order_of[key_of[name]] for name in all_scores[0]]
    values = {}
    for at in top.tolist():
        item = row_of.index(at)
        members = {at, *(row_of[other] for other in lists[item])}
        shared = len(own & members) / np.sqrt((len(own) + 1) * len(members))
        values[seen.ids[item]] = SHARE * shared + (1 - SHARE) * scores[at]
    found = [values[hit.item_id] for hit in together.hits]
    assert found == pytest.approx(sorted(values.values(), reverse=True)[:10], abs=2e-5)
    first = recommender.query("item-0-00003", rerank="both", k=5).hits[0].item_id
    assert recommender.query("item-0-00003", rerank="both", k=5, diversity=0.3).hits[0].item_id == first


def test_items_that_came_later_are_re_ranked_too(make_catalog):
    """Asked about and answering, they have the surroundings that a build would find for them."""
    made = make_catalog()
    made.fill(200, categories=3)
    set_rerank(made.open().catalog, "similar", "local-scale")
    vectors, clusters = made.points(4, seed=3)
    made.add([f"later-{row}" for row in range(4)], vectors, [f"kind-{c % 3:02d}" for c in clusters])
    recommender = made.open()
    ids, scores = scores_of(made, recommender, "similar")
    known = np.array([not name.startswith("later") for name in ids])
    among = np.where(known[None, :], scores, -9)  # whose distance is the measure: only those of the generation
    scales = local_scales(np.sort(among, axis=1)[:, ::-1])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :CANDIDATES]
    ranked, mixed = rerank_by_local_scale(scales, np.arange(len(ids)), order, np.take_along_axis(scores, order, axis=1))
    for name in ("later-1", "item-0-00003"):
        row = ids.index(name)
        answer = recommender.query(name, k=CANDIDATES, duplicates=True)
        assert answer.rerank == "local-scale"
        check_order(answer, ids, ranked[row], mixed[row])
    made.remove([answer.hits[0].item_id])
    assert answer.hits[0].item_id not in {hit.item_id for hit in recommender.query("item-0-00003", k=50).hits}


def test_links_of_behaviour_are_the_neighbourhood_where_there_are_some(make_catalog):
    """Items that people linked have those around them, the others their nearest; kept or found on the way alike."""
    made = make_catalog()
    made.fill(150, categories=3)
    made.build()
    recommender = made.open()
    ids, scores = scores_of(made, recommender, "similar")
    rng = np.random.default_rng(0)
    pairs = np.unique(np.sort(rng.integers(0, 100, (300, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    keys = np.asarray(made.catalog.keys_of(ids))
    one, nobody = np.ones(len(pairs), np.float32), np.full(len(pairs), -1)
    with made.catalog.connection:
        write_edges(made.catalog.connection, "similar", EdgeArrays(keys[pairs], one, nobody, ()))
    nearest = neighbour_graph(np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS]).tolil()
    links = link_graph(pairs, len(ids)).tolil()
    linked = np.unique(pairs)
    nearest[linked] = links[linked]
    order, mixed = reference(scores, "neighbours", nearest.tocsr())
    for _ in range(2):
        for name in (ids[int(linked[0])], ids[120]):
            answer = made.open().query(name, k=60, rerank="neighbours", duplicates=True)
            check_order(answer, ids, order[ids.index(name)], mixed[ids.index(name)])
        set_rerank(made.open().catalog, "similar", "neighbours")


def test_only_the_strongest_links_count(monkeypatch):
    """Weights of both directions are added; equals by row."""
    monkeypatch.setattr(surroundings, "LINKS", 2)
    pairs = np.array([[0, 1], [1, 0], [0, 2], [0, 3], [3, 2]])
    weights = np.array([1, 1, 1.5, 1, 1], np.float32)
    found = surroundings.strongest(pairs, weights, 5)
    assert [rows.tolist() for rows in found] == [[1, 2], [0], [0, 3], [0, 2], []]


def test_a_learned_relation_is_re_ranked_by_its_own_distances(make_catalog):
    """Scores stay link probabilities; the order is that of distances over both measures of near."""
    made = make_catalog()
    made.fill(220, categories=3)
    made.build()
    projection = made.open().generation.spaces["image"].projection
    rng = np.random.default_rng(1)
    maps = [rng.normal(size=(projection.dim, 6)).astype(np.float32) / 3 for _ in range(2)]
    head = Head(projection, maps[0], maps[1], rng.normal(size=6).astype(np.float32), 2.0, np.zeros(3, np.float32))
    with made.catalog.connection:
        relation = Relation("fitted", {}, "any", ("image",), "A test.", head.digest)
        hold_relation(made.catalog, relation, ["builtin-image"], head, "{}")
    set_rerank(made.open().catalog, "fitted", "both")
    recommender = made.open()
    space = recommender.generation.learned["fitted"]
    asked, answers = space.head.asked(space.vectors).astype(float), space.vectors[:, :6].astype(float)
    squared = np.square(asked[:, None] - answers[None]).sum(axis=2)
    np.fill_diagonal(squared, np.inf)
    lists = np.argsort(squared, axis=1)[:, :NEIGHBOURS]
    scales = np.sqrt(np.sort(squared, axis=1)[:, 9])
    top = np.argsort(squared, axis=1, kind="stable")[:, :CANDIDATES]
    shared = structural_similarity(neighbour_graph(lists), np.arange(220), top)
    scaled = np.exp(-np.take_along_axis(squared, top, 1) / (scales[:, None] * scales[top]))
    mixed = SHARE * shared + (1 - SHARE) * scaled
    ids = {key: name for name, key in made.catalog.connection.execute("SELECT id, item FROM items")}
    names = [ids[key] for key in space.keys.tolist()]
    for row in (3, 50):
        answer = recommender.query(names[row], relation="fitted", k=CANDIDATES, duplicates=True)
        check_order(answer, names, top[row], mixed[row])
        for hit in answer.hits[::20]:
            expected = 1 / (1 + np.exp(squared[row, names.index(hit.item_id)] - 2))
            assert hit.score == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("method", ["annoy", "cells"])
@pytest.mark.parametrize("relation", ["similar", "style"])
def test_surroundings_are_found_by_the_relations_own_search(make_catalog, searching_by, method, relation):
    """With trees nearly all of what comparing everything finds, asked about in threads."""
    with searching_by(method):
        made = make_catalog()
        made.fill(1200, categories=3)
        made.build()
        recommender = made.open()
        space = recommender.generation.spaces["image"]
        assert space.record.relations[relation].method == "cells"
        found = find_surroundings(space, RELATIONS[relation])
    ids, scores = scores_of(made, recommender, relation)
    name_of = {key: name for name, key in made.catalog.connection.execute("SELECT id, item FROM items")}
    rows = {name: at for at, name in enumerate(name_of[key] for key in space.keys.tolist())}
    best = np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS]
    shares = []
    for at, name in enumerate(ids):
        members = set(found.members_of(rows[name]).tolist())
        assert rows[name] in members
        shares.append(len(members & {rows[ids[other]] for other in best[at]}) / NEIGHBOURS)
    assert np.mean(shares) > 0.97
    order = [ids.index(name) for name in rows]
    exact = local_scales(np.sort(scores, axis=1)[:, ::-1])[order]
    assert np.quantile(np.abs(found.scales / exact - 1), 0.95) < 0.02


def test_blocks_and_chunks_do_not_change_what_is_found(made, monkeypatch):
    """Cut anywhere, across categories, the surroundings are the same; written, they are read as they were."""
    space = made.open().generation.spaces["image"]
    for relation in ("similar", "substitute", "style"):
        whole = find_surroundings(space, RELATIONS[relation])
        with monkeypatch.context() as patch:
            patch.setattr(surroundings, "CHUNK", 70)
            patch.setattr(surroundings, "CELLS", 450 * 7)
            pieces = find_surroundings(space, RELATIONS[relation])
        np.testing.assert_array_equal(whole.bounds, pieces.bounds)
        np.testing.assert_array_equal(whole.members, pieces.members)
        np.testing.assert_allclose(whole.scales, pieces.scales, rtol=1e-4)


def test_damaged_surroundings_are_refused(make_catalog):
    """As any other built file; and the build that mends it is named."""
    made = make_catalog()
    made.fill(40)
    set_rerank(made.open().catalog, "similar", "both")
    folder = generation_folder(made.folder, made.open().generation.manifest.number) / "image" / "similar"
    kept = open_surroundings(made.open().generation.spaces["image"], "similar")
    assert kept.members.dtype == np.int32
    assert len(kept.scales) == 40
    content = (folder / "members.i32").read_bytes()
    (folder / "members.i32").write_bytes(content[:-4] + b"\xff\xff\xff\x7f")
    with pytest.raises(StaleIndexError, match=r"members\.i32 is damaged"):
        made.open().query("item-0-00003")


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("relation", ["similar", "substitute"])
def test_tiny_catalogs(make_catalog, count, relation):
    """Fewer items than neighbours, and categories of one."""
    made = make_catalog()
    made.fill(count)
    set_rerank(made.open().catalog, relation, "both")
    answer = made.open().query("item-0-00000", relation=relation)
    assert len(answer.hits) <= count - 1
    assert answer.rerank == "both"


def test_what_makes_no_sense_is_refused(made):
    """One sentence each."""
    recommender = made.open()
    with pytest.raises(UnknownNameError, match="did you mean 'neighbours'"):
        recommender.query("item-0-00003", rerank="neighbors")
    with pytest.raises(InputError, match="weighed for one question"):
        recommender.query("item-0-00003", rerank="both", facet_weights={"color": 1})
    with pytest.raises(UnknownNameError, match="unknown relation 'styles'; did you mean 'style'"):
        set_rerank(recommender.catalog, "styles", "both")
    with pytest.raises(UnknownNameError, match="re-ranking"):
        set_rerank(recommender.catalog, "style", "best")  # type: ignore[arg-type]


def test_weights_for_one_question_are_told_by_score(make_catalog):
    """The relation is re-ranked otherwise, but what surrounds items was found for its own weights."""
    made = make_catalog()
    made.fill(60)
    set_rerank(made.open().catalog, "similar", "both")
    answer = made.open().query("item-0-00003", facet_weights={"color": 1})
    assert answer.rerank == "none"
    scores = [hit.score for hit in answer.hits]
    assert scores == sorted(scores, reverse=True)


def test_scores_alone_are_those_of_the_answer(made):
    """What the nightly job writes is in the same order."""
    recommender = made.open()
    query = Query(items=(("item-0-00003", 1.0),), k=12, rerank="both")
    hits = recommender.ask(query).hits
    assert recommender.scores(query) == [(hit.item_id, pytest.approx(hit.score)) for hit in hits]
