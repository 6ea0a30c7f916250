"""The Amazon product data of McAuley and others: links between products, reviews, and vectors of pictures.

McAuley, Targett, Shi and van den Hengel, "Image-based recommendations on styles and substitutes", SIGIR 2015;
Ni, Li and McAuley, EMNLP 2019, for the edition with ``also_buy`` and ``also_view``.
"""

from __future__ import annotations

import ast
import gzip
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import InputError
from index.learning.edges import Edge, Event, Reading, UnusableRowError, identity, moment, positive
from index.learning.lines import numbered_lines, open_bytes, reading_errors
from index.types import Vectors

AMAZON_RELATIONS: Mapping[str, str] = {
    "also_viewed": "substitute",
    "buy_after_viewing": "substitute",
    "also_view": "substitute",
    "also_bought": "style",
    "bought_together": "style",
    "also_buy": "style",
}
"""Amazon's lists → our relation: what is seen or bought instead, and what is bought with it (SIGIR 2015, section 3)."""


def read_image_features(
    path: Path, *, id_width: int = 10, dim: int = 4096, block: int = 512
) -> Iterator[tuple[list[str], Vectors]]:
    """Read ``image_features_*.b``: records of an ASIN and little-endian float32 numbers, one after the other.

    Args:
        path: The file, plain or gzipped.
        id_width: Bytes of each id; shorter ids are filled with spaces or zero bytes.
        dim: Numbers in each record.
        block: Records that are read at a time.

    Yields:
        Ids, and their vectors: float32, shape ``(at most block, dim)``, in the file's order, not scaled.

    Raises:
        InputError: An argument is not positive; the file cannot be read or is empty; its end is cut off (a plain
            file is refused before the first record); or a record is not an id and finite numbers.
    """
    if min(id_width, dim, block) < 1:
        raise InputError(f"id_width, dim and block must be at least 1, found {id_width}, {dim}, {block}")
    record = np.dtype([("id", "u1", (id_width,)), ("vector", "<f4", (dim,))])
    whole = 0
    with reading_errors(path), open_bytes(path) as file:
        if not isinstance(file, gzip.GzipFile):  # its size is known
            _check_tail(path, path.stat().st_size, record.itemsize)
        while content := file.read(block * record.itemsize):
            if len(content) % record.itemsize:
                _check_tail(path, whole * record.itemsize + len(content), record.itemsize)
            records = np.frombuffer(content, record)
            vectors = np.array(records["vector"], np.float32)
            yield _ids(path, records["id"].tobytes(), id_width, vectors, whole), vectors
            whole += len(records)
    if not whole:
        raise InputError(f"{path} is empty; expected records of {id_width} + 4 × {dim} bytes")


def read_meta(path: Path, reading: Reading, *, relations: Mapping[str, str] = AMAZON_RELATIONS) -> Iterator[Edge]:
    """Read the links of ``meta_*.json.gz``: one product each line, as JSON or as a Python literal.

    Args:
        path: The file, plain or gzipped.
        reading: Takes note of lines that are neither, or name no product.
        relations: Name of a list of linked products → relation of its edges; other lists are left out.

    Yields:
        An edge from the product to each that it lists, of weight 1, in the file's order.

    Raises:
        InputError: The file cannot be read, holds nothing, or more than half of its lines cannot be used.
    """
    rows, bad = reading.rows, reading.bad
    for number, line in numbered_lines(path):
        reading.rows += 1
        try:
            edges = list(_links(parse_record(line), relations))
        except UnusableRowError as problem:
            reading.leave_out(f"line {number}", str(problem))
            continue
        yield from edges
    reading.check(path, rows, bad)


def read_reviews(path: Path, reading: Reading) -> Iterator[Event]:
    """Read ``reviews_*.json.gz``: who rated what, and when.

    Args:
        path: The file, plain or gzipped; each line JSON or a Python literal.
        reading: Takes note of lines that cannot be used.

    Yields:
        An event for each review: reviewer, product, time in seconds since 1970 (UTC), rating from 1 to 5.

    Raises:
        InputError: The file cannot be read, holds nothing, or more than half of its lines cannot be used.
    """
    rows, bad = reading.rows, reading.bad
    for number, line in numbered_lines(path):
        reading.rows += 1
        try:
            review = parse_record(line)
            event = Event(
                identity(review.get("reviewerID"), "reviewerID"),
                identity(review.get("asin"), "asin"),
                moment(review.get("unixReviewTime")),
                positive(review.get("overall")),
            )
        except UnusableRowError as problem:
            reading.leave_out(f"line {number}", str(problem))
            continue
        yield event
    reading.check(path, rows, bad)


def parse_record(line: str) -> dict[str, Any]:
    """One line as an object: strict JSON, else a Python literal, which is read without running anything.

    Raises:
        UnusableRowError: It is neither, or no object.
    """
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # escapes that Python would not write
                content = ast.literal_eval(line)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            raise UnusableRowError(f"neither JSON nor a Python literal: {line[:40]}") from None
    if not isinstance(content, dict):
        raise UnusableRowError(f"expected an object, found {line[:40]}")
    return content


def _links(product: Mapping[str, Any], relations: Mapping[str, str]) -> Iterator[Edge]:
    asin = identity(product.get("asin"), "asin")
    related = product.get("related") or {}
    if not isinstance(related, dict):
        raise UnusableRowError(f"'related' must be an object, found {str(related)[:40]}")
    for name, relation in relations.items():
        linked = related.get(name) or product.get(name) or []
        if not isinstance(linked, list):
            raise UnusableRowError(f"{name!r} must be a list, found {str(linked)[:40]}")
        for target in linked:
            yield Edge(asin, identity(target, f"product in {name!r}"), 1.0, relation)


def _check_tail(path: Path, size: int, record: int) -> None:
    if size % record:
        raise InputError(
            f"{path} is cut off, or its records have another size: it holds {size // record} whole records of "
            f"{record} bytes and {size % record} bytes more; fetch it again, or correct id_width and dim"
        )


def _ids(path: Path, content: bytes, width: int, vectors: Vectors, before: int) -> list[str]:
    ids = [content[start : start + width].rstrip(b" \0") for start in range(0, len(content), width)]
    broken = set(np.argwhere(~np.isfinite(vectors))[:, 0].tolist())
    for place, found in enumerate(ids):
        if not (found.isascii() and found.decode("ascii").isprintable() and found) or place in broken:
            raise InputError(
                f"record {before + place + 1} of {path} is not an id and finite numbers (id {found!r}); "
                "correct id_width and dim"
            )
    return [found.decode("ascii") for found in ids]
