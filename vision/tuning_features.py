"""Features of many pictures by one network, computed once and kept in a file; imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from index.errors import StorageError
from index.types import Vectors
from vision.preprocess import Preprocessing
from vision.tuning_pictures import in_batches

AT_ONCE = 32
"""Pictures in a batch: more brings a processor nothing."""

UNKNOWN, READ, UNREADABLE = 0, 1, 2

KEPT_EVERY = 16
"""Batches after which results are written down."""


class FeatureFile:
    """Features of pictures at unit length, memory-mapped, and which of them are known.

    Args:
        folder: Made if it does not exist. Whoever opens it vouches that network and pictures are those of the files.
        count: Pictures.
        dim: Features of each.

    Raises:
        StorageError: It cannot be written.
    """

    def __init__(self, folder: Path, count: int, dim: int) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.features = _mapped(folder / "features.f32", "<f4", (count, dim))
            self.state = _mapped(folder / "state.u8", "u1", (count,))
        except OSError as error:
            raise StorageError(f"cannot keep features in {folder}: {error.strerror or error}") from None

    def fill(
        self,
        module: Any,
        pictures: Sequence[Path],
        how: Preprocessing,
        device: Any,
        on_progress: Callable[[int, int, int], None],
    ) -> None:
        """Describe the pictures that are not known yet.

        Args:
            module: A ``torch.nn.Module``: its first output is ``(n, dim)``.
        """
        left = np.flatnonzero(self.state == UNKNOWN)
        batches = [left[start : start + AT_ONCE] for start in range(0, len(left), AT_ONCE)]
        made = described(module, [[pictures[row] for row in rows] for rows in batches], how, device)
        for number, (rows, (fine, features)) in enumerate(zip(batches, made, strict=True), start=1):
            self.features[rows[fine]] = features
            self.features.flush()
            self.state[rows] = np.where(fine, READ, UNREADABLE)
            if number % KEPT_EVERY == 0 or number == len(batches):
                self.state.flush()
            on_progress(int((self.state != UNKNOWN).sum()), len(self.state), int((self.state == UNREADABLE).sum()))


def described(module: Any, batches: Sequence[Sequence[Path]], how: Preprocessing, device: Any) -> Any:
    """Describe batches of pictures, whole.

    Yields:
        For each batch which pictures could be described, bool ``(b,)``, and the vectors of these, float32, unit length.
    """
    for arrays in in_batches(batches, how):
        fine = np.array([array is not None for array in arrays], bool)
        if not fine.any():
            yield fine, np.zeros((0, 1), np.float32)
            continue
        pixels = torch.from_numpy(np.concatenate([array for array in arrays if array is not None]))
        with torch.inference_mode():
            made = torch.nn.functional.normalize(module(pixels.to(device))[0], dim=1).cpu().numpy()
        finite = np.isfinite(made).all(axis=1) & made.any(axis=1)
        fine[fine] = finite
        yield fine, made[finite]


def _mapped(path: Path, dtype: str, shape: tuple[int, ...]) -> Any:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if not path.exists() or path.stat().st_size != size:
        with path.open("wb") as file:
            file.truncate(size)
    return np.memmap(path, dtype, "r+", shape=shape)


def readable(state: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pictures have features."""
    return np.asarray(state == READ)


def embedded(module: Any, pictures: Sequence[Path], how: Preprocessing, device: Any, dim: int) -> Vectors:
    """Vectors of pictures, float32, shape ``(n, dim)``; zero where one cannot be read."""
    vectors = np.zeros((len(pictures), dim), np.float32)
    batches = [range(start, min(start + AT_ONCE, len(pictures))) for start in range(0, len(pictures), AT_ONCE)]
    made = described(module, [[pictures[row] for row in rows] for rows in batches], how, device)
    for rows, (fine, own) in zip(batches, made, strict=True):
        vectors[np.array(rows)[fine]] = own
    return vectors
