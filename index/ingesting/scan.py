"""Scanning a folder: every picture and sound below it, with one ``stat`` each."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import NamedTuple

from index.encoders import modality_of
from index.errors import InputError
from index.schema import DATABASE
from index.types import Modality

REPEATED = 1_000_000
"""Position given to media whose id was used before (plus a row number): listed as a failure, never indexed."""


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
    root: bytes, attributes_of: Callable[[str, str], str], unknown: Callable[[bytes], None]
) -> Iterator[Entry]:
    """Walk a folder, names in byte order, following links but entering no folder twice.

    Hidden names (``.thumbnails``, ``._photo.jpg``) and simkin catalogs are passed over.

    Args:
        root: The folder, absolute.
        attributes_of: Given an item's id and the name of the folder it lies in (empty at the top),
            its attributes as a JSON object.
        unknown: Told of each folder below the root, ending in ``/``, of whose content nothing is known now.
            One that cannot be listed is an entry with a problem, too; a link to a folder that is gone is not.

    Raises:
        InputError: The root itself cannot be listed.
    """
    visited: set[tuple[int, int]] = set()
    modalities: dict[bytes, Modality | None] = {}
    try:
        open_folders = [(b"", "", iter(_listing(root, visited)))]
    except OSError as error:
        raise InputError(f"cannot list {entry_id(root)}: {_plain(error)}") from None
    while open_folders:
        below, folder, listing = open_folders[-1]
        for entry in listing:
            name = entry.name
            path = below + name
            if _is_folder(entry):
                try:
                    open_folders.append((path + b"/", entry_id(name), iter(_listing(entry.path, visited))))
                    break
                except OSError as error:
                    unknown(path + b"/")
                    reason = f"the folder cannot be listed: {_plain(error)}"
                    yield unreadable(entry_id(path) + "/", 0, path + b"/", "image", "{}", reason)
                    continue
            suffix = name[name.rfind(b".") :]
            if suffix not in modalities:
                modalities[suffix] = modality_of(os.fsdecode(suffix))
            modality = modalities[suffix]
            if modality is None:
                if entry.is_symlink() and not os.path.exists(entry.path):
                    unknown(path + b"/")
                continue
            item_id = path.decode("utf-8", "backslashreplace")
            attributes = attributes_of(item_id, folder)
            try:
                status = entry.stat()
            except OSError as error:  # a dangling link, a loop of links, a file that went away
                yield Entry(item_id, 0, path, modality, -1, 0, attributes, _plain(error))
                continue
            if "\\" in item_id and item_id.encode() != path and os.path.lexists(os.path.join(root, item_id.encode())):
                yield unreadable(item_id, REPEATED, path, modality, attributes, f"another file is named {item_id!r}")
                continue
            yield Entry(item_id, 0, path, modality, status.st_size, status.st_mtime_ns, attributes)
        else:
            open_folders.pop()


def folder_attributes(extra: Mapping[str, str]) -> Callable[[str, str], str]:
    """Return what tells a scanned file's attributes: the folder it lies in as ``category``, and what is told besides.

    Args:
        extra: Item id → JSON object, over what the folder says.
    """
    of_folder: dict[str, str] = {}

    def attributes_of(item_id: str, folder: str) -> str:
        if folder not in of_folder:
            of_folder[folder] = json.dumps({"category": folder} if folder else {}, ensure_ascii=False)
        if item_id not in extra:
            return of_folder[folder]
        return json.dumps({**json.loads(of_folder[folder]), **json.loads(extra[item_id])}, ensure_ascii=False)

    return attributes_of


def entry_id(path: bytes) -> str:
    """Return a path as an item id: text, with bytes that are not UTF-8 shown as ``\\xNN``."""
    return path.decode("utf-8", "backslashreplace")


def unreadable(
    item_id: str, position: int, path: bytes, modality: Modality | None, attributes: str, problem: str
) -> Entry:
    """Return the entry of something that cannot be read; another problem counts as a change."""
    stamp = zlib.crc32(problem.encode("utf-8", "replace"))
    return Entry(item_id, position, path, modality or "image", -1, stamp, attributes, problem)


def _listing(folder: bytes, visited: set[tuple[int, int]]) -> list[os.DirEntry[bytes]]:
    """What lies in a folder, by name; nothing when it was visited before or is a catalog."""
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in visited:
        return []
    visited.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as listing:
        found = [entry for entry in listing if entry.name[0] != _DOT]
    found.sort(key=_name)
    if os.path.exists(os.path.join(folder, _DATABASE)) and os.path.exists(os.path.join(folder, b"writer.json")):
        return []
    return found


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


_DATABASE = DATABASE.encode()
_DOT = ord(".")
_name = attrgetter("name")


def _plain(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
