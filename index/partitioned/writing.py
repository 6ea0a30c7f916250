"""Writing: a chunk's answers by their ids, as a Parquet file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from index.answering.batch import answers_schema
from index.embedding.shards import placed
from index.partitioned.asking import Chunk, finished
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

    found = finished(work, terms, chunk)
    there = found.partitions >= 0
    places = np.nonzero(there)[0]
    asked = np.asarray(open_partition(work, terms, chunk.partition).ids.of(np.arange(chunk.start, chunk.stop)), object)
    ids = np.empty(len(places), object)
    partitions, rows = found.partitions[there], found.rows[there].astype(np.int64)
    for number in np.unique(partitions).tolist():
        own = partitions == number
        ids[own] = open_partition(work, terms, number).ids.of(rows[own])
    others = ids != asked[places]  # files that a later run appended to an item stand for another of its id
    places, ids, scores = places[others], ids[others], found.scores[there][others]
    ranks = np.arange(len(places)) - np.searchsorted(places, places) + 1
    columns = [asked[places], ranks.astype(np.int32), ids, scores]
    table = arrow.table([arrow.array(column) for column in columns], schema=answers_schema())
    with placed(out / part_name(chunk.number)) as partial:
        parquet.write_table(table, partial)
