"""Lettering on drawn pictures: fonts, colours, and text that fits."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00")
"""For what belongs together: told apart by the colour-blind, too (Okabe & Ito, "Color universal design", 2008)."""

INK, PALE, PAPER = "#1b1b1b", "#5c5c5c", "#ffffff"

FAMILIES = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")
"""Fonts with more letters than Pillow's own, if the machine has one."""


@lru_cache(16)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The first of ``FAMILIES`` that is installed, else Pillow's own; size in pixels."""
    from PIL import ImageFont

    for family in FAMILIES:
        try:
            return ImageFont.truetype(family, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def fitted(pen: ImageDraw.ImageDraw, text: str, size: int, width: float) -> str:
    """One line of text, cut with an ellipsis so that it is at most so many pixels wide."""
    line = " ".join(text.split())
    if pen.textlength(line, font(size)) <= width:
        return line
    while line and pen.textlength(line + "…", font(size)) > width:
        line = line[:-1]
    return line.rstrip() + "…"


def wrapped(pen: ImageDraw.ImageDraw, text: str, size: int, width: float) -> list[str]:
    """Lines of words, each at most so many pixels wide where words allow."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and pen.textlength(longer, font(size)) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def tag(pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, colour: str, size: int = 15) -> None:
    """White text on a colour; ``place`` is the upper left corner."""
    left, top, right, bottom = pen.textbbox(place, text, font(size))
    pad = size // 3
    shift = place[0] - left + pad, place[1] - top + pad
    pen.rectangle((place[0], place[1], place[0] + right - left + 2 * pad, place[1] + bottom - top + 2 * pad), colour)
    pen.text((place[0] + shift[0], place[1] + shift[1]), text, "#ffffff", font(size))
