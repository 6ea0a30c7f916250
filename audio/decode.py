"""Windows of a sound file as mono float32 at a wanted rate; bounded in bytes, seconds and time."""

from __future__ import annotations

import errno
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from audio.signals import Signal, resample
from audio.sources import Source, UnreadableError
from audio.windows import Span
from index.errors import MediaError

Plan: TypeAlias = Callable[[float], Sequence[Span]]
"""From a recording's length in seconds to the spans wanted of it, in order of time."""

SHORT = 0.02
"""A recording that ends more than this share before its header says is truncated. Lengths in headers are
off by encoder delay (0.05 s) and by the last frame; half a second of a 25-second clip is more than that."""

ROUNDING = 0.001
"""Seconds by which a span may come out shorter: its ends are rounded to whole samples."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost.

    Attributes:
        bytes: Largest file; three hours of 16-bit stereo at 44.1 kHz are 1.9e9.
        seconds: Longest recording, in seconds.
        decode_seconds: Longest wall-clock time spent on decoding, in seconds.
    """

    bytes: int = 4 << 30
    seconds: float = 24 * 3600.0
    decode_seconds: float = 60.0


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Recording:
    """What was read of a file.

    Attributes:
        windows: One signal per span of the plan, all at the wanted rate.
        seconds: Length of the whole recording.
    """

    windows: tuple[Signal, ...]
    seconds: float


def read_windows(path: Path, rate: int, plan: Plan, limits: Limits = DEFAULT_LIMITS) -> Recording:
    """Read the planned windows of a sound file, and nothing else of it.

    libsndfile is asked first (its seeks are exact to the sample), FFmpeg reads what libsndfile cannot.

    Args:
        path: The file; its name need not be valid text.
        rate: Wanted samples per second.
        plan: Chooses the spans once the length is known.
        limits: What the file may cost.

    Raises:
        MediaError: Stage "read" when the file cannot be opened or is too large; "decode" when it is empty,
            no sound file, truncated, too long, or takes too long.
    """
    _check_file(path, limits)
    deadline = time.monotonic() + limits.decode_seconds
    from audio.sndfile import SndfileSource

    try:
        return _read(SndfileSource(path), rate, plan, limits, deadline)
    except UnreadableError as error:
        refused = str(error)
    from audio.ffmpeg import FfmpegSource

    try:
        return _read(FfmpegSource(path, deadline), rate, plan, limits, deadline)
    except UnreadableError as error:
        raise MediaError("decode", f"not a sound file that can be decoded: {error}; {refused}") from error


def _check_file(path: Path, limits: Limits) -> None:
    try:
        status = path.stat()
        with path.open("rb"):
            pass
    except OSError as error:
        reason = "no such file" if error.errno == errno.ENOENT else (error.strerror or "cannot be opened")
        raise MediaError("read", f"cannot be read: {reason.lower()}") from error
    if not stat.S_ISREG(status.st_mode):
        raise MediaError("read", "cannot be read: not a regular file")
    if status.st_size == 0:
        raise MediaError("decode", "the file is empty")
    if status.st_size > limits.bytes:
        raise MediaError("read", f"the file has {status.st_size} bytes, more than the limit of {limits.bytes}")


def _read(source: Source, rate: int, plan: Plan, limits: Limits, deadline: float) -> Recording:
    try:
        seconds = source.seconds
        if seconds > limits.seconds:
            raise MediaError("decode", f"lasts {seconds:.0f} s, more than the limit of {limits.seconds:.0f} s")
        if seconds <= 0:
            raise MediaError("decode", "holds no sound")
        spans = plan(seconds)
        windows = []
        for span in spans:
            signal = source.read(span, deadline)
            _check_length(len(signal) / source.rate, span, seconds)
            windows.append(resample(signal, source.rate, rate))
        if spans and spans[-1].start + spans[-1].seconds < (1 - SHORT) * seconds:
            tail = Span((1 - SHORT) * seconds, 0.02)
            _check_length(len(source.read(tail, deadline)) / source.rate, tail, seconds)
    finally:
        source.close()
    return Recording(tuple(windows), seconds)


def _check_length(read: float, span: Span, seconds: float) -> None:
    ends = span.start + read
    if read == 0 or (read < span.seconds - ROUNDING and ends < (1 - SHORT) * seconds):
        raise MediaError(
            "decode", f"truncated: sound ends before {ends:.1f} s, but its header promises {seconds:.1f} s"
        )
