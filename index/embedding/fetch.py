"""Bringing media that lie elsewhere into a local file, some ahead of the workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from index.embedding import http
from index.embedding.remote import fetch_remote, is_http, scheme_of
from index.errors import MediaError
from index.types import Modality

LARGEST: dict[Modality, int] = {"image": 256 << 20, "audio": 2 << 30}
"""Bytes fetched for one picture or sound."""

AT_ONCE = 16
"""Files fetched at the same time: servers are far away, and most of the time is waiting."""

AHEAD = 64
"""Files fetched before they are needed; so many lie in the spool folder at most."""

Asked = TypeVar("Asked")
Got = TypeVar("Got")


def bring(path: bytes, offset: int, size: int, modality: Modality, target: Path) -> None:
    """Write a file's content, or a tar member's, to a local file.

    Args:
        path: A local path, or a URL.
        offset: First byte of the member in it; -1 for all of the file.
        size: Bytes of the member.
        target: Written anew.

    Raises:
        MediaError: Stage ``"read"``; it cannot be had.
    """
    largest = LARGEST[modality]
    name = os.fsdecode(path)
    if offset >= 0 and size > largest:
        raise MediaError("read", f"it has {size:,} bytes, more than the {largest:,} allowed")
    try:
        if is_http(name):
            http.fetch(name, target, largest)
        elif scheme_of(name):
            fetch_remote(name, target, largest, offset, size)
        else:
            with open(path, "rb") as tar:
                tar.seek(offset)
                content = tar.read(size)
            if len(content) != size:
                raise MediaError("read", f"the tar is cut off: {len(content)} of {size} bytes are there")
            target.write_bytes(content)
    except OSError as error:
        raise MediaError("read", (error.strerror or str(error)).lower()) from None


def ahead(asked: Iterator[Asked], work: Callable[[Asked], Got]) -> Generator[tuple[Asked, Future[Got]], None, None]:
    """Do some work in threads a little ahead of whoever takes the results, those that are ready first.

    Yields:
        What was asked, and its finished work; a slow one holds nobody up until too many are slow.
    """
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch") as pool:
        waiting: dict[Future[Got], Asked] = {}
        try:
            for one in asked:
                waiting[pool.submit(work, one)] = one
                if len(waiting) >= AHEAD:
                    yield from _finished(waiting)
            while waiting:
                yield from _finished(waiting)
        finally:
            for future in waiting:
                future.cancel()


def _finished(waiting: dict[Future[Got], Asked]) -> Iterator[tuple[Asked, Future[Got]]]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in [future for future in waiting if future in done]:
        yield waiting.pop(future), future
