"""Completing outfits: the best item for each slot, chosen so that all of them go together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.answering.places import Places, named_keys, places_of
from index.errors import InputError, StaleIndexError, UnknownNameError
from index.items import Item
from index.lists.candidates import Candidates
from index.lists.joint import Choices, choose_jointly
from index.lists.outfits import Measure, pair_scores
from index.reading import CatalogReader
from index.recommender import Recommender
from index.trouble import StorageTrouble

PROPOSED = 200
"""Candidates of each slot: the items of its category that go best with the given ones."""

CHEAPEST = 20
"""Under a price cap so many more are the cheapest of the category, so that a choice is found wherever there is one."""

MOST = 50
"""Items that may be given."""

MOST_SLOTS = 8
"""Slots that may be filled at once."""

MOST_ALTERNATIVES = 20
"""Alternatives that may be asked for."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An item for a slot, and how well it goes with the rest: the mean over its own pairs."""

    slot: str
    item: Item
    score: float


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way of filling all slots.

    Attributes:
        score: Mean over all pairs of the outfit, given items included: what ``score_outfit`` gives it.
        price: Sum over the items chosen; ``None`` when one of them has no price.
        items: In the order of the slots.
    """

    score: float
    price: float | None
    items: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """How an outfit could be completed.

    Attributes:
        relation: By which items are compared.
        measure: What all scores here are.
        given: The items that were there.
        alternatives: Best first.
        notes: What could not be done as asked.
    """

    relation: str
    measure: Measure
    given: tuple[Item, ...]
    alternatives: tuple[Alternative, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, with stable keys; no paths."""
        return {
            "relation": self.relation,
            "measure": self.measure,
            "alternatives": [
                {
                    "score": round(one.score, 6),
                    "price": None if one.price is None else round(one.price, 2),
                    "items": [{"slot": c.slot, "id": c.item.item_id, "score": round(c.score, 6)} for c in one.items],
                }
                for one in self.alternatives
            ],
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        """Show each alternative as a row of pictures in a notebook."""
        from index.answering.notebook import rows_html

        rows = [("given", [(item, "") for item in self.given])]
        for at, one in enumerate(self.alternatives, 1):
            price = "" if one.price is None else f", {one.price:g}"
            rows.append((f"{at}. {one.score:.3f}{price}", [(c.item, f"{c.slot} {c.score:.3f}") for c in one.items]))
        return rows_html(f"{self.relation} ({self.measure})", rows, self.notes)


def complete_outfit(
    recommender: Recommender,
    names: Sequence[str | Path],
    slots: Sequence[str],
    relation: str = "style",
    *,
    alternatives: int = 1,
    diversity: float = 0.0,
    max_price: float | None = None,
    where: str = "",
) -> Completion:
    """Find the items that complete an outfit, one for each slot, jointly.

    The outfit whose sum over all pairs is highest: of the logarithm of link probabilities for a learned relation,
    by which McAuley, Targett, Shi & van den Hengel (SIGIR 2015) rate outfits, of scores for a plain one; see
    ``index.lists.outfits.score_outfit``. Candidates of a slot are the ``PROPOSED`` of its category that go best with
    the given items, whatever the relation's rule; among them see ``index.lists.joint.choose_jointly``.

    Args:
        recommender: Of an opened catalog.
        names: Items that are given, as ids or paths of their files, 1 to ``MOST``.
        slots: Categories to fill, 1 to ``MOST_SLOTS``; one named twice is filled with two items.
        relation: By which items are compared.
        alternatives: How many outfits, 1 to ``MOST_ALTERNATIVES``; each is the best that is different enough from
            all before it.
        diversity: Share of the slots, 0 to 1, in which each two alternatives must differ; always one at least.
        max_price: Highest sum of the attribute ``price`` over the items chosen; items without one are then left out.
        where: A filter on the items chosen (``index.filters``).

    Raises:
        InputError: A number out of range, an item named twice, a filter that is none, a slot that nothing can fill,
            items that the relation cannot compare.
        UnknownNameError: No such item, relation, category or attribute.
        NotBuiltError, StaleIndexError, StorageError: See ``Recommender.ask``.
    """
    _check(names, slots, alternatives, diversity, max_price)
    with StorageTrouble(recommender.catalog.folder):
        catalog = recommender.catalog
        given = named_keys(recommender, names)
        places = places_of(recommender, relation, given)
        notes: list[str] = []
        if max_price is not None:
            notes += _unpriced(catalog, slots, where)
            where = f"({where}) and price<={max_price!r}" if where else f"price<={max_price!r}"
        lists = _proposed(places, given, slots, where, cheap=max_price is not None)
        keys = np.concatenate(lists)
        items = catalog.items([*given, *keys.tolist()])
        if not items.keys() >= {*given, *keys.tolist()}:
            raise StaleIndexError("an item was removed from the catalog while it was asked about; ask again")
        choices = _choices(places, given, lists, items, max_price)
        found: list[NDArray[np.int64]] = []
        most_shared = min(len(slots) - 1, math.floor((1 - diversity) * len(slots) + 1e-9))
        while len(found) < alternatives:
            best = choose_jointly(choices, found, most_shared)
            if best is None:
                break
            found.append(best)
        if not found:
            raise InputError(_unaffordable(choices, slots, max_price))
        if len(found) < alternatives:
            notes.append(f"only {len(found)} of {alternatives} alternatives are different enough and keep to the rules")
        return Completion(
            relation,
            "score" if places.head is None else "log-likelihood",
            tuple(items[key] for key in given),
            tuple(_alternative(places, given, keys[one].tolist(), slots, items) for one in found),
            tuple(notes),
        )


def _check(
    names: Sequence[str | Path], slots: Sequence[str], alternatives: int, diversity: float, max_price: float | None
) -> None:
    if not 1 <= len(names) <= MOST:
        raise InputError(f"an outfit to complete has 1 to {MOST} items, not {len(names)}")
    if not 1 <= len(slots) <= MOST_SLOTS:
        raise InputError(f"1 to {MOST_SLOTS} slots can be filled, not {len(slots)}; a slot is a category")
    if not 1 <= alternatives <= MOST_ALTERNATIVES:
        raise InputError(f"the number of alternatives must lie between 1 and {MOST_ALTERNATIVES}, not {alternatives}")
    if not 0 <= diversity <= 1:
        raise InputError(f"diversity must lie between 0 and 1, not {diversity}")
    if max_price is not None and not 0 <= max_price < math.inf:
        raise InputError(f"the highest price must be a number of at least 0, not {max_price}")


def _price(item: Item) -> float:
    """Its price; not a number when it has none."""
    value = item.attributes.get("price")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _unpriced(catalog: CatalogReader, slots: Sequence[str], where: str) -> list[str]:
    """A note on how many items are left out for want of a price."""
    count = catalog.count_unpriced(slots, where)
    return [f"{count} items without a price in numbers are left out"] if count else []


def _proposed(
    places: Places, given: list[int], slots: Sequence[str], where: str, *, cheap: bool
) -> list[NDArray[np.int64]]:
    """Database keys of the candidates of each slot, those that go best first."""
    known = {*places.space.record.categories, *places.delta.categories.tolist()} - {None}
    for slot in slots:
        if slot not in known:
            raise UnknownNameError.of("category", slot, known)
    candidates = Candidates(places, where)
    vectors = places.vectors(given)
    asked = places.space.combine(vectors, np.ones(len(given), np.float32)) if places.head else vectors.sum(axis=0)
    found = {}
    for slot in dict.fromkeys(slots):
        keys = candidates.around(asked, PROPOSED, given, slot)[0]
        if cheap:
            keys = np.concatenate([keys, _cheapest(places, slot, where, {*given, *keys.tolist()})])
        if not len(keys):
            mend = "loosen the filter or the price" if where else "name other slots"
            raise InputError(f"no item of category {slot!r} {'passes the filter' if where else 'is left'}; {mend}")
        found[slot] = keys
    return [found[slot] for slot in slots]


def _cheapest(places: Places, slot: str, where: str, known: set[int]) -> NDArray[np.int64]:
    listed = places.catalog.cheapest(slot, where, 2 * CHEAPEST + len(known))
    keys = [key for key in listed if key not in known]
    standing = np.flatnonzero(places.vectors(keys).any(axis=1)) if keys else np.zeros(0, np.int64)
    return np.asarray(keys, np.int64)[standing][:CHEAPEST]


def _choices(
    places: Places, given: list[int], lists: list[NDArray[np.int64]], items: dict[int, Item], cap: float | None
) -> Choices:
    keys = np.concatenate(lists)
    unique, at = np.unique(keys, return_inverse=True)
    same = places.same([*given, *unique.tolist()])
    vectors = places.vectors(unique.tolist())
    between = pair_scores(places, vectors, vectors)
    alone = pair_scores(places, places.vectors(given), vectors).sum(axis=0)
    alone[same[: len(given), len(given) :].any(axis=0)] = -np.inf  # what is there already completes nothing
    same = same[len(given) :, len(given) :] | np.eye(len(unique), dtype=bool)
    prices = np.array([_price(items[key]) for key in unique.tolist()])
    return Choices(
        np.concatenate([[0], np.cumsum([len(some) for some in lists])]),
        alone[at],
        between[np.ix_(at, at)],
        same[np.ix_(at, at)],
        prices[at] if cap is not None else np.zeros(len(keys)),
        np.inf if cap is None else cap,
    )


def _alternative(
    places: Places, given: list[int], chosen: list[int], slots: Sequence[str], items: dict[int, Item]
) -> Alternative:
    vectors = places.vectors([*given, *chosen])
    together = pair_scores(places, vectors, vectors)
    np.fill_diagonal(together, 0.0)
    means = together.sum(axis=1) / (len(together) - 1)
    price = sum(_price(items[key]) for key in chosen)
    return Alternative(
        float(means.mean()),
        None if math.isnan(price) else price,
        tuple(
            Choice(slot, items[key], score)
            for slot, key, score in zip(slots, chosen, means[len(given) :].tolist(), strict=True)
        ),
    )


def _unaffordable(choices: Choices, slots: Sequence[str], max_price: float | None) -> str:
    listed = ", ".join(slots)
    least = sum(float(choices.prices[choices.of_slot(s)].min()) for s in range(choices.slots))
    if max_price is not None and least > max_price:
        return f"the cheapest items for {listed} cost {least:g} together, more than {max_price:g}"
    return f"too few different items for {listed}; loosen the filter or name fewer slots"
