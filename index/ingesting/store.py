"""Storing: what workers found out about files, committed batch by batch with the rows it belongs to."""

from __future__ import annotations

import sqlite3
import time
from zlib import crc32

from index.catalog import Catalog
from index.ingesting.plan import merge_attributes
from index.ingesting.scan import entry_id
from index.ingesting.workers import Described

BATCH_FILES = 256
BATCH_SECONDS = 2.0
"""A transaction is committed after so many files or seconds: what a kill can cost."""


class Store:
    """Collects answers about the files of one source, noted by ``index.ingesting.plan.take_in``.

    Attributes:
        done: Answers taken.
        failed: Those that are failures.
    """

    def __init__(self, catalog: Catalog, source: int) -> None:
        self.catalog = catalog
        self.source = source
        self.done = self.failed = 0
        self._waiting: list[Described] = []
        self._since = time.monotonic()

    def add(self, described: Described) -> None:
        """Take one answer; commit when enough have come, or long enough ago."""
        self._waiting.append(described)
        self.done += 1
        self.failed += bool(described.stage)
        if len(self._waiting) >= BATCH_FILES or time.monotonic() - self._since > BATCH_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write what has come, in one transaction."""
        waiting, self._waiting = self._waiting, []
        self._since = time.monotonic()
        if not waiting:
            return
        connection = self.catalog.connection
        with connection:
            sequence = self.catalog.next_sequence()
            encoders = dict(connection.execute("SELECT name, encoder FROM encoders"))
            for described in waiting:
                entry = connection.execute(
                    "SELECT id, position, path, modality, size, mtime_ns, attributes, given FROM entries "
                    "WHERE number=?",
                    (described.number,),
                ).fetchone()
                if not described.stage:
                    described = self._claim(described, entry)
                media = self._keep_media(entry, described)
                if described.stage:
                    self._keep_failure(media, described)
                elif described.tags:  # without, it is the content that was described before
                    self._keep_item(media, entry, sequence)
                    for name, vector in described.vectors:
                        key = (media, encoders[name])
                        connection.execute("INSERT OR REPLACE INTO vectors VALUES (?,?,?)", (*key, vector))
                        connection.execute("INSERT OR REPLACE INTO checksums VALUES (?,?,?)", (*key, crc32(vector)))

    def _claim(self, described: Described, entry: sqlite3.Row) -> Described:
        """An id belongs to the source that brought it first."""
        row = self.catalog.connection.execute(
            "SELECT s.location FROM items i JOIN sources s USING (source) WHERE i.id=? AND i.source<>?",
            (entry[0], self.source),
        ).fetchone()
        if not row:
            return described
        reason = (
            f"the id belongs to an item of {entry_id(row[0])}; index the folder above both, or a table with other ids"
        )
        self.failed += 1
        return described._replace(stage="read", reason=reason)

    def _keep_media(self, entry: sqlite3.Row, described: Described) -> int:
        item_id, position, path, modality, size, mtime_ns = entry[:6]
        if described.stage:  # as often as it was tried in this state
            self.catalog.connection.execute(
                "UPDATE failures SET attempts=0 WHERE media IN (SELECT media FROM media "
                "WHERE source=? AND id=? AND position=? AND (size<>? OR mtime_ns<>?))",
                (self.source, item_id, position, size, mtime_ns),
            )
        row = self.catalog.connection.execute(
            "INSERT INTO media (source, id, position, path, modality, size, mtime_ns, digest, tags) "
            "VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (source, id, position) DO UPDATE SET path=excluded.path, "
            "modality=excluded.modality, size=excluded.size, mtime_ns=excluded.mtime_ns, digest=excluded.digest, "
            "tags=iif(?, excluded.tags, tags) RETURNING media",
            (
                self.source, item_id, position, path, modality, size, mtime_ns, described.digest,
                described.tags if described.tags not in ("", "{}") else None,
                bool(described.tags) and not described.stage,  # what a bad file says replaces nothing
            ),
        ).fetchone()  # fmt: skip
        return int(row[0])

    def _keep_failure(self, media: int, described: Described) -> None:
        self.catalog.connection.execute(
            "INSERT INTO failures VALUES (?, ?, ?, 1, datetime('now')) ON CONFLICT (media) DO UPDATE "
            "SET stage=excluded.stage, reason=excluded.reason, attempts=attempts+1, at=excluded.at",
            (media, described.stage, described.reason),
        )

    def _keep_item(self, media: int, entry: sqlite3.Row, sequence: int) -> None:
        connection = self.catalog.connection
        item_id, attributes, given = entry[0], entry[6], entry[7]
        connection.execute("DELETE FROM failures WHERE media=?", (media,))
        connection.execute(
            "DELETE FROM vectors WHERE media=? AND encoder NOT IN (SELECT encoder FROM encoders WHERE modality=?)",
            (media, entry[3]),
        )  # a picture once, a sound now
        item = connection.execute(
            "INSERT INTO items (id, source, attributes, given, changed) VALUES (?,?,'{}',?,?) "
            "ON CONFLICT (id) DO UPDATE SET given=excluded.given, changed=excluded.changed RETURNING item",
            (item_id, self.source, given, sequence),
        ).fetchone()[0]
        connection.execute("UPDATE media SET item=? WHERE media=?", (item, media))
        merge_attributes(connection, item, attributes)
