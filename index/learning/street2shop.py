"""The Street2Shop data: which shop photos show the product of a street photo.

Kiapour, Han, Lazebnik, Berg and Berg, "Where to buy it: matching street clothing photos in online shops",
ICCV 2015.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from index.errors import InputError
from index.learning.edges import Edge, Reading, UnusableRowError
from index.learning.lines import open_text, reading_errors

BLOCK = 1 << 16
"""Characters read at a time."""

LONGEST = 1 << 20
"""Longest single entry, in characters."""

_SPACE = re.compile(r"[\s,]*")


def read_street2shop(path: Path, reading: Reading, *, digits: int = 9) -> Iterator[Edge]:
    """Read ``train_pairs_*.json`` or ``test_pairs_*.json`` with the ``retrieval_*.json`` that stands beside it.

    Args:
        path: A list of objects with ``photo`` (a street photo) and ``product``; the file of the same category in the
            same folder says which shop photos (``photo``) show a ``product``.
        reading: Takes note of entries that cannot be used, or whose product has no shop photo.
        digits: Photo numbers are filled with zeros to so many digits, as the data's list of addresses writes them.

    Yields:
        An edge from the street photo to each shop photo of its product, of relation ``substitute``; their weights
        sum to 1. Ids are photo numbers.

    Raises:
        InputError: One of the two files cannot be read, is missing or empty, or more than half of its entries cannot
            be used.
    """
    shop: defaultdict[int, list[int]] = defaultdict(list)
    for product, photo in _photos(_retrieval(path), reading):
        shop[product].append(photo)
    rows, bad = reading.rows, reading.bad
    for product, photo in _photos(path, reading):
        if not shop[product]:
            reading.leave_out(f"photo {photo} of {path.name}", f"product {product} has no shop photo")
        for shown in shop[product]:
            yield Edge(f"{photo:0{digits}d}", f"{shown:0{digits}d}", 1.0 / len(shop[product]), "substitute")
    reading.check(path, rows, bad)


def _retrieval(path: Path) -> Path:
    category = path.name.partition("_pairs_")[2]
    if not category:
        raise InputError(f"{path} must be named train_pairs_CATEGORY.json or test_pairs_CATEGORY.json; rename it")
    beside = path.with_name(f"retrieval_{category}")
    if not beside.exists():
        raise InputError(f"{path} names products only; put {beside.name}, which lists their photos, into its folder")
    return beside


def _photos(path: Path, reading: Reading) -> Iterator[tuple[int, int]]:
    """Product and photo of each entry of a file."""
    rows, bad = reading.rows, reading.bad
    for number, entry in enumerate(stream_list(path), 1):
        reading.rows += 1
        try:
            product, photo = _number(entry, "product"), _number(entry, "photo")
        except UnusableRowError as problem:
            reading.leave_out(f"entry {number} of {path.name}", str(problem))
            continue
        yield product, photo
    reading.check(path, rows, bad)


def _number(entry: object, name: str) -> int:
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UnusableRowError(f"expected a number as {name!r}, found {str(entry)[:40]}")
    return value


def stream_list(path: Path) -> Iterator[Any]:
    """Read the entries of a file that holds one JSON list, however long, a block at a time.

    Raises:
        InputError: The file cannot be read, or is no JSON list, or an entry passes a million characters.
    """
    decoder = json.JSONDecoder()
    with reading_errors(path), open_text(path) as file:
        held = file.read(BLOCK).lstrip()
        if not held.startswith("["):
            raise InputError(f"{path} is no JSON list: expected '[', found {held[:20]!r}")
        start, ended = 1, False
        while True:
            start = _SPACE.match(held, start).end()  # type: ignore[union-attr]  # it matches even nothing
            if held.startswith("]", start):
                return
            problem = "it ends without ']'"
            try:
                entry, end = decoder.raw_decode(held, start)
            except (ValueError, RecursionError) as error:
                problem, end = str(error), len(held)
            if end == len(held) and not ended:  # an entry may go on in the next block, even a number
                more = file.read(BLOCK) if end - start <= LONGEST else ""
                held, start, ended = held[start:] + more, 0, not more
            elif end == len(held):
                raise InputError(f"{path} is damaged or cut off at {held[start : start + 40]!r}: {problem}")
            else:
                yield entry
                start = end
