"""Heads: what a learned relation adds to facets, linear maps that turn a distance into a link probability."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from index.engine.projection import Projection
from index.engine.sphere import Sphere
from index.errors import StaleIndexError
from index.types import EncoderCard, Vector, Vectors

BEHAVIOUR = "behaviour"
"""Stands among facets' names for what people did with an item, beyond what its facets tell."""


@dataclass(frozen=True, slots=True)
class Content:
    """What both sides of an answer look or sound like: projected facets.

    Attributes:
        asked: Of each of those asked about, float32, shape ``(m, d)``.
        weights: Of those, negative for who is moved away from, float32, shape ``(m,)``.
        answers: Of the answers, float32, shape ``(n, d)``.
    """

    asked: Vectors
    weights: NDArray[np.float32]
    answers: Vectors


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted relation: P(j answers i) = 1 / (1 + exp(‖xᵢA + b − xⱼB‖² − c)).

    McAuley, Targett, Shi & van den Hengel (SIGIR 2015), eq. 3–5, with A = B and b = 0 where neither side is
    different from the other; otherwise He, Packer & McAuley (ICDM 2016), see ``index.learning.asymmetric``. A head
    brings the facet spaces it was fitted in, so that a catalog that grows moves nothing under it. One fitted to
    behaviour vectors puts places on a sphere, see ``index.engine.sphere``; it asks the same of both sides.

    A projected row is ``[xB, ‖xB‖²]``, followed by ``a = xA + b`` when the maps differ; the question to it is
    ``[2a, −1]``, followed by zeros: their product is ``‖aᵢ‖² − ‖aᵢ − xⱼB‖²``, so ordinary search serves it.

    Attributes:
        projection: From encoders' vectors to facets.
        source: A, float32, shape ``(d, K)``: of who is asked about.
        target: B, likewise: of who answers.
        offset: b, float32, shape ``(K,)``.
        shift: c: the squared distance at which a link is as likely as not.
        expected: Each facet's part of the squared distance of two items at random. float32, shape ``(facets,)``.
        sphere: On which places lie, if they do.
    """

    projection: Projection
    source: NDArray[np.float32]
    target: NDArray[np.float32]
    offset: NDArray[np.float32]
    shift: float
    expected: NDArray[np.float32]
    sphere: Sphere | None = None

    @property
    def rank(self) -> int:
        """K, dimensions of the space in which distances count."""
        return int(self.target.shape[1])

    @property
    def symmetric(self) -> bool:
        """Whether it asks the same of both sides."""
        return bool(np.array_equal(self.source, self.target)) and not self.offset.any()

    @property
    def width(self) -> int:
        """Numbers in a projected row."""
        return self.rank + 1 if self.symmetric else 2 * self.rank + 1

    def project(self, raw: Vectors) -> Vectors:
        """Project items.

        Args:
            raw: float32, shape ``(n, raw_dim)``, the encoders' vectors side by side, all zero where absent.

        Returns:
            float32, shape ``(n, width)``.
        """
        return self.rows_of(self.projection.project(raw))

    def rows_of(self, facets: Vectors) -> Vectors:
        """Rows of items whose facets are projected already: float32, ``(n, d)`` → ``(n, width)``."""
        if self.sphere:
            centred: Vectors = facets - self.sphere.mean
            return self.rows_at(self.sphere.on(centred @ self.target))
        rows = self.rows_at(facets @ self.target)
        return rows if self.symmetric else np.hstack([rows, facets @ self.source + self.offset])

    def rows_at(self, places: Vectors) -> Vectors:
        """Rows of items by where they stand as answers: float32, ``(n, K)`` → ``(n, K + 1)``."""
        return np.column_stack([places, np.einsum("ij,ij->i", places, places)])

    def asked(self, rows: Vectors) -> Vectors:
        """Where rows stand when they are asked about, xA + b: float32, ``(…, width)`` → ``(…, K)``."""
        return rows[..., : self.rank] if self.width == self.rank + 1 else rows[..., self.rank + 1 :]

    def combine(self, rows: Vectors, weights: NDArray[np.float32]) -> Vector:
        """One row for several: see ``blend``.

        Args:
            rows: float32, shape ``(m, width)``.
            weights: float32, shape ``(m,)``.

        Returns:
            float32, shape ``(width,)``; all zero when no weight is positive.
        """
        if not (weights > 0).any():
            return np.zeros(self.width, np.float32)
        combined = blend(rows, weights)
        if self.sphere:
            combined[: self.rank] = self.sphere.on(combined[None, : self.rank])[0]
        combined[self.rank] = combined[: self.rank] @ combined[: self.rank]
        return np.asarray(combined, np.float32)

    def question(self, rows: Vectors) -> Vectors:
        """The questions that rows are: float32, ``(…, width)`` → ``(…, width)``; see the class."""
        found = np.zeros_like(rows)
        found[..., : self.rank] = 2 * self.asked(rows)
        found[..., self.rank] = -1
        return found

    def probability(self, rows: Vectors, products: NDArray[np.float32]) -> NDArray[np.float32]:
        """Link probabilities from the products of rows' questions with others' rows.

        Args:
            rows: Who is asked about, float32, shape ``(n, width)`` for a product each, or ``(1, width)`` for all.
            products: float32, shape ``(n,)``.

        Returns:
            float32, shape ``(n,)``.
        """
        place = self.asked(rows).astype(np.float64)
        squared = np.einsum("ij,ij->i", place, place) - products
        return np.asarray(np.exp(-np.logaddexp(0.0, np.maximum(squared, 0.0) - self.shift)), np.float32)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What shares are of: the facets by name and, on a sphere, ``BEHAVIOUR``."""
        names = tuple(part.facet.name for part in self.projection.parts)
        return (*names, BEHAVIOUR) if self.sphere else names

    def shares(self, content: Content, squared: NDArray[np.float32]) -> NDArray[np.float64]:
        """How much each facet brought two items closer than items at random are.

        The squared distance ``‖δ‖²``, ``δ = xᵢA + b − xⱼB``, is a sum over facets of ``δ·δ_facet`` (and of ``δ·b``);
        a facet's share is how far its part stays below what is expected, over the sum of all that do. On a sphere, δ
        is between the places that content predicts, and behaviour's part is how much closer the two are than that.

        Args:
            content: Of both sides.
            squared: Squared distances of the answers from who is asked about, as served, float32, shape ``(n,)``.

        Returns:
            float64, shape ``(n, reasons)``; rows sum to 1, or are 0 when nothing speaks for it.
        """
        each = self.pieces(content.asked, self.source)
        asked = blend(each.reshape(len(each), -1), content.weights).reshape(each.shape[1:])
        if self.sphere:
            asked *= self.sphere.radius / max(float(np.linalg.norm(asked.sum(axis=0))), 1e-12)
        own = asked - self.pieces(content.answers, self.target)
        whole = own.sum(axis=1) + self.offset
        gains = self.expected - np.einsum("ik,ipk->ip", whole, own)
        if self.sphere:
            beyond = np.einsum("ik,ik->i", whole, whole) - squared
            beyond[beyond < 1e-4 * self.sphere.radius**2] = 0  # new items: no more than rounding
            gains = np.column_stack([gains, beyond])
        gains = np.maximum(gains, 0.0).astype(np.float64)
        totals = gains.sum(axis=1, keepdims=True)
        shares: NDArray[np.float64] = np.divide(gains, totals, out=np.zeros_like(gains), where=totals > 0)
        return shares

    def pieces(self, facets: Vectors, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """What each facet adds to where items stand, without the offset: float32, ``(n, d)`` → ``(n, facets, K)``."""
        centred = facets - self.sphere.mean if self.sphere else facets
        each = np.stack([centred[:, part.own] @ matrix[part.own] for part in self.projection.parts], axis=1)
        if self.sphere:
            lengths = np.linalg.norm(each.sum(axis=1), axis=1)
            each *= (self.sphere.radius / np.maximum(lengths, 1e-12))[:, None, None].astype(np.float32)
        return each

    def to_bytes(self) -> bytes:
        """As ``.npz``, for the database."""
        out = io.BytesIO()
        np.savez(out, **self._arrays())  # type: ignore[arg-type]
        return out.getvalue()

    @property
    def digest(self) -> str:
        """Hash (12 hex digits) of all its numbers."""
        hasher = hashlib.sha256()
        for name, array in sorted(self._arrays().items()):
            hasher.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return hasher.hexdigest()[:12]

    def _arrays(self) -> dict[str, NDArray[Any]]:
        own = {
            "source": self.source,
            "target": self.target,
            "offset": self.offset,
            "shift": np.float64(self.shift),
            "expected": self.expected,
        }
        if self.sphere:
            own |= {"mean": self.sphere.mean, "radius": np.float64(self.sphere.radius)}
        return {**self.projection.arrays(), **{f"head.{name}": np.asarray(array) for name, array in own.items()}}

    @classmethod
    def load(cls, file: Path | bytes, cards: Sequence[EncoderCard]) -> Head:
        """Read what ``to_bytes`` gave, for the same encoders.

        Raises:
            StaleIndexError: It is gone or not what was written.
        """
        try:
            with np.load(io.BytesIO(file) if isinstance(file, bytes) else file) as arrays:
                projection = Projection.of_arrays(arrays, cards)
                own = [arrays[f"head.{name}"] for name in ("source", "target", "offset", "shift", "expected")]
                sphere = None
                if "head.radius" in arrays:
                    sphere = Sphere(arrays["head.mean"], float(arrays["head.radius"]))
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            where = "a learned relation" if isinstance(file, bytes) else file
            raise StaleIndexError(f"{where} cannot be read ({error}); learn it anew with: simkin learn") from None
        return cls(projection, own[0], own[1], own[2], float(own[3]), own[4], sphere)


def blend(rows: Vectors, weights: NDArray[np.float32]) -> Vector:
    """The weighted mean of rows with positive weight, moved away from the others.

    Rocchio (1971) with weights relative to the positive ones, halved for the negative.

    Args:
        rows: float32, shape ``(m, d)``.
        weights: float32, shape ``(m,)``, one of them positive at least.
    """
    positive, negative = np.maximum(weights, 0), np.minimum(weights, 0)
    centre = positive @ rows / positive.sum()
    return np.asarray(centre + 0.5 * (negative @ (rows - centre)) / positive.sum(), np.float32)


def expected_parts(head: Head, facets: Vectors, seed: int = 0) -> NDArray[np.float32]:
    """Each facet's part of the squared distance of two items at random, on average.

    Args:
        head: Its ``expected`` is not looked at.
        facets: Projected facets of items, float32, shape ``(n, d)``.

    Returns:
        float32, shape ``(facets,)``.
    """
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, len(facets), (2, 4096))
    own = head.pieces(facets[left], head.source) - head.pieces(facets[right], head.target)
    whole = own.sum(axis=1) + head.offset
    return np.asarray(np.einsum("ik,ipk->p", whole, own) / len(own), np.float32)
