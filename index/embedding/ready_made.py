"""Vectors that were made elsewhere, ready to be taken into a catalog: shards of a job, or ``.npy`` files."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from index.embedding.npy import NpyPart, find_parts, read_card, read_npy
from index.embedding.shards import MANIFEST, EncoderShards, Manifest, Row, read_ids, read_shard, sha256_of
from index.errors import InputError
from index.ingesting.scan import Entry
from index.types import EncoderCard, Modality

_MODALITIES: tuple[Modality, ...] = ("image", "audio")


class ReadyItem(NamedTuple):
    """One file's vectors: what planning compares, and what is stored.

    Attributes:
        entry: As a scan would give it; ``size`` and ``mtime_ns`` tell its vectors apart from others.
        tags: JSON object of what the file says of itself.
        vectors: Encoder and little-endian float32 bytes, for each encoder of its modality that succeeded.
        stage: Where describing it failed; empty when it did not.
    """

    entry: Entry
    tags: str
    vectors: tuple[tuple[str, bytes], ...]
    stage: str


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """A folder of ready-made vectors.

    Attributes:
        folder: Where they are.
        encoders: Name → card, of all of them.
        manifest: What a job says it holds; ``None`` for ``.npy`` files.
        parts: The ``.npy`` files, when there is no manifest.
    """

    folder: Path
    encoders: Mapping[str, EncoderCard]
    manifest: Manifest | None
    parts: tuple[NpyPart, ...]

    @classmethod
    def open(cls, folder: Path) -> ReadyMade:
        """Look at a folder without reading vectors.

        Raises:
            InputError: It holds none, or a job that has not finished a shard for each encoder.
        """
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder; expected the --out of simkin embed, or .npy and .parquet files")
        manifest = Manifest.load(folder)
        if manifest is None and (folder.parent / MANIFEST).is_file() and any(folder.glob("shard-*.parquet")):
            raise InputError(f"{folder} holds the shards of one encoder; name the folder above, {folder.parent}")
        if manifest is None:
            parts = find_parts(folder)
            name, card = read_card(folder, parts)
            return cls(folder, {name: card}, None, tuple(parts))
        encoders = {name: held.card for name, held in manifest.encoders.items() if held.shards}
        if not encoders:
            raise InputError(f"{folder} holds no finished shard yet; let simkin embed run to its end")
        for modality in ("image", "audio"):
            counts = {len(held.shards) for held in manifest.encoders.values() if held.card.modality == modality}
            if len(counts) > 1:
                raise InputError(f"{folder} lacks shards of some encoders; let simkin embed run to its end")
        return cls(folder, encoders, manifest, ())

    def count(self) -> int:
        """Number of files, failed ones included."""
        if self.manifest is None:
            return sum(len(part.vectors) for part in self.parts)
        return sum(sum(self.shards(modality).values()) for modality in _MODALITIES)

    def ids(self) -> Iterator[str]:
        """The item of each file, in the order of ``items``, without reading the vectors of shards.

        Raises:
            InputError: A shard is missing.
        """
        if self.manifest is None:
            yield from (item.entry.item_id for item in self.items())
        for modality in _MODALITIES:
            for shard in self.shards(modality):
                yield from self._ids(modality, shard)

    def spread(self, count: int) -> frozenset[str]:
        """Ids of so many items, evenly spread over the files; fewer where items have several files."""
        total = self.count()
        count = min(count, total)
        return frozenset(item_id for at, item_id in enumerate(self.ids()) if at * count % total < count)

    def items(self, only: Container[str] | None = None) -> Iterator[ReadyItem]:
        """Read everything, in the order of the files.

        Args:
            only: Ids of the items to read; ``None`` for all.

        Raises:
            InputError: A shard is missing or not what was written.
        """
        if self.manifest is None:
            ((name, card),) = self.encoders.items()
            for row in read_npy(list(self.parts), card):
                if only is None or row.item_id in only:
                    yield _item({name: row}, card.modality)
            return
        for modality in _MODALITIES:
            yield from self.items_of(modality, self.shards(modality), only)

    def shards(self, modality: Modality) -> dict[str, int]:
        """Shard → number of files, of one modality, in the order of the plan; none where there is no manifest."""
        held = self._held(modality)
        return {name: shard.rows for name, shard in next(iter(held.values())).shards.items()} if held else {}

    def items_of(
        self, modality: Modality, shards: Iterable[str], only: Container[str] | None = None
    ) -> Iterator[ReadyItem]:
        """Read some shards, in the order given; those without an item to read are passed over unseen.

        Args:
            only: As in ``items``.

        Raises:
            InputError: A shard is missing or not what was written.
        """
        held = self._held(modality)
        for shard in shards:
            if only is not None and not any(name in only for name in self._ids(modality, shard)):
                continue
            files = [_rows(self.folder, each, shard, only) for each in held.values()]
            for rows in zip(*files, strict=True):
                yield _item(dict(zip(held, rows, strict=True)), modality)

    def _ids(self, modality: Modality, shard: str) -> Iterator[str]:
        path = self.folder / next(iter(self._held(modality).values())).folder / shard
        try:
            yield from read_ids(path)
        except (OSError, ValueError, KeyError):  # as Arrow tells of damaged files, too
            raise _not_what_was_written(path) from None

    def _held(self, modality: Modality) -> dict[str, EncoderShards]:
        if self.manifest is None:
            return {}
        return {name: self.manifest.encoders[name] for name, card in self.encoders.items() if card.modality == modality}


def _rows(folder: Path, held: EncoderShards, shard: str, only: Container[str] | None) -> Iterator[Row]:
    path = folder / held.folder / shard
    if sha256_of(path) != held.shards[shard].sha256:
        raise _not_what_was_written(path)
    return read_shard(path, only)


def _not_what_was_written(path: Path) -> InputError:
    return InputError(f"{path} is missing or not what was written; run simkin embed again, it writes it anew")


def _item(rows: Mapping[str, Row], modality: Modality) -> ReadyItem:
    """One file from its row of each encoder."""
    first = next(iter(rows.values()))
    vectors = tuple((name, row.vector) for name, row in rows.items() if row.vector)
    failed = next((row for row in rows.values() if not row.vector), None)
    stamp = blake2b("\0".join((first.tags, failed.error if failed else "")).encode(), digest_size=8)
    for name, vector in vectors:
        stamp.update(name.encode() + vector)
    entry = Entry(
        first.item_id,
        first.position,
        os.fsencode(first.path),
        modality,
        sum(len(vector) for _, vector in vectors),
        int.from_bytes(stamp.digest(), "little") >> 1,
        first.attributes,
        failed.error if failed else "",
    )
    return ReadyItem(entry, first.tags, vectors if not failed else (), failed.stage if failed else "")
