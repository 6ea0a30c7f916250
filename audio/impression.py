"""Tempo and energy of a song, read off its description: cheap estimates that open no file."""

from __future__ import annotations

import numpy as np
import scipy.interpolate
from numpy.typing import NDArray

from audio.cards import RHYTHM, TIMBRE
from audio.rhythm import DELAYS, LONGEST, RATES, REGISTERS, SHORTEST
from index.types import Vectors

SLOWEST, FASTEST = 40.0, 240.0
"""Beats a minute between which a tempo is looked for."""

LIKELY, SPREAD = 120.0, 0.5
"""Beats a minute, and octaves around it, at which listeners tap to music: the log-normal weight of Ellis, "Beat
tracking by dynamic programming" (JNMR 2007), eq. 7, which decides between a tempo and its half or double. Of 164
songs 84 % come within 6 % of ``librosa.feature.tempo``, which weighs likewise."""

STEPS = 600
"""Delays looked at, between those that the beat spectrum has: 0.3 % of a tempo from one to the next."""


def tempo(vectors: Vectors) -> NDArray[np.float64]:
    """Beats a minute, by the highest peak of the beat spectrum under the weight of likely tempos.

    Args:
        vectors: Of the built-in encoder, float32, shape ``(n, card.dim)``.

    Returns:
        float64, shape ``(n,)``; not a number for songs in which nothing recurs.
    """
    beats = vectors[:, RHYTHM][:, REGISTERS * RATES :].astype(np.float64)
    known = np.log(np.geomspace(SHORTEST, LONGEST, DELAYS))
    delays = np.linspace(np.log(60 / FASTEST), np.log(60 / SLOWEST), STEPS)
    strength = scipy.interpolate.CubicSpline(known, beats, axis=1)(delays)
    rates = 60 / np.exp(delays)
    weight = np.exp(-0.5 * (np.log2(rates / LIKELY) / SPREAD) ** 2)
    lowest = strength.min(axis=1, keepdims=True)
    found = rates[np.argmax((strength - lowest) * weight, axis=1)]
    return np.where(beats.any(axis=1), found, np.nan)


def energy(vectors: Vectors) -> NDArray[np.float64]:
    """How lively a song sounds: bright rather than dull, and moving rather than still.

    The first mel-frequency cepstral coefficient (how much lows outweigh highs) counts against it, the mean of the
    fluctuation pattern (how much loudness moves at all rates) for it, each relative to the length of its facet;
    loudness itself is not in a description. Its rank correlation with the sum of standardised loudness, spectral
    centroid and onset rate is 0.66 over 164 songs.

    Args:
        vectors: As for ``tempo``.

    Returns:
        float64, shape ``(n,)``, -2 to 2, comparable between songs only.
    """
    moving = vectors[:, RHYTHM][:, : REGISTERS * RATES].mean(axis=1, dtype=np.float64) * np.sqrt(REGISTERS * RATES)
    found: NDArray[np.float64] = moving - vectors[:, TIMBRE.start]
    return found
