"""Every item's neighbours: the nightly job of a shop, written as Parquet or JSON lines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from index.answering.batch_workers import TOLD_EVERY, Answering, Part, answer_parts
from index.answers import Query
from index.embedding.shards import put_in_place
from index.errors import InputError, LockedError, StorageError, UnknownNameError
from index.recommender import Recommender
from index.types import Modality

LOCK, STATE = "lock", "state.json"

QUERIES_AT_ONCE = 1000
"""Items asked about before their answers are written as one part: memory stays flat, and this much is asked again
after an interruption."""

Row: TypeAlias = tuple[str, int, str, float]


def write_all(
    recommender: Recommender,
    query: Query,
    out: Path,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    processes: int = 1,
    answer: Answering = answer_parts,
) -> int:
    """Ask one question of every item that it can be asked of, and write all answers to a file.

    Rows are ``query, rank, id, score``, queries in id order. The file appears only when it is whole. Until then
    finished parts lie in a hidden folder beside it, and the same call goes on after the last one, unless the catalog
    has changed since.

    Args:
        query: All but its items, files, negatives and category is used.
        out: Ends in ``.parquet`` or ``.jsonl``.
        on_progress: Told (done, total) now and then.
        processes: How many answer side by side, where there is more than one part.
        answer: Who has them answer.

    Returns:
        Number of items asked about.

    Raises:
        InputError: Another ending, or no item that the relation compares.
        LockedError: Another process is writing this very file.
        StorageError: The file cannot be written.
    """
    if out.suffix not in _FORMS:
        raise InputError(f"{out} must end in .parquet or .jsonl")
    modalities = _modalities(recommender, query.relation)
    query = replace(query, items=(), files=(), negatives=(), category=None)
    parts = out.with_name(f".{out.name}.parts")
    try:
        parts.mkdir(exist_ok=True)
        with _alone(parts, out):
            asked = _write_parts(recommender, query, modalities, parts, out.suffix, processes, on_progress, answer)
            whole = parts / f"whole{out.suffix}"
            _FORMS[out.suffix].join([parts / _part_name(number) for number in range(_part_count(asked))], whole)
            put_in_place(whole, out)
            (parts / STATE).unlink()
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}; run the same command to go on") from error
    return asked


def _write_parts(
    recommender: Recommender,
    query: Query,
    modalities: list[Modality],
    parts: Path,
    form: str,
    processes: int,
    on_progress: Callable[[int, int], None],
    answer: Answering,
) -> int:
    """Answer part by part, from where an earlier run of the same question to the same catalog ended."""
    total = recommender.catalog.count_with(modalities)
    if not total:
        raise InputError(f"no item of this catalog has a facet that {query.relation!r} compares")
    plan = json.dumps(
        [asdict(query), recommender.generation.manifest.number, recommender.catalog.sequence],
        sort_keys=True,
        default=str,
    )
    state = _read_state(parts, plan)
    asked = state.asked

    def answered(count: int) -> None:
        nonlocal asked
        asked += count
        on_progress(asked, max(total, asked))

    answered(0)
    work = _parts_after(recommender, modalities, parts, state)
    if processes > 1 and total - state.asked > QUERIES_AT_ONCE:
        _rows_of(
            recommender, query, recommender.catalog.ids_after(modalities, "", 1)
        )  # what is wrong with it, is told here
        done = answer(recommender.catalog.place, query, form, work, processes, answered)
    else:
        done = _answered_here(recommender, query, form, work, answered)
    waiting: dict[int, Part] = {}
    for part in done:
        waiting[part.number] = part
        while (number := _part_count(state.asked)) in waiting:
            ids = waiting.pop(number).ids
            state = _State(plan, state.asked + len(ids), ids[-1])
            state.save(parts)
        answered(len(part.ids) - _told_of(len(part.ids)))
    on_progress(state.asked, state.asked)
    return state.asked


def _parts_after(recommender: Recommender, modalities: list[Modality], folder: Path, state: _State) -> Iterator[Part]:
    number, last = _part_count(state.asked), state.last
    while ids := recommender.catalog.ids_after(modalities, last, QUERIES_AT_ONCE):
        yield Part(number, ids, folder / _part_name(number))
        number, last = number + 1, ids[-1]


def _answered_here(
    recommender: Recommender, query: Query, form: str, parts: Iterator[Part], on_items: Callable[[int], None]
) -> Iterator[Part]:
    for part in parts:
        write_part(recommender, query, form, part.ids, part.path, on_items)
        yield part


def write_part(
    recommender: Recommender, query: Query, suffix: str, ids: list[str], path: Path, on_items: Callable[[int], None]
) -> None:
    """Ask one question of some items, and put the file of their answers in place.

    Args:
        query: All but its items, files, negatives and category is used.
        suffix: ``.parquet`` or ``.jsonl``.
        on_items: Told how many more items were answered, now and then; of the last ones, the file tells.

    Raises:
        As ``Recommender.ask``; OSError.
    """
    rows: list[Row] = []
    for at in range(0, len(ids), TOLD_EVERY):
        if at:
            on_items(TOLD_EVERY)
        rows += _rows_of(recommender, query, ids[at : at + TOLD_EVERY])
    beside = path.with_suffix(".part")
    _FORMS[suffix].write(beside, rows)
    put_in_place(beside, path)


@dataclass(frozen=True, slots=True)
class _State:
    """How far a run is: what it asks of which state of the catalog, how many items, and the last of them; parts beyond,
    which other processes were done with sooner, do not count."""

    plan: str
    asked: int
    last: str

    def save(self, parts: Path) -> None:
        beside = parts / "state.part"
        beside.write_text(json.dumps(asdict(self)))
        put_in_place(beside, parts / STATE)


def _read_state(parts: Path, plan: str) -> _State:
    """Where an earlier run ended; the beginning where there was none, or it asked otherwise."""
    try:
        state = _State(**json.loads((parts / STATE).read_text()))
        if state.plan == plan and all((parts / _part_name(n)).exists() for n in range(_part_count(state.asked))):
            return state
    except (OSError, ValueError, TypeError):
        pass
    for old in parts.iterdir():
        if old.name != LOCK:
            old.unlink()
    return _State(plan, 0, "")


def _told_of(items: int) -> int:
    """Of so many items, how many were told of before their part was written."""
    return (items - 1) // TOLD_EVERY * TOLD_EVERY


def _part_name(number: int) -> str:
    return f"{number:06d}.answers"


def _part_count(asked: int) -> int:
    return -(-asked // QUERIES_AT_ONCE)


@contextmanager
def _alone(parts: Path, out: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(parts / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise LockedError(f"{out} is being written by another process; wait for it, or name another file") from None
    try:
        yield
    finally:
        if not (parts / STATE).exists():  # whole, or nothing to go on from
            shutil.rmtree(parts, ignore_errors=True)
        lock.release()


def _modalities(recommender: Recommender, relation: str) -> list[Modality]:
    asked = recommender.catalog.relation(relation)
    found = {space.modality for space in recommender.generation.every_space() if space.compares(asked)}
    if not found:
        raise InputError(f"no item of this catalog has a facet that {relation!r} compares ({', '.join(asked.weights)})")
    return sorted(found)


def _rows_of(recommender: Recommender, query: Query, item_ids: list[str]) -> list[Row]:
    try:
        found = recommender.scores_of_each(query, item_ids)
    except UnknownNameError:
        left = [item_id for item_id in item_ids if recommender.catalog.has(item_id)]
        if len(left) == len(item_ids):
            raise
        return _rows_of(recommender, query, left)  # some were removed while the job ran
    return [
        (item_id, rank, other, score)
        for item_id, own in zip(item_ids, found, strict=True)
        for rank, (other, score) in enumerate(own, 1)
    ]


class _Form(Protocol):
    """A file format: parts are written in it, and joined."""

    def write(self, path: Path, rows: list[Row]) -> None: ...

    def join(self, parts: list[Path], whole: Path) -> None: ...


class _JsonLines:
    def write(self, path: Path, rows: list[Row]) -> None:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(
                json.dumps({"query": query, "rank": rank, "id": item_id, "score": round(score, 6)}, ensure_ascii=False)
                + "\n"
                for query, rank, item_id, score in rows
            )

    def join(self, parts: list[Path], whole: Path) -> None:
        with whole.open("wb") as file:
            for part in parts:
                with part.open("rb") as one:
                    shutil.copyfileobj(one, file, 1 << 20)


class _Parquet:
    def write(self, path: Path, rows: list[Row]) -> None:
        import pyarrow
        import pyarrow.parquet

        columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
        table = pyarrow.table([list(column) for column in columns], schema=answers_schema())
        pyarrow.parquet.write_table(table, path)

    def join(self, parts: list[Path], whole: Path) -> None:
        import pyarrow.parquet

        with pyarrow.parquet.ParquetWriter(whole, answers_schema()) as writer:
            for part in parts:
                writer.write_table(pyarrow.parquet.read_table(part))


def answers_schema() -> Any:
    """The columns of answers as Parquet: ``query, rank, id, score``."""
    import pyarrow

    return pyarrow.schema(
        [
            ("query", pyarrow.string()),
            ("rank", pyarrow.int32()),
            ("id", pyarrow.string()),
            ("score", pyarrow.float32()),
        ]
    )


_FORMS: dict[str, _Form] = {".jsonl": _JsonLines(), ".parquet": _Parquet()}
