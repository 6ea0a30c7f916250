"""Questions to a catalog in a real PostgreSQL, held against the same questions to its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("psycopg")

import simkin
from index.address import PostgresAddress
from index.answering.batch import write_all
from index.answers import Query
from index.engine.head import Head
from index.errors import InputError, StorageError, UnknownNameError
from index.learned import hold_relation
from index.listing import Listed, Listings
from index.opening import open_catalog, open_recommender
from index.postgres import indexing
from index.postgres.push import push
from index.relations import Relation

pytestmark = pytest.mark.postgres

COUNT = 1600
VALUES = [3, 3.5, 19.0, "3", "abc", "Abc", "straße", True, False, None, "true", -7, 2**60, 1e-7, "O'Brien %s {0}"]


@pytest.fixture(scope="module")
def made(make_catalog: Callable[[], Any]) -> Any:
    """A catalog of 1,600 items, some with odd values, with a learned relation that knows a person."""
    made = make_catalog()
    made.fill(COUNT)
    vectors, _ = made.points(len(VALUES), seed=7)
    made.add([f"odd {at}" for at in range(len(VALUES))], vectors, [None] * len(VALUES), VALUES)
    made.build()
    space = made.open().generation.spaces["image"]
    rows = np.asarray(space.vectors)
    _, _, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    matrix = np.ascontiguousarray(3 * axes[:20].T, np.float32)
    nothing = np.zeros(20, np.float32)
    other = np.ascontiguousarray(matrix[:, ::-1] * 0.5 + matrix)
    head = Head(space.projection, other, matrix, nothing + 0.1, 1.0, nothing[: len(space.projection.parts)])
    relation = Relation("bought", {}, "other category", ("image",), "Made for a test.", head.digest)
    weights = np.linspace(0, 2, 21, dtype=np.float32)[None]
    with made.catalog.connection:
        hold_relation(made.catalog, relation, ["builtin-image"], head, "{}", personal=(["ann"], weights))
    made.build()
    return made


@pytest.fixture(scope="module")
def there(database: Any, made: Any) -> PostgresAddress:
    """Where it was pushed to, with an index for each relation, however fast comparing all of so few would be."""
    address = PostgresAddress.parse(database.address("asked"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexing, "_seconds_of_scan", lambda *_: math.inf)
        patch.setattr("index.postgres.search.FEW", 20)
        push(made.catalog, address)
    return address


@pytest.fixture(autouse=True)
def _by_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.postgres.search.FEW", 20)


@pytest.fixture
def both(made: Any, database: Any, there: PostgresAddress) -> Iterator[tuple[Any, Any]]:
    """Recommenders on the folder and on the database."""
    folder, database_one = made.open(), open_recommender(database.address("asked"))
    yield folder, database_one
    folder.catalog.close()
    database_one.catalog.close()


def told(answer: Any) -> dict[str, float]:
    return {hit.item_id: hit.score for hit in answer.hits}


ITEMS = [f"item-0-{row:05d}" for row in range(0, COUNT, 131)]


@pytest.mark.parametrize("relation", ["similar", "substitute", "style", "bought"])
def test_answers_are_those_of_the_folder(both: tuple[Any, Any], relation: str) -> None:
    folder, database = both
    found = total = 0
    methods = set()
    for name in ITEMS:
        mine, theirs = folder.query(name, relation=relation), database.query(name, relation=relation)
        methods.add(theirs.method)
        want, have = told(mine), told(theirs)
        found, total = found + len(want.keys() & have.keys()), total + len(want)
        assert all(math.isclose(want[key], have[key], abs_tol=1e-5) for key in want.keys() & have.keys())
        alike = {hit.item_id: hit for hit in mine.hits}
        for hit in theirs.hits:
            if hit.item_id in alike:
                assert replace(hit, rank=0, score=0, facets={}, closer_than=0) == replace(
                    alike[hit.item_id], rank=0, score=0, facets={}, closer_than=0
                )
                assert hit.facets == pytest.approx(alike[hit.item_id].facets, abs=2e-3)
                assert hit.closer_than == pytest.approx(alike[hit.item_id].closer_than, abs=1e-4)
        assert theirs.recall >= 0.99 or theirs.method == "exact"
    assert methods == {"hnsw"}
    assert found >= 0.97 * total


def test_everybody_is_asked_there_by_several_processes(
    made: Any, database: Any, there: PostgresAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``query --all`` of an address: every item is asked about, and almost always answered as in the folder."""
    monkeypatch.setattr("index.answering.batch.QUERIES_AT_ONCE", 400)
    query, found = Query(relation="substitute", k=3), []
    for name, recommender in (("folder", made.open()), ("there", open_recommender(database.address("asked")))):
        path = tmp_path / f"{name}.jsonl"
        assert write_all(recommender, query, path, processes=2) == COUNT + len(VALUES)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        found.append({(row["query"], row["id"]) for row in rows})
        recommender.catalog.close()
    assert len(found[0] & found[1]) >= 0.97 * len(found[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"where": "price<50"},
        {"where": "category='kind-03' and price<20", "relation": "style"},
        {"where": "price=7 or price=8", "relation": "bought"},
        {"facet_weights": {"color": 3, "shape": 0}},
        {"diversity": 0.5},
        {"negatives": ["item-0-00009"]},
        {"k": 60},
        {"duplicates": True, "relation": "substitute"},
        {"relation": "bought", "user": "ann"},
    ],
    ids=str,
)
def test_every_kind_of_question_is_answered_as_by_the_folder(both: tuple[Any, Any], changes: dict[str, Any]) -> None:
    found = total = 0
    for name in ITEMS[:5]:
        want, have = (told(one.query(name, "item-0-00100", **changes)) for one in both)
        found, total = found + len(want.keys() & have.keys()), total + len(want)
    assert total
    assert found >= 0.95 * total


