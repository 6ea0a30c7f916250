"""A map as a picture: thumbnails on a grid without overlap, dots where there is no room, names of clusters."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from index.encoders import cover_of
from index.errors import InputError, MediaError
from index.lists.map import Landmark, StyleMap
from index.lists.map_colors import Coloring, colorings
from index.lists.map_spread import without_overlap
from index.thumbnails import thumbnail

SMALLEST, LARGEST = 200, 12_000
"""Pixels a side that a picture may have."""

MOST_ACROSS = 32
"""Thumbnails side by side at most: each stays large enough to be seen from a step away."""

REACH = 2.5
"""Cells that a thumbnail may lie beside its place."""

PAPER, INK, FAINT = "#ffffff", "#1f2328", "#8b8f96"


def map_image(style_map: StyleMap, side: int = 2400) -> Image.Image:
    """Draw a map as a square picture to hang on a wall.

    Pictures, and covers of sounds that have one, lie on a grid: each in the cell of its place or the nearest free
    one, those that stand for a region first. Every other item is a dot; sounds without covers have their titles
    beside, where these do not overlap. A file that cannot be read is a dot.

    Args:
        style_map: A map with at least one item.
        side: Pixels, ``SMALLEST`` to ``LARGEST``.

    Raises:
        InputError: ``side`` is out of range.
    """
    if not SMALLEST <= side <= LARGEST:
        raise InputError(f"a map's picture is {SMALLEST} to {LARGEST} pixels a side, not {side}")
    sheet = _Sheet(style_map, colorings(style_map)[0], side)
    across, cells, sources = _cells(sheet)
    image = _dots(sheet, across, cells)
    _thumbnails(sheet, image, across, cells, sources)
    draw = ImageDraw.Draw(image)
    _cluster_names(sheet, draw)
    if not sources:
        _titles(sheet, draw)
    _legend(sheet, draw, pictures=bool(sources))
    return image


def map_png(style_map: StyleMap, side: int = 2400) -> bytes:
    """``map_image`` as a PNG.

    Raises:
        InputError: See ``map_image``.
    """
    content = io.BytesIO()
    map_image(style_map, side).save(content, "PNG")
    return content.getvalue()


def map_figure(style_map: StyleMap, side: int = 800) -> str:
    """The map as HTML that stands alone, for notebooks; nothing in titles is taken as markup."""
    content = io.BytesIO()
    map_image(style_map, side).save(content, "JPEG", quality=85)
    told = html.escape(caption(style_map))
    data = base64.b64encode(content.getvalue()).decode()
    return f"<figure><img src='data:image/jpeg;base64,{data}' alt='{told}'><figcaption>{told}</figcaption></figure>"


def caption(style_map: StyleMap) -> str:
    """What a map shows, in a line."""
    kind = "pictures" if style_map.modality == "image" else "sounds"
    return f"{style_map.relation} · {len(style_map):,} {kind} · {style_map.method.upper()}"


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The map on its paper; ``taken`` are boxes of text that no other text may touch."""

    style_map: StyleMap
    coloring: Coloring
    side: int
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    @property
    def margin(self) -> float:
        return 0.06 * self.side

    def place(self, x: float, y: float) -> tuple[float, float]:
        inner = self.side - 2 * self.margin
        return self.margin + x * inner, self.margin + y * inner

    def claim(self, box: tuple[float, float, float, float]) -> bool:
        """Take a box for text if it lies on the paper and no other text is there."""
        left, top, right, bottom = box
        edge = 0.012 * self.side
        if left < edge or top < edge or right > self.side - edge or bottom > self.side - edge:
            return False
        if any(left < one[2] and right > one[0] and top < one[3] and bottom > one[1] for one in self.taken):
            return False
        self.taken.append(box)
        return True


def _font(size: float, bold: bool = False) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font that knows most scripts where the system has one, else the one that comes with Pillow."""
    for name in ("DejaVuSans-Bold.ttf", "Arial Bold.ttf") if bold else ("DejaVuSans.ttf", "Arial.ttf"):
        try:
            return ImageFont.truetype(name, round(size))
        except OSError:
            continue
    return ImageFont.load_default(round(size))


def _cells(sheet: _Sheet) -> tuple[int, NDArray[np.int64], list[Landmark]]:
    """The grid's cells a side, the cell of each thumbnail, and what thumbnails are made of."""
    style_map = sheet.style_map
    sources = [mark for mark in style_map.landmarks if style_map.modality == "image" or cover_of(mark.path)]
    across = int(np.clip(round(0.8 * np.sqrt(len(sources))), 6, MOST_ACROSS))
    return across, without_overlap(style_map.at[[mark.row for mark in sources]], across, REACH), sources


