"""The worker process: takes files over a socket, answers with vectors, dies with its parent."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import signal
import stat
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from index.encoders import load_encoder, tags_of
from index.errors import MediaError
from index.ingesting.workers import READY, Described, Job
from index.types import Encoder

WHOLE = 64 << 20
"""Bytes; longer files are told apart by their first and last 8 MiB and their length."""
PART = 8 << 20


def serve(descriptor: int) -> None:
    """Answer jobs until the other end of the socket is closed, as by the parent's death."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a codec that crashes leaves no core file behind
    _die_with_parent()
    connection = Connection(descriptor)
    encoders: dict[str, Encoder] = {}
    with contextlib.suppress(EOFError, OSError):
        connection.send(READY)
        while True:
            connection.send(tuple(describe(Job(*connection.recv()), encoders)))


def _die_with_parent() -> None:
    """Have Linux end this process at its parent's death, even in the middle of a file."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG


def describe(job: Job, encoders: dict[str, Encoder]) -> Described:
    """Read, decode and describe one file.

    Args:
        job: Which file, by which encoders.
        encoders: Those loaded so far; missing ones are loaded and kept here.

    Returns:
        The answer; whatever is wrong with the file is data in it, never an exception.
    """
    digest, tags, vectors = b"", "", []
    path = Path(os.fsdecode(job.path))
    started = opened = time.perf_counter()

    def spent() -> tuple[float, float]:
        return opened - started, time.perf_counter() - opened

    try:
        digest = content_digest(path)
        opened = time.perf_counter()
        if digest == job.known:
            return Described(job.number, digest, tags, ())
        found = tags_of(path, job.modality)
        tags = json.dumps(found, ensure_ascii=False).encode("utf-8", "replace").decode()
        for name in job.encoders:
            if name not in encoders:
                encoders[name] = load_encoder(name)
            vector = encoders[name].describe(path)
            if not np.isfinite(vector).all() or not vector.any():
                raise MediaError("encode", f"{name} gave values that are no numbers, or none")
            vectors.append((name, vector.astype("<f4", copy=False).tobytes()))
    except MediaError as error:
        return Described(job.number, digest, tags, (), error.stage, error.reason, spent())
    except MemoryError:
        return Described(job.number, digest, tags, (), "decode", "not enough memory to decode it")
    except Exception as error:  # one bad file never stops a batch, whatever a codec makes of it
        return Described(job.number, digest, tags, (), "encode", f"unexpected {type(error).__name__}: {error}")
    return Described(job.number, digest, tags, tuple(vectors), spent=spent())


def content_digest(path: Path) -> bytes:
    """Return 16 bytes that tell a file's content apart; long files are sampled at both ends.

    Raises:
        MediaError: The file cannot be read, is empty, or is no regular file.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise MediaError("read", "expected a regular file, found something else")
            size = status.st_size
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


def _open_at_once(name: str, flags: int) -> int:
    """Open without waiting for the writing end of a named pipe."""
    return os.open(name, flags | os.O_NONBLOCK)
