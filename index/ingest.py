"""Indexing: scan, plan, describe in workers, commit batch by batch, then build what answers."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from index.build import build_if_needed
from index.catalog import Catalog, absolute
from index.encoders import card_of, encoder_names, load_encoder, modality_of
from index.errors import InputError
from index.plan import Counts, merge_attributes, plan, source_key, take_in
from index.scan import Entry, entry_id, scan_folder
from index.tables import is_table, read_attributes, scan_table
from index.types import Encoder
from index.workers import Described, Job, describe_all, usable_cores

BATCH_FILES = 256
BATCH_SECONDS = 2.0
"""A transaction is committed after so many files or seconds: what a kill can cost."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: ``stage`` is ``"scan"``, ``"describe"`` or ``"build"``; counts are files."""

    stage: str
    done: int
    total: int
    failed: int


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What one run of indexing did, counted in files; ``items`` counts the catalog's items afterwards.

    Attributes:
        failed: Files of these sources that cannot be used as they are now, whether tried now or before.
        generation: Number of the generation in use afterwards; 0 when there is none.
    """

    added: int
    changed: int
    removed: int
    renamed: int
    unchanged: int
    retried: int
    failed: int
    items: int
    seconds: float
    generation: int


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """What a run of indexing may be told.

    Attributes:
        encoders: Names; empty keeps the catalog's own, or the built-in ones for a new catalog.
        workers: Processes; 0 means one for each usable core.
        recall: Recall at 10 that generations must reach; 0 keeps the catalog's own (0.99 when new).
        metadata: A table that adds attributes to a folder's items, by id.
        allow_outside: Let tables name files outside their own folder with ``..``.
        allow_empty: Let a source that now holds nothing remove all its items.
        retry_failed: Try every known failure again.
        rebuild: Build a generation even when nothing changed.
        re_embed: Describe everything again, as after an encoder's revision.
    """

    encoders: tuple[str, ...] = ()
    workers: int = 0
    recall: float = 0.0
    metadata: Path | None = None
    allow_outside: bool = False
    allow_empty: bool = False
    retry_failed: bool = False
    rebuild: bool = False
    re_embed: bool = False


def ingest(
    catalog: Catalog,
    sources: Sequence[Path],
    options: IndexOptions,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> IndexReport:
    """Bring the catalog in line with its sources, then build a generation when answers need one.

    Whatever was committed stays when the run is interrupted; the same call continues.

    Args:
        sources: Folders, tables or single files; none means those indexed before.

    Raises:
        InputError: A source does not exist, is no table, or holds nothing.
        StaleIndexError: The catalog holds vectors of another fingerprint.
        LockedError: Another process is writing.
        StorageError: The disk is full or failing; what was committed stays.
    """
    started = time.monotonic()
    told = [_Source.at(path, options) for path in sources]
    total = Counts()
    failed = 0
    with catalog.writing():
        _settle_encoders(catalog, options)
        for source in told or _known_sources(catalog, options):
            counts, bad = _ingest_source(catalog, source, options, on_progress)
            failed += bad
            for name, value in asdict(counts).items():
                setattr(total, name, getattr(total, name) + value)
        on_progress(Progress("build", 0, catalog.count(), failed))
        generation = build_if_needed(catalog, force=options.rebuild or options.re_embed)
    return IndexReport(
        **asdict(total),
        failed=failed,
        items=catalog.count(),
        seconds=round(time.monotonic() - started, 3),
        generation=generation,
    )


@dataclass(frozen=True, slots=True)
class _Source:
    location: Path
    kind: str
    metadata: Path | None

    @classmethod
    def at(cls, path: Path, options: IndexOptions) -> _Source:
        path = path.absolute()
        if path.is_dir():
            return cls(path, "folder", options.metadata)
        if not path.exists():
            raise InputError(f"{path} does not exist; expected a folder, a table or a picture or sound")
        if is_table(path):
            return cls(path, "table", None)
        if modality_of(path.name):
            return cls(path, "file", options.metadata)
        raise InputError(f"{path} is neither a folder, a table (.csv, .tsv, .jsonl, .parquet), a picture nor a sound")

    def entries(self, options: IndexOptions, unreadable: list[bytes]) -> Iterator[Entry]:
        if self.kind == "table":
            return scan_table(self.location, allow_outside=options.allow_outside)
        extra = read_attributes(self.metadata) if self.metadata else {}
        if self.kind == "file":
            return _one_file(self.location, extra)

        def attributes_of(item_id: str, folder: str) -> str:
            own = {"category": folder} if folder else {}
            if item_id in extra:
                own.update(json.loads(extra[item_id]))
            return json.dumps(own, ensure_ascii=False)

        def note(folder: bytes, error: OSError) -> None:
            if not folder:
                raise InputError(f"cannot list {self.location}: {error.strerror}")
            unreadable.append(folder)

        return scan_folder(os.fsencode(self.location), attributes_of, note)


def _one_file(path: Path, extra: dict[str, str]) -> Iterator[Entry]:
    status = path.stat()
    name = os.fsencode(path.name)
    modality = modality_of(path.name)
    if modality:
        attributes = extra.get(entry_id(name), "{}")
        yield Entry(entry_id(name), 0, name, modality, status.st_size, status.st_mtime_ns, attributes)


def _known_sources(catalog: Catalog, options: IndexOptions) -> list[_Source]:
    rows = catalog.connection.execute("SELECT location, kind, metadata FROM sources ORDER BY source").fetchall()
    if not rows:
        raise InputError("nothing to index: name a folder, a table or a file")
    found = []
    for location, kind, metadata in rows:
        path = Path(os.fsdecode(location))
        if not path.exists():
            raise InputError(f"{path} was indexed before and is not there now; is its disk mounted?")
        told = options.metadata or (Path(os.fsdecode(metadata)) if metadata else None)
        found.append(_Source(path, kind, told))
    return found


def _settle_encoders(catalog: Catalog, options: IndexOptions) -> None:
    """Add the encoders asked for; refuse those whose numbers differ from the ones held."""
    held = catalog.encoders()
    names = encoder_names(options.encoders) or tuple(held) or encoder_names(("builtin",))
    with catalog.connection:
        for name in (*held, *(n for n in names if n not in held)):
            card = card_of(name)
            if options.re_embed:
                catalog.connection.execute(
                    "DELETE FROM vectors WHERE encoder IN (SELECT encoder FROM encoders WHERE name=?)", (name,)
                )
                catalog.connection.execute("UPDATE encoders SET fingerprint=? WHERE name=?", (card.fingerprint, name))
            catalog.check_fingerprint(name, card.fingerprint)
            catalog.connection.execute(
                "INSERT OR IGNORE INTO encoders (name, modality, fingerprint) VALUES (?,?,?)",
                (name, card.modality, card.fingerprint),
            )
        if options.recall:
            catalog.set_setting("recall", repr(options.recall))


def _ingest_source(
    catalog: Catalog, source: _Source, options: IndexOptions, on_progress: Callable[[Progress], None]
) -> tuple[Counts, int]:
    connection = catalog.connection
    unreadable: list[bytes] = []
    on_progress(Progress("scan", 0, 0, 0))
    found = take_in(catalog, source.entries(options, unreadable))
    with connection:
        key = source_key(catalog, os.fsencode(source.location), source.kind, source.metadata)
    held = connection.execute("SELECT count(*) FROM media WHERE source=?", (key,)).fetchone()[0]
    if not found and not unreadable and held and not options.allow_empty:
        raise InputError(
            f"{source.location} holds no picture or sound now, but {held} of its files are in the catalog; "
            "is its disk mounted? if they are really gone: --allow-empty"
        )
    if not found and not held:
        why = f" ({len(unreadable)} folders in it cannot be read)" if unreadable else ""
        raise InputError(
            f"{source.location} holds no picture or sound{why}; "
            "expected files such as .jpg, .png, .webp, .mp3, .flac, .wav"
        )
    counts = plan(catalog, key, unreadable, retry=options.retry_failed)
    _describe(catalog, source, key, options, on_progress)
    failed = connection.execute(
        "SELECT count(*) FROM failures JOIN media USING (media) WHERE source=?", (key,)
    ).fetchone()[0]
    return counts, failed + len(unreadable)


def _describe(
    catalog: Catalog, source: _Source, key: int, options: IndexOptions, on_progress: Callable[[Progress], None]
) -> None:
    connection = catalog.connection
    total = connection.execute("SELECT count(*) FROM todo").fetchone()[0]
    if not total:
        return
    store = _Store(catalog, key)
    location = os.fsencode(source.location)
    by_modality: dict[str, tuple[str, ...]] = {}
    for name, (_, modality, _) in catalog.encoders().items():
        by_modality[modality] = (*by_modality.get(modality, ()), name)

    def jobs() -> Iterator[Job]:
        # A cursor of its own page by page: batches are committed while this generator is being read.
        last = -1
        while page := connection.execute(
            "SELECT t.number, e.path, e.modality, e.problem, t.known FROM todo t JOIN entries e USING (number) "
            "WHERE t.number > ? ORDER BY t.number LIMIT 1000",
            (last,),
        ).fetchall():
            for number, path, modality, problem, known in page:
                if problem:
                    store.add(Described(number, b"", "", (), "read", problem))
                else:
                    place = os.fsencode(absolute(location, source.kind, path))
                    yield Job(number, place, modality, by_modality.get(modality, ()), known or b"")
            last = page[-1][0]

    workers = min(options.workers or usable_cores(), total)
    on_progress(Progress("describe", 0, total, 0))
    try:
        for described in describe_all(jobs(), workers):
            store.add(described)
            on_progress(Progress("describe", store.done, total, store.failed))
    finally:
        store.commit()  # on Ctrl-C too: what is described is kept
    on_progress(Progress("describe", store.done, total, store.failed))


class _Store:
    """Collects answers of workers and commits them batch by batch."""

    def __init__(self, catalog: Catalog, source: int) -> None:
        self.catalog = catalog
        self.source = source
        self.done = self.failed = 0
        self._waiting: list[Described] = []
        self._since = time.monotonic()
        self._encoders: dict[str, Encoder] = {}

    def add(self, described: Described) -> None:
        self._waiting.append(described)
        self.done += 1
        self.failed += bool(described.stage)
        if len(self._waiting) >= BATCH_FILES or time.monotonic() - self._since > BATCH_SECONDS:
            self.commit()

    def commit(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._since = time.monotonic()
        if not waiting:
            return
        vectors = self._encode(waiting)
        connection = self.catalog.connection
        with connection:
            sequence = self.catalog.next_sequence()
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
                else:
                    self._keep_item(media, entry, sequence)
                    for name, vector in vectors.get(described.number, {}).items():
                        connection.execute(
                            "INSERT OR REPLACE INTO vectors (media, encoder, vector) "
                            "VALUES (?, (SELECT encoder FROM encoders WHERE name=?), ?)",
                            (media, name, vector),
                        )

    def _encode(self, waiting: list[Described]) -> dict[int, dict[str, bytes]]:
        """Run each encoder once over the batch: number → encoder → vector bytes."""
        batches: dict[str, tuple[list[int], list[np.ndarray]]] = {}
        for described in waiting:
            for name, dtype, shape, content in described.prepared:
                numbers, arrays = batches.setdefault(name, ([], []))
                numbers.append(described.number)
                arrays.append(np.frombuffer(content, dtype).reshape(shape))
        vectors: dict[int, dict[str, bytes]] = {}
        for name, (numbers, arrays) in batches.items():
            if name not in self._encoders:
                self._encoders[name] = load_encoder(name)
            for number, vector in zip(numbers, self._encoders[name].encode(arrays), strict=True):
                vectors.setdefault(number, {})[name] = np.asarray(vector, "<f4").tobytes()
        return vectors

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
            "tags=coalesce(excluded.tags, tags) RETURNING media",
            (self.source, item_id, position, path, modality, size, mtime_ns, described.digest, described.tags or None),
        ).fetchone()
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
        item = connection.execute(
            "INSERT INTO items (id, source, attributes, given, changed) VALUES (?,?,'{}',?,?) "
            "ON CONFLICT (id) DO UPDATE SET given=excluded.given, changed=excluded.changed RETURNING item",
            (item_id, self.source, given, sequence),
        ).fetchone()[0]
        connection.execute("UPDATE media SET item=? WHERE media=?", (item, media))
        merge_attributes(connection, item, attributes)
