"""Occlusion: how much of two pictures' closeness is lost when a window of one of them is blurred."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from index.encoders import ENCODERS
from index.types import EncoderCard, FeatureMap, Vector, Vectors

if TYPE_CHECKING:
    from index.encoders import Looking

MOST_BY_NETWORK = 12
"""Windows that a network looks at again: one look costs about as much as forty by the built-in encoder."""

Closeness = Callable[[Vectors], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""From vectors of one side as encoded, ``(n, raw_dim)``, to how close they are to the other, ``(n,)``, and the
facets' parts of it, ``(n, facets)``."""


@dataclass(frozen=True, slots=True)
class View:
    """A picture, and how it enters the vectors that are compared.

    Attributes:
        look: At the picture, by the encoders that can describe it.
        cards: Of these encoders.
        columns: Where the vector of each lies in ``raw``.
        raw: Vectors of the picture as encoded, all encoders of the space side by side. float32, ``(raw_dim,)``.
    """

    look: Looking
    cards: Sequence[EncoderCard]
    columns: Sequence[slice]
    raw: Vector

    def described(self) -> Vector:
        """``raw`` with what the encoders make of the picture now."""
        found = self.raw.copy()
        for which, own in enumerate(self.columns):
            found[own] = self.look.describe(which)
        return found

    def networks(self) -> list[int]:
        """Places of the encoders that are slow."""
        return [which for which, card in enumerate(self.cards) if card.name not in ENCODERS]


@dataclass(frozen=True, slots=True)
class Occlusion:
    """What was lost without each window.

    Attributes:
        boxes: The windows, as ``vision.windows`` gives them: fractions of the picture. float64, ``(n, 4)``.
        places: Left and top in fractions of the product's square. float64, ``(n, 2)``.
        cells: Facet → what each window looks like by itself, rows of unit length.
        lost: Closeness lost. float64, ``(n,)``.
        parts: By each facet. float64, ``(n, facets)``.
        last: Where the last window begins in the product's square, if the product covers that.
    """

    boxes: NDArray[np.float64]
    places: NDArray[np.float64]
    cells: dict[str, NDArray[np.float32]]
    lost: NDArray[np.float64]
    parts: NDArray[np.float64]
    last: float


def occlude(view: View, base: Vector, closeness: Closeness, other_maps: Sequence[FeatureMap | None]) -> Occlusion:
    """Blur each window in turn and describe the picture again (Zeiler & Fergus, ECCV 2014, section 4.2).

    Networks are slow: they look again at those windows only that the built-in facets and their own last feature
    maps speak for, as found by ``map_evidence``.

    Args:
        view: The picture.
        base: What ``view.described`` gave.
        closeness: To the other picture.
        other_maps: Feature maps of the other picture, one for each encoder.
    """
    windows = view.look.windows()
    networks = view.networks()
    quick = [which for which in range(len(view.cards)) if which not in networks]
    whole, whole_parts = closeness(base[None])
    rows = np.repeat(base[None], len(windows), axis=0)
    _blur(view, windows.boxes, rows, quick)
    lost = whole - closeness(rows)[0]
    cells = dict(windows.cells)
    kept = np.arange(len(windows))
    if networks:
        evidence = lost / max(float(np.abs(lost).max(initial=0)), 1e-12) if quick else np.zeros(len(windows))
        for which in networks:
            own, other = view.look.feature_map(which), other_maps[which]
            if own is not None and other is not None:
                found, seen = map_evidence(own, other, windows.boxes)
                evidence = evidence + found / max(float(np.abs(found).max(initial=0)), 1e-12)
                cells[f"map {which}"] = seen
        kept = _most(evidence, MOST_BY_NETWORK)
        chosen = rows[kept]
        _blur(view, windows.boxes[kept], chosen, networks)
        rows = chosen
    left, left_parts = closeness(rows)
    return Occlusion(
        windows.boxes[kept],
        windows.places[kept],
        {name: seen[kept] for name, seen in cells.items()},
        whole - left,
        whole_parts - left_parts,
        1 - windows.side,
    )


def lost_without(
    view: View, base: Vector, closeness: Closeness, boxes: NDArray[np.float64], spread: float | None
) -> NDArray[np.float64]:
    """Closeness lost without each of some boxes: the deletion test (Petsiuk, Das & Saenko, RISE, BMVC 2018).

    Args:
        boxes: Fractions of the picture. float64, shape ``(n, 4)``.
        spread: As in ``vision.looking.Looking``.

    Returns:
        float64, shape ``(n,)``.
    """
    rows = np.repeat(base[None], len(boxes), axis=0)
    for which, own in enumerate(view.columns):
        for at, box in enumerate(boxes.tolist()):
            rows[at, own] = view.look.describe_without(which, box, spread)
    return np.asarray(closeness(base[None])[0] - closeness(rows)[0], np.float64)


def map_evidence(
    own: FeatureMap, other: FeatureMap, boxes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """How much the cosine of two pooled feature maps loses when the cells of one below each box are left out.

    The pooled map is the mean of its cells, as in Stylianou, Souvenir & Pless, "Visualizing deep similarity
    networks" (WACV 2019), whose maps of similarity add up to the cosine; here the length that cells add counts, too.

    Returns:
        float64, shape ``(n,)``; and what each box holds, rows of unit length, float32, ``(n, channels)``.
    """
    channels, rows, columns = own.values.shape
    flat = own.values.reshape(channels, -1).T.astype(np.float64)
    there = other.values.reshape(channels, -1).mean(axis=1).astype(np.float64)
    left, top, right, bottom = own.seen
    across = left + (np.arange(columns) + 0.5) / columns * (right - left)
    down = top + (np.arange(rows) + 0.5) / rows * (bottom - top)
    half = np.array([(right - left) / columns, (bottom - top) / rows]) / 2
    first, last = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]

    def overlap(centres: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        low = np.maximum(first[:, axis, None], centres - half[axis])
        high = np.minimum(last[:, axis, None], centres + half[axis])
        return np.asarray(np.maximum(high - low, 0.0), np.float64)

    covered = (overlap(down, 1)[:, :, None] * overlap(across, 0)[:, None, :]).reshape(len(boxes), -1)
    covered /= 4 * half.prod()  # of each cell
    held = covered @ flat
    lost = _cosines(flat.mean(axis=0)[None], there) - _cosines(flat.sum(axis=0) - held, there)
    held /= np.maximum(np.linalg.norm(held, axis=1, keepdims=True), 1e-12)
    return lost, held.astype(np.float32)


def _cosines(rows: NDArray[np.float64], one: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(one)
    return np.asarray(rows @ one / np.maximum(lengths, 1e-12), np.float64)


def _blur(view: View, boxes: NDArray[np.float64], rows: NDArray[np.float32], encoders: Sequence[int]) -> None:
    """Write into each row what the encoders make of the picture without the box of that row."""
    for which in encoders:
        for at, box in enumerate(boxes.tolist()):
            rows[at, view.columns[which]] = view.look.describe_without(which, box)


def _most(evidence: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Places of the largest, ascending; evenly spread ones where nothing speaks for any."""
    if not np.ptp(evidence):
        return np.unique(np.linspace(0, len(evidence) - 1, count).round().astype(np.int64))
    return np.sort(np.argsort(-evidence, kind="stable")[:count])
