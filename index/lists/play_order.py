"""Play order: the tracks of a playlist, around seeds, in a chain, or along a path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.answering.places import Places
from index.engine.generations import RANDOM_LEVELS
from index.lists.candidates import Candidates
from index.lists.pool import Pool, Wish
from index.lists.sequencing import walk
from index.lists.tracks import Track, measured, read_tracks, versions

LARGEST = 3000
"""Tracks looked at, at most, where many of those around the seeds may not follow each other."""

FEWEST = 300
"""Tracks looked at, at least."""

WALKED = 600
"""Tracks among which ways are looked for, at most, and more than three for each that is asked for."""

PLACES = 16
"""Places along a path around which tracks are looked for."""

NEAR = 60
"""Tracks around one place that are looked at first."""

EVENNESS = 2.0
"""Cost of being the whole way ahead or behind on a path, squared, in squared random steps. On 25 paths of 20 tracks
among 164 songs, the lowest score of a step is 0.42 on average, as it is without, and 0.40 at twice the cost."""

WANTED = 1e6
"""What it is worth to come by a seed: more than all steps together cost."""


@dataclass(frozen=True, slots=True)
class Order:
    """Tracks in order.

    Attributes:
        tracks: The tracks.
        scores: Of each with the seeds, or with the track before it; ``None`` where there is nothing to compare.
        values: Tempo or energy of each, where a trend is asked for; else empty.
        notes: What could not be done as asked.
    """

    tracks: list[Track]
    scores: list[float | None]
    values: list[float]
    notes: list[str]


def radius(places: Places, seeds: list[int], wish: Wish) -> Order:
    """The seeds, then the tracks closest to all of them together, closest first; with a trend, sorted by it."""
    candidates = Candidates(places, wish.where)
    asked = _middle(places, seeds)
    for count in _counts(wish):
        keys, _ = candidates.around(asked, count, seeds)
        pool = Pool(places, seeds, keys.tolist(), wish)
        apart = places.apart(asked[None], pool.vectors)
        costs = pool.varied(apart[0])
        if wish.trend:
            nodes = np.where(pool.given, -WANTED, costs)
            taken = pool.within(walk(pool.rising(), nodes, pool.artists, wish.gap, pool.reach))
        else:
            taken = pool.in_turn(costs)
        if wish.full([pool.tracks[at] for at in taken]) or len(keys) < count:
            break
    scores = [None if pool.given[at] else float(places.scores(apart[:, [at]])[0, 0]) for at in taken]
    return _order(pool, taken, scores)


def chain(places: Places, seeds: list[int], wish: Wish) -> Order:
    """The seeds, then always the track closest to the one before; with a trend, the steps together least."""
    candidates = Candidates(places, wish.where)
    if wish.trend is None:
        followed = _followed(places, candidates, seeds, wish)
        if wish.full(followed.tracks):
            return followed  # else it ran into a dead end, and all is looked at together
    for count in _counts(wish):
        keys, _ = candidates.around(_middle(places, seeds), count, seeds)
        pool = Pool(places, seeds, keys.tolist(), wish)
        apart = places.apart(pool.vectors, pool.vectors)
        costs = pool.varied(apart)
        if wish.trend:
            nodes = np.where(pool.given, -WANTED, 0.0)
            ways = walk(costs + pool.rising(), nodes, pool.artists, wish.gap, pool.reach, pool.foremost())
            taken = pool.within(ways)
        else:
            taken = pool.in_turn(costs)
        if wish.full([pool.tracks[at] for at in taken]) or len(keys) < count:
            break
    return _order(pool, taken, _steps(places, apart, taken))


def path(places: Places, ends: list[int], wish: Wish) -> Order:
    """From one track to another in small steps, each smaller than half of all steps between random tracks.

    Of the ways with as many tracks as asked for the one whose steps, as fourth powers of distances, sum to the
    least, so that a large step costs more than several small ones, with a price on being ahead or behind on the line
    from one end to the other.
    """
    around = max(NEAR, 2 * wish.length)
    keys = Candidates(places, wish.where).between(ends, PLACES, around, max(WALKED, 3 * wish.length))
    pool = Pool(places, ends, keys, wish, fixed=2)
    apart = places.apart(pool.vectors, pool.vectors)
    scores = places.scores(apart)
    random = places.space.record.relations[places.relation.name].random
    small = scores > np.interp(0.5, RANDOM_LEVELS, random)
    costs = (pool.varied(apart) / max(float(np.median(apart)), 1e-9)) ** 2 + pool.rising()
    progress = _ranks(places.points(pool.vectors))
    nodes = EVENNESS * (progress - np.linspace(0, 1, pool.reach)[:, None]) ** 2
    taken: list[int] = []
    for allowed in (small, np.ones_like(small)):
        if not taken:
            steps = np.where(allowed, costs, np.inf)
            taken = pool.within(walk(steps, nodes, pool.artists, wish.gap, pool.reach, 0, 1))
    if not taken:
        taken = [0, 1]
        pool.notes.append("no way leads from one end to the other by these rules; only the ends are told")
    large = int(np.sum(~small[taken[:-1], taken[1:]]))
    if large:
        pool.notes.append(f"{large} of {len(taken) - 1} steps are no smaller than half of all between random tracks")
    return _order(pool, taken, _steps(places, apart, taken))


def _ranks(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far along the line from item 0 to item 1 each lies, evenly ranked from 0 to 1. float64, ``(n,)``."""
    line = points.astype(np.float64) @ (points[1] - points[0])
    line[0], line[1] = -np.inf, np.inf
    ranks = np.empty(len(line))
    ranks[np.argsort(line, kind="stable")] = np.linspace(0, 1, len(line))
    return ranks


