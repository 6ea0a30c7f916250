"""Width and height of a picture, read from its header alone."""

from __future__ import annotations

from pathlib import Path

from PIL import ExifTags, Image


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels as the picture is looked at, upright; ``None`` when it cannot be opened."""
    try:
        with path.open("rb") as file, Image.open(file) as image:
            width, height = image.size
            lying = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except Exception:  # Pillow raises whatever its parsers meet in a damaged file
        return None
    return (height, width) if lying else (width, height)
