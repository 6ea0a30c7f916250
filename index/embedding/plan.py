"""The plan of a job: every file in its place, cut into shards, and what was found out since the last shard.

Kept in ``job.db``, a SQLite database in the output folder. Places never move: new files are appended, so a
finished shard stays what it is. Results wait here, committed every few seconds, until their shard is complete
and written; a kill costs those seconds, however large the shards.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from index.embedding.sources import Found
from index.types import Modality

JOB = "job.db"

COMMIT_SECONDS = 2.0
COMMIT_ROWS = 512
"""Results are committed after so long or so many: what a kill can cost."""

_PAGE = 1000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    file       INTEGER PRIMARY KEY,
    modality   TEXT NOT NULL,
    place      INTEGER NOT NULL,           -- among the files of its modality
    source     TEXT NOT NULL,
    id         TEXT NOT NULL,
    position   INTEGER NOT NULL,           -- among the media of its item
    path       BLOB NOT NULL,              -- absolute, or a URL; of a tar's member, that of the tar
    member     TEXT NOT NULL,              -- its name in the tar
    start      INTEGER NOT NULL,           -- its first byte in the tar; -1 outside of one
    size       INTEGER NOT NULL,
    mtime_ns   INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    problem    TEXT NOT NULL,              -- why it cannot be read, known before trying
    changed    INTEGER NOT NULL DEFAULT 0, -- since its shard was written: 1 what is told of it, 2 its content
    UNIQUE (modality, place)
);
CREATE UNIQUE INDEX IF NOT EXISTS files_by_name ON files (source, id, position, modality);
CREATE INDEX IF NOT EXISTS files_by_id ON files (id);
CREATE TABLE IF NOT EXISTS shards (
    modality TEXT NOT NULL, shard INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    PRIMARY KEY (modality, shard)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS results (
    file    INTEGER NOT NULL REFERENCES files,
    encoder TEXT NOT NULL,
    vector  BLOB NOT NULL,                 -- empty when it failed
    stage   TEXT NOT NULL,
    reason  TEXT NOT NULL,
    tags    TEXT NOT NULL,
    PRIMARY KEY (file, encoder)
);
"""

_FOUND = """
DROP TABLE IF EXISTS temp.found;
CREATE TEMP TABLE found (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, position INTEGER NOT NULL, path BLOB NOT NULL, modality TEXT NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, attributes TEXT NOT NULL, problem TEXT NOT NULL,
    member TEXT NOT NULL, start INTEGER NOT NULL, UNIQUE (id, position, modality)
);
"""

_SAME = "f.source=:source AND f.id=n.id AND f.position=n.position AND f.modality=n.modality"
_CONTENT = ("path", "member", "start", "size", "mtime_ns", "problem")
_ELSEWHERE = "EXISTS (SELECT 1 FROM files e WHERE e.id=n.id AND e.source<>:source)"


class PlannedFile(NamedTuple):
    """One file in its place; see the columns of ``files``."""

    file: int
    place: int
    item_id: str
    position: int
    path: bytes
    member: str
    start: int
    size: int
    modality: Modality
    attributes: str
    problem: str
    changed: int
    source: str


class Shard(NamedTuple):
    """Files ``start`` to ``stop`` (exclusive) of one modality."""

    modality: Modality
    number: int
    start: int
    stop: int


class Result(NamedTuple):
    """What came of one file by one encoder; ``vector`` is empty when it failed."""

    vector: bytes
    stage: str
    reason: str
    tags: str


