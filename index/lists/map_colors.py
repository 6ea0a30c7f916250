"""Colours of a map: one for each value of its telling attribute, or for each cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.lists.map import StyleMap

PALETTE = (
    "#4269d0", "#efb118", "#ff725c", "#3ca951", "#a463f2", "#6cc5b0", "#ff8ab7", "#9c6b4e", "#38b2e8", "#d1495b",
    "#8a9a5b", "#6d6a75",
)  # fmt: skip
"""Colours that stay apart for most eyes, on light and on dark."""

OTHER = "#a8a8a8"

NAMED = 0.7
"""Where so large a share of the items have a value that is a colour's name, dots take those colours."""


@dataclass(frozen=True, slots=True)
class Coloring:
    """How dots are coloured.

    Attributes:
        name: What colours tell: an attribute, or ``"cluster"``.
        values: Those that have a colour of their own, most frequent first.
        colors: One for each value as ``#rrggbb``, then one for all others.
        codes: Of each item the place of its colour. uint8, ``(n,)``.
    """

    name: str
    values: tuple[str, ...]
    colors: tuple[str, ...]
    codes: NDArray[np.uint8]


def colorings(style_map: StyleMap) -> list[Coloring]:
    """By the attribute that clusters tell apart best, where there is one, and by cluster."""
    found: list[Coloring] = []
    if style_map.attribute:
        named = _named(style_map)
        colors = named or PALETTE
        values = style_map.values[: len(colors)]
        found.append(_coloring(style_map.attribute, values, colors, style_map.codes))
    if style_map.clusters:
        labels = tuple(cluster.label for cluster in style_map.clusters)[: len(PALETTE)]
        found.append(_coloring("cluster", labels, PALETTE, style_map.labels))
    return found or [Coloring("", (), (PALETTE[0],), np.zeros(len(style_map), np.uint8))]


def _coloring(name: str, values: tuple[str, ...], colors: tuple[str, ...], codes: NDArray[np.int32]) -> Coloring:
    known = (codes >= 0) & (codes < len(values))
    return Coloring(name, values, (*colors[: len(values)], OTHER), np.where(known, codes, len(values)).astype(np.uint8))


def _named(style_map: StyleMap) -> tuple[str, ...]:
    """Colours that values name, if most do: for ``color=Navy Blue`` that of ``navy``."""
    counts = np.bincount(style_map.codes[style_map.codes >= 0], minlength=len(style_map.values))
    colors = [_color_of(value) for value in style_map.values[:100]]
    hits = sum(int(counts[at]) for at, color in enumerate(colors) if color)
    return tuple(color or OTHER for color in colors) if hits >= NAMED * max(1, int(counts.sum())) else ()


def _color_of(value: str) -> str:
    from PIL import ImageColor

    words = value.lower().replace("-", " ").split()
    for name in ("".join(words), *words[:1], *words[-1:]):
        if name.isalpha():
            try:
                return "#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(name)[:3])
            except ValueError:
                continue
    return ""
