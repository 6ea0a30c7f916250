"""The job: partitions are built, asked one after another by everybody, and what was found is written part by part."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from index.catalog import Catalog
from index.embedding.ready_made import ReadyMade
from index.embedding.shards import Manifest, placed
from index.engine.build import DEFAULT_RECALL
from index.engine.generations import Generation
from index.engine.rows import PROJECTION, LearnedSpace, Space
from index.errors import InputError, StorageError
from index.learned import behaviour_of
from index.lock import writer_lock
from index.partitioned.asking import asked_so_far, chunks_of, partitions_asked
from index.partitioned.known import Known
from index.partitioned.terms import (
    ANSWERS,
    PARTITIONS,
    TERMS,
    Partition,
    Terms,
    is_built,
    read_record,
    space_folder,
)
from index.partitioned.truth import draw_sample, measured_recall, was_told
from index.partitioned.worker import Task, Worker
from index.partitioned.writing import part_name
from index.recommender import Recommender
from index.types import EncoderCard, Modality

WORK, REPORT = ".work", "report.json"

PARTITION_SIZE = 1_000_000
"""Files of a partition unless told otherwise: a gigabyte of rows of the built-in encoders."""

Work = Callable[[Sequence[Task]], Iterator[bool]]
"""Has tasks done, in any order; gives true for each one that is, and false now and then."""


@dataclass(frozen=True, slots=True)
class PartitionedOptions:
    """What a job may be told.

    Attributes:
        k: Number of answers for each item.
        partition_size: Files of a partition, at least; shards stay whole.
        engine: Who works: this process, or a Ray cluster.
        address: Of the cluster; see ``index.cluster``.
    """

    k: int = 10
    partition_size: int = PARTITION_SIZE
    engine: Literal["local", "ray"] = "local"
    address: str = ""


@dataclass(frozen=True, slots=True)
class PartitionedReport:
    """What came of a job.

    Attributes:
        items: Asked about.
        partitions: Of the index.
        told: Recall at 10 as each partition's build measured it, the mean over its items.
        recall: Recall at ``k`` over all partitions, measured on the finished answers.
        measured_on: Items that it was measured on, each compared with every other.
        seconds: Duration of the run that ended it.
    """

    items: int
    partitions: int
    told: float
    recall: float
    measured_on: int
    seconds: float


def answer_everybody(
    recommender: Recommender,
    embeddings: Path,
    relation: str,
    out: Path,
    options: PartitionedOptions,
    on_progress: Callable[[str, int, int], None] = lambda _stage, _done, _total: None,
) -> PartitionedReport:
    """Find the closest items of every item in shards of vectors, among all items of these shards.

    The catalog tells the spaces and the relation, learned ones included; its items are not asked, but an item of the
    shards whose own behaviour it knows, by id, stands where that puts it. Shards are indexed some at a time, so that no
    host holds an index of them all; every item asks every partition, under the relation's rule, and the best of all are
    kept. Near-duplicates stand among the answers; a relation's re-ranking is not applied. The same call goes on where a
    run was interrupted.

    Args:
        recommender: Of a catalog in a folder, whose encoders made the vectors.
        embeddings: The ``out`` of ``simkin embed``, or of ``index.embedding.job.embed``.
        relation: Its name.
        out: A folder; ``part-000000.parquet``, … are written there, ``query, rank, id, score``, and ``report.json``.
        on_progress: Told (stage, done, total) now and then.

    Raises:
        InputError: The shards do not fit the catalog, or ``out`` holds something else.
        UnknownNameError: There is no such relation.
        LockedError: Another process writes to ``out``.
        StorageError: Something cannot be read or written; what was finished stays.
        SimkinError: Ray gave up; what was finished stays.
    """
    started = time.monotonic()
    catalog = recommender.catalog
    if not isinstance(catalog, Catalog):
        raise InputError(f"{catalog.folder} is a database; spaces are taken from a catalog in a folder")
    terms, spaces = _terms(catalog, recommender.generation, embeddings, relation, options)
    work = (out / WORK).absolute()
    _make_out(out)
    with writer_lock(out):
        if (out / REPORT).is_file():
            shutil.rmtree(work, ignore_errors=True)  # a run that was killed at its very end left it
            raise InputError(f"{out} holds finished answers; name another folder, or remove it")
        if not terms.agree_with(work):
            if (work / TERMS).exists():
                raise InputError(f"{out} belongs to another job, or to other shards; name another folder, or remove it")
            if any(out.glob("part-*")):
                raise InputError(f"{out} holds answers of another job; name another folder, or remove it")
            shutil.rmtree(work, ignore_errors=True)
            (work / ANSWERS).mkdir(parents=True)
            (work / PARTITIONS).mkdir()
            for modality, space in spaces.items():
                _keep_space(space_folder(work, modality), catalog, space)
            terms.save(work)
        with _workers(options, work, out.absolute()) as have_done:
            report = _run(work, out, terms, have_done, on_progress, started)
        with placed(out / REPORT) as partial:
            partial.write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
        shutil.rmtree(work)
    return report


def _run(
    work: Path,
    out: Path,
    terms: Terms,
    have_done: Work,
    on_progress: Callable[[str, int, int], None],
    started: float,
) -> PartitionedReport:
    def do(stage: str, tasks: Sequence[Task], total: int) -> None:
        done = total - len(tasks)
        on_progress(stage, done, total)
        for finished in have_done(tasks) if tasks else ():
            done += finished
            on_progress(stage, done, total)

    numbers = range(len(terms.partitions))
    do("building", [Task("build", n) for n in numbers if not is_built(work, n)], len(numbers))
    records = [read_record(work, n) for n in numbers]
    counts = [record.count for record in records]
    if not sum(counts):
        raise InputError(f"{terms.embeddings} holds no vector; see its failures")
    chunks = chunks_of(counts)
    turns = {number: len(partitions_asked(terms, number)) for number in numbers}
    asked = [asked_so_far(work, chunk.number) for chunk in chunks]
    every = sum(turns[chunk.partition] for chunk in chunks)
    told = sum(asked)
    for turn in range(max(turns.values())):  # all ask the same partition, so that hosts hold it in memory
        tasks = [
            Task("ask", chunk.number, turn)
            for chunk, had in zip(chunks, asked, strict=True)
            if had <= turn < turns[chunk.partition]
        ]
        for finished in have_done(tasks) if tasks else ():
            told += finished
            on_progress("asking", told, every)
    sample = draw_sample(work, counts)
    do("measuring", [Task("truth", n) for n in numbers if not was_told(work, n)], len(numbers))
    lacking = [chunk for chunk in chunks if not (out / part_name(chunk.number)).exists()]
    do("writing", [Task("write", chunk.number) for chunk in lacking], len(chunks))
    recalls = [record.relations[terms.relation.name].recall if record.count else 1.0 for record in records]
    return PartitionedReport(
        sum(counts),
        len(counts),
        float(np.average(recalls, weights=counts)),
        measured_recall(work, terms, chunks, len(counts)),
        len(sample),
        round(time.monotonic() - started, 3),
    )


def _terms(
    catalog: Catalog, generation: Generation, embeddings: Path, name: str, options: PartitionedOptions
) -> tuple[Terms, dict[str, Space]]:
    """What is asked of which shards, and of each modality the catalog's space."""
    if options.k < 1 or options.partition_size < 1:
        raise InputError("k and the size of partitions must be at least 1")
    relation = catalog.relation(name)
    ready = ReadyMade.open(embeddings)
    if ready.manifest is None:
        raise InputError(f"{embeddings} holds .npy files; expected the --out of simkin embed")
    cards: dict[str, dict[str, EncoderCard]] = {}
    spaces: dict[str, Space] = {}
    partitions: list[Partition] = []
    problems = [f"no item of {catalog.folder} has a facet that {name!r} compares"]
    for _, space, misfit in generation.asked_by(relation):
        shards = ready.shards(space.modality)
        problem = misfit or _unfit(space.record.encoders, space.cards, ready)
        if problem or not shards:
            problems.append(problem or f"{embeddings} holds no vectors of {space.modality}s")
            continue
        cards[space.modality] = dict(zip(space.record.encoders, space.cards, strict=True))
        spaces[space.modality] = space
        partitions += _cut(space.modality, shards, options.partition_size)
    if not partitions:
        raise InputError("; ".join(problems[1:] or problems))
    recall = float(catalog.setting("recall", str(DEFAULT_RECALL)))
    place = str(embeddings.absolute())
    return Terms(place, _digest(ready.manifest), relation, options.k, recall, cards, tuple(partitions)), spaces


