"""Writing: a chunk's answers by their ids, as a Parquet file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from index.answering.batch import answers_schema
from index.embedding.shards import put_in_place
from index.errors import StorageError
from index.partitioned.asking import Answers, Chunk
from index.partitioned.terms import Terms, open_partition


def part_name(number: int) -> str:
    """The file of a chunk's answers."""
    return f"part-{number:06d}.parquet"


def write_chunk(work: Path, terms: Terms, chunk: Chunk, out: Path) -> None:
    """Write a chunk's answers: ``query, rank, id, score``, as ``index.answering.batch.write_all`` does.

    Raises:
        StorageError: What was found is gone.
        OSError: It cannot be written.
    """
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    found = Answers.load(work, chunk.number)
    if found is None:
        raise StorageError(f"the answers of {part_name(chunk.number)} are gone; run the same command again")
    there = found.partitions >= 0
    places, ranks = np.nonzero(there)
    asked = open_partition(work, terms, chunk.partition).ids.of(np.arange(chunk.start, chunk.stop))
    ids = np.empty(len(places), object)
    partitions, rows = found.partitions[there], found.rows[there].astype(np.int64)
    for number in np.unique(partitions).tolist():
        own = partitions == number
        ids[own] = open_partition(work, terms, number).ids.of(rows[own])
    columns = [np.asarray(asked, object)[places], (ranks + 1).astype(np.int32), ids, found.scores[there]]
    table = arrow.table([arrow.array(column) for column in columns], schema=answers_schema())
    path = out / part_name(chunk.number)
    partial = path.with_name(f".{path.name}.part")
    parquet.write_table(table, partial)
    put_in_place(partial, path)
