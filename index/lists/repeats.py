"""Repeats: near-duplicate pictures and recordings of a whole catalog, grouped, with what tells them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from index.answering.duplicates import SUSPECT, facet_cosines
from index.answering.places import Places, places_of
from index.answering.question import raw_of_items, vectors_of
from index.encoders import overlay_of, pixels_of
from index.errors import InputError, UnknownNameError
from index.items import Item
from index.lists.candidates import Candidates
from index.lists.tracks import Track, last_alike, measured, read_tracks
from index.recommender import Recommender
from index.trouble import StorageTrouble
from index.types import Modality, Vector, Vectors

Kind: TypeAlias = Literal["picture", "recording"]

NEIGHBOURS = 16
"""Items looked at around each, at first; four times as many as long as near-duplicates are among the last of them."""

MOST_NEIGHBOURS = 4096
"""Items looked at around one, at most. Whoever repeats more is found by those that repeat it."""

SAME_OVERLAY = 0.98
"""Correlation of two pictures' detail from which they are the same. Of 50 shop and phone photos each saved at quality
40, scaled to half, mirrored, or cropped by 5 or 10 %, none stayed below 0.983; of 64 pairs among 3,167 whose facets
agree, all but two below 0.977, and those two are the same photo again."""

BATCH = 512
"""Items whose suspects are compared as encoded at once: memory stays flat."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One item of a group, with what may decide which to keep.

    Attributes:
        item: As the catalog knows it.
        bytes: Size of its file when it was indexed; ``None`` when that is not known.
        pixels: Width and height of a picture; ``None`` when the file cannot be opened.
        seconds: Length of a recording.
    """

    item: Item
    bytes: int | None
    pixels: tuple[int, int] | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why two items are taken for the same.

    Attributes:
        a: The first of the group.
        b: Another.
        cosines: Of every facet, as encoded.
        overlay: Correlation of two pictures' detail, the one laid over the other (``index.encoders.overlay_of``);
            ``None`` for recordings, and where a file cannot be read: cosines alone decide then.
        seconds: Lengths of two recordings.
    """

    a: str
    b: str
    cosines: dict[str, float]
    overlay: float | None
    seconds: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Group:
    """Items that are the same picture or recording; each agrees with the first, as the evidence says."""

    kind: Kind
    copies: tuple[Copy, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """All near-duplicates of a catalog.

    Attributes:
        groups: Pictures first, each kind in the order of the first items' ids.
        compared: How many items were looked at.
    """

    groups: tuple[Group, ...]
    compared: int

    def to_json(self, offset: int = 0, limit: int | None = None) -> dict[str, Any]:
        """As plain JSON, with stable keys; no paths. ``total`` counts all groups, whichever are given."""
        some = self.groups[offset : None if limit is None else offset + limit]
        return {"groups": [_group_json(group) for group in some], "total": len(self.groups)}

    def _repr_html_(self) -> str:
        """Show each group as a row of pictures or players in a notebook."""
        from index.answering.notebook import rows_html

        rows = [(group.kind, [(copy.item, copy_text(copy)) for copy in group.copies]) for group in self.groups[:50]]
        more = [f"{len(self.groups) - 50} more groups"] if len(self.groups) > 50 else []
        return rows_html(f"{len(self.groups)} groups among {self.compared} items", rows, more)


def find_duplicates(
    recommender: Recommender,
    modality: Modality | Literal[""] = "",
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Duplicates:
    """Find the near-duplicates of a whole catalog, by asking the index for the neighbours of each item.

    Two items are near-duplicates when the cosine of every facet, as encoded, reaches what its card calls the same
    (``index.answering.duplicates``), and more agrees: of recordings the lengths, and one whose length is not known
    repeats none; of pictures their detail, point by point, so that two black shoes stay two. Near-duplicates of
    near-duplicates come together, and of each such set all that agree with the first by id make a group, then all
    that agree with the first of the rest.

    Nothing is changed or deleted. Time grows with the number of items times that of one question, memory with the
    number of near-duplicates.

    Args:
        recommender: Of an opened catalog.
        modality: Only pictures or only recordings; empty for both.
        on_progress: Told (done, total) now and then.

    Raises:
        UnknownNameError: No such modality.
        NotBuiltError, StaleIndexError, StorageError: See ``Recommender.ask``.
    """
    if modality not in ("", "image", "audio"):
        raise UnknownNameError.of("modality", modality, ("image", "audio"))
    # many small products, which several threads would only wait for each other with
    with StorageTrouble(recommender.catalog.folder), threadpool_limits(1):
        spaces = [places for kind in ("image", "audio") for places in _places(recommender, kind, modality)]
        total = sum(len(places.select()) for places in spaces)
        groups: list[Group] = []
        done = 0
        for places in spaces:
            comparison = _Comparison(places)
            candidates = Candidates(places)
            for keys, rows in places.select().blocks():
                for start in range(0, len(keys), BATCH):
                    some = slice(start, start + BATCH)
                    _look_around(candidates, comparison, keys[some].tolist(), rows[some])
                    done += len(keys[some])
                    on_progress(done, total)
            groups += _groups(comparison)
        on_progress(total, total)
        return Duplicates(tuple(groups), total)


def _places(recommender: Recommender, kind: Modality, wanted: str) -> list[Places]:
    """The space of one modality under the plain relation that compares most of its facets; none without items."""
    if wanted not in ("", kind):
        return []
    space = recommender.generation.spaces.get(kind)
    relations = recommender.catalog.relations()
    plain = [relations[name] for name in space.record.relations if not relations[name].head] if space else []
    facets = space.projection.facets if space else ()
    plain.sort(key=lambda relation: -sum(weight > 0 for weight in relation.weights_of(facets).values()))
    try:
        return [places_of(recommender, plain[0].name, modality=kind)] if plain else []
    except InputError:  # none of its items is left
        return []


def _look_around(candidates: Candidates, comparison: _Comparison, keys: list[int], rows: Vectors) -> None:
    """Connect some items with the near-duplicates among their neighbours; look further around those that have some
    among the farthest of them."""
    waiting = dict(zip(keys, rows, strict=True))
    count = NEIGHBOURS
    while waiting:
        ones, others, late = _suspects(candidates, waiting, count)
        pairs = [_pair(one, other) for one, other in zip(ones, others, strict=True)]
        alike = comparison.connect(set(pairs))
        count *= 4
        if count > MOST_NEIGHBOURS:
            break
        further = {one for one, pair, far in zip(ones, pairs, late, strict=True) if far and pair in alike}
        waiting = {key: row for key, row in waiting.items() if key in further}


def _suspects(candidates: Candidates, rows: dict[int, Vector], count: int) -> tuple[list[int], list[int], list[bool]]:
    """Pairs of some items with neighbours that every facet's fitted space finds alike.

    Returns:
        Database keys of the items, those of the neighbours, and whether these are among the last quarter of ``count``.
    """
    facets, delta = candidates.places.facets, candidates.places.facets_delta
    found: tuple[list[int], list[int], list[bool]] = ([], [], [])
    waiting = list(rows.items())
    each = max(1, BATCH * NEIGHBOURS // count)  # as many neighbours are held at once, however many each has
    for start in range(0, len(waiting), each):
        some = waiting[start : start + each]
        near = []
        for key, row in some:
            keys, scores = candidates.around(row, count, [key])
            near.append(keys[scores >= SUSPECT - 1e-3])  # the weighted mean of facets that all reach it
        lengths = [len(keys) for keys in near]
        owners = np.repeat(np.arange(len(some)), lengths)
        others = np.concatenate(near)
        unique, place = np.unique(others, return_inverse=True)
        vectors = vectors_of(facets, delta, unique.tolist())[0]
        asked = np.stack([row for _, row in some])
        alike = np.ones(len(others), bool)
        for part in facets.projection.parts:
            alike &= np.einsum("ij,ij->i", vectors[place, part.own], asked[owners, part.own]) >= SUSPECT
        ranks = np.concatenate([np.arange(length) for length in lengths])
        keys = np.array([key for key, _ in some])[owners]
        for told, values in zip(found, (keys, others, ranks >= 3 * count // 4), strict=True):
            told += values[alike].tolist()
    return found


class _Comparison:
    """Compares pairs of items: as encoded, recordings by their lengths, pictures laid one over the other.

    Attributes:
        places: Where the items stand.
        parts: Of their facets.
        known: Of pairs of database keys, the lower first, whose cosines agree: whether all else does.
        overlays: Of pairs of pictures that were laid one over the other.
        leaders: Of each item that repeats another, one of its component that stands nearer to the root.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self.parts = places.facets.projection.parts
        self.known: dict[tuple[int, int], bool] = {}
        self.overlays: dict[tuple[int, int], float | None] = {}
        self.leaders: dict[int, int] = {}

    def root(self, key: int) -> int:
        """The item that stands for a component."""
        while (above := self.leaders.setdefault(key, key)) != key:
            self.leaders[key] = self.leaders[above]
            key = above
        return key

    def connect(self, pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
        """Join the components of those pairs that are near-duplicates; within one nothing is compared again.

        Returns:
            Those whose cosines agree.
        """
        alike: set[tuple[int, int]] = set()
        for a, b, one, other in self._alike(sorted(pairs)):
            alike.add((a, b))
            if self.root(a) != self.root(b) and self._agree(one, other):
                self.leaders[self.root(b)] = self.root(a)
        return alike

    def agreeing(self, first: int, others: list[int]) -> list[int]:
        """Those of other items that are near-duplicates of one, in their order."""
        pairs = [_pair(first, key) for key in others]
        for _, _, one, other in self._alike([pair for pair in pairs if pair not in self.known]):
            self._agree(one, other)
        return [key for key, pair in zip(others, pairs, strict=True) if self.known.get(pair)]

    def cosines(self, pairs: list[tuple[int, int]]) -> NDArray[np.float32]:
        """Facet cosines as encoded: float32, ``(n, facets)``."""
        raw = raw_of_items(self.places.catalog, self.places.facets, [key for pair in pairs for key in pair])
        return facet_cosines(self.places.facets.projection, raw[::2], raw[1::2])

    def _alike(self, pairs: list[tuple[int, int]]) -> Iterator[tuple[int, int, Track, Track]]:
        """Those pairs whose cosines agree."""
        wanted = np.array([part.facet.same for part in self.parts])
        for start in range(0, len(pairs), BATCH):
            some = pairs[start : start + BATCH]
            alike = np.flatnonzero((self.cosines(some) >= wanted).all(axis=1)).tolist()
            keys = sorted({key for at in alike for key in some[at]})
            tracks = dict(zip(keys, read_tracks(self.places, keys), strict=True))
            yield from ((a, b, tracks[a], tracks[b]) for a, b in (some[at] for at in alike))

    def _agree(self, one: Track, other: Track) -> bool:
        """Whether all but the cosines agrees, too; looked at once."""
        pair = (one.key, other.key)
        if pair not in self.known:
            if self.places.space.modality == "audio":
                self.known[pair] = last_alike(measured(one).seconds, measured(other).seconds)
            else:
                there = one.item.paths and other.item.paths
                found = overlay_of(one.item.paths[0], other.item.paths[0]) if there else None
                self.known[pair] = found is None or found >= SAME_OVERLAY
                self.overlays[pair] = found
        return self.known[pair]


def _groups(comparison: _Comparison) -> list[Group]:
    """Connected components, parted so that each member agrees with its group's first."""
    components: dict[int, list[int]] = {}
    for key in list(comparison.leaders):
        components.setdefault(comparison.root(key), []).append(key)
    groups: list[Group] = []
    for component in components.values():
        ids = dict(zip(component, comparison.places.ids(component), strict=True))
        left = sorted(component, key=lambda key: ids[key])
        while len(left) > 1:
            first, others = left[0], left[1:]
            members = comparison.agreeing(first, others)
            agree = set(members)
            left = [key for key in others if key not in agree]
            if members:
                groups.append(_group(comparison, first, members))
    return sorted(groups, key=lambda group: group.copies[0].item.item_id)


def _pair(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other)


def _group(comparison: _Comparison, first: int, members: list[int]) -> Group:
    places = comparison.places
    keys = [first, *members]
    tracks = [measured(track) for track in read_tracks(places, keys)]
    sizes = places.catalog.sizes(keys, places.space.modality)
    sound = places.space.modality == "audio"
    copies = tuple(
        Copy(
            track.item,
            sizes[track.key] if sizes.get(track.key, 0) > 0 else None,
            None if sound or not track.item.paths else pixels_of(track.item.paths[0]),
            track.seconds if sound else None,
        )
        for track in tracks
    )
    pairs = [_pair(first, key) for key in members]
    evidence = tuple(
        Evidence(
            tracks[0].item.item_id,
            track.item.item_id,
            dict(zip((part.facet.name for part in comparison.parts), row, strict=True)),
            comparison.overlays.get(pair),
            (tracks[0].seconds or 0.0, track.seconds or 0.0) if sound else None,
        )
        for track, row, pair in zip(tracks[1:], comparison.cosines(pairs).tolist(), pairs, strict=True)
    )
    return Group("recording" if sound else "picture", copies, evidence)


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "kind": group.kind,
        "items": [copy.item.item_id for copy in group.copies],
        "evidence": [
            {
                "a": one.a,
                "b": one.b,
                "cosines": {name: round(value, 4) for name, value in one.cosines.items()},
                "overlay": None if one.overlay is None else round(one.overlay, 4),
                "seconds": None if one.seconds is None else [round(length, 1) for length in one.seconds],
            }
            for one in group.evidence
        ],
        "files": [
            {
                "id": copy.item.item_id,
                "bytes": copy.bytes,
                "pixels": None if copy.pixels is None else list(copy.pixels),
                "seconds": None if copy.seconds is None else round(copy.seconds, 1),
            }
            for copy in group.copies
        ],
    }


def copy_text(copy: Copy) -> str:
    """What may decide which to keep, in a few words."""
    pixels = "" if copy.pixels is None else f"{copy.pixels[0]} × {copy.pixels[1]}"
    seconds = "" if copy.seconds is None else f"{copy.seconds:.0f} s"
    size = "" if copy.bytes is None else f"{copy.bytes / 1000:,.0f} kB"
    return " · ".join(part for part in (pixels, seconds, size) if part)