def _dots(sheet: _Sheet, across: int, cells: NDArray[np.int64]) -> Image.Image:
    """Items outside the thumbnails' cells as dots, drawn twice as large, then halved for smooth edges."""
    large = Image.new("RGB", (2 * sheet.side, 2 * sheet.side), PAPER)
    draw = ImageDraw.Draw(large)
    covered = np.zeros((across, across), bool)
    covered[cells[cells[:, 0] >= 0, 0], cells[cells[:, 0] >= 0, 1]] = True
    own = np.minimum((sheet.style_map.at * across).astype(np.int64), across - 1)
    order = np.flatnonzero(~covered[own[:, 0], own[:, 1]])
    count = len(order)
    radius = 2 * sheet.side * min(0.008, max(0.0006, 0.06 / np.sqrt(count or 1)))
    inner = 2 * (sheet.side - 2 * sheet.margin)
    np.random.default_rng(0).shuffle(order)  # no kind lies on top of all others
    if count > 200_000:  # dots of a pixel: written at once
        pixels = np.asarray(large).copy()
        colors = np.array([[int(c[at : at + 2], 16) for at in (1, 3, 5)] for c in sheet.coloring.colors], np.uint8)
        at = (2 * sheet.margin + sheet.style_map.at[order] * inner).astype(np.int64)
        pixels[at[:, 1], at[:, 0]] = colors[sheet.coloring.codes[order]]
        pixels[at[:, 1] + 1, at[:, 0]] = colors[sheet.coloring.codes[order]]
        return Image.fromarray(pixels).reduce(2)
    places = 2 * sheet.margin + sheet.style_map.at[order] * inner
    outline = "#c9c7c1" if radius > 5 else None
    for (x, y), code in zip(places.tolist(), sheet.coloring.codes[order].tolist(), strict=True):
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill=sheet.coloring.colors[code], outline=outline, width=2)
    return large.reduce(2)


def _thumbnails(
    sheet: _Sheet, image: Image.Image, across: int, cells: NDArray[np.int64], sources: list[Landmark]
) -> None:
    step = (sheet.side - 2 * sheet.margin) / across
    inner = max(8, round(0.94 * step))
    for mark, (column, row) in zip(sources, cells.tolist(), strict=True):
        picture = _small(mark, inner) if column >= 0 else None
        if picture is None:
            continue
        left = sheet.margin + (column + 0.5) * step - picture.width / 2
        top = sheet.margin + (row + 0.5) * step - picture.height / 2
        mask = Image.new("L", (2 * picture.width, 2 * picture.height), 0)
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), 0.12 * inner, fill=255)
        image.paste(picture, (round(left), round(top)), mask.reduce(2))


def _small(mark: Landmark, side: int) -> Image.Image | None:
    try:
        picture = Image.open(io.BytesIO(thumbnail(mark.path, mark.modality, side))).convert("RGB")
    except MediaError:
        return None
    if max(picture.size) < side:  # small pictures keep their size; here they fill their cell
        scale = side / max(picture.size)
        picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    return picture


def _titles(sheet: _Sheet, draw: ImageDraw.ImageDraw) -> None:
    """Titles beside dots, those that stand for a region first, where they touch neither text nor another dot."""
    font = _font(0.0085 * sheet.side)
    gap = 0.012 * sheet.side
    dots = np.array([sheet.place(*place) for place in sheet.style_map.at.tolist()])
    for mark in sheet.style_map.landmarks[:1000]:
        x, y = dots[mark.row].tolist()
        text = shorten(sheet.style_map.titles[mark.row], 34)
        _, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        for start in (x + gap, x - gap - right):
            box = (start - 2, y - (bottom - top) / 2 - 3, start + right + 2, y + (bottom - top) / 2 + 3)
            near = (dots > np.array(box[:2]) - gap / 2) & (dots < np.array(box[2:]) + gap / 2)
            near[mark.row] = False
            if not near.all(axis=1).any() and sheet.claim(box):
                draw.text((start, y - (top + bottom) / 2), text, fill="#4a4f57", font=font)
                break


def _cluster_names(sheet: _Sheet, draw: ImageDraw.ImageDraw) -> None:
    """Names over their clusters, moved up or down where two would touch, left out where there is no room."""
    font = _font(0.0125 * sheet.side, bold=True)
    for cluster in sheet.style_map.clusters:
        text = shorten(cluster.label, 40)
        x, y = sheet.place(cluster.x, cluster.y)
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        width, height = right - left + 0.016 * sheet.side, bottom - top + 0.011 * sheet.side
        x = min(max(x, width / 2 + sheet.margin / 2), sheet.side - width / 2 - sheet.margin / 2)
        for shift in (0, 1.1, -1.1, 2.2, -2.2, 3.3, -3.3):
            middle = y + shift * height
            box = (x - width / 2, middle - height / 2, x + width / 2, middle + height / 2)
            if not sheet.claim(box):
                continue
            draw.rounded_rectangle(box, height / 2, fill=PAPER, outline="#d5d7db", width=max(1, sheet.side // 1200))
            draw.text((x - (left + right) / 2, middle - (top + bottom) / 2), text, INK, font)
            break


def _legend(sheet: _Sheet, draw: ImageDraw.ImageDraw, *, pictures: bool) -> None:
    """What it is, in the corner, and what colours mean where dots carry the picture."""
    font = _font(0.0105 * sheet.side)
    x, y = sheet.margin / 2, sheet.side - sheet.margin / 2
    draw.text((x, y), caption(sheet.style_map), FAINT, font, anchor="ls")
    if pictures or not sheet.coloring.values:
        return
    right = sheet.side - sheet.margin / 2
    for value, color in list(zip(sheet.coloring.values, sheet.coloring.colors, strict=False))[:8][::-1]:
        text = shorten(value, 24)
        right -= draw.textlength(text, font)
        draw.text((right, y), text, FAINT, font, anchor="ls")
        size = 0.0085 * sheet.side
        right -= 1.6 * size
        draw.ellipse((right, y - size, right + size, y), fill=color)
        right -= 1.6 * size


def shorten(text: str, most: int) -> str:
    """At most so many characters, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
