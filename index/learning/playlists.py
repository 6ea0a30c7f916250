"""Playlists: M3U files, one or a folder of them, as groups of songs in the order in which they play."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from index.errors import InputError
from index.learning.edges import Event, Reading
from index.learning.lines import reading_errors

PLAYLIST_SUFFIXES = (".m3u", ".m3u8")


def read_playlists(source: Path, reading: Reading) -> Iterator[Event]:
    """Read the entries of M3U files.

    Args:
        source: One playlist, or a folder in which all are read, at any depth, in order of their paths. Text is
            UTF-8, and Latin-1 where it cannot be UTF-8.
        reading: Takes note of entries that are addresses of streams, which are left out.

    Yields:
        One event for each entry: the playlist's path as group, and as item the entry's path relative to the source
        folder with ``/``, or absolute where it lies elsewhere; the time is its place in the list, from 0.

    Raises:
        InputError: There is no playlist, one cannot be read, or more than half of the entries cannot be used.
    """
    rows, bad = reading.rows, reading.bad
    base = Path(os.path.abspath(source if source.is_dir() else source.parent))
    for playlist in playlists_of(source):
        with reading_errors(playlist):
            content = playlist.read_bytes()
        name = Path(os.path.abspath(playlist)).relative_to(base).as_posix()
        for place, (number, entry) in enumerate(_entries(content)):
            reading.rows += 1
            path = _local(entry)
            if not path:
                reading.leave_out(f"{name}, line {number}", f"{entry[:60]} is an address; only files are items")
                continue
            yield Event(_writable(name), _writable(_relative(path, playlist, base)), float(place))
    reading.check(source, rows, bad)


def playlists_of(source: Path) -> list[Path]:
    """The playlists that a file or folder holds, sorted by path.

    Raises:
        InputError: There is none.
    """
    if not source.is_dir():
        return [source]
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in PLAYLIST_SUFFIXES and path.is_file())
    if not found:
        raise InputError(f"{source} holds no playlists; expected files that end in {' or '.join(PLAYLIST_SUFFIXES)}")
    return found


def _entries(content: bytes) -> Iterator[tuple[int, str]]:
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        lines = content.decode("latin-1").splitlines()
    for number, line in enumerate(lines, 1):
        entry = line.strip()
        if entry and not entry.startswith("#"):
            yield number, entry


def _local(entry: str) -> str:
    """The path that an entry names, with ``/``; empty for an address."""
    if entry.lower().startswith("file://"):
        return unquote(entry[7:].removeprefix("localhost"))
    return "" if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", entry) else entry.replace("\\", "/")


def _relative(path: str, playlist: Path, base: Path) -> str:
    folder = os.path.dirname(os.path.abspath(playlist))
    absolute = os.path.normpath(os.path.join(folder, path))
    inside = os.path.relpath(absolute, base)
    if inside != ".." and not inside.startswith("../"):
        return inside
    return absolute


def _writable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
