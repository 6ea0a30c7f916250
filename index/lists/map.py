"""Maps: a relation's space in two dimensions, with its clusters and the items that stand for each region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.answering.places import Selection, places_of
from index.catalog import chunks
from index.errors import InputError
from index.items import title_of
from index.lists.clusters import part
from index.lists.map_labels import label_of, telling_attribute
from index.lists.map_layout import Method, OnProgress, lay_out
from index.lists.map_spread import spread_order
from index.reading import CatalogReader
from index.recommender import Recommender
from index.trouble import StorageTrouble
from index.types import Attribute, Modality

LANDMARKS = 4_000
"""Items that may be drawn as pictures: enough for the largest picture of a map."""

PER_CLUSTER = 5
"""Central items told of each cluster; a map with fewer items for each has fewer clusters."""

SAMPLE = 10_000
"""Items whose attributes are looked at to name clusters."""

AROUND, NEAR = 500, 0.06
"""A cluster's name is written where most of so many of its items lie, counted within about so far."""


@dataclass(frozen=True, slots=True)
class MapCluster:
    """A cluster on a map.

    Attributes:
        x, y: Where its name is written: the place of the item that has most of its cluster around it.
        size: Items.
        share: Of all items on the map, 0 to 1.
        central: Ids of its most central items, most central first.
        label: Its name: the values most frequent in it of the attribute that clusters tell apart best, or the title
            of its most central item.
    """

    x: float
    y: float
    size: int
    share: float
    central: tuple[str, ...]
    label: str


@dataclass(frozen=True, slots=True)
class Landmark:
    """An item that is drawn as a picture: its row on the map, its first file, and what that is."""

    row: int
    path: Path
    modality: Modality


