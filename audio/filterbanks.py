"""librosa's mel and chroma filterbanks.

The only module that imports librosa, and only when a filterbank is first asked for: the import costs about a
second of CPU (numba, scipy), which only processes that describe sounds should pay. ``librosa.filters`` compiles
nothing; ``librosa.feature``, which compiles for half a minute at first use, is never touched.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray


@cache
def mel_filters(rate: int, fft_size: int, bands: int, highest: float) -> NDArray[np.float32]:
    """Slaney-style triangles of unit area, librosa's default.

    Args:
        rate: Samples per second.
        fft_size: Samples per frame.
        bands: Number of bands, from 0 Hz up to ``highest``.
        highest: Upper edge of the last band in Hz.

    Returns:
        float32, shape ``(fft_size // 2 + 1, bands)``.
    """
    import librosa.filters

    filters = librosa.filters.mel(sr=rate, n_fft=fft_size, n_mels=bands, fmax=highest)
    return np.ascontiguousarray(filters.T, dtype=np.float32)


@cache
def chroma_filters(rate: int, fft_size: int, classes: int) -> NDArray[np.float32]:
    """Gaussian bumps on the pitch classes from C upwards, centred on the fifth octave: librosa's default.

    Args:
        rate: Samples per second.
        fft_size: Samples per frame.
        classes: Parts of the octave; 12 are semitones.

    Returns:
        float32, shape ``(fft_size // 2 + 1, classes)``.
    """
    import librosa.filters

    filters = librosa.filters.chroma(sr=rate, n_fft=fft_size, n_chroma=classes)
    return np.ascontiguousarray(filters.T, dtype=np.float32)
