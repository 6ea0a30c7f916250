"""Laying one picture over another: how alike they are point by point, once moved and scaled onto each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from index.errors import MediaError
from vision.decode import decode_image

SIDE = 96
"""Pixels of the squares that are compared: both pictures are stretched to it, so that a crop is a change of scale."""

BLURS = (6.0, 3.0, 1.5)
"""Standard deviations, in pixels, of the pictures that are aligned one after another: from coarse to fine, so that a
shift of a tenth of the picture is found."""

ROUNDS = 12
"""Steps of each alignment."""

DETAIL = 4.0
"""What is blurrier than so many pixels is taken off before pictures are compared: two black shoes share their outline
and their darkness, but not their seams."""

FAINT = 0.02
"""Contrast (of 1) that is hardly seen. Detail is divided by its strength round about, so that a seam counts like an
outline; where it is fainter than this it is left faint, as it may be noise of a codec."""

SURE = 0.99
"""Above it nothing better is looked for."""

Grey = NDArray[np.float64]


def overlay(one: Path, other: Path) -> float | None:
    """Correlation of the detail of two pictures, once one is laid over the other; mirror images count as well.

    The alignment is that of Lucas & Kanade (IJCAI 1981) in its inverse form, Baker & Matthews (IJCV 2004), section
    3.2, with two scales and two shifts.

    Returns:
        -1 to 1; ``None`` when one of them cannot be read.
    """
    try:
        left, right = _grey(one), _grey(other)
    except MediaError:
        return None
    best = -1.0
    for aligned in (False, True):  # most copies lie over each other as they are
        for moving in (right, right[:, ::-1]):
            best = max(best, _agreement(left, moving, aligned))
            if best > SURE:
                return best
    return best


def _grey(path: Path) -> Grey:
    image = decode_image(path, 2 * SIDE).convert("L").resize((SIDE, SIDE), reducing_gap=2.0)
    return np.asarray(image, np.float64) / 255


def _agreement(fixed: Grey, moving: Grey, aligned: bool) -> float:
    """Correlation, after alignment or as they are."""
    place = np.array([1.0, 1.0, 0.0, 0.0])  # scales and shifts, from the middle of the picture
    for blur in BLURS if aligned else ():
        place = _aligned(scipy.ndimage.gaussian_filter(fixed, blur), scipy.ndimage.gaussian_filter(moving, blur), place)
    if np.any(np.abs(place[:2] - 1) > 0.25) or np.any(np.abs(place[2:]) > 0.2 * SIDE):
        place = np.array([1.0, 1.0, 0.0, 0.0])  # it ran away: there is nothing to align
    laid, inside = _moved(moving, place)
    inside = scipy.ndimage.binary_erosion(inside, iterations=3)
    return _correlation(_detail(fixed)[inside], _detail(laid)[inside])


def _aligned(fixed: Grey, moving: Grey, place: Grey) -> Grey:
    down, across = np.gradient(fixed)
    rows, columns = _middle()
    slopes = np.stack([down * rows, across * columns, down, across], axis=-1).reshape(-1, 4)
    for _ in range(ROUNDS):
        laid, inside = _moved(moving, place)
        own = slopes[inside.ravel()]
        gain, lift = _exposure(fixed[inside], laid[inside])
        wrong = (gain * laid[inside] + lift - fixed[inside]).ravel()
        step = np.linalg.lstsq(own.T @ own + 1e-6 * np.eye(4), own.T @ wrong, rcond=None)[0]
        scale = 1 + step[:2]
        if np.any(scale < 0.5):
            break
        place = np.concatenate([place[:2] / scale, place[2:] - place[:2] * step[2:] / scale])
        if np.abs(step).max() < 1e-4:
            break
    return place


def _middle() -> tuple[Grey, Grey]:
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    return rows, columns


def _moved(picture: Grey, place: Grey) -> tuple[Grey, NDArray[np.bool_]]:
    """The picture as it looks from a place, and where it reaches."""
    rows, columns = _middle()
    down = place[0] * rows + place[2] + (SIDE - 1) / 2
    across = place[1] * columns + place[3] + (SIDE - 1) / 2
    inside = (down >= 0) & (down <= SIDE - 1) & (across >= 0) & (across <= SIDE - 1)
    return scipy.ndimage.map_coordinates(picture, [down, across], order=1, mode="nearest"), inside


def _exposure(fixed: Grey, laid: Grey) -> tuple[float, float]:
    """Gain and lift that bring the brightness of one to the other."""
    spread = float(laid.std())
    gain = float(fixed.std()) / spread if spread > 1e-6 else 1.0
    return gain, float(fixed.mean() - gain * laid.mean())


def _detail(picture: Grey) -> Grey:
    found: Grey = scipy.ndimage.gaussian_filter(picture, 0.7) - scipy.ndimage.gaussian_filter(picture, DETAIL)
    strength = np.sqrt(scipy.ndimage.gaussian_filter(found**2, DETAIL))
    even: Grey = found / (strength + FAINT)
    return even


def _correlation(one: Grey, other: Grey) -> float:
    if len(one) < SIDE:
        return -1.0
    one, other = one - one.mean(), other - other.mean()
    lengths = np.linalg.norm(one), np.linalg.norm(other)
    if min(lengths) < 1e-6:
        return float(max(lengths) < 1e-6)  # two plain pictures, or one
    return float(one @ other / (lengths[0] * lengths[1]))
