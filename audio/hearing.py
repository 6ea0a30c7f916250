"""Hearing a recording closely: what each of its stretches sounds like, and what can be said of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio.builtin import SILENCE, audible_windows, describe_spectra
from audio.decode import read_windows
from audio.harmony import PITCH_CLASSES
from audio.mel import CHROMA_HOP, FRAME_RATE, RATE, Frames, chroma_power, levels, mel_power
from audio.portrait import Portrait, portray
from audio.rhythm import BANDS_JOINED, DEPTH
from audio.windows import Span
from index.types import Vectors

STRETCH = 5.0
"""Seconds of a stretch: two bars at 96 beats a minute, long enough for rhythm to be one."""

STEP = 1.0
"""Seconds from stretch to stretch."""

MOST = 240.0
"""Seconds that are listened to; of a longer recording ``PIECES`` equal pieces, the middle of each equal part of it."""

PIECES = 12


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """A recording, stretch by stretch.

    Attributes:
        seconds: That it lasts.
        length: Seconds of a stretch.
        starts: First second of each stretch that is not silent, ascending. float64, ``(n,)``.
        rows: Timbre, rhythm and harmony of each, as ``audio.builtin`` describes whole songs. float32, ``(n, dim)``.
        pieces: What was listened to: the first second of each piece, and its decibels, float32 ``(frames, bands)``.
        portrait: What can be said of it in words.
    """

    seconds: float
    length: float
    starts: NDArray[np.float64]
    rows: Vectors
    pieces: tuple[tuple[float, Frames], ...]
    portrait: Portrait

    @property
    def listened(self) -> float:
        """Seconds that were listened to."""
        return sum(len(sound) for _, sound in self.pieces) / FRAME_RATE

    def frames(self, start: float, length: float) -> Frames | None:
        """Decibels of some seconds, less their mean in each band; ``None`` where they were not listened to.

        Returns:
            float32, shape ``(round(length * FRAME_RATE), bands)``.
        """
        count = round(length * FRAME_RATE)
        for first, sound in self.pieces:
            at = round((start - first) * FRAME_RATE)
            if at >= 0 and at + count <= len(sound):
                own: Frames = sound[at : at + count] - sound[at : at + count].mean(axis=0)
                return own
        return None


def hear(path: Path) -> Heard:
    """Listen to a recording.

    Args:
        path: Any format that libsndfile or FFmpeg reads.

    Raises:
        MediaError: It cannot be read or decoded, or is too short or silent.
    """
    spans: list[Span] = []

    def plan(seconds: float) -> tuple[Span, ...]:
        spans.extend(plan_pieces(seconds))
        return tuple(spans)

    recording = read_windows(path, RATE, plan)
    audible_windows(recording)
    spans = spans[-len(recording.windows) :]
    mels = [mel_power(window) for window in recording.windows]
    chromas = [chroma_power(window, PITCH_CLASSES) for window in recording.windows]
    length = min(STRETCH, recording.seconds)
    starts, rows = [], []
    for span, window, mel, chroma in zip(spans, recording.windows, mels, chromas, strict=True):
        for offset in np.arange(0, max(0.0, len(window) / RATE - length) + 1e-6, STEP).tolist():
            sound = window[round(offset * RATE) : round((offset + length) * RATE)]
            if np.abs(sound).max(initial=0) <= SILENCE:
                continue
            own = mel[round(offset * FRAME_RATE) : round((offset + length) * FRAME_RATE)]
            tones = chroma[round(offset * RATE / CHROMA_HOP) : max(1, round((offset + length) * RATE / CHROMA_HOP))]
            starts.append(span.start + offset)
            rows.append(describe_spectra([own], [tones]))
    joined = [mel.reshape(len(mel), -1, BANDS_JOINED).sum(axis=2) for mel in mels]
    pieces = tuple(zip((span.start for span in spans), levels(joined, DEPTH), strict=True))
    return Heard(recording.seconds, length, np.array(starts), np.stack(rows), pieces, portray(mels, chromas))


def plan_pieces(seconds: float) -> tuple[Span, ...]:
    """All of a recording of up to ``MOST`` seconds, else pieces spread evenly over it."""
    if seconds <= MOST:
        return (Span(0.0, seconds),)
    part, length = seconds / PIECES, MOST / PIECES
    return tuple(Span((i + 0.5) * part - length / 2, length) for i in range(PIECES))
