"""Building a partition: its shards' vectors as rows of the relation's space, and an index over them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from index.embedding.ready_made import ReadyItem, ReadyMade
from index.engine.build import build_relation
from index.engine.head import Head
from index.engine.ids import write_ids
from index.engine.mapping import mapped
from index.engine.projection import Projection
from index.engine.rows import PROJECTION, VECTORS, SpaceRecord
from index.partitioned.terms import Terms, partition_folder, space_folder, space_of, write_record
from index.types import EncoderCard, Vectors

BLOCK = 4096
"""Items projected at once, and rows moved at once."""

UNSORTED = "unsorted.f32"


def build_partition(work: Path, terms: Terms, number: int) -> None:
    """Build a partition anew. Memory holds ids and categories, and vectors block by block.

    Raises:
        InputError: A shard is missing or not what was written.
        OSError: It cannot be written.
    """
    partition, folder = terms.partitions[number], partition_folder(work, number)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(space_folder(work, partition.modality) / PROJECTION, folder / PROJECTION)
    cards = terms.cards[partition.modality]
    project = (Head if terms.relation.head else Projection).load(folder / PROJECTION, list(cards.values())).project
    ids: list[str] = []
    categories: list[str | None] = []
    dim = 0
    with (folder / UNSORTED).open("wb") as file:
        for names, own, raw in _blocks(_items(terms, number), cards):
            rows = project(raw).astype("<f4", copy=False)
            dim = rows.shape[1]
            file.write(rows.tobytes())
            ids += names
            categories += own
    order = sorted(range(len(ids)), key=lambda at: (categories[at] is not None, categories[at] or "", ids[at]))
    unsorted: Vectors = mapped(folder / UNSORTED, "<f4", (len(ids), dim))
    with (folder / VECTORS).open("wb") as file:
        for start in range(0, len(order), BLOCK):
            file.write(unsorted[order[start : start + BLOCK]].tobytes())
    del unsorted
    (folder / UNSORTED).unlink()
    (folder / "keys.i64").write_bytes(np.arange(1, len(ids) + 1, dtype="<i8").tobytes())
    write_ids(folder, (ids[at] for at in order))
    named = [categories[at] for at in order]
    starts = [at for at, name in enumerate(named) if at == 0 or name != named[at - 1]]
    record = SpaceRecord(
        len(ids), dim, tuple(cards), tuple(named[at] for at in starts) or (None,), (*(starts or [0]), len(ids)), {},
        terms.relation.name if terms.relation.head else "",
    )  # fmt: skip
    if ids:
        space = space_of(work, terms, number, record)
        build_relation(space, terms.relation, terms.recall)
        space.release()
    write_record(work, number, record)


def _items(terms: Terms, number: int) -> Iterator[ReadyItem]:
    """Files of a partition; an item whose files lie on both sides of a border belongs to where its first file is."""
    partition = terms.partitions[number]
    ready = ReadyMade.open(Path(terms.embeddings))
    inside = number == 0 or terms.partitions[number - 1].after == ""
    for item in ready.items_of(partition.modality, partition.shards):
        inside = inside or item.entry.position == 0
        if inside:
            yield item
    if partition.after:
        for item in ready.items_of(partition.modality, (partition.after,)):
            if item.entry.position == 0:
                return
            yield item


def _blocks(
    items: Iterator[ReadyItem], cards: Mapping[str, EncoderCard]
) -> Iterator[tuple[list[str], list[str | None], Vectors]]:
    """Ids, categories and vectors side by side of some thousand items; several files of one are added up."""
    stops = np.cumsum([card.dim for card in cards.values()]).tolist()
    places = {name: slice(stop - card.dim, stop) for (name, card), stop in zip(cards.items(), stops, strict=True)}
    ids: list[str] = []
    categories: list[str | None] = []
    raw = np.zeros((BLOCK, stops[-1]), np.float32)
    for item in items:
        vectors = [(name, vector) for name, vector in item.vectors if name in places]
        if not vectors:
            continue
        if not ids or item.entry.item_id != ids[-1]:
            if len(ids) == BLOCK:
                yield ids, categories, raw
                ids, categories = [], []
                raw = np.zeros_like(raw)
            ids.append(item.entry.item_id)
            category = json.loads(item.entry.attributes or "{}").get("category")
            categories.append(None if category is None else str(category))
        for name, vector in vectors:
            raw[len(ids) - 1, places[name]] += np.frombuffer(vector, "<f4")
    if ids:
        yield ids, categories, raw[: len(ids)]
