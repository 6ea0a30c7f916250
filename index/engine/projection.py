"""Projection: raw vectors of all encoders of one modality → facets side by side, each in its fitted space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from index.engine.spaces import FacetSpace, fit_space, unit_rows
from index.errors import StaleIndexError
from index.types import EncoderCard, Facet, Vectors


@dataclass(frozen=True, slots=True)
class Part:
    """One facet's place: ``raw`` in the encoders' vectors side by side, ``own`` in the projected rows."""

    facet: Facet
    raw: slice
    own: slice
    space: FacetSpace


@dataclass(frozen=True, slots=True)
class Projection:
    """Fitted maps of all facets of one modality."""

    parts: tuple[Part, ...]

    @property
    def dim(self) -> int:
        """Dimensions of projected rows."""
        return int(self.parts[-1].own.stop)

    @property
    def raw_dim(self) -> int:
        """Dimensions of the encoders' vectors side by side."""
        return int(self.parts[-1].raw.stop)

    @property
    def facets(self) -> tuple[Facet, ...]:
        """In order."""
        return tuple(part.facet for part in self.parts)

    def project(self, raw: Vectors) -> Vectors:
        """Project items.

        Args:
            raw: float32, shape ``(n, raw_dim)``, the encoders' vectors side by side, all zero where absent.

        Returns:
            float32, shape ``(n, dim)``; each facet of unit length, or all zero where absent.
        """
        return np.hstack([part.space.project(unit_rows(raw[:, part.raw])) for part in self.parts])

    def units(self, raw: Vectors) -> NDArray[np.float16]:
        """Facets as encoded, each of unit length, in half precision: what near-duplicates are told by.

        Args:
            raw: float32, shape ``(n, raw_dim)``, all zero where absent.

        Returns:
            float16, shape ``(n, raw_dim)``; cosines of such facets are right to about 0.0005.
        """
        return np.hstack([unit_rows(raw[:, part.raw]) for part in self.parts]).astype("<f2")

    def equals(self, other: Projection) -> bool:
        """Whether both give the same numbers."""
        left, right = self.arrays(), other.arrays()
        return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Means and matrices by name, as ``of_arrays`` reads them."""
        return {f"{part.facet.name}.{key}": getattr(part.space, key) for part in self.parts for key in _KEYS}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[np.float32]], cards: Sequence[EncoderCard]) -> Projection:
        """Put together what ``arrays`` gave, for the same encoders.

        Raises:
            KeyError: A facet is missing.
        """
        spaces = {
            facet.name: FacetSpace(*(arrays[f"{facet.name}.{key}"] for key in _KEYS))
            for card in cards
            for facet in card.facets
        }
        return cls(_places(cards, spaces))

    def save(self, path: Path) -> None:
        """Write means and matrices as ``.npz``."""
        with path.open("wb") as file:
            np.savez(file, **self.arrays())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path, cards: Sequence[EncoderCard]) -> Projection:
        """Read what ``save`` wrote, for the same encoders.

        Raises:
            StaleIndexError: The file is gone or not what was written.
        """
        try:
            with np.load(path) as arrays:
                return cls.of_arrays(arrays, cards)
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise StaleIndexError(f"{path} cannot be read ({error}); rebuild with: simkin index --rebuild") from None


_KEYS = ("mean", "matrix")


def fit_projection(cards: Sequence[EncoderCard], sample: Vectors) -> Projection:
    """Fit each facet's space on a sample of the catalog.

    Args:
        cards: Encoders of one modality, in the catalog's order.
        sample: float32, shape ``(n, raw_dim)``; their vectors side by side.
    """
    spaces = {}
    start = 0
    for card in cards:
        for facet in card.facets:
            raw = sample[:, start + facet.start : start + facet.stop]
            spaces[facet.name] = fit_space(facet, unit_rows(raw))
        start += card.dim
    return Projection(_places(cards, spaces))


def _places(cards: Sequence[EncoderCard], spaces: dict[str, FacetSpace]) -> tuple[Part, ...]:
    parts = []
    start = own = 0
    for card in cards:
        for facet in card.facets:
            space = spaces[facet.name]
            raw = slice(start + facet.start, start + facet.stop)
            parts.append(Part(facet, raw, slice(own, own + space.dim), space))
            own += space.dim
        start += card.dim
    return tuple(parts)
