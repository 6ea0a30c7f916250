"""The `color` facet: how much of the product has which colour, as a soft LAB histogram.

Colour histograms as in Swain & Ballard (IJCV 1991), in CIE LAB, where equal distances look about equally
different. Every pixel is shared between its eight nearest bins (Bosch, Zisserman & Munoz, CIVR 2007), so that
a colour on a bin's edge is not torn apart, and histograms are compared through their square roots
(Arandjelović & Zisserman, CVPR 2012). Pixels in the middle of the product count more than those at its rim:
there the background shines through, and clothes are worn with others above and below.

Chosen on a random half of 2,167 shop photos and checked on the other half (share of nearest neighbours of the
same named colour, this facet alone): hard bins .48 (checked .49), soft bins .55 (.55), with centre weight .56
(.56). A range of ±40 or ±60, 6 or 10 bins a side and equalised axes came within .03; none gained .01.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from vision import kernel

BINS = 8
"""Bins along each of L, a and b."""

CHROMA_RANGE = 50.0
"""a and b beyond ± this share the outermost bins; few fabrics, paints or skins are more colourful."""

CENTRE_SPREAD = 1 / 3
"""Standard deviation of the centre weight, in sides of the square."""

COLOR_DIM = BINS**3

_WHITE_D65 = (0.95047, 1.0, 1.08883)
_RGB_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_STEPS = 65536
"""Resolution of the cube root table; the error stays below 0.1 in L, a and b."""


def color_vector(lab: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """Describe the colours of a product.

    Args:
        lab: L, a, b of the foreground's square, float32, shape ``(n, n, 3)``.
        mask: How much each pixel belongs to the product, 0 to 1, float32, shape ``(n, n)``.

    Returns:
        Unit length, float32, shape ``(COLOR_DIM,)``, ordered by L, then a, then b.
    """
    weight = ((mask + np.float32(1e-6)) * _centre_weight(mask.shape[0])).ravel()
    histogram = np.empty((BINS, BINS, BINS))
    kernel.soft_histogram(np.ascontiguousarray(lab).reshape(-1, 3), weight, *_axes(), histogram)
    vector = np.sqrt(np.maximum(histogram.ravel(), 0.0))
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def rgb_to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """sRGB to CIE LAB under D65 (IEC 61966-2-1; CIE 15), by table.

    Args:
        rgb: uint8, shape ``(..., 3)``.

    Returns:
        L in 0..100, a and b in about -108..98, float32, same shape.
    """
    pixels = np.ascontiguousarray(rgb).reshape(-1, 3)
    lab = np.empty(pixels.shape, np.float32)
    kernel.lab(pixels, _linear_table(), _matrix(), _cube_root_table(), lab)
    return lab.reshape(rgb.shape)


@cache
def _axes() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where L, a and b begin, and how many bins one unit of each is; shape ``(3,)`` each."""
    lows, highs = np.array([0.0, -CHROMA_RANGE, -CHROMA_RANGE]), np.array([100.0, CHROMA_RANGE, CHROMA_RANGE])
    return lows.astype(np.float32), (BINS / (highs - lows)).astype(np.float32)


@cache
def _matrix() -> NDArray[np.float32]:
    """From linear light to places in the cube root table, shape ``(3, 3)``."""
    relative = np.array(_RGB_TO_XYZ) / np.array(_WHITE_D65)[:, None]
    return np.ascontiguousarray(relative.T.astype(np.float32) * np.float32(_STEPS))


@cache
def _centre_weight(side: int) -> NDArray[np.float32]:
    """Gaussian around the middle, shape ``(side, side)``."""
    offset = (np.arange(side) - (side - 1) / 2) / (side * CENTRE_SPREAD)
    profile = np.exp(-0.5 * offset**2)
    return np.asarray(np.outer(profile, profile), dtype=np.float32)


@cache
def _linear_table() -> NDArray[np.float32]:
    """Linear light of each sRGB value, shape ``(256,)``."""
    value = np.arange(256) / 255.0
    return np.asarray(np.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92), dtype=np.float32)


@cache
def _cube_root_table() -> NDArray[np.float32]:
    """CIE's f(t) at t = i / _STEPS, a little beyond 1 for rounding; shape ``(_STEPS + 64,)``."""
    value = np.arange(_STEPS + 64) / _STEPS
    return np.asarray(np.where(value > 0.008856, np.cbrt(value), 7.787 * value + 16.0 / 116.0), dtype=np.float32)
