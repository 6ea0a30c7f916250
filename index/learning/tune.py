"""Tuning a picture network to a catalog: kin in, an encoder out, if it finds unseen kin better than before."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.catalog import Catalog
from index.encoders import check_tunable, open_tuner
from index.engine.build import cards
from index.engine.generations import open_generation
from index.engine.spaces import unit_rows
from index.errors import InputError, StorageError, UnknownNameError
from index.learning.dataset import SAME
from index.learning.edges import EdgeArrays, Reading
from index.learning.formats import read_edges
from index.learning.kin import Kin, kin_of
from index.learning.kin_batches import KinBatches
from index.learning.kin_recall import Ranks, Verdict, compared_as_in_a_catalog, first_kin, judge_networks
from index.learning.kin_split import KinSplit, split_kin
from index.learning.pairing import Pairing
from index.learning.resolve import ResolveReport, resolve_edges
from index.learning.splits import TEST, TRAIN, VALIDATION, find_groups
from index.learning.triplets import whitening
from index.lock import writer_lock
from index.model_cache import cache_folder
from index.types import EpochReport, Facet, Training, Tuner, Vectors

LOSSES = ("triplet", "multi-similarity", "ntxent")

HEADS = {"linear": 0, "mlp": 512}
"""Kind of head → units of its perceptron."""

HEAD_BATCH, BLOCK_BATCH = 256, 64
HEAD_EPOCHS, BLOCK_EPOCHS = 30, 10

REVISION = 1
"""Raised when training changes, so that nothing goes on from what another version kept."""

LEAST_STEPS = 20
"""Batches in an epoch of a head, at least: it is so quick that small catalogs are better gone through several times."""


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """What tuning may be told.

    Attributes:
        encoder: Name of a picture network of torch, see ``vision.network_names.FORMS``.
        out: The ``.onnx`` file to write.
        label: Attribute that kin share; empty for none.
        relation: Of the edges to take; empty for all.
        format: Of the edges, one of ``index.learning.formats.FORMATS``; empty: told from the file.
        pairing: How pairs are made of baskets, sessions and playlists.
        train: ``"head"``, or ``"blocks:N"`` for the last N blocks and a head.
        head: A key of ``HEADS``.
        loss: One of ``LOSSES``.
        dim: Dimensions of the new vectors, at most.
        epochs: At most; 0 for as many as usual.
        seed: Of splits, batches and weights.
        force: Write it even if it is not better; recorded in its card.
    """

    encoder: str
    out: Path
    label: str = ""
    relation: str = ""
    format: str = ""
    pairing: Pairing = field(default_factory=Pairing)
    train: str = "head"
    head: str = "linear"
    loss: str = "multi-similarity"
    dim: int = 128
    epochs: int = 0
    seed: int = 0
    force: bool = False

    @property
    def blocks(self) -> int:
        """How many blocks are trained; 0 for the head alone.

        Raises:
            InputError: ``train`` is neither.
        """
        kind, _, number = self.train.partition(":")
        if self.train == "head":
            return 0
        if kind == "blocks" and number.isdecimal() and int(number) > 0:
            return int(number)
        raise InputError(f"cannot train {self.train!r}; expected head, or blocks:N with the number of last blocks")

    @property
    def most_epochs(self) -> int:
        """Epochs, as asked for or as usual."""
        return self.epochs or (BLOCK_EPOCHS if self.blocks else HEAD_EPOCHS)


@dataclass(frozen=True, slots=True)
class TuneReport:
    """What came of tuning.

    Attributes:
        out: The file.
        saved: Whether it was written.
        forced: Whether it was written without being better.
        verdict: The tuned network against the untouched one.
        training: How it went.
        split: What was held out.
        pictures: With kin, and readable.
        unreadable: Left out since they could not be read.
        classes: Of kin.
        what: What kin share.
        read: What reading edges met and left out; ``None`` without a file.
        resolved: What became of the edges; likewise.
        parity: Of the file with torch; ``None`` when none was written.
        folder: Where work is kept for the same command to go on; ``None`` once it is done.
        seconds: Duration.
    """

    out: Path
    saved: bool
    forced: bool
    verdict: Verdict
    training: Training
    split: KinSplit
    pictures: int
    unreadable: int
    classes: int
    what: str
    read: Reading | None
    resolved: ResolveReport | None
    parity: dict[str, Any] | None
    folder: Path | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "event": "tuned",
            "out": str(self.out),
            "saved": self.saved,
            "forced": self.forced,
            "verdict": self.verdict.to_json(),
            "training": self.training._asdict(),
            "split": self.split.to_json(),
            "pictures": self.pictures,
            "unreadable": self.unreadable,
            "classes": self.classes,
            "what": self.what,
            "read": asdict(self.read) if self.read else None,
            "resolved": asdict(self.resolved) if self.resolved else None,
            "parity": self.parity,
            "folder": str(self.folder) if self.folder else None,
            "seconds": self.seconds,
        }


def tune(
    catalog: Catalog,
    source: Path | None,
    options: TuneOptions,
    on_progress: Callable[[str, int, int, int], None] = lambda *_: None,
    on_epoch: Callable[[EpochReport], None] = lambda _: None,
) -> TuneReport:
    """Train a network to tell a catalog's kin, judge it on kin held out, and write it if it is better.

    What is judged is what is written: the network is not trained once more on everything. The catalog is only read.

    Args:
        source: Edges whose ends are kin, see ``index.learning.formats.read_edges``; ``None`` for none. With neither
            edges nor a label, photos of one item are kin.
        on_progress: Told a stage, how many pictures are done, of how many, and how many failed.
        on_epoch: Told of each epoch.

    Raises:
        InputError: Nothing can be trained or judged by; nothing is written.
        UnknownNameError: No such attribute, format, loss, head or network.
        MissingExtraError: The extra ``torch`` is not installed.
        NotBuiltError, StaleIndexError: The catalog must be built.
        LockedError: Another process is at the same work.
        StorageError: The disk is full or failing.
    """
    started = time.monotonic()
    _check(source, options)
    reading = Reading() if source is not None else None
    edges, resolved = _edges(catalog, source, options, reading) if reading is not None and source else (None, None)
    kin = kin_of(catalog, label=options.label, edges=edges, groups_of=_near_duplicates(catalog))
    split_kin(kin, options.seed)  # whoever has too few is told before anything is loaded
    tuner = open_tuner(
        options.encoder,
        blocks=options.blocks,
        loss=options.loss,
        hidden=HEADS[options.head],
        dim=options.dim,
        epochs=options.most_epochs,
        seed=options.seed,
    )
    everything = cache_folder() / "tuning" / _key(tuner.card.sha256, kin.paths)
    folder = everything / _key(REVISION, options, kin)
    with _work(everything):
        features, readable = tuner.read(kin.paths, everything, lambda *done: on_progress("features", *done))
        kin = kin.chosen(readable)
        places = np.flatnonzero(readable)
        split = split_kin(kin, options.seed)
        training = _trained(tuner, kin, split, places, options, folder, on_epoch)
        on_progress("judging", 0, 0, 0)
        verdict = _judged(tuner, kin, split, places, features[places], options)
        better = verdict.decision == "better"
        saved = better or options.force
        parity = None
        if saved:
            on_progress("exporting", 0, 0, 0)
            facts = {"tuning": _facts(options, kin, split, training, verdict)}
            judged_by = [kin.paths[row] for row in split.rows(TEST).tolist()]
            parity = dict(tuner.export(options.out, judged_by, facts))
    done = saved and not training.interrupted
    if done:
        shutil.rmtree(everything, ignore_errors=True)
    return TuneReport(
        out=options.out,
        saved=saved,
        forced=saved and not better,
        verdict=verdict,
        training=training,
        split=split,
        pictures=len(kin.paths),
        unreadable=int((~readable).sum()),
        classes=len(np.unique(kin.classes)),
        what=kin.what,
        read=reading,
        resolved=resolved,
        parity=parity,
        folder=None if done else everything,
        seconds=round(time.monotonic() - started, 3),
    )


def _check(source: Path | None, options: TuneOptions) -> None:
    """Refuse what cannot end well before anything is read."""
    if source is not None and options.label:
        raise InputError("kin are told by edges or by a label, one of the two")
    if options.loss not in LOSSES:
        raise UnknownNameError.of("loss", options.loss, LOSSES)
    if options.head not in HEADS:
        raise UnknownNameError.of("head", options.head, HEADS)
    if options.dim < 2:
        raise InputError(f"vectors must have two dimensions at least, not {options.dim}")
    _ = options.blocks
    check_tunable(options.encoder)
    out = options.out.absolute()
    if out.suffix.lower() != ".onnx" or out.is_dir():
        raise InputError(f"{options.out} must be the name of an .onnx file")
    place = next(parent for parent in out.parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise StorageError(f"{options.out} cannot be written: {place}: {error.strerror or error}") from None


def _edges(catalog: Catalog, source: Path, options: TuneOptions, reading: Reading) -> tuple[EdgeArrays, ResolveReport]:
    """Edges between database keys."""
    numbers = dict(catalog.connection.execute("SELECT id, item FROM items"))
    found = read_edges(source, format=options.format, pairing=options.pairing, reading=reading)
    return resolve_edges(found, numbers, relation=options.relation, directed=False)


def _near_duplicates(catalog: Catalog) -> Callable[[NDArray[np.int64]], NDArray[np.int64]]:
    """From items to groups of near-duplicates, as the catalog's vectors tell them."""

    def groups_of(items: NDArray[np.int64]) -> NDArray[np.int64]:
        own, place = np.unique(items, return_inverse=True)
        generation = open_generation(catalog.folder, cards(catalog), catalog.relations())
        groups = np.arange(len(own)) + len(own)
        space = generation.spaces.get("image")
        if space is not None:
            keys = np.array(space.keys)
            known = np.isin(own, keys)
            rows = np.array(space.vectors[space.rows_of(own[known])])
            groups[known] = find_groups(rows, SAME)
        return groups[place.reshape(-1)]

    return groups_of


