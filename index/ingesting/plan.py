"""Planning: what a source holds now against what the catalog knows of it, without opening a file."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from index.catalog import Catalog, absolute
from index.errors import MediaError
from index.ingesting.scan import Entry
from index.ingesting.worker import content_digest

AUTOMATIC_ATTEMPTS = 3
"""Files that could not be read, or whose worker died, are tried this often before being left alone;
files that were read and found bad are tried again only when they change, or when asked."""

_AGAIN = "(:retry OR (f.stage IN ('read', 'worker') AND f.attempts < :attempts))"

_TEMPORARY = """
PRAGMA temp_store = FILE;
DROP TABLE IF EXISTS temp.entries;
DROP TABLE IF EXISTS temp.todo;
DROP TABLE IF EXISTS temp.unseen;
DROP TABLE IF EXISTS temp.gone;
DROP TABLE IF EXISTS temp.renamed;
DROP TABLE IF EXISTS temp.redescribed;
CREATE TEMP TABLE entries (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, position INTEGER NOT NULL, path BLOB NOT NULL,
    modality TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    attributes TEXT NOT NULL, given BLOB NOT NULL, problem TEXT NOT NULL, UNIQUE (id, position)
);
CREATE TEMP TABLE todo (number INTEGER PRIMARY KEY, why TEXT NOT NULL, known BLOB);
CREATE TEMP TABLE unseen (media INTEGER PRIMARY KEY);
CREATE TEMP TABLE gone (media INTEGER PRIMARY KEY, item INTEGER, size INTEGER NOT NULL);
CREATE TEMP TABLE renamed (number INTEGER PRIMARY KEY);
CREATE TEMP TABLE redescribed (number INTEGER PRIMARY KEY);
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


def take_in(
    catalog: Catalog, source: int, entries: Iterable[Entry], *, told: bool = True, retry: bool = False
) -> tuple[int, int]:
    """Note in temporary tables where a source and the catalog differ, replacing what the last source left there.

    Both are read side by side, in the order of ids; what is the same on both sides is only counted, so that
    a source without changes costs one pass and writes nothing. Another order is slower, not wrong.

    Args:
        source: Key of the source.
        entries: What it holds now.
        told: Attributes may have changed where files did not.
        retry: Known failures will be tried again, whatever they were.

    Returns:
        Number of files found, and how many of them need nothing.
    """
    connection = catalog.connection
    connection.executescript(_TEMPORARY)
    comparison = _Comparison(catalog, source, told=told, retry=retry)
    with connection:
        connection.executemany(
            "INSERT OR IGNORE INTO entries (id, position, path, modality, size, mtime_ns, attributes, given, problem) "
            "VALUES (?,?,?,?,?,?,?,?,?)",
            comparison.differing(entries),
        )
        connection.executemany("INSERT INTO unseen VALUES (?)", ((media,) for media in comparison.unseen))
    return comparison.found, comparison.same


class _Comparison:
    """The pass of ``take_in`` over a source's entries and the catalog's rows."""

    def __init__(self, catalog: Catalog, source: int, *, told: bool, retry: bool) -> None:
        self.found = self.same = 0
        self.unseen: list[int] = []
        self._rows = catalog.connection.execute(
            "SELECT m.id, m.position, m.path, m.size, m.mtime_ns, m.media, "
            + ("i.given FROM media m LEFT JOIN items i ON i.item=m.item" if told else "NULL FROM media m")
            + " WHERE m.source=? ORDER BY m.id, m.position",
            (source,),
        )
        self._lacking = bool(lacking_vectors(catalog.connection))
        self._again = {
            media
            for (media,) in catalog.connection.execute(
                f"SELECT f.media FROM failures f JOIN media m USING (media) WHERE m.source=:source AND {_AGAIN}",
                {"source": source, "retry": retry, "attempts": AUTOMATIC_ATTEMPTS},
            )
        }

    def differing(self, entries: Iterable[Entry]) -> Iterator[tuple[str, int, bytes, str, int, int, str, bytes, str]]:
        """Yield entries that are new, changed or to be tried again, as rows of the temporary table."""
        rows, again, lacking = self._rows, self._again, self._lacking
        last: Entry | None = None  # counted as the same, until another file of its item turns out to be gone
        row = next(rows, None)
        for entry in entries:
            self.found += 1
            item_id, position, path, _, size, mtime_ns, attributes, _ = entry
            while row is not None and (row[0] < item_id or (row[0] == item_id and row[1] < position)):
                self.unseen.append(row[5])
                if last is not None and last.item_id == row[0]:
                    self.same -= 1
                    yield _noted(last)
                    last = None
                row = next(rows, None)
            if row is not None and row[0] == item_id and row[1] == position:
                _, _, known_path, known_size, known_ns, media, given = row
                row = next(rows, None)
                if (
                    known_ns == mtime_ns
                    and known_size == size
                    and known_path == path
                    and (given is None or position or given == digest(attributes))
                    and media not in again
                    and not lacking
                ):
                    self.same += 1
                    if not position:
                        last = entry
                    continue
            yield _noted(entry)
        while row is not None:
            self.unseen.append(row[5])
            if last is not None and last.item_id == row[0]:
                self.same -= 1
                yield _noted(last)
                last = None
            row = next(rows, None)


