"""The built-in sound encoder: timbre, rhythm and harmony of up to thirty seconds, with nothing to download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio.cards import CARD
from audio.decode import DEFAULT_LIMITS, Limits, Recording, read_windows
from audio.harmony import PITCH_CLASSES, harmony
from audio.mel import RATE, Frames, chroma_power, mel_power
from audio.rhythm import rhythm
from audio.signals import Signal
from audio.timbre import timbre
from audio.windows import plan_windows
from index.errors import MediaError
from index.types import EncoderCard, Vector

SHORTEST_SECONDS = 0.5
"""A shorter recording has no rhythm, and its harmony is that of one chord."""

SILENCE = 2.0**-13
"""Peak (of 1) up to which a window is silent: four steps of 16-bit sound, so that dither is silence even where
resampling overshoots."""


class BuiltinSongEncoder:
    """Timbre, rhythm and harmony of a song; see ``index.types.Encoder``.

    Args:
        limits: What one file may cost.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits

    @property
    def card(self) -> EncoderCard:
        """What identifies this encoder."""
        return CARD

    def describe(self, path: Path) -> Vector:
        """Describe one sound file.

        Args:
            path: Any format that libsndfile or FFmpeg reads.

        Returns:
            The finished vector, float32, shape ``(card.dim,)``.

        Raises:
            MediaError: The file cannot be read or decoded, or is too short or silent.
        """
        return describe_windows(audible_windows(read_windows(path, RATE, plan_windows, self._limits)))


def audible_windows(recording: Recording) -> list[Signal]:
    """Drop silent windows.

    Raises:
        MediaError: Stage "encode": nothing is left, or the recording is too short.
    """
    if recording.seconds < SHORTEST_SECONDS:
        raise MediaError("encode", f"lasts {recording.seconds:.2f} s; at least {SHORTEST_SECONDS} s are needed")
    if not all(np.isfinite(window).all() for window in recording.windows):
        raise MediaError("decode", "holds samples that are not finite numbers")
    audible = [window for window in recording.windows if np.abs(window).max(initial=0) > SILENCE]
    if not audible:
        raise MediaError("encode", "silent")
    return audible


def describe_windows(windows: Sequence[Signal]) -> Vector:
    """Describe a song by its audible windows at ``RATE``: float32, shape ``(card.dim,)``."""
    mels = [mel_power(window) for window in windows]
    chromas = [chroma_power(window, PITCH_CLASSES) for window in windows]
    return describe_spectra(mels, chromas)


def describe_spectra(mels: Sequence[Frames], chromas: Sequence[Frames]) -> Vector:
    """Describe a song by the spectra of its windows: float32, shape ``(card.dim,)``.

    Args:
        mels: Mel power per window, each shape ``(frames, bands)``, not all zero.
        chromas: Power per pitch class and window, each shape ``(frames, PITCH_CLASSES)``.
    """
    parts = (timbre(mels), rhythm(mels), harmony(chromas))
    return np.concatenate([_unit(part) for part in parts])


def _unit(part: NDArray[np.float32]) -> Vector:
    length = float(np.linalg.norm(part))
    return (part / length if length > 1e-9 else np.zeros_like(part)).astype(np.float32)
