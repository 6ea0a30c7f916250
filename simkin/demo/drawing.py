"""Draws one product of the demo: pose, material, shadow and light, varied as photographs vary."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from simkin.demo.silhouettes import SHAPES, Part, trace

RGB = tuple[int, int, int]

SIZE = 320
"""Edge of a picture in pixels."""
_DRAWN = 2 * SIZE  # drawn twice as large, then averaged: smooth edges

COLORS: dict[str, RGB] = {
    "red": (200, 40, 46),
    "orange": (235, 126, 40),
    "yellow": (240, 198, 60),
    "green": (58, 140, 80),
    "teal": (32, 142, 150),
    "blue": (48, 92, 184),
    "purple": (122, 76, 160),
    "pink": (232, 128, 162),
    "brown": (134, 88, 56),
    "black": (52, 52, 60),
}
_CREAM: RGB = (247, 240, 226)
_NAVY: RGB = (36, 46, 82)
_SECOND: dict[str, tuple[RGB, ...]] = {  # the pattern's other colour
    "yellow": (_CREAM, _NAVY, (120, 120, 126)),
    "orange": (_CREAM, _NAVY),
    "pink": (_CREAM, (150, 44, 84)),
    "red": (_CREAM, _NAVY),
    "black": (_CREAM, (190, 190, 196)),
}
_BACKDROPS: tuple[RGB, ...] = (
    (246, 245, 243), (240, 243, 247), (248, 243, 236), (238, 244, 240), (245, 240, 245), (252, 252, 252),
)  # fmt: skip
_PAINTS: dict[str, RGB] = {
    "light": (244, 240, 232), "dark": (50, 46, 48), "metal": (176, 178, 184), "wood": (158, 112, 72),
    "coffee": (92, 58, 36), "glow": (255, 236, 176),
}  # fmt: skip
_OVERLAYS: dict[str, tuple[RGB, int]] = {"shade": ((20, 12, 24), 62), "shine": ((255, 255, 255), 92)}  # colour, alpha


def draw(category: str, color: str, pattern: str, rng: random.Random) -> Image.Image:
    """One product as if photographed before a wall.

    Args:
        category: A key of `SHAPES`; which of its models is drawn is left to ``rng``.
        color: A key of `COLORS`.
        pattern: ``plain``, ``stripes``, ``dots``, ``checks`` or ``zigzag``.
        rng: Decides on cut, pose, tone and light.

    Returns:
        RGB, `SIZE` pixels square.
    """
    parts = rng.choice(SHAPES[category])
    pose = _random_pose(parts, rng)
    base = _vary(COLORS[color], rng)
    mask = Image.new("L", (_DRAWN, _DRAWN))
    ink = ImageDraw.Draw(mask)
    for part in parts:
        if part.paint not in _OVERLAYS:
            _fill(ink, part, pose, 255)
    image = _backdrop(mask, rng)
    cloth = _cloth(color, pattern, base, pose, rng)
    for part in parts:
        _paint(image, part, pose, base, cloth)
    return _light(image.reduce(2), mask.reduce(2), rng)


@dataclass(frozen=True, slots=True)
class _Pose:
    """How a product stands in its picture: ``matrix`` (2, 2) and ``shift`` (2,) from the 100-square to pixels."""

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]

    def place(self, points: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Pixels of points ``(n, 2)`` given in the 100-square."""
        return [(x, y) for x, y in (points @ self.matrix.T + self.shift).tolist()]

    @property
    def scale(self) -> float:
        """Pixels per unit of the 100-square."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))


def _random_pose(parts: tuple[Part, ...], rng: random.Random) -> _Pose:
    outline = np.vstack([trace(part.outline) for part in parts])
    low, high = outline.min(axis=0), outline.max(axis=0)
    scale = _DRAWN / max(high - low) * rng.uniform(0.66, 0.78)
    aspect = rng.uniform(0.94, 1.06)
    angle = math.radians(max(-9.0, min(9.0, rng.gauss(0, 4))))
    flip = -1 if rng.random() < 0.4 else 1
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = turn @ np.diag([flip * scale * aspect, scale / aspect])
    centre = _DRAWN * np.array([0.5 + rng.uniform(-0.04, 0.04), 0.49 + rng.uniform(-0.03, 0.03)])
    return _Pose(matrix, centre - matrix @ ((low + high) / 2))


def _vary(color: RGB, rng: random.Random, spread: float = 1.0) -> RGB:
    """The same colour from another dye lot and under another lamp."""
    gain = 1 + spread * rng.uniform(-0.09, 0.08)
    red, green, blue = (min(255, max(0, round(c * gain + spread * rng.uniform(-8, 8)))) for c in color)
    return red, green, blue


def _darker(color: RGB) -> RGB:
    red, green, blue = (round(c * 0.68) for c in color)
    return red, green, blue


def _fill(ink: ImageDraw.ImageDraw, part: Part, pose: _Pose, value: int | RGB) -> None:
    """Fill an outline, or run along it with a round pen."""
    points = pose.place(trace(part.outline))
    if not part.stroke:
        ink.polygon(points, fill=value)
        return
    width = max(2.0, part.stroke * pose.scale)
    ink.line(points, fill=value, width=round(width), joint="curve")
    for x, y in (points[0], points[-1]):
        ink.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=value)


def _paint(image: Image.Image, part: Part, pose: _Pose, base: RGB, cloth: Image.Image | None) -> None:
    """Put one part onto the picture, in place."""
    if part.paint in _OVERLAYS or (part.paint == "body" and cloth is not None):
        color, alpha = _OVERLAYS.get(part.paint, (base, 255))
        mask = Image.new("L", image.size)
        _fill(ImageDraw.Draw(mask), part, pose, alpha)
        box = mask.getbbox()
        if box is None:
            return
        what = color if part.paint in _OVERLAYS or cloth is None else cloth.crop(box)
        image.paste(what, box, mask.crop(box))
        return
    color = base if part.paint == "body" else _darker(base) if part.paint == "trim" else _PAINTS[part.paint]
    _fill(ImageDraw.Draw(image), part, pose, color)


def _cloth(color: str, pattern: str, base: RGB, pose: _Pose, rng: random.Random) -> Image.Image | None:
    """The patterned material, laid so that it turns with the product; None where it is plain."""
    if pattern == "plain":
        return None
    second = rng.choice(_SECOND.get(color, (_CREAM, (228, 204, 150))))
    size = rng.uniform(0.85, 1.2)
    back = np.linalg.inv(pose.matrix) * _TILE / 100 / size
    offset = np.array([rng.uniform(0, _TILE), rng.uniform(0, _TILE)]) + 1.5 * _TILE
    start = offset - back @ (pose.matrix @ np.array([50.0, 50.0]) + pose.shift)
    grid = (back[0, 0], back[0, 1], start[0], back[1, 0], back[1, 1], start[1])
    printed = _print(pattern).transform((_DRAWN, _DRAWN), Image.Transform.AFFINE, grid)
    cloth = Image.new("RGB", (_DRAWN, _DRAWN), base)
    cloth.paste(second, mask=printed)
    return cloth


_TILE = 480  # pixels of the print that cover the 100-square
_REPEAT = 60  # pixels after which a pattern repeats


@cache
def _print(pattern: str) -> Image.Image:
    """A pattern's second colour as a mask of four by four tiles, 0 or 255."""
    edge = 4 * _REPEAT  # here every pattern has come round
    y, x = np.mgrid[0:edge, 0:edge].astype(np.float32) / _REPEAT
    if pattern == "stripes":
        on = x % 1 < 0.42
    elif pattern == "dots":
        row = np.floor(2 * y)
        on = np.hypot((x + 0.5 * (row % 2)) % 1 - 0.5, (2 * y) % 1 / 2 - 0.25) < 0.17
    elif pattern == "checks":
        on = (x % 1 < 0.5) ^ (y % 1 < 0.5)
    else:
        on = (y + np.abs(x % 1 - 0.5)) % 0.8 < 0.32
    times = 4 * _TILE // edge
    return Image.fromarray(np.tile((on * 255).astype(np.uint8), (times, times)))


