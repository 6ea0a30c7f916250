"""Salvage: a new database from whatever can still be read of a damaged one, and what was lost on the way."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.errors import StorageError
from index.lock import writer_lock
from index.schema import ADDED, DATABASE, FORMAT_VERSION, SCHEMA

DAMAGED = f"{DATABASE}.damaged"
"""What the damaged database is called afterwards; simkin never reads it again."""

_NEW = f"{DATABASE}.salvaged"
_COPY = f"{DATABASE}.header"

NAMED = 20
"""Lost items that are listed by id."""

PROBES = 100_000
"""Keys that are tried one by one behind a row that cannot be read, before larger steps are taken."""

_PAGE = 4096
"""Bytes in a page: SQLite's default, which catalogs are made with."""

_ORPHANS = (
    ("vectors", "encoder NOT IN (SELECT encoder FROM encoders) OR media NOT IN (SELECT media FROM media)"),
    ("media", "source NOT IN (SELECT source FROM sources)"),
    ("media", "item IS NOT NULL AND item NOT IN (SELECT item FROM items)"),
    ("media", "item IS NULL AND media NOT IN (SELECT media FROM failures)"),
    ("items", "item NOT IN (SELECT item FROM media WHERE item IS NOT NULL)"),
    ("items", "source NOT IN (SELECT source FROM sources)"),
    ("vectors", "media NOT IN (SELECT media FROM media)"),
    ("failures", "media NOT IN (SELECT media FROM media)"),
    ("checksums", "media NOT IN (SELECT media FROM media)"),
    ("edits", "item NOT IN (SELECT item FROM items)"),
    ("parts", "source NOT IN (SELECT source FROM sources)"),
    ("edges", "source NOT IN (SELECT item FROM items) OR target NOT IN (SELECT item FROM items)"),
    ("edges", "relation NOT IN (SELECT relation FROM edge_relations)"),
    ("edge_users", "relation NOT IN (SELECT relation FROM edge_relations)"),
    ("behaviour", "item NOT IN (SELECT item FROM items) OR relation NOT IN (SELECT name FROM learned)"),
    ("personal", "relation NOT IN (SELECT name FROM learned)"),
)
"""Rows that refer to rows that are lost; without them the next run of indexing finds their files new."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What could not be read of one table, as a plain sentence."""

    table: str
    what: str


def salvage(folder: Path) -> list[Loss]:
    """Put a new database in the place of a damaged one, with every row that can be read and still makes sense.

    The damaged file is kept as ``catalog.db.damaged``. Items whose rows are gone come back with the next run of
    indexing, as far as their sources are known. The caller has closed its own connection, and builds a generation
    afterwards.

    Returns:
        What was lost, table by table; ids of lost items are named, up to ``NAMED``.

    Raises:
        LockedError: Another process is writing.
        StorageError: Nothing can be read, or the new file cannot be written.
    """
    with writer_lock(folder):
        new = folder / _NEW
        for old in (new, folder / _COPY):
            old.unlink(missing_ok=True)
        try:
            with closing(_open_damaged(folder)) as damaged, closing(sqlite3.connect(new)) as whole:
                losses = _copy(damaged, whole)
            for ending in ("-wal", "-shm"):  # of the damaged one: they must not be taken for the new one's
                (folder / f"{DATABASE}{ending}").unlink(missing_ok=True)
            os.replace(folder / DATABASE, folder / DAMAGED)
            os.replace(new, folder / DATABASE)
        finally:
            for path in (new, folder / f"{_NEW}-journal", folder / _COPY):
                path.unlink(missing_ok=True)
    return losses


def _open_damaged(folder: Path) -> sqlite3.Connection:
    """Open a damaged database for reading; where its first hundred bytes are damaged, a copy with others.

    Raises:
        StorageError: Its tables cannot be told even so.
    """
    for attempt in (folder / DATABASE, folder / _COPY):
        if attempt.name == _COPY:
            shutil.copyfile(folder / DATABASE, attempt)
            _write_header(attempt)
        connection = sqlite3.connect(f"{attempt.absolute().as_uri()}?mode=rw", uri=True)
        connection.text_factory = bytes
        with suppress(sqlite3.DatabaseError):
            connection.execute("PRAGMA writable_schema=ON")  # what is wrong in one table hides no other
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
            if names & {b"items", b"media", b"vectors", b"sources"}:
                return connection
        connection.close()
    raise StorageError(
        f"nothing can be read of {folder / DATABASE}; move it away, and index its sources again: simkin index SOURCE "
        f"--catalog {folder}"
    )


