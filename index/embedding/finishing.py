"""Finishing a shard: what was found out over what it held, written file by file."""

from __future__ import annotations

from pathlib import Path

from index.embedding.missing import Results, ShardWork
from index.embedding.plan import PlannedFile, Result
from index.embedding.shards import Row, ShardFile, read_shard, shard_name, write_shard
from index.ingesting.scan import entry_id


def finish_shard(out: Path, work: ShardWork, results: Results) -> dict[str, ShardFile | None]:
    """Write a complete shard for each of its encoders.

    Args:
        out: The job's output folder.
        work: What was missing.
        results: What came of it, and what waited. Rows without a result stay as they were.

    Returns:
        Encoder → the file written; ``None`` when the one there already says the same, as when a kill came
        after it was written and before that was noted.

    Raises:
        OSError: It cannot be written.
    """
    written: dict[str, ShardFile | None] = {}
    for target in work.targets:
        fresh = results[target.encoder]
        path = out / target.folder / shard_name(work.shard.number)
        if target.written:
            before = list(read_shard(path))
            rows = [
                _row(file, fresh.get(file.place) or Result(old.vector, old.stage, old.error, old.tags))
                for file, old in zip(work.files, before, strict=True)
            ]
            if rows == before:
                written[target.encoder] = None
                continue
        else:
            rows = [_row(file, fresh[file.place]) for file in work.files]
        written[target.encoder] = write_shard(path, target.encoder, target.card, rows)
    return written


def _row(file: PlannedFile, result: Result) -> Row:
    path = entry_id(file.path) + (f"/{file.member}" if file.member else "")
    return Row(
        file.item_id, file.position, path, file.attributes, result.tags or "{}", result.vector, result.stage,
        result.reason,
    )  # fmt: skip
