"""Planning: what a source holds now against what the catalog knows of it, without opening a file."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from index.catalog import Catalog, absolute
from index.errors import MediaError
from index.scan import Entry
from index.worker import content_digest

AUTOMATIC_ATTEMPTS = 3
"""Files that could not be read, or whose worker died, are tried this often before being left alone;
files that were read and found bad are tried again only when they change, or when asked."""

_TEMPORARY = """
PRAGMA temp_store = FILE;
DROP TABLE IF EXISTS temp.entries;
DROP TABLE IF EXISTS temp.todo;
DROP TABLE IF EXISTS temp.gone;
CREATE TEMP TABLE entries (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, position INTEGER NOT NULL, path BLOB NOT NULL,
    modality TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    attributes TEXT NOT NULL, given BLOB NOT NULL, problem TEXT NOT NULL, UNIQUE (id, position)
);
CREATE TEMP TABLE todo (number INTEGER PRIMARY KEY, why TEXT NOT NULL, known BLOB);
CREATE TEMP TABLE gone (media INTEGER PRIMARY KEY, item INTEGER, size INTEGER NOT NULL);
"""


@dataclass(slots=True)
class Counts:
    """How many files of a source were found added, changed, and so on."""

    added: int = 0
    changed: int = 0
    renamed: int = 0
    removed: int = 0
    retried: int = 0
    unchanged: int = 0


def take_in(catalog: Catalog, entries: Iterable[Entry]) -> int:
    """Note what a source holds in a temporary table, replacing the last one's; return the number of files."""
    connection = catalog.connection
    connection.executescript(_TEMPORARY)
    rows = (
        (e.item_id, e.position, e.path, e.modality, e.size, e.mtime_ns, e.attributes, _digest(e.attributes), e.problem)
        for e in entries
    )
    with connection:
        cursor = connection.executemany(
            "INSERT OR IGNORE INTO entries (id, position, path, modality, size, mtime_ns, attributes, given, problem) "
            "VALUES (?,?,?,?,?,?,?,?,?)",
            rows,
        )
    return cursor.rowcount


def plan(catalog: Catalog, source: int, unreadable: Iterable[bytes], *, retry: bool) -> Counts:
    """Compare what ``take_in`` noted with the catalog; move renames, drop what is gone, list what to do.

    Renames, removals and changed attributes are committed here, in one transaction. What must be read
    is left in the temporary table ``todo``.

    Args:
        source: Key of the source.
        unreadable: Folders below it that could not be listed: what the catalog knows there is kept.
        retry: Try known failures again, whatever they were.
    """
    counts = Counts()
    connection = catalog.connection
    with connection:
        sequence = catalog.next_sequence()
        connection.execute(
            "INSERT INTO gone SELECT m.media, m.item, m.size FROM media m WHERE m.source=? AND NOT EXISTS "
            "(SELECT 1 FROM entries e WHERE e.id=m.id AND e.position=m.position)",
            (source,),
        )
        for folder in unreadable:
            connection.execute(
                "DELETE FROM gone WHERE media IN (SELECT media FROM media WHERE source=? AND path>=? AND path<?)",
                (source, folder, folder[:-1] + b"0" if folder else b"\xff"),  # "0" is what follows "/"
            )
        counts.renamed = _move_renamed(catalog, source)
        counts.removed = _drop_gone(connection, sequence)
        described = _describe_again(connection, source, sequence)
        _list_todo(connection, source, retry=retry)
        for why, number in connection.execute("SELECT why, count(*) FROM todo GROUP BY why"):
            setattr(counts, why, number)
        total = connection.execute("SELECT count(*) FROM entries").fetchone()[0]
        counts.unchanged = total - counts.added - counts.changed - counts.retried - counts.renamed - described
        counts.changed += described
        if not (counts.renamed or counts.removed or described):
            catalog.set_setting("sequence", str(sequence - 1))  # nothing happened: readers keep what they have
    return counts


@lru_cache(maxsize=1024)
def _digest(attributes: str) -> bytes:
    return hashlib.blake2b(attributes.encode("utf-8", "replace"), digest_size=8).digest()


def _move_renamed(catalog: Catalog, source: int) -> int:
    """A new name whose content is that of one that is gone was renamed: it keeps its vectors."""
    connection = catalog.connection
    if not connection.execute("SELECT 1 FROM gone WHERE item IS NOT NULL LIMIT 1").fetchone():
        return 0
    location, kind = connection.execute("SELECT location, kind FROM sources WHERE source=?", (source,)).fetchone()
    candidates = connection.execute(
        "SELECT e.id, e.position, e.path, e.size, e.mtime_ns FROM entries e "
        "WHERE e.problem='' AND e.size IN (SELECT size FROM gone WHERE item IS NOT NULL) AND NOT EXISTS "
        "(SELECT 1 FROM media m WHERE m.source=? AND m.id=e.id AND m.position=e.position)",
        (source,),
    ).fetchall()
    moved = 0
    for item_id, position, path, size, mtime_ns in candidates:
        try:
            digest = content_digest(absolute(location, kind, path))
        except MediaError:
            continue  # it will be tried, and fail, as a new file
        match = connection.execute(
            "SELECT g.media, g.item FROM gone g JOIN media m USING (media) JOIN items i ON i.item=g.item "
            "WHERE g.size=? AND m.digest=? AND m.position=? AND (i.id=? OR NOT EXISTS "
            "(SELECT 1 FROM items j WHERE j.id=?)) ORDER BY g.media LIMIT 1",
            (size, digest, position, item_id, item_id),
        ).fetchone()
        if match:
            media, item = match
            connection.execute(
                "UPDATE media SET id=?, path=?, mtime_ns=? WHERE media=?", (item_id, path, mtime_ns, media)
            )
            connection.execute("UPDATE items SET id=? WHERE item=?", (item_id, item))
            connection.execute("DELETE FROM gone WHERE media=?", (media,))
            moved += 1
    return moved


