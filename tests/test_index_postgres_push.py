"""Pushing a catalog to a real PostgreSQL: what lies there afterwards, again, in part, and after trouble."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("psycopg")

from index.address import PostgresAddress
from index.errors import InputError, LockedError, NotACatalogError, NotBuiltError, StorageError
from index.postgres import building, indexing, push
from index.postgres.catalog import PostgresCatalog
from index.postgres.push import PushOptions, use_generation

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module", autouse=True)
def _by_index() -> Iterator[None]:
    """Comparing every row seems slow, so that an index is chosen however small the catalog."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexing, "_seconds_of_scan", lambda *_: math.inf)
        patch.setattr(indexing, "CHOOSING", 16)
        patch.setattr(indexing, "TELLING", 48)
        yield


@pytest.fixture(scope="module")
def made(make_catalog: Callable[[], Any]) -> Any:
    """A catalog of 1,500 items with a generation."""
    found = make_catalog()
    found.fill(1500)
    found.build()
    return found


def address(server: Any, schema: str, **who: str) -> PostgresAddress:
    return PostgresAddress.parse(server.address(schema, **who))


def rows(database: Any, schema: str) -> dict[int, str]:
    """What items there are, as one row each with everything that is kept of it."""
    found = database.run(
        f"SELECT i.item, i.id || i.attributes::text || md5(m.location) || md5(v.vector) FROM {schema}.items i "
        f"JOIN {schema}.media m USING (item) JOIN {schema}.vectors v USING (item)"
    )
    return dict(found)


def generation_rows(database: Any, schema: str, generation: int) -> dict[int, str]:
    return dict(database.run(f"SELECT item, md5(t::text) FROM {schema}.rows_{generation}_0 t"))


def test_everything_is_there_after_a_push(database: Any, made: Any) -> None:
    there = address(database, "whole")
    report = push.push(made.catalog, there)
    assert (report.items, report.put, report.removed, report.rows) == (1500, 1500, 0, 1500)
    assert len(rows(database, "whole")) == 1500
    methods = {relation: (method, recall) for _, relation, method, recall in report.relations}
    assert set(methods) == {"similar", "substitute", "style"}
    assert methods["similar"][0] == "hnsw"
    assert all(recall >= 0.99 for _, recall in methods.values())
    indexes = database.run("SELECT indexdef FROM pg_indexes WHERE schemaname='whole' AND indexdef LIKE '%hnsw%'")
    assert len(indexes) == 3
    keys = made.catalog.keys_of(["item-0-00007", "item-0-01234"])
    with PostgresCatalog(there) as opened:
        assert opened.count() == 1500
        assert opened.items(keys).keys() == set(keys)
        for key, item in made.catalog.items(keys).items():
            assert opened.items([key])[key] == item
        held = list(made.catalog.encoders().values())
        from index.engine.build import raw_vectors

        assert np.array_equal(opened.raw_vectors(keys, held), raw_vectors(made.catalog, keys, held))
        assert opened.encoders() == made.catalog.encoders()
        assert opened.relations() == made.catalog.relations()


def test_pushing_again_writes_nothing(database: Any, made: Any) -> None:
    there = address(database, "again")
    push.push(made.catalog, there)
    before = database.run("SELECT xmin::text, item FROM again.items ORDER BY 2")
    report = push.push(made.catalog, there)
    assert (report.put, report.removed, report.rows) == (0, 0, 0)
    assert database.run("SELECT xmin::text, item FROM again.items ORDER BY 2") == before


def test_a_second_push_brings_only_what_changed(database: Any, make_catalog: Callable[[], Any]) -> None:
    made = make_catalog()
    made.fill(1200)
    made.build()
    there = address(database, "changing")
    first = push.push(made.catalog, there)
    vectors, _ = made.points(3, seed=5)
    made.add(["item-0-00003", "new-1", "new-2"], vectors, ["kind-01", "kind-new", None])
    made.remove(["item-0-00010", "item-0-00011"])
    report = push.push(made.catalog, there)
    assert (report.generation, report.put, report.removed) == (first.generation, 3, 2)
    assert report.rows == 5
    assert report.items == 1200
    assert set(rows(database, "changing")) == {
        key for (key,) in made.catalog.connection.execute("SELECT item FROM items")
    }
    assert len(generation_rows(database, "changing", report.generation)) == 1200
    fresh = address(database, "changing_fresh")
    push.push(made.catalog, fresh)
    assert rows(database, "changing_fresh") == rows(database, "changing")
    made.catalog.close()


