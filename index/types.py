"""The central types: what an encoder is, what a question is, what an answer is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Modality: TypeAlias = Literal["image", "audio"]
"""What an item's media are: pictures or sounds."""

Vectors: TypeAlias = NDArray[np.float32]
"""Embeddings: float32, shape ``(n, dim)``; each facet of a row has unit length, or is all zero when absent."""

Vector: TypeAlias = NDArray[np.float32]
"""One embedding: float32, shape ``(dim,)``."""

Attribute: TypeAlias = str | int | float | bool | None
"""One value that describes an item: a category, a price, an artist."""


@dataclass(frozen=True, slots=True)
class Facet:
    """A named slice of an encoder's vector, of unit length by itself.

    Attributes:
        name: Unique within a catalog's modality; a network's say which, as in ``content:resnet50``.
        start: First dimension of the slice.
        stop: One past its last dimension.
        whitening: How strongly the catalog's own covariance is divided out before comparing,
            0 (plain cosine) to 0.5 (full PCA whitening). See ``index.engine.spaces``.
        kept: How many principal dimensions are kept for comparing, at most ``stop - start``.
        same: Cosine from which two items may be the same photo or recording again; all facets must agree.
        source: The paper or library that defines it.
    """

    name: str
    start: int
    stop: int
    whitening: float
    kept: int
    same: float
    source: str

    @property
    def dim(self) -> int:
        """Number of dimensions in the slice."""
        return self.stop - self.start

    @property
    def kind(self) -> str:
        """What relations weigh: the name up to a colon, so ``content:resnet50`` is a ``content``."""
        return self.name.partition(":")[0]


@dataclass(frozen=True, slots=True)
class EncoderCard:
    """What identifies an encoder; plain data, so that listing encoders loads none.

    Attributes:
        name: As typed after ``--encoder``.
        revision: Raised whenever the same file would give other numbers.
        modality: ``"image"`` or ``"audio"``.
        facets: In vector order, without gaps.
        preprocessing: Everything else that changes numbers (sizes, rates, windows).
        licence: SPDX name of the licence of code or weights.
        source: Where the method or the weights come from.
        sha256: Of the weights file; empty for descriptors without weights.
    """

    name: str
    revision: int
    modality: Modality
    facets: tuple[Facet, ...]
    preprocessing: Mapping[str, Attribute]
    licence: str
    source: str
    sha256: str = ""

    @property
    def dim(self) -> int:
        """Length of the encoder's vectors."""
        return self.facets[-1].stop

    @property
    def fingerprint(self) -> str:
        """Hash (16 hex digits) of what changes numbers; catalogs refuse vectors of another one."""
        content = {
            "name": self.name,
            "revision": self.revision,
            "facets": [[f.name, f.start, f.stop] for f in self.facets],
            "preprocessing": dict(sorted(self.preprocessing.items())),
            "sha256": self.sha256,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """The card as plain JSON, for a model file's metadata."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> EncoderCard:
        """Read what ``to_json`` wrote.

        Raises:
            KeyError, TypeError: Something is missing or unknown.
        """
        facets = tuple(Facet(**facet) for facet in content["facets"])
        return cls(**{**content, "facets": facets})


class Encoder(Protocol):
    """Turns media files into vectors, one file at a time, so that a vector never depends on its batch."""

    @property
    def card(self) -> EncoderCard:
        """What identifies this encoder."""
        ...

    def describe(self, path: Path) -> Vector:
        """Read, decode and encode one file.

        Returns:
            float32, shape ``(card.dim,)``, each facet of unit length.

        Raises:
            MediaError: The file cannot be read, decoded or encoded.
        """
        ...


class PictureEncoder(Encoder, Protocol):
    """An encoder of pictures that also describes pixels: what an explanation needs to look again."""

    def decode(self, path: Path) -> NDArray[np.uint8]:
        """Read one picture as ``describe`` would.

        Returns:
            Upright sRGB, uint8, shape ``(h, w, 3)``.

        Raises:
            MediaError: The file cannot be read or decoded.
        """
        ...

    def describe_pixels(self, rgb: NDArray[np.uint8]) -> Vector:
        """Describe what ``decode`` gave, or a changed copy of it: float32, shape ``(card.dim,)``.

        Raises:
            MediaError: There is nothing to describe.
        """
        ...

    def feature_map(self, rgb: NDArray[np.uint8]) -> FeatureMap | None:
        """What a network saw where; ``None`` for encoders that have no such thing."""
        ...


class FeatureMap(NamedTuple):
    """The last feature map of a network, and which part of the picture it lies over.

    Attributes:
        values: float32, shape ``(channels, rows, columns)``.
        seen: Left, top, right and bottom of what the network sees, in fractions of the picture; padding lies
            below 0 or above 1.
    """

    values: NDArray[np.float32]
    seen: tuple[float, float, float, float]