def _keep_space(folder: Path, catalog: Catalog, space: Space) -> None:
    """Keep the map from encoders' vectors to rows, and what is known of items' behaviour, for every host."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(space.folder / PROJECTION, folder / PROJECTION)
    if isinstance(space, LearnedSpace) and space.head.sphere:
        Known.keep(folder, *behaviour_of(catalog, space.record.learned, space.head))


def _unfit(encoders: Sequence[str], cards: Sequence[EncoderCard], ready: ReadyMade) -> str:
    """Why shards are not of the encoders that a space was fitted to; empty when they are."""
    for name, card in zip(encoders, cards, strict=True):
        if name not in ready.encoders:
            return f"{ready.folder} holds no vectors of {name}; add them with: simkin embed --encoder {name}"
        if ready.encoders[name].fingerprint != card.fingerprint:
            return (
                f"{ready.folder} holds {name} vectors of fingerprint {ready.encoders[name].fingerprint}, the catalog's "
                f"are of {card.fingerprint}; embed again with the same simkin"
            )
    return ""


def _cut(modality: Modality, shards: dict[str, int], size: int) -> Iterator[Partition]:
    """Partitions of consecutive shards, each of so many files at least."""
    own: list[str] = []
    count = 0
    for name, rows in shards.items():
        if count >= size:
            yield Partition(modality, tuple(own))
            own, count = [], 0
        own.append(name)
        count += rows
    yield Partition(modality, tuple(own))


def _digest(manifest: Manifest) -> str:
    hashes = [
        (name, shard, told.sha256) for name, held in manifest.encoders.items() for shard, told in held.shards.items()
    ]
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()


def _make_out(out: Path) -> None:
    """Make the folder of the answers; refuse one that is none of such a job."""
    own = (WORK, REPORT, f".{REPORT}.", "writer.", "part-", ".part-")
    try:
        out.mkdir(parents=True, exist_ok=True)
        strangers = sorted(path.name for path in out.iterdir() if not path.name.startswith(own))
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{out} is a file; name a folder") from None
    except OSError as error:
        raise StorageError(f"cannot write to {out}: {error.strerror or error}") from None
    if strangers:
        raise InputError(f"{out} holds something else ({strangers[0]}); name a new folder")


@contextmanager
def _workers(options: PartitionedOptions, work: Path, out: Path) -> Iterator[Work]:
    """Who does tasks while the body runs."""
    if options.engine == "local":
        worker = Worker(work, out)

        def here(tasks: Sequence[Task]) -> Iterator[bool]:
            for task in tasks:
                worker.do(task)
                yield True

        yield here
        return
    from index.cluster import on_cluster

    with on_cluster(options.address, 0) as cluster:

        def there(tasks: Sequence[Task]) -> Iterator[bool]:
            rows = [asdict(task) for task in tasks]
            workers = min(cluster.places("cpu", 0), len(rows))
            for row in cluster.work_off(Worker, (work, out), rows, workers, "cpu"):
                if row is not None and row["problem"]:
                    raise (StorageError if row["storage"] else InputError)(row["problem"])
                yield row is not None

        yield there
