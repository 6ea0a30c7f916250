"""Short-time spectra: the mel spectrogram, its logarithm and the chromagram, as librosa defines them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from audio.filterbanks import chroma_filters, mel_filters
from audio.signals import Signal

RATE = 22_050
"""Samples per second of everything here: librosa's default."""

FFT_SIZE = 2048
"""Samples per frame (93 ms), librosa's default."""

HOP = 512
"""Samples from frame to frame (23 ms), librosa's default."""

FRAME_RATE = RATE / HOP
"""Frames per second."""

CHROMA_FFT_SIZE = 8192
"""Samples per frame for chroma (0.37 s): bins of 2.7 Hz part semitones from 46 Hz (F#1) upwards."""

CHROMA_HOP = 2048
"""Samples from chroma frame to chroma frame (93 ms)."""

BLOCK_SAMPLES = 1 << 17
"""Samples transformed at once (half a megabyte), so that a block of spectra stays in the processor's cache."""

Frames: TypeAlias = NDArray[np.float32]
"""One row per frame: float32, shape ``(frames, bins)``."""


@cache
def hann(size: int) -> NDArray[np.float32]:
    """Periodic Hann window, float32, shape ``(size,)``."""
    window: NDArray[np.float32] = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    return window


def filtered_power(signal: Signal, fft_size: int, hop: int, filters: NDArray[np.float32]) -> Frames:
    """Power spectra through a filterbank, without ever holding them all.

    Frames are centred on multiples of ``hop``, with zeros beyond the ends, as librosa does.

    Args:
        signal: Mono sound.
        fft_size: Samples per frame.
        hop: Samples from frame to frame.
        filters: float32, shape ``(fft_size // 2 + 1, bands)``.

    Returns:
        float32, shape ``(1 + len(signal) // hop, bands)``.
    """
    padded = np.pad(signal, fft_size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft_size)[::hop]
    window = hann(fft_size)
    bands = np.empty((len(frames), filters.shape[1]), np.float32)
    block = max(1, BLOCK_SAMPLES // fft_size)
    for start in range(0, len(frames), block):
        spectra = scipy.fft.rfft(frames[start : start + block] * window, axis=1)
        power = spectra.real**2
        power += spectra.imag**2
        np.matmul(power, filters, out=bands[start : start + block])
    return bands


def mel_power(signal: Signal, bands: int = 128) -> Frames:
    """``librosa.feature.melspectrogram`` with its defaults, transposed: shape ``(frames, bands)``."""
    return filtered_power(signal, FFT_SIZE, HOP, mel_filters(RATE, FFT_SIZE, bands, RATE / 2))


def levels(powers: Sequence[Frames], depth: float) -> list[Frames]:
    """Decibels above a floor that lies ``depth`` below the song's loudest band, so that gain does not matter.

    This is ``librosa.power_to_db(power, ref=numpy.max, top_db=depth) + depth`` over all windows together.

    Args:
        powers: Power per window, each shape ``(frames, bands)``, not all zero.
        depth: Decibels; what is fainter counts as the floor.

    Returns:
        Same shapes, from 0 to ``depth``.
    """
    loudest = max(float(power.max(initial=0)) for power in powers)
    floor = np.float32(max(loudest * 10 ** (-depth / 10), 1e-37))
    return [np.float32(10) * np.log10(np.maximum(power, floor) / floor) for power in powers]


def chroma_power(signal: Signal, classes: int) -> Frames:
    """Power per pitch class: ``librosa.feature.chroma_stft`` before its norm, transposed, without retuning.

    Args:
        signal: Mono sound.
        classes: Parts of the octave; 12 are semitones.

    Returns:
        float32, shape ``(frames, classes)``, from C upwards.
    """
    return filtered_power(signal, CHROMA_FFT_SIZE, CHROMA_HOP, chroma_filters(RATE, CHROMA_FFT_SIZE, classes))
