"""Listing a catalog page by page: filtered, searched by text and sorted, from memory until the catalog changes."""

from __future__ import annotations

import json
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError, UnknownNameError
from index.reading import CatalogReader
from index.types import Attribute, Modality

KEPT = 64
"""Listings, and orders of all items, that are remembered: of 100,000 items one takes up to 400 kB."""

MAX_TEXT = 500
"""Characters of a text searched for."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Which items are listed, and in which order.

    Attributes:
        where: A filter (``index.filters``); empty for none.
        text: Words that must all stand in an item's id or its attributes' values, in any case; empty for none.
        modality: Only items with media of this kind; ``None`` for all.
        category: Only items of this category; ``None`` for all.
        sort: ``id``, ``title`` or an attribute's name; with ``-`` before it, from the end. Items without the
            attribute come last.
    """

    where: str = ""
    text: str = ""
    modality: Modality | None = None
    category: str | None = None
    sort: str = "id"


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing: how many items it has as a whole, and database keys of those on this page."""

    total: int
    keys: list[int]


@dataclass(frozen=True, slots=True)
class Contents:
    """What there is to choose from.

    Attributes:
        items: Number of items.
        modalities: Number of items with media of each kind.
        categories: Category and number of its items, in alphabetical order.
        attributes: Names of attributes that any item has, in alphabetical order.
    """

    items: int
    modalities: dict[str, int]
    categories: list[tuple[str, int]]
    attributes: list[str]


class Listings:
    """What was found out about one catalog's items, kept until the catalog changes; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: tuple[object, int] | None = None
        self._directory = _Directory()
        self._found: OrderedDict[object, NDArray[np.int32]] = OrderedDict()
        self._values: dict[str, tuple[list[str], NDArray[np.int64]]] = {}
        self._contents: Contents | None = None

    def page(self, catalog: CatalogReader, listed: Listed, offset: int, limit: int) -> Page:
        """Read one page.

        Args:
            offset: Items passed over, from 0; beyond the end the page is empty.
            limit: Most items on the page.

        Raises:
            InputError: The filter is none, the text is too long, or an attribute cannot have such a name.
            UnknownNameError: The filter or the order names an attribute that no item has.
        """
        with self._lock:
            self._follow(catalog)
            places = self._keep(listed, lambda: self._list(catalog, listed))
            some = places[offset : offset + limit] if offset < len(places) else places[:0]
            return Page(len(places), self._directory.keys[some].tolist())

    def contents(self, catalog: CatalogReader) -> Contents:
        """Tell what there is to choose from."""
        with self._lock:
            self._follow(catalog)
            if self._contents is None:
                self._contents = _contents(catalog, self._directory)
            return self._contents

    def counts(self, catalog: CatalogReader, listed: Listed, attribute: str, limit: int) -> list[tuple[str, int]]:
        """Count the listed items by an attribute's value, the most numerous first, then in alphabetical order.

        Args:
            limit: Most values told. Items without the attribute are not counted.

        Raises:
            InputError, UnknownNameError: See ``page``.
        """
        with self._lock:
            self._follow(catalog)
            if attribute not in self._values:
                self._values[attribute] = _values(catalog, self._directory, attribute)
            names, codes = self._values[attribute]
            listing = self._keep(listed, lambda: self._list(catalog, listed))
            counted = np.bincount(codes[listing] + 1, minlength=len(names) + 1)[1:]
            order = np.lexsort((np.arange(len(names)), -counted))[:limit]
            return [(names[at], int(counted[at])) for at in order.tolist() if counted[at]]

    def _follow(self, catalog: CatalogReader) -> None:
        now = (catalog.identity, catalog.sequence)
        if now == self._told:
            return
        if self._told is None or now[0] != self._told[0]:
            self._directory = _Directory()
        self._directory.follow(catalog)
        self._found.clear()
        self._values.clear()
        self._contents = None
        self._told = now

    def _keep(self, key: object, find: Callable[[], NDArray[np.int32]]) -> NDArray[np.int32]:
        if key not in self._found:
            self._found[key] = find()
            while len(self._found) > KEPT:
                self._found.popitem(last=False)
        self._found.move_to_end(key)
        return self._found[key]

    def _mask(self, key: object, find: Callable[[], NDArray[np.int64]]) -> NDArray[np.bool_]:
        """A mask of items, from places that are remembered: who types a search keeps the filter."""
        mask = np.zeros(len(self._directory.keys), bool)
        mask[self._keep(key, lambda: self._directory.places_of(find()))] = True
        return mask

    def _list(self, catalog: CatalogReader, listed: Listed) -> NDArray[np.int32]:
        directory = self._directory
        order = self._keep(("order", listed.sort), lambda: directory.places_of(_sorted_keys(catalog, listed.sort)))
        kept = np.ones(len(directory.keys), bool)
        if listed.category is not None:
            kept &= directory.mask_of(catalog.keys_in(listed.category))
        if listed.modality is not None:
            modality = listed.modality
            kept &= self._mask(("modality", modality), lambda: catalog.keys_with(modality))
        if listed.where.strip():
            kept &= self._mask(("where", listed.where), lambda: catalog.matching(listed.where))
        if listed.text.strip():
            kept &= directory.holding(listed.text)
        return order if kept.all() else order[kept[order]]