def test_a_new_generation_stands_beside_the_old_one_and_can_be_switched(
    database: Any, make_catalog: Callable[[], Any]
) -> None:
    made = make_catalog()
    made.fill(1100)
    made.build()
    there = address(database, "two")
    first = push.push(made.catalog, there).generation
    made.fill(1100, seed=1)
    made.build()
    second = push.push(made.catalog, there).generation
    assert second != first
    with PostgresCatalog(there) as opened:
        assert opened.state.generation == second
        assert len(generation_rows(database, "two", first)) == 1100
        use_generation(there, first)
        assert opened.state.generation == first
        assert opened.manifest().spaces["image"].count == 1100
        with pytest.raises(NotBuiltError, match=f"no finished generation 99; there are: {first}, {second}"):
            use_generation(there, 99)
    made.fill(100, seed=2)
    made.build()
    third = push.push(made.catalog, there).generation
    kept = {number for (number,) in database.run("SELECT number FROM two.generations")}
    assert third in kept
    assert len(kept) == 2
    tables = database.run("SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid=relnamespace "
                          "WHERE nspname='two' AND relkind='r' AND relname LIKE 'rows_%'")  # fmt: skip
    assert {int(name.split("_")[1]) for (name,) in tables} == kept


@pytest.mark.parametrize("stage", ["items", "rows of image", "indexes of image"])
def test_a_push_that_was_stopped_goes_on(database: Any, made: Any, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.postgres.mirror.AT_ONCE", 400)
    monkeypatch.setattr(building.Source.blocks, "__defaults__", (400,))
    schema = "stopped_" + stage.split()[0]
    there = address(database, schema)

    class StopError(Exception):
        pass

    def stop(told: str, done: int, total: int) -> None:
        if told == stage and done >= min(800, total):
            raise StopError

    with pytest.raises(StopError):
        push.push(made.catalog, there, on_stage=stop)
    with PostgresCatalog(there) as opened, pytest.raises(NotBuiltError):
        opened.manifest()
    report = push.push(made.catalog, there)
    assert report.items == 1500
    if stage == "items":
        assert report.put < 1500
    else:
        assert report.put == 0
        assert report.rows < 1500
    assert len(generation_rows(database, schema, report.generation)) == 1500
    assert len(rows(database, schema)) == 1500


def test_a_server_that_crashes_during_a_push_is_told_of_and_the_push_goes_on(
    database: Any, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.postgres.mirror.AT_ONCE", 400)
    there = address(database, "crashed")

    def crash(told: str, done: int, total: int) -> None:
        if told == "items" and done == 800:
            database.stop("immediate")

    try:
        with pytest.raises(StorageError, match=r"^postgresql://postgres@127.* run again in a moment"):
            push.push(made.catalog, there, on_stage=crash)
    finally:
        database.start()
    report = push.push(made.catalog, there)
    assert report.put == 700
    assert report.items == 1500


def test_one_pushes_at_a_time(database: Any, made: Any) -> None:
    there = address(database, "alone")

    def second(*_: object) -> None:
        with pytest.raises(LockedError, match="somebody else pushes to"):
            push.push(made.catalog, there)

    push.push(made.catalog, there, on_stage=second)


def test_another_catalog_takes_a_place_only_when_told_to(
    database: Any, made: Any, make_catalog: Callable[[], Any]
) -> None:
    there = address(database, "taken")
    push.push(made.catalog, there)
    other = make_catalog()
    other.fill(30)
    other.build()
    with pytest.raises(InputError, match=r"holds what was pushed from .*made\.simkin; .* push with --replace"):
        push.push(other.catalog, there)
    report = push.push(other.catalog, there, PushOptions(replace=True))
    assert (report.items, report.put) == (30, 30)
    assert len(rows(database, "taken")) == 30


def test_rows_can_be_divided_by_postgresql(database: Any, made: Any) -> None:
    there = address(database, "parts")
    report = push.push(made.catalog, there, PushOptions(partitions=3))
    parts = [database.run(f"SELECT count(*) FROM parts.rows_{report.generation}_0_{at}")[0][0] for at in range(3)]
    assert sum(parts) == 1500
    assert min(parts) > 300
    assert {method for _, relation, method, _ in report.relations if relation == "similar"} == {"hnsw"}


def test_texts_that_postgresql_cannot_hold_stop_nothing(database: Any, make_catalog: Callable[[], Any]) -> None:
    made = make_catalog()
    vectors, _ = made.points(2)
    made.add(["a", "b"], vectors, [None, "x\0y"], ["zero \0 byte", "half \ud800 surrogate"])
    made.build()
    there = address(database, "texts")
    push.push(made.catalog, there)
    with PostgresCatalog(there) as opened:
        assert [opened.item(name).attributes["price"] for name in "ab"] == ["zero � byte", "half � surrogate"]
    made.catalog.close()


# ---- Servers and users that will not do ---------------------------------------------------------------


def test_a_server_that_is_not_there_is_told_in_one_sentence(made: Any, database: Any) -> None:
    there = PostgresAddress.parse("postgresql://somebody:secret@127.0.0.1:1/postgres")
    with pytest.raises(StorageError, match="check that PostgreSQL runs and listens at this address") as told:
        push.push(made.catalog, there)
    assert "secret" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_wrong_password_is_told_without_the_password(made: Any, database: Any) -> None:
    database.run("DROP ROLE IF EXISTS guarded", "CREATE ROLE guarded LOGIN PASSWORD 'right'")
    with pytest.raises(StorageError, match=r"password authentication failed.*check the user and the password") as told:
        push.push(made.catalog, address(database, "locked", user="guarded", password="wr0ng"))
    assert "wr0ng" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_role_without_rights_is_told_what_it_needs(made: Any, database: Any) -> None:
    database.run("DROP ROLE IF EXISTS plain", "CREATE ROLE plain LOGIN")
    push.push(made.catalog, address(database, "theirs"))
    with pytest.raises(StorageError, match=r"permission denied.*this user lacks the rights.*to push: CREATE ON"):
        push.push(made.catalog, address(database, "mine", user="plain"))
    with pytest.raises(StorageError, match=r"permission denied.*for questions: GRANT USAGE ON SCHEMA theirs"):
        PostgresCatalog(address(database, "theirs", user="plain"))
    database.run("GRANT USAGE ON SCHEMA theirs TO plain", "GRANT SELECT ON ALL TABLES IN SCHEMA theirs TO plain")
    with PostgresCatalog(address(database, "theirs", user="plain")) as opened:
        assert opened.count() == 1500
    with pytest.raises(StorageError, match="permission denied"):
        push.push(made.catalog, address(database, "theirs", user="plain"))


def test_a_server_without_pgvector_is_told_what_to_install(made: Any, database: Any) -> None:
    database.run("DROP DATABASE IF EXISTS bare", "CREATE DATABASE bare",
                 "ALTER DATABASE bare SET extension_control_path = '/nowhere'")  # fmt: skip
    there = address(database, "x", database="bare")
    with pytest.raises(StorageError, match=r"has no pgvector; install it.*apt install postgresql-\d+-pgvector"):
        push.push(made.catalog, there)
    database.run("ALTER DATABASE bare RESET extension_control_path", "DROP ROLE IF EXISTS owner",
                 "CREATE ROLE owner LOGIN", "GRANT ALL ON DATABASE bare TO owner")  # fmt: skip
    with pytest.raises(StorageError, match="takes a superuser; let one run there: CREATE EXTENSION vector"):
        push.push(made.catalog, address(database, "x", user="owner", database="bare"))
    database.run("CREATE EXTENSION vector", database="bare")
    assert push.push(made.catalog, address(database, "x", user="owner", database="bare")).items == 1500


def test_tables_of_a_newer_version_are_refused(made: Any, database: Any) -> None:
    there = address(database, "newer")
    push.push(made.catalog, there)
    database.run("UPDATE newer.settings SET value='99' WHERE key='format_version'")
    for attempt in (lambda: push.push(made.catalog, there), lambda: PostgresCatalog(there)):
        with pytest.raises(NotACatalogError, match="tables of format 99 of a newer simkin, this program reads format"):
            attempt()


def test_a_schema_of_others_is_left_alone(made: Any, database: Any) -> None:
    database.run("CREATE SCHEMA shop", "CREATE TABLE shop.orders (id int)")
    with pytest.raises(NotACatalogError, match=r"holds other tables \(orders, …\) and no catalog"):
        push.push(made.catalog, address(database, "shop"))
    with pytest.raises(NotACatalogError, match="holds no catalog in schema 'empty'"):
        PostgresCatalog(address(database, "empty"))
