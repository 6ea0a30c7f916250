"""What is missing: which shards of a job lack something, and what exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from index.embedding.plan import Plan, PlannedFile, Result, Shard
from index.embedding.shards import Manifest, read_shard, shard_name
from index.types import EncoderCard


class Target(NamedTuple):
    """One encoder's file of a shard that must be written.

    Attributes:
        encoder: Its name.
        folder: Below the output folder.
        card: Of the encoder.
        written: Whether a finished file is there already, to be changed in some rows.
    """

    encoder: str
    folder: str
    card: EncoderCard
    written: bool


@dataclass(frozen=True, slots=True)
class ShardWork:
    """What keeps one shard from being finished.

    Attributes:
        shard: Which.
        targets: The files to be written.
        files: All its files, in order.
        wanted: For each file the encoders that must describe it; mostly all of ``targets``, or none.
    """

    shard: Shard
    targets: tuple[Target, ...]
    files: tuple[PlannedFile, ...]
    wanted: tuple[tuple[str, ...], ...]

    @property
    def count(self) -> int:
        """Number of files to be described."""
        return sum(map(bool, self.wanted))


Results = Mapping[str, Mapping[int, Result]]
"""Encoder → place → what came of that file."""


class Missing:
    """Compares the plan of a job with its finished shards.

    Args:
        out: The output folder.
        manifest: Vouches for finished shards.
        plan: Every file in its place, and results that wait for their shard.
        retry_failed: Files that failed are missing, too.
    """

    def __init__(self, out: Path, manifest: Manifest, plan: Plan, retry_failed: bool) -> None:
        self.out, self.manifest, self.plan, self.retry_failed = out, manifest, plan, retry_failed

    def encoders(self, shard: Shard) -> tuple[str, ...]:
        """The encoders that describe files of a shard."""
        held = self.manifest.encoders.items()
        return tuple(name for name, shards in held if shards.card.modality == shard.modality)

    def shards(self) -> list[Shard]:
        """The shards that lack something, in order."""
        return [shard for shard in self.plan.shards() if self._lacking(shard)]

    def work(self, shard: Shard) -> ShardWork:
        """What a shard lacks."""
        lacking = self._lacking(shard)
        waiting = {name: self.plan.known(shard, name) for name in lacking}
        files = tuple(self.plan.files(shard))
        targets = []
        for name in lacking:
            held = self.manifest.encoders[name]
            targets.append(Target(name, held.folder, held.card, shard_name(shard.number) in held.shards))
        return ShardWork(shard, tuple(targets), files, tuple(_wanted(file, lacking, waiting) for file in files))

    def waiting(self, work: ShardWork) -> Results:
        """Results that wait for their shard."""
        return {target.encoder: self.plan.results(work.shard, target.encoder) for target in work.targets}

    def _lacking(self, shard: Shard) -> dict[str, set[int] | None]:
        """For each encoder whose file must be written the places to be tried again; ``None`` for all of them."""
        lacking: dict[str, set[int] | None] = {}
        changed = self.plan.changed(shard)
        for name in self.encoders(shard):
            held = self.manifest.encoders[name]
            finished = held.shards.get(shard_name(shard.number))
            again: set[int] | None = set()
            if finished is None:
                again = None
            elif self.retry_failed and finished.failed:
                rows = read_shard(self.out / held.folder / shard_name(shard.number))
                again = {shard.start + at for at, row in enumerate(rows) if not row.vector}
            if again is None or again or changed or self.plan.waits(shard, name):
                lacking[name] = again
        return lacking


def _wanted(
    file: PlannedFile, lacking: Mapping[str, set[int] | None], waiting: Mapping[str, set[int]]
) -> tuple[str, ...]:
    return tuple(
        name
        for name, again in lacking.items()
        if file.changed == 2 or ((again is None or file.place in again) and file.place not in waiting[name])
    )
