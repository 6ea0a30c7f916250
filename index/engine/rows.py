"""Rows: the projected items of a generation, memory-mapped, and how a relation asks them."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.engine.ann import Metric, Trees
from index.engine.head import Content, Head
from index.engine.projection import Projection
from index.engine.segments import Segment, cut
from index.engine.spaces import unit_rows
from index.errors import StaleIndexError
from index.relations import Relation
from index.types import EncoderCard, Modality, Vector, Vectors

REDUCER = "reducer.f32"
REDUCED = "reduced.f32"
PROJECTION = "projection.npz"
FACETS = "facets.f32"
VECTORS = "vectors.f32"


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How one relation's rows are searched, as found when they were built.

    Attributes:
        digest: Of the relation, to refuse trees of another definition.
        method: ``"annoy"``, ``"reduced"`` or ``"exact"``; see ``index.engine.search``.
        recall: Measured on held-out queries at k = 10, after exact re-ranking; 1.0 when exact.
        measured_on: How many held-out queries.
        trees: Per segment.
        search_k: Nodes that Annoy inspects for one query.
        candidates: Rows that are re-ranked exactly.
        dim: Dimensions of the reduced copy that trees are built on.
        by_category: Whether the trees follow the categories.
        seconds_per_query: Lower quartile of one query by this method, with re-ranking, on this machine; 0 when exact.
        seconds_per_row: Of an exact scan, on this machine.
        random: Quantiles (at ``RANDOM_LEVELS``) of the scores of random pairs.
        surroundings: Whether what lies around each row is kept; see ``index.engine.surroundings``.
    """

    digest: str
    method: str
    recall: float
    measured_on: int
    trees: int
    search_k: int
    candidates: int
    dim: int
    by_category: bool
    seconds_per_query: float
    seconds_per_row: float
    random: tuple[float, ...]
    surroundings: bool = False


@dataclass(frozen=True, slots=True)
class SpaceRecord:
    """What the manifest says of the rows of one modality, or of one learned relation over it."""

    count: int
    dim: int
    encoders: tuple[str, ...]
    categories: tuple[str | None, ...]
    offsets: tuple[int, ...]
    relations: dict[str, SearchPlan]
    learned: str = ""


