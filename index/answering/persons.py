"""One person's answers: candidates in the order of how likely this person links them, by weights that were learned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.answering.choosing import Pool
from index.answering.question import Question
from index.engine.calibrate import random_quantiles
from index.engine.generations import RANDOM_LEVELS
from index.engine.rows import LearnedSpace
from index.errors import StaleIndexError
from index.reading import CatalogReader
from index.relations import Relation
from index.types import Vectors

CANDIDATES = 500
"""How many of those that are closest for everybody are looked at for one person."""


class Person:
    """One person's weights in one learned relation.

    P(link | u) = 1 / (1 + exp(Σₖ D(u)ₖ (xᵢA + b − xⱼB)ₖ² − c)); McAuley et al. (SIGIR 2015), section 3.
    """

    def __init__(self, catalog: CatalogReader, relation: Relation, space: LearnedSpace, name: str) -> None:
        """Read the weights.

        Raises:
            InputError: The relation has none.
            UnknownNameError: It has none of this person.
            StaleIndexError: It was learned anew a moment ago.
        """
        self.space = space
        self.name = name
        self.weights = catalog.weights_of_person(relation, name)
        if len(self.weights) != space.head.rank + 1:
            raise StaleIndexError(f"relation {relation.name!r} was learned a moment ago; ask again soon")

    def order(self, question: Question, pool: Pool) -> Pool:
        """The same candidates with this person's link probabilities, likeliest first; equals as they came."""
        scores = self.scores(question.vector[None], pool.vectors)
        order = np.argsort(-scores, kind="stable")
        return pool.reordered(order, scores[order])

    def scores(self, asked: Vectors, answers: Vectors) -> NDArray[np.float32]:
        """Link probabilities of rows asked about, float32 ``(n, width)`` or ``(1, width)``, with ``(n, width)``."""
        head = self.space.head
        apart = (head.asked(asked) - answers[:, : head.rank]).astype(np.float64)
        squared = np.square(apart) @ self.weights[:-1].astype(np.float64)
        shift = head.shift + float(self.weights[-1])
        return np.asarray(np.exp(-np.logaddexp(0.0, squared - shift)), np.float32)

    def random(self) -> tuple[float, ...]:
        """Quantiles (at ``RANDOM_LEVELS``) of the link probabilities of random pairs."""
        rows = self.space.sample
        return random_quantiles(len(rows), lambda left, right: self.scores(rows[left], rows[right]), RANDOM_LEVELS)
