"""Weighing: a relation whose facets weigh otherwise for one question."""

from __future__ import annotations

import math
from functools import partial

from index.engine.calibrate import random_quantiles, scan_plan
from index.engine.generations import RANDOM_LEVELS
from index.engine.rows import Space
from index.engine.search import Searcher
from index.errors import InputError, UnknownNameError
from index.relations import Relation


def weigh(relation: Relation, space: Space, weights: tuple[tuple[str, float], ...]) -> Relation:
    """The relation with other weights for some facets.

    Args:
        relation: A plain one.
        space: In which it is asked.
        weights: Facets or kinds of facets with weights; see ``Relation.reweighed``.

    Raises:
        UnknownNameError: The space has no such facet.
        InputError: The relation is learned, a facet is named twice, a weight is negative or not finite, or nothing is
            left to compare.
    """
    if relation.head:
        raise InputError(
            f"relation {relation.name!r} was learned, so its facets cannot be weighed by hand; "
            "ask a plain relation, such as 'similar'"
        )
    facets = space.projection.facets
    known = {name for facet in facets for name in (facet.name, facet.kind)}
    for name, weight in weights:
        if name not in known:
            raise UnknownNameError.of(f"{space.modality} facet", name, known)
        if not (math.isfinite(weight) and weight >= 0):
            raise InputError(f"the weight of facet {name!r} must be a finite number, 0 or more, not {weight}")
    given = dict(weights)
    if len(given) < len(weights):
        twice = next(name for name in given if sum(name == other for other, _ in weights) > 1)
        raise InputError(f"facet {twice!r} is weighed twice; give each facet one weight")
    weighed = relation.reweighed(facets, given)
    if not any(weight for _, weight in weighed.facets):
        raise InputError("every facet weighs 0, so there is nothing to compare; give one of them a weight")
    return weighed


def weighed_searcher(space: Space, relation: Relation) -> Searcher:
    """A searcher that scans: cells were fitted for the relation's own weights."""
    return Searcher(space, relation, scan_plan(relation))


def random_scores(space: Space, relation: Relation) -> tuple[float, ...]:
    """Quantiles (at ``RANDOM_LEVELS``) of the scores of random pairs under these weights."""
    return random_quantiles(len(space.sample), partial(space.pair_scores, relation), RANDOM_LEVELS)
