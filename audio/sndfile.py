"""Reading spans of WAV, FLAC, Ogg, Opus, MP3 and AIFF files through libsndfile."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import soundfile

from audio.quiet import quiet_stderr
from audio.signals import Signal, mix_down
from audio.sources import MAX_RATE, UnreadableError
from audio.windows import Span
from index.errors import MediaError

BLOCK_SAMPLES = 1 << 20
"""Samples (over all channels) read at once: what bounds the memory of files with many channels."""

SLACK = 4096
"""Bytes by which a WAV file may be shorter than its header says: some programs count their tags wrongly."""


class SndfileSource:
    """An open file; see ``audio.sources.Source``."""

    def __init__(self, path: Path) -> None:
        name = str(path) if os.name == "nt" else os.fsencode(path)
        try:
            with quiet_stderr():
                self._file = soundfile.SoundFile(name)
        except (soundfile.LibsndfileError, TypeError) as error:
            # TypeError: soundfile asks for more parameters where the name ends in .raw
            raise UnreadableError("libsndfile does not know this format") from error
        if not 0 < self._file.samplerate <= MAX_RATE:
            self._file.close()
            raise UnreadableError("libsndfile finds an impossible sample rate")
        try:
            _check_wav(path)
        except MediaError:
            self.close()
            raise

    @property
    def rate(self) -> int:
        """Samples per second as stored."""
        return int(self._file.samplerate)

    @property
    def seconds(self) -> float:
        """Length as the header has it."""
        return float(self._file.frames) / self.rate

    def read(self, span: Span, deadline: float) -> Signal:
        """Read one span, mixed down to mono, at the stored rate; see ``audio.sources.Source``."""
        first = min(round(span.start * self.rate), self._file.frames)
        left = min(round(span.seconds * self.rate), self._file.frames - first)
        step = max(1, BLOCK_SAMPLES // self._file.channels)
        blocks = []
        try:
            with quiet_stderr():
                self._file.seek(first)
                while left > 0:
                    if time.monotonic() > deadline:
                        raise MediaError("decode", "takes too long to decode")
                    block = self._file.read(min(step, left), dtype="float32", always_2d=True)
                    if not len(block):
                        break
                    blocks.append(mix_down(block))
                    left -= len(block)
        except soundfile.LibsndfileError as error:
            raise UnreadableError("libsndfile fails inside the file") from error
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)

    def close(self) -> None:
        """Free the file."""
        with quiet_stderr():
            self._file.close()


def _check_wav(path: Path) -> None:
    """Refuse a WAV file that is shorter than its header says; libsndfile would take it for a shorter song.

    Headers of 0 or of all ones, as streams have them, say nothing.
    """
    with path.open("rb") as file:
        head = file.read(12)
        size = os.fstat(file.fileno()).st_size
    promised = int.from_bytes(head[4:8], "little")
    if head[:4] == b"RIFF" and head[8:] == b"WAVE" and 0 < promised < 0xFFFFFF00 and promised - SLACK > size:
        raise MediaError("decode", f"truncated: the file has {size} bytes, its header promises {promised + 8}")
