"""People: personal weights fitted to a catalog's edges, and kept only if held-out links are told better by them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.dataset import Dataset
from index.learning.diagonal import fit_diagonal
from index.learning.fitting import Maps
from index.learning.intervals import Interval, bootstrap
from index.learning.lowrank import LinkMap
from index.learning.metrics import wins
from index.learning.negatives import random_negatives, same_category_negatives
from index.learning.personal import fit_personal
from index.learning.splits import Pairs, warm_split

FEWEST = 10
"""Links of one person from which weights are fitted; who has fewer is asked for as everybody is."""

LOSS = 0.02
"""Share of held-out links by which asking for nobody must not clearly become worse for the sake of people's own."""

SAME_CATEGORY = 0.5


@dataclass(frozen=True, slots=True)
class People:
    """Weights of people, and the map that they belong to.

    Attributes:
        matrix: Y, float32, shape ``(d, K)``, each dimension as long as serves nobody in particular best.
        shift: c, of nobody in particular.
        names: Of people.
        weights: D(u), none negative, then what is added to c: float32, shape ``(people, K + 1)``.
    """

    matrix: NDArray[np.float32]
    shift: float
    names: tuple[str, ...]
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PeopleReport:
    """How personal weights were judged: on links of a warm split that were held out, each beside a non-link.

    Attributes:
        kept: Whether they were saved.
        people: How many have weights.
        common: Share of links told from their non-links by the relation as fitted for everybody.
        personal: The same by each person's own weights.
        everybody: The same by the personal map with weights of 1.
        gain, loss: Of ``personal`` and of ``everybody`` over ``common``, on the same links, with paired intervals.
    """

    kept: bool
    people: int
    common: Interval
    personal: Interval
    everybody: Interval
    gain: Interval
    loss: Interval

    @property
    def sentence(self) -> str:
        """In one line."""
        done = f"weights of {self.people:,} people saved" if self.kept else "weights of people not saved"
        return (
            f"{done}: with them {self.personal.value:.3f} of held-out links score above others, without "
            f"{self.common.value:.3f}; difference {self.gain}; for nobody in particular {self.loss}"
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "kept": self.kept,
            "people": self.people,
            "common": self.common.to_json(),
            "personal": self.personal.to_json(),
            "everybody": self.everybody.to_json(),
            "gain": self.gain.to_json(),
            "loss": self.loss.to_json(),
        }


def check_people(data: Dataset) -> None:
    """Refuse edges that tell nothing of people.

    Raises:
        InputError: Nobody has ``FEWEST`` edges.
    """
    counts = np.bincount(data.edges.users[data.edges.users >= 0])
    if counts.max(initial=0) < FEWEST:
        raise InputError(
            f"personal weights take edges with a column 'user' in which somebody has {FEWEST} or more, found "
            f"{counts.max(initial=0)} at most; learn without --personal"
        )


def judge_people(data: Dataset, fit: Callable[[Pairs, Pairs], Maps], seed: int) -> PeopleReport:
    """Fit personal weights to the training edges of a warm split, and hold them to the common map on the others.

    Negatives are of the right answer's own category where there are categories, else drawn at random.

    Args:
        fit: The common map from training and validation edges.
        seed: Of split, negatives, fits and intervals.
    """
    split = warm_split(data.rows, data.edges.pairs, seed=seed, groups=data.groups, categories=data.categories)
    maps = fit(split.train, split.validation)
    learnt = np.concatenate([split.train, split.validation])
    found = fit_people(data, maps, learnt, seed)
    pairs, users = _of_people(data, split.test)
    known = np.array([data.edges.user_names[user] in set(found.names) for user in range(len(data.edges.user_names))])
    pairs, users = pairs[known[users]], users[known[users]]
    everything, items = data.edges.pairs, np.unique(data.edges.pairs)
    if (data.categories >= 0).any():
        places, negative = same_category_negatives(pairs, everything, items, data.categories, seed=seed)
    else:
        places, negative = random_negatives(pairs, everything, items, seed=seed)
    positive, users = pairs[places], users[places]
    place_of = {name: place for place, name in enumerate(found.names)}
    own = found.weights[[place_of[data.edges.user_names[user]] for user in users], :-1]

    def won(matrix: NDArray[np.float32], weights: NDArray[np.float32] | float) -> NDArray[np.float64]:
        points = data.rows @ matrix
        near, far = (
            -(np.square(points[some[:, 0]] - points[some[:, 1]]) * weights).sum(axis=1) for some in (positive, negative)
        )
        return wins(near, far)

    common, personal, everybody = won(maps.source, 1.0), won(found.matrix, own), won(found.matrix, 1.0)

    def told(values: NDArray[np.float64]) -> Interval:
        return bootstrap(values, seed=seed, clusters=users)

    gain, loss = told(personal - common), told(everybody - common)
    return PeopleReport(
        kept=gain.low > 0 and loss.high > -LOSS,
        people=len(found.names),
        common=told(common),
        personal=told(personal),
        everybody=told(everybody),
        gain=gain,
        loss=loss,
    )


def fit_people(data: Dataset, maps: Maps, pairs: Pairs, seed: int) -> People:
    """Fit personal weights, and the map anew with them, to some of the edges.

    People with few links, and edges of nobody, are fitted as one person whose weights are not kept.

    The map that people's weights go with is no good with weights of 1: a diagonal fitted to all edges makes its
    dimensions as long as they must be for somebody who has no weights, and divides everybody's.

    Args:
        maps: The common map, symmetric.
        pairs: Edges to learn from, as they stand in ``data``.
    """
    own, users = _of_people(data, pairs)
    counts = np.bincount(users, minlength=len(data.edges.user_names))
    kept = np.flatnonzero(counts >= FEWEST)
    number = np.full(len(counts), len(kept))
    number[kept] = np.arange(len(kept))
    nobody = pairs[~np.isin(_keys(data, pairs), _keys(data, own))]
    known = bool((data.categories >= 0).any())
    everything = np.concatenate([own, nobody])
    categories, same_category = (data.categories, SAME_CATEGORY) if known else (None, 0.0)
    fitted = fit_personal(
        LinkMap("low rank", maps.source, maps.shift, ()),
        data.rows,
        everything,
        np.concatenate([number[users], np.full(len(nobody), len(kept))]).astype(np.int64),
        user_count=len(kept) + 1,
        categories=categories,
        same_category=same_category,
        seed=seed,
    )
    points = data.rows @ fitted.matrix
    common = fit_diagonal(points, everything, categories=categories, same_category=same_category, seed=seed)
    lengths = np.square(common.matrix.diagonal())
    lengths = np.maximum(lengths, 1e-3 * lengths.max())
    weights = np.column_stack(
        [fitted.weights[: len(kept)] / lengths, np.full(len(kept), fitted.shift - common.shift)]
    ).astype(np.float32)
    names = tuple(data.edges.user_names[user] for user in kept.tolist())
    return People((fitted.matrix * np.sqrt(lengths)).astype(np.float32), common.shift, names, weights)


def _of_people(data: Dataset, pairs: Pairs) -> tuple[Pairs, NDArray[np.int64]]:
    """The edges among some pairs that name a person, one for each person, and who."""
    chosen = (data.edges.users >= 0) & np.isin(_keys(data, data.edges.pairs), _keys(data, pairs))
    return data.edges.pairs[chosen], data.edges.users[chosen]


def _keys(data: Dataset, pairs: Pairs) -> NDArray[np.int64]:
    return pairs[:, 0] * len(data.keys) + pairs[:, 1]