class _Directory:
    """Every item's key and searchable text; a change reads what changed.

    Attributes:
        keys: int64, ascending.
        texts: For each, its id and its attributes' values, in folded case, one a line.
        names: For each, the names of its attributes.
    """

    def __init__(self) -> None:
        self.sequence = -1
        self.keys: NDArray[np.int64] = np.zeros(0, np.int64)
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.names: list[tuple[str, ...]] = []

    def follow(self, catalog: CatalogReader) -> None:
        """Read what changed since the last time."""
        sequence = catalog.sequence
        rows = catalog.entries()
        keys = np.fromiter((key for key, _ in rows), np.int64, len(rows))
        places = np.searchsorted(self.keys, keys)
        old = self.keys[np.minimum(places, len(self.keys) - 1)] == keys if len(self.keys) else np.zeros(len(keys), bool)
        ids = [item_id for _, item_id in rows]
        texts = [""] * len(rows)
        names: list[tuple[str, ...]] = [()] * len(rows)
        for at, place, known in zip(range(len(rows)), places.tolist(), old.tolist(), strict=True):
            if known and self.ids[place] == ids[at]:
                texts[at], names[at] = self.texts[place], self.names[place]
        place_of = {key: at for at, (key, _) in enumerate(rows)}
        renamed = [key for (key, _), text in zip(rows, texts, strict=True) if not text]
        unread = set(renamed)
        for key, attributes in catalog.attributes_since(self.sequence):
            unread.discard(key)
            _fill(place_of.get(key), ids, texts, names, json.loads(attributes))
        known_of = catalog.attributes_of(list(unread))
        for key in unread:
            _fill(place_of[key], ids, texts, names, known_of.get(key, {}))
        self.sequence, self.keys, self.ids, self.texts, self.names = sequence, keys, ids, texts, names

    def places_of(self, keys: NDArray[np.int64]) -> NDArray[np.int32]:
        """Places of keys, in their order; keys that came since are left out. int32."""
        if not len(self.keys):
            return np.zeros(0, np.int32)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found: NDArray[np.int32] = places[self.keys[places] == keys].astype(np.int32)
        return found

    def mask_of(self, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which places hold one of these keys. bool, shape ``(items,)``."""
        mask = np.zeros(len(self.keys), bool)
        mask[self.places_of(keys)] = True
        return mask

    def holding(self, text: str) -> NDArray[np.bool_]:
        """Which places hold every word of a text. bool, shape ``(items,)``.

        Raises:
            InputError: The text is too long.
        """
        if len(text) > MAX_TEXT:
            raise InputError(f"a text searched for has at most {MAX_TEXT} characters, this one has {len(text)}")
        words = sorted(set(text.casefold().split()), key=len, reverse=True)
        places = range(len(self.texts))
        found = [place for place in places if words[0] in self.texts[place]]
        for word in words[1:]:
            found = [place for place in found if word in self.texts[place]]
        mask = np.zeros(len(self.keys), bool)
        mask[found] = True
        return mask


def _fill(
    place: int | None, ids: list[str], texts: list[str], names: list[tuple[str, ...]], known: dict[str, Attribute]
) -> None:
    if place is None:  # came since
        return
    values = (str(value) for value in known.values() if value is not None)
    texts[place] = "\n".join((ids[place], *values)).casefold() or "\n"
    names[place] = tuple(map(sys.intern, known))


def _contents(catalog: CatalogReader, directory: _Directory) -> Contents:
    return Contents(
        items=len(directory.keys),
        modalities=catalog.modality_counts(),
        categories=catalog.category_counts(),
        attributes=sorted(set().union(*set(directory.names))),
    )


def _values(catalog: CatalogReader, directory: _Directory, name: str) -> tuple[list[str], NDArray[np.int64]]:
    """Values of an attribute as texts, in order, and for each place which it has, -1 for none."""
    keys = directory.keys.tolist()
    if name == "category":
        told: dict[int, str] = catalog.category_by_key(keys)
    else:
        if name not in catalog.attribute_names():
            raise UnknownNameError.of("attribute", name, catalog.attribute_names())
        known = ((key, attributes.get(name)) for key, attributes in catalog.attributes_of(keys).items())
        told = {key: str(value) for key, value in known if value not in (None, "")}
    names = sorted(set(told.values()))
    place_of = {value: at for at, value in enumerate(names)}
    codes = (place_of[told[key]] if key in told else -1 for key in keys)
    return names, np.fromiter(codes, np.int64, len(keys))


def _sorted_keys(catalog: CatalogReader, sort: str) -> NDArray[np.int64]:
    name = sort.removeprefix("-")
    down = sort.startswith("-")
    if name == "id":
        return catalog.keys_by_id(down=down)
    if not name or any(c in '"\\' or not c.isprintable() for c in name):
        raise InputError(f"cannot sort by {name!r}; expected id, title or the name of an attribute")
    keys, held = catalog.keys_by_value(name, down=down)
    if not held:
        known = {"id", "title", *catalog.attribute_names()}
        if name not in known:
            raise UnknownNameError.of("attribute", name, known)
    return keys
