"""Rates: how fast each stage of a job is, and which one holds the others up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from index.embedding.engine import STAGES, Tally


class Rates(NamedTuple):
    """How fast a run is.

    Attributes:
        stages: Stage → files a second that it would let through if it never had to wait.
        busy: Stage → share of the time of those who do it, 0 to 1.
        bottleneck: The busiest stage; ``"waiting"`` when most of the time nobody does anything, as while processes
            start.
        workers: Processes that describe files.
    """

    stages: Mapping[str, float]
    busy: Mapping[str, float]
    bottleneck: str
    workers: int


def rates_of(tally: Tally, seconds: float, workers: int, writers: int) -> Rates | None:
    """Work out rates; ``None`` before the first file.

    Args:
        tally: What was done.
        seconds: In how long.
        workers: Processes that read and describe at the same time.
        writers: Processes that write at the same time.
    """
    if not tally.described or seconds <= 0:
        return None
    hands = {stage: writers if stage == "write" else workers for stage in STAGES}
    stages = {stage: tally.described * hands[stage] / tally.seconds[stage] for stage in STAGES if tally.seconds[stage]}
    busy = {stage: min(1.0, tally.seconds[stage] / (seconds * hands[stage])) for stage in STAGES}
    busiest = max(busy, key=lambda stage: busy[stage])
    idle = 1.0 - min(1.0, sum(tally.seconds.values()) / (seconds * workers))
    return Rates(stages, busy, "waiting" if idle > max(0.5, busy[busiest]) else busiest, workers)