def _noted(entry: Entry) -> tuple[str, int, bytes, str, int, int, str, bytes, str]:
    return (*entry[:7], digest(entry.attributes), entry.problem)


def lacking_vectors(connection: sqlite3.Connection) -> int:
    """How many vectors the catalog's media lack: an encoder was added, or unusable ones were dropped."""
    (held,) = connection.execute("SELECT count(*) FROM vectors").fetchone()
    owed = connection.execute(
        "SELECT m.held * c.encoders FROM (SELECT modality, count(*) AS held FROM media WHERE item IS NOT NULL "
        "GROUP BY modality) m JOIN (SELECT modality, count(*) AS encoders FROM encoders GROUP BY modality) c "
        "USING (modality)"
    )
    return sum(int(count) for (count,) in owed) - int(held)


def plan(catalog: Catalog, source: int, found: int, same: int, unknown: Iterable[bytes], *, retry: bool) -> Counts:
    """Act on what ``take_in`` noted: move renames, drop what is gone, list what to do.

    Renames, removals and changed attributes are committed here, in one transaction. What must be read
    is left in the temporary table ``todo``.

    Args:
        source: Key of the source.
        found: Number of its files.
        same: How many of them need nothing.
        unknown: Folders below it that could not be listed: what the catalog knows there is kept.
        retry: Try known failures again, whatever they were.
    """
    connection = catalog.connection
    if not connection.execute("SELECT EXISTS (SELECT 1 FROM entries) OR EXISTS (SELECT 1 FROM unseen)").fetchone()[0]:
        return Counts(unchanged=same)
    counts = Counts()
    with connection:
        sequence = catalog.sequence + 1
        connection.execute(
            "INSERT INTO gone SELECT m.media, m.item, m.size FROM unseen u JOIN media m USING (media) WHERE NOT EXISTS "
            "(SELECT 1 FROM entries e WHERE e.id=m.id AND e.position=m.position)"
        )
        for folder in unknown:
            connection.execute(
                "DELETE FROM gone WHERE media IN (SELECT media FROM media WHERE source=? AND path>=? AND path<?)",
                (source, folder, folder[:-1] + b"0"),  # "0" is what follows "/"
            )
        moved = _move_renamed(catalog, source, sequence)
        counts.removed = _drop_gone(connection, sequence)
        described = _describe_again(connection, source, sequence)
        _list_todo(connection, source, retry=retry)
        busy = 0
        for why, number in connection.execute("SELECT why, count(*) FROM todo GROUP BY why"):
            setattr(counts, why, number)
            busy += number
        (counts.renamed,) = connection.execute(
            "SELECT count(*) FROM renamed WHERE number NOT IN (SELECT number FROM todo)"
        ).fetchone()
        (redescribed,) = connection.execute(
            "SELECT count(*) FROM redescribed WHERE number NOT IN (SELECT number FROM todo) "
            "AND number NOT IN (SELECT number FROM renamed)"
        ).fetchone()
        counts.changed += redescribed
        counts.unchanged = found - busy - counts.renamed - redescribed
        if moved or counts.removed or described:
            catalog.set_setting("sequence", str(sequence))
    return counts


@lru_cache(maxsize=1024)
def digest(attributes: str) -> bytes:
    return hashlib.blake2b(attributes.encode("utf-8", "replace"), digest_size=8).digest()


