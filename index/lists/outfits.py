"""Outfits: how well several items go together, which of them fits least, and what would fit better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.answering.places import Places, named_keys, places_of
from index.errors import InputError
from index.items import Item
from index.recommender import Recommender
from index.trouble import StorageTrouble
from index.types import Vectors

Measure: TypeAlias = Literal["log-likelihood", "score"]
"""What numbers are: the logarithm of the link probability of a learned relation, at most 0; or the score of a
plain one, -1 to 1, which has no probability. Higher is better."""

MOST = 100
"""Items that may be scored together."""

PROPOSED = 50
"""Best candidates of the catalog that are held against near-duplicates of the outfit's own items."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two items of an outfit, and how well they go together, both directions averaged."""

    left: str
    right: str
    score: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An item that would raise the score most in the place of the weakest, and the score with it."""

    replaces: str
    item_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Outfit:
    """How well items go together.

    Attributes:
        relation: By which they are compared.
        measure: What all scores here are.
        score: Mean over all pairs.
        pairs: In the order in which items were named.
        items: Each item's mean over its own pairs, in the order in which they were named.
        weakest: The item whose mean is lowest; of equals, as two items always are, the one named last.
        suggestion: ``None`` when none was asked for, or when nothing in the catalog goes better.
        shown: All items named here, to show.
    """

    relation: str
    measure: Measure
    score: float
    pairs: tuple[Pair, ...]
    items: tuple[tuple[str, float], ...]
    weakest: str
    suggestion: Suggestion | None
    shown: tuple[Item, ...] = field(default=(), repr=False, compare=False)

    def _repr_html_(self) -> str:
        """Show the items, what each brings, and what would go better, in a notebook."""
        from index.answering.notebook import rows_html

        by_id = {item.item_id: item for item in self.shown}
        rows = [("", [(by_id[name], _told(mean, name == self.weakest)) for name, mean in self.items if name in by_id])]
        better = self.suggestion
        if better is not None and better.item_id in by_id:
            told = f"in the place of {better.replaces}: {better.score:.3f}"
            rows.append(("what would go better", [(by_id[better.item_id], told)]))
        return rows_html(f"{self.relation}: mean {self.measure} {self.score:.3f}", rows)


def score_outfit(
    recommender: Recommender, names: Sequence[str | Path], relation: str = "style", *, suggest: bool = False
) -> Outfit:
    """Score a basket or an outfit: the mean over its pairs of the logarithm of their link probability.

    The probability is that of McAuley, Targett, Shi & van den Hengel, "Image-based recommendations on styles and
    substitutes" (SIGIR 2015), eq. 3–5, who rate outfits by it. A relation that asks different things of both sides
    gives each pair the mean of both directions. A plain relation has no probability: there it is the mean score,
    and ``Outfit.measure`` says so.

    Args:
        recommender: Of an opened catalog.
        names: Item ids, or paths of their files, 2 to ``MOST``.
        relation: By which they are compared; its rule on who may answer is not looked at.
        suggest: Look through all items of the weakest item's category (all without one, if it has none) for the
            one that would raise the score most; near-duplicates of the outfit's items are no suggestion.

    Raises:
        InputError: Too few or too many items, one named twice, or items that the relation cannot compare.
        UnknownNameError: No such item or relation.
        NotBuiltError, StaleIndexError, StorageError: See ``Recommender.ask``.
    """
    with StorageTrouble(recommender.catalog.folder):
        if not 2 <= len(names) <= MOST:
            raise InputError(f"an outfit has 2 to {MOST} items, not {len(names)}; name its items one after another")
        keys = named_keys(recommender, names)
        places = places_of(recommender, relation, keys)
        vectors = places.vectors(keys)
        ids = places.ids(keys)
        together = pair_scores(places, vectors, vectors)
        np.fill_diagonal(together, 0.0)
        left, right = np.triu_indices(len(keys), 1)
        means = together.sum(axis=1) / (len(keys) - 1)
        weakest = len(keys) - 1 - int(np.argmin(means[::-1]))
        suggestion = _suggest(places, keys, together, weakest) if suggest else None
        better = places.catalog.keys_of([suggestion.item_id]) if suggestion else []
        return Outfit(
            relation=relation,
            measure="score" if places.head is None else "log-likelihood",
            score=float(together[left, right].mean()),
            pairs=tuple(
                Pair(ids[one], ids[other], float(together[one, other]))
                for one, other in zip(left.tolist(), right.tolist(), strict=True)
            ),
            items=tuple(zip(ids, means.tolist(), strict=True)),
            weakest=ids[weakest],
            suggestion=suggestion,
            shown=places.items([*keys, *better]),
        )


def _told(mean: float, weakest: bool) -> str:
    return f"{mean:.3f}{', the weakest' if weakest else ''}"


def pair_scores(places: Places, left: Vectors, right: Vectors) -> NDArray[np.float64]:
    """The measure of every pair of rows of a space, both directions averaged. float64, ``(len(left), len(right))``."""
    there = places.apart(left, right)
    if places.head is None:
        return places.scores(there)
    back = places.apart(right, left).T
    return (places.log_likelihoods(there) + places.log_likelihoods(back)) / 2


def _suggest(places: Places, keys: list[int], together: NDArray[np.float64], weakest: int) -> Suggestion | None:
    (category,) = places.catalog.categories_of([keys[weakest]])
    others = [key for at, key in enumerate(keys) if at != weakest]
    vectors = places.vectors(others)
    best: list[tuple[float, int]] = []
    for some, rows in places.of_category(category).blocks():
        sums = pair_scores(places, vectors, rows).sum(axis=0)
        sums[np.isin(some, keys)] = -np.inf
        first = np.argsort(-sums, kind="stable")[:PROPOSED]
        found = [(-total, key) for total, key in zip(sums[first].tolist(), some[first].tolist(), strict=True)]
        best = sorted([*best, *(pair for pair in found if np.isfinite(pair[0]))])[:PROPOSED]
    listed = [*keys, *(key for _, key in best)]
    first_like_it = places.repeats(listed, len(keys))[len(keys) :]
    for (lost, key), repeated in zip(best, first_like_it.tolist(), strict=True):
        if repeated < len(keys):
            continue
        if -lost <= together[weakest].sum():
            return None
        total = np.triu(together, 1).sum() - together[weakest].sum() - lost
        pairs = len(keys) * (len(keys) - 1) / 2
        replaces, better = places.ids([keys[weakest], key])
        return Suggestion(replaces, better, float(total / pairs))
    return None