class Space:
    """The rows of one modality as facets side by side, in the order (category, item id).

    ``LearnedSpace`` is the same for a learned relation; what differs is how rows are asked.
    """

    metric: Metric = "angular"

    def __init__(self, folder: Path, modality: Modality, record: SpaceRecord, cards: Sequence[EncoderCard]) -> None:
        self.folder = folder
        self.modality = modality
        self.record = record
        self.cards = tuple(cards)
        self.offsets: NDArray[np.int64] = np.asarray(record.offsets, np.int64)
        self.keys: NDArray[np.int64] = mapped(folder / "keys.i64", "<i8", (record.count,))
        self.vectors: Vectors = mapped(folder / VECTORS, "<f4", (record.count, record.dim))
        self._trees: dict[tuple[str, str], Trees] = {}

    @property
    def name(self) -> str:
        """Of its folder: the modality, or the learned relation."""
        return self.folder.name

    @cached_property
    def projection(self) -> Projection:
        """From encoders' vectors to facets."""
        return Projection.load(self.folder / PROJECTION, self.cards)

    def project(self, raw: Vectors) -> Vectors:
        """Rows of items from the encoders' vectors side by side: float32, ``(n, raw_dim)`` → ``(n, dim)``."""
        return self.projection.project(raw)

    def compares(self, relation: Relation) -> bool:
        """Whether a relation is asked of these rows."""
        return relation.compares(self.modality, self.projection.facets)

    def release(self) -> None:
        """Hand mapped pages back to the system, and close trees: a build reads all rows several times, and
        would else seem to hold them in memory."""
        self._trees.clear()
        _release(self.vectors)

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self.keys, kind="stable")

    def rows_of(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of items by database key; -1 for items that are not in this space. int64, same shape."""
        if not self.record.count:
            return np.full(len(keys), -1, np.int64)
        place = np.searchsorted(self.keys, keys, sorter=self._order)
        rows = self._order[np.minimum(place, self.record.count - 1)]
        return np.where(self.keys[rows] == keys, rows, -1)

    def categories_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Category codes of rows. int64, same shape."""
        return np.searchsorted(self.offsets, rows, side="right") - 1

    def segments(self, relation: str) -> Segment:
        """The tree of segments that one relation's trees were built on."""
        return cut(self.offsets, by_category=self.record.relations[relation].by_category)

    def reducer(self, relation: str) -> NDArray[np.float32]:
        """The matrix that maps weighted rows to the copy that trees are built on. float32, ``(dim, reduced)``."""
        plan = self.record.relations[relation]
        return mapped(self.folder / relation / REDUCER, "<f4", (self.record.dim, plan.dim))

    def reduced(self, relation: str) -> Vectors:
        """The copy that trees are built on, kept where it is searched itself. float32, ``(count, reduced)``."""
        plan = self.record.relations[relation]
        return mapped(self.folder / relation / REDUCED, "<f4", (self.record.count, plan.dim))

    def trees(self, relation: str, segment: Segment) -> Trees:
        """Open (once) the trees of one segment."""
        key = (relation, segment.name)
        if key not in self._trees:
            plan = self.record.relations[relation]
            path = self.folder / relation / segment.name
            self._trees[key] = Trees(path, plan.dim, segment.rows, self.metric)
        return self._trees[key]

    # How rows are asked

    def facet_weights(self, relation: Relation) -> NDArray[np.float32]:
        """Weight of each dimension: the facets' weights over their sum, zero for facets that the relation
        leaves out. float32, shape ``(dim,)``."""
        weights = np.zeros(self.record.dim, np.float32)
        each = relation.weights_of(self.projection.facets)
        for part in self.projection.parts:
            weights[part.own] = each[part.facet.name]
        return weights

    def combine(self, vectors: Vectors, weights: NDArray[np.float32]) -> Vector:
        """One row for several: their weighted sum, each facet of unit length. float32, shape ``(dim,)``; all
        zero when they cancel each other out."""
        total = weights @ vectors
        for part in self.projection.parts:
            total[part.own] = unit_rows(total[None, part.own])[0]
        return total

    def question(self, relation: Relation, vectors: Vectors) -> Vectors:
        """What to multiply rows by, so that the products say who is closest. float32, same shape ``(…, dim)``."""
        weighted: Vectors = self.facet_weights(relation) * vectors
        return weighted

    def scores(self, vector: Vector, products: NDArray[np.float32]) -> NDArray[np.float32]:
        """The scores of rows from their products with a row's question: here the weighted mean of cosines."""
        return products

    def squared(self, vectors: Vectors, products: NDArray[np.float32]) -> NDArray[np.float32]:
        """Squared distances from the products of rows' questions with others' rows: here 2 − 2·score.

        Args:
            vectors: Who is asked about, float32, shape ``(dim,)`` or ``(m, dim)``.
            products: float32, shape ``(n,)`` or ``(m, n)``; −∞ is infinitely far.

        Returns:
            float32, shape of ``products``, none negative.
        """
        return np.asarray(np.maximum(2 - 2 * products, 0), np.float32)

    def pair_scores(self, relation: Relation, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of rows asked about with as many others, pair by pair: int64 ``(n,)`` each → float32 ``(n,)``."""
        found: NDArray[np.float32] = self._products(relation, left, right)
        return found

    def _products(self, relation: Relation, left: NDArray[np.int64], right: NDArray[np.int64]) -> Any:
        return np.einsum("ij,ij->i", self.question(relation, self.vectors[left]), self.vectors[right])

    def tree_maps(self, relation: Relation) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Matrices from rows, and from whoever is asked about, to where trees are built. float32, ``(dim, m)``."""
        weighted = np.sqrt(self.facet_weights(relation))[:, None] * self.reducer(relation.name)
        return weighted, weighted

    def shares(
        self, relation: Relation, asked: Vector, answers: Vectors, content: Content | None = None
    ) -> tuple[Sequence[str], NDArray[np.float64]]:
        """Each facet's share of each score; facets that speak against it count as none.

        Args:
            asked: Whoever is asked about, as a row: float32, shape ``(dim,)``.
            answers: The answers, as rows: float32, shape ``(n, dim)``.
            content: Facets of both, which the rows of a learned relation no longer tell.

        Returns:
            Names of the facets that the relation compares, and their shares: float64, shape ``(n, facets)``.
        """
        each = relation.weights_of(self.projection.facets)
        parts = [part for part in self.projection.parts if each[part.facet.name] > 0]
        products = answers * self.question(relation, asked)
        sums = np.stack([products[:, part.own].sum(axis=1) for part in parts], axis=1).astype(np.float64)
        sums = np.maximum(sums, 0.0)
        totals = sums.sum(axis=1, keepdims=True)
        return [part.facet.name for part in parts], np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)


class LearnedSpace(Space):
    """The rows of one learned relation: see ``index.engine.head.Head``."""

    metric: Metric = "euclidean"
    _alike: bool | None = None

    @cached_property
    def head(self) -> Head:
        """The fitted maps."""
        return Head.load(self.folder / PROJECTION, self.cards)

    @property
    def projection(self) -> Projection:
        """From encoders' vectors to the facets that the head was fitted on."""
        return self.head.projection

    @cached_property
    def facets(self) -> Vectors | None:
        """Those facets of all rows, kept where the rows of the modality are projected otherwise."""
        path = self.folder / FACETS
        return mapped(path, "<f4", (self.record.count, self.projection.dim)) if path.exists() else None

    def projects_as(self, facets: Space) -> bool:
        """Whether the rows of its modality are those facets."""
        if self._alike is None:
            same = self.record.encoders == facets.record.encoders
            self._alike = same and self.projection.equals(facets.projection)
        return self._alike

    def project(self, raw: Vectors) -> Vectors:
        """As ``Space.project``, through the head."""
        return self.head.project(raw)

    def compares(self, relation: Relation) -> bool:
        """Whether this is the relation's own space."""
        return relation.name == self.record.learned

    def combine(self, vectors: Vectors, weights: NDArray[np.float32]) -> Vector:
        """As ``Head.combine``."""
        return self.head.combine(vectors, weights)

    def question(self, relation: Relation, vectors: Vectors) -> Vectors:
        """As ``Head.question``."""
        return self.head.question(vectors)

    def scores(self, vector: Vector, products: NDArray[np.float32]) -> NDArray[np.float32]:
        """Link probabilities."""
        return self.head.probability(vector[None], products)

    def squared(self, vectors: Vectors, products: NDArray[np.float32]) -> NDArray[np.float32]:
        """‖xᵢA + b − xⱼB‖²."""
        places = self.head.asked(vectors)
        lengths = np.einsum("...j,...j->...", places, places)
        return np.asarray(np.maximum(lengths[..., None] - products, 0), np.float32)

    def pair_scores(self, relation: Relation, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
        """Link probabilities."""
        return self.head.probability(self.vectors[left], self._products(relation, left, right))

    def tree_maps(self, relation: Relation) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Trees are built on where rows stand as answers, and asked from where they stand when asked about."""
        of_rows, of_asked = np.zeros((2, self.head.width, self.head.rank), np.float32)
        own = np.arange(self.head.rank)
        of_rows[own, own] = 1
        of_asked[own if self.head.symmetric else own + self.head.rank + 1, own] = 1
        return of_rows, of_asked

    def shares(
        self, relation: Relation, asked: Vector, answers: Vectors, content: Content | None = None
    ) -> tuple[Sequence[str], NDArray[np.float64]]:
        """As ``Head.shares``."""
        assert content is not None
        apart = self.head.asked(asked) - answers[:, : self.head.rank]
        return self.head.reasons, self.head.shares(content, np.einsum("ij,ij->i", apart, apart))


def mapped(path: Path, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Numbers of a built file, mapped into memory.

    Raises:
        StaleIndexError: It is gone.
    """
    if 0 in shape:
        return np.zeros(shape, dtype)
    try:
        return np.asarray(np.memmap(path, dtype, "r", shape=shape))  # plain arrays are quicker to slice
    except (OSError, ValueError) as error:  # deleted since the manifest was read
        raise StaleIndexError(f"{path} cannot be opened ({error}); rebuild with: simkin index --rebuild") from None


def _release(mapped: NDArray[Any]) -> None:
    base: Any = mapped
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if base is not None and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)  # clean pages of a file: read again when touched again
