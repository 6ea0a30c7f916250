"""The ratings of MovieLens, in its older form with ``::`` and in its newer one as CSV.

Harper and Konstan, "The MovieLens datasets: history and context", ACM TiiS 5(4), 2015.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from index.learning.edges import Event, Reading, UnusableRowError, identity, moment, positive
from index.learning.lines import numbered_lines

HEADER = "userId,movieId,rating,timestamp"


def read_ratings(path: Path, reading: Reading) -> Iterator[Event]:
    """Read ``ratings.dat`` (``user::movie::rating::time``) or ``ratings.csv`` (with its header).

    Args:
        path: The file, plain or gzipped.
        reading: Takes note of lines that cannot be used.

    Yields:
        An event for each rating: user, movie, time in seconds since 1970 (UTC), rating from 0.5 to 5.

    Raises:
        InputError: The file cannot be read, holds nothing, or more than half of its lines cannot be used.
    """
    rows, bad = reading.rows, reading.bad
    for number, line in numbered_lines(path):
        if number == 1 and line == HEADER:
            continue
        reading.rows += 1
        try:
            fields = line.split("::" if "::" in line else ",")
            if len(fields) != 4:
                raise UnusableRowError(f"expected user, movie, rating and time, found {line[:40]}")
            event = Event(
                identity(fields[0], "user"), identity(fields[1], "movie"), moment(fields[3]), positive(fields[2])
            )
        except UnusableRowError as problem:
            reading.leave_out(f"line {number}", str(problem))
            continue
        yield event
    reading.check(path, rows, bad)
