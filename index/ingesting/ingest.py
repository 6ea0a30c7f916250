"""Indexing: scan, plan, describe in workers, commit batch by batch, then build what answers."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from index.catalog import Catalog, absolute
from index.cores import usable_cores
from index.embedding.ready_made import ReadyMade
from index.encoders import READY_MADE, card_of, encoder_names, modality_of
from index.engine.build import build_if_needed
from index.errors import InputError
from index.ingesting.plan import Counts, plan, source_key, take_in
from index.ingesting.scan import Entry, entry_id, folder_attributes, scan_folder
from index.ingesting.store import Store
from index.ingesting.tables import is_table, read_attributes, scan_table
from index.ingesting.workers import Described, Job, describe_all
from index.types import EncoderCard

EMBEDDINGS = "embeddings"
"""Kind of a source whose vectors are read instead of its files."""

_RE_EMBEDDING = "re_embedding"
"""Setting that is not empty while everything is being described again."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: ``stage`` is ``"scan"``, ``"describe"``, ``"store"`` or ``"build"``; counts are files."""

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
        embeddings: Folders of ready-made vectors: the ``out`` of a batch job, or ``.npy`` files with tables.
        only: Ids of the items to take from ``embeddings``, and no others but those taken before; ``None`` for all. A
            folder of which all were taken before stays whole.
        sample: Of ``embeddings``, take about so many items, evenly spread, beside those of ``only``; 0 for none.
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
    embeddings: tuple[Path, ...] = ()
    only: frozenset[str] | None = None
    sample: int = 0
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
    told += [_Source.ready_made(path, options) for path in options.embeddings]
    if options.metadata and not any(source.kind != "table" for source in told) and told:
        raise InputError("--metadata adds attributes to folders and files; a table brings its own columns")
    total = Counts()
    failed = 0
    with catalog.writing():
        _settle_encoders(catalog, options, told)
        for source in _all_sources(catalog, told, options):
            counts, bad = _ingest_source(catalog, source, options, on_progress)
            failed += bad
            for name, value in asdict(counts).items():
                setattr(total, name, getattr(total, name) + value)
        if catalog.setting(_RE_EMBEDDING):
            with catalog.connection:
                catalog.set_setting(_RE_EMBEDDING, "")
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
    ready: ReadyMade | None = None
    only: frozenset[str] | None = None

    @classmethod
    def ready_made(cls, path: Path, options: IndexOptions) -> _Source:
        ready = ReadyMade.open(path.absolute())
        only = options.only
        if options.sample:
            only = ready.spread(options.sample).union(only or ())
        return cls(path.absolute(), EMBEDDINGS, options.metadata, ready, only)

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

    def entries(self, options: IndexOptions, unknown: list[bytes]) -> Iterator[Entry]:
        if options.allow_empty and not self.location.exists():
            return iter(())
        if self.kind == "table":
            return scan_table(self.location, allow_outside=options.allow_outside)
        extra = read_attributes(self.metadata) if self.metadata else {}
        if self.ready:
            return (_with_attributes(item.entry, extra) for item in self.ready.items(self.only))
        if self.kind == "file":
            return _one_file(self.location, extra)

        return scan_folder(os.fsencode(self.location), folder_attributes(extra), unknown.append)


def _with_attributes(entry: Entry, extra: dict[str, str]) -> Entry:
    if entry.item_id not in extra:
        return entry
    attributes = {**json.loads(entry.attributes), **json.loads(extra[entry.item_id])}
    return entry._replace(attributes=json.dumps(attributes, ensure_ascii=False))


def _one_file(path: Path, extra: dict[str, str]) -> Iterator[Entry]:
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    name = os.fsencode(path.name)
    modality = modality_of(path.name)
    if modality:
        attributes = extra.get(entry_id(name), "{}")
        yield Entry(entry_id(name), 0, name, modality, status.st_size, status.st_mtime_ns, attributes)


def _all_sources(catalog: Catalog, told: Sequence[_Source], options: IndexOptions) -> list[_Source]:
    """Those told, or else those known; all of them to embed again. Metadata tables, and which items were taken of
    ready-made vectors, are remembered."""
    rows = catalog.connection.execute("SELECT location, kind, metadata FROM sources ORDER BY source").fetchall()
    if not rows and not told:
        raise InputError("nothing to index: name a folder, a table or a file")
    tables = {os.fsdecode(location): Path(os.fsdecode(metadata)) for location, _, metadata in rows if metadata}
    found = [
        replace(
            source,
            metadata=source.metadata or tables.get(str(source.location)),
            only=None if source.only is None else _chosen(catalog, source.location, source.only),
        )
        for source in told
    ]
    if told and not options.re_embed:
        return found
    for location, kind, _ in rows:
        path = Path(os.fsdecode(location))
        if any(path == source.location for source in told):
            continue
        if not path.exists() and not options.allow_empty:
            raise InputError(
                f"{path} was indexed before and is not there now; is its disk mounted? "
                "if it is really gone, remove its items with: --allow-empty"
            )
        metadata = None if kind == "table" else options.metadata or tables.get(str(path))
        ready = ReadyMade.open(path) if kind == EMBEDDINGS and path.exists() else None
        found.append(_Source(path, kind, metadata, ready, _chosen(catalog, path, frozenset()) if ready else None))
    return found


