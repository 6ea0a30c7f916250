"""Pictures as a network in training takes them: decoded ahead by threads, mirrored or cropped a little by chance."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from index.errors import MediaError
from vision.decode import decode_image
from vision.preprocess import Preprocessing

LEAST_KEPT = 0.8
"""Share of a picture's height and width that a crop keeps at least."""

AHEAD = 3
"""Batches decoded before they are asked for."""


def prepared(path: Path, how: Preprocessing, chance: np.random.Generator | None = None) -> NDArray[np.float32] | None:
    """One picture as the network takes it; ``None`` when it cannot be read.

    Args:
        chance: Mirrors every other picture, and crops it by at most ``1 - LEAST_KEPT``; ``None`` leaves it whole.

    Returns:
        float32, shape ``(1, 3, height, width)``.
    """
    try:
        picture = decode_image(path, how.min_side)
    except MediaError:
        return None
    if chance is not None:
        picture = varied(picture, chance)
    return how.apply(picture)


def varied(picture: Image.Image | NDArray[np.uint8], chance: np.random.Generator) -> Image.Image:
    """Mirror a picture, or not, and crop it a little. Colours stay: they are part of what is compared."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    width, height = (max(1, round(side * chance.uniform(LEAST_KEPT, 1))) for side in image.size)
    left, top = (int(chance.integers(0, room + 1)) for room in (image.width - width, image.height - height))
    cropped = image.crop((left, top, left + width, top + height))
    return cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if chance.random() < 0.5 else cropped


def in_batches(
    batches: Iterable[Sequence[Path]], how: Preprocessing, seed: Sequence[int] | None = None
) -> Iterator[list[NDArray[np.float32] | None]]:
    """Prepare batches of pictures, some ahead of being asked for.

    Args:
        seed: Of what is varied; ``None`` leaves pictures whole.

    Yields:
        For each batch, each picture as ``prepared`` gives it.
    """
    workers = ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2))
    waiting: deque[list[Future[NDArray[np.float32] | None]]] = deque()
    try:
        for number, paths in enumerate(batches):
            chances = [
                None if seed is None else np.random.default_rng([*seed, number, place]) for place in range(len(paths))
            ]
            waiting.append(
                [workers.submit(prepared, path, how, chance) for path, chance in zip(paths, chances, strict=True)]
            )
            if len(waiting) > AHEAD:
                yield [one.result() for one in waiting.popleft()]
        while waiting:
            yield [one.result() for one in waiting.popleft()]
    finally:
        workers.shutdown(wait=True, cancel_futures=True)
