"""Telling: what was chosen, as hits with scores, facet shares and what is known of each item."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from index.answering.choosing import Choice
from index.answering.question import Question, own_columns, raw_of_items, vectors_of
from index.answers import Hit
from index.engine.delta import Delta
from index.engine.generations import RANDOM_LEVELS
from index.engine.head import Content
from index.engine.rows import LearnedSpace
from index.reading import CatalogReader


def tell(
    catalog: CatalogReader, deltas: Mapping[str, Delta], found: Choice, random: tuple[float, ...]
) -> tuple[Hit, ...]:
    """Hits with everything that is told of them.

    Args:
        deltas: What changed since the generation was built, by space.
        found: What was chosen.
        random: Quantiles (at ``RANDOM_LEVELS``) of the scores of random pairs.
    """
    pool = found.pool
    wanted = [*found.chosen, *(place for leader in found.chosen for place in found.hidden.get(leader, []))]
    items = catalog.items(pool.keys[wanted].tolist())
    scores = pool.scores[found.chosen]
    closer_than = np.interp(scores, random, RANDOM_LEVELS).tolist()
    shares = _shares(catalog, deltas, found)
    hits: list[Hit] = []
    for at, place in enumerate(found.chosen):
        item = items.get(int(pool.keys[place]))
        if item is None:  # removed a moment ago
            continue
        copies = [items.get(int(pool.keys[other])) for other in found.hidden.get(place, [])]
        hits.append(
            Hit(
                rank=len(hits) + 1,
                item_id=item.item_id,
                score=float(scores[at]),
                closer_than=closer_than[at],
                facets=shares[at],
                media=item.media,
                attributes=item.attributes,
                duplicates=tuple(copy.item_id for copy in copies if copy),
            )
        )
    return tuple(hits)


def _shares(catalog: CatalogReader, deltas: Mapping[str, Delta], found: Choice) -> list[dict[str, float]]:
    """Each facet's share of the score of each answer that was chosen."""
    space, pool = found.question.space, found.pool
    content = None
    if isinstance(space, LearnedSpace):
        content = _content(catalog, deltas, found.question, space, pool.keys[found.chosen].tolist())
    names, shares = space.shares(found.relation, found.question.vector, pool.vectors[found.chosen], content)
    return [dict(zip(names, row, strict=True)) for row in shares.round(4).tolist()]


def _content(
    catalog: CatalogReader, deltas: Mapping[str, Delta], question: Question, space: LearnedSpace, keys: list[int]
) -> Content:
    """Facets of both sides, as the relation was fitted to them; vectors are read anew where nothing keeps them."""
    facets = question.facets
    if space.projects_as(facets):
        return Content(question.named, question.weights, vectors_of(facets, deltas[facets.name], keys)[0])
    wanted, delta = [*question.own, *keys], deltas[space.name]
    listed = np.asarray(wanted, np.int64)
    kept = (
        np.full(len(listed), -1, np.int64) if space.facets is None else delta.locate(listed, space.rows_of(listed))[1]
    )
    rows = np.zeros((len(wanted), space.projection.dim), np.float32)
    if space.facets is not None:
        rows[kept >= 0] = space.facets[kept[kept >= 0]]
    missing = np.flatnonzero(kept < 0)
    if len(missing):
        rows[missing] = space.projection.project(raw_of_items(catalog, space, [wanted[at] for at in missing]))
    files = space.projection.project(own_columns(question.described, facets, space))
    own = len(question.own)
    return Content(np.vstack([rows[:own], files]), question.weights, rows[own:])
