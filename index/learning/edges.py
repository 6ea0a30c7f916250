"""Behaviour data: edges between items and events in groups, as tables of CSV, TSV, JSON lines or Parquet hold them.

An *edge* says that somebody linked two items: bought both, saw one and bought the other. An *event* says
that an item stood in a group: a basket, a session, a playlist, a listener's history.
Rows that cannot be used are left out and counted; a table of which more than half is unusable is refused.
"""

from __future__ import annotations

import csv
import datetime
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError
from index.ingesting.tables import TABLE_SUFFIXES
from index.learning.lines import numbered_lines, open_text, reading_errors

TableKind: TypeAlias = Literal["pairs", "baskets", "sequences"]
"""What the rows of a table are: edges; events without time; events with time."""

PAIR_COLUMNS = ("source", "target", "weight", "relation", "user")
EVENT_COLUMNS = ("group", "item", "time")

EXAMPLES = 20
"""How many rows that were left out are kept word for word."""


class Edge(NamedTuple):
    """Two items that somebody linked.

    Attributes:
        source: Id of the item that was there first, where the file makes a difference.
        target: Id of the item that goes with it.
        weight: How strong the link is, finite and above 0.
        relation: What kind of link, such as ``"style"``; empty when the file does not say.
        user: Who linked them; empty when the file does not say.
    """

    source: str
    target: str
    weight: float = 1.0
    relation: str = ""
    user: str = ""

    def is_of(self, relation: str) -> bool:
        """Whether it counts for a relation: one that names none counts for any, and every edge for an empty name."""
        return not relation or self.relation in ("", relation)


class Event(NamedTuple):
    """An item in a group.

    Attributes:
        group: Name of the basket, session, playlist or person.
        item: Id of the item.
        time: When or at which place, in any unit that sorts within a group; ``None`` without order.
        value: Rating, or number of plays; 1 when the file does not say.
    """

    group: str
    item: str
    time: float | None = None
    value: float = 1.0


@dataclass(frozen=True, slots=True)
class EdgeArrays:
    """Edges between numbered items, each (source, target, user) once.

    Attributes:
        pairs: int64, shape ``(m, 2)``: source and target, as row numbers or database keys.
        weights: float32, shape ``(m,)``, all above 0.
        users: int64, shape ``(m,)``: position in ``user_names``, or -1 where nobody is named.
        user_names: Names of users, in the order in which they first came.
    """

    pairs: NDArray[np.int64]
    weights: NDArray[np.float32]
    users: NDArray[np.int64]
    user_names: tuple[str, ...]


@dataclass(slots=True)
class Reading:
    """What reading a source came across; readers add to it while they go.

    Attributes:
        rows: Rows, lines or records met.
        bad: Those left out because they cannot be used.
        examples: The first of them, each with where it stands and what is wrong with it.
        groups: Groups of two items or more, of which pairs were made.
        sampled: Those too large to be paired in full.
        pairs: Different pairs made of groups.
        capped: Those dropped because an item had stronger partners enough.
    """

    rows: int = 0
    bad: int = 0
    examples: list[str] = field(default_factory=list)
    groups: int = 0
    sampled: int = 0
    pairs: int = 0
    capped: int = 0

    def leave_out(self, where: str, reason: str) -> None:
        """Count a row that cannot be used."""
        self.bad += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{where}: {reason}")

    def check(self, path: Path, rows: int, bad: int) -> None:
        """Refuse a source that was read to its end and held nothing, or more bad rows than good ones.

        Args:
            path: The source, for the message.
            rows: ``self.rows`` before it was read.
            bad: ``self.bad`` before it was read.

        Raises:
            InputError: No rows, or more than half of them were left out.
        """
        met, left_out = self.rows - rows, self.bad - bad
        if not met:
            raise InputError(f"{path} holds no rows of data; give a file that names at least one link or group")
        if 2 * left_out > met:
            example = self.examples[min(bad, len(self.examples) - 1)]
            raise InputError(
                f"{left_out} of {met} rows of {path} cannot be used, such as {example}; "
                "correct the file or name its format"
            )


class UnusableRowError(ValueError):
    """A row cannot be used; the message says why. Caught by the reader that met it."""


def table_suffix(path: Path) -> str:
    """The ending that tells a table's format, without ``.gz``, in lower case."""
    name = path.name.lower().removesuffix(".gz")
    return name[name.rfind(".") :] if "." in name else ""