_COARSE = 80  # shadows and light are soft: 80 pixels describe them


def _backdrop(mask: Image.Image, rng: random.Random) -> Image.Image:
    """A tinted wall, brighter in the middle, with the product's soft shadow: RGB, the mask's size."""
    tint = np.array(_vary(rng.choice(_BACKDROPS), rng, 0.4), dtype=np.float32)
    x = np.linspace(0, 1, _COARSE)
    y = x[:, None]
    light = 1 - rng.uniform(0.04, 0.10) * np.hypot(x - rng.uniform(0.3, 0.7), y - rng.uniform(0.2, 0.5))
    small = mask.reduce(_DRAWN // _COARSE)
    cast = np.asarray(ImageChops.offset(small, rng.choice((-3, -2, 2, 3)), 3).filter(ImageFilter.GaussianBlur(3)))
    left, _, right, bottom = small.getbbox() or (0, 0, _COARSE, _COARSE)
    floor = Image.new("L", small.size)
    ImageDraw.Draw(floor).ellipse((left + 3, bottom - 3, right - 3, bottom + 3), fill=255)
    contact = np.asarray(floor.filter(ImageFilter.GaussianBlur(2)))
    dark = (1 - 0.22 * (cast / 255)) * (1 - 0.34 * (contact / 255))
    wall = np.clip(tint * (light * dark)[:, :, None], 0, 255).astype(np.uint8)
    return Image.fromarray(wall).resize(mask.size, Image.Resampling.BILINEAR)


def _light(image: Image.Image, mask: Image.Image, rng: random.Random) -> Image.Image:
    """Round the product: darker towards the edge away from the lamp, lighter towards the other."""
    side = rng.choice((-2, 2))
    small = mask.reduce(SIZE // _COARSE)
    near = ImageChops.offset(small, side, -3).filter(ImageFilter.GaussianBlur(4))
    far = ImageChops.offset(small, -side, 3).filter(ImageFilter.GaussianBlur(4))
    for soft, color, strength in ((near, (24, 16, 36), 0.36), (far, (255, 255, 255), 0.18)):
        edge = soft.point([round((255 - v) * strength) for v in range(256)]).resize(mask.size)
        image.paste(color, mask=ImageChops.multiply(edge, mask))
    return image
