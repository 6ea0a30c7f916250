"""Rows: the projected items of a generation, memory-mapped, and how a relation asks them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.engine.ann import Trees
from index.engine.cells import Cells
from index.engine.coarse import Coarse, laid_shape
from index.engine.head import Content, Head
from index.engine.ids import Ids
from index.engine.mapping import mapped, release
from index.engine.projection import Projection
from index.engine.segments import Segment, cut
from index.engine.spaces import unit_rows
from index.engine.stored import StoredRows
from index.relations import Relation
from index.types import EncoderCard, Modality, Vector, Vectors

REDUCER = "reducer.f32"
REDUCED, SCALES, BIASES = "reduced.i8", "scales.f32", "biases.f32"
CENTRES, COARSE, STARTS, LAYOUT = "centres.f32", "centres.i8", "starts.i64", "layout.i32"
CELLS, GROUPS = "cells.i64", "groups.i64"
PROJECTION = "projection.npz"
FACETS = "facets.f32"
VECTORS = "vectors.f32"
UNITS = "units.f16"

WEIGHINGS_KEPT = 64
"""Weights of facets that are remembered as weights of dimensions."""


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How one relation's rows are searched, as found when they were built.

    Attributes:
        digest: Of the relation, to refuse trees of another definition.
        method: ``"cells"`` or ``"exact"``; see ``index.engine.search``.
        recall: Measured on held-out queries at k = 10, after exact re-ranking; 1.0 when exact.
        measured_on: How many held-out queries.
        cells: How many cells rows were divided into.
        probes: How many of them one query looks into.
        groups: How many groups of cells it looks for them in; 0 for all.
        search_k: Nodes that Annoy inspects to propose them; 0 where looking at centres is faster.
        candidates: Rows that are re-ranked exactly.
        dim: Dimensions of the reduced copy that is laid out by cells.
        by_category: Whether cells keep to categories.
        seconds_per_query: Lower quartile of one query by this method, with re-ranking, on this machine; 0 when exact.
        seconds_per_row: Of an exact scan, on this machine.
        random: Quantiles (at ``RANDOM_LEVELS``) of the scores of random pairs.
        surroundings: Whether what lies around each row is kept; see ``index.engine.surroundings``.
    """

    digest: str
    method: str
    recall: float
    measured_on: int
    cells: int
    probes: int
    groups: int
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

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SpaceRecord:
        """Read what ``dataclasses.asdict`` made of one.

        Raises:
            KeyError, TypeError: It is none.
        """
        plans = content["relations"].items()
        return cls(
            **{
                **content,
                "encoders": tuple(content["encoders"]),
                "categories": tuple(content["categories"]),
                "offsets": tuple(content["offsets"]),
                "relations": {name: SearchPlan(**{**plan, "random": tuple(plan["random"])}) for name, plan in plans},
            }
        )


def category_ranges(ordered: Iterable[str | None]) -> tuple[tuple[str | None, ...], tuple[int, ...]]:
    """Categories of rows in their order, each once, and where each begins, then the number of rows."""
    categories: list[str | None] = []
    offsets = [0]
    for category, rows in groupby(ordered):
        categories.append(category)
        offsets.append(offsets[-1] + sum(1 for _ in rows))
    return (tuple(categories), tuple(offsets)) if categories else ((None,), (0, 0))


