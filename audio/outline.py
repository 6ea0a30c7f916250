"""A recording's cover and its outline in loudness: what can be drawn of a sound."""

from __future__ import annotations

from pathlib import Path

import mutagen
import numpy as np
from numpy.typing import NDArray

from audio.decode import Limits, read_windows
from audio.windows import Span

RATE = 8000
"""Samples per second that loudness is read at."""

EXCERPTS = 16
"""Places of a recording that are listened to."""

EXCERPT_SECONDS = 0.5

LIMITS = Limits(decode_seconds=10.0)

_FRONT_COVER = 3
_MAX_COVER = 32 << 20


def read_cover(path: Path) -> bytes | None:
    """The picture inside a sound file as it is stored, the front cover before others; ``None`` when it has none.

    ID3 (MP3, WAV, AIFF), FLAC, Ogg with picture blocks, and MP4 are read. A damaged file has none.
    """
    try:
        with path.open("rb") as file:
            opened = mutagen.File(file)
        found = [] if opened is None else _pictures(opened)
    except Exception:  # mutagen raises whatever its parsers meet in a damaged file
        return None
    found.sort(key=lambda picture: picture[0] != _FRONT_COVER)
    return found[0][1] if found and 0 < len(found[0][1]) <= _MAX_COVER else None


def _pictures(opened: mutagen.FileType) -> list[tuple[int, bytes]]:
    from base64 import b64decode

    from mutagen.flac import Picture

    found = [(int(picture.type), bytes(picture.data)) for picture in getattr(opened, "pictures", [])]
    tags = opened.tags
    if tags is None:
        return found
    if hasattr(tags, "getall"):
        found += [(int(frame.type), bytes(frame.data)) for frame in tags.getall("APIC")]
        return found
    for block in tags.get("metadata_block_picture", []):
        picture = Picture(b64decode(block))
        found.append((int(picture.type), bytes(picture.data)))
    covers = tags.get("covr", [])
    return found + [(_FRONT_COVER, bytes(cover)) for cover in covers if isinstance(cover, bytes)]


def read_outline(path: Path, bars: int) -> NDArray[np.float32]:
    """How loud a recording is along its length, from short excerpts of it.

    Args:
        bars: How many values, at least 2.

    Returns:
        float32, shape ``(bars,)``: root mean square of each part, 0 to 1 for the loudest.

    Raises:
        MediaError: It cannot be read or decoded.
    """

    def excerpts(seconds: float) -> list[Span]:
        if seconds <= EXCERPTS * EXCERPT_SECONDS:
            return [Span(0.0, seconds)]
        part = seconds / EXCERPTS
        return [Span((at + 0.5) * part - EXCERPT_SECONDS / 2, EXCERPT_SECONDS) for at in range(EXCERPTS)]

    signal = np.concatenate(read_windows(path, RATE, excerpts, LIMITS).windows)
    parts = np.array_split(signal.astype(np.float64), bars)
    levels = np.array([np.sqrt(np.mean(part**2)) if len(part) else 0.0 for part in parts])
    return np.asarray(levels / max(float(levels.max()), 1e-9), np.float32)
