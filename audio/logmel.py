"""The log-mel spectrogram of a front-end."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from audio.frontends import FrontEnd
from audio.mel import BLOCK_SAMPLES, Frames
from audio.melbanks import mel_bank, window_of
from audio.signals import Signal


def log_mel(signal: Signal, front: FrontEnd) -> Frames:
    """Compute the spectrogram, before the front-end's ``mean`` and ``deviation``, without holding all spectra.

    Args:
        signal: Mono sound at ``front.rate``; one shorter than a frame is filled up with silence.
        front: What to compute.

    Returns:
        float32, shape ``(frames, front.mels)``.
    """
    padded = _extended(signal, front)
    frames = np.lib.stride_tricks.sliding_window_view(padded, front.window)[:: front.hop]
    window, filters = window_of(front), mel_bank(front)
    bands = np.empty((len(frames), front.mels), np.float32)
    block = max(1, BLOCK_SAMPLES // front.fft)
    for start in range(0, len(frames), block):
        part = frames[start : start + block]
        if front.per_frame:
            part = _level_and_emphasised(part, front.preemphasis)
        spectra = scipy.fft.rfft(part * window, n=front.fft, axis=1)
        energy = spectra.real**2
        energy += spectra.imag**2
        if front.power == 1:
            np.sqrt(energy, out=energy)
        np.matmul(energy, filters, out=bands[start : start + block])
    return _logarithm(bands, front)


def normalised(frames: Frames, front: FrontEnd) -> Frames:
    """Apply the front-end's ``mean`` and ``deviation``; same shape."""
    scaled: Frames = (frames - np.float32(front.mean)) / np.float32(front.deviation)
    return scaled


def _extended(signal: Signal, front: FrontEnd) -> Signal:
    if front.preemphasis and not front.per_frame:
        signal = signal[1:] - np.float32(front.preemphasis) * signal[:-1]
    if front.padding != "none":
        # Samples on both sides of every frame's centre; zeros that lengthen the transform do not count.
        mode = "reflect" if front.padding == "reflect" and len(signal) > 1 else "constant"
        signal = np.pad(signal, front.window // 2, mode=mode)  # type: ignore[call-overload]
    return np.pad(signal, (0, max(0, front.window - len(signal))))


def _level_and_emphasised(frames: NDArray[np.float32], amount: float) -> NDArray[np.float32]:
    """Kaldi's order: each frame loses its mean, then is preemphasised, its first sample by itself."""
    level = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([level[:, :1], level[:, :-1]], axis=1)
    emphasised: NDArray[np.float32] = level - np.float32(amount) * before
    return emphasised


def _logarithm(bands: Frames, front: FrontEnd) -> Frames:
    if front.gain != 1:
        bands *= np.float32(front.gain)
    np.maximum(bands, np.float32(front.floor), out=bands)
    bands += np.float32(front.offset)
    if front.base == "e":
        np.log(bands, out=bands)
        return bands
    np.log10(bands, out=bands)
    if front.base == "decibel":
        bands *= np.float32(10)
    return bands