def _write_header(path: Path) -> None:
    """Write the hundred bytes that every database of ours begins with; what they tell of the content is the size."""
    sample = path.with_name(f"{_COPY}.sample")
    try:
        with closing(sqlite3.connect(sample)) as connection:
            connection.executescript(SCHEMA)
        header = bytearray(sample.read_bytes()[:100])
    finally:
        sample.unlink(missing_ok=True)
    header[28:32] = (path.stat().st_size // _PAGE).to_bytes(4, "big")
    header[32:40] = bytes(8)  # no free pages
    with path.open("r+b") as file:
        file.write(header)


def _copy(damaged: sqlite3.Connection, whole: sqlite3.Connection) -> list[Loss]:
    whole.executescript(f"PRAGMA foreign_keys=OFF; BEGIN; {SCHEMA} {ADDED} COMMIT; PRAGMA journal_mode=WAL;")
    tables = [
        (name, "WITHOUT ROWID" in sql)
        for name, sql in whole.execute(
            "SELECT name, sql FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'"
        )
    ]
    known: set[str] = set()
    losses = []
    with whole:
        for table, keyed in tables:
            columns = [(row[1], str(row[2]), row[5]) for row in whole.execute(f"PRAGMA table_info({table})")]
            lost = _copy_table(damaged, whole, table, columns, keyed=keyed)
            if lost:
                losses.append(Loss(table, f"{table}: at least {lost} rows cannot be read"))
        known = _ids(damaged, "items") | _ids(damaged, "media")
        for table, condition in _ORPHANS:
            found = whole.execute(f"DELETE FROM {table} WHERE {condition}").rowcount
            if found:
                losses.append(Loss(table, f"{table}: {found} rows refer to rows that are lost"))
        here = {row[0] for row in whole.execute("SELECT id FROM items UNION SELECT id FROM media")}
        gone = sorted(known - here)
        if gone:
            more = f" and {len(gone) - NAMED} more" if len(gone) > NAMED else ""
            losses.append(Loss("items", f"items lost: {', '.join(gone[:NAMED])}{more}"))
        sequence = whole.execute(
            "SELECT 1 + max(coalesce((SELECT CAST(value AS INTEGER) FROM settings WHERE key='sequence'), 0), "
            "coalesce((SELECT max(changed) FROM items), 0), coalesce((SELECT max(changed) FROM removed), 0))"
        ).fetchone()[0]
        whole.execute(
            "INSERT OR REPLACE INTO settings VALUES ('format_version', ?), ('sequence', ?)",
            (str(FORMAT_VERSION), str(sequence)),
        )
    return losses


def _copy_table(
    damaged: sqlite3.Connection,
    whole: sqlite3.Connection,
    table: str,
    columns: Sequence[tuple[str, str, int]],
    *,
    keyed: bool,
) -> int:
    """Copy what can be read of one table, and return how many rows are known to be lost."""
    names = ", ".join(f'"{name}"' for name, _, _ in columns)
    insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({','.join('?' * len(columns))})"
    key = ", ".join(f'"{name}"' for name, _, place in sorted(columns, key=lambda column: column[2]) if place)
    lost = _Count()
    for row in _keyed_rows(damaged, table, names, key, lost) if keyed else _rows(damaged, table, names, lost):
        try:
            values = [_value(value, kind) for value, (_, kind, _) in zip(row, columns, strict=True)]
            whole.execute(insert, values)
        except (ValueError, sqlite3.IntegrityError, sqlite3.InterfaceError):
            lost.rows += 1
    return lost.rows


@dataclass
class _Count:
    rows: int = 0


def _value(value: object, kind: str) -> object:
    """A value of the type that its column has.

    Raises:
        ValueError: It is of another.
    """
    if value is None:
        return None
    expected = {"TEXT": bytes, "BLOB": bytes, "INTEGER": int, "REAL": float}[kind]
    if not isinstance(value, expected):
        raise ValueError(f"{kind} expected")
    return value.decode() if kind == "TEXT" and isinstance(value, bytes) else value


def _rows(damaged: sqlite3.Connection, table: str, names: str, lost: _Count) -> Iterator[tuple[object, ...]]:
    """Rows by key, over every hole; some may come twice. Each scan begins behind the one before, so that it ends
    whatever the pages say."""
    begun = -1
    while True:
        last = begun
        try:
            for row in damaged.execute(f"SELECT rowid, {names} FROM {table} WHERE rowid>? ORDER BY rowid", (begun,)):
                last = row[0]
                yield row[1:]
            return
        except sqlite3.DatabaseError as error:
            if "no such" in str(error):
                return
        lost.rows += 1
        found = _behind(damaged, table, names, max(begun, last))
        if found is None:
            return
        begun = found[0]
        yield found[1:]


def _behind(damaged: sqlite3.Connection, table: str, names: str, last: int) -> tuple[Any, ...] | None:
    """Key and values of a row behind a hole, close to it; it may be one that is only found when asked for alone."""
    for step in (*range(1, PROBES), *(PROBES << shift for shift in range(40))):
        one = step < PROBES
        try:
            row = damaged.execute(
                f"SELECT rowid, {names} FROM {table} WHERE rowid{'=' if one else '>'}? ORDER BY rowid LIMIT 1",
                (last + step,),
            ).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row and row[0] > last:
            return tuple(row)
        if row is None and not one:
            return None  # read to the end, and nothing is there
    return None


def _keyed_rows(
    damaged: sqlite3.Connection, table: str, names: str, key: str, lost: _Count
) -> Iterator[tuple[object, ...]]:
    """Rows of a table without row numbers, from both ends up to a hole; the same row may come twice."""
    backwards = ", ".join(f"{column} DESC" for column in key.split(", "))
    for order in (key, backwards):
        try:
            yield from damaged.execute(f"SELECT {names} FROM {table} ORDER BY {order}")
            return
        except sqlite3.DatabaseError as error:
            if "no such" in str(error):
                return
            lost.rows += order == key


def _ids(damaged: sqlite3.Connection, table: str) -> set[str]:
    """Ids as the index of a table has them, which may be readable where the table is not."""
    found: set[str] = set()
    with suppress(sqlite3.DatabaseError):
        for (item_id,) in damaged.execute(f"SELECT id FROM {table} ORDER BY id"):
            with suppress(UnicodeDecodeError, AttributeError):
                found.add(item_id.decode())
    return found
