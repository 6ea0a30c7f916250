"""What an open sound file can do, whichever library reads it."""

from __future__ import annotations

from typing import Protocol

from audio.signals import Signal
from audio.windows import Span

MAX_RATE = 1_000_000
"""Samples per second beyond which a header is taken for damaged; the fastest in use is 768 000."""


class UnreadableError(Exception):
    """This library cannot read the file; another may. Never leaves ``audio.decode``."""


class Source(Protocol):
    """An open sound file, from which spans are read in order of time."""

    @property
    def rate(self) -> int:
        """Samples per second as stored."""
        ...

    @property
    def seconds(self) -> float:
        """Length of the recording as its header, or a count of its packets, has it."""
        ...

    def read(self, span: Span, deadline: float) -> Signal:
        """Read one span, mixed down to mono, at the stored rate.

        Args:
            span: Where to read. Fewer samples come back where the recording ends early.
            deadline: Value of ``time.monotonic`` at which to give up.
        """
        ...

    def close(self) -> None:
        """Free the file."""
        ...
