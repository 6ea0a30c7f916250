"""Asking: rows of one partition ask another one, and what is found is merged with what others had found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from index.embedding.shards import placed
from index.engine.calibrate import categories_for
from index.engine.rows import Space
from index.engine.search import SPARE, Restriction, Searcher
from index.errors import StorageError
from index.partitioned.terms import ANSWERS, Terms, open_partition

CHUNK = 20_000
"""Rows that ask at once: what is lost with a worker, and for how many rows a partition stays mapped."""


UNREADABLE = (OSError, ValueError, KeyError, EOFError, BadZipFile)
"""What reading a file of answers raises that is gone or damaged."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of one partition that ask together."""

    number: int
    partition: int
    start: int
    stop: int


def chunks_of(counts: list[int]) -> list[Chunk]:
    """All rows of partitions of so many rows, chunk by chunk."""
    found: list[Chunk] = []
    for partition, count in enumerate(counts):
        for start in range(0, count, CHUNK):
            found.append(Chunk(len(found), partition, start, min(start + CHUNK, count)))
    return found


@dataclass(frozen=True, slots=True)
class Answers:
    """The closest found so far for each row of a chunk, best first.

    Attributes:
        partitions: Of which partition each answer is a row; -1 where there are not so many. int32, ``(n, k)``.
        rows: Which row of it. int32, ``(n, k)``.
        scores: float32, ``(n, k)``; -∞ where there is none.
        asked: How many partitions were asked, in their order.
    """

    partitions: NDArray[np.int32]
    rows: NDArray[np.int32]
    scores: NDArray[np.float32]
    asked: int

    @classmethod
    def none(cls, count: int, k: int, asked: int = 0) -> Answers:
        """Nobody answered."""
        partitions, rows = np.full((2, count, k), -1, np.int32)
        return cls(partitions, rows, np.full((count, k), -np.inf, np.float32), asked)

    def joined(self, other: Answers) -> Answers:
        """The best of both; of equals those found first. ``other`` is of the partition asked next."""
        scores = np.hstack([self.scores, other.scores])
        best = np.argsort(-scores, axis=1, kind="stable")[:, : self.scores.shape[1]]
        partitions = np.take_along_axis(np.hstack([self.partitions, other.partitions]), best, 1)
        rows = np.take_along_axis(np.hstack([self.rows, other.rows]), best, 1)
        return Answers(partitions, rows, np.take_along_axis(scores, best, 1), other.asked)

    def save(self, work: Path, chunk: int) -> None:
        """Put them in place of what was found before."""
        with placed(_path(work, chunk)) as partial, partial.open("wb") as file:
            np.savez(file, partitions=self.partitions, rows=self.rows, scores=self.scores, asked=self.asked)

    @classmethod
    def load(cls, work: Path, chunk: int) -> Answers | None:
        """What was found so far; ``None`` for nothing, or nothing that can be read."""
        try:
            with _path(work, chunk).open("rb") as file, np.load(file) as held:
                return cls(held["partitions"], held["rows"], held["scores"], int(held["asked"]))
        except UNREADABLE:
            return None


def asked_so_far(work: Path, chunk: int) -> int:
    """How many partitions a chunk has asked."""
    try:
        with _path(work, chunk).open("rb") as file, np.load(file) as held:
            return int(held["asked"])
    except UNREADABLE:
        return 0


def _path(work: Path, chunk: int) -> Path:
    return work / ANSWERS / f"{chunk:06d}.npz"


def partitions_asked(terms: Terms, partition: int) -> list[int]:
    """Whom the rows of a partition ask: all of its modality, in order."""
    modality = terms.partitions[partition].modality
    return [number for number, other in enumerate(terms.partitions) if other.modality == modality]


def finished(work: Path, terms: Terms, chunk: Chunk) -> Answers:
    """What was found for a chunk once it has asked everybody.

    Raises:
        StorageError: It is gone, damaged or older; it will be found again.
    """
    found = Answers.load(work, chunk.number)
    if found is None or found.asked < len(partitions_asked(terms, chunk.partition)):
        if found is None:
            _path(work, chunk.number).unlink(missing_ok=True)
        raise StorageError(f"answers in {_path(work, chunk.number)} are gone; run the same command again")
    return found


class Asker:
    """Has chunks ask partitions; keeps the partition that was asked last open."""

    def __init__(self, work: Path, terms: Terms) -> None:
        self.work, self.terms = work, terms
        self._open: tuple[int, Space, Searcher | None] | None = None

    def ask(self, chunk: Chunk, turn: int) -> None:
        """Have a chunk ask the partition whose turn it is, of those it asks, unless it did.

        Raises:
            StorageError, OSError: Something cannot be read or written.
        """
        known = Answers.load(self.work, chunk.number) or Answers.none(chunk.stop - chunk.start, self.terms.k)
        for at in range(known.asked, turn + 1):  # those before, too, where answers were lost
            known = known.joined(self._answers(chunk, partitions_asked(self.terms, chunk.partition)[at], at + 1))
        known.save(self.work, chunk.number)

    def _answers(self, chunk: Chunk, number: int, asked: int) -> Answers:
        k, relation = self.terms.k, self.terms.relation
        found = Answers.none(chunk.stop - chunk.start, k, asked)
        space, searcher = self._opened(number)
        if searcher is None:
            return found
        own = open_partition(self.work, self.terms, chunk.partition)
        numbers = np.arange(chunk.start, chunk.stop)
        vectors, codes = own.rows_at(numbers), own.categories_of(numbers).tolist()
        masks = {code: categories_for(space, relation, own.record.categories[code]) for code in set(codes)}
        for at, (row, code) in enumerate(zip(numbers.tolist(), codes, strict=True)):
            allowed = masks[code]
            if not np.count_nonzero(vectors[at]) or (allowed is not None and not allowed.any()):
                continue
            itself = np.asarray([row] if number == chunk.partition else [], np.int64)
            best = searcher.search(vectors[at], k + SPARE, Restriction(allowed, None, itself))
            count = min(k, len(best.rows))
            found.partitions[at, :count], found.rows[at, :count] = number, best.rows[:count]
            found.scores[at, :count] = space.scores(vectors[at], best.scores[:count])
        return found

    def _opened(self, number: int) -> tuple[Space, Searcher | None]:
        """A partition, and who searches it; nobody where it is empty."""
        if self._open is None or self._open[0] != number:
            space = open_partition(self.work, self.terms, number)
            self._open = number, space, Searcher(space, self.terms.relation) if space.record.count else None
        return self._open[1], self._open[2]