def table_kind(path: Path) -> TableKind:
    """Tell from its columns what a table holds.

    Columns ``source`` and ``target`` make it pairs; ``group`` and ``item`` make it baskets, and sequences when
    there is also a ``time``. Upper and lower case do not matter. In JSON lines the first object decides.

    Raises:
        InputError: The table cannot be read, is empty, or has neither pair of columns.
    """
    columns = _columns(path)
    if {"source", "target"} <= set(columns):
        return "pairs"
    if {"group", "item"} <= set(columns):
        return "sequences" if "time" in columns else "baskets"
    found = ", ".join(columns) or "none"
    raise InputError(f"{path} needs columns 'source' and 'target', or 'group' and 'item'; found: {found}")


def read_pairs(path: Path, reading: Reading) -> Iterator[Edge]:
    """Read the edges of a table, in its order, one at a time.

    Args:
        path: With columns ``source``, ``target`` and, if wanted, ``weight``, ``relation``, ``user``.
        reading: Takes note of rows that are left out: without an id, or with a weight that is not a number above 0.

    Raises:
        InputError: The table cannot be read, holds no rows, or more than half of them cannot be used.
    """
    _require(path, "pairs")
    rows, bad = reading.rows, reading.bad
    for number, (source, target, weight, relation, user) in _cells(path, PAIR_COLUMNS, reading):
        try:
            edge = Edge(identity(source, "source"), identity(target, "target"), positive(weight), text(relation),
                        text(user))  # fmt: skip
        except UnusableRowError as problem:
            reading.leave_out(f"line {number}", str(problem))
            continue
        yield edge
    reading.check(path, rows, bad)


def read_events(path: Path, reading: Reading) -> Iterator[Event]:
    """Read the events of a table, in its order, one at a time.

    Args:
        path: With columns ``group``, ``item`` and, if wanted, ``time``: a number or an ISO 8601 date. Where the
            table has the column, each row needs one.
        reading: Takes note of rows that are left out.

    Raises:
        InputError: The table cannot be read, holds no rows, or more than half of them cannot be used.
    """
    rows, bad = reading.rows, reading.bad
    timed = _require(path, "baskets", "sequences") == "sequences"
    for number, (group, item, when) in _cells(path, EVENT_COLUMNS, reading):
        try:
            event = Event(identity(group, "group"), identity(item, "item"), moment(when) if timed else None)
        except UnusableRowError as problem:
            reading.leave_out(f"line {number}", str(problem))
            continue
        yield event
    reading.check(path, rows, bad)


def identity(value: object, what: str) -> str:
    """An id as text without surrounding white space, such that UTF-8 can hold it.

    Raises:
        UnusableRowError: It is empty, or a list or an object.
    """
    found = text(value)
    if not found:
        raise UnusableRowError(f"no {what} is given")
    return found


def text(value: object) -> str:
    """A cell as text without surrounding white space; empty when there is none.

    Raises:
        UnusableRowError: It is a list or an object.
    """
    if value is None:
        return ""
    if isinstance(value, list | dict):
        raise UnusableRowError(f"expected text or a number, found {json.dumps(value, default=str)[:40]}")
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace").strip()
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # whole numbers in a column with gaps are stored so
    found = str(value).strip()
    return found if found.isascii() else found.encode("utf-8", "backslashreplace").decode()


def positive(value: object) -> float:
    """A weight, rating or count: finite and above 0, and 1 when none is given.

    Raises:
        UnusableRowError: It is anything else.
    """
    if value is None or value == "":
        return 1.0
    try:
        number = float(value)  # type: ignore[arg-type]  # what cannot be a number is told below
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise UnusableRowError(f"a weight, rating or count must be a number above 0, found {str(value)[:40]!r}")
    return number


def moment(value: object) -> float:
    """A time that sorts: a number as it is, a date as seconds since 1970 (UTC where it names no zone).

    Raises:
        UnusableRowError: It is neither.
    """
    if value is None or value == "":
        raise UnusableRowError("no time is given")
    try:
        number = _seconds(value) if isinstance(value, datetime.date) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        try:
            number = _seconds(datetime.datetime.fromisoformat(str(value).strip()))
        except ValueError:
            found = str(value)[:40]
            raise UnusableRowError(f"the time must be a number or an ISO 8601 date, found {found!r}") from None
    if not math.isfinite(number):
        raise UnusableRowError(f"the time must be finite, found {number}")
    return number


