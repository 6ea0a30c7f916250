"""Generations: immutable sets of built files under a manifest, swapped by renaming ``CURRENT``."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from index.engine.rows import LearnedSpace, Space, SpaceRecord
from index.errors import NotBuiltError, StaleIndexError, StorageError
from index.relations import Relation
from index.types import EncoderCard

FORMAT_VERSION = 6
GENERATIONS = "generations"
CURRENT = "CURRENT"
MANIFEST = "manifest.json"


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


RANDOM_LEVELS = (0.0, *(step / 100 for step in range(1, 100)), 0.995, 0.999, 0.9995, 0.9999, 1.0)
"""Levels at which the scores of random pairs are kept: finer where answers lie."""


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
        content["spaces"] = {name: SpaceRecord.from_json(space) for name, space in content["spaces"].items()}
        content["files"] = {
            name: FileRecord(record["size"], record["sha256"], tuple(record["stamp"]))
            for name, record in content["files"].items()
        }
        return cls(**content)


class Generation:
    """One opened generation.

    Attributes:
        spaces: Modality → its rows.
        learned: Learned relation → its rows.
    """

    def __init__(self, folder: Path, manifest: Manifest, cards: Mapping[str, EncoderCard]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.spaces: dict[str, Space] = {}
        self.learned: dict[str, LearnedSpace] = {}
        self._asked_by: dict[Relation, list[tuple[Space, Space, str]]] = {}
        for name, record in manifest.spaces.items():
            own = [cards[encoder] for encoder in record.encoders]
            if record.learned:
                self.learned[record.learned] = LearnedSpace(folder / name, own[0].modality, record, own)
            else:
                self.spaces[name] = Space(folder / name, own[0].modality, record, own)

    def every_space(self) -> list[Space]:
        """All of them."""
        return [*self.spaces.values(), *self.learned.values()]

    def asked_by(self, relation: Relation) -> list[tuple[Space, Space, str]]:
        """What a relation can be asked of: for each modality its rows, the rows that are searched (its own, or those of
        the learned relation), and why these cannot be asked; empty when they can.

        Raises:
            StaleIndexError: The relation was learned or forgotten since the generation was built.
        """
        if relation not in self._asked_by:
            if not self._has(relation):
                raise StaleIndexError(
                    f"relation {relation.name!r} was learned or forgotten a moment ago and is not built yet; ask again "
                    "soon, or build it with: simkin index"
                )
            self._asked_by[relation] = [
                (facets, space, _misfit(facets, space, relation))
                for facets in self.spaces.values()
                for space in (self.learned[relation.name] if relation.head else facets,)
            ]
        return self._asked_by[relation]

    def _has(self, relation: Relation) -> bool:
        """Whether this very relation was built, or there is nothing that it could be asked of."""
        if relation.head:
            space = self.learned.get(relation.name)
            return space is not None and space.record.relations[relation.name].digest == relation.digest
        asked = [space for space in self.spaces.values() if space.compares(relation)]
        return all(relation.name in space.record.relations for space in asked)


def _misfit(facets: Space, space: Space, relation: Relation) -> str:
    if facets.modality not in relation.modalities:
        return f"it is asked of {' and '.join(relation.modalities)} items, not of {facets.modality} items"
    if not space.compares(relation):
        return f"it compares {', '.join(relation.weights)}, which no {facets.modality} has"
    return ""


def current_number(catalog: Path) -> int:
    """Number of the generation in use; 0 when there is none."""
    try:
        with open(f"{os.fspath(catalog)}/{CURRENT}", "rb", buffering=0) as file:
            return int(file.read(32))
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


def open_generation(
    catalog: Path, cards: Mapping[str, EncoderCard], relations: Mapping[str, Relation], *, thorough: bool = False
) -> Generation:
    """Open the generation in use, after its manifest, its relations and its files agree.

    Args:
        catalog: The catalog's folder.
        cards: Encoder name → card, as the database has them.
        relations: Those that are asked of this catalog.
        thorough: Read every file whole, even those that nothing has touched since they were written.

    Raises:
        NotBuiltError: None was built yet.
        StaleIndexError: Something disagrees; the message says what, and how to rebuild.
    """
    number = current_number(catalog)
    manifest = read_manifest(catalog, number)
    reason = unusable(manifest, cards, relations) or damage(catalog, manifest, thorough=thorough)
    if reason:
        raise StaleIndexError(f"generation {number} of {catalog}: {reason}; rebuild with: {_rebuild(catalog)}")
    return Generation(generation_folder(catalog, number), manifest, cards)


def unusable(manifest: Manifest, cards: Mapping[str, EncoderCard], relations: Mapping[str, Relation]) -> str:
    """Why no question can be answered from a generation; empty when some can.

    Relations that were learned or forgotten since it was built are no reason: the others answer, and these say so
    themselves.
    """
    fingerprints = {name: card.fingerprint for name, card in cards.items()}
    if manifest.fingerprints != fingerprints:
        return f"built for encoders {manifest.fingerprints}, the catalog holds {fingerprints}"
    for space in manifest.spaces.values():
        for name, plan in space.relations.items():
            known = relations.get(name)
            if not space.learned and known and not known.head and plan.digest != known.digest:
                return f"built for another definition of relation {name!r}"
    return ""


def disagreement(manifest: Manifest, cards: Mapping[str, EncoderCard], relations: Mapping[str, Relation]) -> str:
    """Why a generation is not what would be built now, by encoders and relations; empty when it is."""
    fingerprints = {name: card.fingerprint for name, card in cards.items()}
    if manifest.fingerprints != fingerprints:
        return f"built for encoders {manifest.fingerprints}, the catalog holds {fingerprints}"
    learned = {name for name, relation in relations.items() if relation.head}
    built = {space.learned for space in manifest.spaces.values() if space.learned}
    if learned != built:
        return f"built for learned relations {sorted(built)}, the catalog has {sorted(learned)}"
    for space in manifest.spaces.values():
        modality = cards[space.encoders[0]].modality
        facets = [facet for name in space.encoders for facet in cards[name].facets]
        asked = {name for name, relation in relations.items() if relation.compares(modality, facets)}
        if space.learned:
            asked = {space.learned}
        if asked != set(space.relations):
            return f"built for relations {sorted(space.relations)}, this program asks {sorted(asked)}"
        for name, plan in space.relations.items():
            if plan.digest != relations[name].digest:
                return f"built for another definition of relation {name!r}"
            if relations[name].rerank != "none" and not plan.surroundings:
                return f"built without what re-ranking relation {name!r} needs"
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
