"""The built-in picture encoder: shape, color and texture, with nothing to download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.errors import MediaError
from index.types import EncoderCard, Vector
from vision import kernel
from vision.cards import CARD
from vision.color import color_vector, rgb_to_lab
from vision.decode import decode_picture
from vision.foreground import find_foreground
from vision.shape import shape_vector
from vision.texture import texture_vector

MIN_SIDE = 224
"""Pixels on the shorter side of the decoded picture."""

FLAT_RANGE = 4
"""A picture whose channels each span at most this many of 256 values is one flat colour (JPEG noise included)."""


class BuiltinPictureEncoder:
    """Implements ``index.types.Encoder``; holds no state."""

    @property
    def card(self) -> EncoderCard:
        """What identifies this encoder."""
        return CARD

    def describe(self, path: Path) -> Vector:
        """Read, decode and describe one picture.

        Returns:
            float32, shape ``(card.dim,)``, each facet of unit length.

        Raises:
            MediaError: The file cannot be read or decoded, or the picture is blank.
        """
        return describe_picture(self.decode(path))

    def decode(self, path: Path) -> NDArray[np.uint8]:
        """See ``index.types.PictureEncoder``."""
        return decode_picture(path, MIN_SIDE)

    def describe_pixels(self, rgb: NDArray[np.uint8]) -> Vector:
        """See ``index.types.PictureEncoder``."""
        return describe_picture(rgb)

    def feature_map(self, rgb: NDArray[np.uint8]) -> None:
        """Descriptors have cells of their own: see ``vision.windows``."""


def describe_picture(rgb: NDArray[np.uint8]) -> Vector:
    """Describe one decoded picture.

    Args:
        rgb: sRGB, uint8, shape ``(h, w, 3)``.

    Returns:
        float32, shape ``(CARD.dim,)``, each facet of unit length.

    Raises:
        MediaError: Stage ``"encode"`` when the picture is blank.
    """
    if kernel.flat(np.ascontiguousarray(rgb), FLAT_RANGE):
        raise MediaError("encode", "the picture is one flat colour; there is nothing to compare")
    found = find_foreground(rgb)
    lab = rgb_to_lab(found.rgb)
    lightness = np.ascontiguousarray(lab[..., 0])
    shape = shape_vector(lightness)
    color = color_vector(lab[::2, ::2], found.mask[::2, ::2])  # every fourth pixel: same answers, a quarter of the time
    texture = texture_vector(lightness, found.mask)
    return np.concatenate([shape, color, texture])
