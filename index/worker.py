"""The worker process: takes files over a socket, answers with what encoders prepared, dies with its parent."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from index.encoders import load_encoder, tags_of
from index.errors import MediaError
from index.types import Encoder
from index.workers import Described, Job

WHOLE = 64 << 20
"""Bytes; longer files are told apart by their first and last 8 MiB and their length."""
PART = 8 << 20


def serve(descriptor: int) -> None:
    """Answer jobs until the other end of the socket is closed, as by the parent's death."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    connection = Connection(descriptor)
    encoders: dict[str, Encoder] = {}
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(tuple(describe(Job(*connection.recv()), encoders)))


def describe(job: Job, encoders: dict[str, Encoder]) -> Described:
    """Read, decode and describe one file.

    Args:
        job: Which file, by which encoders.
        encoders: Those loaded so far; missing ones are loaded and kept here.

    Returns:
        The answer; whatever is wrong with the file is data in it, never an exception.
    """
    digest, tags, prepared = b"", "", []
    path = Path(os.fsdecode(job.path))
    try:
        digest = content_digest(path)
        if digest == job.known:
            return Described(job.number, digest, tags, ())
        found = tags_of(path, job.modality)
        tags = json.dumps(found, ensure_ascii=False) if found else ""
        for name in job.encoders:
            if name not in encoders:
                encoders[name] = load_encoder(name)
            array: Any = encoders[name].prepare(path)
            prepared.append((name, array.dtype.str, array.shape, array.tobytes()))
    except MediaError as error:
        return Described(job.number, digest, tags, (), error.stage, error.reason)
    except MemoryError:
        return Described(job.number, digest, tags, (), "decode", "not enough memory to decode it")
    except Exception as error:  # one bad file never stops a batch, whatever a codec makes of it
        return Described(job.number, digest, tags, (), "encode", f"unexpected {type(error).__name__}: {error}")
    return Described(job.number, digest, tags, tuple(prepared))


def content_digest(path: Path) -> bytes:
    """Return 16 bytes that tell a file's content apart; long files are sampled at both ends.

    Raises:
        MediaError: The file cannot be read, or is empty.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise MediaError("read", "the file is empty (0 bytes)")
            hasher = hashlib.blake2b(digest_size=16)
            if size <= WHOLE:
                while block := file.read(1 << 20):
                    hasher.update(block)
            else:
                hasher.update(size.to_bytes(8, "little"))
                hasher.update(file.read(PART))
                file.seek(-PART, os.SEEK_END)
                hasher.update(file.read(PART))
            return hasher.digest()
    except OSError as error:
        raise MediaError("read", (error.strerror or str(error)).lower()) from None