def _move_renamed(catalog: Catalog, source: int, sequence: int) -> int:
    """A new name whose content is that of one that is gone was renamed: it keeps its vectors.

    To the generation it is a changed item, whose id is no longer the one kept there.
    """
    connection = catalog.connection
    if not connection.execute("SELECT 1 FROM gone WHERE item IS NOT NULL LIMIT 1").fetchone():
        return 0
    location, kind = connection.execute("SELECT location, kind FROM sources WHERE source=?", (source,)).fetchone()
    if kind == "embeddings":  # its files are not opened
        return 0
    candidates = connection.execute(
        "SELECT e.number, e.id, e.position, e.path, e.modality, e.size, e.mtime_ns FROM entries e "
        "WHERE e.problem='' AND e.size IN (SELECT size FROM gone WHERE item IS NOT NULL) AND NOT EXISTS "
        "(SELECT 1 FROM media m WHERE m.source=? AND m.id=e.id AND m.position=e.position)",
        (source,),
    ).fetchall()
    moved = 0
    for number, item_id, position, path, modality, size, mtime_ns in candidates:
        try:
            content = content_digest(absolute(location, kind, path))
        except MediaError:
            continue  # it will be tried, and fail, as a new file
        match = connection.execute(
            "SELECT g.media, g.item FROM gone g JOIN media m USING (media) JOIN items i ON i.item=g.item "
            "WHERE g.size=? AND m.digest=? AND m.position=? AND m.modality=? AND (i.id=? OR NOT EXISTS "
            "(SELECT 1 FROM items j WHERE j.id=?)) ORDER BY g.media LIMIT 1",
            (size, content, position, modality, item_id, item_id),
        ).fetchone()
        if match:
            media, item = match
            connection.execute(
                "UPDATE media SET id=?, path=?, mtime_ns=? WHERE media=?", (item_id, path, mtime_ns, media)
            )
            connection.execute("UPDATE items SET id=?, changed=? WHERE item=?", (item_id, sequence, item))
            connection.execute("DELETE FROM gone WHERE media=?", (media,))
            connection.execute("INSERT INTO renamed VALUES (?)", (number,))
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
        "SELECT i.item, e.number, e.attributes, e.given FROM entries e JOIN items i ON i.id=e.id "
        "WHERE i.source=? AND e.position=0 AND (i.given<>e.given OR i.item IN (SELECT item FROM gone))",
        (source,),
    ).fetchall()
    for item, number, attributes, given in rows:
        connection.execute("INSERT INTO redescribed VALUES (?)", (number,))
        connection.execute("UPDATE items SET given=?, changed=? WHERE item=?", (given, sequence, item))
        merge_attributes(connection, item, attributes)
    return len(rows)


def merge_attributes(connection: sqlite3.Connection, item: int, given: str) -> None:
    """Set an item's attributes: what the source says over what its files' tags say, and over both what was said of
    the item by itself."""
    connection.execute(
        "UPDATE items SET attributes = json_patch(json_patch(coalesce("
        "(SELECT tags FROM media WHERE item=?1 AND tags IS NOT NULL ORDER BY position LIMIT 1), '{}'), ?2), "
        "coalesce((SELECT attributes FROM edits WHERE item=?1), '{}')) WHERE item=?1",
        (item, given),
    )
    connection.execute(
        "UPDATE items SET category = CAST(json_extract(attributes, '$.category') AS TEXT) WHERE item=?", (item,)
    )


def _list_todo(connection: sqlite3.Connection, source: int, *, retry: bool) -> None:
    lacking = ""
    if lacking_vectors(connection):
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
        f"OR (f.media IS NOT NULL AND e.problem='' AND {_AGAIN}) {lacking}",
        {"source": source, "retry": retry, "attempts": AUTOMATIC_ATTEMPTS},
    )


def source_key(catalog: Catalog, location: bytes, kind: str, metadata: Path | None) -> int:
    """Return the key of a source, making it when it is new, inside the caller's transaction."""
    told = None if metadata is None else os.fsencode(metadata.absolute())
    known = catalog.connection.execute(
        "SELECT source, metadata FROM sources WHERE location=? AND kind=?", (location, kind)
    ).fetchone()
    if known and told in (None, known[1]):
        return int(known[0])
    row = catalog.connection.execute(
        "INSERT INTO sources (location, kind, metadata) VALUES (?, ?, ?) ON CONFLICT (location) DO UPDATE "
        "SET kind=excluded.kind, metadata=coalesce(excluded.metadata, metadata) RETURNING source",
        (location, kind, told),
    ).fetchone()
    return int(row[0])