class Space:
    """The rows of one modality as facets side by side, in the order (category, item id).

    ``LearnedSpace`` is the same for a learned relation; what differs is how rows are asked.
    """

    by_distance = False
    """Whether rows are told apart by their distance from who is asked about, not by a product with him."""

    def __init__(self, folder: Path, modality: Modality, record: SpaceRecord, cards: Sequence[EncoderCard]) -> None:
        self.folder = folder
        self.name = folder.name
        """Of its folder: the modality, or the learned relation."""
        self.modality = modality
        self.record = record
        self.cards = tuple(cards)
        self.offsets: NDArray[np.int64] = np.asarray(record.offsets, np.int64)
        self.keys: NDArray[np.int64] = mapped(folder / "keys.i64", "<i8", (record.count,))
        self.stored = StoredRows(folder / VECTORS, "<f4", (record.count, record.dim))
        """The rows, where few of them are asked for."""
        self.vectors: Vectors = self.stored.everything
        self.ids = Ids(folder, record.count)
        self._trees: dict[tuple[str, str], Trees] = {}

    @cached_property
    def units(self) -> StoredRows:
        """Facets of all rows as encoded: see ``Projection.units``. float16, ``(count, raw_dim)``."""
        return StoredRows(self.folder / UNITS, "<f2", (self.record.count, self.projection.raw_dim))

    def rows_at(self, rows: NDArray[np.int64]) -> Vectors:
        """Some rows, by number: int64, shape ``(n,)`` → float32, shape ``(n, dim)``."""
        return self.stored.at(rows)

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
        release(self.vectors)

    @cached_property
    def _rows(self) -> NDArray[np.int32]:
        """Row of each database key, as a table: keys count from 1 almost without holes; the last is of all others."""
        table = np.full(int(self.keys.max(initial=0)) + 2, -1, np.int32)
        table[self.keys] = np.arange(self.record.count, dtype=np.int32)
        return table

    def rows_of(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of items by database key; -1 for items that are not in this space. int64, same shape."""
        rows: NDArray[np.int64] = self._rows.take(keys, mode="clip").astype(np.int64)
        return rows

    def rows_of_few(self, keys: Sequence[int]) -> list[int]:
        """As ``rows_of``, sooner for a handful."""
        table, last = self._rows, len(self._rows) - 1
        return [table.item(min(key, last)) for key in keys]

    def ids_at(self, keys: Sequence[int]) -> dict[int, str]:
        """Ids of items by database key, of those that are in this space."""
        placed = [(key, row) for key, row in zip(keys, self.rows_of_few(keys), strict=True) if row >= 0]
        ids = self.ids.of(np.asarray([row for _, row in placed], np.int64))
        return {key: item_id for (key, _), item_id in zip(placed, ids, strict=True)}

    def vectors_at(self, keys: Sequence[int]) -> tuple[Vectors, NDArray[np.bool_]]:
        """Rows of items by database key, zero where an item is not in this space, float32 ``(len(keys), dim)``; and
        which are in it, bool ``(len(keys),)``."""
        rows = np.asarray(self.rows_of_few(keys), np.int64)
        present = rows >= 0
        if np.count_nonzero(present) == len(rows):
            return self.rows_at(rows), present
        found = np.zeros((len(rows), self.record.dim), np.float32)
        found[present] = self.rows_at(rows[present])
        return found, present

    def some_keys(self, count: int, seed: int) -> list[int]:
        """Database keys of rows drawn at random, at most ``count``."""
        return [int(self.keys[row]) for row in np.random.default_rng(seed).integers(0, len(self.keys), count)]

    def units_at(self, keys: Sequence[int]) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
        """``units`` of items by database key, float16 ``(len(keys), raw_dim)``; and of which there are any, bool."""
        rows = self.rows_of(np.asarray(keys, np.int64))
        present = rows >= 0
        found = np.zeros((len(keys), self.projection.raw_dim), np.float16)
        found[present] = self.units.at(rows[present])
        return found, present

    @property
    def sample(self) -> Vectors:
        """Rows of which random pairs are drawn, as ``pair_scores`` numbers them: here all of them."""
        return self.vectors

    def categories_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Category codes of rows. int64, same shape."""
        return np.searchsorted(self.offsets, rows, side="right") - 1

    def cells(self, relation: str) -> Cells:
        """How one relation's rows are divided into cells."""
        plan, folder = self.record.relations[relation], self.folder / relation
        parts = len(self.record.categories) if plan.by_category else 1
        return Cells(
            mapped(folder / CENTRES, "<f4", (plan.cells, plan.dim)),
            mapped(folder / STARTS, "<i8", (plan.cells + 1,)),
            mapped(folder / LAYOUT, "<i4", (self.record.count,)),
            mapped(folder / CELLS, "<i8", (parts + 1,)),
            mapped(folder / GROUPS, "<i8", None),
        )

    def segments(self, relation: str) -> Segment:
        """The tree of segments of cells that one relation's trees were built on."""
        plan = self.record.relations[relation]
        return cut(self.cells(relation).offsets, by_category=plan.by_category)

    def reducer(self, relation: str) -> NDArray[np.float32]:
        """The matrix that maps weighted rows to their reduced copy. float32, ``(dim, reduced)``."""
        plan = self.record.relations[relation]
        return mapped(self.folder / relation / REDUCER, "<f4", (self.record.dim, plan.dim))

    def coarse(self, relation: str) -> Coarse:
        """The reduced copy of all rows in 8-bit numbers, laid out by cells."""
        plan, folder = self.record.relations[relation], self.folder / relation
        return Coarse(
            mapped(folder / SCALES, "<f4", (plan.dim,)),
            mapped(folder / COARSE, "i1", laid_shape(plan.cells, plan.dim)),
            mapped(folder / REDUCED, "i1", laid_shape(self.record.count, plan.dim)),
            mapped(folder / BIASES, "<f4", (self.record.count,)) if self.by_distance else None,
        )

    def trees(self, relation: str, segment: Segment) -> Trees:
        """Open (once) the trees over the centres of one segment of cells."""
        key = (relation, segment.name)
        if key not in self._trees:
            plan = self.record.relations[relation]
            self._trees[key] = Trees(self.folder / relation / segment.name, plan.dim, segment.size)
        return self._trees[key]

    # How rows are asked

    def facet_weights(self, relation: Relation) -> NDArray[np.float32]:
        """Weight of each dimension: the facets' weights over their sum, zero for facets that the relation
        leaves out. float32, shape ``(dim,)``, not to be written to."""
        return self._weights(relation)

    @cached_property
    def _weights(self) -> Callable[[Relation], NDArray[np.float32]]:
        dim, projection = self.record.dim, self.projection  # not self: mapped files are let go with their last reader

        def weigh(relation: Relation) -> NDArray[np.float32]:
            weights = np.zeros(dim, np.float32)
            each = relation.weights_of(projection.facets)
            for part in projection.parts:
                weights[part.own] = each[part.facet.name]
            weights.flags.writeable = False
            return weights

        return lru_cache(WEIGHINGS_KEPT)(weigh)

    def combine(self, vectors: Vectors, weights: NDArray[np.float32]) -> Vector:
        """One row for several: their weighted sum, each facet of unit length. float32, shape ``(dim,)``; all
        zero when they cancel each other out."""
        if len(vectors) == 1 and weights[0] > 0:
            return np.array(vectors[0])
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

    def reducers(self, relation: Relation) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Matrices from rows, and from whoever is asked about, to the reduced copy. float32, ``(dim, reduced)``."""
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
        weights = self.facet_weights(relation)
        every = [part.own.start for part in self.projection.parts]
        compared = np.flatnonzero(weights[every] > 0)
        products = np.add.reduceat(answers * self.question(relation, asked), every, axis=1)
        sums = np.maximum(products[:, compared], 0.0, dtype=np.float64)
        totals = sums.sum(axis=1, keepdims=True)
        totals[totals == 0] = np.inf  # no facet speaks for it
        return [self.projection.parts[at].facet.name for at in compared.tolist()], sums / totals


class LearnedSpace(Space):
    """The rows of one learned relation: see ``index.engine.head.Head``."""

    by_distance = True
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

    def reducers(self, relation: Relation) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The copy is of where rows stand as answers, and asked from where they stand when asked about."""
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
