"""Personal distances: how much each person cares about each dimension of a learned style space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.errors import InputError
from index.learning.checks import checked_pairs, checked_rows
from index.learning.likelihood import Floats, LinkBatch, accuracy_of, link_loss
from index.learning.lowrank import LinkMap, link_probability
from index.learning.rounds import Objective, Parameters, minimise_in_rounds
from index.learning.training_links import draw_batch, prepare_links, rows_of
from index.types import Vectors

PULL = 1e-3
"""Weight, beside the mean loss, of the mean squared departure of a person's weights from 1: what a person
with few pairs is held to is everybody's distance."""


@dataclass(frozen=True, slots=True)
class PersonalMap:
    """A style space with weights of its dimensions for each person.

    Attributes:
        matrix: Y, float32, shape ``(d, K)``; refitted, for a diagonal means little under another rotation.
        shift: c.
        weights: D(u), float32, shape ``(users, K)``, none negative; 1 is everybody's.
        accuracy: Share of held-out links and negatives on the right side of P = .5.
    """

    matrix: NDArray[np.float32]
    shift: float
    weights: NDArray[np.float32]
    accuracy: float

    def rank_for(self, user: int, query: Vectors, candidates: Vectors) -> NDArray[np.int64]:
        """Order candidates for one person, likeliest first; equals in the order given.

        Args:
            user: Number of the person, 0 to ``users − 1``.
            query: Raw row, float32, shape ``(d,)``.
            candidates: Raw rows, float32, shape ``(n, d)``.

        Raises:
            InputError: There is no such person.
        """
        return np.argsort(-self.probability(user, query, candidates), kind="stable")

    def probability(self, user: int, query: Vectors, candidates: Vectors) -> NDArray[np.float64]:
        """P(link | user) between one raw row ``(d,)`` and others ``(n, d)``: float64, shape ``(n,)``.

        Raises:
            InputError: There is no such person.
        """
        if not 0 <= user < len(self.weights):
            raise InputError(f"expected a user from 0 to {len(self.weights) - 1}, found {user}; is it another file?")
        difference = (np.asarray(candidates, np.float32) - query) @ self.matrix
        return link_probability(np.square(difference) @ self.weights[user], self.shift)


def fit_personal(
    common: LinkMap,
    rows: ArrayLike,
    pairs: ArrayLike,
    users: ArrayLike,
    *,
    user_count: int,
    categories: ArrayLike | None = None,
    same_category: float = 0.0,
    seed: int = 0,
) -> PersonalMap:
    """Fit one diagonal for each person, and the style space with them, from a common map.

    McAuley et al. (SIGIR 2015, section 3, "personalizing styles to individual users"): ‖·‖² becomes
    (xᵢ−xⱼ) Y D(u) Yᵀ (xᵢ−xⱼ)ᵀ with D(u) diagonal. Here D(u) ≥ 0 and is held towards 1.
    A tenth of the pairs is held out, and fitting stops when they stop gaining.

    Args:
        common: Where to begin, from `index.learning.lowrank.fit_low_rank`.
        rows: Shape ``(n, d)``.
        pairs: Items that one person took together, shape ``(m, 2)``.
        users: Who, whole numbers from 0 to ``user_count − 1``, shape ``(m,)``.
        user_count: How many people there are; those without pairs keep weights of 1.
        categories, same_category, seed: As for `index.learning.lowrank.fit_low_rank`.

    Raises:
        InputError: As there; also users that do not fit the pairs.
    """
    checked = checked_pairs(pairs, len(checked_rows(rows)))
    people = np.asarray(users)
    if people.shape != (len(checked),) or people.dtype.kind not in "iu":
        raise InputError(
            f"expected {len(checked)} user numbers, one for each pair, found {people.dtype} {people.shape}"
        )
    if people.min() < 0 or people.max() >= user_count:
        raise InputError(f"expected users from 0 to {user_count - 1}, found {people.min()} to {people.max()}")
    return _fit(common, rows, checked, people.astype(np.int64), user_count, categories, same_category, seed)