def _drop_gone(connection: sqlite3.Connection, sequence: int) -> int:
    connection.execute("UPDATE items SET changed=? WHERE item IN (SELECT item FROM gone)", (sequence,))
    connection.execute("DELETE FROM failures WHERE media IN (SELECT media FROM gone)")
    connection.execute("DELETE FROM vectors WHERE media IN (SELECT media FROM gone)")
    removed = connection.execute("DELETE FROM media WHERE media IN (SELECT media FROM gone)").rowcount
    empty = (
        "SELECT g.item FROM gone g WHERE g.item IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM media m WHERE m.item=g.item)"
    )  # fmt: skip
    connection.execute(f"INSERT OR REPLACE INTO removed SELECT DISTINCT item, ? FROM ({empty})", (sequence,))
    connection.execute(f"DELETE FROM items WHERE item IN ({empty})")
    return removed


def _describe_again(connection: sqlite3.Connection, source: int, sequence: int) -> int:
    """Attributes that the source now says otherwise; the files' own tags stay underneath."""
    rows = connection.execute(
        "SELECT i.item, e.attributes, e.given FROM entries e JOIN items i ON i.id=e.id "
        "WHERE i.source=? AND e.position=0 AND i.given<>e.given",
        (source,),
    ).fetchall()
    for item, attributes, given in rows:
        connection.execute("UPDATE items SET given=?, changed=? WHERE item=?", (given, sequence, item))
        merge_attributes(connection, item, attributes)
    return len(rows)


def merge_attributes(connection: sqlite3.Connection, item: int, given: str) -> None:
    """Set an item's attributes: what the source says over what its files' tags say."""
    connection.execute(
        "UPDATE items SET attributes = json_patch(coalesce("
        "(SELECT tags FROM media WHERE item=?1 AND tags IS NOT NULL ORDER BY position LIMIT 1), '{}'), ?2) "
        "WHERE item=?1",
        (item, given),
    )
    connection.execute(
        "UPDATE items SET category = CAST(json_extract(attributes, '$.category') AS TEXT) WHERE item=?", (item,)
    )


def _list_todo(connection: sqlite3.Connection, source: int, *, retry: bool) -> None:
    lacking = ""
    held = connection.execute("SELECT count(*) FROM vectors").fetchone()[0]
    owed = connection.execute(
        "SELECT count(*) FROM media m JOIN encoders c ON c.modality=m.modality WHERE m.item IS NOT NULL"
    ).fetchone()[0]
    if held != owed:  # an encoder was added, or a run was killed before it came to these
        lacking = (
            "OR (f.media IS NULL AND EXISTS (SELECT 1 FROM encoders c WHERE c.modality=e.modality AND NOT EXISTS "
            "(SELECT 1 FROM vectors v WHERE v.media=m.media AND v.encoder=c.encoder)))"
        )
    connection.execute(
        "INSERT INTO todo SELECT e.number, CASE WHEN m.media IS NULL THEN 'added' "
        "WHEN f.media IS NOT NULL THEN 'retried' ELSE 'changed' END, "
        f"{'NULL' if lacking else 'CASE WHEN f.media IS NULL AND m.item IS NOT NULL THEN m.digest END'} "
        "FROM entries e LEFT JOIN media m ON m.source=:source AND m.id=e.id AND m.position=e.position "
        "LEFT JOIN failures f ON f.media=m.media "
        "WHERE m.media IS NULL OR m.size<>e.size OR m.mtime_ns<>e.mtime_ns OR m.path<>e.path "
        "OR (f.media IS NOT NULL AND e.problem='' AND (:retry OR (f.stage IN ('read', 'worker') "
        f"AND f.attempts<:attempts))) {lacking}",
        {"source": source, "retry": retry, "attempts": AUTOMATIC_ATTEMPTS},
    )


def source_key(catalog: Catalog, location: bytes, kind: str, metadata: Path | None) -> int:
    """Return the key of a source, making it when it is new, inside the caller's transaction."""
    told = None if metadata is None else str(metadata.absolute()).encode("utf-8", "surrogateescape")
    row = catalog.connection.execute(
        "INSERT INTO sources (location, kind, metadata) VALUES (?, ?, ?) ON CONFLICT (location) DO UPDATE "
        "SET metadata=coalesce(excluded.metadata, metadata) RETURNING source",
        (location, kind, told),
    ).fetchone()
    return int(row[0])
