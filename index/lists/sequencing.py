"""Sequencing: which track comes after which, so that no artist comes again too soon."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

KEPT = 4
"""Ways to each track that are carried on, at least; see ``walk``."""

STATES = 2000
"""In small pools so many ways are carried on altogether, which tries nearly all there are."""


def longest(counts: Counter[int], recent: Sequence[int], gap: int, most: int) -> int:
    """How many more tracks can follow when each artist waits for ``gap`` others before coming again.

    The artist with most tracks left among those that may come is always taken, as in scheduling tasks with cooling
    times; any other choice can be exchanged for it.

    Args:
        counts: Tracks left by artist.
        recent: Artists of the last tracks, at most ``gap``, the latest last.
        gap: Other tracks between two of one artist.
        most: More than so many need not be counted.
    """
    waits = {artist: gap - age for age, artist in enumerate(reversed(recent))}
    if sum(1 for artist, count in counts.items() if count and artist not in waits) >= most:
        return most
    ready = [(-count, artist) for artist, count in counts.items() if count and artist not in waits]
    heapq.heapify(ready)
    cooling = sorted((wait, artist, counts[artist]) for artist, wait in waits.items() if counts[artist])
    heapq.heapify(cooling)
    for played in range(most):
        while cooling and cooling[0][0] <= played:
            _, artist, count = heapq.heappop(cooling)
            heapq.heappush(ready, (-count, artist))
        if not ready:
            return played
        left, artist = heapq.heappop(ready)
        if left < -1:
            heapq.heappush(cooling, (played + gap + 1, artist, -left - 1))
    return most


def in_turn(
    artists: Sequence[int],
    gap: int,
    length: int,
    preferred: Callable[[list[int]], Iterable[int]],
    fits: Callable[[int], bool] = lambda _: True,
) -> list[int]:
    """Take one track after another, each the most preferred that may come and that leaves room for all the rest.

    Args:
        artists: Of each track; tracks whose artist nobody knows have numbers of their own.
        gap: Other tracks between two of one artist.
        length: How many to take.
        preferred: Given those taken so far, all tracks, most preferred first.
        fits: Whether a track may be taken at all now.

    Returns:
        Tracks in order: as many as asked for, or the longest list there is.
    """
    counts = Counter(artists)
    left = set(range(len(artists)))
    taken: list[int] = []
    goal = longest(counts, [], gap, length)
    while len(taken) < goal:
        recent = [artists[at] for at in taken[-gap:]] if gap else []
        chosen = None
        for track in preferred(taken):
            artist = artists[track]
            if track not in left or artist in recent or not fits(track):
                continue
            counts[artist] -= 1
            after = [*recent, artist][-gap:] if gap else []
            if longest(counts, after, gap, goal - len(taken) - 1) == goal - len(taken) - 1:
                chosen = track
                break
            counts[artist] += 1
        if chosen is None:
            break
        left.remove(chosen)
        taken.append(chosen)
    return taken


def walk(
    steps: NDArray[np.float64],
    nodes: NDArray[np.float64],
    artists: NDArray[np.int64],
    gap: int,
    length: int,
    first: int | None = None,
    last: int | None = None,
) -> list[list[int]]:
    """The least costly ways through tracks, for each number of tracks up to a length.

    Dynamic programming over positions (Bellman, 1957). As no track may come twice and artists wait, the best way to
    a track may forbid the best way onwards; so the ``KEPT`` best ways to each are carried on, as in the list Viterbi
    algorithm (Seshadri & Sundberg, IEEE Trans. Commun. 1994).

    Args:
        steps: Cost of going from one track to another, infinite where forbidden: float64, ``(n, n)``.
        nodes: Cost of coming by a track: float64, ``(n,)``, or at each position, ``(length, n)``.
        artists: int64, ``(n,)``; tracks whose artist nobody knows have numbers of their own.
        gap: Other tracks between two of one artist.
        length: Most tracks, at least 1.
        first: Where every way begins; ``None`` for anywhere.
        last: Where every way ends; ``None`` for anywhere.

    Returns:
        For 1, 2, …, ``length`` tracks the way found, as tracks in order; empty where there is none.
    """
    count = len(steps)
    nodes = np.broadcast_to(nodes, (length, count))
    keep = max(KEPT, STATES // count)
    ways = np.arange(count)[:, None] if first is None else np.asarray([[first]])
    costs = nodes[0, ways[:, 0]]
    used = np.zeros((len(ways), count), bool)
    used[np.arange(len(ways)), ways[:, 0]] = True
    found: list[list[int]] = []
    if last is None or (first is not None and first == last):
        found.append(ways[int(np.argmin(costs))].tolist())
    else:
        found.append([last] if first is None else [])
    for position in range(1, length):
        onwards = costs[:, None] + steps[ways[:, -1]] + nodes[position]
        onwards[used] = np.inf
        for track in ways[:, max(0, ways.shape[1] - gap) :].T if gap else ():
            onwards[artists[track][:, None] == artists] = np.inf
        if last is not None:
            best = int(np.argmin(onwards[:, last]))
            found.append([*ways[best].tolist(), last] if np.isfinite(onwards[best, last]) else [])
            onwards[:, last] = np.inf
        before = np.argsort(onwards, axis=0, kind="stable")[:keep] if len(onwards) <= keep else _least(onwards, keep)
        reached = np.take_along_axis(onwards, before, axis=0)
        rows, track = np.nonzero(np.isfinite(reached))
        if not len(rows):
            break
        before, costs = before[rows, track], reached[rows, track]
        ways = np.column_stack([ways[before], track])
        used = used[before]
        used[np.arange(len(used)), track] = True
        if last is None:
            found.append(ways[int(np.argmin(costs))].tolist())
    return found + [[]] * (length - len(found))


def _least(costs: NDArray[np.float64], keep: int) -> NDArray[np.int64]:
    """Rows of the least costs of each column, in row order: int64, ``(keep, n)``."""
    return np.sort(np.argpartition(costs, keep - 1, axis=0)[:keep], axis=0)
