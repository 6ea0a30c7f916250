"""Key: the tonic and mode that a recording leans to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio.harmony import FAINT, PITCH_CLASSES
from audio.mel import Frames

NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")

MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""How well each of twelve tones fits a key, as listeners judged: Krumhansl & Kessler, "Tracing the dynamic changes
in perceived tonal organization" (Psychological Review 1982); as a key finder: Krumhansl, "Cognitive foundations of
musical pitch" (1990), chapter 4."""

LEAST = 0.7
"""Correlation below which a recording leans to no key: drums and noise stay below it."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key.

    Attributes:
        tonic: 0 for C to 11 for B.
        minor: Else major.
        correlation: Of the recording's pitch classes with the key's profile.
    """

    tonic: int
    minor: bool
    correlation: float

    @property
    def name(self) -> str:
        """As musicians say it."""
        return f"{NAMES[self.tonic]} {'minor' if self.minor else 'major'}"


def find_key(chromas: Sequence[Frames]) -> Key | None:
    """The key whose profile fits best, if any fits.

    Args:
        chromas: Power per pitch class and window, each shape ``(frames, PITCH_CLASSES)``.
    """
    frames = np.concatenate(chromas)
    total = frames.sum(axis=1)
    heard = frames[total > FAINT * total.max(initial=0)]
    if not len(heard):
        return None
    classes = tuned((heard / heard.max(axis=1, keepdims=True)).mean(axis=0))
    if np.ptp(classes) < 1e-6:
        return None
    found = [
        Key(tonic, minor, float(np.corrcoef(np.roll(profile, tonic), classes)[0, 1]))
        for minor, profile in ((False, MAJOR), (True, MINOR))
        for tonic in range(12)
    ]
    best = max(found, key=lambda key: key.correlation)
    return best if best.correlation >= LEAST else None


def tuned(classes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Twelve semitones from thirds of them, whatever the tuning: those thirds that sound most are the middles.

    Args:
        classes: Shape ``(PITCH_CLASSES,)``, the first being C.

    Returns:
        float64, shape ``(12,)``, from C upwards.
    """
    parts = PITCH_CLASSES // 12
    middle = int(np.argmax(classes.reshape(12, parts).sum(axis=0)))
    shift = middle if middle <= parts // 2 else middle - parts  # up to half a semitone either way
    return np.asarray(np.roll(classes, parts // 2 - shift).reshape(12, parts).sum(axis=1), np.float64)
