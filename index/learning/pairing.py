"""Pairs from groups: what stood together in baskets, sessions and playlists, without letting best-sellers lead.

Each group spreads the same weight over its pairs whatever its size: a pair in a group of n items gets
``1 / (n - 1)``, so each item hands out 1 in all (Newman, "Scientific collaboration networks II", Physical
Review E 64, 016132, 2001, eq. 2). In an ordered group, where only neighbours are paired, n - 1 is the number of
neighbours that an item in the middle has.

What sells much stands beside everything. So of each item only the partners stay that it meets most above
chance, by normalised pointwise mutual information (Bouma, "Normalized (pointwise) mutual information in
collocation extraction", GSCL 2009):

    npmi(i, j) = ln(p(i, j) / (p(i) p(j))) / -ln p(i, j)

with p from the weights above. A pair stays when each of the two is among the other's strongest, so no item
keeps more than the cap. Equal scores are decided by weight, then by a lot that both draw alike.

Memory is bounded by the number of different items and by what is kept: events are sorted by SQLite, pairs are
summed bucket by bucket, both in temporary files.
"""

from __future__ import annotations

import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError, StorageError
from index.learning.edges import Edge, Event, Reading

MOST_PAIRED = 2_000
"""Largest group that may be paired in full: 2 million pairs."""

FOLD_PAIRS = 1_000_000
"""Pairs that are collected before equal ones are summed."""

HELD_PAIRS = 2_000_000
"""Different pairs that are held in memory before they are spilled to files."""

BUCKETS = 64
"""Files that pairs are spilled to, by their first item."""

_SMALL = 128
_RECORD = np.dtype([("key", "<i8"), ("weight", "<f8")])


@dataclass(frozen=True, slots=True)
class Pairing:
    """How pairs are made of groups.

    Attributes:
        window: In ordered groups, how many places apart two items may stand; at least 1.
        largest: In groups without order, how many items are paired in full, 2 to 2,000; of larger groups so many
            are drawn at random.
        cap: How many partners an item keeps at most; at least 1.
        least: Events with a smaller rating or count are ignored.
        seed: Of what is drawn at random; the draw depends on it and on the group's name alone.

    Raises:
        InputError: A number is out of its range.
    """

    window: int = 5
    largest: int = 100
    cap: int = 50
    least: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.window < 1 or self.cap < 1 or self.seed < 0:
            raise InputError(
                f"window and cap must be at least 1 and seed at least 0, "
                f"found window {self.window}, cap {self.cap}, seed {self.seed}"
            )
        if not 2 <= self.largest <= MOST_PAIRED:
            raise InputError(f"largest must lie between 2 and {MOST_PAIRED}, found {self.largest}")


def pairs_of_groups(events: Iterable[Event], pairing: Pairing, reading: Reading, *, ordered: bool) -> Iterator[Edge]:
    """Make weighted pairs of what stood in the same groups.

    An item that stands in a group several times counts where it stood first. Every event is read before the
    first pair comes.

    Args:
        events: In any order; equal times keep the order in which they come.
        pairing: Window, sampling and cap.
        reading: Takes note of groups, of those sampled, and of pairs made and capped.
        ordered: Pair only items that stand near each other, as in sessions and playlists; otherwise all of a group.

    Yields:
        Each unordered pair once, without relation or user; the item that came first in ``events`` is the source.
        Ordered by the first appearance of the source, then of the target.

    Raises:
        StorageError: There is no room for temporary files.
    """
    codes: dict[str, int] = {}
    try:
        with (
            tempfile.TemporaryDirectory(prefix="simkin-pairs-", ignore_cleanup_errors=True) as folder,
            closing(sqlite3.connect("", isolation_level=None)) as database,  # "": a private file, deleted when closed
        ):
            _sort_in(database, events, codes, pairing.least)
            sums = _PairSums(Path(folder))
            for group, items in _groups(database):
                _pair(group, items, pairing, reading, sums, ordered=ordered)
            names = list(codes)
            codes.clear()
            for first, second, weight in _strongest(sums, pairing.cap, reading):
                yield Edge(names[first], names[second], weight)
    except (sqlite3.OperationalError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            f"cannot sort groups in {tempfile.gettempdir()}: {reason}; free space or set TMPDIR"
        ) from None