def _trained(
    tuner: Tuner,
    kin: Kin,
    split: KinSplit,
    places: NDArray[np.int64],
    options: TuneOptions,
    folder: Path,
    on_epoch: Callable[[EpochReport], None],
) -> Training:
    """Train on one side and choose the epoch by another; ``places`` are the pictures as the tuner numbers them."""
    batches = KinBatches(kin, split.rows(TRAIN), BLOCK_BATCH if options.blocks else HEAD_BATCH)
    judged = split.rows(VALIDATION)

    def draw(rng: np.random.Generator) -> Any:
        batch = batches.draw(rng)
        return batch._replace(rows=places[batch.rows])

    def judge(vectors: Vectors) -> float:
        return _ranks(kin, judged, vectors, split, options).reciprocal

    steps = len(batches) if options.blocks else max(LEAST_STEPS, len(batches))
    learned_from = places[split.rows(TRAIN)]
    return tuner.train(draw, steps, learned_from, places[judged], judge, folder, on_epoch)


def _judged(
    tuner: Tuner, kin: Kin, split: KinSplit, places: NDArray[np.int64], features: Vectors, options: TuneOptions
) -> Verdict:
    rows, seen = split.rows(TEST), features[split.rows(TRAIN)]
    whitened = unit_rows((features[rows] - seen.mean(axis=0)) @ whitening(seen)[:, : options.dim])
    vectors = {"untouched": features[rows], "whitened": whitened, "tuned": tuner.embed(places[rows])}
    networks = {name: _ranks(kin, rows, own, split, options) for name, own in vectors.items()}
    return judge_networks(networks, seed=options.seed)


