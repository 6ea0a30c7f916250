"""A portrait of a recording in numbers that people have words for: tempo, key, brightness, hits, loudness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage

from audio.key import Key, find_key
from audio.mel import FRAME_RATE, RATE, Frames
from audio.tempo import find_tempo

SMOOTH = 17
"""Frames, and bands, over which medians are taken: 0.4 s, and an octave and a half in the middle."""

LISTENED = 30.0
"""Seconds in which hits are told from tones: medians are slow."""

BLOCK = 0.5
"""Seconds over which loudness is averaged."""

QUIET = 50.0
"""Decibels below the loudest block from which a block is a rest."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """What can be said of a recording.

    Attributes:
        tempo: Beats a minute; ``None`` without a steady beat.
        key: ``None`` where it leans to none.
        brightness: Middle of the spectrum in Hz, magnitudes being the weights (the spectral centroid).
        percussive: Share of the power that is hits rather than tones, 0 to 1.
        motion: Standard deviation of loudness in decibels.
    """

    tempo: float | None
    key: Key | None
    brightness: float
    percussive: float
    motion: float


def portray(mels: Sequence[Frames], chromas: Sequence[Frames]) -> Portrait:
    """Portray a recording by its windows.

    Args:
        mels: Mel power per window, each shape ``(frames, bands)``, not all zero.
        chromas: Power per pitch class and window, each shape ``(frames, 36)``.
    """
    return Portrait(find_tempo(mels), find_key(chromas), _brightness(mels), percussive_share(mels), _motion(mels))


def percussive_share(mels: Sequence[Frames]) -> float:
    """Share of the power that stands out across frequencies more than along time.

    Median filtering of FitzGerald, "Harmonic/percussive separation using median filtering" (DAFx 2010), with soft
    masks of power 2 (eq. 6), on mel bands.
    """
    power = np.concatenate(mels)
    most = int(LISTENED * FRAME_RATE)
    start = max(0, (len(power) - most) // 2)
    magnitude = np.sqrt(power[start : start + most])
    held = scipy.ndimage.median_filter(magnitude, (SMOOTH, 1)) ** 2
    struck = scipy.ndimage.median_filter(magnitude, (1, SMOOTH)) ** 2
    total = float((magnitude**2).sum())
    mask = struck / np.maximum(struck + held, 1e-20)
    return float((magnitude**2 * mask).sum() / total) if total > 0 else 0.0


def _brightness(mels: Sequence[Frames]) -> float:
    magnitude = np.sqrt(np.concatenate(mels)).sum(axis=0, dtype=np.float64)
    return float(magnitude @ _centres(len(magnitude)) / max(float(magnitude.sum()), 1e-20))


def _centres(bands: int) -> np.ndarray:
    """Middle frequencies of Slaney's mel bands in Hz: linear below 1,000 Hz, logarithmic above; ``(bands,)``."""
    mels = np.linspace(0, 15 + np.log(RATE / 2000) / (np.log(6.4) / 27), bands + 2)[1:-1]
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))


def _motion(mels: Sequence[Frames]) -> float:
    size = max(1, round(BLOCK * FRAME_RATE))
    blocks = [power.sum(axis=1)[start : start + size].mean() for power in mels for start in range(0, len(power), size)]
    loudness = 10 * np.log10(np.maximum(blocks, 1e-20))
    return float(loudness[loudness > loudness.max() - QUIET].std())
