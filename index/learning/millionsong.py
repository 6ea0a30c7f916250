"""The taste profile of the Million Song Dataset: who played which song how often.

Bertin-Mahieux, Ellis, Whitman and Lamere, "The Million Song Dataset", ISMIR 2011; McFee, Bertin-Mahieux, Ellis
and Lanckriet, "The Million Song Dataset Challenge", 2012.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from index.learning.edges import Event, Reading, UnusableRowError, identity, positive
from index.learning.lines import numbered_lines


def read_taste_profile(path: Path, reading: Reading) -> Iterator[Event]:
    """Read ``train_triplets.txt``: user, song and number of plays, separated by tabs.

    Args:
        path: The file, plain or gzipped.
        reading: Takes note of lines that cannot be used.

    Yields:
        An event for each line: listener, song, no time, number of plays.

    Raises:
        InputError: The file cannot be read, holds nothing, or more than half of its lines cannot be used.
    """
    rows, bad = reading.rows, reading.bad
    for number, line in numbered_lines(path):
        reading.rows += 1
        try:
            fields = line.split("\t")
            if len(fields) != 3:
                raise UnusableRowError(f"expected user, song and count between tabs, found {line[:40]}")
            event = Event(identity(fields[0], "user"), identity(fields[1], "song"), None, positive(fields[2]))
        except UnusableRowError as problem:
            reading.leave_out(f"line {number}", str(problem))
            continue
        yield event
    reading.check(path, rows, bad)
