"""Pictures made on the spot, to hold a converted network to the original when there are no others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE = 320
"""Pixels a side."""


def made_pictures(count: int, seed: int = 7) -> list[NDArray[np.uint8]]:
    """Draw pictures with edges, gradients, texture and colour, no two alike.

    Returns:
        uint8, shape ``(SIDE, SIDE, 3)`` each; the same for the same seed.
    """
    rng = np.random.default_rng(seed)
    return [_picture(rng) for _ in range(count)]


def _picture(rng: np.random.Generator) -> NDArray[np.uint8]:
    coarse = rng.integers(0, 256, (rng.integers(2, 6), rng.integers(2, 6), 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(2, 7)):
        left, top = (int(at) for at in rng.integers(0, SIDE - 40, 2))
        right, bottom = left + int(rng.integers(20, SIDE // 2)), top + int(rng.integers(20, SIDE // 2))
        colour = tuple(int(part) for part in rng.integers(0, 256, 3))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((left, top, right, bottom), fill=colour)
    waves = np.sin(np.arange(SIDE) * rng.uniform(0.05, 1.5))[:, None, None] * rng.uniform(0, 40)
    grain = rng.normal(0, rng.uniform(0, 20), (SIDE, SIDE, 1))
    return np.asarray(np.clip(np.asarray(picture, np.float64) + waves + grain, 0, 255), np.uint8)
