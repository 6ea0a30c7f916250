"""Explanations as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.types import Modality

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, width and height in fractions of an upright picture."""


@dataclass(frozen=True, slots=True)
class Region:
    """Two regions that match, one in each picture.

    Attributes:
        facet: Whose part of the score falls most without them.
        a: Where in the first picture.
        b: Where in the second.
        strength: Share of the score that is lost when either region is blurred, mean of both, 0 to 1.
    """

    facet: str
    a: Box
    b: Box
    strength: float


@dataclass(frozen=True, slots=True)
class Moment:
    """Two stretches that match, one in each song.

    Attributes:
        a: First second in the first song.
        b: First second in the second.
        seconds: Length of both.
        score: How alike they are, -1 to 1.
    """

    a: float
    b: float
    seconds: float
    score: float


@dataclass(frozen=True, slots=True)
class Dimension:
    """A direction of a learned relation's space in which two items stand unusually close.

    Attributes:
        share: Of all that brings the two closer than items at random, what this direction brings.
        low: Ids of items at one end, the outermost first.
        high: Ids of items at the other end.
        a: Share of the catalog's items that stand lower than the first, 0 to 1.
        b: Than the second.
    """

    share: float
    low: tuple[str, ...]
    high: tuple[str, ...]
    a: float
    b: float


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """Every stretch of one song beside every stretch of another.

    Attributes:
        starts_a: First second of each stretch of the first song, ascending. float64, ``(n,)``.
        starts_b: Of the second. float64, ``(m,)``.
        seconds: Length of a stretch.
        scores: float32, ``(n, m)``.
        length_a: Seconds that the first song lasts.
        length_b: The second.
    """

    starts_a: NDArray[np.float64]
    starts_b: NDArray[np.float64]
    seconds: float
    scores: NDArray[np.float32]
    length_a: float
    length_b: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why two items are alike, by one relation.

    Attributes:
        a: Id of the first item, or the path of a file outside the catalog.
        b: Of the second.
        relation: By which they are compared.
        modality: ``"image"`` or ``"audio"``.
        score: As in ``index.answers.Hit``.
        closer_than: Share of random pairs of the catalog that are less close, 0 to 1.
        facets: Facet → its share of the score, as in ``index.answers.Hit``.
        cosines: Facet → cosine of the two in its fitted space, -1 to 1.
        sentence: What matters most, in one plain sentence.
        words: More of it, a sentence each.
        notes: What could not be explained, and why.
        regions: Of pictures, what matters most first.
        moments: Of songs, the most alike first.
        dimensions: Of learned relations, the largest share first.
        learned: Whether the relation was learned.
        titles: What to call the two.
        media: The files that were looked at or heard; ``None`` where there is none.
        likeness: Of songs, what the picture shows.
        ends: Item id → picture of it, of the items at the ends of dimensions.
    """

    a: str
    b: str
    relation: str
    modality: Modality
    score: float
    closer_than: float
    facets: Mapping[str, float]
    cosines: Mapping[str, float]
    sentence: str
    words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()
    moments: tuple[Moment, ...] = ()
    dimensions: tuple[Dimension, ...] = ()
    learned: bool = False
    titles: tuple[str, str] = ("", "")
    media: tuple[Path | None, Path | None] = (None, None)
    likeness: Likeness | None = field(default=None, compare=False)
    ends: Mapping[str, Path] = field(default_factory=dict)

    def png(self) -> bytes:
        """A picture of it: both pictures with the regions that match, or a time-by-time picture of two songs.

        Files are read again; those that are gone are named.
        """
        if self.likeness is not None:
            from index.explaining.timepicture import times_png

            return times_png(self, self.likeness)
        from index.explaining.drawing import pictures_png

        return pictures_png(self)

    def html(self) -> str:
        """A page that stands alone: pictures with their regions, or players with the moments that match."""
        from index.explaining.page import explanation_page

        return explanation_page(self)

    def _repr_html_(self) -> str:
        """Show it in a notebook."""
        from index.explaining.page import explanation_html

        return explanation_html(self)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON without paths of media: regions of pictures, moments of songs, dimensions if it was learned."""
        found: dict[str, Any] = {
            "a": self.a,
            "b": self.b,
            "relation": self.relation,
            "modality": self.modality,
            "score": round(self.score, 6),
            "closer_than": round(self.closer_than, 6),
            "facets": {name: round(share, 4) for name, share in self.facets.items()},
            "cosines": {name: round(cosine, 4) for name, cosine in self.cosines.items()},
            "sentence": self.sentence,
            "words": list(self.words),
            "notes": list(self.notes),
        }
        if self.modality == "image":
            found["regions"] = [
                {
                    "facet": region.facet,
                    "a": [round(part, 4) for part in region.a],
                    "b": [round(part, 4) for part in region.b],
                    "strength": round(region.strength, 4),
                }
                for region in self.regions
            ]
        else:
            found["moments"] = [
                {
                    "a": round(moment.a, 2),
                    "b": round(moment.b, 2),
                    "seconds": round(moment.seconds, 2),
                    "score": round(moment.score, 4),
                }
                for moment in self.moments
            ]
        if self.learned:
            found["dimensions"] = [
                {
                    "share": round(one.share, 4),
                    "low": list(one.low),
                    "high": list(one.high),
                    "a": round(one.a, 4),
                    "b": round(one.b, 4),
                }
                for one in self.dimensions
            ]
        return found
