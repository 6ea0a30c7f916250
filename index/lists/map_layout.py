"""Laying a relation's space out in two dimensions: by principal components, or by UMAP where it is installed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.answering.places import Selection
from index.errors import InputError

Method: TypeAlias = Literal["auto", "umap", "pca"]

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Told a stage (``"fit"`` or ``"place"``), how many items are done and how many there are."""

SAMPLE = 10_000
"""Items that a layout is fitted on where there are more than ``UMAP_ITEMS``, or for PCA more than this."""

UMAP_ITEMS = 20_000
"""``auto`` takes UMAP up to here, and UMAP is fitted on all items up to here: its time grows with them."""

UMAP_LEAST = 10
"""Fewer items have no neighbourhoods to keep; their principal components are as good a map."""

REDUCED = 50
"""Principal components that UMAP works on: neighbourhoods stay, and its time does not grow with the encoder."""

NEIGHBOURS = 15
"""Of each item that UMAP keeps near it; its own default."""

NEAREST = 3
"""Fitted items among which an item beside the sample is placed."""

EXACT = 2_000
"""Rows of a matrix whose eigenvectors take no more than seconds."""

SPARE, POWERS = 10, 6
"""Of the randomised iteration: directions beside those wanted, and rounds."""

CELLS = 1 << 23
"""Distances computed at once: 32 MB."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where items lie in two dimensions.

    Attributes:
        keys: Database keys. int64, ``(n,)``.
        at: Places, both columns within 0 to 1, one unit meaning the same in both. float32, ``(n, 2)``.
        method: ``"umap"`` or ``"pca"``.
        fitted_on: Items that the layout was fitted on; the others were placed by it.
    """

    keys: NDArray[np.int64]
    at: NDArray[np.float32]
    method: str
    fitted_on: int


def has_umap() -> bool:
    """Whether the extra ``[map]`` is installed."""
    return find_spec("umap") is not None


def choose_method(asked: str, count: int) -> str:
    """``"umap"`` or ``"pca"`` for so many items.

    Raises:
        InputError: It is no method, or UMAP is asked for and not installed.
    """
    if asked not in ("auto", "umap", "pca"):
        raise InputError(f"the method of a map is auto, umap or pca, not {asked!r}")
    if asked == "umap" and not has_umap():
        raise InputError("method umap needs umap-learn: pip install 'simkin[map]', or take --method pca")
    if asked == "pca" or count < UMAP_LEAST or not has_umap():
        return "pca"
    return "umap" if asked == "umap" or count <= UMAP_ITEMS else "pca"


def lay_out(chosen: Selection, method: Method, seed: int, on_progress: OnProgress) -> Layout:
    """Lay items out in two dimensions, so that near means related.

    PCA: the two directions of most variance, Pearson (1901), fitted on at most ``SAMPLE`` items.
    UMAP: McInnes, Healy & Melville, "UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction"
    (arXiv:1802.03426), algorithm 1, by umap-learn, on the first ``REDUCED`` principal components and exact nearest
    neighbours. Beyond ``UMAP_ITEMS`` items it is fitted on a sample; each other item is placed at the mean of its
    ``NEAREST`` fitted items, weighted by the inverse squared distance, where UMAP's own transform begins (section 4).
    Items are read block by block: memory holds the sample, and two numbers for each item.

    Args:
        chosen: At least one item.
        method: See ``choose_method``.
        seed: The same items and seed give the same layout.
        on_progress: Told how far it is.

    Raises:
        InputError: See ``choose_method``.
    """
    count = len(chosen)
    named = choose_method(method, count)
    rng = np.random.default_rng(seed)
    positions = np.arange(count)
    if count > (UMAP_ITEMS if named == "umap" else SAMPLE):
        positions = np.sort(rng.choice(count, SAMPLE, replace=False))
    on_progress("fit", 0, len(positions))
    points = chosen.places.points(chosen.take(positions)[1]).astype(np.float32)
    mean = points.mean(axis=0)
    axes = principal_axes(points - mean, 2 if named == "pca" else REDUCED, seed)
    reduced = (points - mean) @ axes
    fitted = reduced if named == "pca" else _umap(reduced, seed)
    on_progress("fit", len(positions), len(positions))
    keys: list[NDArray[np.int64]] = []
    places: list[NDArray[np.float32]] = []
    done = 0
    for some, vectors in chosen.blocks():
        keys.append(some)
        if named == "pca":
            places.append((chosen.places.points(vectors) - mean) @ axes)
        elif len(positions) < count:
            places.append(_beside((chosen.places.points(vectors) - mean) @ axes, reduced, fitted))
        done += len(some)
        on_progress("place", done, count)
    at = np.concatenate(places) if places else fitted
    return Layout(np.concatenate(keys), _within(at), named, len(positions))


