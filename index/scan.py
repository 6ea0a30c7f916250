"""Scanning a folder: every picture and sound below it, with one ``stat`` each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from index.encoders import modality_of
from index.schema import DATABASE
from index.types import Modality


class Entry(NamedTuple):
    """One file that a source names, before anything of it was read.

    Attributes:
        item_id: The item it belongs to; for a folder, the path below it with ``/``.
        position: Place among the item's media, from 0.
        path: Relative to the source's folder, or absolute; bytes as the file system gives them.
        modality: Picture or sound.
        size: Bytes; -1 when there is no such file.
        mtime_ns: Last modification, nanoseconds.
        attributes: JSON object of what the source says of the item.
        problem: Why it cannot be read, known before trying; empty when nothing is known.
    """

    item_id: str
    position: int
    path: bytes
    modality: Modality
    size: int
    mtime_ns: int
    attributes: str
    problem: str = ""


def scan_folder(
    root: bytes, attributes_of: Callable[[str, str], str], unreadable: Callable[[bytes, OSError], None]
) -> Iterator[Entry]:
    """Walk a folder, names in byte order, following links but entering no folder twice.

    Hidden names (``.thumbnails``, ``._photo.jpg``) and simkin catalogs are passed over.

    Args:
        root: The folder, absolute.
        attributes_of: Given an item's id and the name of the folder it lies in (empty at the top),
            its attributes as a JSON object.
        unreadable: Told of each folder, relative to the root, that could not be listed, and why.
    """
    visited: set[tuple[int, int]] = set()
    yield from _walk(root, b"", b"", attributes_of, unreadable, visited)


def entry_id(path: bytes) -> str:
    """Return a path as an item id: text, with bytes that are not UTF-8 shown as ``\\xNN``."""
    return path.decode("utf-8", "backslashreplace")


def _walk(
    folder: bytes,
    below: bytes,
    name: bytes,
    attributes_of: Callable[[str, str], str],
    unreadable: Callable[[bytes, OSError], None],
    visited: set[tuple[int, int]],
) -> Iterator[Entry]:
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in visited:
            return
        visited.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as listing:
            found = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        unreadable(below, error)
        return
    if any(entry.name == DATABASE.encode() for entry in found):
        return
    text = entry_id(name)
    for entry in found:
        if entry.name.startswith(b"."):
            continue
        path = below + entry.name
        modality = modality_of(os.fsdecode(entry.name))
        try:
            if entry.is_dir():
                yield from _walk(entry.path, path + b"/", entry.name, attributes_of, unreadable, visited)
            elif modality is not None:
                item_id = entry_id(path)
                status = entry.stat()
                attributes = attributes_of(item_id, text)
                yield Entry(item_id, 0, path, modality, status.st_size, status.st_mtime_ns, attributes)
        except OSError as error:  # a dangling link, a loop of links, a file that went away
            if modality is not None:
                item_id = entry_id(path)
                yield Entry(item_id, 0, path, modality, -1, 0, attributes_of(item_id, text), _plain(error))


def _plain(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
