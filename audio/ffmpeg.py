"""Reading spans of what libsndfile cannot read (m4a, AAC, WMA, WebM, …) through FFmpeg, by PyAV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from audio.signals import Signal, mix_down
from audio.sources import MAX_RATE, UnreadableError
from audio.windows import Span
from index.errors import MediaError

PREROLL_SECONDS = 0.2
"""Decoded and thrown away before a span: codecs that carry state need up to 80 ms (Opus, RFC 7845 section 4.6)."""

PLAYLISTS = frozenset({"applehttp", "concat", "dash", "hls", "imf"})
"""Formats that name other files. An item is one file, and must not make the reader open another."""

HEADERLESS = frozenset({"aac", "ac3", "adx", "dts", "eac3", "loas", "truehd"})
"""Formats without a length in them: FFmpeg guesses it from the bit rate, off by several percent."""

_FULL_SCALE = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "s64": 9223372036854775808.0}

av.logging.set_level(None)


class FfmpegSource:
    """An open file; see ``audio.sources.Source``."""

    def __init__(self, path: Path, deadline: float) -> None:
        try:
            self._container = av.open(
                str(path.absolute()),  # a relative name with a colon would be taken for a network address
                options={"protocol_whitelist": "file"},
                metadata_errors="replace",
                timeout=max(1.0, deadline - time.monotonic()),
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise UnreadableError("FFmpeg does not know this format") from error
        try:
            if not PLAYLISTS.isdisjoint(self._container.format.name.split(",")):
                raise UnreadableError("it is a playlist")
            streams = self._container.streams.audio
            if not streams:
                raise UnreadableError("FFmpeg finds no sound in it")
            self._stream = streams[0]
            if self._stream.codec_context is None:  # then it has no rate either, not even none
                raise UnreadableError("FFmpeg has no decoder for its sound")
            if not 0 < (self._stream.rate or 0) <= MAX_RATE:
                raise UnreadableError("FFmpeg finds no possible sample rate in it")
            self._rate = int(self._stream.rate)
            self._origin = float((self._stream.start_time or 0) * (self._stream.time_base or 0))
            self._seconds = self._find_seconds(deadline)
        except (av.FFmpegError, UnreadableError) as error:
            self._container.close()
            raise UnreadableError(str(error)) from error
        except MediaError:
            self._container.close()
            raise

    def _find_seconds(self, deadline: float) -> float:
        """Length by the stream's header, else the container's, else by counting packets without decoding."""
        base = float(self._stream.time_base or 0)
        if self._container.format.name not in HEADERLESS:
            if self._stream.duration:
                return float(self._stream.duration) * base
            if self._container.duration:
                return self._container.duration / av.time_base
        end = 0.0
        for packet in self._container.demux(self._stream):
            if packet.pts is not None:
                end = max(end, float(packet.pts + (packet.duration or 0)) * base)
            if time.monotonic() > deadline:
                raise MediaError("decode", "takes too long to decode")
        return end - self._origin

    @property
    def rate(self) -> int:
        """Samples per second as stored."""
        return self._rate

    @property
    def seconds(self) -> float:
        """Length as the header, or a count of packets, has it."""
        return self._seconds

    def read(self, span: Span, deadline: float) -> Signal:
        """Read one span, mixed down to mono, at the stored rate; see ``audio.sources.Source``."""
        first, wanted = round(span.start * self._rate), round(span.seconds * self._rate)
        blocks: list[Signal] = []
        have = 0
        start = max(0.0, span.start - PREROLL_SECONDS) + self._origin
        try:
            self._container.seek(int(start * av.time_base))
        except (av.FFmpegError, OSError) as error:
            raise UnreadableError("FFmpeg cannot seek in it") from error
        expected = 0
        for frame in self._frames(deadline):
            at = expected if frame.time is None else round((float(frame.time) - self._origin) * self._rate)
            expected = at + frame.samples
            if expected > first:
                blocks.append(mix_down(_channels(frame))[max(0, first - at) :])
                have += len(blocks[-1])
            if have >= wanted:
                break
        return np.concatenate(blocks)[:wanted] if blocks else np.zeros(0, np.float32)

    def _frames(self, deadline: float) -> Iterator[av.AudioFrame]:
        """Decode from here on, passing over packets that are damaged."""
        packets = self._container.demux(self._stream)
        while True:
            if time.monotonic() > deadline:
                raise MediaError("decode", "takes too long to decode")
            try:
                yield from self._stream.codec_context.decode(next(packets))
            except av.InvalidDataError:
                continue
            except (StopIteration, av.EOFError):
                return
            except (av.FFmpegError, OSError) as error:
                raise UnreadableError("FFmpeg fails inside the file") from error

    def close(self) -> None:
        """Free the file."""
        self._container.close()


def _channels(frame: av.AudioFrame) -> NDArray[np.float32]:
    """Samples of a frame in -1..1: float32, shape ``(samples, channels)``."""
    samples = frame.to_ndarray()
    count = len(frame.layout.channels)
    interleaved = samples.reshape(-1, count) if not frame.format.is_planar else samples.T
    scale = _FULL_SCALE.get(frame.format.name.rstrip("p"))
    if scale is None:
        return interleaved.astype(np.float32)
    centre = 128.0 if frame.format.name.startswith("u8") else 0.0
    return ((interleaved.astype(np.float32) - np.float32(centre)) / np.float32(scale)).astype(np.float32)
