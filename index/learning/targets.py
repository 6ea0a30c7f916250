"""Targets: vectors of items by what people did with them, for content to be fitted to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError, UnknownNameError
from index.learning.splits import Pairs
from index.types import Vectors


@dataclass(frozen=True, slots=True)
class Known:
    """Items whose behaviour is known.

    Attributes:
        rows: Row numbers, int64 ascending, shape ``(m,)``.
        vectors: float32, shape ``(m, K)``.
    """

    rows: NDArray[np.int64]
    vectors: Vectors


Targets: TypeAlias = Callable[[Pairs, NDArray[np.float32], int, int], Known]
"""Links that may be learned from (int64, shape ``(m, 2)``), their weights (float32, shape ``(m,)``), the most
dimensions wanted and a seed → vectors that tell nothing of other links."""


def cooccurrence(pairs: Pairs, weights: NDArray[np.float32], rank: int, seed: int) -> Known:
    """Vectors of items by what they are linked with, from links alone.

    What Item2Vec approaches: the truncated SVD of the positive pointwise mutual information of linked items (Levy &
    Goldberg, NIPS 2014, section 4), each half of a singular value on either side.

    Returns:
        The rows that have links; fewer dimensions than ``rank`` where fewer items are linked.

    Raises:
        InputError: Fewer than three items are linked.
    """
    from scipy.sparse import csr_matrix, diags_array
    from scipy.sparse.linalg import svds

    linked, ends = np.unique(pairs, return_inverse=True)
    ends = ends.reshape(pairs.shape)
    size = len(linked)
    if size < 3:
        raise InputError(f"expected links between at least three items, found {size} items; give more edges")
    both = csr_matrix((np.tile(weights, 2), np.hstack([ends.T, ends[:, ::-1].T])), shape=(size, size), dtype=float)
    degrees = np.asarray(both.sum(axis=1)).ravel()
    lift = (diags_array(1 / degrees) @ both @ diags_array(1 / degrees)) * degrees.sum()
    lift.data = np.log(np.maximum(lift.data, 1.0))  # positive mutual information; what never meets counts as none
    dims = min(rank, size - 2)
    values, axes = np.linalg.eigh(lift.toarray()) if size <= 4 * dims else svds(lift, dims, random_state=seed)[1::-1]
    order = np.argsort(-np.abs(values))[:dims]
    return Known(linked, np.asarray(axes[:, order] * np.sqrt(np.abs(values[order])), np.float32))


TARGETS: Mapping[str, Targets] = {"cooccurrence": cooccurrence}
"""As typed after ``--targets``."""


def targets_of(name: str) -> Targets:
    """Look up where behaviour vectors come from.

    Raises:
        UnknownNameError: There is no such source.
    """
    if name not in TARGETS:
        raise UnknownNameError.of("targets", name, TARGETS)
    return TARGETS[name]
