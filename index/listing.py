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

from index.catalog import Catalog
from index.errors import InputError, UnknownNameError
from index.items import title_of
from index.matching import matching_keys
from index.types import Modality

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
        self._contents: Contents | None = None

    def page(self, catalog: Catalog, listed: Listed, offset: int, limit: int) -> Page:
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

    def contents(self, catalog: Catalog) -> Contents:
        """Tell what there is to choose from."""
        with self._lock:
            self._follow(catalog)
            if self._contents is None:
                self._contents = _contents(catalog, self._directory)
            return self._contents

    def _follow(self, catalog: Catalog) -> None:
        now = (catalog.identity, catalog.sequence)
        if now == self._told:
            return
        if self._told is None or now[0] != self._told[0]:
            self._directory = _Directory()
        self._directory.follow(catalog)
        self._found.clear()
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

    def _list(self, catalog: Catalog, listed: Listed) -> NDArray[np.int32]:
        directory = self._directory
        order = self._keep(("order", listed.sort), lambda: directory.places_of(_sorted_keys(catalog, listed.sort)))
        kept = np.ones(len(directory.keys), bool)
        if listed.category is not None:
            kept &= directory.mask_of(_keys(catalog, "SELECT item FROM items WHERE category=?", listed.category))
        if listed.modality is not None:
            of_modality = "SELECT DISTINCT item FROM media WHERE item NOT NULL AND modality=?"
            kept &= self._mask(("modality", listed.modality), lambda: _keys(catalog, of_modality, str(listed.modality)))
        if listed.where.strip():
            kept &= self._mask(("where", listed.where), lambda: matching_keys(catalog, listed.where))
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

    def follow(self, catalog: Catalog) -> None:
        """Read what changed since the last time."""
        sequence = catalog.sequence
        execute = catalog.connection.execute
        rows = execute("SELECT item, id FROM items ORDER BY item").fetchall()
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
        changed = execute("SELECT item, attributes FROM items WHERE changed > ?", (self.sequence,))
        unread = set(renamed)
        for key, attributes in changed:
            unread.discard(key)
            _fill(place_of.get(key), ids, texts, names, attributes)
        for key in unread:
            (attributes,) = execute("SELECT attributes FROM items WHERE item=?", (key,)).fetchone() or ("{}",)
            _fill(place_of[key], ids, texts, names, attributes)
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


def _fill(place: int | None, ids: list[str], texts: list[str], names: list[tuple[str, ...]], attributes: str) -> None:
    if place is None:  # came since
        return
    known = json.loads(attributes)
    values = (str(value) for value in known.values() if value is not None)
    texts[place] = "\n".join((ids[place], *values)).casefold() or "\n"
    names[place] = tuple(map(sys.intern, known))


def _contents(catalog: Catalog, directory: _Directory) -> Contents:
    execute = catalog.connection.execute
    return Contents(
        items=len(directory.keys),
        modalities=dict(
            execute("SELECT modality, count(DISTINCT item) FROM media WHERE item NOT NULL GROUP BY modality")
        ),
        categories=execute(
            "SELECT category, count(*) FROM items WHERE category NOT NULL GROUP BY category ORDER BY category"
        ).fetchall(),
        attributes=sorted(set().union(*set(directory.names))),
    )


def _keys(catalog: Catalog, statement: str, *parameters: str) -> NDArray[np.int64]:
    return np.fromiter((row[0] for row in catalog.connection.execute(statement, parameters)), np.int64)


def _sorted_keys(catalog: Catalog, sort: str) -> NDArray[np.int64]:
    name = sort.removeprefix("-")
    down = "DESC" if sort.startswith("-") else "ASC"
    if name == "id":
        return _keys(catalog, f"SELECT item FROM items ORDER BY id {down}")
    if not name or any(c in '"\\' or not c.isprintable() for c in name):
        raise InputError(f"cannot sort by {name!r}; expected id, title or the name of an attribute")
    value = "json_extract(attributes, ?)"
    if name == "title":
        catalog.connection.create_function("title_of", 2, title_of, deterministic=True)
        value = "title_of(id, json_extract(attributes, ?))"
    rows = catalog.connection.execute(
        f"SELECT item, {value} AS value FROM items ORDER BY value IS NULL, typeof(value) = 'text', "
        f"value COLLATE NOCASE {down}, id",
        (f'$."{name}"',),
    ).fetchall()
    if rows and rows[0][1] is None:  # the first has it if any has
        known = {"id", "title", *_attribute_names(catalog)}
        if name not in known:
            raise UnknownNameError.of("attribute", name, known)
    return np.fromiter((key for key, _ in rows), np.int64, len(rows))


def _attribute_names(catalog: Catalog) -> list[str]:
    rows = catalog.connection.execute("SELECT DISTINCT key FROM items, json_each(items.attributes)")
    return [name for (name,) in rows]
