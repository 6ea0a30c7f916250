"""Mono sound: what a signal is, the one down-mix, the one change of sample rate."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Signal: TypeAlias = NDArray[np.float32]
"""Mono sound: float32, shape ``(samples,)``, nominally in -1..1."""


def mix_down(channels: NDArray[np.float32]) -> Signal:
    """Mix channels to mono: their plain mean, (L + R) / 2 for stereo; shape ``(samples, channels)`` in.

    Decoders' own down-mixes differ (ffmpeg scales by 0.7, some drop the back channels), and the same song
    must give the same numbers from every container.
    """
    count = channels.shape[1]
    if count == 1:
        return np.ascontiguousarray(channels[:, 0])
    mixed = channels[:, 0] + channels[:, 1]
    for i in range(2, count):
        mixed += channels[:, i]
    mixed *= np.float32(1 / count)
    return mixed


def resample(signal: Signal, rate: int, wanted: int) -> Signal:
    """Convert the sample rate with soxr (band-limited, linear phase, "HQ" = 20 bits)."""
    if rate == wanted or not len(signal):
        return signal
    import soxr

    converted: Signal = soxr.resample(signal, rate, wanted, quality="HQ")
    return converted
