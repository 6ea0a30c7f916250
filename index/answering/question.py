"""A question made ready: names and files turned into one vector, and who may answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.answers import Query
from index.encoders import load_encoder, modality_of
from index.engine.delta import Delta
from index.engine.generations import Generation
from index.engine.rows import Space
from index.errors import InputError, MediaError, UnknownNameError
from index.reading import CatalogReader
from index.relations import RERANKS, Relation
from index.types import Encoder, Modality, Vector, Vectors


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for.

    Attributes:
        space: The rows that are searched: of the modality that all items and files of the query share, or of
            the learned relation.
        vector: All of them as one row of it. float32, shape ``(dim,)``.
        facets: The rows of that modality, facets side by side.
        named: Each of the query's items and files by itself, items first, as rows of ``facets``. float32, shape
            ``(m, d)``.
        weights: Of the query's items and files, in that order; negative for those to move away from. float32, ``(m,)``.
        own: Database keys of the items among them, in that order: they never answer.
        described: The files as encoded. float32, shape ``(files, raw_dim)``.
        categories: Those of the positive items, when the relation's rule looks at them; ``None`` for all.
        notes: What could not be done as asked.
    """

    space: Space
    vector: Vector
    facets: Space
    named: Vectors
    weights: NDArray[np.float32]
    own: tuple[int, ...]
    described: Vectors
    categories: frozenset[str | None] | None
    notes: tuple[str, ...]


def check(query: Query) -> None:
    """Refuse a question that makes no sense, whatever the catalog.

    Raises:
        InputError: A number is out of its range, or nothing is asked about.
        UnknownNameError: There is no such way of re-ranking.
    """
    check_terms(query)
    if not query.items and not query.files:
        raise InputError("a query names at least one item or file")
    for name, weight in (*query.items, *query.files, *query.negatives):
        if not math.isfinite(weight):
            raise InputError(f"the weight of {str(name)!r} must be a finite number, not {weight}")


def check_terms(query: Query) -> None:
    """Refuse what makes no sense whoever is asked about; raises as ``check``."""
    if query.k < 1:
        raise InputError(f"k must be at least 1, not {query.k}")
    if not 0 <= query.diversity <= 1:
        raise InputError(f"diversity must lie between 0 and 1, not {query.diversity}")
    if query.rerank is not None:
        if query.rerank not in RERANKS:
            raise UnknownNameError.of("re-ranking", query.rerank, RERANKS)
        if query.weights and query.rerank != "none":
            raise InputError("facets that are weighed for one question have no surroundings; leave re-ranking out")
    if query.user is not None and query.rerank not in (None, "none"):
        raise InputError("answers are ordered for a user or re-ranked, not both")


def make_question(
    catalog: CatalogReader,
    generation: Generation,
    deltas: dict[str, Delta],
    relation: Relation,
    query: Query,
    encoders: dict[str, Encoder],
) -> Question:
    """Turn a query into a question to one space.

    Args:
        encoders: Those loaded so far; what a file needs is loaded and kept here.

    Raises:
        UnknownNameError: An item does not exist.
        InputError: No modality has all of the query's items and the relation's facets.
        MediaError: A file cannot be read.
        StaleIndexError: The relation was learned since the generation was built.
    """
    signed = [*query.items, *((item_id, -weight) for item_id, weight in query.negatives)]
    keys = catalog.keys_of([item_id for item_id, _ in signed])
    problems: list[str] = []
    for facets, space, misfit in generation.asked_by(relation):
        problem = misfit or _unfit(facets.modality, query)
        if problem:
            problems.append(problem)
            continue
        rows, present = vectors_of(space, deltas[space.name], keys)
        if np.count_nonzero(present) < len(keys):
            lacking = signed[int(np.argmin(present))][0]
            problems.append(f"item {lacking!r} has no {space.modality} in it")
            continue
        named = rows if space is facets else vectors_of(facets, deltas[facets.name], keys)[0]
        described = np.zeros((0, facets.projection.raw_dim), np.float32)
        if query.files:
            described = np.stack([_encode(catalog, facets, path, encoders) for path, _ in query.files])
            rows = np.vstack([rows, space.project(own_columns(described, facets, space))])
            named = np.vstack([named, facets.project(described)])
        weights = np.asarray([weight for _, weight in (*signed, *query.files)], np.float32)
        total = space.combine(rows, weights)
        if not np.count_nonzero(total):
            raise InputError("the items of this query cancel each other out; change their weights")
        categories, notes = _categories(catalog, query, relation, space, deltas[space.name], keys[: len(query.items)])
        return Question(space, total, facets, named, weights, tuple(keys), described, categories, notes)
    raise InputError(f"relation {relation.name!r} cannot answer this: {'; '.join(dict.fromkeys(problems))}")


