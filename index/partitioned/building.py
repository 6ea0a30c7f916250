"""Building a partition: its shards' vectors as rows of the relation's space, and an index over them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from index.embedding.ready_made import ReadyItem, ReadyMade
from index.embedding.shards import partial_of
from index.engine.build import build_relation
from index.engine.head import Head
from index.engine.ids import write_ids
from index.engine.mapping import mapped
from index.engine.projection import Projection
from index.engine.rows import PROJECTION, VECTORS, SpaceRecord, category_ranges
from index.items import Item
from index.partitioned.known import Known
from index.partitioned.terms import (
    Partition,
    Terms,
    is_built,
    partition_folder,
    space_folder,
    space_of,
    write_record,
)
from index.types import EncoderCard, Vectors

BLOCK = 4096
"""Items projected at once, and rows moved at once."""

UNSORTED = "unsorted.f32"


def build_partition(work: Path, terms: Terms, number: int) -> None:
    """Build a partition, which takes its place once it is whole. Memory holds ids and categories, and vectors block by
    block.

    Raises:
        InputError: A shard is missing or not what was written.
        OSError: It cannot be written.
    """
    partition, place = terms.partitions[number], partition_folder(work, number)
    folder = partial_of(place)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spaces = space_folder(work, partition.modality)
    shutil.copyfile(spaces / PROJECTION, folder / PROJECTION)
    cards = terms.cards[partition.modality]
    maps = (Head if terms.relation.head else Projection).load(folder / PROJECTION, list(cards.values()))
    known = Known(spaces, maps) if isinstance(maps, Head) and maps.sphere else None
    ids: list[str] = []
    categories: list[str | None] = []
    dim = 0
    with (folder / UNSORTED).open("wb") as file:
        for names, own, raw in _blocks(_items(terms, number), cards):
            rows = maps.project(raw)
            if known:
                known.put(names, rows)
            dim = rows.shape[1]
            file.write(rows.astype("<f4", copy=False).tobytes())
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
    named, offsets = category_ranges(categories[at] for at in order)
    learned = terms.relation.name if terms.relation.head else ""
    record = SpaceRecord(len(ids), dim, tuple(cards), named, offsets, {}, learned)
    if ids:
        space = space_of(folder, terms, number, record)
        build_relation(space, terms.relation, terms.recall)
        space.release()
    write_record(folder, record)
    try:
        folder.rename(place)
    except OSError:
        if not is_built(work, number):
            raise
        shutil.rmtree(folder)  # another worker, which was taken for dead, has built it meanwhile


def _items(terms: Terms, number: int) -> Iterator[ReadyItem]:
    """Files of a partition: an item belongs to where its first file is, wherever those that follow it are."""
    partition = terms.partitions[number]
    ready = ReadyMade.open(Path(terms.embeddings))
    every = [one for one in terms.partitions if one.modality == partition.modality]
    at = every.index(partition)
    begun = _last_id(ready, every[at - 1]) if at else ""
    last = ""
    for item in ready.items_of(partition.modality, partition.shards):
        begun = begun if item.entry.item_id == begun else ""
        if not begun:
            last = item.entry.item_id
            yield item
    if not last:
        return
    for item in ready.items_of(partition.modality, (shard for one in every[at + 1 :] for shard in one.shards)):
        if item.entry.item_id != last:
            return
        yield item


def _last_id(ready: ReadyMade, partition: Partition) -> str:
    """Of the last file of a partition's shards."""
    last = ""
    for item in ready.items_of(partition.modality, partition.shards[-1:]):
        last = item.entry.item_id
    return last


def _blocks(
    items: Iterator[ReadyItem], cards: Mapping[str, EncoderCard]
) -> Iterator[tuple[list[str], list[str | None], Vectors]]:
    """Ids, categories and vectors side by side of some thousand items; several files of one that follow each other are
    added up, those that a later run appended elsewhere are passed over."""
    stops = np.cumsum([card.dim for card in cards.values()]).tolist()
    places = {name: slice(stop - card.dim, stop) for (name, card), stop in zip(cards.items(), stops, strict=True)}
    ids: list[str] = []
    categories: list[str | None] = []
    raw = np.zeros((BLOCK, stops[-1]), np.float32)
    seen: set[str] = set()
    for item in items:
        vectors = [(name, vector) for name, vector in item.vectors if name in places]
        if not vectors:
            continue
        if not ids or item.entry.item_id != ids[-1]:
            if item.entry.item_id in seen:
                continue
            seen.add(item.entry.item_id)
            if len(ids) == BLOCK:
                yield ids, categories, raw
                ids, categories = [], []
                raw = np.zeros_like(raw)
            ids.append(item.entry.item_id)
            categories.append(Item(ids[-1], json.loads(item.entry.attributes or "{}"), ()).category)
        for name, vector in vectors:
            raw[len(ids) - 1, places[name]] += np.frombuffer(vector, "<f4")
    if ids:
        yield ids, categories, raw[: len(ids)]
