"""Silhouettes of the demo's products, as outlines and the paint each is filled with.

Coordinates run from 0 to 100, x to the right and y down; a product fills most of that square.
An outline is written as in SVG, with absolute commands only: ``M`` move, ``L`` line, ``Q`` and ``C`` curves,
and ``E cx cy rx ry`` for a whole ellipse.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

_STEPS = 10  # points per curve: at 320 pixels a curve then shows no corners
_PAIRS = {"M": 1, "L": 1, "Q": 2, "C": 3, "E": 2}


@dataclass(frozen=True, slots=True)
class Part:
    """One outline of a product.

    Attributes:
        paint: ``body`` carries the product's colour and pattern, ``trim`` a darker tone of it;
            ``shade`` and ``shine`` only darken and lighten what lies below.
        outline: The path, see above.
        stroke: 0 to fill the outline; otherwise the width of a line along it, in units of the 100-square.
    """

    paint: str
    outline: str
    stroke: float = 0.0


@cache
def trace(outline: str) -> NDArray[np.float64]:
    """Points along an outline.

    Returns:
        Shape ``(n, 2)``, x and y in 0..100, in drawing order.
    """
    words = outline.split()
    points: list[NDArray[np.float64]] = []
    at = 0
    while at < len(words):
        command, count = words[at], _PAIRS[words[at]]
        given = np.array(words[at + 1 : at + 1 + 2 * count], dtype=np.float64).reshape(count, 2)
        at += 1 + 2 * count
        if command == "E":
            turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)[:, None]
            points.append(given[0] + given[1] * np.hstack([np.cos(turn), np.sin(turn)]))
        elif command in "ML":
            points.append(given)
        else:
            points.append(_curve(np.vstack([points[-1][-1:], given])))
    return np.vstack(points)


def _curve(controls: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of a Bézier curve (de Casteljau) without its start: ``(degree + 1, 2)`` to ``(_STEPS, 2)``."""
    t = np.linspace(0, 1, _STEPS + 1)[1:, None, None]
    level = np.broadcast_to(controls, (_STEPS, *controls.shape))
    while level.shape[1] > 1:
        level = level[:, :-1] * (1 - t) + level[:, 1:] * t
    return level[:, 0]


