"""The central types: what an encoder is, what a question is, what an answer is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
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


class Batch(NamedTuple):
    """Pictures that a network is trained on together.

    Attributes:
        rows: Which pictures, each once. int64, shape ``(b,)``.
        labels: Pictures of one label show the same. int64, shape ``(b,)``.
        negatives: Which may be held against which as showing something else. bool, shape ``(b, b)``.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    negatives: NDArray[np.bool_]


class Training(NamedTuple):
    """How a network was trained.

    Attributes:
        epochs: How many were completed.
        best: The epoch that is kept, from 1; 0 is the network as training began.
        start, score: What the judge said of epoch 0 and of the best.
        interrupted: Whether it was stopped before its last epoch.
    """

    epochs: int
    best: int
    start: float
    score: float
    interrupted: bool


class EpochReport(NamedTuple):
    """One epoch of training: its number from 1 and their total, its mean loss, what the judge says, speed."""

    epoch: int
    total: int
    loss: float
    score: float
    pictures_per_second: float
    seconds_left: float


class Tuner(Protocol):
    """A loaded picture network that can be trained further, and becomes an encoder again."""

    @property
    def card(self) -> EncoderCard:
        """Of the network as it was loaded."""
        ...

    def read(
        self, pictures: Sequence[Path], folder: Path, on_progress: Callable[[int, int, int], None]
    ) -> tuple[Vectors, NDArray[np.bool_]]:
        """Describe pictures by the network as it was loaded.

        Args:
            folder: Where results are kept, so that another run goes on.
            on_progress: Told how many are done, of how many, and how many failed.

        Returns:
            Content features of unit length, float32, shape ``(n, d)``, zero where a picture cannot be read; and which
            could be, bool, shape ``(n,)``.
        """
        ...

    def train(
        self,
        draw: Callable[[np.random.Generator], Batch],
        steps: int,
        rows: NDArray[np.int64],
        judged: NDArray[np.int64],
        judge: Callable[[Vectors], float],
        folder: Path,
        on_epoch: Callable[[EpochReport], None],
    ) -> Training:
        """Train, keeping the epoch that the judge likes best.

        Args:
            draw: Gives batches of ``rows``.
            steps: Batches in an epoch.
            rows: Pictures to learn from, in the order they were read in. int64, shape ``(a,)``.
            judged: Pictures to choose the epoch by. int64, shape ``(v,)``.
            judge: From their vectors, float32, shape ``(v, dim)``, to a figure; higher is better.
            folder: Where each epoch is kept, so that another run goes on.
        """
        ...

    def embed(self, rows: NDArray[np.int64]) -> Vectors:
        """Describe pictures that were read by the trained network: float32, shape ``(len(rows), dim)``, unit length."""
        ...

    def export(self, out: Path, pictures: Sequence[Path], facts: Mapping[str, Any]) -> Mapping[str, object]:
        """Write the trained network as an encoder; returns its parity with torch.

        Args:
            pictures: To compare torch and onnxruntime on.
            facts: What the file tells of its training.
        """
        ...
