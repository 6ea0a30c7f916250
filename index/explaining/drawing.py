"""Drawing two pictures side by side, with the regions that match."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from index.encoders import open_picture
from index.errors import MediaError
from index.explaining.explanation import Box, Explanation
from index.explaining.lettering import COLOURS, INK, PALE, PAPER, fitted, font, tag, wrapped
from index.explaining.wording import facet_word

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image, ImageDraw

SIDE = 420
"""Pixels of the square that each picture is fitted into."""

GAP = 18


def pictures_png(explanation: Explanation) -> bytes:
    """Both pictures with numbered regions in matching colours, the sentence and a legend below.

    Pictures that are gone or damaged are grey, and say so.
    """
    from PIL import Image, ImageDraw

    width = 2 * SIDE + 3 * GAP
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    sentences = [
        line for text in (explanation.sentence, *explanation.words) for line in wrapped(pen, text, 16, width - 2 * GAP)
    ]
    legend = legend_of(explanation)
    foot = 24 * len(sentences) + (34 if legend else 0)
    sheet = Image.new("RGB", (width, SIDE + 2 * GAP + 30 + foot + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for side in (0, 1):
        left = GAP + side * (SIDE + GAP)
        pen.text((left, GAP - 4), fitted(pen, explanation.titles[side], 17, SIDE), INK, font(17))
        boxes = [(region.a, region.b)[side] for region in explanation.regions]
        _panel(sheet, pen, explanation.media[side], boxes, (left, GAP + 26))
    top = SIDE + 2 * GAP + 24.0
    for line in sentences:
        pen.text((GAP, top), line, INK if line in sentences[:1] else PALE, font(16))
        top += 24
    across = float(GAP)
    for number, text in enumerate(legend):
        tag(pen, (across, top + 4), text, COLOURS[number % len(COLOURS)])
        across += pen.textlength(text, font(15)) + 2 * GAP
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    return out.getvalue()


def legend_of(explanation: Explanation) -> list[str]:
    """A line for each region: its number, its facet, and what blurring it costs."""
    return [
        f"{number}  {facet_word(region.facet, explanation.modality)}, {100 * region.strength:.0f} % of the score"
        for number, region in enumerate(explanation.regions, 1)
    ]


def _panel(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, path: Path | None, boxes: list[Box], corner: tuple[int, int]
) -> None:
    from PIL import Image

    left, top = corner
    try:
        if path is None:
            raise MediaError("read", "there is no picture on this machine")
        picture = open_picture(path, 2 * SIDE)
    except MediaError as error:
        pen.rectangle((left, top, left + SIDE, top + SIDE), "#dddddd")
        for number, line in enumerate(wrapped(pen, error.reason, 15, SIDE - 40)):
            pen.text((left + 20, top + SIDE // 2 + 20 * number), line, INK, font(15))
        return
    scale = min(SIDE / picture.width, SIDE / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    left, top = left + (SIDE - size[0]) // 2, top + (SIDE - size[1]) // 2
    sheet.paste(picture, (left, top))
    pen.rectangle((left - 1, top - 1, left + size[0], top + size[1]), outline="#cccccc")
    for number, (x, y, w, h) in reversed(list(enumerate(boxes, 1))):
        colour = COLOURS[(number - 1) % len(COLOURS)]
        box = (left + x * size[0], top + y * size[1], left + (x + w) * size[0] - 1, top + (y + h) * size[1] - 1)
        pen.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), outline=PAPER, width=5)
        pen.rectangle(box, outline=colour, width=3)
        tag(pen, (box[0], box[1]), str(number), colour)
