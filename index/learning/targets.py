"""Targets: vectors of items by what people did with them, for content to be fitted to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError, UnknownNameError
from index.learning.factors import als, bpr, item2vec
from index.learning.groups import Groups, groups_of_pairs, without_pairs
from index.learning.splits import Pairs
from index.learning.vectors_file import read_vectors_file
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


Model: TypeAlias = Callable[[Groups, int, int, int], tuple[NDArray[np.int64], Vectors]]
"""Groups, most dimensions, window and seed → rows and vectors, as ``index.learning.factors.als``."""

MODELS: Mapping[str, Model] = {"als": als, "bpr": bpr, "item2vec": item2vec}

TARGETS = ("cooccurrence", *MODELS)
"""As typed after ``--targets``, beside names of files."""

VECTOR_FILES = (".npy", ".npz", ".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of items' use, whatever of it may be learned from.

    Attributes:
        pairs: All links, int64, shape ``(m, 2)``.
        count: Number of rows.
        groups: What stood together, of row numbers; ``None`` where only links are known.
        window: How many places apart items of an ordered group belong together.
    """

    pairs: Pairs
    count: int
    groups: Groups | None = None
    window: int = 5

    def hidden(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Which items have links, but none among these: bool, shape ``(count,)``."""
        found = np.zeros(self.count, bool)
        found[self.pairs] = True
        found[pairs] = False
        return found


def check_targets(name: str) -> None:
    """Hold a name to what ``targets_of`` takes, before anything is read.

    Raises:
        UnknownNameError: It is neither one of ``TARGETS`` nor looks like a file of vectors.
    """
    if name not in TARGETS and not name.lower().endswith(VECTOR_FILES):
        raise UnknownNameError.of("targets", name, TARGETS)


def targets_of(name: str, evidence: Evidence, given: Known | None = None) -> Targets:
    """Where behaviour vectors come from.

    Whatever it is, links that may not be learned from are told nothing of: factors see groups only after items were
    left out of them until no other link stands together, and of items all of whose links are held out there are no
    vectors. Vectors from a file were made elsewhere, so the second is all that can be done for them.

    Args:
        name: One of ``TARGETS``; not looked at where vectors are given.
        evidence: Of the rows of the catalog.
        given: Vectors from elsewhere.
    """
    if given is not None:
        return lambda pairs, weights, rank, seed: _shown(given, evidence.hidden(pairs))
    if name in MODELS:
        return lambda pairs, weights, rank, seed: _factors(MODELS[name], evidence, pairs, weights, rank, seed)
    return cooccurrence


def known_of_file(path: Path, find: Callable[[str], int]) -> tuple[Known, tuple[str, ...]]:
    """Behaviour vectors that were made elsewhere, and sentences on what of them is not used.

    Args:
        path: See ``index.learning.vectors_file``.
        find: Id → row number, or -1.

    Raises:
        InputError: The file cannot be read, or two of its ids mean one item.
    """
    ids, vectors = read_vectors_file(path)
    first: dict[int, str] = {}
    places: dict[int, int] = {}
    unused = []
    for place, name in enumerate(ids):
        row = find(name)
        if row < 0:
            unused.append(name)
        elif first.setdefault(row, name) != name:
            raise InputError(f"{path}: {first[row]!r} and {name!r} name the same item; keep one of them")
        else:
            places[row] = place
    notes = [
        f"behaviour vectors come from {path.name}, which may have seen the edges held out of the warm split; on the "
        "cold split, items are predicted by a fit without them"
    ]
    if unused:
        notes.append(
            f"{len(unused):,} of {len(ids):,} behaviour vectors are of items that the catalog does not have, or not "
            f"with such content, such as {unused[0]!r}"
        )
    rows = np.array(sorted(places), np.int64)
    return Known(rows, vectors[[places[row] for row in rows.tolist()]]), tuple(notes)


def _shown(given: Known, hidden: NDArray[np.bool_]) -> Known:
    shown = ~hidden[given.rows]
    return Known(given.rows[shown], given.vectors[shown])


def _factors(
    model: Model, evidence: Evidence, pairs: Pairs, weights: NDArray[np.float32], rank: int, seed: int
) -> Known:
    if evidence.groups is None:
        groups = groups_of_pairs(pairs, weights)
    else:
        ends, every = (np.sort(some, axis=1) for some in (pairs, evidence.pairs))
        unseen = ~np.isin(every @ [evidence.count, 1], ends @ [evidence.count, 1])
        groups = evidence.groups.only(~evidence.hidden(pairs)[evidence.groups.items])
        groups = without_pairs(groups, every[unseen], seed)
    if not len(groups.items):
        raise InputError("no two items stand together in any group once held-out links are left out; give more groups")
    window = evidence.window if groups.ordered else int(np.bincount(groups.groups).max())
    return Known(*model(groups, rank, window, seed))