class Plan:
    """``job.db``, open for the one process that holds the folder's lock.

    Attributes:
        fresh: Whether there was none before.

    Args:
        out: The job's output folder.
        read_only: For another process of that machine, which only looks things up.

    Raises:
        sqlite3.Error: The database is damaged, or the disk is full.
    """

    def __init__(self, out: Path, read_only: bool = False) -> None:
        self.fresh = not (out / JOB).exists()
        self._sql = sqlite3.connect(f"{(out / JOB).absolute().as_uri()}{'?mode=ro' if read_only else ''}", uri=True)
        if not read_only:
            self._sql.executescript(
                f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=FILE; {_SCHEMA}"
            )
        self._waiting: list[tuple[int, str, bytes, str, str, str]] = []
        self._since = time.monotonic()

    def close(self) -> None:
        """Commit what waits, and close."""
        self.commit()
        self._sql.close()

    # ---- What there is to do ----

    def take_in(self, source: str, found: Iterable[Found]) -> tuple[int, int]:
        """Append the files of a source that are new, and note those that changed.

        Returns:
            Number of files found, and of those that the source had before and has no more.
        """
        sql = self._sql
        sql.executescript(_FOUND)
        with sql:
            sql.executemany(
                "INSERT OR IGNORE INTO found (id, position, path, modality, size, mtime_ns, attributes, problem, "
                "member, start) VALUES (?,?,?,?,?,?,?,?,?,?)",
                ((*entry[:7], entry.problem, member, start) for entry, member, start in found),
            )
            held = dict(sql.execute("SELECT modality, count(*) FROM files GROUP BY modality").fetchall())
            told = {"source": source, "images": held.get("image", 0), "sounds": held.get("audio", 0)}
            differs = " OR ".join(f"f.{name}<>n.{name}" for name in _CONTENT)
            given = ", ".join(f"{name}=n.{name}" for name in _CONTENT)
            sql.execute(
                f"UPDATE files AS f SET changed=1, attributes=n.attributes FROM found n WHERE {_SAME} "
                "AND f.attributes<>n.attributes AND f.changed<2",
                told,
            )
            sql.execute(
                f"UPDATE files AS f SET changed=2, attributes=n.attributes, {given} FROM found n "
                f"WHERE {_SAME} AND ({differs}) AND NOT ({_ELSEWHERE} AND f.problem<>'' AND n.problem='')",
                told,
            )
            sql.execute("DELETE FROM results WHERE file IN (SELECT file FROM files WHERE changed=2)")
            twice = "'another source has an item of this id; give each source ids of its own'"
            sql.execute(
                "INSERT INTO files (modality, place, source, id, position, path, member, start, size, mtime_ns, "
                "attributes, problem) SELECT n.modality, iif(n.modality='image', :images, :sounds) - 1 "
                "+ row_number() OVER (PARTITION BY n.modality ORDER BY n.number), :source, n.id, n.position, "
                "n.path, n.member, n.start, n.size, n.mtime_ns, n.attributes, "
                f"CASE WHEN n.problem='' AND {_ELSEWHERE} THEN {twice} ELSE n.problem END "
                f"FROM found n LEFT JOIN files f ON {_SAME} WHERE f.file IS NULL ORDER BY n.number",
                told,
            )
            (count,) = sql.execute("SELECT count(*) FROM found").fetchone()
            (held,) = sql.execute("SELECT count(*) FROM files WHERE source=:source", told).fetchone()
        return int(count), int(held) - int(count)

    def cut(self, size: int) -> None:
        """Cut files that are in no shard yet into shards of ``size``; the last one may be smaller."""
        with self._sql as sql:
            for modality, count in sql.execute("SELECT modality, count(*) FROM files GROUP BY modality").fetchall():
                number, start = sql.execute(
                    "SELECT count(*), coalesce(max(stop), 0) FROM shards WHERE modality=?", (modality,)
                ).fetchone()
                stops = [*range(start + size, count, size), count] if count > start else []
                for stop in stops:
                    sql.execute("INSERT INTO shards VALUES (?,?,?,?)", (modality, number, start, stop))
                    number, start = number + 1, stop

    def shards(self) -> list[Shard]:
        """All shards, in order."""
        return [Shard(*row) for row in self._sql.execute("SELECT * FROM shards ORDER BY modality, shard")]

    def counts(self) -> dict[str, int]:
        """Number of files of each modality."""
        return dict(self._sql.execute("SELECT modality, count(*) FROM files GROUP BY modality"))

    def changed(self, shard: Shard) -> bool:
        """Whether a file of a shard, or what is told of it, changed since the shard was written."""
        row = self._sql.execute(
            "SELECT EXISTS (SELECT 1 FROM files WHERE modality=? AND place>=? AND place<? AND changed>0)",
            (shard.modality, shard.start, shard.stop),
        ).fetchone()
        return bool(row[0])

    def files(self, shard: Shard) -> Iterator[PlannedFile]:
        """The files of a shard, in order, read some at a time."""
        for start in range(shard.start, shard.stop, _PAGE):
            rows = self._sql.execute(
                "SELECT file, place, id, position, path, member, start, size, modality, attributes, problem, changed, "
                "source FROM files WHERE modality=? AND place>=? AND place<? ORDER BY place",
                (shard.modality, start, min(start + _PAGE, shard.stop)),
            ).fetchall()
            yield from (PlannedFile(*row) for row in rows)

    # ---- What was found out ----

    def add(self, file: int, results: Mapping[str, Result]) -> None:
        """Keep what encoders made of one file."""
        self._waiting += [(file, name, *result) for name, result in results.items()]
        if len(self._waiting) >= COMMIT_ROWS or time.monotonic() - self._since > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write what waits, in one transaction."""
        waiting, self._waiting = self._waiting, []
        self._since = time.monotonic()
        if waiting:
            with self._sql:
                self._sql.executemany("INSERT OR REPLACE INTO results VALUES (?,?,?,?,?,?)", waiting)
                self._sql.executemany(
                    "UPDATE files SET changed=1 WHERE file=? AND changed=2", ((row[0],) for row in waiting)
                )

    def results(self, shard: Shard, encoder: str) -> dict[int, Result]:
        """What is known of a shard's files and not yet written: place → result."""
        self.commit()
        rows = self._sql.execute(
            "SELECT f.place, r.vector, r.stage, r.reason, r.tags FROM files f JOIN results r USING (file) "
            "WHERE f.modality=? AND f.place>=? AND f.place<? AND r.encoder=?",
            (shard.modality, shard.start, shard.stop, encoder),
        )
        return {row[0]: Result(*row[1:]) for row in rows}

    def waits(self, shard: Shard, encoder: str) -> bool:
        """Whether ``known`` would tell of any."""
        self.commit()
        row = self._sql.execute(
            "SELECT EXISTS (SELECT 1 FROM files f JOIN results r USING (file) "
            "WHERE f.modality=? AND f.place>=? AND f.place<? AND r.encoder=?)",
            (shard.modality, shard.start, shard.stop, encoder),
        ).fetchone()
        return bool(row[0])

    def known(self, shard: Shard, encoder: str) -> set[int]:
        """Places that ``results`` would tell of."""
        self.commit()
        rows = self._sql.execute(
            "SELECT f.place FROM files f JOIN results r USING (file) "
            "WHERE f.modality=? AND f.place>=? AND f.place<? AND r.encoder=?",
            (shard.modality, shard.start, shard.stop, encoder),
        )
        return {row[0] for row in rows}

    def written(self, shard: Shard) -> None:
        """Forget a shard's results: its files are written."""
        place = (shard.modality, shard.start, shard.stop)
        where = "WHERE modality=? AND place>=? AND place<?"
        with self._sql as sql:
            sql.execute(f"DELETE FROM results WHERE file IN (SELECT file FROM files {where})", place)
            sql.execute(f"UPDATE files SET changed=0 {where} AND changed>0", place)