def _sort_in(database: sqlite3.Connection, events: Iterable[Event], codes: dict[str, int], least: float) -> None:
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA temp_store = FILE")
    database.execute("CREATE TABLE events (name TEXT NOT NULL, item INTEGER NOT NULL, time REAL)")
    database.execute("BEGIN")
    database.executemany(
        "INSERT INTO events VALUES (?, ?, ?)",
        ((e.group, codes.setdefault(e.item, len(codes)), e.time) for e in events if e.value >= least),
    )
    database.execute("COMMIT")


def _groups(database: sqlite3.Connection) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Each group's name and items, in order of time, each item once."""
    rows = database.execute("SELECT name, item FROM events ORDER BY name, time, rowid")
    for name, members in groupby(rows, key=itemgetter(0)):
        first_of_each = dict.fromkeys(item for _, item in members)
        yield name, np.fromiter(first_of_each, np.int64, len(first_of_each))


def _pair(
    group: str, items: NDArray[np.int64], pairing: Pairing, reading: Reading, sums: _PairSums, *, ordered: bool
) -> None:
    count = len(items)
    if count < 2:
        return
    reading.groups += 1
    if not ordered and count > pairing.largest:
        reading.sampled += 1
        random = np.random.default_rng([pairing.seed, zlib.crc32(group.encode())])
        items = items[np.sort(random.choice(count, pairing.largest, replace=False))]
        count = pairing.largest
    window = min(pairing.window, count - 1) if ordered else count - 1
    weight = 1.0 / min(count - 1, 2 * window)
    if count <= _SMALL:
        firsts, seconds = _places(count, window)
        sums.add(items[firsts], items[seconds], weight)
    else:
        for apart in range(1, window + 1):
            sums.add(items[:-apart], items[apart:], weight)