SHAPES: dict[str, tuple[tuple[Part, ...], ...]] = {
    "shoe": (
        (  # sneaker
            Part("trim", "M 32 46 L 37 27 Q 42 23 47 29 L 54 42"),
            Part("body", "M 8 73 L 7 46 Q 7 36 14 36 Q 22 45 34 41 L 42 34 Q 52 52 74 55 Q 93 57 95 73"),
            Part("light", "M 77 55.5 Q 93 58 95 73 L 74 73 Q 71 63 77 55.5"),
            Part("trim", "M 8 73 L 7 46 Q 7 36 14 36 Q 17 40 19 41 Q 15 54 17 73"),
            Part("light", "M 41 43 L 50 38", 2.4),
            Part("light", "M 46 49 L 55 44", 2.4),
            Part("light", "M 52 54 L 61 49", 2.4),
            Part("light", "M 6 71 L 95 71 L 96 77 Q 95 83 88 83 L 13 83 Q 6 83 6 77"),
            Part("trim", "M 7 77 L 95 77", 1.3),
        ),
        (  # loafer
            Part("dark", "M 10 50 Q 28 62 50 54 Q 40 44 10 50"),
            Part("body", "M 8 74 L 8 50 Q 8 46 11 47 Q 28 60 46 51 Q 56 46 64 52 Q 82 56 91 64 Q 96 68 95 74"),
            Part("trim", "M 42 53 Q 50 47 57 48 L 66 72 L 50 73"),
            Part("metal", "M 50 58 L 59 56", 2.6),
            Part("shade", "M 66 55 Q 80 60 88 66", 1.4),
            Part("dark", "M 7 73 L 95 73 Q 97 79 92 79 L 36 79 L 34 86 L 8 86"),
        ),
    ),
    "boot": (
        (  # laced
            Part("trim", "M 22 22 Q 16 8 26 10", 3),
            Part("body", "M 22 14 Q 40 9 58 14 L 58 46 Q 62 56 76 59 Q 91 63 91 78 L 20 78 Q 19 60 24 46"),
            Part("trim", "M 22 14 Q 40 9 58 14 L 58 22 Q 40 17 22 22"),
            Part("shade", "M 42 78 Q 40 64 58 50", 1.4),
            Part("light", "M 45 29 L 58 27", 2.2),
            Part("light", "M 46 37 L 58 35", 2.2),
            Part("light", "M 48 45 L 59 43", 2.2),
            Part("light", "M 53 53 L 63 49", 2.2),
            Part("shade", "M 78 60 Q 91 64 91 78 L 73 78 Q 71 66 78 60"),
            Part("dark", "M 18 78 L 92 78 L 92 84 Q 92 87 88 87 L 48 87 L 46 85 L 44 91 L 18 91"),
        ),
        (  # rubber boot
            Part("body", "M 26 8 L 58 8 L 58 52 Q 60 62 74 64 Q 90 66 90 82 L 24 82 Q 22 66 26 52"),
            Part("trim", "M 25 8 L 59 8 L 59 15 L 25 15"),
            Part("trim", "M 72 64 Q 90 66 90 82 L 66 82 Q 65 70 72 64"),
            Part("shine", "M 34 22 L 34 58", 3),
            Part("dark", "M 22 81 L 91 81 L 91 88 L 50 88 L 48 86 L 44 91 L 22 91"),
        ),
    ),
    "bag": (
        (  # handbag
            Part("trim", "M 30 42 C 30 4 70 4 70 42", 4.5),
            Part("body", "M 15 40 Q 15 36 20 36 L 80 36 Q 85 36 85 40 L 92 82 Q 93 89 86 89 L 14 89 Q 7 89 8 82"),
            Part("trim", "M 15 40 Q 15 36 20 36 L 80 36 Q 85 36 85 40 L 87 51 Q 50 68 13 51"),
            Part("metal", "E 50 59 5 5"),
            Part("metal", "E 30 41 2.6 2.6"),
            Part("metal", "E 70 41 2.6 2.6"),
        ),
        (  # tote
            Part("body", "M 17 34 L 83 34 L 88 91 L 12 91"),
            Part("shade", "M 17 34 L 83 34 L 83.5 39 L 16.5 39"),
            Part("trim", "M 33 58 L 33 34 C 34 10 66 10 67 34 L 67 58", 3.6),
        ),
    ),
    "backpack": (
        (
            Part("trim", "M 42 15 C 42 2 58 2 58 15", 4),
            Part("trim", "M 24 52 Q 12 56 13 70 L 14 84 Q 15 89 24 88"),
            Part("trim", "M 76 52 Q 88 56 87 70 L 86 84 Q 85 89 76 88"),
            Part("body", "M 22 36 Q 22 11 50 11 Q 78 11 78 36 L 79 85 Q 79 92 72 92 L 28 92 Q 21 92 21 85"),
            Part("dark", "M 26 46 Q 26 24 50 24 Q 74 24 74 46", 1.6),
            Part("trim", "M 29 60 Q 29 55 34 55 L 66 55 Q 71 55 71 60 L 71 80 Q 71 86 65 86 L 35 86 Q 29 86 29 80"),
            Part("light", "M 34 63 L 66 63", 1.8),
            Part("metal", "M 62 63 L 62 70", 2.4),
            Part("light", "E 50 39 5 5"),
        ),
        (  # roll-top
            Part("trim", "M 30 30 Q 14 40 18 84", 5),
            Part("trim", "M 70 30 Q 86 40 82 84", 5),
            Part("body", "M 26 24 L 74 24 L 79 86 Q 79 92 73 92 L 27 92 Q 21 92 21 86"),
            Part("trim", "M 23 12 Q 50 8 77 12 L 77 27 Q 50 31 23 27"),
            Part("dark", "M 40 10 L 40 58", 3),
            Part("dark", "M 60 10 L 60 58", 3),
            Part("metal", "M 37 50 L 43 50 L 43 58 L 37 58"),
            Part("metal", "M 57 50 L 63 50 L 63 58 L 57 58"),
            Part("shade", "M 23 66 L 77 66", 1.4),
        ),
    ),
    "mug": (
        (
            Part("trim", "M 68 38 C 96 32 96 76 66 72", 7),
            Part("body", "M 18 26 L 72 26 L 71 80 Q 70 88 62 88 L 28 88 Q 20 88 19 80"),
            Part("light", "E 45 26 27 6.5"),
            Part("coffee", "E 45 27.2 23.5 4.6"),
            Part("shine", "M 26 40 L 27 76", 3.5),
        ),
        (  # rounded cup with saucer
            Part("trim", "M 74 46 C 96 40 94 70 66 70", 5.5),
            Part("light", "E 47 86 40 7"),
            Part("shade", "E 47 84.5 26 4"),
            Part("body", "M 14 38 L 80 38 Q 80 72 62 84 L 32 84 Q 14 72 14 38"),
            Part("light", "E 47 38 33 7"),
            Part("coffee", "E 47 39.2 29 5"),
        ),
    ),
    "chair": (
        (  # dining chair
            Part("wood", "M 34 62 L 33 88", 4),
            Part("wood", "M 66 62 L 67 88", 4),
            Part("wood", "M 33 44 L 30 60", 4),
            Part("wood", "M 67 44 L 70 60", 4),
            Part("body", "M 28 9 Q 50 4 72 9 Q 76 10 75 16 L 72 46 Q 50 50 28 46 L 25 16 Q 24 10 28 9"),
            Part("wood", "M 25 62 L 20 95", 4.6),
            Part("wood", "M 75 62 L 80 95", 4.6),
            Part("body", "M 26 55 L 74 55 L 83 63 Q 85 69 79 69 L 21 69 Q 15 69 17 63"),
            Part("shade", "M 17 63 L 83 63 Q 85 69 79 69 L 21 69 Q 15 69 17 63"),
        ),
        (  # armchair
            Part("wood", "M 24 84 L 20 95", 5),
            Part("wood", "M 76 84 L 80 95", 5),
            Part("body", "M 22 56 L 24 20 Q 25 10 36 10 L 64 10 Q 75 10 76 20 L 78 56"),
            Part("shade", "M 28 58 L 72 58", 4),
            Part("body", "M 20 60 L 80 60 L 80 84 L 20 84"),
            Part("trim", "M 25 58 Q 25 54 30 54 L 70 54 Q 75 54 75 58 L 75 68 L 25 68"),
            Part("trim", "M 8 52 Q 8 42 17 42 Q 26 42 26 52 L 26 86 L 12 86"),
            Part("trim", "M 92 52 Q 92 42 83 42 Q 74 42 74 52 L 74 86 L 88 86"),
        ),
    ),
    "lamp": (
        (  # table lamp
            Part("metal", "M 50 48 L 50 86", 4),
            Part("glow", "E 50 49 27 5"),
            Part("body", "M 35 9 L 65 9 L 82 48 Q 50 54 18 48"),
            Part("trim", "M 18 48 Q 50 54 82 48", 2),
            Part("trim", "M 35 9 L 65 9", 2),
            Part("wood", "M 30 93 Q 30 84 50 83 Q 70 84 70 93"),
        ),
        (  # round ceramic foot
            Part("glow", "E 50 47 26 4"),
            Part("trim", "M 46 46 L 54 46 L 54 56 Q 72 62 70 76 Q 68 86 58 90 L 42 90 Q 32 86 30 76 Q 28 62 46 56"),
            Part("shine", "M 38 68 Q 36 76 42 84", 3),
            Part("wood", "M 38 89 L 62 89 L 64 94 L 36 94"),
            Part("body", "M 28 12 L 72 12 L 78 47 Q 50 52 22 47"),
        ),
    ),
    "t-shirt": (
        (
            Part("shade", "M 36 12 Q 50 8 64 12 L 60 20 L 40 20"),
            Part(
                "body",
                "M 36 12 Q 50 27 64 12 L 80 17 Q 86 20 97 43 L 82 50 L 76 40 L 77 90 Q 50 93 23 90"
                " L 24 40 L 18 50 L 3 43 Q 14 20 20 17",
            ),
            Part("trim", "M 36 12 Q 50 28 64 12", 3),
            Part("shade", "M 76 40 L 74 26", 1.2),
            Part("shade", "M 24 40 L 26 26", 1.2),
            Part("trim", "M 3.5 42 L 18 49", 2),
            Part("trim", "M 96.5 42 L 82 49", 2),
        ),
        (  # V-neck with a chest pocket
            Part("shade", "M 38 12 Q 50 8 62 12 L 50 30"),
            Part(
                "body",
                "M 38 12 L 50 32 L 62 12 L 79 17 Q 86 21 92 50 L 78 53 L 74 42 L 77 90 Q 50 93 23 90"
                " L 26 42 L 22 53 L 8 50 Q 14 21 21 17",
            ),
            Part("trim", "M 38 12 L 50 32", 2.6),
            Part("trim", "M 62 12 L 50 32", 2.6),
            Part("trim", "M 57 42 L 69 42 L 69 54 L 63 57 L 57 54"),
            Part("shade", "M 74 42 L 73 27", 1.2),
            Part("shade", "M 26 42 L 27 27", 1.2),
        ),
    ),
    "dress": (
        (
            Part("trim", "M 38 20 L 40 5", 2),
            Part("trim", "M 62 20 L 60 5", 2),
            Part("body", "M 37 14 Q 50 25 63 14 L 66 32 Q 61 40 63 46 L 86 88 Q 50 98 14 88 L 37 46 Q 39 40 34 32"),
            Part("shade", "M 44 52 L 36 90", 1.4),
            Part("shade", "M 56 52 L 64 90", 1.4),
            Part("shade", "M 50 52 L 50 92", 1.2),
            Part("trim", "M 37.5 42 L 62.5 42 L 64 48 L 36 48"),
        ),
        (  # sleeves, straight skirt
            Part(
                "body",
                "M 40 9 Q 50 18 60 9 L 72 13 L 82 34 L 71 39 L 66 30 Q 62 40 64 48 L 72 91 Q 50 95 28 91"
                " L 36 48 Q 38 40 34 30 L 29 39 L 18 34 L 28 13",
            ),
            Part("trim", "M 40 9 Q 50 19 60 9", 2.4),
            Part("trim", "M 36.5 46 L 63.5 46", 3),
            Part("shade", "M 46 54 L 43 92", 1.3),
            Part("shade", "M 56 54 L 59 92", 1.3),
            Part("trim", "M 29 88 Q 50 92 71 88", 2.4),
        ),
    ),
    "hat": (
        (  # brimmed
            Part("body", "M 3 64 Q 20 54 30 57 L 70 57 Q 80 54 97 64 Q 88 78 50 78 Q 12 78 3 64"),
            Part("shade", "M 24 62 Q 50 76 76 62 L 72 56 L 28 56"),
            Part("body", "M 27 62 Q 27 22 42 21 Q 50 27 58 21 Q 73 22 73 62 Q 50 70 27 62"),
            Part("trim", "M 27.5 51 Q 50 59 72.5 51 L 73 62 Q 50 70 27 62"),
            Part("shade", "M 42 22 Q 48 34 50 27 Q 52 34 58 22", 1.2),
        ),
        (  # cap
            Part("trim", "M 52 60 Q 84 54 98 68 Q 98 74 90 72 Q 74 68 52 70"),
            Part("body", "M 12 64 Q 10 26 46 24 Q 80 25 81 62 Q 46 72 12 64"),
            Part("shade", "M 46 24 Q 60 40 58 66", 1.4),
            Part("shade", "M 46 24 Q 26 40 28 66", 1.4),
            Part("trim", "E 46 24 4 2.6"),
            Part("trim", "M 12 63 Q 46 72 81 62", 2),
        ),
    ),
    "bottle": (
        (  # drinking bottle
            Part("dark", "M 40 7 L 60 7 L 61 20 L 39 20"),
            Part("metal", "M 38 19 L 62 19 L 62 25 L 38 25"),
            Part("body", "M 38 25 Q 28 32 28 44 L 28 88 Q 28 94 34 94 L 66 94 Q 72 94 72 88 L 72 44 Q 72 32 62 25"),
            Part("trim", "M 28 84 L 72 84 L 72 88 Q 72 94 66 94 L 34 94 Q 28 94 28 88"),
            Part("shine", "M 36 46 L 36 78", 4),
        ),
        (  # tall neck
            Part("dark", "M 44 4 L 56 4 L 56 16 L 44 16"),
            Part("trim", "M 45 16 L 55 16 L 55 34 L 45 34"),
            Part(
                "body",
                "M 45 30 Q 44 40 35 44 Q 31 47 31 54 L 31 90 Q 31 95 36 95 L 64 95"
                " Q 69 95 69 90 L 69 54 Q 69 47 65 44 Q 56 40 55 30",
            ),
            Part("light", "M 36 60 L 64 60 L 64 80 L 36 80"),
            Part("trim", "M 41 67 L 59 67", 1.8),
            Part("trim", "M 44 73 L 56 73", 1.4),
        ),
    ),
    "watch": (
        (
            Part("body", "M 38 3 L 62 3 L 67 34 L 33 34"),
            Part("body", "M 33 66 L 67 66 L 62 95 Q 50 99 38 95"),
            Part("dark", "E 50 78 1.3 1.3"),
            Part("dark", "E 50 84 1.3 1.3"),
            Part("dark", "E 50 90 1.3 1.3"),
            Part("metal", "M 72 46 L 79 46 L 79 54 L 72 54"),
            Part("metal", "E 50 50 25 25"),
            Part("light", "E 50 50 20 20"),
            Part("dark", "M 50 33 L 50 36", 1.8),
            Part("dark", "M 50 64 L 50 67", 1.8),
            Part("dark", "M 33 50 L 36 50", 1.8),
            Part("dark", "M 64 50 L 67 50", 1.8),
            Part("dark", "M 50 50 L 42 43", 2.4),
            Part("dark", "M 50 50 L 59 38", 1.6),
            Part("trim", "E 50 50 2.2 2.2"),
        ),
        (  # square case
            Part("body", "M 37 3 L 63 3 L 65 32 L 35 32"),
            Part("body", "M 35 68 L 65 68 L 63 96 L 37 96"),
            Part("metal", "M 30 30 Q 30 27 33 27 L 67 27 Q 70 27 70 30 L 70 70 Q 70 73 67 73 L 33 73 Q 30 73 30 70"),
            Part("metal", "M 70 47 L 75 47 L 75 53 L 70 53"),
            Part("light", "M 35 32 L 65 32 L 65 68 L 35 68"),
            Part("trim", "M 39 36 L 61 36 L 61 64 L 39 64 L 39 36", 0.8),
            Part("dark", "M 50 50 L 50 39", 1.8),
            Part("dark", "M 50 50 L 58 55", 2.2),
        ),
    ),
}
"""Every kind of product, each as one or more models that differ in cut."""