def _ranks(kin: Kin, rows: NDArray[np.int64], vectors: Vectors, split: KinSplit, options: TuneOptions) -> Ranks:
    dim = vectors.shape[1]
    compared = compared_as_in_a_catalog(Facet("content", 0, dim, 0.0, min(256, dim), 1.0, ""), vectors)
    return first_kin(kin, rows, compared, seed=options.seed, by_item=split.held == "items")


def _facts(options: TuneOptions, kin: Kin, split: KinSplit, training: Training, verdict: Verdict) -> dict[str, Any]:
    """What the file tells of its training."""
    return {
        "from": options.encoder,
        "kin": kin.what,
        "train": options.train,
        "head": options.head,
        "loss": options.loss,
        "seed": options.seed,
        "pictures": len(kin.paths),
        "classes": len(np.unique(kin.classes)),
        "training": training._asdict(),
        "split": split.to_json(),
        "verdict": verdict.to_json(),
        "forced": verdict.decision != "better",
    }


def _key(*parts: object) -> str:
    """Hash (16 hex digits) of what makes two runs the same work."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Kin):
            for array in (part.items, part.classes, part.categories, part.duplicates, *part.linked.nonzero()):
                digest.update(np.ascontiguousarray(array, "<i8").tobytes() + b"|")
        elif isinstance(part, TuneOptions):
            chosen = (part.train, part.head, part.loss, part.dim, part.most_epochs, part.seed)
            digest.update(json.dumps([part.label, *chosen]).encode())
        elif isinstance(part, tuple):
            for path in part:
                digest.update(os.fsencode(path) + b"|" + _identity(path).encode())
        else:
            digest.update(str(part).encode())
    return digest.hexdigest()[:16]


def _identity(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "gone"
    return f"{found.st_size},{found.st_mtime_ns};"


def _work(folder: Path) -> Any:
    """The lock of a folder for work in progress, which is made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot keep work in {folder}: {error.strerror}; set SIMKIN_CACHE") from None
    return writer_lock(folder)
