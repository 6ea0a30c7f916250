"""A question made ready: names and files turned into one vector, and who may answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.answers import Query
from index.build import raw_vectors
from index.catalog import Catalog
from index.delta import Delta
from index.encoders import load_encoder, modality_of
from index.errors import InputError, MediaError, UnknownNameError
from index.generations import Generation, Space
from index.relations import Relation
from index.spaces import unit_rows
from index.types import Vector, Vectors


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for.

    Attributes:
        space: The rows of the modality that all items and files of the query share.
        vector: Their weighted sum, each facet of unit length. float32, shape ``(dim,)``.
        named: Each of them by itself, items before files. float32, shape ``(m, dim)``.
        own: Database keys of the items among them, in that order: they never answer.
        described: The files as encoded. float32, shape ``(files, raw_dim)``.
        categories: Those of the positive items, when the relation's rule looks at them; ``None`` for all.
        notes: What could not be done as asked.
    """

    space: Space
    vector: Vector
    named: Vectors
    own: tuple[int, ...]
    described: Vectors
    categories: frozenset[str | None] | None
    notes: tuple[str, ...]


def make_question(
    catalog: Catalog, generation: Generation, deltas: dict[str, Delta], relation: Relation, query: Query
) -> Question:
    """Turn a query into a question to one space.

    Raises:
        UnknownNameError: An item does not exist.
        InputError: No modality has all of the query's items and the relation's facets.
        MediaError: A file cannot be read.
    """
    signed = [*query.items, *((item_id, -weight) for item_id, weight in query.negatives)]
    keys = catalog.keys_of([item_id for item_id, _ in signed])
    problems: list[str] = []
    for space in generation.spaces.values():
        problem = _misfit(space, relation, query)
        if problem:
            problems.append(problem)
            continue
        projected, present = vectors_of(space, deltas[space.modality], keys)
        if not present.all():
            lacking = signed[int(np.argmin(present))][0]
            problems.append(f"item {lacking!r} has no {space.modality} in it")
            continue
        described = np.zeros((0, space.projection.raw_dim), np.float32)
        if query.files:
            described = np.stack([_encode(catalog, space, path) for path, _ in query.files])
            projected = np.vstack([projected, space.projection.project(described)])
        weights = np.asarray([weight for _, weight in (*signed, *query.files)], np.float32)
        total = weights @ projected
        for part in space.projection.parts:
            total[part.own] = unit_rows(total[None, part.own])[0]
        if not total.any():
            raise InputError("the items of this query cancel each other out; change their weights")
        categories, notes = _categories(
            catalog, query, relation, space, deltas[space.modality], keys[: len(query.items)]
        )
        return Question(space, total, projected, tuple(keys), described, categories, notes)
    raise InputError(f"relation {relation.name!r} cannot answer this: {'; '.join(dict.fromkeys(problems))}")


def vectors_of(space: Space, delta: Delta, keys: list[int]) -> tuple[Vectors, NDArray[np.bool_]]:
    """Projected vectors of items as they are now.

    Returns:
        float32, shape ``(len(keys), dim)``, zero where an item is not in this space; and which are.
    """
    found = np.zeros((len(keys), space.record.dim), np.float32)
    present = np.zeros(len(keys), bool)
    rows = space.rows_of(np.asarray(keys, np.int64))
    for at, (key, row) in enumerate(zip(keys, rows.tolist(), strict=True)):
        place = delta.place_of(key)
        if place is not None:
            found[at], present[at] = delta.vectors[place], True
        elif row >= 0 and not delta.masks(row):
            found[at], present[at] = space.vectors[row], True
    return found, present


def raw_of_items(catalog: Catalog, space: Space, keys: list[int]) -> Vectors:
    """Vectors of items as encoded, the space's encoders side by side. float32, ``(len(keys), raw_dim)``."""
    held = catalog.encoders()
    unique = sorted(set(keys))
    found = raw_vectors(catalog, unique, [held[name] for name in space.record.encoders])
    return found[np.searchsorted(unique, keys)] if keys else found


def _misfit(space: Space, relation: Relation, query: Query) -> str:
    if space.modality not in relation.modalities:
        return f"it is asked of {' and '.join(relation.modalities)} items, not of {space.modality} items"
    if not relation.compares(space.modality, space.projection.facets):
        return f"it compares {', '.join(relation.weights)}, which no {space.modality} has"
    for path, _ in query.files:
        if modality_of(path.name) != space.modality:
            return f"{path.name} is no {space.modality}"
    return ""


def _encode(catalog: Catalog, space: Space, path: Path) -> Vector:
    raw = []
    for name in space.record.encoders:
        encoder = load_encoder(name)
        catalog.check_fingerprint(name, encoder.card.fingerprint)
        try:
            raw.append(encoder.describe(path))
        except MediaError as error:
            raise MediaError(error.stage, f"{path}: {error.reason}") from None
    return np.concatenate(raw)


def _categories(
    catalog: Catalog, query: Query, relation: Relation, space: Space, delta: Delta, keys: list[int]
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
