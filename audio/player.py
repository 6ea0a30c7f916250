"""A sound for a browser's player, inside a page: the file itself if it is small, else a small copy."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from audio.decode import read_windows
from audio.windows import Span
from index.errors import MediaError

WHOLE_BYTES = 8 << 20
"""Files up to this size are taken as they are."""

PLAYED = {".mp3": "mpeg", ".wav": "wav", ".flac": "flac", ".ogg": "ogg", ".oga": "ogg", ".opus": "ogg", ".m4a": "mp4"}
"""Endings of files that browsers play, and their media types."""

RATE = 24_000
"""Samples per second of a copy."""

LONGEST = 15 * 60.0
"""Seconds of a copy: at about 40 kbit/s less than five megabytes."""


def data_address(path: Path) -> str:
    """A ``data:`` address.

    Args:
        path: Any format that libsndfile or FFmpeg reads; of a longer or larger file a mono MP3 is made, of its first
            ``LONGEST`` seconds.

    Raises:
        MediaError: It cannot be read or decoded.
    """
    kind = PLAYED.get(path.suffix.lower())
    try:
        if kind and path.stat().st_size <= WHOLE_BYTES:
            return f"data:audio/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    except OSError as error:
        raise MediaError("read", f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    import soundfile

    recording = read_windows(path, RATE, lambda seconds: (Span(0.0, min(seconds, LONGEST)),))
    content = io.BytesIO()
    soundfile.write(content, recording.windows[0], RATE, format="MP3")
    return f"data:audio/mpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
