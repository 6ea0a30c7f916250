"""A pair: two items or files side by side in the space of one relation, and what their closeness is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.answering.places import places_of
from index.answering.question import own_columns, raw_of_items
from index.answering.weighing import random_scores, weigh
from index.answers import Query
from index.encoders import modality_of
from index.engine.generations import RANDOM_LEVELS
from index.engine.head import Content
from index.engine.rows import LearnedSpace, Space
from index.errors import InputError
from index.items import Item
from index.reading import CatalogReader
from index.recommender import Recommender
from index.relations import Relation
from index.types import Attribute, Modality, Vector, Vectors


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two.

    Attributes:
        name: The item's id, or the file's path.
        title: What to call it.
        path: The file to look at or to hear; ``None`` when none is on this machine.
        raw: The vectors of that file as encoded, the space's encoders side by side. float32, ``(raw_dim,)``.
        others: How many more files of this modality the item has.
        attributes: What is known of the item; nothing of a file outside the catalog.
    """

    name: str
    title: str
    path: Path | None
    raw: Vector
    others: int = 0
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sides and the space in which they are compared.

    Attributes:
        relation: By which.
        space: Its rows.
        modality: Of both.
        a: The one asked about.
        b: The one that answers.
        rows: Both items as rows of the space. float32, ``(2, dim)``.
        score: Of the items, as ``Recommender.ask`` tells it.
        closer_than: Share of random pairs that are less close.
        shares: Facet → its share of the score; of relations learned from behaviour, that among them.
        cosines: Facet → cosine in the fitted space.
    """

    relation: Relation
    space: Space
    modality: Modality
    a: Side
    b: Side
    rows: Vectors
    score: float
    closer_than: float
    shares: dict[str, float]
    cosines: dict[str, float]

    @property
    def facets(self) -> list[str]:
        """Names of the space's facets, in order."""
        return [part.facet.name for part in self.space.projection.parts]

    def closeness(self, a: Vectors, b: Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How close pairs of vectors are, and what each facet adds.

        Args:
            a: Vectors as encoded of those asked about. float32, shape ``(n, raw_dim)`` or ``(1, raw_dim)``.
            b: Of those that answer, likewise.

        Returns:
            Of a plain relation the score, the weighted sum of cosines; of a learned one minus the squared distance,
            by content alone. float64, shape ``(n,)``. And the facets' parts of it, float64, shape ``(n, facets)``.
        """
        left, right = self.space.projection.project(a), self.space.projection.project(b)
        parts = self.space.projection.parts
        if isinstance(self.space, LearnedSpace):
            head = self.space.head
            own = (head.pieces(left, head.source) - head.pieces(right, head.target)).astype(np.float64)
            whole = own.sum(axis=1) + head.offset
            return -np.einsum("ik,ik->i", whole, whole), -np.einsum("ik,ipk->ip", whole, own)
        products = (self.space.question(self.relation, left) * right).astype(np.float64)
        added = np.stack([products[:, part.own].sum(axis=1) for part in parts], axis=1)
        return added.sum(axis=1), added

    def scores(self, closeness: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores from closeness: the same, or link probabilities. float64, same shape."""
        if isinstance(self.space, LearnedSpace):
            return np.asarray(np.exp(-np.logaddexp(0.0, -closeness - self.space.head.shift)), np.float64)
        return closeness


def read_pair(
    recommender: Recommender,
    a: str | Path,
    b: str | Path,
    relation: str,
    weights: tuple[tuple[str, float], ...] = (),
) -> Pair:
    """Find two items or files in the space of a relation, its facets weighed otherwise where ``weights`` say so.

    Raises:
        UnknownNameError: A name is neither an item nor a file; no such relation or facet.
        InputError: It is twice the same, a picture and a sound, nothing that the relation compares, or weights that
            ``index.answering.weighing.weigh`` refuses.
        MediaError: A file outside the catalog cannot be read.
        NotBuiltError, StaleIndexError, StorageError: See ``Recommender.ask``.
    """
    catalog = recommender.catalog
    asked = catalog.relation(relation)
    names = [recommender.resolve(str(name)) for name in (a, b)]
    if names[0] == names[1]:
        raise InputError(f"{names[0]} is named twice; name two items or files")
    items = {name: catalog.item(name) for name in names if isinstance(name, str)}
    _check_modalities(names, items)
    query = Query(
        items=tuple((name, 1.0) for name in names if isinstance(name, str)),
        files=tuple((name, 1.0) for name in names if isinstance(name, Path)),
        relation=relation,
    )
    question = recommender.question(query)
    space, modality = question.space, question.facets.modality
    places = places_of(recommender, relation, question.own, modality)
    raw = np.vstack([
        raw_of_items(catalog, space, list(question.own)),
        own_columns(question.described, question.facets, space),
    ])  # fmt: skip
    rows = places.vectors(question.own)
    rows = np.vstack([rows, space.project(raw[len(rows) :])])
    if isinstance(names[0], Path) and isinstance(names[1], str):  # a query lists items first
        raw, rows = raw[::-1], rows[::-1]
    if weights:
        asked = weigh(asked, space, weights)
    product = space.question(asked, rows[:1]) @ rows[1]
    score = float(space.scores(rows[0], product)[0])
    facets = space.projection.project(raw)
    content = Content(facets[:1], np.ones(1, np.float32), facets[1:])
    compared, shares = space.shares(asked, rows[0], rows[1:], content)
    cosines = {
        part.facet.name: float(facets[0, part.own] @ facets[1, part.own]) for part in space.projection.parts
    }  # fmt: skip
    sides = [_sides(catalog, space, modality, name, items, raw[at]) for at, name in enumerate(names)]
    random = random_scores(space, asked) if weights else space.record.relations[relation].random
    pair = Pair(
        relation=asked,
        space=space,
        modality=modality,
        a=sides[0][0],
        b=sides[1][0],
        rows=rows,
        score=score,
        closer_than=float(np.interp(score, random, RANDOM_LEVELS)),
        shares=dict(zip(compared, shares[0].tolist(), strict=True)),
        cosines={name: cosines[name] for name in compared if name in cosines},
    )
    return _closest(pair, sides[0], sides[1])


def _check_modalities(names: list[str | Path], items: dict[str, Item]) -> None:
    seen = [
        set(items[name].modalities) if isinstance(name, str) else {modality_of(name.name)} - {None} for name in names
    ]
    if all(seen) and not seen[0] & seen[1]:
        words = ["a picture" if "image" in one else "a sound" for one in seen]
        raise InputError(
            f"{names[0]} is {words[0]} and {names[1]} is {words[1]}; what makes two pictures or two sounds alike can "
            "be explained, not one of each"
        )


def _sides(
    catalog: CatalogReader, space: Space, modality: Modality, name: str | Path, items: dict[str, Item], raw: Vector
) -> list[Side]:
    """One side for each file that it could be looked at or heard by; without files the item as a whole."""
    if isinstance(name, Path):
        return [Side(str(name), name.name, name, raw)]
    item = items[name]
    title = str(item.attributes.get("title") or name.rsplit("/", 1)[-1])
    media = _media(catalog, space, modality, catalog.keys_of([name])[0])
    there = [(path, own) for path, own in media if path.is_file()]
    known = item.attributes
    sides = [Side(name, title, path, own, len(there) - 1, known) for path, own in there]
    return sides or [Side(name, title, None, raw, attributes=known)]


def _media(catalog: CatalogReader, space: Space, modality: Modality, key: int) -> list[tuple[Path, Vector]]:
    """Files of an item in order, with their vectors as encoded, the space's encoders side by side."""
    held = catalog.encoders()
    places: dict[int, slice] = {}
    start = 0
    for encoder, card in (held[name] for name in space.record.encoders):
        places[encoder] = slice(start, start + card.dim)
        start += card.dim
    found: dict[Path, Vector] = {}
    for path, encoder, vector in catalog.media_vectors(key, modality):
        if encoder in places:
            row = found.setdefault(path, np.zeros(start, np.float32))
            row[places[encoder]] = np.frombuffer(vector, "<f4")
    return list(found.items())


def _closest(pair: Pair, of_a: list[Side], of_b: list[Side]) -> Pair:
    """The pair with those two of the items' files that are closest."""
    if len(of_a) == len(of_b) == 1:
        return pair
    left, right = (np.stack([side.raw for side in sides]) for sides in (of_a, of_b))
    every = np.stack([pair.closeness(one[None], right)[0] for one in left])
    first, second = np.unravel_index(int(np.argmax(every)), every.shape)
    return replace(pair, a=of_a[first], b=of_b[second])
