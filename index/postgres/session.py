"""Connections to PostgreSQL, and its trouble told in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from index.address import PostgresAddress
from index.errors import InputError, MissingExtraError, NotACatalogError, StorageError

if TYPE_CHECKING:
    import psycopg

OLDEST_VECTOR = (0, 5)
"""The first pgvector with HNSW."""

ITERATIVE_VECTOR = (0, 8)
"""The first whose scans go on until enough rows pass a filter."""

CONNECT_SECONDS = 10

SCAN_MEMORY = "16"
"""Times ``work_mem`` that a scan may take which goes on until enough rows pass."""


def connect(address: PostgresAddress) -> psycopg.Connection[Any]:
    """Open a connection, each statement a transaction of its own, that reads the catalog's schema first.

    Raises:
        MissingExtraError: psycopg is not installed.
        StorageError: The server cannot be reached, or lets this user not in.
        InputError: The address is no address.
    """
    try:
        import psycopg
    except ImportError:
        raise MissingExtraError(
            "a catalog in PostgreSQL is read with psycopg; install it with: pip install 'simkin[postgres]'"
        ) from None
    with told(address):
        connection = psycopg.connect(
            address.connection, autocommit=True, connect_timeout=CONNECT_SECONDS, prepare_threshold=2
        )
        connection.execute(
            "SELECT set_config('search_path', quote_ident(%s) || coalesce((SELECT ', ' || quote_ident(nspname) "
            "FROM pg_extension e JOIN pg_namespace n ON n.oid=e.extnamespace WHERE extname='vector'), '') "
            "|| ', public', false)",
            (address.schema,),
        )
    return connection


class Session:
    """A connection for questions: opened anew, once for each question, where it was lost."""

    def __init__(self, address: PostgresAddress) -> None:
        self.address = address
        self._connection: psycopg.Connection[Any] | None = None
        self._scan: tuple[int, int] | None = None
        self.iterative = False
        """Whether a filtered scan goes on until enough rows pass."""

    @classmethod
    def around(cls, connection: psycopg.Connection[Any], address: PostgresAddress) -> Session:
        """A session on a connection that is open already."""
        held = cls(address)
        held._adopt(connection)
        return held

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """The connection, opened where it is not."""
        if self._connection is None:
            self._adopt(connect(self.address))
        assert self._connection is not None
        return self._connection

    def rows(self, statement: Any, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement that only reads; numbers of vectors come as bytes.

        Raises:
            StorageError, NotACatalogError: See ``told``; a lost connection was tried anew once.
        """
        try:
            return self._rows(statement, parameters)
        except StorageError as error:
            if not lost(error):
                raise
            self.close()
        return self._rows(statement, parameters)

    def scan(self, ef_search: int, most: int) -> None:
        """Set how broadly indexes are searched from now on, and how many rows a filtered scan looks at."""
        if self._connection is not None and self._scan == (ef_search, most):
            return
        self._scan = (ef_search, most)
        if self._connection is None:
            return  # set when it is opened
        self._set_scan()

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _rows(self, statement: Any, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        connection = self.connection
        with told(self.address), connection.cursor(binary=True) as cursor:
            rows: list[tuple[Any, ...]] = cursor.execute(statement, parameters).fetchall()
        return rows

    def _adopt(self, connection: psycopg.Connection[Any]) -> None:
        with told(self.address):
            self.iterative = (vector_version(connection) or ()) >= ITERATIVE_VECTOR
        self._connection = connection
        if self._scan is not None:
            self._set_scan()

    def _set_scan(self) -> None:
        assert self._connection is not None
        assert self._scan is not None
        ef_search, most = self._scan
        wanted = {"hnsw.ef_search": str(ef_search)}
        if self.iterative:
            wanted |= {
                "hnsw.iterative_scan": "relaxed_order",
                "hnsw.max_scan_tuples": str(most),
                "hnsw.scan_mem_multiplier": SCAN_MEMORY,
            }
        calls = ", ".join("set_config(%s, %s, false)" for _ in wanted)
        with told(self.address):
            self._connection.execute(f"SELECT {calls}", [part for pair in wanted.items() for part in pair])


@contextmanager
def told(address: PostgresAddress) -> Iterator[None]:
    """Turn PostgreSQL's trouble into sentences, which never hold the password.

    Raises:
        StorageError: It is not reachable, was restarted, refuses the user, or its disk is full.
        NotACatalogError: The tables are not there.
        InputError: The address cannot be read.
    """
    import psycopg
    from psycopg import errors

    where = address.shown
    try:
        yield
    except errors.InsufficientPrivilege as error:
        raise StorageError(
            f"{where}: {_first(error)}: this user lacks the rights; for questions: GRANT USAGE ON SCHEMA "
            f"{address.schema} and SELECT ON ALL TABLES IN it; to push: CREATE ON the database"
        ) from error
    except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
        raise NotACatalogError(
            f"{where} holds no catalog in schema {address.schema!r}; push one there with: simkin push ADDRESS "
            "--catalog FOLDER"
        ) from error
    except (errors.DiskFull, errors.OutOfMemory) as error:
        raise StorageError(
            f"{where}: {_first(error)}: the server has no room; what was committed is kept: free some, then run again"
        ) from error
    except psycopg.ProgrammingError as error:
        if error.sqlstate is None and ("conninfo" in str(error).lower() or "URI" in str(error)):
            raise InputError(f"{where}: {_first(error)}") from error
        raise StorageError(f"{where}: {_first(error)}") from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise StorageError(f"{where}: {_first(error)}: {_advice(error)}") from error
    except psycopg.DatabaseError as error:
        raise StorageError(f"{where}: {_first(error)}") from error


def lost(error: BaseException) -> bool:
    """Whether an error means that the connection is gone, so that asking on a new one may help."""
    import psycopg
    from psycopg import errors

    if isinstance(error, StorageError):
        error = error.__cause__ or error
    gone = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.IdleInTransactionSessionTimeout)
    if isinstance(error, gone):
        return True
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and error.sqlstate is None