def _chosen(catalog: Catalog, location: Path, asked: frozenset[str]) -> frozenset[str] | None:
    """Which items of ready-made vectors to take: those asked for and those chosen before; ``None`` where all were."""
    execute, place = catalog.connection.execute, (os.fsencode(location), EMBEDDINGS)
    if not execute("SELECT 1 FROM sources WHERE location=? AND kind=?", place).fetchone():
        return asked
    before = execute("SELECT id FROM parts JOIN sources USING (source) WHERE location=? AND kind=?", place)
    chosen = frozenset(name for (name,) in before)
    return asked | chosen if chosen else None


def _settle_encoders(catalog: Catalog, options: IndexOptions, told: Sequence[_Source]) -> None:
    """Add the encoders asked for; refuse those whose numbers differ from the ones held."""
    held = catalog.encoders()
    brought = {name: card for source in told if source.ready for name, card in source.ready.encoders.items()}
    names = (*encoder_names(options.encoders), *brought) or tuple(held) or encoder_names(("builtin",))
    resumed = bool(catalog.setting(_RE_EMBEDDING))  # a run with --re-embed was interrupted: do not begin again
    with catalog.connection:
        for name in (*held, *(n for n in dict.fromkeys(names) if n not in held)):
            ready_made = name.startswith(f"{READY_MADE}:") and name in held
            card = brought[name] if name in brought else held[name].card if ready_made else card_of(name)
            if options.re_embed and not (resumed and name in held and held[name].card.fingerprint == card.fingerprint):
                catalog.connection.execute(
                    "DELETE FROM vectors WHERE encoder IN (SELECT encoder FROM encoders WHERE name=?)", (name,)
                )
            elif name in held:
                catalog.check_fingerprint(name, card.fingerprint)
            _check_facets(catalog, name, card)
            catalog.hold_encoder(name, card)
        _check_ready_made(catalog, told, set(held))
        if options.re_embed:
            catalog.set_setting(_RE_EMBEDDING, "1")
        if options.recall:
            catalog.set_setting("recall", repr(options.recall))


def _check_ready_made(catalog: Catalog, told: Sequence[_Source], before: set[str]) -> None:
    """See that every item can have vectors of every encoder of its modality.

    Raises:
        InputError: Ready-made vectors lack an encoder that the catalog has, or are of one that can describe no files.
    """
    encoders = {name: held.card for name, held in catalog.encoders().items()}
    files = next((source.location for source in told if not source.ready), None)
    ready_made = [name for name in encoders if name.startswith(f"{READY_MADE}:")]
    if files and ready_made:
        raise InputError(
            f"the catalog holds ready-made vectors ({', '.join(ready_made)}), which cannot be made for the files of "
            f"{files}; take vectors in with --embeddings, or use a catalog of its own"
        )
    bringing = {os.fsencode(source.location): source.ready for source in told if source.ready}
    known = catalog.connection.execute("SELECT source, location FROM sources WHERE kind=?", (EMBEDDINGS,)).fetchall()
    for location in dict.fromkeys([*bringing, *(location for _, location in known)]):
        ready = bringing.get(location)
        if ready:
            modalities = {card.modality for card in ready.encoders.values()}
            lacking = [n for n, card in encoders.items() if card.modality in modalities and n not in ready.encoders]
        else:
            rows = catalog.connection.execute(
                "SELECT DISTINCT modality FROM media JOIN sources USING (source) WHERE location=?", (location,)
            )
            modalities = {modality for (modality,) in rows}
            lacking = [n for n, card in encoders.items() if card.modality in modalities and n not in before]
        if lacking:
            raise InputError(
                f"{entry_id(location)} has no vectors of {', '.join(lacking)}, which the catalog holds for other "
                f"items; make them (simkin embed … --out {entry_id(location)} --encoder {lacking[0]}) and take them in "
                "with --embeddings, or use a catalog of its own"
            )


