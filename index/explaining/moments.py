"""Moments: which stretches of two songs sound most alike."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from index.encoders import ENCODERS, hear
from index.engine.spaces import FacetSpace, unit_rows
from index.errors import MediaError
from index.explaining.explanation import Likeness, Moment
from index.explaining.pair import Pair
from index.relations import RELATIONS
from index.types import Facet, Vectors

if TYPE_CHECKING:
    from index.encoders import Heard

MOST = 4
"""Pairs of moments named."""

WORTH = 0.75
"""Share of the best pair's score that a further one must reach."""

SHIFT = 1.0
"""Seconds by which a stretch is moved so that the two run in step."""

REMEMBERED = 8
"""Songs kept as they were heard, some hundred kilobytes each: one song is often explained beside many."""

DESCRIBED_BY = "builtin-audio"


def listen(path: Path) -> Heard:
    """Hear a song, or remember it if the file was not touched.

    Raises:
        MediaError: It cannot be read or decoded, or is too short or silent.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise MediaError("read", f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    return _heard(path, status.st_mtime_ns, status.st_size)


def find_moments(pair: Pair, one: Heard, other: Heard) -> tuple[tuple[Moment, ...], Likeness]:
    """Hold every stretch of one song against every stretch of the other.

    Stretches are described by timbre, rhythm and harmony as whole songs are, in the catalog's fitted spaces where it
    has them, and weighed as the relation weighs these facets. What is named does not overlap, and the second stretch
    is moved by up to ``SHIFT`` seconds to where the two run most in step.

    Returns:
        At most ``MOST``, the most alike first; and all scores, for a picture.
    """
    scores = _scores(pair, one.rows, other.rows)
    length = min(one.length, other.length)
    free = scores.copy()
    moments: list[Moment] = []
    while len(moments) < MOST and np.isfinite(free).any():
        row, column = np.unravel_index(int(np.argmax(free)), free.shape)
        best = float(free[row, column])
        if moments and best < WORTH * moments[0].score:
            break
        a, b = float(one.starts[row]), float(other.starts[column])
        moments.append(Moment(a, _in_step(one, other, a, b, length), length, best))
        free[np.abs(one.starts - a) < length] = -np.inf
        free[:, np.abs(other.starts - b) < length] = -np.inf
    return tuple(moments), Likeness(one.starts, other.starts, length, scores, one.seconds, other.seconds)


@lru_cache(REMEMBERED)
def _heard(path: Path, mtime_ns: int, size: int) -> Heard:
    return hear(path)


def _scores(pair: Pair, left: Vectors, right: Vectors) -> NDArray[np.float32]:
    """Weighted mean of the facets' cosines. float32, shape ``(n, m)``."""
    facets = ENCODERS[DESCRIBED_BY].card().facets
    weights = pair.relation.weights_of(facets)
    if not any(weights.values()):  # learned, or of a network alone
        weights = RELATIONS["similar-track"].weights_of(facets)
    both = np.vstack([left, right])
    total = np.zeros((len(left), len(right)), np.float32)
    for facet in facets:
        projected = _space(pair, facet, both).project(unit_rows(both[:, facet.start : facet.stop]))
        total += np.float32(weights[facet.name]) * (projected[: len(left)] @ projected[len(left) :].T)
    return total


def _space(pair: Pair, facet: Facet, rows: Vectors) -> FacetSpace:
    """The catalog's fitted space of a facet; without one, cosines around the mean of the two songs."""
    for part in pair.space.projection.parts:
        if part.facet.name == facet.name:
            return part.space
    own = unit_rows(rows[:, facet.start : facet.stop])
    return FacetSpace(own.mean(axis=0), np.eye(facet.dim, dtype=np.float32))


def _in_step(one: Heard, other: Heard, a: float, b: float, length: float) -> float:
    """The start, near ``b``, from which the other song's sound follows this one's most closely, frame by frame."""
    wanted = one.frames(a, length)
    if wanted is None:
        return b
    best, found = 0.0, b
    rate = len(wanted) / length
    for shift in range(-round(SHIFT * rate), round(SHIFT * rate) + 1):
        start = b + shift / rate
        beside = other.frames(start, length)
        if beside is None:
            continue
        alike = float((wanted * beside).sum() / max(float(np.linalg.norm(wanted) * np.linalg.norm(beside)), 1e-12))
        if alike > best:
            best, found = alike, start
    return found
