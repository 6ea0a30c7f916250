"""A batch embedding job: files from anywhere are described in workers and written shard by shard."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from index.embedding.engine import Engine, Tally
from index.embedding.local import LocalEngine
from index.embedding.missing import Missing
from index.embedding.npy import write_npy
from index.embedding.plan import JOB, Plan, Shard
from index.embedding.rates import Rates, rates_of
from index.embedding.shards import (
    MANIFEST,
    PARTIAL,
    EncoderShards,
    Manifest,
    adopt_shard,
    encoder_folder,
    sha256_of,
    shard_name,
)
from index.embedding.sources import EXPECTED, Access, scan_source, settled
from index.encoders import card_of, encoder_names
from index.errors import InputError, MissingExtraError, StorageError
from index.lock import writer_lock

EngineName = Literal["local", "ray"]
Provider = Literal["cpu", "cuda"]

SHARD_SIZE = 5000
"""Files in a shard unless told otherwise."""

SPOOL = ".spool"
"""Folder for files brought from elsewhere while they are described; emptied at every start."""


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """What a run of embedding may be told.

    Attributes:
        encoders: Names; those that the folder has already are kept up, too; the built-in ones for a new folder.
        shard_size: Files in a shard that is begun now.
        workers: Processes; 0 means one for each usable core.
        retry_failed: Try every failed file again.
        access: How far sources may reach.
        npy: Write ``vectors.npy`` and ``metadata.parquet`` at the end, too.
        engine: Who describes: processes of this machine, or a Ray cluster.
        address: Of the cluster; see ``index.cluster``.
        provider: What networks run on.
    """

    encoders: tuple[str, ...] = ()
    shard_size: int = SHARD_SIZE
    workers: int = 0
    retry_failed: bool = False
    access: Access = field(default_factory=Access)
    npy: bool = False
    engine: EngineName = "local"
    address: str = ""
    provider: Provider = "cpu"


@dataclass(frozen=True, slots=True)
class EmbedReport:
    """What the output folder holds after a run.

    Attributes:
        files: Files in all shards.
        failed: Of them, those without a vector.
        described: Files described by this run.
        shards: Shard files written by this run.
        finished: Shard files that were finished before and stay.
        gone: Files that their source had before and has no more; their rows stay.
        unencoded: Files that no encoder of this job describes: sounds without an encoder for sounds.
        unlisted: Folders and tars that could not be listed to their end, with the reason.
        seconds: Duration of this run.
    """

    files: int
    failed: int
    described: int
    shards: int
    finished: int
    gone: int
    unencoded: int
    unlisted: tuple[str, ...]
    seconds: float


def embed(
    sources: Sequence[str | Path],
    out: Path,
    options: EmbedOptions,
    on_progress: Callable[[str, int, int, int], None] = lambda _stage, _done, _total, _failed: None,
    on_rates: Callable[[Rates], None] = lambda _rates: None,
) -> EmbedReport:
    """Describe everything that sources name, and write vectors as Parquet shards, one folder for each encoder.

    The same call goes on where a run was killed; a finished shard is written again only when one of its files
    changed. Files that appeared are appended in further shards; rows of files that are gone stay. Vectors do
    not depend on shard size, workers or interruptions.

    Args:
        sources: Folders, tables, tars, single files, and URLs of them.
        out: The output folder; made when it does not exist.
        on_progress: Told (stage, done, total, failed) now and then; counts are files.
        on_rates: Told now and then how fast each stage is.

    Raises:
        InputError: A source holds nothing or is not allowed, or ``out`` holds vectors of another fingerprint.
        MissingExtraError: A URL needs a package that is not installed.
        LockedError: Another process writes to ``out``.
        StorageError: The disk is full or failing; what was committed stays.
    """
    started = time.monotonic()
    places = list(dict.fromkeys(settled(os.fspath(source)) for source in sources))
    if not places:
        raise InputError("nothing to embed: name a folder, a table, a tar, a file or a URL")
    encoder_names(options.encoders)
    made = _make_folder(out)
    with writer_lock(out):
        try:
            manifest = _settle(out, places, options)
            with closing(Plan(out)) as plan, _Run(out, manifest, plan, options) as run:
                on_progress("scan", 0, 0, 0)
                run.scan(places)
                run.describe(on_progress, on_rates)
                report = run.report()
            if options.npy:
                for held in manifest.encoders.values():
                    if held.shards:
                        write_npy(out / held.folder, held.card)
        except sqlite3.DatabaseError as error:
            full = "full" in str(error) or "readonly" in str(error) or "disk I/O" in str(error)
            advice = "free some space" if full else f"delete {JOB}, finished shards are kept"
            raise StorageError(f"{out / JOB}: {error}; {advice}, then run again") from error
        except (InputError, MissingExtraError):
            if made and not (out / MANIFEST).exists():  # nothing was begun
                shutil.rmtree(out, ignore_errors=True)
            raise
    return replace(report, seconds=round(time.monotonic() - started, 3))


def _make_folder(out: Path) -> bool:
    """Make the output folder; refuse one that holds anything but what an earlier run began. Whether it is new."""
    if re.match(r"[a-z][a-z0-9+.-]+:/", os.fspath(out)):
        raise InputError(f"--out {out} is a URL; expected a local folder, copy it where it shall go afterwards")
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        names = os.listdir(out)
    except OSError as error:
        raise InputError(f"--out {out} cannot be used: {(error.strerror or str(error)).lower()}") from None
    ours = ("writer.", SPOOL, f".{MANIFEST}")
    if MANIFEST not in names and JOB not in names and any(not name.startswith(ours) for name in names):
        raise InputError(f"--out {out} holds other files; name an empty or a new folder")
    return made


def _settle(out: Path, places: Sequence[str], options: EmbedOptions) -> Manifest:
    """Read the manifest, or begin one; add what is new; refuse vectors that cannot be mixed."""
    manifest = Manifest.load(out) or Manifest()
    names = encoder_names(options.encoders) or tuple(manifest.encoders) or encoder_names(("builtin",))
    for name in (*manifest.encoders, *(name for name in names if name not in manifest.encoders)):
        card = card_of(name)
        held = manifest.encoders.setdefault(name, EncoderShards(encoder_folder(name), card))
        if held.card.fingerprint != card.fingerprint:
            raise InputError(
                f"{out} holds vectors of {name} with fingerprint {held.card.fingerprint}, now it has "
                f"{card.fingerprint}: its numbers differ; name another --out"
            )
        for partial in (out / held.folder).glob(f".shard-*{PARTIAL}"):  # what a killed run left
            partial.unlink(missing_ok=True)
        held.shards = {n: s for n, s in held.shards.items() if sha256_of(out / held.folder / n) == s.sha256}
    if manifest.provider != options.provider:
        if any(held.shards for held in manifest.encoders.values()):
            raise InputError(
                f"{out} holds vectors made on {manifest.provider}, which differ from those of {options.provider} in "
                f"their last bits; go on with --provider {manifest.provider}, or name another --out"
            )
        manifest.provider = options.provider
    manifest.sources += [place for place in places if place not in manifest.sources]
    return manifest


class _Run:
    """One run over all shards: finds out what is missing, has an engine finish it, keeps the manifest."""

    def __init__(self, out: Path, manifest: Manifest, plan: Plan, options: EmbedOptions) -> None:
        self._out, self._manifest, self._plan, self._options = out, manifest, plan, options
        self._spool = out / SPOOL
        self._missing = Missing(out, manifest, plan, options.retry_failed)
        self._unlisted: list[str] = []
        self._described = self._written = self._gone = self._finished = 0

    def __enter__(self) -> _Run:
        shutil.rmtree(self._spool, ignore_errors=True)
        self._spool.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._spool, ignore_errors=True)

    def scan(self, places: Sequence[str]) -> None:
        """Bring the plan in line with the sources."""
        for place in places:
            found, gone = self._plan.take_in(
                place, scan_source(place, self._options.access, self._spool, self._unlisted.append)
            )
            if not found and not self._unlisted:
                raise InputError(f"{place} holds no picture or sound; expected {EXPECTED}")
            self._gone += 0 if self._unlisted else gone
        self._plan.cut(self._options.shard_size)
        counts = self._plan.counts()
        if not counts:
            raise InputError("; ".join(self._unlisted))
        if not any(counts.get(held.card.modality) for held in self._manifest.encoders.values()):
            raise InputError(
                f"the sources hold {' and '.join(f'{n:,} files of kind {kind}' for kind, n in counts.items())}, which "
                f"{', '.join(self._manifest.encoders)} cannot describe; name another --encoder"
            )
        if self._plan.fresh or not (self._out / MANIFEST).exists():
            self._adopt()
        self._finished = sum(len(held.shards) for held in self._manifest.encoders.values())
        self._manifest.save(self._out)

    def _adopt(self) -> None:
        """The plan or the manifest was lost: keep the shards that hold just what is planned."""
        for held in self._manifest.encoders.values():
            held.shards.clear()
        for shard in self._plan.shards():
            name = shard_name(shard.number)
            for encoder in self._missing.encoders(shard):
                held = self._manifest.encoders[encoder]
                planned = ((file.item_id, file.position) for file in self._plan.files(shard))
                found = adopt_shard(self._out / held.folder / name, held.card.fingerprint, planned)
                if found:
                    held.shards[name] = found

    def describe(self, on_progress: Callable[[str, int, int, int], None], on_rates: Callable[[Rates], None]) -> None:
        """Have an engine finish every shard that lacks something."""
        shards = self._missing.shards()
        if not shards:
            return
        total = sum(shard.stop - shard.start for shard in shards)
        engine = self._engine()
        started = time.monotonic()

        def tell(tally: Tally) -> None:
            self._described = tally.described
            on_progress("describe", tally.done, total, tally.failed)
            rates = rates_of(tally, time.monotonic() - started, engine.workers, engine.writers)
            if rates:
                on_rates(rates)

        with closing(_Ledger(self._out, self._manifest, self._plan)) as ledger:
            for shard, files in engine.finish(self._missing, shards, tell):
                name = shard_name(shard.number)
                for encoder, file in files.items():
                    held = self._manifest.encoders[encoder]
                    if file:
                        self._finished -= name in held.shards
                        self._written += 1
                        held.shards[name] = file
                ledger.note(shard)

    def _engine(self) -> Engine:
        if self._options.engine == "ray":
            from index.embedding.ray_engine import RayEngine

            return RayEngine(self._options.address, self._options.workers, self._options.provider)
        return LocalEngine(self._spool, self._options.workers, self._options.provider)

    def report(self) -> EmbedReport:
        """What came of it; each file counts once, however many encoders described it."""
        firsts = {held.card.modality: held for held in reversed(self._manifest.encoders.values())}
        held = [shard for first in firsts.values() for shard in first.shards.values()]
        return EmbedReport(
            files=sum(shard.rows for shard in held),
            failed=sum(shard.failed for shard in held),
            described=self._described,
            shards=self._written,
            finished=self._finished,
            gone=self._gone,
            unencoded=sum(n for kind, n in self._plan.counts().items() if kind not in firsts),
            unlisted=tuple(self._unlisted),
            seconds=0.0,
        )


class _Ledger:
    """Saves the manifest after finished shards: at once while it is small, else in a tenth of the time."""

    def __init__(self, out: Path, manifest: Manifest, plan: Plan) -> None:
        self._out, self._manifest, self._plan = out, manifest, plan
        self._noted: list[Shard] = []
        self._due = 0.0

    def note(self, shard: Shard) -> None:
        """The manifest in memory says that a shard is finished."""
        self._noted.append(shard)
        if time.monotonic() >= self._due:
            self.close()

    def close(self) -> None:
        """Save what was noted; only then are the shard's results forgotten."""
        if not self._noted:
            return
        started = time.monotonic()
        self._manifest.save(self._out)
        for shard in self._noted:
            self._plan.written(shard)
        self._noted.clear()
        self._due = time.monotonic() + 9 * (time.monotonic() - started)
