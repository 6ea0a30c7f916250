"""Which seconds of a song are listened to: up to three windows at fixed relative positions."""

from __future__ import annotations

import math
from dataclasses import dataclass

WINDOW_SECONDS = 10.0
"""Length of one window. Ten seconds hold at least four bars from 96 beats a minute upwards and ten beats of
the slowest music; block-level features (Seyerlehner et al. 2010) use blocks of up to six seconds."""

WINDOWS = 3
"""Most windows of one song: together the half minute that genre and tag collections listen to (GTZAN, FMA,
MagnaTagATune), spread over the whole song instead of one excerpt."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a recording.

    Attributes:
        start: First second.
        seconds: Length in seconds.
    """

    start: float
    seconds: float


def plan_windows(seconds: float) -> tuple[Span, ...]:
    """Place the windows of a recording: equal parts of it, and the middle of each part (the midpoint rule).

    A recording of up to ``WINDOWS * WINDOW_SECONDS`` is covered without gaps, so a half-minute clip is its
    whole self; one of up to ``WINDOW_SECONDS`` is a single window.

    Args:
        seconds: Length of the recording, more than zero.

    Returns:
        One to ``WINDOWS`` spans in order of time, which do not overlap.
    """
    count = min(WINDOWS, max(1, math.ceil(round(seconds / WINDOW_SECONDS, 3))))
    part = seconds / count
    length = min(WINDOW_SECONDS, part)
    return tuple(Span((i + 0.5) * part - length / 2, length) for i in range(count))
