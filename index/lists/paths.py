"""Paths: from one item to another in small steps, each close to the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path as File

import numpy as np
from numpy.typing import NDArray

from index.answering.places import Places, named_keys, places_of
from index.errors import InputError
from index.items import Item
from index.lists.candidates import Candidates
from index.recommender import Recommender
from index.trouble import StorageTrouble

QUESTIONS = 16
"""Places between both ends around which items are looked for."""

ANSWERS = 200
"""Items looked for around each of them. Measured on 6,000 made items, the lowest score of a step, on average of 15
paths: 0.63 with 60, 0.66 with 200, 0.67 with 400, at three times the time; 0.68 is the best of all ways there are."""

POOL = 1000
"""Items among which the path is chosen: everything between two of them is then known exactly."""

MOST = 100
"""Items that may be asked for between both ends."""


@dataclass(frozen=True, slots=True)
class Step:
    """An item on the way, and its score with the one before it: ``None`` for the first."""

    item_id: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Path:
    """A way from one item to another.

    Attributes:
        relation: In whose space.
        steps: Both ends and the items between.
        lowest: Score of the largest step, the lowest of all.
        direct: Score of the step from one end to the other at once.
        items: Those of the steps, to show.
    """

    relation: str
    steps: tuple[Step, ...]
    lowest: float
    direct: float
    items: tuple[Item, ...] = field(default=(), repr=False, compare=False)

    def _repr_html_(self) -> str:
        """Show the way as a row of pictures in a notebook."""
        from index.answering.notebook import rows_html

        score_of = {step.item_id: "" if step.score is None else f"{step.score:.3f}" for step in self.steps}
        told = f"{self.relation}: every step at least {self.lowest:.3f}, at once {self.direct:.3f}"
        return rows_html(told, [("", [(item, score_of[item.item_id]) for item in self.items])])


def find_path(
    recommender: Recommender, start: str | File, goal: str | File, relation: str = "similar", between: int | None = None
) -> Path:
    """Find items that lead from one item to another so that the largest step is as small as possible.

    Candidates are the answers around both ends and around places between them (their weighted combinations), a
    bounded number of questions however large the catalog; near-duplicates of the ends and of each other are left
    out. Among candidates it is the minimax path, Pollack, "The maximum capacity through a network" (Oper. Res.
    1960), found as Dijkstra (1959) with the largest step in the place of the sum; of all such paths the one with
    the fewest steps, then with the least sum of squared steps.

    With ``between``, candidates are put in order along the line from one end to the other and every step goes
    forward, so no item comes twice. Of the ways with exactly so many items that have the smallest largest step,
    the one that is most evenly spaced along that line is taken (the least sum of squared advances); both by
    dynamic programming over the number of items (Bellman, 1957).

    Args:
        recommender: Of an opened catalog.
        start: Item id, or the path of a file of an item.
        goal: Another.
        relation: In whose space; its rule on who may answer is not looked at.
        between: Items between both ends, 0 to ``MOST``; ``None`` for as many as it takes.

    Returns:
        The path; the same catalog gives the same.

    Raises:
        InputError: Both ends are one item, the relation cannot compare them, ``between`` is out of range, or the
            catalog has fewer items that are no near-duplicates.
        UnknownNameError: No such item or relation.
        NotBuiltError, StaleIndexError, StorageError: See ``Recommender.ask``.
    """
    if between is not None and not 0 <= between <= MOST:
        raise InputError(f"the number of items between both ends must lie between 0 and {MOST}, not {between}")
    with StorageTrouble(recommender.catalog.folder):
        ends = named_keys(recommender, [start, goal])
        places = places_of(recommender, relation, ends)
        pool = _pool(places, ends, max(ANSWERS, 2 * (between or 0)))
        vectors = places.vectors(pool)
        if between is not None and len(pool) - 2 < between:
            raise InputError(
                f"{len(pool) - 2} different items were found between both ends, {between} were asked for; "
                f"ask for at most {len(pool) - 2}"
            )
        apart = places.apart(vectors, vectors)
        np.fill_diagonal(apart, np.inf)
        if between is None:
            allowed = np.where(apart <= _smallest_largest(apart), apart, np.inf)
            found = _least(allowed, None, np.add)
        else:
            order, progress = _along(places.points(vectors))
            forward = np.where(np.tri(len(order), dtype=bool), np.inf, apart[np.ix_(order, order)])
            largest = _least(forward, between + 1, np.maximum)
            allowed = forward <= forward[largest[:-1], largest[1:]].max()
            uneven = np.where(allowed, np.subtract.outer(progress, progress) ** 2, np.inf)
            found = order[_least(uneven, between + 1, np.add)]
        scores = places.scores(apart[found[:-1], found[1:]]).tolist()
        ids = places.ids([pool[at] for at in found.tolist()])
        return Path(
            relation=relation,
            steps=tuple(Step(item_id, score) for item_id, score in zip(ids, [None, *scores], strict=True)),
            lowest=min(scores),
            direct=float(places.scores(apart[:1, 1:2])[0, 0]),
            items=places.items([pool[at] for at in found.tolist()]),
        )


def scores_from(
    recommender: Recommender, start: str | File, names: Sequence[str | File], relation: str = "similar"
) -> list[float]:
    """Scores of items with one of them, in order: of the items of a path, with its beginning.

    Args:
        recommender: Of an opened catalog.
        start: Item id, or the path of a file of an item.
        names: Others, which may hold ``start``.
        relation: In whose space.

    Raises:
        As ``find_path``.
    """
    with StorageTrouble(recommender.catalog.folder):
        keys = named_keys(recommender, names)
        (first,) = named_keys(recommender, [start])
        places = places_of(recommender, relation, [first, *keys])
        apart = places.apart(places.vectors([first]), places.vectors(keys))
        found: list[float] = places.scores(apart)[0].tolist()
        return found


def _pool(places: Places, ends: list[int], count: int) -> list[int]:
    """Database keys of both ends, then of items around them and between, no two of them near-duplicates."""
    listed = [*ends, *Candidates(places).between(ends, QUESTIONS, count, POOL - len(ends))]
    first = places.repeats(listed, len(ends))
    return [key for at, key in enumerate(listed) if first[at] == at]


def _smallest_largest(apart: NDArray[np.float64]) -> float:
    """The largest step, as small as it can be, of any way from item 0 to item 1. ``apart``: ``(n, n)``."""
    reached = apart[0].copy()
    open_ones = np.ones(len(apart), bool)
    open_ones[0] = False
    while True:
        nearest = int(np.argmin(np.where(open_ones, reached, np.inf)))
        if nearest == 1:
            return float(reached[1])
        open_ones[nearest] = False
        reached = np.minimum(reached, np.maximum(reached[nearest], apart[nearest]))


def _along(points: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Items in order along the line from item 0, which comes first, to item 1, which comes last.

    Returns:
        Items, int64 ``(n,)``, and how far along the line each of them lies, from one end to the other, float64.
    """
    progress = points.astype(np.float64) @ (points[1] - points[0])
    progress = np.clip(progress, progress[0], progress[1])
    inside = 2 + np.argsort(progress[2:], kind="stable")
    order = np.concatenate([[0], inside, [1]])
    return order, progress[order]


def _least(apart: NDArray[np.float64], steps: int | None, combine: np.ufunc) -> NDArray[np.int64]:
    """The way from one item to another whose combined steps are least.

    Args:
        apart: Length of each step, infinite where there is none: float64, ``(n, n)``. With ``steps`` from the
            first item to the last, and no way comes by an item twice; else from item 0 to item 1.
        steps: Exactly so many; ``None`` for as few as possible.
        combine: ``np.add`` or ``np.maximum``.

    Returns:
        Items on the way with both ends: int64.
    """
    goal = 1 if steps is None else len(apart) - 1
    lengths = apart[0]
    before: list[NDArray[np.int64]] = []
    while len(before) + 1 < steps if steps is not None else not np.isfinite(lengths[goal]):
        combined = combine(lengths[:, None], apart)
        before.append(np.argmin(combined, axis=0))
        lengths = combined[before[-1], np.arange(len(apart))]
    way = [goal]
    for chosen in reversed(before):
        way.append(int(chosen[way[-1]]))
    return np.asarray([0, *way[::-1]])
