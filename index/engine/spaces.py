"""Facet spaces: the catalog's own mean and covariance, divided out of each facet before comparing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.types import Facet, Vectors

PRIOR_ITEMS = 100.0
"""Pseudo-items behind the prior "no mean, round covariance": a catalog of ten items is compared almost
by plain cosine, one of ten thousand almost entirely by its own statistics."""

FIT_ITEMS = 10_000
"""Items sampled to fit a space; the mean and covariance of more change nothing that can be seen."""


@dataclass(frozen=True, slots=True)
class FacetSpace:
    """The fitted map of one facet: ``unit((x - mean) @ matrix)``.

    Attributes:
        mean: float32, shape ``(facet.dim,)``.
        matrix: float32, shape ``(facet.dim, kept)``.
    """

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]

    @property
    def dim(self) -> int:
        """Dimensions of the fitted space."""
        return int(self.matrix.shape[1])

    def project(self, vectors: Vectors) -> Vectors:
        """Map raw facet vectors into the space.

        Args:
            vectors: float32, shape ``(n, facet.dim)``; an all-zero row means "this item has no such facet".

        Returns:
            float32, shape ``(n, dim)``, rows of unit length; all-zero rows stay all-zero.
        """
        present = np.any(vectors != 0, axis=1)
        projected = (vectors - self.mean) @ self.matrix
        projected[~present] = 0
        return unit_rows(projected)


def unit_rows(vectors: NDArray[np.floating]) -> Vectors:
    """Scale rows to unit length; all-zero rows stay all-zero. float32, same shape ``(n, dim)``."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-12).astype(
        np.float32, copy=False
    )
    return scaled


def fit_space(facet: Facet, vectors: Vectors) -> FacetSpace:
    """Fit the space of one facet on the catalog's vectors.

    Mean and covariance are shrunk towards "zero mean, round covariance" by ``PRIOR_ITEMS`` pseudo-items
    (Ledoit & Wolf 2004, eq. 14, with a fixed intensity k / (n + k)), then the covariance is divided out
    with the power ``facet.whitening`` of its eigenvalues: PCA whitening as in Jégou & Chum, "Negative
    evidences and co-occurences in image retrieval" (ECCV 2012, section 3), where 0.5 is full whitening;
    for histograms of gradients, Hariharan, Malik & Ramanan (ECCV 2012, section 2).

    Args:
        facet: Which slice, how much whitening, how many dimensions to keep.
        vectors: float32, shape ``(n, facet.dim)``, rows of unit length or all zero; n may be 0.

    Returns:
        The space; the same input gives the same space.
    """
    dim = facet.dim
    present = vectors[np.any(vectors != 0, axis=1)].astype(np.float64)
    n = len(present)
    trust = n / (n + PRIOR_ITEMS)
    mean = present.mean(axis=0) * trust if n else np.zeros(dim)
    centred = present - mean
    covariance = centred.T @ centred / n if n else np.eye(dim) / dim
    ball = np.trace(covariance) / dim or 1.0
    shrunk = trust * covariance + (1 - trust) * ball * np.eye(dim)
    values, axes = np.linalg.eigh(shrunk)
    order = np.argsort(values)[::-1][: min(facet.kept, dim)]
    values = np.maximum(values[order] / ball, 1e-6)
    matrix = axes[:, order] * values**-facet.whitening
    return FacetSpace(mean.astype(np.float32), matrix.astype(np.float32))
