"""Choosing: which of a question's candidates become hits, and which near-duplicates stand behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from index.answering.diversity import diversify
from index.answering.duplicates import find_repeats
from index.answering.question import Question, units_of_items, vectors_of
from index.answers import Query
from index.engine.delta import Delta
from index.reading import CatalogReader
from index.relations import Relation, Rerank
from index.types import Vectors


class Pool:
    """Candidates of one question, best first.

    Attributes:
        keys: Database keys: int64, shape ``(n,)``.
        scores: float32, shape ``(n,)``.
        method: By which they were found.
    """

    def __init__(
        self, keys: NDArray[np.int64], scores: NDArray[np.float32], read: Callable[[], Vectors], method: str
    ) -> None:
        """Vectors are read once somebody looks at them."""
        self.keys = keys
        self.scores = scores
        self.method = method
        self._read = read

    @cached_property
    def vectors(self) -> Vectors:
        """Projected: float32, shape ``(n, dim)``."""
        return self._read()

    def reordered(self, order: NDArray[np.int64], scores: NDArray[np.float32]) -> Pool:
        """The same candidates, or some of them, in another order, with the scores that they have there."""
        return Pool(self.keys[order], scores, lambda: self.vectors[order], self.method)


@dataclass(frozen=True, slots=True)
class Choice:
    """What was found for one question.

    Attributes:
        relation: What was asked, as it was defined then, weighed as the question says.
        question: The question.
        pool: All candidates.
        chosen: Places in the pool that become hits, best first.
        hidden: For a place, those of the near-duplicates that it stands for.
        rerank: How the pool was put in another order.
        person: Whose order it is, if somebody's.
    """

    relation: Relation
    question: Question
    pool: Pool
    chosen: list[int]
    hidden: dict[int, list[int]]
    rerank: Rerank
    person: str | None


def choose(
    catalog: CatalogReader,
    deltas: Mapping[str, Delta],
    question: Question,
    relation: Relation,
    pool: Pool,
    query: Query,
    count: int,
) -> tuple[list[int], dict[int, list[int]]]:
    """Places among the pool's first that become hits, and the near-duplicates that each one stands for."""
    places = list(range(min(count, len(pool.keys))))
    hidden: dict[int, list[int]] = {}
    space = question.space
    if not query.duplicates:
        named, own = len(question.named), len(question.own)

        def units_of(wanted: NDArray[np.int64]) -> NDArray[np.float16]:
            keys = [question.own[at] for at in wanted[wanted < own]]
            keys += pool.keys[wanted[wanted >= named] - named].tolist()
            units = units_of_items(catalog, question.facets, deltas[question.facets.name], keys)
            if not len(question.described):
                return units
            files = question.described[wanted[(own <= wanted) & (wanted < named)] - own]
            before = int(np.sum(wanted < own))
            return np.vstack([units[:before], question.facets.projection.units(files), units[before:]])

        together = np.vstack([question.named, _facets_of(deltas, question, pool, places)])
        first = find_repeats(question.facets.projection, together, named, units_of)[named:] - named
        places = [place for place in places if first[place] == place]
        for place, leader in enumerate(first.tolist()):
            if 0 <= leader != place:
                hidden.setdefault(leader, []).append(place)
    if query.diversity:

        def closeness(place: int) -> NDArray[np.float32]:
            one = pool.vectors[place]
            return space.scores(one, pool.vectors @ space.question(relation, one))

        ordered = -np.sort(-pool.scores)  # what a place is worth, also where others were put there
        places = diversify(places, ordered, closeness, query.k, query.diversity)
    return places[: query.k], hidden


def _facets_of(deltas: Mapping[str, Delta], question: Question, pool: Pool, places: list[int]) -> Vectors:
    """Candidates as rows of their modality, facets side by side: float32, ``(len(places), d)``."""
    if question.space is question.facets:
        return pool.vectors[places]
    delta = deltas[question.facets.name]
    return vectors_of(question.facets, delta, pool.keys[places].tolist())[0]
