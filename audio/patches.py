"""Which patches of a recording a sound network hears."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audio.decode import Plan
from audio.frontends import FrontEnd, Layout
from audio.logmel import log_mel, normalised
from audio.mel import Frames
from audio.signals import Signal
from audio.windows import WINDOW_SECONDS, WINDOWS, Span

SPARE_SECONDS = 0.01
"""Read beyond a patch, so that rounding to samples and changing the rate cannot cost its last frame."""

REST = 0.125
"""Share of a patch that may go unheard, rather than cost one patch more."""


def plan_patches(front: FrontEnd) -> Plan:
    """Plan what to read for a front-end: the built-in encoder's half minute, or three patches where those are longer.

    A recording of up to that length is read whole, in one stretch; of a longer one, stretches of equal length in the
    middle of equal parts, so that an hour costs what a song costs.
    """
    length = max(WINDOW_SECONDS, front.seconds + SPARE_SECONDS)

    def plan(seconds: float) -> Sequence[Span]:
        if seconds <= WINDOWS * length:
            return (Span(0.0, seconds),)
        part = seconds / WINDOWS
        return tuple(Span((i + 0.5) * part - length / 2, length) for i in range(WINDOWS))

    return plan


def patches_of(signals: Sequence[Signal], front: FrontEnd, layout: Layout) -> NDArray[np.float32]:
    """Cut sounds into the patches that a network takes.

    Args:
        signals: Mono sounds at ``front.rate``, each cut by itself; not empty.
        front: The front-end.
        layout: Axes of a patch.

    Returns:
        float32, shape ``(patches, *patch_shape(layout, front.frames, front.mels))``.
    """
    cut = np.concatenate([_cut(_whole(signal, front), front) for signal in signals])
    if layout in ("mel-time", "channel-mel-time"):
        cut = cut.transpose(0, 2, 1)
    if layout in ("channel-time-mel", "channel-mel-time"):
        cut = cut[:, None]
    return np.ascontiguousarray(cut)


def _whole(signal: Signal, front: FrontEnd) -> Frames:
    """The normalised spectrogram, of at least one patch."""
    if front.fill == "silence":
        needed = (front.frames - 1) * front.hop + front.window
        signal = np.pad(signal, (0, max(0, needed - len(signal))))
    frames = log_mel(signal, front)
    frames = np.pad(frames, ((0, max(0, front.frames - len(frames))), (0, 0)))
    return normalised(frames, front)


def _cut(frames: Frames, front: FrontEnd) -> NDArray[np.float32]:
    """As many patches as cover the sound but for ``REST``, evenly spaced: shape ``(patches, frames, mels)``."""
    spare = len(frames) - front.frames
    further = max(0, math.ceil((spare - REST * front.frames) / front.patch_hop))
    starts = np.linspace(0, spare, further + 1) if further else np.array([spare / 2])
    return np.stack([frames[start : start + front.frames] for start in starts.astype(int)])
