"""Tracks: what a list of songs must know of each, read from the catalog without opening files where it can."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from index.answering.places import Places
from index.answering.question import raw_of_items
from index.encoders import IMPRESSIONS, impression_of, seconds_of
from index.errors import StaleIndexError
from index.items import Item
from index.types import Attribute

SAME_SECONDS, SAME_SHARE = 2.0, 0.01
"""Two recordings last alike when their lengths differ by no more than so many seconds, or this share of the longer
one: lengths in tags are whole seconds, and codecs add up to a tenth. Edits, live versions and remixes differ more."""

NOBODY = frozenset({"", "various artists", "various", "va", "unknown artist", "unknown", "[unknown]"})
"""What stands where nobody is named."""

_GUESTS = re.compile(r"\s[(\[]?(feat|ft|featuring)\b.*")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{2}(?:\.\d+)?)")

TAGGED = {"tempo": ("bpm", "tempo"), "energy": ("energy",)}
"""Attributes in which files and tables say it, the first that an item has."""


@dataclass(frozen=True, slots=True)
class Track:
    """One item of a list.

    Attributes:
        key: Database key.
        item: As the catalog knows it.
        seconds: How long it lasts, by its file's tags or an attribute ``duration``; ``None`` when neither says.
    """

    key: int
    item: Item
    seconds: float | None

    @property
    def title(self) -> str:
        """Its title, else the last part of its id."""
        told = self.item.attributes.get("title")
        return str(told) if told not in (None, "") else PurePath(self.item.item_id).name or self.item.item_id

    @property
    def artist(self) -> str | None:
        """Who plays it, when that is told."""
        told = self.item.attributes.get("artist")
        return None if told in (None, "") else str(told)

    @property
    def artist_key(self) -> str:
        """The same for one artist however written: case, spaces and guests are left out; empty for nobody."""
        name = unicodedata.normalize("NFKC", self.artist or "").casefold()
        name = " ".join(_GUESTS.sub("", f" {name}").split())
        return "" if name in NOBODY else name


def read_tracks(places: Places, keys: Sequence[int]) -> list[Track]:
    """Read tracks by database key, in order.

    Raises:
        StaleIndexError: One was removed a moment ago.
    """
    catalog = places.catalog
    items = catalog.items(keys)
    if not items.keys() >= set(keys):
        raise StaleIndexError("an item was removed from the catalog while it was asked about; ask again")
    tagged = {key: _seconds(value) for key, value in catalog.durations(keys).items()}
    found = []
    for key in keys:
        seconds = tagged.get(key, math.nan)
        if math.isnan(seconds):
            seconds = _seconds(items[key].attributes.get("duration"))
        found.append(Track(key, items[key], None if math.isnan(seconds) else seconds))
    return found


def measured(track: Track) -> Track:
    """The track with its length, read from its file's header where nothing else tells it."""
    if track.seconds is not None or "audio" not in track.item.modalities:
        return track
    lengths = (seconds_of(path) for path in track.item.paths)
    return Track(track.key, track.item, next((one for one in lengths if one), None))


def artist_numbers(tracks: Sequence[Track]) -> list[int]:
    """A number for each artist; tracks by nobody have numbers of their own, all negative."""
    numbers: dict[str, int] = {}
    return [
        numbers.setdefault(track.artist_key, len(numbers)) if track.artist_key else -1 - at
        for at, track in enumerate(tracks)
    ]


def versions(places: Places, tracks: Sequence[Track]) -> NDArray[np.bool_]:
    """Which tracks are versions of the same recording: bool, shape ``(n, n)``, symmetric.

    The cosines of all facets must agree (``index.answering.duplicates``), and how long they last, too: where one
    of the two is not known, they are taken for different songs. Pictures do not last, cosines alone decide there.
    """
    same = places.same([track.key for track in tracks])
    if places.space.modality != "audio":
        return same
    for left, right in np.argwhere(np.triu(same)).tolist():
        alike = last_alike(measured(tracks[left]).seconds, measured(tracks[right]).seconds)
        same[left, right] = same[right, left] = alike
    return same


def last_alike(one: float | None, other: float | None) -> bool:
    """Whether two lengths in seconds are known and agree."""
    if one is None or other is None:
        return False
    return abs(one - other) <= max(SAME_SECONDS, SAME_SHARE * max(one, other))


def values_of(places: Places, tracks: Sequence[Track], name: str) -> tuple[NDArray[np.float64], int]:
    """Tempo in beats a minute, or energy, of tracks.

    Returns:
        float64, shape ``(n,)``, not a number where it is not known; and how many are estimated, because neither
        file nor table says (``index.encoders.impression_of``).
    """
    told = [next((a for a in (t.item.attributes.get(n) for n in TAGGED[name]) if _is_number(a)), None) for t in tracks]
    values = np.array([math.nan if one is None else float(one) for one in told])
    unknown = np.flatnonzero(np.isnan(values)).tolist()
    encoder = IMPRESSIONS[name]
    if not unknown or encoder not in places.facets.record.encoders:
        return values, 0
    raw = raw_of_items(places.catalog, places.facets, [tracks[at].key for at in unknown])
    cards = dict(zip(places.facets.record.encoders, places.facets.cards, strict=True))
    start = 0
    for other, card in cards.items():
        if other == encoder:
            break
        start += card.dim
    values[unknown] = impression_of(name, raw[:, start : start + cards[encoder].dim])
    return values, int(np.isfinite(values[unknown]).sum())


def _is_number(value: Attribute) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _seconds(value: Attribute) -> float:
    """A length as a number of seconds or as a clock has it, ``3:25``; not a number for anything else."""
    if _is_number(value):
        return float(value) if float(value) > 0 else math.nan  # type: ignore[arg-type]
    match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match:
        return math.nan
    return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3])