def principal_axes(centred: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """Directions of most variance, most first, each so turned that its largest entry is positive.

    From the eigenvectors of the smaller Gram matrix; where that has more than ``EXACT`` rows, by randomised subspace
    iteration, Halko, Martinsson & Tropp (SIAM Review 2011), algorithm 4.4, whose time does not depend on the data.

    Args:
        centred: Points less their mean. Shape ``(n, p)``.
        count: Directions wanted; those that points leave empty are zero.
        seed: Of the iteration.

    Returns:
        float32, shape ``(p, count)``.
    """
    dims = centred.shape[1]
    axes = np.zeros((dims, count), np.float32)
    if not centred.any():
        return axes
    wide = dims > len(centred)
    if min(centred.shape) <= EXACT:
        from scipy.linalg import eigh

        gram = (centred @ centred.T if wide else centred.T @ centred).astype(np.float64)
        kept = min(count, len(gram))
        vectors = eigh(gram, subset_by_index=[len(gram) - kept, len(gram) - 1])[1][:, ::-1].astype(np.float32)
        right = vectors.T @ centred if wide else vectors.T
        lengths = np.linalg.norm(right, axis=1, keepdims=True)
        right = right / np.where(lengths > 0, lengths, 1)
    else:
        sketch = np.random.default_rng(seed).normal(size=(dims, count + SPARE)).astype(np.float32)
        for _ in range(POWERS):
            sketch = np.linalg.qr(centred.T @ (centred @ sketch))[0]
        right = (sketch @ np.linalg.svd(centred @ sketch, full_matrices=False)[2].T).T[:count]
    signs = np.sign(right[np.arange(len(right)), np.argmax(np.abs(right), axis=1)])
    axes[:, : len(right)] = (right * np.where(signs == 0, 1, signs)[:, None]).T
    return axes


def nearest(
    points: NDArray[np.float32], among: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest of some points, nearest first, and how far they are: int64 and float32, ``(n, count)`` each."""
    lengths = np.einsum("ij,ij->i", among, among)
    rows = max(1, CELLS // len(among))
    found = np.empty((len(points), count), np.int64)
    apart = np.empty((len(points), count), np.float32)
    for start in range(0, len(points), rows):
        some = points[start : start + rows]
        squared = np.maximum(lengths - 2 * (some @ among.T) + np.einsum("ij,ij->i", some, some)[:, None], 0)
        near = np.argpartition(squared, count - 1, axis=1)[:, :count]
        far = np.take_along_axis(squared, near, axis=1)
        order = np.lexsort((near, far), axis=1)
        found[start : start + rows] = np.take_along_axis(near, order, axis=1)
        apart[start : start + rows] = np.sqrt(np.take_along_axis(far, order, axis=1))
    return found, apart


def _umap(points: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """UMAP's places of points. float32, ``(n, 2)``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed means one thread, and that later points cannot be placed
        from umap import UMAP

        neighbours = min(NEIGHBOURS, len(points) - 1)
        found, apart = nearest(points, points, neighbours)
        found[:, 1:] = np.where(found[:, 1:] == np.arange(len(points))[:, None], found[:, :1], found[:, 1:])
        found[:, 0], apart[:, 0] = np.arange(len(points)), 0  # itself first, also where copies are as near
        fit = UMAP(
            n_neighbors=neighbours,
            min_dist=0.15,
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(found.astype(np.int32), apart, None),
        )
        placed: NDArray[np.float32] = np.asarray(fit.fit_transform(points), np.float32)
    lost = ~np.isfinite(placed).all(axis=1)  # without any neighbour
    placed[lost] = placed[~lost].mean(axis=0) if not lost.all() else 0
    return placed


def _beside(
    points: NDArray[np.float32], fitted: NDArray[np.float32], places: NDArray[np.float32]
) -> NDArray[np.float32]:
    found, apart = nearest(points, fitted, NEAREST)
    weights = 1 / (apart.astype(np.float64) ** 2 + 1e-12)
    weights /= weights.sum(axis=1, keepdims=True)
    placed: NDArray[np.float32] = np.einsum("ij,ijk->ik", weights, places[found]).astype(np.float32)
    return placed


def _within(at: NDArray[np.float32]) -> NDArray[np.float32]:
    """Moved and scaled so that the wider side spans 0 to 1, and the other lies in the middle."""
    low, high = at.min(axis=0), at.max(axis=0)
    span = float((high - low).max()) or 1.0
    within: NDArray[np.float32] = np.clip((at - (low + high) / 2) / span + 0.5, 0, 1).astype(np.float32)
    return within
