"""Generations: immutable sets of built files under a manifest, swapped by renaming ``CURRENT``."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.ann import Trees
from index.errors import NotBuiltError, StaleIndexError, StorageError
from index.projection import Projection
from index.relations import RELATIONS, Relation
from index.segments import Segment, cut
from index.types import EncoderCard, Modality, Vectors

FORMAT_VERSION = 1
GENERATIONS = "generations"
CURRENT = "CURRENT"
MANIFEST = "manifest.json"
REDUCER = "reducer.f32"
REDUCED = "reduced.f32"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What a built file was when it was written.

    Attributes:
        size: Bytes.
        sha256: Of the content.
        stamp: Modification time in nanoseconds and inode: a file that still has both was not touched,
            so opening need not read it whole.
    """

    size: int
    sha256: str
    stamp: tuple[int, int]


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How one relation's rows are searched, as found when they were built.

    Attributes:
        digest: Of the relation, to refuse trees of another definition.
        method: ``"annoy"``, ``"reduced"`` or ``"exact"``; see ``index.search``.
        recall: Measured on held-out queries at k = 10, after exact re-ranking; 1.0 when exact.
        measured_on: How many held-out queries.
        trees: Per segment.
        search_k: Nodes that Annoy inspects for one query.
        candidates: Rows that are re-ranked exactly.
        dim: Dimensions of the reduced copy that trees are built on.
        by_category: Whether the trees follow the categories.
        seconds_per_query: Lower quartile of one query by this method, with re-ranking, on this machine; 0 when exact.
        seconds_per_row: Of an exact scan, on this machine.
        random: Quantiles (at ``RANDOM_LEVELS``) of the scores of random pairs.
    """

    digest: str
    method: str
    recall: float
    measured_on: int
    trees: int
    search_k: int
    candidates: int
    dim: int
    by_category: bool
    seconds_per_query: float
    seconds_per_row: float
    random: tuple[float, ...]


RANDOM_LEVELS = (0.0, *(step / 100 for step in range(1, 100)), 0.995, 0.999, 0.9995, 0.9999, 1.0)
"""Levels at which the scores of random pairs are kept: finer where answers lie."""


@dataclass(frozen=True, slots=True)
class SpaceRecord:
    """What the manifest says of one modality's rows."""

    count: int
    dim: int
    encoders: tuple[str, ...]
    categories: tuple[str | None, ...]
    offsets: tuple[int, ...]
    relations: dict[str, SearchPlan]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation is, checked before any of its files is opened."""

    format: int
    number: int
    created: str
    sequence: int
    asked_recall: float
    fingerprints: dict[str, str]
    spaces: dict[str, SpaceRecord]
    files: dict[str, FileRecord] = field(default_factory=dict)

    def to_json(self) -> str:
        """The manifest as it is written, with a checksum of itself."""
        content = asdict(self)
        return json.dumps({**content, "checksum": _checksum(content)}, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read a manifest.

        Raises:
            ValueError, KeyError, TypeError: It is not one of this format.
        """
        content = json.loads(text)
        if content["format"] != FORMAT_VERSION:
            raise ValueError(f"format {content['format']}, expected {FORMAT_VERSION}")
        if content.pop("checksum") != _checksum(content):
            raise ValueError("its content is not what was written")
        content["spaces"] = {
            name: SpaceRecord(
                **{
                    **space,
                    "encoders": tuple(space["encoders"]),
                    "categories": tuple(space["categories"]),
                    "offsets": tuple(space["offsets"]),
                    "relations": {
                        key: SearchPlan(**{**plan, "random": tuple(plan["random"])})
                        for key, plan in space["relations"].items()
                    },
                }
            )
            for name, space in content["spaces"].items()
        }
        content["files"] = {
            name: FileRecord(record["size"], record["sha256"], tuple(record["stamp"]))
            for name, record in content["files"].items()
        }
        return cls(**content)