def test_a_filter_that_points_away_is_answered_whole(both: tuple[Any, Any]) -> None:
    """Of the far end of the catalog nothing is near, so that the index would look at everything else first."""
    folder, database = both
    far = [hit.item_id for hit in folder.query("item-0-00000", k=COUNT, duplicates=True).hits[-40:]]
    where = "id in (" + ",".join(f"'{name}'" for name in far) + ")"
    want, have = (told(one.query("item-0-00000", k=10, where=where, duplicates=True)) for one in (folder, database))
    assert want.keys() == have.keys()


FILTERS = [
    "price=3", "price!=3", "price<4", "price>=3.5", "price='3'", "price=true", "price=false", "price=1", "price!=true",
    "price is null", "price is not null", "price ~ 'BC'", "price ~ 'STRASSE'", "price ~ 3", "not price=3",
    "not not price=3", "price in (3, abc, -7)", "price=1152921504606846976", "price>1e18", "price<1e-6", "id='odd 3'",
    "id ~ odd and not (price=3 or price ~ b)", "category is null", "category=kind-01 and price<5", "price<abc",
    "price=\"O'Brien %s {0}\"", "price ~ '%'", "id>'odd'", "`price`=19", "price=19.0", "price!=abc",
]  # fmt: skip


@pytest.mark.parametrize("where", FILTERS)
def test_a_filter_means_the_same_in_both_databases(both: tuple[Any, Any], where: str) -> None:
    folder, database = both
    assert database.catalog.matching(where).tolist() == folder.catalog.matching(where).tolist()


HOSTILE = ["'; DROP TABLE items; --", '" OR 1=1', "%s", "%(x)s", "{}", "\\", "x' OR 'a'='a", "$1", "::int", "日本 ÅÄÖ"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))  # "::" in an id would part it from its module
def test_what_users_type_never_becomes_sql(both: tuple[Any, Any], text: str) -> None:
    _, database = both
    quoted = text.replace("'", "''")
    with pytest.raises(UnknownNameError):
        database.query(text)
    assert not len(database.catalog.matching(f"price='{quoted}'"))
    assert not len(database.catalog.matching(f"id ~ '{quoted}'"))
    for where in (f"`{text}`=1", text):
        with pytest.raises((UnknownNameError, InputError)):
            database.query("item-0-00000", where=where)
    with pytest.raises(UnknownNameError):
        database.query("item-0-00000", relation=text)
    with pytest.raises(UnknownNameError):
        database.query("item-0-00000", relation="bought", user=text)
    listed = Listings().page(database.catalog, Listed(text=text, category=text), 0, 5)
    assert listed.total == 0
    assert database.catalog.count() == COUNT + len(VALUES)