@lru_cache(maxsize=_SMALL * 2)
def _places(count: int, window: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    firsts, seconds = np.triu_indices(count, 1)
    near = seconds - firsts <= window
    return firsts[near], seconds[near]


class _PairSums:
    """Weights of pairs, added up; spilled to files, by first item, when they are many."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.strength = np.zeros(1024)
        self._waiting: list[tuple[NDArray[np.int64], NDArray[np.int64], float]] = []
        self._waiting_pairs = 0
        self._held: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        self._held_pairs = 0
        self._spilled = False

    def add(self, firsts: NDArray[np.int64], seconds: NDArray[np.int64], weight: float) -> None:
        self._waiting.append((firsts, seconds, weight))
        self._waiting_pairs += len(firsts)
        if self._waiting_pairs >= FOLD_PAIRS:
            self._fold()

    def buckets(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Every pair both ways round: keys (first item × 2³² + second) ascending, and weights; an item's together."""
        self._fold()
        if not self._spilled:
            yield _summed(*self._both_ways())
            return
        self._spill()
        for bucket in range(BUCKETS):
            path = self._path(bucket)
            if path.exists():
                records = np.fromfile(path, _RECORD)
                path.unlink()
                yield _summed(records["key"], records["weight"])

    def _fold(self) -> None:
        if not self._waiting:
            return
        firsts = np.concatenate([firsts for firsts, _, _ in self._waiting])
        seconds = np.concatenate([seconds for _, seconds, _ in self._waiting])
        weights = np.repeat([weight for _, _, weight in self._waiting], [len(firsts) for firsts, _, _ in self._waiting])
        self._waiting, self._waiting_pairs = [], 0
        self._strengthen(firsts, weights)
        self._strengthen(seconds, weights)
        keys, sums = _summed((np.minimum(firsts, seconds) << 32) | np.maximum(firsts, seconds), weights)
        self._held.append((keys, sums))
        self._held_pairs += len(keys)
        if self._held_pairs > HELD_PAIRS:
            self._spill()

    def _strengthen(self, items: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        needed = int(items.max()) + 1
        if needed > len(self.strength):
            self.strength = np.concatenate([self.strength, np.zeros(max(needed, 2 * len(self.strength)))])
        self.strength[:needed] += np.bincount(items, weights, needed)

    def _both_ways(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        keys = np.concatenate([keys for keys, _ in self._held] or [np.zeros(0, np.int64)])
        weights = np.concatenate([weights for _, weights in self._held] or [np.zeros(0)])
        return np.concatenate([keys, ((keys & 0xFFFFFFFF) << 32) | (keys >> 32)]), np.concatenate([weights, weights])

    def _spill(self) -> None:
        keys, weights = self._both_ways()
        self._held, self._held_pairs, self._spilled = [], 0, True
        places = (keys >> 32) % BUCKETS
        order = np.argsort(places, kind="stable")
        ends = np.searchsorted(places[order], np.arange(BUCKETS + 1))
        records = np.empty(len(keys), _RECORD)
        records["key"], records["weight"] = keys[order], weights[order]
        for bucket in range(BUCKETS):
            with self._path(bucket).open("ab") as file:
                records[ends[bucket] : ends[bucket + 1]].tofile(file)

    def _path(self, bucket: int) -> Path:
        return self.folder / f"{bucket:02d}"


def _summed(keys: NDArray[np.int64], weights: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Equal keys once, ascending, with the sum of their weights."""
    if not len(keys):
        return keys, weights
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[starts], np.add.reduceat(weights[order], starts)


def _strongest(sums: _PairSums, cap: int, reading: Reading) -> Iterator[tuple[int, int, float]]:
    """Pairs of which each is among the other's ``cap`` strongest partners, ascending."""
    kept: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
    ways = 0
    for keys, weights in sums.buckets():
        ways += len(keys)
        chosen = _top(keys, weights, sums.strength, cap)
        firsts, seconds = keys[chosen] >> 32, keys[chosen] & 0xFFFFFFFF
        kept.append(((np.minimum(firsts, seconds) << 32) | np.maximum(firsts, seconds), weights[chosen]))
    keys = np.concatenate([keys for keys, _ in kept])
    order = np.argsort(keys, kind="stable")
    keys, weights = keys[order], np.concatenate([weights for _, weights in kept])[order]
    mutual = np.flatnonzero(keys[1:] == keys[:-1])
    reading.pairs += ways // 2
    reading.capped += ways // 2 - len(mutual)
    for start in range(0, len(mutual), 65_536):
        block = mutual[start : start + 65_536]
        yield from zip(
            (keys[block] >> 32).tolist(), (keys[block] & 0xFFFFFFFF).tolist(), weights[block].tolist(), strict=True
        )


def _top(
    keys: NDArray[np.int64], weights: NDArray[np.float64], strength: NDArray[np.float64], cap: int
) -> NDArray[np.intp]:
    """Positions of each first item's ``cap`` strongest partners, by score, then weight; both decide ties alike."""
    firsts, seconds = keys >> 32, keys & 0xFFFFFFFF
    scores = npmi(weights, strength[firsts], strength[seconds], float(strength.sum())).round(9)  # sums are inexact
    order = np.lexsort((_lots(firsts, seconds), -weights.round(9), -scores, firsts))
    ranked = firsts[order]
    starts = np.searchsorted(ranked, ranked)  # where each position's item begins
    return order[np.arange(len(order)) - starts < cap]


def _lots(firsts: NDArray[np.int64], seconds: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A lot for each unordered pair, so that ties fall evenly on all items (the finalizer of MurmurHash3)."""
    lots = ((np.minimum(firsts, seconds) << 32) | np.maximum(firsts, seconds)).astype(np.uint64)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        lots = (lots ^ (lots >> np.uint64(33))) * np.uint64(factor)
    return lots ^ (lots >> np.uint64(33))


def npmi(
    together: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64], total: float
) -> NDArray[np.float64]:
    """Normalised pointwise mutual information (Bouma 2009): 1 always together, 0 as often as by chance, -1 never.

    Args:
        together: Weights of unordered pairs, above 0, shape ``(m,)``.
        first: Sum over all pairs of the weights that the first item has, shape ``(m,)``.
        second: The same of the second item, shape ``(m,)``.
        total: Sum of such sums over all items: twice the weight of all pairs.

    Returns:
        float64, shape ``(m,)``.
    """
    return np.log(together * total / (first * second)) / -np.log(together / total)
