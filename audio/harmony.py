"""Harmony: which intervals sound together, in whatever key and tuning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from audio.mel import Frames

PITCH_CLASSES = 36
"""Parts of the octave: three a semitone, the coarsest that still show where between the keys a tuning lies."""

CYCLES = (1, 2, 3, 4, 5, 6, 12)
"""Cycles per octave whose strength is taken. 1 to 6 are the coefficients of Quinn ("General equal-tempered
harmony", 2006) and Amiot ("Music through Fourier space", 2016): 3 rises with augmented, 4 with diminished
chords, 5 with diatonic, 6 with whole-tone material, 1 with clusters; 12 tells tones on a semitone grid from
glides, drums and noise. Magnitudes do not change when all pitches move together, so keys and tunings do not
matter, and none has to be estimated."""

CHORD_FRAMES = 16
"""Frames joined (1.5 s, a bar at 160 beats a minute) to hear chords as well as what sounds at one instant."""

CONTRAST = 2.0
"""Weight of deviations over time against means, as for timbre."""

USUAL = 0.15
"""Taken off everything: half of what recorded music usually has. It keeps unlike songs apart before a catalog's
own mean is known; the exact value does not matter.

On 164 songs of four genres, and on halves of them split by artist, 36 pitch classes did better than 12, also
without retuning either; with and without bars, and with and without 12 cycles, were alike within chance."""

FAINT = 1e-6
"""Share of the loudest frame's power below which a frame is a rest."""

DIM = 5 * len(CYCLES)


def harmony(chromas: Sequence[Frames]) -> NDArray[np.float32]:
    """Strength of each cycle at an instant, in a bar and in a whole window, and how it varies over time.

    Args:
        chromas: Power per pitch class and window, each shape ``(frames, PITCH_CLASSES)``.

    Returns:
        float32, shape ``(DIM,)``: mean and deviation at instants, mean and deviation in bars, mean in windows.
    """
    loudest = max(float(chroma.sum(axis=1).max()) for chroma in chromas)
    shares = [_shares(chroma, loudest) for chroma in chromas]
    shares = [share for share in shares if len(share)]
    if not shares:
        return np.zeros(DIM, np.float32)
    instants = np.concatenate([cycle_strengths(share) for share in shares])
    bars = np.concatenate([cycle_strengths(_joined(share)) for share in shares])
    whole = cycle_strengths(np.stack([share.mean(axis=0) for share in shares]))
    parts = (
        instants.mean(axis=0),
        CONTRAST * instants.std(axis=0),
        bars.mean(axis=0),
        CONTRAST * bars.std(axis=0),
        whole.mean(axis=0),
    )
    return (np.concatenate(parts) - USUAL).astype(np.float32)


def cycle_strengths(shares: Frames) -> NDArray[np.float64]:
    """Magnitude of each of ``CYCLES`` relative to the total, 0 (even) to 1 (one pitch class).

    Args:
        shares: Not negative, no row all zero, shape ``(frames, PITCH_CLASSES)``.

    Returns:
        float64, shape ``(frames, len(CYCLES))``.
    """
    spectrum = np.abs(scipy.fft.rfft(shares.astype(np.float64), axis=1))
    strengths: NDArray[np.float64] = spectrum[:, CYCLES] / spectrum[:, :1]
    return strengths


def _shares(chroma: Frames, loudest: float) -> Frames:
    """Frames that are no rests, each relative to its strongest pitch class (librosa's default norm)."""
    heard = chroma[chroma.sum(axis=1) > FAINT * loudest]
    shares: Frames = heard / heard.max(axis=1, keepdims=True)
    return shares


def _joined(shares: Frames) -> Frames:
    """Means of stretches of ``CHORD_FRAMES`` frames; what is left over, if not all, is dropped."""
    count = max(1, len(shares) // CHORD_FRAMES)
    return np.stack(
        [part.mean(axis=0) for part in np.split(shares, range(CHORD_FRAMES, len(shares), CHORD_FRAMES))][:count]
    )
