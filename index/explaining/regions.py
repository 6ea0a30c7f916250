"""Regions: which parts of two pictures match, and matter to their closeness."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from index.encoders import load_encoder, look_at
from index.errors import InputError, MissingExtraError, StaleIndexError
from index.explaining.explanation import Box, Region
from index.explaining.occlusion import Occlusion, View, occlude
from index.explaining.pair import Pair, Side
from index.reading import CatalogReader
from index.types import Encoder, FeatureMap, PictureEncoder

MOST = 3
"""Regions named of each picture."""

WORTH = 0.3
"""Share of the first region's loss that a further one must reach."""

APART = 0.2
"""Intersection over union from which two regions of a picture are not both named."""

MATCH = 1.0
"""Weight of looking alike, against mattering in the first picture and in the second."""

NEAR = 0.15
"""Sides of the product's square by which regions of one form may be apart."""

LOADED = 4
"""Networks kept open between explanations."""


@lru_cache(LOADED)
def loaded(name: str) -> Encoder:
    """An encoder, kept open: loading a network takes longer than looking through it."""
    return load_encoder(name)


def views_of(catalog: CatalogReader, pair: Pair) -> tuple[View, View, tuple[str, ...]]:
    """Look at both pictures by every encoder that can describe them, and say which cannot.

    Raises:
        MediaError: A picture cannot be read or decoded.
        InputError: One of them has no file, or no encoder can describe any.
    """
    for side in (pair.a, pair.b):
        if side.path is None:
            raise InputError(f"there is no picture of {side.name} on this machine")
    names, notes = [], []
    for name in pair.space.record.encoders:
        try:
            encoder = loaded(name)
            catalog.check_fingerprint(name, encoder.card.fingerprint)
            names.append(name)
        except (InputError, MissingExtraError, StaleIndexError):  # their messages name paths, which a server keeps
            short = name.rsplit("/", 1)[-1]
            notes.append(f"regions are found without {short}, which cannot be opened here or is not what it was")
    if not names:
        raise InputError("no encoder of this catalog can describe a picture here")
    views = [_view(pair, side, names) for side in (pair.a, pair.b)]
    return views[0], views[1], tuple(notes)


def find_regions(pair: Pair, one: View, other: View) -> tuple[tuple[Region, ...], tuple[float, float]]:
    """Find the regions that matter most to two pictures' closeness, each with its match in the other picture.

    Every window of one picture is held against every window of the other: what counts is the closeness lost
    without the one, without the other, and how alike they look in the facet that suffers most.

    Args:
        pair: What is compared.
        one: Of the side asked about.
        other: Of the side that answers.

    Returns:
        At most ``MOST``, the strongest first, none covering another; and the share of the score that is lost
        without the first of them, and on average without any window that was tried, both pictures averaged.
    """
    base_a, base_b = one.described(), other.described()
    maps_a, maps_b = _maps(one), _maps(other)
    in_a = occlude(one, base_a, lambda rows: pair.closeness(rows, base_b[None]), maps_b)
    in_b = occlude(other, base_b, lambda rows: pair.closeness(base_a[None], rows), maps_a)
    whole = float(pair.closeness(base_a[None], base_b[None])[0][0])
    score = float(pair.scores(np.array([whole]))[0])

    def share(lost: NDArray[np.float64]) -> NDArray[np.float64]:
        return (score - pair.scores(whole - lost)) / max(abs(score), 1e-9)

    lost = in_a.lost[:, None] + in_b.lost
    value = lost / max(float(in_a.lost.max()), float(in_b.lost.max()), 1e-12)
    value += MATCH * _alike_in(pair.facets, in_a, in_b)
    value[lost <= 0] = -np.inf
    regions: list[Region] = []
    first = 0.0  # strength of the best match
    while len(regions) < MOST and np.isfinite(value).any():
        at, match = np.unravel_index(int(np.argmax(value)), value.shape)
        facet = int(np.argmax(in_a.parts[at] + in_b.parts[match]))
        strength = float(np.mean([share(in_a.lost)[at], share(in_b.lost)[match]]))
        first = first or strength
        if strength < WORTH * first:
            break
        boxes = [_box(in_a.boxes[at]), _box(in_b.boxes[match])]
        regions.append(Region(pair.facets[facet], boxes[0], boxes[1], min(max(strength, 0.0), 1.0)))
        value[_overlap(in_a.boxes, in_a.boxes[at]) >= APART] = -np.inf
        value[:, _overlap(in_b.boxes, in_b.boxes[match]) >= APART] = -np.inf
    usual = float(np.mean([share(in_a.lost).mean(), share(in_b.lost).mean()]))
    regions.sort(key=lambda region: -region.strength)
    return tuple(regions), (max(first, regions[0].strength) if regions else 0.0, usual)


def _view(pair: Pair, side: Side, names: list[str]) -> View:
    assert side.path is not None
    stops = np.cumsum([card.dim for card in pair.space.cards]).tolist()
    own = {
        name: slice(stop - card.dim, stop)
        for name, stop, card in zip(pair.space.record.encoders, stops, pair.space.cards, strict=True)
    }
    encoders: list[PictureEncoder] = [loaded(name) for name in names]  # type: ignore[misc]
    return View(
        look_at(encoders, side.path), [encoder.card for encoder in encoders], [own[name] for name in names], side.raw
    )


def _maps(view: View) -> list[FeatureMap | None]:
    networks = view.networks()
    return [view.look.feature_map(which) if which in networks else None for which in range(len(view.cards))]


def _alike_in(facets: list[str], one: Occlusion, other: Occlusion) -> NDArray[np.float64]:
    """How alike windows look, in the facet that suffers most without that of the first picture: 0 to 1 for each.

    Returns:
        float64, shape ``(n, m)``.
    """
    likeness = {facet: _alike(facet, one, other) for facet in facets}
    return np.stack([likeness[facets[worst]][at] for at, worst in enumerate(one.parts.argmax(axis=1).tolist())])


def _alike(facet: str, one: Occlusion, other: Occlusion) -> NDArray[np.float64]:
    """How alike every window of one picture looks to every window of the other in a facet. float64, ``(n, m)``."""
    kind = facet.partition(":")[0]
    names = [name for name in one.cells if name.startswith("map")]
    names = [kind] if kind in one.cells else names or list(one.cells)
    cosines = np.zeros((len(one.lost), len(other.lost)))
    for name in names:
        cosines += one.cells[name] @ other.cells[name].T
    span = float(np.ptp(cosines))
    alike = (cosines - cosines.min()) / span if span > 1e-9 else np.ones_like(cosines)
    if kind == "shape":  # edges are compared where they lie on the product, mirror images alike
        here, there = one.places[:, None], other.places[None]
        across = np.minimum(np.abs(there - here)[..., 0], np.abs(here + there - one.last)[..., 0])
        alike = alike * np.exp(-((across**2 + (there - here)[..., 1] ** 2) / (2 * NEAR**2)))
    return np.asarray(alike, np.float64)


def _box(row: NDArray[np.float64]) -> Box:
    left, top, width, height = row.tolist()
    return left, top, width, height


def _overlap(boxes: NDArray[np.float64], one: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union with one box. float64, ``(n,)``."""
    first = np.maximum(boxes[:, :2], one[:2])
    last = np.minimum(boxes[:, :2] + boxes[:, 2:], one[:2] + one[2:])
    shared = np.maximum(last - first, 0).prod(axis=1)
    both: NDArray[np.float64] = shared / (boxes[:, 2:].prod(axis=1) + one[2:].prod() - shared)
    return both