def _middle(places: Places, seeds: list[int]) -> NDArray[np.float32]:
    return places.space.combine(places.vectors(seeds), np.ones(len(seeds), np.float32))


def _counts(wish: Wish) -> Iterator[int]:
    """How many tracks to look at: more and more, as long as there are not enough."""
    most = max(WALKED, 3 * wish.length) if wish.trend else LARGEST
    count = max(FEWEST, 4 * wish.length)
    while count < most:
        yield count
        count *= 4
    yield most


def _order(pool: Pool, taken: list[int], scores: list[float | None]) -> Order:
    values = [float(pool.values[at]) for at in taken] if pool.wish.trend else []
    return Order([pool.tracks[at] for at in taken], scores, values, pool.notes)


def _steps(places: Places, apart: NDArray[np.float64], taken: list[int]) -> list[float | None]:
    """Score of each track with the one before it."""
    return [None, *places.scores(apart[taken[:-1], taken[1:]]).tolist()] if taken else []


def _followed(places: Places, candidates: Candidates, seeds: list[int], wish: Wish) -> Order:
    """Follow a chain through the whole catalog; the tracks around the last one are looked at for the next."""
    given = Pool(places, seeds, [], wish)
    waiting = list(given.tracks)
    taken = [waiting.pop(0)]
    order = Order(taken, [None], [], given.notes)
    while not wish.full(taken):
        following = next((track for track in waiting if _may_follow(track, taken, wish)), None)
        if following:
            waiting.remove(following)
        else:
            following = _next(places, candidates, taken, waiting, wish)
        if following is None:
            break
        rows = places.vectors([taken[-1].key, following.key])
        order.scores.append(float(places.scores(places.apart(rows[:1], rows[1:]))[0, 0]))
        taken.append(following)
    return order


def _may_follow(track: Track, taken: Sequence[Track], wish: Wish) -> bool:
    recent = [other.artist_key for other in taken[-wish.gap :]] if wish.gap else []
    return not track.artist_key or track.artist_key not in recent


def _next(places: Places, candidates: Candidates, taken: list[Track], waiting: list[Track], wish: Wish) -> Track | None:
    last = places.vectors([taken[-1].key])
    own = [track.key for track in (*taken, *waiting)]
    count = NEAR
    while count < LARGEST:
        keys, _ = candidates.around(last[0], count, own)
        near = [track for track in read_tracks(places, keys.tolist()) if _may_follow(track, taken, wish)]
        if wish.seconds is not None:
            near = [track for track in map(measured, near) if wish.fits(track, taken)]
        pool = Pool(places, [], [track.key for track in near], wish)
        costs = pool.varied(places.apart(last, pool.vectors)[0])
        before = [*taken, *waiting]
        ranked: list[Track] = [pool.tracks[at] for at in np.argsort(costs, kind="stable")]
        again = versions(places, [*before, *ranked])[: len(before), len(before) :]
        different = np.flatnonzero(~again.any(axis=0)).tolist()
        if different:
            return ranked[different[0]]
        if len(keys) < count:
            return None
        count *= 4
    return None