def _check_facets(catalog: Catalog, name: str, card: EncoderCard) -> None:
    """Facets of one modality are told apart by name."""
    taken = {
        facet.name: other
        for other, held in catalog.encoders().items()
        if other != name and held.card.modality == card.modality
        for facet in held.card.facets
    }
    for facet in card.facets:
        if facet.name in taken:
            raise InputError(
                f"{name} and {taken[facet.name]} both have a facet {facet.name!r}; rename one model's file, or use "
                "a catalog for each"
            )


def _ingest_source(
    catalog: Catalog, source: _Source, options: IndexOptions, on_progress: Callable[[Progress], None]
) -> tuple[Counts, int]:
    connection = catalog.connection
    unknown: list[bytes] = []
    on_progress(Progress("scan", 0, 0, 0))
    known = connection.execute(
        "SELECT source FROM sources WHERE location=?", (os.fsencode(source.location),)
    ).fetchone()
    key = known[0] if known else 0
    told = source.kind == "table" or source.metadata is not None  # else attributes follow from the path alone
    found, same = take_in(catalog, key, source.entries(options, unknown), told=told, retry=options.retry_failed)
    held = found or connection.execute("SELECT count(*) FROM media WHERE source=?", (key,)).fetchone()[0]
    if not found and not unknown and held and not options.allow_empty:
        raise InputError(
            f"{source.location} holds no picture or sound now, but {held} of its files are in the catalog; "
            "is its disk mounted? if they are really gone: --allow-empty"
        )
    if not found and not held:
        if known and options.allow_empty:
            return _forgotten(catalog, key, Counts())
        raise InputError(
            f"{source.location} holds no picture or sound; expected files such as .jpg, .png, .webp, .mp3, .flac, .wav"
        )
    with connection:
        key = source_key(catalog, os.fsencode(source.location), source.kind, source.metadata)
        if source.only is None:
            connection.execute("DELETE FROM parts WHERE source=?", (key,))
        else:
            connection.executemany("INSERT OR IGNORE INTO parts VALUES (?, ?)", ((key, name) for name in source.only))
    counts = plan(catalog, key, found, same, unknown, retry=options.retry_failed)
    if not found and not source.location.exists():
        return _forgotten(catalog, key, counts)
    if source.ready:
        _store_ready_made(catalog, source.ready, source.only, key, on_progress)
    else:
        _describe(catalog, source, key, options, on_progress)
    failed = connection.execute(
        "SELECT count(*) FROM failures JOIN media USING (media) WHERE source=? AND stage<>'removed'", (key,)
    ).fetchone()[0]
    return counts, failed


def _forgotten(catalog: Catalog, source: int, counts: Counts) -> tuple[Counts, int]:
    """Strike a source that is gone and holds nothing any more, so that it is not asked for again."""
    with catalog.connection:
        catalog.connection.execute(
            "DELETE FROM sources WHERE source=? AND NOT EXISTS (SELECT 1 FROM media m WHERE m.source=sources.source)",
            (source,),
        )
    return counts, 0


def _describe(
    catalog: Catalog, source: _Source, key: int, options: IndexOptions, on_progress: Callable[[Progress], None]
) -> None:
    connection = catalog.connection
    total = connection.execute("SELECT count(*) FROM todo").fetchone()[0]
    if not total:
        return
    store = Store(catalog, key)
    location = os.fsencode(source.location)
    by_modality: dict[str, tuple[str, ...]] = {}
    for name, held in catalog.encoders().items():
        modality = held.card.modality
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
        with closing(describe_all(jobs(), workers)) as answers:
            for described in answers:
                store.add(described)
                on_progress(Progress("describe", store.done, total, store.failed))
    finally:
        store.commit()  # on Ctrl-C too: what is described is kept
    on_progress(Progress("describe", store.done, total, store.failed))


def _store_ready_made(
    catalog: Catalog, ready: ReadyMade, only: frozenset[str] | None, key: int, on_progress: Callable[[Progress], None]
) -> None:
    """Store the vectors of what is new or changed, as if workers had just found them out."""
    total = catalog.connection.execute("SELECT count(*) FROM todo").fetchone()[0]
    if not total:
        return
    store = Store(catalog, key)
    try:
        for item in ready.items(only):
            row = catalog.connection.execute(
                "SELECT number FROM entries JOIN todo USING (number) WHERE id=? AND position=?",
                (item.entry.item_id, item.entry.position),
            ).fetchone()
            if row:
                digest = item.entry.mtime_ns.to_bytes(16, "little")
                store.add(Described(row[0], digest, item.tags, item.vectors, item.stage, item.entry.problem))
                on_progress(Progress("store", store.done, total, store.failed))
    finally:
        store.commit()