class Space:
    """The rows of one modality, memory-mapped, in the order (category, item id)."""

    def __init__(self, folder: Path, modality: Modality, record: SpaceRecord, cards: Sequence[EncoderCard]) -> None:
        self.folder = folder
        self.modality = modality
        self.record = record
        self.offsets: NDArray[np.int64] = np.asarray(record.offsets, np.int64)
        self.keys: NDArray[np.int64] = _mapped(folder / "keys.i64", "<i8", (record.count,))
        self.vectors: Vectors = _mapped(folder / "vectors.f32", "<f4", (record.count, record.dim))
        self.projection = Projection.load(folder / "projection.npz", cards)
        self._trees: dict[tuple[str, str], Trees] = {}

    def release(self) -> None:
        """Hand mapped pages back to the system, and close trees: a build reads all rows several times, and
        would else seem to hold them in memory."""
        self._trees.clear()
        _release(self.vectors)

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self.keys, kind="stable")

    def rows_of(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of items by database key; -1 for items that are not in this space. int64, same shape."""
        if not self.record.count:
            return np.full(len(keys), -1, np.int64)
        place = np.searchsorted(self.keys, keys, sorter=self._order)
        rows = self._order[np.minimum(place, self.record.count - 1)]
        return np.where(self.keys[rows] == keys, rows, -1)

    def categories_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Category codes of rows. int64, same shape."""
        return np.searchsorted(self.offsets, rows, side="right") - 1

    def segments(self, relation: str) -> Segment:
        """The tree of segments that one relation's trees were built on."""
        return cut(self.offsets, by_category=self.record.relations[relation].by_category)

    def reducer(self, relation: str) -> NDArray[np.float32]:
        """The matrix that maps weighted rows to the copy that trees are built on. float32, ``(dim, reduced)``."""
        plan = self.record.relations[relation]
        return _mapped(self.folder / relation / REDUCER, "<f4", (self.record.dim, plan.dim))

    def reduced(self, relation: str) -> Vectors:
        """The copy that trees are built on, kept where it is searched itself. float32, ``(count, reduced)``."""
        plan = self.record.relations[relation]
        return _mapped(self.folder / relation / REDUCED, "<f4", (self.record.count, plan.dim))

    def trees(self, relation: str, segment: Segment) -> Trees:
        """Open (once) the trees of one segment."""
        key = (relation, segment.name)
        if key not in self._trees:
            plan = self.record.relations[relation]
            self._trees[key] = Trees(self.folder / relation / segment.name, plan.dim, segment.rows)
        return self._trees[key]

    def facet_weights(self, relation: Relation) -> NDArray[np.float32]:
        """Weight of each dimension, so that a score is ``(weights * query) @ row``: the facets' weights
        over their sum, zero for facets that the relation leaves out. float32, shape ``(dim,)``."""
        weights = np.zeros(self.record.dim, np.float32)
        each = relation.weights_of(self.projection.facets)
        for part in self.projection.parts:
            weights[part.own] = each[part.facet.name]
        return weights


class Generation:
    """One opened generation."""

    def __init__(self, folder: Path, manifest: Manifest, cards: Mapping[str, EncoderCard]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.spaces: dict[str, Space] = {}
        for name, record in manifest.spaces.items():
            own = [cards[encoder] for encoder in record.encoders]
            self.spaces[name] = Space(folder / name, own[0].modality, record, own)


def current_number(catalog: Path) -> int:
    """Number of the generation in use; 0 when there is none."""
    try:
        return int((catalog / CURRENT).read_text().strip())
    except (OSError, ValueError):
        return 0


def generation_folder(catalog: Path, number: int) -> Path:
    """Where a generation lies."""
    return catalog / GENERATIONS / f"{number:06d}"


def read_manifest(catalog: Path, number: int) -> Manifest:
    """Read one generation's manifest.

    Raises:
        NotBuiltError: There is no such generation.
        StaleIndexError: It cannot be read, or has another format.
    """
    path = generation_folder(catalog, number) / MANIFEST
    try:
        return Manifest.from_json(path.read_text())
    except FileNotFoundError:
        raise NotBuiltError(f"{catalog} has no built generation; build one with: {_rebuild(catalog)}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StaleIndexError(f"{path} cannot be read ({error}); rebuild with: {_rebuild(catalog)}") from None


def open_generation(catalog: Path, cards: Mapping[str, EncoderCard], *, thorough: bool = False) -> Generation:
    """Open the generation in use, after its manifest, its relations and its files agree.

    Args:
        catalog: The catalog's folder.
        cards: Encoder name → card, as the database has them.
        thorough: Read every file whole, even those that nothing has touched since they were written.

    Raises:
        NotBuiltError: None was built yet.
        StaleIndexError: Something disagrees; the message says what, and how to rebuild.
    """
    number = current_number(catalog)
    manifest = read_manifest(catalog, number)
    reason = disagreement(manifest, cards) or damage(catalog, manifest, thorough=thorough)
    if reason:
        raise StaleIndexError(f"generation {number} of {catalog}: {reason}; rebuild with: {_rebuild(catalog)}")
    return Generation(generation_folder(catalog, number), manifest, cards)


def disagreement(manifest: Manifest, cards: Mapping[str, EncoderCard]) -> str:
    """Why a generation does not fit the database's encoders or this program; empty when it does."""
    fingerprints = {name: card.fingerprint for name, card in cards.items()}
    if manifest.fingerprints != fingerprints:
        return f"built for encoders {manifest.fingerprints}, the catalog holds {fingerprints}"
    for space in manifest.spaces.values():
        modality = cards[space.encoders[0]].modality
        facets = [facet for name in space.encoders for facet in cards[name].facets]
        asked = {name for name, relation in RELATIONS.items() if relation.compares(modality, facets)}
        if asked != set(space.relations):
            return f"built for relations {sorted(space.relations)}, this program asks {sorted(asked)}"
        for name, plan in space.relations.items():
            if plan.digest != RELATIONS[name].digest:
                return f"built for another definition of relation {name!r}"
    return ""


def damage(catalog: Path, manifest: Manifest, *, thorough: bool) -> str:
    """Which built file is missing or not what was written; empty when all are sound."""
    folder = generation_folder(catalog, manifest.number)
    for name, record in manifest.files.items():
        try:
            status = (folder / name).stat()
        except OSError as error:
            return f"{name}: {(error.strerror or str(error)).lower()}"
        if status.st_size != record.size:
            return f"{name} has {status.st_size} bytes, {record.size} were written"
        touched = (status.st_mtime_ns, status.st_ino) != record.stamp
        if (touched or thorough) and _sha256(folder / name) != record.sha256:
            return f"{name} is damaged: its content is not what was written"
    return ""


def file_record(path: Path) -> FileRecord:
    """Describe a file just written."""
    status = path.stat()
    return FileRecord(status.st_size, _sha256(path), (status.st_mtime_ns, status.st_ino))


@contextmanager
def new_generation(catalog: Path) -> Iterator[tuple[int, Path]]:
    """Give a fresh folder to build in; on success it must hold a manifest, and becomes the one in use.

    The previous generation is kept for readers that still hold it; older ones, and what killed runs
    left behind, are deleted.

    Raises:
        StorageError: The disk is full or failing; the generation in use stays as it was.
    """
    numbers = [int(p.name) for p in (catalog / GENERATIONS).glob("[0-9]*") if p.name.isdigit()]
    before = current_number(catalog)
    number = max([*numbers, before], default=0) + 1
    folder = generation_folder(catalog, number)
    try:
        folder.mkdir(parents=True)
        yield number, folder
        swap = catalog / f"{CURRENT}.new"
        swap.write_text(f"{number}\n")
        _sync(folder / MANIFEST)
        _sync(swap)
        os.replace(swap, catalog / CURRENT)
    except OSError as error:
        _discard(catalog, number)
        raise StorageError(
            f"cannot build in {folder}: {error.strerror or error}; the items are kept: "
            f"free some space, then run: {_rebuild(catalog)}"
        ) from error
    except BaseException:
        _discard(catalog, number)
        raise
    for old in numbers:
        if old != before:
            shutil.rmtree(generation_folder(catalog, old), ignore_errors=True)


def _discard(catalog: Path, number: int) -> None:
    """Delete a generation that was not finished; one already in use when the interruption came stays."""
    if current_number(catalog) != number:
        shutil.rmtree(generation_folder(catalog, number), ignore_errors=True)


def _rebuild(catalog: Path) -> str:
    return f"simkin index --rebuild --catalog {catalog}"


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _mapped(path: Path, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if 0 in shape:
        return np.zeros(shape, dtype)
    try:
        return np.asarray(np.memmap(path, dtype, "r", shape=shape))  # plain arrays are quicker to slice
    except (OSError, ValueError) as error:  # deleted since the manifest was read
        raise StaleIndexError(f"{path} cannot be opened ({error}); rebuild with: simkin index --rebuild") from None


def _release(mapped: NDArray[Any]) -> None:
    base: Any = mapped
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if base is not None and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)  # clean pages of a file: read again when touched again


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
