"""Reading tables of items: CSV, TSV, JSON lines or Parquet with an ``id`` and the paths of media."""

from __future__ import annotations

import csv
import datetime
import decimal
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from index.encoders import modality_of
from index.errors import InputError
from index.ingesting.scan import REPEATED, Entry, entry_id, unreadable
from index.types import Attribute, Modality

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq")
MEDIA_COLUMNS: dict[str, Modality | None] = {"path": None, "image": "image", "audio": "audio"}
"""Columns that hold media: what they hold, or ``None`` to go by the file's ending."""
SEPARATOR = "|"
"""Between several files in one cell."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?")

PROBLEM = "\0problem"
"""Stands for the columns of a row that cannot be read."""

Row: TypeAlias = tuple[int, Mapping[str, list[Any]]]
"""Line or row number, from 1, and column → its values (several when a CSV repeats a column)."""


def is_table(path: Path) -> bool:
    """Tell from its name whether a file is a table that this module reads."""
    return path.suffix.lower() in TABLE_SUFFIXES


def scan_table(table: Path, *, allow_outside: bool = False, urls: bool = False, base_url: str = "") -> Iterator[Entry]:
    """Read a table and ``stat`` each file that it names.

    Args:
        table: With columns ``id`` and one or more of ``path``, ``image``, ``audio``: relative to the
            table, or absolute; several in one cell are separated by ``|``, or are a list (JSON,
            Parquet), or stand in repeated columns. All other columns become attributes.
        allow_outside: Accept relative paths that climb out of the table's folder with ``..``.
        urls: Accept addresses; their entries have size 0 and are not looked up.
        base_url: What relative paths are relative to, when the table was fetched from there.

    Raises:
        InputError: The table cannot be read, or a column is missing.
    """
    seen: set[int] = set()
    places = _Places(os.fsencode(table.parent.absolute()), base_url.encode(), allow_outside, urls)
    for number, row in read_rows(table):
        attributes = _json(_attributes(row))
        identity = row["id"][0] if row.get("id") else None
        item_id = "" if identity is None else _writable(str(identity).strip())
        media = [(path, kind) for column, kind in MEDIA_COLUMNS.items() for path in _paths(row.get(column, []))]
        strange = [cell for column in MEDIA_COLUMNS for cell in row.get(column, []) if not isinstance(cell, str | None)]
        problem, position = "", 0
        if PROBLEM in row:
            item_id, problem = f"row {number} of {table.name}", str(row[PROBLEM][0])
        elif strange:
            item_id = item_id or f"row {number} of {table.name}"
            problem = f"row {number}: expected a path, found {type(strange[0]).__name__}"
        elif not item_id:
            item_id, problem = f"row {number} of {table.name}", f"row {number} has no id"
        elif hash(item_id) in seen:
            problem, position = f"id {item_id!r} stands again in row {number}; the first row is kept", REPEATED + number
        elif not media:
            problem = f"row {number} names no file"
        seen.add(hash(item_id))
        if problem:
            yield unreadable(item_id, position, media[0][0] if media else b"", "image", attributes, problem)
            continue
        for position, (path, kind) in enumerate(media):
            yield _stat(places, item_id, position, path, kind, attributes)


def read_attributes(table: Path) -> dict[str, str]:
    """Read a table of attributes alone: id (or path) → JSON object of its other columns.

    Raises:
        InputError: The table cannot be read, or has neither ``id`` nor ``path``.
    """
    found: dict[str, str] = {}
    for _, row in read_rows(table, needs_media=False):
        if PROBLEM in row:
            continue
        name = row.get("id") or row.get("path") or [None]
        if name[0] is not None:
            found[_writable(str(name[0]).strip())] = _json(_attributes(row))
    return found


def read_rows(table: Path, *, needs_media: bool = True) -> Iterator[Row]:
    """Read the rows of a table, in order, whatever its format.

    Raises:
        InputError: Unknown format, unreadable, or without the columns that are needed.
    """
    suffix = table.suffix.lower()

    def check(columns: Iterable[str]) -> None:
        _check_columns(table, list(columns), needs_media)

    try:
        if suffix in (".csv", ".tsv"):
            yield from _csv_rows(table, "\t" if suffix == ".tsv" else ",", check)
        elif suffix in (".jsonl", ".ndjson"):
            yield from _json_rows(table, check)
        elif suffix in (".parquet", ".pq"):
            yield from _parquet_rows(table, check)
        else:
            raise InputError(f"{table} is no table that can be read; expected one of {', '.join(TABLE_SUFFIXES)}")
    except OSError as error:
        raise InputError(f"cannot read {table}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{table} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{table} is not a readable CSV: {error}") from None


def _check_columns(table: Path, columns: list[str], needs_media: bool) -> None:
    found = ", ".join(columns) or "none"
    if needs_media and "id" not in columns:
        raise InputError(f"{table} has no column 'id'; found: {found}")
    if needs_media and not any(column in columns for column in MEDIA_COLUMNS):
        raise InputError(f"{table} names no files: expected a column 'path', 'image' or 'audio'; found: {found}")
    if not needs_media and "id" not in columns and "path" not in columns:
        raise InputError(f"{table} has neither a column 'id' nor 'path'; found: {found}")


def _csv_rows(table: Path, delimiter: str, check: Callable[[Iterable[str]], None]) -> Iterator[Row]:
    csv.field_size_limit(1 << 24)
    with table.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines, delimiter=delimiter)
        header = [name.strip() for name in next(reader, [])]
        check(filter(None, header))
        for cells in reader:
            row: dict[str, list[Any]] = {}
            for name, cell in zip(header, cells, strict=False):
                if name:
                    row.setdefault(name, []).append(cell if cell != "" else None)
            yield reader.line_num, row


def _json_rows(table: Path, check: Callable[[Iterable[str]], None]) -> Iterator[Row]:
    with table.open(encoding="utf-8-sig") as lines:
        first = True
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                content = json.loads(line)
            except ValueError as error:
                content = str(error)
            if not isinstance(content, dict):
                problem = content if isinstance(content, str) else f"found {type(content).__name__}"
                if first:
                    raise InputError(f"{table}, line {number} is no JSON object ({problem}); expected one on each line")
                yield number, {PROBLEM: [f"line {number} is no JSON object: {problem}"]}
                continue
            if first:
                check(content)
                first = False
            yield number, {name: value if isinstance(value, list) else [value] for name, value in content.items()}


def _parquet_rows(table: Path, check: Callable[[Iterable[str]], None]) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(table) as file:
            check(file.schema_arrow.names)
            number = 0
            for batch in file.iter_batches(batch_size=4096):
                for content in batch.to_pylist():
                    number += 1
                    yield number, {k: v if isinstance(v, list) else [v] for k, v in content.items()}
    except InputError:
        raise
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:  # such as a date that Python has not
        raise InputError(f"{table} is not a readable Parquet file: {error}") from None


def _paths(cells: list[Any]) -> Iterator[bytes]:
    for cell in cells:
        if cell is None:
            continue
        for name in str(cell).split(SEPARATOR):
            if name.strip():
                yield _file_name(name.strip())


class _Places(NamedTuple):
    """Where a table's relative paths begin, and which others it may name."""

    folder: bytes
    url: bytes
    allow_outside: bool
    allow_urls: bool


