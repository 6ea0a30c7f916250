"""M3U8: a playlist as a text file that music players read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from index.errors import InputError, StorageError
from index.lists.tracks import Track


def m3u_text(entries: Iterable[tuple[Track, str]]) -> str:
    """Write tracks as extended M3U: ``#EXTM3U``, then ``#EXTINF:seconds,Artist - Title`` and the place of each.

    Args:
        entries: Tracks, each with where a player finds it: a path or an address.
    """
    lines = ["#EXTM3U"]
    for track, place in entries:
        seconds = -1 if track.seconds is None else round(track.seconds)
        name = track.title if track.artist is None else f"{track.artist} - {track.title}"
        lines += [f"#EXTINF:{seconds},{_one_line(name)}", f"./{place}" if place[:1] in "# " else place]
    return "\n".join(lines) + "\n"


def place_inside(path: Path, folders: Iterable[Path]) -> str:
    """Where a file lies inside the largest of some folders that holds it, with slashes; without one, its bare name.

    Nothing in it tells where the folders lie.
    """
    holding = [folder for folder in folders if path.is_relative_to(folder)]
    if not holding:
        return path.name
    return path.relative_to(min(holding, key=lambda folder: len(folder.parts))).as_posix()


def can_name(place: str) -> bool:
    """Whether a playlist in UTF-8 can write a place: it is valid text without a line break."""
    try:
        place.encode()
    except UnicodeEncodeError:
        return False
    return _one_line(place) == place


def write_m3u(tracks: Iterable[Track], file: Path) -> None:
    """Write a playlist as UTF-8, with paths relative to its own folder; it appears only when it is whole.

    Raises:
        InputError: A track has no file, or one whose name has a line break in it, which M3U cannot say.
        StorageError: The file cannot be written.
    """
    folder = file.absolute().parent
    entries = []
    for track in tracks:
        if not track.item.paths:
            raise InputError(f"item {track.item.item_id!r} has no file that a playlist could name")
        place = os.path.relpath(track.item.paths[0], folder)
        if _one_line(place) != place:
            raise InputError(f"the file of item {track.item.item_id!r} has a line break in its name; rename it")
        entries.append((track, place))
    partial = file.with_name(f".{file.name}.part")
    try:
        # names that are no valid text are written as the bytes that they are
        partial.write_bytes(m3u_text(entries).encode("utf-8", "surrogateescape"))
        os.replace(partial, file)
    except OSError as error:
        raise StorageError(f"cannot write {file}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
