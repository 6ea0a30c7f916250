"""Clusters: the kinds of items that a relation sees in a catalog, each with its most central items."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from index.answering.places import Places, Selection, places_of
from index.errors import InputError
from index.items import Item
from index.recommender import Recommender
from index.trouble import StorageTrouble

SAMPLE = 10_000
"""Items that centres are fitted on; all items are then assigned to them, block by block."""

MOST = 500
"""Clusters that may be asked for: the sample has at least twenty items for each."""

STARTS = 4
"""Fits from different beginnings, of which the tightest is kept."""

ROUNDS = 100
"""Rounds of one fit at most; most settle in fewer."""

GRAIN = 4
"""Decimals in which two places must differ to be two: the same vector projected twice may differ in the last."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Items that a relation finds alike.

    Attributes:
        size: How many.
        share: Of all items clustered, 0 to 1.
        central: Ids of the items closest to its centre, closest first, near-duplicates left out.
        categories: Its most frequent categories with their counts, most frequent first, at most three; items
            without one are not counted.
        items: The central ones, to show.
    """

    size: int
    share: float
    central: tuple[str, ...]
    categories: tuple[tuple[str, int], ...]
    items: tuple[Item, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Clusters:
    """How a catalog falls apart under one relation.

    Attributes:
        relation: Its name.
        modality: Of the items.
        items: How many were clustered.
        fitted_on: On how many of them the centres were fitted.
        clusters: Largest first.
    """

    relation: str
    modality: str
    items: int
    fitted_on: int
    clusters: tuple[Cluster, ...]

    def _repr_html_(self) -> str:
        """Show each cluster as a row of its most central items in a notebook."""
        from index.answering.notebook import rows_html

        rows = [
            (
                f"{cluster.size} items, {100 * cluster.share:.1f} %: "
                + ", ".join(f"{name} {count}" for name, count in cluster.categories),
                [(item, "") for item in cluster.items],
            )
            for cluster in self.clusters
        ]
        return rows_html(f"{self.relation}: {len(self.clusters)} clusters of {self.items} {self.modality} items", rows)


def find_clusters(
    recommender: Recommender,
    relation: str = "style",
    count: int = 12,
    *,
    where: str = "",
    modality: str = "",
    central: int = 5,
    seed: int = 0,
) -> Clusters:
    """Part a catalog into clusters by k-means in a relation's space.

    Lloyd, "Least squares quantization in PCM" (IEEE Trans. Inf. Theory 1982), from the beginnings of k-means++,
    Arthur & Vassilvitskii (SODA 2007), section 2.2. Items stand where they stand as answers
    (``index.answering.places.Places.points``). The relation's rule on who may answer is not looked at.

    Args:
        recommender: Of an opened catalog.
        relation: Whose space.
        count: Clusters, 2 to ``MOST``.
        where: A filter (``index.filters``); empty for all items.
        modality: ``"image"`` or ``"audio"``, needed where the relation compares both and the catalog has both.
        central: Most central items that are told of each, at least 1.
        seed: The same catalog and seed give the same clusters.

    Raises:
        InputError: A number out of range, a filter that is none, fewer items than clusters, items that stand at
            fewer places than clusters.
        UnknownNameError: No such relation, or an attribute that no item has.
        NotBuiltError, StaleIndexError, StorageError: See ``Recommender.ask``.
    """
    if not 2 <= count <= MOST:
        raise InputError(f"the number of clusters must lie between 2 and {MOST}, not {count}")
    if central < 1:
        raise InputError(f"the number of central items must be at least 1, not {central}")
    with StorageTrouble(recommender.catalog.folder):
        places = places_of(recommender, relation, modality=modality)
        chosen = places.select(where)
        passing = "pass the filter and have" if where else "have"
        if len(chosen) < count:
            mend = f"ask for at most {len(chosen)}" if len(chosen) > 1 else "loosen the filter or index more items"
            raise InputError(
                f"{count} clusters need at least {count} items; {len(chosen)} {passing} what relation "
                f"{relation!r} compares; {mend}"
            )
        parts = part(chosen, count, central=central, seed=seed)
        return Clusters(relation, places.space.modality, len(chosen), min(len(chosen), SAMPLE), parts.clusters)


@dataclass(frozen=True, slots=True)
class Parts:
    """A selection, parted.

    Attributes:
        clusters: Largest first.
        labels: For each item of the selection, in its order, its place in ``clusters``. int32, ``(n,)``.
    """

    clusters: tuple[Cluster, ...]
    labels: NDArray[np.int32]


def part(chosen: Selection, count: int, *, central: int, seed: int) -> Parts:
    """Part a selection of items into clusters: ``find_clusters`` on items that are already chosen.

    Args:
        chosen: At least ``count`` items.
        count, central, seed: See ``find_clusters``.

    Raises:
        InputError: The items stand at fewer places than clusters.
        StaleIndexError: An item was removed a moment ago.
    """
    places = chosen.places
    rng = np.random.default_rng(seed)
    positions = np.arange(len(chosen))
    if len(chosen) > SAMPLE:
        positions = np.sort(rng.choice(len(chosen), SAMPLE, replace=False))
    points = places.points(chosen.take(positions)[1])
    different = len({row.tobytes() for row in points.round(GRAIN) + np.float32(0)})
    if different < count:
        raise InputError(
            f"the items stand at {different} different places under relation {places.relation.name!r}, which cannot "
            f"be parted into {count} clusters; ask for fewer, or of another relation"
        )
    fits = [_fit(points, count, rng) for _ in range(STARTS)]
    return _describe(chosen, min(fits, key=lambda fit: fit[1])[0], central)


def _fit(points: NDArray[np.float32], count: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
    """Centres, float32 ``(count, p)``, and the sum of squared distances to them."""
    centres = _beginnings(points, count, rng)
    labels = np.full(len(points), -1)
    for _ in range(ROUNDS):
        found, squared = _nearest(points, centres)
        if np.array_equal(found, labels):
            break
        labels = found
        order = np.argsort(labels, kind="stable")
        sizes = np.bincount(labels, minlength=count)
        filled = np.flatnonzero(sizes)
        starts = np.concatenate([[0], np.cumsum(sizes)])[filled]
        centres[filled] = np.add.reduceat(points[order], starts, axis=0) / sizes[filled, None]
        empty = np.flatnonzero(sizes == 0)  # begins anew at the items farthest from their centres
        centres[empty] = points[np.argsort(-squared, kind="stable")[: len(empty)]]
    return centres, float(_nearest(points, centres)[1].sum())


def _beginnings(points: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """k-means++: each next centre is drawn with probability proportional to its squared distance to those before."""
    centres = np.empty((count, points.shape[1]), np.float32)
    centres[0] = points[rng.integers(len(points))]
    squared = _nearest(points, centres[:1])[1]
    for at in range(1, count):
        places = np.cumsum(squared, dtype=np.float64)
        centres[at] = points[min(int(np.searchsorted(places, rng.random() * places[-1], "right")), len(points) - 1)]
        squared = np.minimum(squared, _nearest(points, centres[at : at + 1])[1])
    return centres


def _nearest(
    points: NDArray[np.float32], centres: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest centre of each point, and the squared distance to it: int64 and float32, ``(n,)`` each."""
    apart = np.einsum("ij,ij->i", centres, centres) - 2 * (points @ centres.T)
    labels = np.argmin(apart, axis=1)
    lengths = np.einsum("ij,ij->i", points, points)
    squared: NDArray[np.float32] = np.maximum(apart[np.arange(len(points)), labels] + lengths, 0)
    return labels, squared