def vectors_of(space: Space, delta: Delta, keys: list[int]) -> tuple[Vectors, NDArray[np.bool_]]:
    """Projected vectors of items as they are now.

    Returns:
        float32, shape ``(len(keys), dim)``, zero where an item is not in this space; and which are.
    """
    found, present = space.vectors_at(keys)
    if len(delta.keys) or len(delta.masked):
        listed = np.asarray(keys, np.int64)
        places, rows = delta.locate(listed, space.rows_of(listed))
        found[rows < 0], present = 0, (rows >= 0) | (places >= 0)
        found[places >= 0] = delta.vectors[places[places >= 0]]
    return found, present


def own_columns(raw: Vectors, facets: Space, space: Space) -> Vectors:
    """Of vectors of all encoders of a modality, those that a space was fitted on: float32, ``(n, raw_dim)`` of it."""
    if space.record.encoders == facets.record.encoders:
        return raw
    stops = np.cumsum([card.dim for card in facets.cards])
    own = [np.arange(stop - card.dim, stop) for stop, card in zip(stops, facets.cards, strict=True)]
    places = dict(zip(facets.record.encoders, own, strict=True))
    return raw[:, np.concatenate([places[name] for name in space.record.encoders])]


def raw_of_items(catalog: CatalogReader, space: Space, keys: list[int]) -> Vectors:
    """Vectors of items as encoded, the space's encoders side by side. float32, ``(len(keys), raw_dim)``."""
    held = catalog.encoders()
    unique = sorted(set(keys))
    found = catalog.raw_vectors(unique, [held[name] for name in space.record.encoders])
    return found[np.searchsorted(unique, keys)] if keys else found


def units_of_items(catalog: CatalogReader, facets: Space, delta: Delta, keys: Sequence[int]) -> NDArray[np.float16]:
    """Facets of items as encoded, in half precision: see ``Projection.units``. float16, ``(len(keys), raw_dim)``.

    Args:
        facets: The rows of their modality.
        delta: What changed of them; these items' vectors are read from the database.
        keys: Database keys.
    """
    found, present = facets.units_at(keys)
    if len(delta.keys) or len(delta.masked):
        listed = np.asarray(keys, np.int64)
        present &= delta.locate(listed, facets.rows_of(listed))[1] >= 0
    missing = np.flatnonzero(~present).tolist()
    if missing:
        found[missing] = facets.projection.units(raw_of_items(catalog, facets, [keys[at] for at in missing]))
    return found


def _unfit(modality: Modality, query: Query) -> str:
    """Why a query's files cannot be asked about in a modality; empty when they can."""
    other = next((path.name for path, _ in query.files if modality_of(path.name) != modality), "")
    return f"{other} is no {modality}" if other else ""


def _encode(catalog: CatalogReader, space: Space, path: Path, encoders: dict[str, Encoder]) -> Vector:
    raw = []
    for name, card in zip(space.record.encoders, space.cards, strict=True):
        if name not in encoders or encoders[name].card.fingerprint != card.fingerprint:
            encoders[name] = load_encoder(name)  # the first time, or its file is another now
        encoder = encoders[name]
        catalog.check_fingerprint(name, encoder.card.fingerprint)
        try:
            raw.append(encoder.describe(path))
        except MediaError as error:
            raise MediaError(error.stage, f"{path}: {error.reason}") from None
    return np.concatenate(raw)


def _categories(
    catalog: CatalogReader, query: Query, relation: Relation, space: Space, delta: Delta, keys: list[int]
) -> tuple[frozenset[str | None] | None, tuple[str, ...]]:
    """Categories that the rule looks at, and a note when it cannot look."""
    if relation.rule == "any":
        return None, ()
    if query.category is not None:
        known = {*space.record.categories, *delta.categories.tolist()} - {None}
        if query.category in known:
            return frozenset((query.category,)), ()
        return frozenset((query.category,)), (str(UnknownNameError.of("category", query.category, known)),)
    found: set[str | None] = set(catalog.categories_of(keys))
    if found and None not in found:
        return frozenset(found), ()
    side = "inside its category" if relation.rule == "same category" else "in other categories"
    mend = "--category" if query.files else "a column 'category' in the table, or folders by kind"
    return None, (f"the query has no category, so {relation.name} looked everywhere, not {side}; it takes {mend}",)
