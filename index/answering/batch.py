"""Every item's neighbours: the nightly job of a shop, written as Parquet or JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from index.answers import Query
from index.errors import InputError, StorageError, UnknownNameError
from index.recommender import Recommender

ROWS_AT_ONCE = 20_000
"""Rows held before they are written: memory stays flat."""


class _Sink(Protocol):
    def write(self, rows: list[tuple[str, int, str, float]]) -> None: ...
    def close(self) -> None: ...


def write_all(
    recommender: Recommender,
    query: Query,
    out: Path,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Ask one question of every item that it can be asked of, and write all answers to a file.

    Rows are ``query, rank, id, score``, queries in id order. The file appears only when it is whole.

    Args:
        query: All but its items, files, negatives and category is used.
        out: Ends in ``.parquet`` or ``.jsonl``.
        on_progress: Told (done, total) now and then.

    Returns:
        Number of items asked about.

    Raises:
        InputError: Another ending, or no item that the relation compares.
        StorageError: The file cannot be written.
    """
    if out.suffix not in _SINKS:
        raise InputError(f"{out} must end in .parquet or .jsonl")
    ids = _askable(recommender, query.relation)
    query = replace(query, items=(), files=(), negatives=(), category=None)
    partial = out.with_name(f".{out.name}.part")
    try:
        sink: _Sink = _SINKS[out.suffix](partial)
        try:
            rows: list[tuple[str, int, str, float]] = []
            for done, item_id in enumerate(ids):
                rows += _rows_of(recommender, query, item_id)
                if len(rows) >= ROWS_AT_ONCE:
                    sink.write(rows)
                    rows = []
                if done % 50 == 0:
                    on_progress(done, len(ids))
            sink.write(rows)
        finally:
            sink.close()
        os.replace(partial, out)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    on_progress(len(ids), len(ids))
    return len(ids)


def _askable(recommender: Recommender, relation: str) -> list[str]:
    asked = recommender.catalog.relation(relation)
    ids: dict[str, None] = {}
    for space in recommender.generation.every_space():
        if space.compares(asked):
            ids.update(dict.fromkeys(recommender.item_ids(space.modality)))
    if not ids:
        raise InputError(f"no item of this catalog has a facet that {relation!r} compares ({', '.join(asked.weights)})")
    return sorted(ids)


def _rows_of(recommender: Recommender, query: Query, item_id: str) -> Iterator[tuple[str, int, str, float]]:
    try:
        found = recommender.scores(replace(query, items=((item_id, 1.0),)))
    except UnknownNameError:
        if recommender.catalog.connection.execute("SELECT 1 FROM items WHERE id=?", (item_id,)).fetchone():
            raise
        return  # removed while the job ran
    for rank, (other, score) in enumerate(found, 1):
        yield item_id, rank, other, score


class _JsonLines:
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def write(self, rows: list[tuple[str, int, str, float]]) -> None:
        self._file.writelines(
            json.dumps({"query": query, "rank": rank, "id": item_id, "score": round(score, 6)}, ensure_ascii=False)
            + "\n"
            for query, rank, item_id, score in rows
        )

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path) -> None:
        import pyarrow
        import pyarrow.parquet

        self._arrow: Any = pyarrow
        self._schema = pyarrow.schema(
            [
                ("query", pyarrow.string()),
                ("rank", pyarrow.int32()),
                ("id", pyarrow.string()),
                ("score", pyarrow.float32()),
            ]
        )
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema)

    def write(self, rows: list[tuple[str, int, str, float]]) -> None:
        columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
        self._writer.write_table(self._arrow.table([list(column) for column in columns], schema=self._schema))

    def close(self) -> None:
        self._writer.close()


_SINKS: dict[str, Callable[[Path], _Sink]] = {".jsonl": _JsonLines, ".parquet": _Parquet}
