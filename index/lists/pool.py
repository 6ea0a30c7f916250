"""Pools: the tracks that a playlist is chosen from, with everything that its rules ask about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.answering.places import Places
from index.errors import InputError
from index.lists.sequencing import in_turn
from index.lists.tracks import Track, artist_numbers, measured, read_tracks, values_of, versions

Trend: TypeAlias = Literal["tempo up", "tempo down", "energy up", "energy down"]
"""What rises or falls from track to track."""

VARIETY = 0.15
"""With a seed, how much closer or farther than it is a track may seem: the standard deviation of a factor's logarithm.
Distances of close neighbours differ by about as much, so that others of the close ones come first."""

TAIL, TAIL_SHARE = 120.0, 0.1
"""A list is full when no more than so many seconds, and no more than this share of the time asked for, are left."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a playlist; see ``index.lists.playlist.make_playlist``.

    Attributes:
        length: Tracks, at most.
        seconds: How long all of them may last; ``None`` for as long as they do.
        gap: Other tracks between two of one artist.
        trend: What rises or falls.
        seed: Of variety; 0 for none.
        where: A filter on the tracks found.
    """

    length: int
    seconds: float | None
    gap: int
    trend: Trend | None
    seed: int
    where: str

    def full(self, tracks: Sequence[Track]) -> bool:
        """Whether there are as many as asked for, or hardly any time is left."""
        if self.seconds is not None and lasts(tracks) >= self.seconds - min(TAIL, TAIL_SHARE * self.seconds):
            return True
        return len(tracks) >= self.length

    def fits(self, track: Track, taken: Sequence[Track]) -> bool:
        """Whether there is time for one more."""
        return self.seconds is None or (
            track.seconds is not None and lasts(taken) + track.seconds <= self.seconds + 1e-9
        )


class Pool:
    """Tracks that may be chosen, the given ones first, no version of a recording twice.

    Attributes:
        tracks: All of them.
        given: Which were given: bool, ``(n,)``.
        artists: A number for each artist, int64, ``(n,)``.
        values: What the trend is about, zeros without one: float64, ``(n,)``.
        vectors: Rows of the space.
        notes: What was left out, and what is not known.
    """

    def __init__(self, places: Places, given: list[int], found: list[int], wish: Wish, fixed: int = 1) -> None:
        """Read the tracks.

        Args:
            places: Where they stand.
            given: Database keys of seeds or ends.
            found: Of others, the most wanted first.
            wish: What is asked.
            fixed: So many of the given ones stay even where they are the same recording.

        Raises:
            InputError: The trend is about something that is not known of a given track.
            StaleIndexError: One was removed a moment ago.
        """
        tracks = read_tracks(places, [*given, *found])
        self.wish = wish
        self.notes: list[str] = []
        values = np.zeros(len(tracks))
        known = np.ones(len(tracks), bool)
        if wish.trend:
            name = wish.trend.split()[0]
            values, estimated = values_of(places, tracks, name)
            known = np.isfinite(values)
            for track, told in zip(tracks[: len(given)], known, strict=False):
                if not told:
                    raise InputError(f"the {name} of {track.item.item_id!r} is not known, so nothing can rise or fall")
            self._leave_out(known, name)
            if estimated:
                self.notes.append(f"{name} is an estimate where neither file nor table tells it")
        if wish.seconds is not None:
            tracks = [measured(track) for track in tracks]
            timed = np.array([track.seconds is not None for track in tracks])
            timed[: len(given)] = True
            self._leave_out(timed | ~known, "length")
            known &= timed
        same = versions(places, tracks)
        for at in range(fixed, len(tracks)):
            if known[at] and same[at, :at][known[:at]].any():
                known[at] = False
                if at < len(given):
                    self.notes.append(f"{tracks[at].item.item_id} is the same recording as another seed")
        kept = np.flatnonzero(known).tolist()
        self.tracks = [tracks[at] for at in kept]
        self.given: NDArray[np.bool_] = np.array([at < len(given) for at in kept])
        self.artists = np.asarray(artist_numbers(self.tracks), np.int64)
        self.values: NDArray[np.float64] = values[kept]
        self.vectors = places.vectors([track.key for track in self.tracks])
        if wish.gap and len(self.tracks) > 1 and not any(track.artist_key for track in self.tracks):
            self.notes.append("no track names an artist, so nothing is known of who comes again")

    def _leave_out(self, known: NDArray[np.bool_], what: str) -> None:
        lacking = int((~known).sum())
        if lacking:
            self.notes.append(f"{lacking} tracks near by are left out: their {what} is not known")

    @property
    def reach(self) -> int:
        """How many tracks a list may have, by number or by time."""
        if self.wish.seconds is None:
            return self.wish.length
        lengths = [track.seconds for track in self.tracks if track.seconds]
        shortest = float(np.quantile(lengths, 0.25)) if lengths else math.inf
        return max(2, min(self.wish.length, math.ceil(self.wish.seconds / shortest) + 1))

    def varied(self, costs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Costs of coming to each track (the last axis), larger or smaller as the seed has it for this track."""
        if not self.wish.seed:
            return costs
        keys = [track.key for track in self.tracks]
        return costs * np.exp([VARIETY * np.random.default_rng((self.wish.seed, key)).normal() for key in keys])

    def rising(self) -> NDArray[np.float64]:
        """Infinite for steps against the trend, else 0: float64, ``(n, n)``."""
        if self.wish.trend is None:
            return np.zeros((len(self.tracks), len(self.tracks)))
        values = self.values if self.wish.trend.endswith("up") else -self.values
        return np.where(values[:, None] <= values, 0.0, np.inf)

    def foremost(self) -> int:
        """The given track that comes first: by the trend, else as given."""
        values = self.values if self.wish.trend is None or self.wish.trend.endswith("up") else -self.values
        return int(np.argmin(np.where(self.given, values, np.inf)))

    def in_turn(self, costs: NDArray[np.float64]) -> list[int]:
        """The given tracks as early as may be, then always the one that costs least.

        Args:
            costs: Of each track, float64, ``(n,)``, or of each after each, ``(n, n)``.
        """
        now: list[Track] = []

        def preferred(taken: list[int]) -> list[int]:
            now[:] = [self.tracks[at] for at in taken]
            if self.wish.full(now):
                return []
            row = costs if costs.ndim == 1 else costs[taken[-1]] if taken else np.arange(float(len(costs)))
            return np.lexsort((row, ~self.given)).tolist() if taken or costs.ndim == 1 else list(range(len(row)))

        def fits(at: int) -> bool:
            return bool(self.given[at]) or self.wish.fits(self.tracks[at], now)

        return in_turn(self.artists.tolist(), self.wish.gap, self.reach, preferred, fits)

    def within(self, ways: list[list[int]]) -> list[int]:
        """Of ways with ever more tracks the longest that there is time for; else the shortest; empty without any."""
        some = [way for way in ways if way]
        limit = math.inf if self.wish.seconds is None else self.wish.seconds
        timely = [way for way in some if lasts([self.tracks[at] for at in way]) <= limit]
        return timely[-1] if timely else some[0] if some else []


def lasts(tracks: Sequence[Track]) -> float:
    """Seconds that tracks last together, as far as that is known."""
    return sum(track.seconds or 0.0 for track in tracks)