def personal_loss(
    parameters: Parameters, rows: Floats, batch: LinkBatch, people: NDArray[np.int64], shape: tuple[int, int]
) -> tuple[float, Parameters]:
    """Regularised loss of one batch and its gradient.

    Args:
        parameters: D person by person, then Y row by row, then c: float64.
        rows: Of the batch's items, scaled, shape ``(n, d)``; its dtype is what is computed in.
        batch: Links and negatives.
        people: Whose each pair is, shape ``(m,)``.
        shape: How many people, and K.
    """
    from scipy.sparse import csr_matrix

    users, rank = shape
    cares, matrix = parameters[: users * rank].reshape(shape), parameters[users * rank : -1].reshape(-1, rank)
    points = rows @ matrix.astype(rows.dtype)
    difference = points[batch.sources] - points[batch.targets]
    squares = np.square(difference)
    mine = cares.astype(rows.dtype)[people]
    loss, slope = link_loss(np.einsum("ij,ij->i", squares, mine), float(parameters[-1]), batch)
    pairs = np.arange(len(slope))
    of_people = csr_matrix((slope, (people, pairs)), shape=(users, len(slope)))
    ends = (np.concatenate([batch.sources, batch.targets]), np.concatenate([pairs, pairs]))
    of_items = csr_matrix((np.concatenate([slope, -slope]), ends), shape=(len(rows), len(slope)))
    gradient = np.empty_like(parameters)
    gradient[: users * rank] = (of_people @ squares + 2 * PULL / users / rank * (cares - 1)).ravel()
    gradient[users * rank : -1] = (2 * rows.T @ (of_items @ (mine * difference))).ravel()
    gradient[-1] = -slope.sum(dtype=np.float64)
    return loss + PULL * float(np.square(cares - 1).mean()), gradient


def _fit(
    common: LinkMap,
    rows: ArrayLike,
    pairs: NDArray[np.int64],
    people: NDArray[np.int64],
    user_count: int,
    categories: ArrayLike | None,
    same_category: float,
    seed: int,
) -> PersonalMap:
    rng = np.random.default_rng(seed)
    links = prepare_links(
        rows, pairs, weights=None, validation=None, categories=categories, same_category=same_category, rng=rng
    )
    rank = common.matrix.shape[1]
    begins = (user_count * rank, user_count * rank + common.matrix.size)
    held = rows_of(links, links.validation) * np.float32(links.scale)
    held_people = people[links.validation.origins]

    def next_objective() -> Objective:
        batch = draw_batch(links, rng)
        scaled = rows_of(links, batch) * np.float32(links.scale)
        whose = people[batch.origins]
        return lambda parameters: personal_loss(parameters, scaled, batch, whose, (user_count, rank))

    def distances(parameters: Parameters) -> Floats:
        points = held @ parameters[begins[0] : begins[1]].reshape(-1, rank).astype(np.float32)
        difference = points[links.validation.sources] - points[links.validation.targets]
        cares = parameters[: begins[0]].reshape(-1, rank)[held_people].astype(np.float32)
        return np.asarray(np.einsum("ij,ij,ij->i", difference, difference, cares))

    def judge(parameters: Parameters) -> float:
        return link_loss(distances(parameters), float(parameters[-1]), links.validation)[0]

    start = np.concatenate([np.ones(begins[0]), common.matrix.ravel() / links.scale, [common.shift]])
    bounds: list[tuple[float | None, float | None]] = [(0.0, None)] * begins[0]
    bounds += [(None, None)] * (len(start) - begins[0])
    point, _, _ = minimise_in_rounds(start, next_objective, judge, bounds=bounds)
    matrix = (point[begins[0] : begins[1]].reshape(-1, rank) * links.scale).astype(np.float32)
    weights = point[: begins[0]].reshape(-1, rank).astype(np.float32)
    accuracy = accuracy_of(distances(point), float(point[-1]), links.validation)
    return PersonalMap(matrix, float(point[-1]), weights, accuracy)
