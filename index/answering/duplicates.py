"""Near-duplicates: the same photo or the same recording again, told apart from recommendations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from index.engine import kernel
from index.engine.projection import Projection
from index.types import Vectors

SUSPECT = 0.5
"""Cosine in every facet's fitted space below which two items are certainly not the same; the fitted
spaces magnify differences, so whoever passes is compared again as the encoder described it."""

FIRST = 1000
"""Answers beyond this rank are not compared with each other."""


def find_repeats(
    projection: Projection, vectors: Vectors, named: int, units_of: Callable[[NDArray[np.int64]], NDArray[np.float16]]
) -> NDArray[np.int64]:
    """For each item, the place of the first one before it that it repeats; its own place when it repeats none.

    Two items are near-duplicates when the cosine of every facet, as encoded, reaches ``Facet.same``, in half
    precision.

    Args:
        vectors: float32, shape ``(n, dim)``, projected: the query's own items first, then answers, best first.
        named: How many of them are the query's own; they repeat nothing.
        units_of: Given places (int64, ascending), facets of those items as encoded, float16 ``(m, raw_dim)``: see
            ``Projection.units``; called only when there are suspects.

    Returns:
        int64, shape ``(n,)``.
    """
    first = np.arange(len(vectors))
    suspects = _suspects(projection, vectors[: named + FIRST], named)
    if suspects is None:
        return first
    same = _confirmed(projection, suspects, units_of)
    for row in np.flatnonzero(same.any(axis=0)).tolist():  # ascending: those before are settled
        before = [int(at) for at in np.flatnonzero(same[:, row]) if first[at] == at]
        if before:
            first[row] = before[0]
    return first


def same_pairs(
    projection: Projection, vectors: Vectors, units_of: Callable[[NDArray[np.int64]], NDArray[np.float16]]
) -> NDArray[np.bool_]:
    """Which items are near-duplicates of which.

    Args:
        vectors, units_of: See ``find_repeats``.

    Returns:
        bool, shape ``(n, n)``, symmetric; no item is one of itself.
    """
    suspects = _suspects(projection, vectors, 0)
    if suspects is None:
        return np.zeros((len(vectors), len(vectors)), bool)
    same = _confirmed(projection, suspects, units_of)
    return same | same.T


def facet_cosines(projection: Projection, left: Vectors, right: Vectors) -> NDArray[np.float32]:
    """Cosines of pairs as encoded, facet by facet.

    Args:
        left, right: float32, shape ``(n, raw_dim)`` each.

    Returns:
        float32, shape ``(n, facets)``; 0 where one of the two lacks the facet.
    """
    found = np.zeros((len(left), len(projection.parts)), np.float32)
    for at, part in enumerate(projection.parts):
        one, other = left[:, part.raw], right[:, part.raw]
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        found[:, at] = np.einsum("ij,ij->i", one, other) / np.where(lengths > 0, lengths, np.inf)
    return found


def _suspects(projection: Projection, vectors: Vectors, named: int) -> NDArray[np.bool_] | None:
    """Which later items, in columns, may be the same as which before them, bool ``(n, n)``; ``None`` when none may."""
    bounds = np.asarray([0, *(part.own.stop for part in projection.parts)], np.int64)
    least = np.full(len(projection.parts), SUSPECT, np.float32)
    found = np.zeros((len(vectors), len(vectors)), bool)
    pairs = kernel.alike(np.ascontiguousarray(vectors, np.float32), bounds, least, found, named)
    return found if pairs else None


def _confirmed(
    projection: Projection, suspects: NDArray[np.bool_], units_of: Callable[[NDArray[np.int64]], NDArray[np.float16]]
) -> NDArray[np.bool_]:
    """Those of the suspects, bool ``(n, n)``, whose cosines as encoded agree, too."""
    places = np.flatnonzero(suspects.any(axis=0) | suspects.any(axis=1))
    bounds = np.asarray([0, *(part.raw.stop for part in projection.parts)], np.int64)
    least = np.asarray([part.facet.same for part in projection.parts], np.float32)
    inside = np.ix_(places, places)
    pairs = suspects[inside]
    kernel.agreed(np.ascontiguousarray(units_of(places)), bounds, least, pairs)
    confirmed = np.zeros_like(suspects)
    confirmed[inside] = pairs
    return confirmed
