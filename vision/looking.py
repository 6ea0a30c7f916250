"""Looking at one picture again: what encoders make of it when a part of it is blurred."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from index.errors import MediaError
from index.types import FeatureMap, PictureEncoder, Vector
from vision.builtin import MIN_SIDE
from vision.decode import decode_picture
from vision.windows import Windows, find_windows, random_boxes

SPREAD = 0.7
"""Standard deviation of the blur in the region's shorter sides: what is inside becomes the mean of its
surroundings. Tried on 50 photos of two kinds with their first answers to three relations: regions chosen by 0.7
also mattered most when they were blurred by 0.35 or filled with one colour; chosen by 0.15 or 0.35 less so."""

FEATHER = 0.06
"""Softness of the region's rim, likewise: a hard edge would itself be a shape."""


class Looking:
    """One decoded picture, described as often as needed.

    Args:
        encoders: Whose vectors are wanted, side by side.
        path: The picture.

    Raises:
        MediaError: It cannot be read or decoded.
    """

    def __init__(self, encoders: Sequence[PictureEncoder], path: Path) -> None:
        self._encoders = list(encoders)
        self._pixels = [encoder.decode(path) for encoder in encoders]
        self._small = decode_picture(path, MIN_SIDE)
        self._soft: dict[tuple[int, float], Image.Image] = {}

    def windows(self) -> Windows:
        """Windows over the product: see ``vision.windows``."""
        return find_windows(self._small)

    def random_boxes(self, count: int, seed: int) -> NDArray[np.float64]:
        """Boxes of the windows' size anywhere on the product: see ``vision.windows``."""
        return random_boxes(self._small, count, seed)

    def describe(self, which: int) -> Vector:
        """The picture as it is, by one of the encoders.

        Raises:
            MediaError: There is nothing to describe.
        """
        return self._encoders[which].describe_pixels(self._pixels[which])

    def describe_without(self, which: int, box: Sequence[float], spread: float | None = SPREAD) -> Vector:
        """The picture with one region blurred, by one of the encoders.

        Args:
            which: Place of the encoder.
            box: Left, top, width and height in fractions of the picture.
            spread: Standard deviation of the blur in the region's shorter sides; ``None`` to fill it with the mean
                colour of the picture instead.

        Returns:
            float32, shape ``(dim,)``; all zero when nothing is left to describe.
        """
        try:
            return self._encoders[which].describe_pixels(self.without(which, box, spread))
        except MediaError:
            return np.zeros(self._encoders[which].card.dim, np.float32)

    def without(self, which: int, box: Sequence[float], spread: float | None = SPREAD) -> NDArray[np.uint8]:
        """The pixels that one of the encoders sees, with one region blurred. uint8, shape ``(h, w, 3)``."""
        picture = Image.fromarray(self._pixels[which])
        left, top, width, height = (part * side for part, side in zip(box, picture.size * 2, strict=True))
        short = max(2.0, float(min(width, height)))
        sigma = 0.0 if spread is None else round(spread * short, 1)
        if (which, sigma) not in self._soft:  # windows have few sizes
            mean = tuple(round(part) for part in self._pixels[which].reshape(-1, 3).mean(axis=0).tolist())
            flat = Image.new("RGB", picture.size, mean)
            self._soft[which, sigma] = picture.filter(ImageFilter.GaussianBlur(sigma)) if sigma else flat
        region = Image.new("L", picture.size, 0)
        region.paste(255, (round(left), round(top), round(left + width), round(top + height)))
        region = region.filter(ImageFilter.GaussianBlur(FEATHER * short))
        return np.asarray(Image.composite(self._soft[which, sigma], picture, region))

    def feature_map(self, which: int) -> FeatureMap | None:
        """What a network among the encoders saw where."""
        return self._encoders[which].feature_map(self._pixels[which])