def _seconds(date: datetime.date) -> float:
    if not isinstance(date, datetime.datetime):
        date = datetime.datetime(date.year, date.month, date.day)
    return (date if date.tzinfo else date.replace(tzinfo=datetime.UTC)).timestamp()


def _require(path: Path, *kinds: TableKind) -> TableKind:
    found = table_kind(path)
    if found not in kinds:
        raise InputError(
            f"{path} holds {found}, but {' or '.join(kinds)} were asked for; name no format, or the right one"
        )
    return found


def _columns(path: Path) -> list[str]:
    """Names of columns in lower case."""
    suffix = table_suffix(path)
    if suffix in (".csv", ".tsv"):
        with reading_errors(path), open_text(path) as lines:
            columns: list[str] = next(_csv_reader(path, lines), [])
    elif suffix in (".jsonl", ".ndjson"):
        met = Reading()
        columns = next((list(content) for _, content in _json_rows(path, met)), [])
        if met.rows and not columns:
            raise InputError(f"{path} holds no JSON object with columns, first {met.examples[0]}; correct the file")
    elif suffix in (".parquet", ".pq"):
        columns = _parquet_columns(path)
    else:
        raise InputError(f"{path} is no table that can be read; expected one of {', '.join(TABLE_SUFFIXES)}")
    if not columns:
        raise InputError(f"{path} is empty; expected a table with columns 'source' and 'target', or 'group' and 'item'")
    return [column.strip().lower() for column in columns]


def _cells(path: Path, names: Sequence[str], reading: Reading) -> Iterator[tuple[int, list[Any]]]:
    """For each row its number and the values of the named columns, ``None`` where there is none."""
    suffix = table_suffix(path)
    if suffix in (".csv", ".tsv"):
        yield from _csv_cells(path, names, reading)
    elif suffix in (".parquet", ".pq"):
        yield from _parquet_cells(path, names, reading)
    else:
        for number, content in _json_rows(path, reading):
            lowered = {name.lower(): value for name, value in content.items()}
            yield number, [lowered.get(name) for name in names]


def _csv_reader(path: Path, lines: Iterator[str]) -> Any:
    csv.field_size_limit(1 << 24)
    return csv.reader(lines, delimiter="\t" if table_suffix(path) == ".tsv" else ",")


def _csv_cells(path: Path, names: Sequence[str], reading: Reading) -> Iterator[tuple[int, list[Any]]]:
    with reading_errors(path), open_text(path) as lines:
        reader = _csv_reader(path, lines)
        header = [column.strip().lower() for column in next(reader, [])]
        places = [header.index(name) if name in header else len(header) for name in names]
        width = len(header)
        for cells in reader:
            if cells:
                reading.rows += 1
                padded = [*cells[:width], *[None] * (width + 1 - min(width, len(cells)))]
                yield reader.line_num, [padded[place] for place in places]


def _json_rows(path: Path, reading: Reading) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in numbered_lines(path):
        reading.rows += 1
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            reading.leave_out(f"line {number}", f"not JSON ({str(error)[:60]})")
            continue
        if isinstance(content, dict) and content:
            yield number, content
        else:
            reading.leave_out(f"line {number}", f"expected an object with columns, found {line[:40]}")


def _parquet_columns(path: Path) -> list[str]:
    import pyarrow
    import pyarrow.parquet

    try:
        with reading_errors(path):
            return [str(name) for name in pyarrow.parquet.read_schema(path).names]
    except pyarrow.ArrowException as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from None


def _parquet_cells(path: Path, names: Sequence[str], reading: Reading) -> Iterator[tuple[int, list[Any]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with reading_errors(path), pyarrow.parquet.ParquetFile(path) as file:
            held = {column.strip().lower(): column for column in file.schema_arrow.names}
            wanted = [held[name] for name in names if name in held]
            for batch in file.iter_batches(batch_size=8192, columns=wanted):
                absent = [None] * batch.num_rows
                columns = [batch.column(held[name]).to_pylist() if name in held else absent for name in names]
                for row in zip(*columns, strict=True):
                    reading.rows += 1
                    yield reading.rows, list(row)
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a readable Parquet file: {error}") from None
