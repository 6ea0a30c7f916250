"""Windows laid over the product of a picture: where they are, and what each looks like, facet by facet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.color import color_vector, rgb_to_lab
from vision.foreground import CANVAS, Foreground, find_foreground
from vision.shape import shape_vector
from vision.texture import texture_vector

SIDE = 3 / 8
"""Side of a window in sides of the product's square: large enough to hold a pocket, a collar, a heel."""

STEPS = 5
"""Windows a side, five thirty-seconds of the square apart."""

COVERED = 0.5
"""Share of a window that the product must cover, or three fifths of what the best window has: a necklace never
covers half of any."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of one size over the product of one picture.

    Attributes:
        boxes: Left, top, width and height in fractions of the upright picture, within it. float64, ``(n, 4)``.
        places: Left and top in fractions of the product's square. float64, ``(n, 2)``.
        cells: Facet → what each window looks like by itself; rows of unit length. float32, ``(n, dim)`` each.
        side: Of a window in sides of the product's square.
    """

    boxes: NDArray[np.float64]
    places: NDArray[np.float64]
    cells: dict[str, NDArray[np.float32]]
    side: float = SIDE

    def __len__(self) -> int:
        return len(self.boxes)


def find_windows(rgb: NDArray[np.uint8]) -> Windows:
    """Lay windows over the product, ``STEPS`` by ``STEPS`` less those beside it.

    Args:
        rgb: sRGB, uint8, shape ``(h, w, 3)``.
    """
    found = find_foreground(rgb)
    steps = np.linspace(0, 1 - SIDE, STEPS)
    places = np.stack(np.meshgrid(steps, steps, indexing="xy"), axis=-1).reshape(-1, 2)
    places = places[_on_product(found, places)]
    lab = rgb_to_lab(found.rgb)
    lightness = np.ascontiguousarray(lab[..., 0])
    cells: dict[str, list[NDArray[np.float32]]] = {"shape": [], "color": [], "texture": []}
    side = round(SIDE * CANVAS)
    for left, top in np.rint(places * CANVAS).astype(int).tolist():
        own = (slice(top, top + side), slice(left, left + side))
        cells["shape"].append(shape_vector(np.ascontiguousarray(lightness[own])))
        cells["color"].append(color_vector(lab[own], found.mask[own]))
        cells["texture"].append(texture_vector(lightness[own], found.mask[own]))
    return Windows(_boxes(found, places, rgb), places, {name: np.stack(rows) for name, rows in cells.items()})


def random_boxes(rgb: NDArray[np.uint8], count: int, seed: int) -> NDArray[np.float64]:
    """Boxes of the windows' size anywhere on the product: what a claim about a window is held against.

    They cover as much of the product as windows must, but lie on no grid.

    Returns:
        As ``Windows.boxes``. float64, shape ``(count, 4)``.
    """
    found = find_foreground(rgb)
    drawn = np.random.default_rng(seed).uniform(0, 1 - SIDE, (100 * count, 2))
    on = np.flatnonzero(_on_product(found, drawn))
    return _boxes(found, drawn[on[np.arange(count) % len(on)]], rgb)


def _on_product(found: Foreground, places: NDArray[np.float64]) -> NDArray[np.bool_]:
    side = round(SIDE * CANVAS)
    covered = np.array(
        [
            found.mask[top : top + side, left : left + side].mean()
            for left, top in np.rint(places * CANVAS).astype(int).tolist()
        ]
    )
    enough: NDArray[np.bool_] = covered >= min(COVERED, 0.6 * covered.max())
    return enough


def _boxes(found: Foreground, places: NDArray[np.float64], rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """From the product's square to fractions of the picture."""
    height, width = rgb.shape[:2]
    left, top, right, bottom = found.box
    size = np.array([right - left, bottom - top]) / (width, height)
    first = np.array([left / width, top / height]) + places * size
    last = np.clip(first + SIDE * size, 0, 1)
    first = np.clip(first, 0, 1)
    return np.hstack([first, last - first])
