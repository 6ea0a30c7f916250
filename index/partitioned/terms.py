"""Terms of a job: what is asked of which shards, in which spaces, written down so that every host works by the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from index.embedding.shards import placed
from index.engine.generations import FORMAT_VERSION
from index.engine.rows import LearnedSpace, Space, SpaceRecord
from index.errors import InputError
from index.relations import Relation
from index.types import EncoderCard, Modality

TERMS, RECORD = "terms.json", "record.json"
PARTITIONS, ANSWERS, TRUTH, SPACES = "partitions", "answers", "truth", "spaces"

LAYOUT = [FORMAT_VERSION, 2]
"""Of a partition's files, and of the others: work that was begun by another layout cannot be gone on with."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Shards of one modality that are indexed as one.

    Attributes:
        modality: Of them all.
        shards: Names of consecutive shard files.
    """

    modality: Modality
    shards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a job was asked.

    Attributes:
        embeddings: The folder of shards.
        shards: Digest of what its manifest says, to tell other shards apart.
        relation: The relation, as the catalog defines it.
        k: Number of answers for each item.
        recall: Asked of each partition's index.
        cards: Of the encoders of each modality, in the order of their numbers in a row.
        partitions: All of them.
    """

    embeddings: str
    shards: str
    relation: Relation
    k: int
    recall: float
    cards: Mapping[str, Mapping[str, EncoderCard]]
    partitions: tuple[Partition, ...]

    def save(self, work: Path) -> None:
        """Write them into the folder of the work."""
        with placed(work / TERMS) as partial:
            partial.write_text(json.dumps(self._content(), indent=1, sort_keys=True), encoding="utf-8")

    def _content(self) -> dict[str, Any]:
        relation = {**asdict(self.relation), "weights": dict(self.relation.weights)}
        return dict(json.loads(json.dumps({**asdict(self), "relation": relation, "layout": LAYOUT})))

    def agree_with(self, work: Path) -> bool:
        """Whether they are those of an earlier run."""
        try:
            return bool(json.loads((work / TERMS).read_text(encoding="utf-8")) == self._content())
        except (OSError, ValueError):
            return False

    @classmethod
    def load(cls, work: Path) -> Terms:
        """Read what ``save`` wrote.

        Raises:
            InputError: By another version, whose files are laid out otherwise.
        """
        content = json.loads((work / TERMS).read_text(encoding="utf-8"))
        if content.pop("layout") != LAYOUT:
            raise InputError(f"{work} was begun by another version of simkin; install the same on every host")
        told = content.pop("relation")
        relation = Relation(
            **{**told, "modalities": tuple(told["modalities"]), "facets": tuple(map(tuple, told["facets"]))}
        )
        cards = {
            modality: {name: EncoderCard.from_json(card) for name, card in own.items()}
            for modality, own in content.pop("cards").items()
        }
        partitions = tuple(Partition(one["modality"], tuple(one["shards"])) for one in content.pop("partitions"))
        return cls(**content, relation=relation, cards=cards, partitions=partitions)


def space_folder(work: Path, modality: str) -> Path:
    """Where the map of one modality, from encoders' vectors to rows, is kept for every host."""
    return work / SPACES / modality


def partition_folder(work: Path, number: int) -> Path:
    """Where a partition's rows and their index are."""
    return work / PARTITIONS / f"{number:06d}"


def space_of(folder: Path, terms: Terms, number: int, record: SpaceRecord) -> Space:
    """The rows of one partition, in a folder."""
    modality = terms.partitions[number].modality
    kind = LearnedSpace if terms.relation.head else Space
    return kind(folder, modality, record, list(terms.cards[modality].values()))


def open_partition(work: Path, terms: Terms, number: int) -> Space:
    """The rows of a partition that was built."""
    return space_of(partition_folder(work, number), terms, number, read_record(work, number))


def read_record(work: Path, number: int) -> SpaceRecord:
    """What a partition's record says."""
    return SpaceRecord.from_json(json.loads((partition_folder(work, number) / RECORD).read_text(encoding="utf-8")))


def is_built(work: Path, number: int) -> bool:
    """Whether a partition was built to its end."""
    return (partition_folder(work, number) / RECORD).is_file()


def write_record(folder: Path, record: SpaceRecord) -> None:
    """Write what a partition's rows are beside them."""
    relations = {name: replace(plan, random=()) for name, plan in record.relations.items()}
    (folder / RECORD).write_text(json.dumps(asdict(replace(record, relations=relations))), encoding="utf-8")