def _stat(places: _Places, item_id: str, position: int, path: bytes, kind: Modality | None, attributes: str) -> Entry:
    modality = kind or modality_of(os.fsdecode(path.partition(b"?")[0] if b"://" in path else path))
    shown = entry_id(path)
    if b"://" in path and not places.allow_urls:
        return unreadable(item_id, position, path, modality, attributes, f"{shown} is an address; give a local file")
    if modality is None:
        return unreadable(
            item_id, position, path, None, attributes,
            f"the ending of {shown} tells neither picture nor sound; use a column 'image' or 'audio'",
        )  # fmt: skip
    if b"://" in path:
        return Entry(item_id, position, path, modality, 0, 0, attributes)
    absolute = os.path.isabs(path)
    normal = os.path.normpath(path)
    if not absolute and not places.allow_outside and (normal == b".." or normal.startswith(b"../")):
        return unreadable(
            item_id, position, path, modality, attributes,
            f"{shown} climbs out of the table's folder; allow it with --allow-outside",
        )  # fmt: skip
    if places.url:
        if absolute:
            problem = f"{shown} is a local path in a table from elsewhere; give an address, or a path beside the table"
            return unreadable(item_id, position, path, modality, attributes, problem)
        return Entry(item_id, position, places.url + b"/" + path, modality, 0, 0, attributes)
    try:
        status = os.stat(os.path.join(places.folder, path))
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        return unreadable(item_id, position, path, modality, attributes, reason)
    return Entry(item_id, position, path, modality, status.st_size, status.st_mtime_ns, attributes)


def _attributes(row: Mapping[str, list[Any]]) -> dict[str, Attribute]:
    """Columns that say something; an empty cell leaves what the file's own tags say."""
    found: dict[str, Attribute] = {}
    for name, values in row.items():
        if name not in MEDIA_COLUMNS and name != "id":
            held = [value for value in map(_value, values) if value is not None and value != ""]
            if held:
                found[name] = held[0] if len(held) == 1 else ", ".join(map(str, held))
    return found


def _json(attributes: dict[str, Attribute]) -> str:
    return json.dumps(attributes, ensure_ascii=False).encode("utf-8", "replace").decode()


def _writable(text: str) -> str:
    """Text as UTF-8 can hold it: JSON may escape halves of characters."""
    return text.encode("utf-8", "backslashreplace").decode()


def _file_name(name: str) -> bytes:
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:
        return name.encode("utf-8", "backslashreplace")  # no file has this name: it will be told as missing


def _value(value: object) -> Attribute:
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):  # "007" and "1e5" stay text: they are codes more often than numbers
            return float(text) if "." in text else int(text)
        return text
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float | decimal.Decimal):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return json.dumps(value, ensure_ascii=False, default=str)