@pytest.mark.parametrize("text", ["zero\0byte", "half\ud800"])
def test_names_that_postgresql_cannot_hold_are_unknown(both: tuple[Any, Any], text: str) -> None:
    with pytest.raises(UnknownNameError):
        both[1].query(text)
    with pytest.raises(InputError):
        both[1].query("item-0-00000", where=f"price='{text}'")


@pytest.mark.parametrize(
    "listed",
    [Listed(), Listed(sort="-id"), Listed(sort="price"), Listed(sort="-price"), Listed(sort="title"),
     Listed(where="price<9", text="item 00"), Listed(category="kind-04", modality="image"), Listed(text="straße")],
    ids=str,
)  # fmt: skip
def test_listings_are_those_of_the_folder(both: tuple[Any, Any], listed: Listed) -> None:
    mine, theirs = (Listings().page(one.catalog, listed, 0, 5000) for one in both)
    assert mine.total == theirs.total
    assert theirs.keys == mine.keys


def test_lists_and_maps_are_those_of_the_folder(both: tuple[Any, Any]) -> None:
    folder, database = both
    assert Listings().contents(folder.catalog) == Listings().contents(database.catalog)
    clusters = [simkin.find_clusters(one, "style", count=4).clusters for one in both]
    assert [(one.size, one.central) for one in clusters[0]] == [(one.size, one.central) for one in clusters[1]]
    paths = [simkin.find_path(one, "item-0-00003", "item-0-01003").steps for one in both]
    assert [step.item_id for step in paths[0]] == [step.item_id for step in paths[1]]
    maps = [simkin.map_items(one, "similar", method="pca") for one in both]
    assert maps[0].ids == maps[1].ids
    assert np.allclose(maps[0].at, maps[1].at, atol=1e-4)
    outfits = [simkin.score_outfit(one, ["item-0-00003", "item-0-00004"], "style").score for one in both]
    assert outfits[0] == pytest.approx(outfits[1], abs=1e-5)
    filled = [
        simkin.complete_outfit(one, ["item-0-00003"], ["kind-04"], max_price=50.0).alternatives[0].score for one in both
    ]
    assert filled[0] == pytest.approx(filled[1], abs=1e-5)
    reasons = [simkin.explain(one, "item-0-00003", "item-0-00004", "bought").score for one in both]
    assert reasons[0] == pytest.approx(reasons[1], abs=1e-5)


def test_what_is_removed_and_added_is_seen_by_the_next_question(database: Any, make_catalog: Callable[[], Any]) -> None:
    made = make_catalog()
    made.fill(300)
    made.build()
    address = database.address("moving")
    push(made.catalog, PostgresAddress.parse(address))
    recommender = open_recommender(address)
    first, second = (hit.item_id for hit in recommender.query("item-0-00005", k=2).hits)
    vectors, _ = made.points(1, seed=3)
    made.remove([first])
    made.add(["newcomer"], vectors, ["kind-new"])
    push(made.catalog, PostgresAddress.parse(address))
    assert recommender.query("item-0-00005", k=1).hits[0].item_id == second
    with pytest.raises(UnknownNameError):
        recommender.query(first)
    want = told(made.open().query("newcomer", relation="style", k=5))
    assert told(recommender.query("newcomer", relation="style", k=5)) == pytest.approx(want, abs=1e-5)
    recommender.catalog.close()