def _describe(chosen: Selection, centres: NDArray[np.float32], central: int) -> Parts:
    """Assign every item; largest cluster first, ties by the id of the most central item."""
    places = chosen.places
    sizes = np.zeros(len(centres), np.int64)
    kinds: list[Counter[str]] = [Counter() for _ in centres]
    spare = 4 * central  # more than are told, as near-duplicates are left out
    nearest: list[list[tuple[float, int]]] = [[] for _ in centres]
    every: list[NDArray[np.int32]] = []
    for keys, vectors in chosen.blocks():
        labels, squared = _nearest(places.points(vectors), centres)
        every.append(labels.astype(np.int32))
        sizes += np.bincount(labels, minlength=len(centres))
        for label, category, counted in _counts(places, keys, labels):
            kinds[label][category] += counted
        for label in np.unique(labels).tolist():
            own = np.flatnonzero(labels == label)
            own = own[np.argsort(squared[own], kind="stable")[:spare]]
            pairs = zip(squared[own].tolist(), keys[own].tolist(), strict=True)
            nearest[label] = sorted([*nearest[label], *pairs])[:spare]
    found: list[tuple[Cluster, int]] = []
    for label in np.flatnonzero(sizes).tolist():
        keys_near = [key for _, key in nearest[label]]
        first = places.repeats(keys_near, 0)
        different = [key for at, key in enumerate(keys_near) if first[at] == at][:central]
        common = sorted(kinds[label].items(), key=lambda pair: (-pair[1], pair[0]))[:3]
        size = int(sizes[label])
        ids, items = tuple(places.ids(different)), places.items(different)
        found.append((Cluster(size, size / len(chosen), ids, tuple(common), items), label))
    found.sort(key=lambda pair: (-pair[0].size, pair[0].central))
    renamed = np.full(len(centres), -1, np.int32)
    renamed[[label for _, label in found]] = np.arange(len(found))
    return Parts(tuple(cluster for cluster, _ in found), renamed[np.concatenate(every)])


def _counts(places: Places, keys: NDArray[np.int64], labels: NDArray[np.int64]) -> list[tuple[int, str, int]]:
    """How many items of each category have each label: label, category, count."""
    categories = places.catalog.category_by_key(keys.tolist())
    pairs = Counter(
        (label, categories[key]) for key, label in zip(keys.tolist(), labels.tolist(), strict=True) if key in categories
    )
    return [(label, category, count) for (label, category), count in pairs.items()]
