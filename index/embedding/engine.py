"""Engines: who finishes the shards of a job, behind one small interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from index.embedding.missing import Missing
from index.embedding.plan import Shard
from index.embedding.shards import ShardFile

STAGES = ("read", "describe", "write")
"""What happens to a file, in order: its bytes are brought and read, it is decoded and encoded, its row is written."""


@dataclass(slots=True)
class Tally:
    """How far a run is, in files.

    Attributes:
        done: Files that are done with, well or badly.
        failed: Of them, those without a vector.
        described: Files that workers opened.
        seconds: Stage → seconds that all workers together spent in it.
    """

    done: int = 0
    failed: int = 0
    described: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def __iadd__(self, other: Tally) -> Tally:
        self.done += other.done
        self.failed += other.failed
        self.described += other.described
        for stage, seconds in other.seconds.items():
            self.seconds[stage] += seconds
        return self


class FinishedShard(NamedTuple):
    """A shard that is complete now.

    Attributes:
        shard: Which.
        files: Encoder → the file that was written for it; ``None`` when the one there already says the same.
    """

    shard: Shard
    files: Mapping[str, ShardFile | None]


class Engine(Protocol):
    """Finishes shards, in any order; what it writes does not depend on who it is.

    Attributes:
        workers: Processes that describe files at the same time.
        writers: Processes that write shards at the same time.
    """

    workers: int
    writers: int

    def finish(
        self, missing: Missing, shards: Sequence[Shard], tell: Callable[[Tally], None]
    ) -> Iterator[FinishedShard]:
        """Describe what each shard lacks, and write its files.

        Args:
            missing: Tells what a shard lacks.
            shards: Those that lack something.
            tell: Told now and then how far this run is.

        Raises:
            InputError: A source vanished.
            SimkinError: Workers cannot be had.
            OSError: A shard cannot be written.
        """
        ...
