"""Formats of behaviour data: told from a file's name and first line where sure, and read as one stream of edges."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from index.errors import InputError, UnknownNameError
from index.ingesting.tables import TABLE_SUFFIXES
from index.learning.amazon import read_meta, read_reviews
from index.learning.edges import Edge, Event, Reading, read_events, read_pairs, table_kind, table_suffix
from index.learning.groups import EventLog
from index.learning.lines import open_text, reading_errors
from index.learning.millionsong import read_taste_profile
from index.learning.movielens import HEADER, read_ratings
from index.learning.pairing import Pairing, pairs_of_groups
from index.learning.playlists import PLAYLIST_SUFFIXES, read_playlists
from index.learning.street2shop import read_street2shop

EdgeReader: TypeAlias = Callable[[Path, Reading], Iterator[Edge]]
EventReader: TypeAlias = Callable[[Path, Reading], Iterator[Event]]

PAIR_FORMATS: Mapping[str, EdgeReader] = {
    "pairs": read_pairs,
    "amazon-meta": read_meta,
    "street2shop": read_street2shop,
}
"""Formats whose rows are edges."""

BASKET_FORMATS: Mapping[str, EventReader] = {
    "baskets": read_events,
    "millionsong": read_taste_profile,
}
"""Formats whose rows are events without order: all items of a group are paired."""

SEQUENCE_FORMATS: Mapping[str, EventReader] = {
    "sequences": read_events,
    "playlists": read_playlists,
    "amazon-reviews": read_reviews,
    "movielens": read_ratings,
}
"""Formats whose rows are events in order: items near each other are paired."""

FORMATS = (*PAIR_FORMATS, *BASKET_FORMATS, *SEQUENCE_FORMATS)

FIRST_LINE = 1 << 16
"""Characters of the first line that are looked at."""

_FIRST_LINES: Mapping[str, str] = {
    "amazon-reviews": r"\{(?=.*['\"]reviewerID['\"]:)(?=.*['\"]asin['\"]:)",
    "amazon-meta": r"\{(?=.*['\"]asin['\"]:)(?=.*['\"](related|also_buy|also_view|imUrl|salesRank|main_cat)['\"]:)",
    "street2shop": r"\[\s*\{(?=[^\[\]]*\"photo\":)(?=[^\[\]]*\"product\":)",
    "millionsong": r"[0-9a-f]{40}\tSO[0-9A-Z]{16}\t\d+$",
    "movielens": rf"\d+::\d+::[\d.]+::\d+$|{HEADER}$",
}
"""Format → what its first line looks like and no other's does; the first that fits is taken."""


def read_edges(
    source: Path,
    *,
    format: str = "",
    pairing: Pairing | None = None,
    reading: Reading | None = None,
    log: EventLog | None = None,
) -> Iterator[Edge]:
    """Read the edges of a file or folder, whatever its format; pairs are made of groups.

    Args:
        source: A table of pairs or of groups (CSV, TSV, JSON lines, Parquet), an M3U playlist or a folder of them, or
            a file of one of the public data sets in ``FORMATS``. Text may be gzipped.
        format: One of ``FORMATS``; when empty, it is told from the file's name and first line. Naming ``baskets`` for
            a table with times pairs whole groups, naming ``sequences`` for one without pairs neighbours by row.
        pairing: How pairs are made of groups.
        reading: Takes note of what was met and left out.
        log: Keeps events that pairs are made of.

    Yields:
        Edges one at a time: in the file's order where its rows are edges, and as ``pairs_of_groups`` orders them
        where they are events. What is wrong with a file's end is known only there: keep nothing before.

    Raises:
        InputError: The source cannot be read, its format cannot be told, or more than half of its rows are unusable.
        UnknownNameError: There is no such format.
        StorageError: There is no room for temporary files.
    """
    reading = reading or Reading()
    pairing = pairing or Pairing()
    format = format or detect_format(source)
    if format in PAIR_FORMATS:
        yield from PAIR_FORMATS[format](source, reading)
    elif format in BASKET_FORMATS or format in SEQUENCE_FORMATS:
        ordered = format in SEQUENCE_FORMATS
        events = (SEQUENCE_FORMATS if ordered else BASKET_FORMATS)[format](source, reading)
        yield from pairs_of_groups(
            log.keep(events, ordered=ordered) if log else events, pairing, reading, ordered=ordered
        )
    else:
        raise UnknownNameError.of("format", format, FORMATS)


def detect_format(source: Path) -> str:
    """Tell the format of a file or folder, one of ``FORMATS``, from its name and first line.

    Raises:
        InputError: It cannot be read or is empty, or its format cannot be told.
    """
    if source.is_dir() or source.suffix.lower() in PLAYLIST_SUFFIXES:
        return "playlists"
    suffix = table_suffix(source)
    if suffix in (".parquet", ".pq"):
        return table_kind(source)
    with reading_errors(source), open_text(source) as file:
        first = file.readline(FIRST_LINE).strip()
    for name, look in _FIRST_LINES.items():
        if re.match(look, first):
            return name
    if suffix in TABLE_SUFFIXES:
        return table_kind(source)
    if not first:
        raise InputError(f"{source} is empty, or begins with an empty line; expected behaviour data")
    raise InputError(
        f"cannot tell the format of {source}, which begins with {first[:40]!r}; name it, one of: {', '.join(FORMATS)}"
    )
