"""What runs on Ray's hosts: an actor that finishes one shard after another, and the desk that hands them out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from index.embedding.describing import Answer, Asked, describe_files
from index.embedding.engine import Tally
from index.embedding.finishing import finish_shard
from index.embedding.missing import Missing, Results, ShardWork
from index.embedding.plan import Plan, Result, Shard
from index.embedding.remote import scheme_of
from index.embedding.shards import Manifest
from index.encoders import card_of
from index.errors import InputError, SimkinError
from index.ingesting.workers import WorkerPool

TELL_SECONDS = 1.0
"""An actor tells how far it is so often."""

CHANCES = 3
"""How often a file is tried again whose process was killed from outside: hosts are shared with others."""

TRIES = 20
"""How often a shard is begun again whose worker died; Ray would try for ever one that kills every worker."""

_SPOOL = "simkin-spool-"


class Needs(NamedTuple):
    """What a host must have to take part.

    Attributes:
        out: The output folder, which all hosts share.
        token: Name of a file in it.
        sources: Local sources.
        fingerprints: Encoder → fingerprint of its card.
    """

    out: str
    token: str
    sources: tuple[str, ...]
    fingerprints: Mapping[str, str]


def problem_here(needs: Needs) -> str:
    """Why this host cannot take part, in one sentence; empty when it can."""
    host = socket.gethostname()
    if not os.path.exists(os.path.join(needs.out, needs.token)) or not os.access(needs.out, os.W_OK):
        return f"host {host} cannot write to {needs.out}: mount the folder there under the same path"
    for source in needs.sources:
        if not os.path.exists(source):
            return f"host {host} does not see {source}: mount it there under the same path, or name a URL"
    for name, fingerprint in needs.fingerprints.items():
        try:
            found = card_of(name).fingerprint
        except SimkinError as error:
            return f"host {host} cannot use {name}: {error}"
        if found != fingerprint:
            return f"host {host} has {name} with fingerprint {found}, not {fingerprint}: install the same simkin there"
    return ""


class Desk:
    """The actor beside the driver: hands out what shards lack, straight from the plan, and knows how far all are."""

    def __init__(self, out: str, manifest: Manifest, retry_failed: bool) -> None:
        plan = Plan(Path(out), read_only=True)
        self._missing = Missing(Path(out), manifest, plan, retry_failed)
        self._tallies: dict[Shard, Tally] = {}
        self._tries: Counter[Shard] = Counter()

    def work(self, shard: Shard) -> tuple[ShardWork, Results] | None:
        """What a shard lacks, and results that wait for it; ``None`` when it was begun too often."""
        self._tries[shard] += 1
        if self._tries[shard] > TRIES:
            return None
        work = self._missing.work(shard)
        return work, self._missing.waiting(work)

    def tell(self, shard: Shard, tally: Tally) -> None:
        """Take how far a shard is; a worker that begins anew takes back what the one before told."""
        self._tallies[shard] = tally

    def tally(self) -> Tally:
        """How far all shards are together."""
        total = Tally()
        for tally in self._tallies.values():
            total += tally
        return total


class ShardDescriber:
    """The actor of Ray Data's pool: one worker process of its own, which describes files as the local engine's do.

    Args:
        needs: Checked before the first shard.
        desk: Handle of the ``Desk``.
    """

    def __init__(self, needs: Needs, desk: Any) -> None:
        self._needs, self._desk = needs, desk
        self._problem: str | None = None
        self._pool = WorkerPool(1, chances=CHANCES)
        self._spool = _make_spool()

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Finish one shard.

        Args:
            batch: One row, the columns of ``Shard``.

        Returns:
            One row: ``shard``; ``files``, JSON of encoder → ``ShardFile`` or null; ``kind`` and ``problem`` when it
            could not be finished.
        """
        shard = Shard(str(batch["modality"][0]), *(int(batch[name][0]) for name in Shard._fields[1:]))  # type: ignore[arg-type]
        kind, problem, files = "", "", {}
        try:
            if self._problem is None:
                self._problem = problem_here(self._needs)
            if self._problem:
                raise InputError(self._problem)
            files = self._finish(shard)
        except OSError as error:
            place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else self._needs.out
            kind, problem = "storage", f"{place}: {(error.strerror or str(error)).lower()} on {socket.gethostname()}"
        except SimkinError as error:
            kind, problem = "input" if isinstance(error, InputError) else "other", str(error)
        told = {name: file and asdict(file) for name, file in files.items()}
        return {"shard": [json.dumps(shard)], "files": [json.dumps(told)], "kind": [kind], "problem": [problem]}

    def _finish(self, shard: Shard) -> dict[str, Any]:
        import ray

        handed = ray.get(self._desk.work.remote(shard))
        if handed is None:
            raise SimkinError(
                f"{TRIES} workers died over shard {shard.number} of kind {shard.modality}, the last on "
                f"{socket.gethostname()}, perhaps for want of memory; fewer --workers or a smaller --shard-size "
                "need less"
            )
        work, waiting = handed
        results: dict[str, dict[int, Result]] = {name: dict(held) for name, held in waiting.items()}
        tally = Tally(done=len(work.files) - work.count)
        told = time.monotonic()

        def keep(answer: Answer) -> None:
            nonlocal told
            for name, result in answer.results().items():
                results[name][answer.asked.file.place] = result
            tally.done += 1
            tally.failed += bool(answer.described.stage)
            tally.described += answer.opened
            tally.seconds["read"] += answer.fetched + answer.described.spent[0]
            tally.seconds["describe"] += answer.described.spent[1]
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                self._desk.tell.remote(shard, tally)

        for _ in describe_files(_asked(work), self._pool.describe, self._spool, keep):
            pass
        started = time.monotonic()
        files = finish_shard(Path(self._needs.out), work, results)
        tally.seconds["write"] += time.monotonic() - started
        ray.get(self._desk.tell.remote(shard, replace(tally)))
        return files


def _asked(work: ShardWork) -> Iterator[Asked]:
    return (Asked(file, encoders) for file, encoders in zip(work.files, work.wanted, strict=True) if encoders)


def _make_spool() -> Path:
    """A folder for copies on this host's own disk; those of actors that were killed are cleared away."""
    place = Path(tempfile.gettempdir())
    for old in place.glob(f"{_SPOOL}*"):
        pid = old.name.removeprefix(_SPOOL)
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}") and os.path.isdir("/proc/self"):
            shutil.rmtree(old, ignore_errors=True)
    spool = place / f"{_SPOOL}{os.getpid()}"
    with contextlib.suppress(FileExistsError):
        spool.mkdir(mode=0o700)
    return spool


def local_sources(sources: Sequence[str]) -> tuple[str, ...]:
    """Sources that are paths, and there."""
    return tuple(source for source in sources if not scheme_of(source) and os.path.exists(source))
