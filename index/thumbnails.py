"""Thumbnails: a small JPEG of any picture, and of any sound its cover or a drawing of its loudness."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from index.encoders import cover_of, open_picture, outline_of
from index.errors import InputError, MediaError
from index.types import Modality

if TYPE_CHECKING:
    from PIL.Image import Image

QUALITY = 82
BARS = 40
"""Bars of a sound's drawing."""

CROPPED_FROM = 1024
"""A JPEG is decoded no smaller than so many pixels on the shorter side before it is cropped."""

SMALLEST_CROP = 8

_PAPER, _INK = (232, 234, 240), (92, 104, 140)
_DARK_PAPER, _LIGHT_INK = (40, 42, 50), (148, 160, 198)


def thumbnail(path: Path, modality: Modality, side: int, *, dark: bool = False) -> bytes:
    """Draw one media file small.

    Args:
        side: Pixels of the longer side, at most; small pictures keep their size.
        dark: Draw a sound's loudness for a dark page; pictures and covers are what they are.

    Returns:
        A JPEG. Sounds are square.

    Raises:
        MediaError: The file cannot be read or decoded.
    """
    image = _picture(path, side) if modality == "image" else _sound(path, side, dark)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=QUALITY)
    return content.getvalue()


def crop(path: Path, box: tuple[float, float, float, float], out: Path) -> None:
    """Cut a part out of a picture, upright, and write it as a PNG.

    Args:
        box: Left, top, width and height, as fractions of the upright picture.

    Raises:
        InputError: The box does not lie in the picture, or holds next to nothing of it.
        MediaError: The picture cannot be read or decoded.
    """
    left, top, width, height = box
    if not (
        0 <= left < 1 and 0 <= top < 1 and width > 0 and height > 0 and left + width <= 1.001 and top + height <= 1.001
    ):
        raise InputError("a crop is x,y,width,height as fractions of the picture, such as 0.1,0.2,0.5,0.5")
    image = open_picture(path, CROPPED_FROM)
    edges = (left * image.width, top * image.height, (left + width) * image.width, (top + height) * image.height)
    part = image.crop(
        (int(edges[0]), int(edges[1]), round(min(edges[2], image.width)), round(min(edges[3], image.height)))
    )
    if min(part.size) < SMALLEST_CROP:
        raise InputError(f"the crop is {part.width} × {part.height} pixels; at least {SMALLEST_CROP} a side are needed")
    part.save(out, "PNG", compress_level=1)


def _picture(source: Path | bytes, side: int) -> Image:
    image = open_picture(source, side)
    image.thumbnail((side, side), reducing_gap=2.0)
    return image


def _sound(path: Path, side: int, dark: bool) -> Image:
    cover = cover_of(path)
    if cover is not None:
        try:
            return _picture(cover, side)
        except MediaError:  # the sound is good all the same
            pass
    from PIL import Image, ImageDraw

    levels = outline_of(path, BARS)
    image = Image.new("RGB", (side, side), _DARK_PAPER if dark else _PAPER)
    draw = ImageDraw.Draw(image)
    ink = _LIGHT_INK if dark else _INK
    step = side / (BARS + 4)
    for at, level in enumerate(levels.tolist()):
        half = max(step / 2, 0.4 * side * level)
        left = (at + 2) * step
        draw.rounded_rectangle((left, side / 2 - half, left + 0.6 * step, side / 2 + half), step * 0.3, fill=ink)
    return image
