"""Playlists: tracks that go well one after another, around seeds, in a chain, or along a path."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from index.answering.places import Places, named_keys, places_of
from index.errors import InputError, UnknownNameError
from index.lists.m3u import write_m3u
from index.lists.play_order import Order, chain, path, radius
from index.lists.pool import Trend, Wish, lasts
from index.lists.tracks import Track, measured, read_tracks, values_of
from index.recommender import Recommender
from index.trouble import StorageTrouble

Mode: TypeAlias = Literal["radius", "chain", "path"]
"""Closest to the seeds; each closest to the one before; from one track to another in small steps."""

MOST = 200
"""Tracks of one playlist."""

MOST_SEEDS = 50
"""Tracks that may be given."""

LENGTH = 20
"""Tracks, where neither their number nor a time is asked for."""


@dataclass(frozen=True, slots=True)
class Playlist:
    """Tracks in the order in which they play.

    Attributes:
        relation: By which they are compared.
        mode: How they were chosen.
        tracks: All of them.
        scores: Of each with the seeds (``radius``), or with the track before it; ``None`` for those that were given,
            and for the first.
        trend: What rises or falls.
        values: Tempo in beats a minute or energy of each track, where a trend was asked for; else empty.
        notes: What could not be done as asked.
    """

    relation: str
    mode: Mode
    tracks: tuple[Track, ...]
    scores: tuple[float | None, ...]
    trend: Trend | None = None
    values: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long all tracks last together, as far as that is known; ``None`` when it is known of none."""
        return lasts(self.tracks) if any(track.seconds is not None for track in self.tracks) else None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, with stable keys; no paths."""
        tracks = [
            {
                "id": track.item.item_id,
                "title": track.title,
                "artist": track.artist,
                "seconds": None if track.seconds is None else round(track.seconds, 1),
                "score": None if score is None else round(score, 6),
            }
            for track, score in zip(self.tracks, self.scores, strict=True)
        ]
        for told, value in zip(tracks, self.values, strict=False):
            told[str(self.trend).split()[0]] = round(value, 3)
        seconds = self.seconds
        return {
            "relation": self.relation,
            "mode": self.mode,
            "seconds": None if seconds is None else round(seconds, 1),
            "tracks": tracks,
            "notes": list(self.notes),
        }

    def save(self, file: str | Path) -> None:
        """Write it as M3U8: see ``index.lists.m3u.write_m3u``."""
        write_m3u(self.tracks, Path(file))

    def _repr_html_(self) -> str:
        """Show players, or pictures, in a notebook."""
        from index.answering.notebook import rows_html

        told = [
            (track.item, " · ".join([track.title, *([track.artist] if track.artist else [])])) for track in self.tracks
        ]
        return rows_html(f"{self.mode}, {self.relation}", [("", told)], self.notes)


def make_playlist(
    recommender: Recommender,
    seeds: Sequence[str | Path],
    *,
    mode: Mode | None = None,
    to: str | Path | None = None,
    relation: str | None = None,
    length: int | None = None,
    minutes: float | None = None,
    artist_gap: int = 3,
    trend: Trend | None = None,
    seed: int = 0,
    where: str = "",
) -> Playlist:
    """Choose and order tracks; any items will do.

    No version of the same recording comes twice (``index.lists.tracks.versions``: cosines and lengths must agree, and
    when in doubt they are different songs), no artist again before ``artist_gap`` others, nothing against the trend.
    Where that leaves fewer tracks than asked for, the longest list found is returned, and its notes say so.

    Args:
        recommender: Of an opened catalog.
        seeds: Ids of items or paths of their files, 1 to ``MOST_SEEDS``; they begin the list, in their order.
            With a trend they stand where it has them; of a path there is one.
        mode: See ``index.lists.play_order``; ``None`` for ``path`` with ``to``, else ``radius``.
        to: Where a path ends.
        relation: By which tracks are compared, whatever its rule; ``None`` for ``similar-track``, for pictures
            ``similar``.
        length: Tracks, at most, with the given ones; ``None`` for ``LENGTH``, or for as many as there is time for.
        minutes: How long the list may last; tracks whose length is not known are then left out.
        artist_gap: Other tracks between two of one artist; 0 to ``MOST``.
        trend: What must never fall, or never rise, from track to track; from tags and attributes ``bpm``, ``tempo``
            and ``energy``, else estimated (``index.encoders.impression_of``).
        seed: 0 for the closest; others vary what is chosen, the same each time.
        where: A filter (``index.filters``) on the tracks found.

    Raises:
        InputError: A number out of range, options that exclude each other, a filter that is none, items that the
            relation cannot compare, a trend that the given tracks run against.
        UnknownNameError: No such item, relation, mode, trend or attribute.
        NotBuiltError, StaleIndexError, StorageError: See ``Recommender.ask``.
    """
    mode = mode or ("path" if to is not None else "radius")
    _check(seeds, mode, to, length, minutes, artist_gap, trend, seed)
    with StorageTrouble(recommender.catalog.folder):
        given = named_keys(recommender, [*seeds, *([to] if to is not None else [])])
        items = recommender.catalog.items(given)
        sounds = all("audio" in item.modalities for item in items.values())
        relation = relation or ("similar-track" if sounds else "similar")
        places = places_of(recommender, relation, given, "audio" if sounds else "")
        if places.space.modality != "audio" and (minutes is not None or trend):
            raise InputError("pictures have no length and no tempo; ask for a number of items with --length")
        wish = Wish(
            length or (LENGTH if minutes is None else MOST),
            None if minutes is None else 60 * minutes,
            artist_gap,
            trend,
            seed,
            where,
        )
        if mode == "path" and trend:
            _check_ends(places, given, trend)
        found = {"radius": radius, "chain": chain, "path": path}[mode](places, given, wish)
        tracks = tuple(measured(track) for track in found.tracks)
        notes = (*found.notes, *_shortcomings(found, given, wish))
        return Playlist(relation, mode, tracks, tuple(found.scores), trend, tuple(found.values), notes)


def _check(
    seeds: Sequence[str | Path],
    mode: str,
    to: str | Path | None,
    length: int | None,
    minutes: float | None,
    artist_gap: int,
    trend: str | None,
    seed: int,
) -> None:
    if mode not in get_args(Mode):
        raise UnknownNameError.of("mode", mode, get_args(Mode))
    if trend is not None and trend not in get_args(Trend):
        raise UnknownNameError.of("trend", trend, get_args(Trend))
    if not 1 <= len(seeds) <= MOST_SEEDS:
        raise InputError(f"a playlist has 1 to {MOST_SEEDS} seeds, not {len(seeds)}")
    if (mode == "path") != (to is not None):
        raise InputError("a path begins with a seed and ends with another track: mode path and --to go together")
    if mode == "path" and len(seeds) != 1:
        raise InputError(f"a path begins with one seed, not {len(seeds)}")
    if length is not None and not (2 if mode == "path" else 1) <= length <= MOST:
        raise InputError(f"the length must lie between {2 if mode == 'path' else 1} and {MOST} tracks, not {length}")
    if minutes is not None and not 0 < minutes < math.inf:
        raise InputError(f"the minutes must be a number above 0, not {minutes}")
    if not 0 <= artist_gap <= MOST:
        raise InputError(f"the artist gap must lie between 0 and {MOST} tracks, not {artist_gap}")
    if not 0 <= seed < 2**63:
        raise InputError(f"the seed must be a whole number of at least 0, not {seed}")


def _check_ends(places: Places, ends: list[int], trend: Trend) -> None:
    name, way = trend.split()
    start, goal = values_of(places, read_tracks(places, ends), name)[0].tolist()
    if start > goal if way == "up" else start < goal:
        raise InputError(
            f"{name} cannot {'rise' if way == 'up' else 'fall'} from {start:.4g} to {goal:.4g}; ask for "
            f"'{name} {'down' if way == 'up' else 'up'}', or begin at the other end"
        )


def _shortcomings(found: Order, given: list[int], wish: Wish) -> list[str]:
    """What of the wish is not met."""
    notes = []
    missing = len(set(given) - {track.key for track in found.tracks})
    if missing:
        notes.append(f"{missing} of the given tracks have no place in the list by these rules")
    if wish.seconds is not None and lasts(found.tracks) > wish.seconds:
        notes.append(f"the given tracks alone last {lasts(found.tracks) / 60:.1f} minutes")
    elif not wish.full(found.tracks):
        asked = f"{wish.seconds / 60:g} minutes" if wish.seconds is not None else f"{wish.length} tracks"
        rules = "" if not wish.trend else f", the trend {wish.trend!r}"
        notes.append(
            f"{asked} were asked for; nothing else can follow by the rules: no recording twice, artists "
            f"{wish.gap} tracks apart{rules}{', the filter' if wish.where else ''}"
        )
    return notes