def vector_version(connection: psycopg.Connection[Any]) -> tuple[int, ...] | None:
    """Version of pgvector in this database; ``None`` where it is not made."""
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname='vector'").fetchone()
    return tuple(int(part) for part in re.findall(r"\d+", row[0])) if row else None


def need_vector(connection: psycopg.Connection[Any], address: PostgresAddress) -> tuple[int, ...]:
    """Make pgvector in this database if it is not there, and return its version.

    Raises:
        StorageError: The server has none, or too old a one, or the user may not make it.
    """
    from psycopg import errors

    found = vector_version(connection)
    if found is None:
        offered = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name='vector'").fetchone()
        server = connection.info.server_version // 10000
        if offered is None:
            raise StorageError(
                f"{address.shown}: this PostgreSQL {server} has no pgvector; install it on the server, on Debian and "
                f"Ubuntu with: apt install postgresql-{server}-pgvector"
            )
        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public")
        except errors.InsufficientPrivilege as error:
            raise StorageError(
                f"{address.shown}: pgvector is installed but not made in this database, which takes a superuser; let "
                "one run there: CREATE EXTENSION vector"
            ) from error
        found = vector_version(connection)
    assert found is not None
    if found < OLDEST_VECTOR:
        raise StorageError(
            f"{address.shown}: pgvector {'.'.join(map(str, found))} has no HNSW; install 0.5 or newer on the server, "
            "then run there: ALTER EXTENSION vector UPDATE"
        )
    return found


def storable(text: str) -> bool:
    """Whether PostgreSQL can hold a text: it knows no zero byte and no half surrogate."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def vector_text(vector: np.ndarray[Any, Any]) -> str:
    """A vector as pgvector reads it: float32, shape ``(d,)``."""
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def _first(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def _advice(error: Exception) -> str:
    text = str(error)
    if "password" in text or "authentication" in text or "pg_hba" in text:
        return "check the user and the password in the address, or in ~/.pgpass"
    if "does not exist" in text:
        return "check the names in the address"
    if "refused" in text or "No such file" in text or "could not translate" in text or "failed to resolve" in text:
        return "check that PostgreSQL runs and listens at this address"
    return "the connection was lost, or the server is starting or stopping; run again in a moment"