def test_a_generation_that_is_switched_is_seen_by_the_next_question(
    database: Any, make_catalog: Callable[[], Any]
) -> None:
    made = make_catalog()
    made.fill(200)
    made.build()
    address = database.address("switched")
    push(made.catalog, PostgresAddress.parse(address))
    recommender = open_recommender(address)
    before = recommender.query("item-0-00005").generation
    made.fill(200, seed=1)
    made.build()
    push(made.catalog, PostgresAddress.parse(address))
    answer = recommender.query("item-0-00005")
    assert answer.generation == before + 1
    assert told(answer) == pytest.approx(told(made.open().query("item-0-00005")), abs=1e-5)
    recommender.catalog.close()


def test_a_server_that_was_restarted_between_questions_goes_unnoticed(both: tuple[Any, Any], database: Any) -> None:
    _, recommender = both
    before = recommender.query("item-0-00005").hits
    database.stop("immediate")
    try:
        with pytest.raises(StorageError, match=r"check that PostgreSQL runs"):
            recommender.query("item-0-00005")
    finally:
        database.start()
    assert recommender.query("item-0-00005").hits == before
    database.stop("fast")
    database.start()
    assert recommender.query("item-0-00005").hits == before


def test_what_a_database_cannot_do_is_said_in_one_sentence(
    both: tuple[Any, Any], run_simkin: Any, database: Any
) -> None:
    address = database.address("asked", password="hidden")
    with pytest.raises(InputError, match="re-ranking looks at what surrounds items, which is not pushed"):
        both[1].ask(Query(items=(("item-0-00005", 1.0),), rerank="both"))
    for arguments in (["index", "x"], ["verify"], ["failures"], ["relations", "--set", "similar", "--rerank", "both"]):
        done = run_simkin(*arguments, "--catalog", address)
        assert done.returncode == 1, done.stderr
        assert "is only read; this needs the folder of the catalog" in done.stderr
        assert "hidden" not in done.stderr
        assert "Traceback" not in done.stderr


def test_the_command_line_takes_an_address_wherever_it_takes_a_folder(
    made: Any, run_simkin: Any, database: Any
) -> None:
    there, folder = database.address("typed", password="hidden"), str(made.folder)
    done = run_simkin("push", there, "--catalog", folder)
    assert done.returncode == 0, done.stderr
    assert f"{COUNT + len(VALUES)} items" in done.stdout
    assert "hidden" not in done.stdout + done.stderr
    asked = ("query", "item-0-00005", "--relation", "style", "--where", "price<50", "--json")
    mine, theirs = (run_simkin(*asked, "--catalog", place) for place in (folder, there))
    import json

    ids = [[hit["id"] for hit in json.loads(done.stdout)["hits"]] for done in (mine, theirs)]
    assert ids[0] == ids[1]
    info = run_simkin("info", "--catalog", there)
    assert "bought" in info.stdout
    assert "hidden" not in info.stdout
    assert "bought" in run_simkin("relations", "--catalog", there).stdout
    assert run_simkin("push", there, "--use", "1").returncode == 0
    done = run_simkin("push", "here", "--catalog", folder)
    assert done.returncode == 2
    assert "must begin with postgresql://" in done.stderr


def test_addresses_are_read_and_shown() -> None:
    address = PostgresAddress.parse("postgresql://ann:s%40cret@host:5433/shop?schema=photos&sslmode=require")
    assert address.connection == "postgresql://ann:s%40cret@host:5433/shop?sslmode=require"
    assert address.schema == "photos"
    assert address.shown == "postgresql://ann@host:5433/shop?schema=photos&sslmode=require"
    assert PostgresAddress.parse("postgres:///shop").schema == "simkin"
    for schema in ("Robert'); DROP TABLE items;--", "pg_catalog", "UPPER", "", "a" * 70):
        with pytest.raises(InputError, match="must be small letters"):
            PostgresAddress.parse(f"postgresql://host/shop?schema={schema.replace(';', '%3B')}")
    with pytest.raises(InputError):
        open_catalog("postgresql://host/shop?nonsense=1")
