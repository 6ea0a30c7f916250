"""The loops of the built-in picture encoder over pixels, compiled from ``kernel.c``.

Arrays are C-contiguous and of the kind named; anything else is a TypeError, shapes that do not fit are a ValueError.
What is found is written into the last array, or the arrays so described.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_Bytes: TypeAlias = NDArray[np.uint8]
_Floats: TypeAlias = NDArray[np.float32]
_Counts: TypeAlias = NDArray[np.int64]

def lab(rgb: _Bytes, linear: _Floats, matrix: _Floats, roots: _Floats, found: _Floats, /) -> None:
    """CIE LAB of sRGB pixels, by table.

    Args:
        rgb: uint8, shape ``(n, 3)``.
        linear: Linear light of each sRGB value: float32, shape ``(256,)``.
        matrix: From linear light, as a row, to places in ``roots``: float32, shape ``(3, 3)``.
        roots: CIE's f(t), in even steps of t from 0 on; places beyond its end are its end. float32.
        found: float32, shape ``(n, 3)``.
    """

def soft_histogram(
    lab: _Floats, weight: _Floats, lows: _Floats, per_unit: _Floats, histogram: NDArray[np.float64], /
) -> None:
    """Share each pixel between the eight bins around it; beyond the outermost, these have it whole.

    Args:
        lab: float32, shape ``(n, 3)``.
        weight: Of each pixel: float32, shape ``(n,)``.
        lows: Where the first bin of each axis begins: float32, shape ``(3,)``.
        per_unit: Bins for each unit of each axis: float32, shape ``(3,)``.
        histogram: float64, shape ``(bins, bins, bins)``.
    """

def oriented(lightness: _Floats, window: _Floats, pooled: _Floats, /) -> None:
    """Gather gradient magnitudes, each shared between the two nearest directions, by cells with soft windows.

    Args:
        lightness: float32, shape ``(n, n)``; the difference across the picture's own rim is zero.
        window: Weight of each row, and of each column, in each row or column of cells: float32, shape ``(cells, n)``.
        pooled: float32, shape ``(directions, cells, cells)``; direction k points at the angle 2πk / directions, from
            "lighter to the right" towards "lighter downwards".
    """

def halved(values: _Floats, found: _Floats, /) -> None:
    """Means of 2 × 2 blocks: float32, shape ``(n, m)`` to ``(n // 2, m // 2)``."""

def patterns(
    lightness: _Floats, weight: _Floats, labels: _Bytes, counts: NDArray[np.float64], radius: int, least_step: float, /
) -> None:
    """Count which of the eight neighbours are lighter than the centre, by weight and the root of contrast.

    Args:
        lightness, weight: float32, shape ``(n, m)``, at most 4,096 columns.
        labels: What each of the 256 patterns counts as: uint8, shape ``(256,)``.
        counts: float64, shape ``(labels,)``.
        radius: Rows and columns between a pixel and its neighbours, at least 1.
        least_step: A bit is set where a neighbour is at least so much lighter.
    """

def flat(rgb: _Bytes, most: int, /) -> bool:
    """Whether each channel of a picture, uint8 ``(h, w, 3)``, spans at most so many values."""

def surroundings(rgb: _Bytes, mask: _Floats, /) -> tuple[int, int, int]:
    """The median of each channel, rounded down, where a mask is at most a half; white where it is nowhere.

    Args:
        rgb: uint8, shape ``(h, w, 3)``.
        mask: float32, shape ``(h, w)``.
    """

def apart(lab: _Floats, plane: _Floats, found: _Floats, /) -> None:
    """How far pixels are from a colour that varies linearly across the picture.

    Args:
        lab: float32, shape ``(h, w, 3)``, two rows and columns at least.
        plane: The colour in the middle, what is added at the right edge, and at the lower one: float32, ``(3, 3)``.
        found: Euclidean: float32, shape ``(h, w)``.
    """

def despeckled(difference: _Floats, found: _Floats, near: float, /) -> None:
    """How surely pixels are not background, 0 to 1: from ``near`` on more and more, blurred over 3 × 3 pixels, and
    steeper around a half, so that single pixels vanish. float32, shape ``(h, w)`` each."""

def filled(mask: _Floats, columns: _Counts, rows: _Counts, found: _Bytes, doubt: float, /) -> None:
    """A mask with its holes filled.

    Args:
        mask: 0 to 1, float32, shape ``(h, w)``; solid above a half.
        columns: How many are solid in each column: int64, shape ``(w,)``, written.
        rows: And in each row: int64, shape ``(h,)``, written.
        found: The mask times 255, whole where something solid lies left, right, above and below, and nowhere less than
            ``doubt``: uint8, shape ``(h, w)``.
    """
