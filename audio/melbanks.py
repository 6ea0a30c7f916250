"""The windows and mel filterbanks that front-ends ask for."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
from numpy.typing import NDArray

from audio.frontends import FrontEnd, Scale


@cache
def window_of(front: FrontEnd) -> NDArray[np.float32]:
    """Hann window of a front-end: float32, shape ``(window,)``."""
    period = front.window if front.window_kind == "hann" else max(1, front.window - 1)
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(front.window) / period), np.float32)


@cache
def mel_bank(front: FrontEnd) -> NDArray[np.float32]:
    """Filters of a front-end.

    Triangles over Hz are ``librosa.filters.mel``. Triangles over mel are those of HTK, Kaldi and TensorFlow: their
    slopes are straight on the mel axis, and the bins at 0 Hz and at half the rate belong to no band.

    Returns:
        float32, shape ``(fft // 2 + 1, mels)``.
    """
    filters = _over_mel(front) if front.triangles == "mel" else _over_hertz(front)
    return np.ascontiguousarray(filters, dtype=np.float32)


def _over_hertz(front: FrontEnd) -> NDArray[np.float64]:
    import librosa.filters  # costs a second of CPU: numba

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of bands narrower than a bin, which some published banks have
        filters = librosa.filters.mel(
            sr=front.rate,
            n_fft=front.fft,
            n_mels=front.mels,
            fmin=front.lowest,
            fmax=front.highest,
            htk=front.scale == "htk",
            norm="slaney" if front.area else None,
            dtype=np.float64,
        )
    return np.asarray(filters, np.float64).T


def _over_mel(front: FrontEnd) -> NDArray[np.float64]:
    lowest, highest = _to_mel(np.array([front.lowest, front.highest]), front.scale)
    edges = np.linspace(lowest, highest, front.mels + 2)
    hertz = np.arange(front.fft // 2 + 1) * front.rate / front.fft
    bins = _to_mel(hertz, front.scale)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling))
    filters[[0, -1]] = 0
    if front.area:
        corners = _to_hertz(edges, front.scale)
        filters *= 2 / (corners[2:] - corners[:-2])
    return np.asarray(filters)


SLANEY_CORNER = 1000.0
"""Hz up to which Slaney's scale is linear, 3 mel to 200 Hz; above, 27 mel are a factor of 6.4."""


def _to_mel(hertz: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
    if scale == "htk":
        return np.asarray(2595 * np.log10(1 + hertz / 700))
    above = 15 + 27 * np.log(np.maximum(hertz, SLANEY_CORNER) / SLANEY_CORNER) / np.log(6.4)
    return np.where(hertz < SLANEY_CORNER, 3 * hertz / 200, above)


def _to_hertz(mel: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
    if scale == "htk":
        return np.asarray(700 * (10 ** (mel / 2595) - 1))
    return np.where(mel < 15, 200 * mel / 3, SLANEY_CORNER * 6.4 ** ((mel - 15) / 27))
