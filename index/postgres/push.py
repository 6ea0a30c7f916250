"""Pushing: a catalog's items and the rows of its generation brought to PostgreSQL, resumable at any moment."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from index.address import PostgresAddress
from index.catalog import Catalog
from index.errors import InputError, LockedError, NotBuiltError
from index.postgres import session
from index.postgres.building import OnStage, build_generation
from index.postgres.mirror import put_items, put_small_tables
from index.postgres.schema import check_format, make_tables, rows_table, set_setting, setting
from index.postgres.source import Source
from index.trouble import StorageTrouble

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How to push.

    Attributes:
        replace: Put this catalog in the place of another that was pushed into the same schema.
        partitions: Into so many parts PostgreSQL divides the rows of a new generation; 0 for none.
    """

    replace: bool = False
    partitions: int = 0


@dataclass(frozen=True, slots=True)
class PushReport:
    """What a push did.

    Attributes:
        generation: Number there of the rows in use now; not that of the folder.
        items: Items there now.
        put: Items that were added or changed.
        removed: Items that were removed.
        rows: Rows of relations that were written or removed.
        seconds: How long it took.
        relations: Space, relation, method, and the recall that is told with every answer.
    """

    generation: int
    items: int
    put: int
    removed: int
    rows: int
    seconds: float
    relations: tuple[tuple[str, str, str, float], ...]


def push(
    catalog: Catalog,
    address: PostgresAddress,
    options: PushOptions | None = None,
    on_stage: OnStage = lambda *_: None,
) -> PushReport:
    """Bring a catalog to PostgreSQL, or what changed since the last time.

    Everything is committed in small transactions, each complete: after any trouble the same call goes on where it was
    stopped. A generation that was built anew gets tables beside the old ones, which answer until the new ones are
    filled, indexed and measured.

    Args:
        on_stage: Told of a stage, how much of it is done, and of how much.

    Raises:
        MissingExtraError: psycopg is not installed.
        NotBuiltError, StaleIndexError: The catalog has no generation that can answer.
        NotACatalogError: The schema holds something else, or a newer format.
        LockedError: Somebody else pushes to this schema.
        InputError: Another catalog was pushed there.
        StorageError: The server fails, is full, has no pgvector, or refuses this user.
    """
    options = options or PushOptions()
    if not 0 <= options.partitions <= 1024:
        raise InputError(f"partitions must lie between 0 and 1024, not {options.partitions}")
    started = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(StorageTrouble(catalog.folder))
        stack.enter_context(session.told(address))
        connection = stack.enter_context(session.connect(address))
        source = stack.enter_context(closing(Source(catalog)))
        session.need_vector(connection, address)
        make_tables(connection, address)
        held = session.Session.around(connection, address)
        with _alone(connection, address):
            _check_origin(connection, catalog, address, options.replace)
            put, removed = put_items(source, connection, on_stage)
            manifest, rows = build_generation(source, held, options.partitions, on_stage)
            with connection.transaction():
                connection.execute(
                    "UPDATE generations SET manifest=%s WHERE number=%s", (manifest.to_json(), manifest.number)
                )
                put_small_tables(source, connection)
                set_setting(connection, "origin", _origin_of(catalog))
                set_setting(connection, "reranked", json.dumps(source.reranked()))
                before = _switch(connection, manifest.number)
            _drop_others(connection, {manifest.number, before})
            (items,) = connection.execute("SELECT count(*) FROM items").fetchone() or (0,)
    told = tuple(
        (name, relation, plan.method, plan.recall)
        for name, record in manifest.spaces.items()
        for relation, plan in record.relations.items()
    )
    return PushReport(manifest.number, int(items), put, removed, rows, round(time.monotonic() - started, 3), told)


def use_generation(address: PostgresAddress, number: int) -> None:
    """Put another generation that stands there in use, as after a push that turned out to be a mistake.

    Raises:
        NotBuiltError: It is not there, or was never finished.
        LockedError, StorageError, NotACatalogError: As ``push``.
    """
    with session.told(address), session.connect(address) as connection:
        check_format(connection, address)
        with _alone(connection, address):
            ready = "SELECT number FROM generations WHERE manifest IS NOT NULL ORDER BY number"
            numbers = [found for (found,) in connection.execute(ready)]
            if number not in numbers:
                listed = ", ".join(map(str, numbers)) or "none"
                raise NotBuiltError(f"{address.shown} has no finished generation {number}; there are: {listed}")
            with connection.transaction():
                _switch(connection, number)


def _switch(connection: psycopg.Connection[Any], number: int) -> int:
    """Name the generation in use, inside the caller's transaction, and return the one that was; 0 for none.

    The one before it stays, and is remembered, so that readers go on and ``use_generation`` can go back.
    """
    before, other = int(setting(connection, "generation") or 0), int(setting(connection, "before") or 0)
    if before != number:
        set_setting(connection, "before", str(before))
        other = before
    set_setting(connection, "generation", str(number))
    set_setting(connection, "version", str(int(setting(connection, "version") or 0) + 1))
    return other


def _drop_others(connection: psycopg.Connection[Any], kept: set[int]) -> None:
    """Drop generations that nobody needs: those of long ago, and those that were never finished."""
    from psycopg import sql

    for (number,) in connection.execute("SELECT number FROM generations ORDER BY number").fetchall():
        if number in kept:
            continue
        with connection.transaction():
            for (place,) in connection.execute("SELECT place FROM spaces WHERE generation=%s", (number,)).fetchall():
                table = sql.Identifier(rows_table(number, place))
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
            connection.execute("DELETE FROM generations WHERE number=%s", (number,))


@contextmanager
def _alone(connection: psycopg.Connection[Any], address: PostgresAddress) -> Iterator[None]:
    """Keep others from pushing to the same schema; freed by the end of the connection, however that comes.

    Raises:
        LockedError: Somebody does.
    """
    key = f"simkin push {address.schema}"
    (mine,) = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (key,)).fetchone() or (False,)
    if not mine:
        raise LockedError(f"somebody else pushes to {address.shown}; wait for it, then run again")
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (key,))


def _origin_of(catalog: Catalog) -> str:
    return f"{socket.gethostname()}:{catalog.folder.absolute()}"


def _check_origin(
    connection: psycopg.Connection[Any], catalog: Catalog, address: PostgresAddress, replacing: bool
) -> None:
    """Refuse to put a catalog in the place of another.

    Raises:
        InputError: Another one was pushed there.
    """
    held = setting(connection, "origin")
    if held and held != _origin_of(catalog) and not replacing:
        raise InputError(
            f"{address.shown} holds what was pushed from {held}; name another schema with …?schema=NAME, or, to put "
            f"{_origin_of(catalog)} in its place, push with --replace"
        )
    if not held:
        with connection.transaction():
            set_setting(connection, "origin", _origin_of(catalog))