@dataclass(frozen=True, slots=True, eq=False)
class StyleMap:
    """A relation's space in two dimensions. Row r of every field below is one item.

    Attributes:
        relation: Whose space.
        modality: Of the items.
        method: ``"umap"`` or ``"pca"``.
        generation: Of the catalog, when it was drawn.
        fitted_on: Items that it was fitted on; the others were placed by it.
        ids: Of the items.
        titles: What people call them: artist and title, title, or the last part of the id.
        at: Places, x to the right and y down, within 0 to 1. float32, ``(n, 2)``.
        labels: Place of each item's cluster in ``clusters``, -1 where there are none. int32, ``(n,)``.
        clusters: Largest first.
        attribute: That which clusters tell apart best; empty when none does.
        values: Of that attribute, most frequent first.
        codes: Place of each item's value in ``values``, -1 for none. int32, ``(n,)``.
        landmarks: Items with pictures or sounds: any beginning of them is spread over the whole map.
    """

    relation: str
    modality: Modality
    method: str
    generation: int
    fitted_on: int
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    at: NDArray[np.float32]
    labels: NDArray[np.int32]
    clusters: tuple[MapCluster, ...]
    attribute: str
    values: tuple[str, ...]
    codes: NDArray[np.int32]
    landmarks: tuple[Landmark, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def to_json(self, most: int | None = None) -> dict[str, Any]:
        """Plain data for programs: columns ``ids``, ``x``, ``y`` and ``cluster``, one entry for each item.

        Args:
            most: Of more items than this an even sample is told; ``count`` counts all.
        """
        rows = np.arange(len(self))
        if most is not None and len(rows) > most:
            rows = rows[(np.arange(most) * len(rows)) // most]
        return {
            "relation": self.relation,
            "modality": self.modality,
            "method": self.method,
            "generation": self.generation,
            "count": len(self),
            "ids": [self.ids[row] for row in rows.tolist()],
            "x": [round(x, 5) for x in self.at[rows, 0].tolist()],
            "y": [round(y, 5) for y in self.at[rows, 1].tolist()],
            "cluster": self.labels[rows].tolist(),
            "clusters": [
                {
                    "x": round(cluster.x, 5),
                    "y": round(cluster.y, 5),
                    "size": cluster.size,
                    "share": round(cluster.share, 6),
                    "central": list(cluster.central),
                    "label": cluster.label,
                }
                for cluster in self.clusters
            ],
        }

    def _repr_html_(self) -> str:
        """Show the map as a picture in a notebook."""
        from index.lists.map_picture import map_figure

        return map_figure(self)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A map before items are looked up: what takes long to compute, in database keys.

    Attributes:
        keys: Items. int64, ``(n,)``.
        at: See ``StyleMap``.
        labels: See ``StyleMap``.
        central: For each cluster its most central items.
        method, fitted_on: See ``StyleMap``.
    """

    keys: NDArray[np.int64]
    at: NDArray[np.float32]
    labels: NDArray[np.int32]
    central: tuple[tuple[int, ...], ...]
    method: str
    fitted_on: int

    def only(self, kept: NDArray[np.bool_]) -> Drawn:
        """Some of its items, where they were."""
        central = tuple(
            tuple(key for key in keys if key in present)
            for present in [set(self.keys[kept].tolist())]
            for keys in self.central
        )
        return Drawn(self.keys[kept], self.at[kept], self.labels[kept], central, self.method, self.fitted_on)


def map_items(
    recommender: Recommender,
    relation: str = "similar",
    *,
    method: Method = "auto",
    where: str = "",
    modality: str = "",
    clusters: int = 12,
    seed: int = 0,
    on_progress: OnProgress = lambda *_: None,
) -> StyleMap:
    """Draw the map of a relation's space: items that it finds alike lie near each other.

    Args:
        recommender: Of an opened catalog.
        relation: Whose space; its rule on who may answer is not looked at.
        method: ``"umap"``, which keeps neighbourhoods and needs the extra ``[map]``; ``"pca"``, which keeps the
            directions of most variance; ``"auto"`` for UMAP where it is installed and there are at most
            ``map_layout.UMAP_ITEMS`` items.
        where: A filter (``index.filters``): only what passes is on the map, and shapes it.
        modality: ``"image"`` or ``"audio"``, needed where the relation compares both and the catalog has both.
        clusters: How many at most, by k-means in the relation's space (``index.lists.clusters``), not on the map;
            0 for none. There are fewer where items are few or stand at few places.
        seed: The same catalog and seed give the same map.
        on_progress: Told how far it is: stage, done, total.

    Raises:
        InputError: No such method, a filter that is none, or nothing to draw.
        UnknownNameError: No such relation, or an attribute that no item has.
        NotBuiltError, StaleIndexError, StorageError: See ``Recommender.ask``.
    """
    with StorageTrouble(recommender.catalog.folder):
        places = places_of(recommender, relation, modality=modality)
        chosen = places.select(where)
        if not len(chosen):
            raise InputError(f"no item that relation {relation!r} compares passes the filter; loosen it")
        drawn = draw(chosen, method, clusters, seed, on_progress)
        number = recommender.generation.manifest.number
        return dress(recommender.catalog, drawn, relation, places.space.modality, number)


def draw(chosen: Selection, method: Method, clusters: int, seed: int, on_progress: OnProgress) -> Drawn:
    """Compute a map of a selection of items: see ``map_items``.

    Raises:
        InputError: No such method, or clusters below 0.
        StaleIndexError: An item was removed a moment ago.
    """
    if clusters < 0:
        raise InputError(f"the number of clusters on a map must be at least 0, not {clusters}")
    layout = lay_out(chosen, method, seed, on_progress)
    count = min(clusters, len(chosen) // PER_CLUSTER)
    labels = np.full(len(chosen), -1, np.int32)
    central: list[tuple[int, ...]] = []
    if count > 1:
        try:
            parts = part(chosen, count, central=PER_CLUSTER, seed=seed)
        except InputError:  # they stand at fewer places: a map without clusters is still a map
            pass
        else:
            labels = parts.labels
            catalog = chosen.places.catalog
            central = [tuple(catalog.keys_of(cluster.central)) for cluster in parts.clusters]
    return Drawn(layout.keys, layout.at, labels, tuple(central), layout.method, layout.fitted_on)


def dress(catalog: CatalogReader, drawn: Drawn, relation: str, modality: Modality, generation: int) -> StyleMap:
    """Look up what is on a map: items as the catalog knows them now; those removed since are left out."""
    ids = _ids(catalog, drawn.keys)
    present = np.array([item_id is not None for item_id in ids], bool)
    if not present.all():
        drawn, ids = drawn.only(present), [item_id for item_id in ids if item_id is not None]
    sample = np.arange(len(drawn.keys))[:: max(1, len(drawn.keys) // SAMPLE)]
    known = [attributes for _, attributes in _attributes(catalog, drawn.keys[sample])]
    attribute = telling_attribute(known, drawn.labels[sample])
    titles: list[str] = []
    given: list[str] = []
    for (_, attributes), item_id in zip(_attributes(catalog, drawn.keys), ids, strict=True):
        titles.append(_named(str(item_id), attributes))
        given.append(str(attributes.get(attribute) or ""))
    counted = Counter(given)
    values = [value for value, _ in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])) if value]
    code_of = {value: code for code, value in enumerate(values)}
    codes = np.fromiter((code_of.get(value, -1) for value in given), np.int32, len(given))
    row_of = {int(key): row for row, key in enumerate(drawn.keys.tolist())} if drawn.central else {}
    central = [[row_of[key] for key in keys if key in row_of] for keys in drawn.central]
    found = [
        _cluster(label, rows, drawn, [str(one) for one in ids], titles, [given[at] for at in own.tolist()])
        for label, rows in enumerate(central)
        for own in [np.flatnonzero(drawn.labels == label)]
        if len(own)
    ]
    kept = [label for label in range(len(central)) if (drawn.labels == label).any()]
    renamed = np.full(len(central) + 1, -1, np.int32)
    renamed[kept] = np.arange(len(kept))
    return StyleMap(
        relation=relation,
        modality=modality,
        method=drawn.method,
        generation=generation,
        fitted_on=drawn.fitted_on,
        ids=tuple(str(one) for one in ids),
        titles=tuple(titles),
        at=drawn.at,
        labels=renamed[drawn.labels],
        clusters=tuple(found),
        attribute=attribute,
        values=tuple(values),
        codes=codes,
        landmarks=tuple(_landmarks(catalog, drawn, modality, [rows[0] for rows in central if rows])),
    )


def _named(item_id: str, attributes: Mapping[str, Attribute]) -> str:
    """What is written beside an item: its title, with the artist before it if it has both."""
    title, artist = attributes.get("title"), attributes.get("artist")
    named = title_of(item_id, title)
    return named if "" in (title or "", artist or "") else f"{artist} – {named}"


def _cluster(
    label: int, central: Sequence[int], drawn: Drawn, ids: Sequence[str], titles: Sequence[str], given: Sequence[str]
) -> MapCluster:
    own = np.flatnonzero(drawn.labels == label)
    some = drawn.at[own[:: max(1, len(own) // AROUND)]]
    apart = np.square(some[:, None] - some[None]).sum(axis=2)
    x, y = some[np.argmax(np.exp(-apart / NEAR**2).sum(axis=1))].tolist()
    named = titles[central[0]] if central else titles[own[0]]
    values = Counter(value for value in given if value)
    label_text = label_of(values, len(own), named)
    return MapCluster(x, y, len(own), len(own) / len(ids), tuple(ids[row] for row in central), label_text)


def _ids(catalog: CatalogReader, keys: NDArray[np.int64]) -> list[str | None]:
    found = catalog.ids_of(keys.tolist())
    return [found.get(key) for key in keys.tolist()]


def _attributes(catalog: CatalogReader, keys: NDArray[np.int64]) -> Iterator[tuple[int, dict[str, Attribute]]]:
    """Attributes of items by key, in order, a few hundred at a time; empty for those removed a moment ago."""
    for some in chunks(keys.tolist()):
        known = catalog.attributes_of(some)
        for key in some:
            yield key, known.get(key, {})


def _landmarks(catalog: CatalogReader, drawn: Drawn, modality: Modality, first: Sequence[int]) -> list[Landmark]:
    rows = spread_order(drawn.at, LANDMARKS, first).tolist()
    items = catalog.items(drawn.keys[rows].tolist())
    found: list[Landmark] = []
    for row in rows:
        item = items.get(int(drawn.keys[row]))
        if item is not None and item.paths:
            found.append(Landmark(row, item.paths[0], modality))
    return found
