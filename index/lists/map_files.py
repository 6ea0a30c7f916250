"""Writing a map to a file: a page, a picture, or the numbers, as the name's ending says."""

from __future__ import annotations

import json
from pathlib import Path

from index.errors import InputError, StorageError
from index.lists.map import StyleMap


def write_map(style_map: StyleMap, out: Path, side: int = 2400) -> None:
    """Write a map as ``.html`` (``map_page``), ``.png`` (``map_picture``) or ``.json`` (``StyleMap.to_json``).

    Args:
        style_map: The map.
        out: The file, replaced if it exists.
        side: Pixels a side of a PNG.

    Raises:
        InputError: Another ending, or a size that is out of range.
        StorageError: The file cannot be written.
    """
    from index.lists.map_page import map_page
    from index.lists.map_picture import map_png

    ending = out.suffix.lower()
    if ending == ".html":
        content = map_page(style_map).encode("utf-8", "replace")
    elif ending == ".png":
        content = map_png(style_map, side)
    elif ending == ".json":
        content = json.dumps(style_map.to_json()).encode()
    else:
        raise InputError(f"a map is written as .html, .png or .json, not as {out.name!r}")
    try:
        out.write_bytes(content)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}") from None
