"""Tempo: how many beats a minute, where there is a steady beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from audio.mel import FRAME_RATE, Frames, levels
from audio.rhythm import DEPTH, onset_strength

USUAL, SPREAD = 120.0, 0.9
"""Beats a minute that people tap to most readily, and the deviation in octaves of the preference around it: the
weighting of Ellis, "Beat tracking by dynamic programming" (J. New Music Research 2007), section 3.2."""

SLOWEST, FASTEST = 40.0, 240.0

STEADY = 0.2
"""Autocorrelation of onsets at the beat, of 1, below which there is no steady beat: noise stays below 0.1, the
demo's songs lie between 0.3 and 0.95."""


def find_tempo(mels: Sequence[Frames]) -> float | None:
    """The period at which onsets repeat, preferring those that people tap to.

    Args:
        mels: Mel power per window, each shape ``(frames, bands)``, a window lasting three seconds at least.

    Returns:
        Beats a minute, which may be twice or half of what somebody else would tap; ``None`` without a steady beat.
    """
    longest = int(60 / SLOWEST * FRAME_RATE) + 2
    curves = [_autocorrelation(onset_strength(sound), longest) for sound in levels(mels, DEPTH) if len(sound) > longest]
    if not curves:
        return None
    curve = np.mean(curves, axis=0)
    delays = np.arange(1, len(curve))
    tempi = 60 * FRAME_RATE / delays
    preferred = curve[1:] * np.exp(-0.5 * (np.log2(tempi / USUAL) / SPREAD) ** 2)
    preferred[(tempi < SLOWEST) | (tempi > FASTEST)] = -np.inf
    best = int(delays[np.argmax(preferred)])
    if curve[best] < STEADY or not curve[best - 1] <= curve[best] >= curve[best + 1]:
        return None
    below, at, above = curve[best - 1 : best + 2]
    bend = below - 2 * at + above
    shift = 0.5 * (below - above) / bend if bend < 0 else 0.0  # the top of a parabola through three points
    return float(60 * FRAME_RATE / (best + shift))


def _autocorrelation(onsets: NDArray[np.float32], longest: int) -> NDArray[np.float64]:
    """Of onsets less their slow changes; 1 at no delay. float64, shape ``(longest + 1,)``."""
    centred = onsets.astype(np.float64) - onsets.mean(dtype=np.float64)
    size = scipy.fft.next_fast_len(len(centred) + longest + 1, real=True)
    products = scipy.fft.irfft(np.abs(scipy.fft.rfft(centred, size)) ** 2, size)[: longest + 1]
    return np.asarray(products / products[0] if products[0] > 1e-9 else np.zeros(longest + 1), np.float64)
