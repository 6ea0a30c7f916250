"""The writer's lock: one writer at a time, told by name, freed by death."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index.errors import LockedError, StorageError


@contextmanager
def writer_lock(catalog: Path) -> Iterator[None]:
    """Hold the catalog's writer lock while the body runs.

    The operating system frees the lock when the process dies, however it dies, so a stale lock cannot
    exist; ``writer.json`` beside it only says who held it last.

    Args:
        catalog: The catalog's folder, which must exist.

    Raises:
        LockedError: Another process holds it; the message says which, since when.
        StorageError: The lock file cannot be written.
    """
    from filelock import FileLock, Timeout  # which readers do without

    lock = FileLock(catalog / "writer.lock", timeout=0)
    holder = catalog / "writer.json"
    try:
        lock.acquire()
    except Timeout:
        raise LockedError(f"{catalog} is being written by {_told(holder)}; wait for it, then run again") from None
    except OSError as error:
        raise StorageError(f"cannot write to {catalog}: {error.strerror or error}") from None
    try:
        who = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        holder.write_text(json.dumps(who))
        yield
    except BrokenPipeError:  # whoever read our output went away: no trouble of the disk
        raise
    except OSError as error:
        place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else catalog
        raise StorageError(f"{place}: {(error.strerror or str(error)).lower()}; what was committed is kept") from error
    finally:
        lock.release()


def _told(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text())
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
