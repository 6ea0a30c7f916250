"""Keeping a C library's chatter off standard error."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Point file descriptor 2 nowhere for the duration of a block.

    libsndfile reads MP3 by mpg123, which prints notes about damaged frames and tags that no setting of
    libsndfile silences; the damage that matters comes back as an error. One thread at a time is inside,
    because the descriptor belongs to the whole process. A process without a standard error is left alone.
    """
    with _lock:
        try:
            saved = os.dup(2)
        except OSError:
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
