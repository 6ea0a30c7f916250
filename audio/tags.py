"""Title, artist, album and other facts that sound files carry about themselves."""

from __future__ import annotations

import re
from pathlib import Path

import mutagen

_TEXTS = {"title": "title", "artist": "artist", "album": "album", "genre": "genre"}


def read_tags(path: Path) -> dict[str, str | int]:
    """Read what a sound file says about itself.

    Args:
        path: Any file.

    Returns:
        Those of ``title``, ``artist``, ``album``, ``genre`` (text), ``year``, ``track``, ``bpm`` and ``duration``
        (whole numbers; beats a minute and seconds rounded) that are there. Empty for a file that is damaged, missing or
        no sound file.
    """
    try:
        with path.open("rb") as file:
            opened = mutagen.File(file, easy=True)
        if opened is None:
            return {}
        return _facts(opened)
    except Exception:  # mutagen raises whatever its parsers meet in a damaged file
        return {}


def _facts(opened: mutagen.FileType) -> dict[str, str | int]:
    facts: dict[str, str | int] = {}
    for name, key in _TEXTS.items():
        text = _first(opened, key)
        if text:
            facts[name] = text
    year = re.search(r"\d{4}", _first(opened, "date") or _first(opened, "year"))
    if year:
        facts["year"] = int(year[0])
    track = re.match(r"\d+", _first(opened, "tracknumber"))
    if track:
        facts["track"] = int(track[0])
    beats = re.match(r"\d+(\.\d+)?", _first(opened, "bpm"))
    if beats and float(beats[0]) > 0:  # programs that find none write 0
        facts["bpm"] = round(float(beats[0]))
    length = getattr(opened.info, "length", 0)
    if length and length > 0:
        facts["duration"] = round(length)
    return facts


def _first(opened: mutagen.FileType, key: str) -> str:
    """First non-empty value of a tag as clean text, or "" """
    try:
        values: object = opened.tags.get(key, []) if opened.tags is not None else []
    except (KeyError, ValueError):
        return ""
    for value in values if isinstance(values, list) else [values]:
        text = str(value).replace("\x00", " ").strip()
        if text:
            return text
    return ""
