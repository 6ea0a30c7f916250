"""What a catalog's folder has to push: its items, and the rows of its generation as they are now, by ascending key."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from index.catalog import Catalog, chunks, marks
from index.engine.build import cards
from index.engine.delta import Delta, read_delta
from index.engine.generations import Generation, open_generation
from index.engine.rows import Space
from index.types import Vectors

BLOCK = 8192
"""Rows read at once."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item as it is pushed.

    Attributes:
        key: Its database key, the same here and there.
        stamp: Of everything below and of its vectors: a change changes it.
        attributes: JSON.
        media: Absolute location, modality, version, bytes, and length as a sound tells it, of each file, in order.
    """

    key: int
    stamp: int
    item_id: str
    category: str | None
    attributes: str
    media: tuple[tuple[bytes, str, str, int, str | None], ...]


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Rows of a space: database keys ascending, their stamps, their categories, and the rows. All of one length."""

    keys: NDArray[np.int64]
    stamps: NDArray[np.int64]
    categories: list[str | None]
    vectors: Vectors


class Source:
    """A catalog's folder with its generation in use, and what changed since that was built."""

    def __init__(self, catalog: Catalog) -> None:
        """Open the generation, and hold on to what the database says now, whoever writes meanwhile.

        Raises:
            NotBuiltError, StaleIndexError: There is none that can answer.
        """
        self.catalog = catalog
        if not catalog.connection.in_transaction:
            catalog.connection.execute("BEGIN")
        self.sequence = catalog.sequence
        self.generation: Generation = open_generation(catalog.folder, cards(catalog), catalog.relations())
        self.origin = hashlib.sha256(self.generation.manifest.to_json().encode()).hexdigest()[:16]

    def close(self) -> None:
        """Let go of the database."""
        self.catalog.connection.rollback()

    def items(self) -> Iterator[ItemRow]:
        """Every item, by ascending key."""
        keys = self.catalog.connection.execute("SELECT item FROM items ORDER BY item").fetchall()
        for some in chunks([key for (key,) in keys]):
            found = self.catalog.items(some)
            rows = self.catalog.connection.execute(
                f"SELECT item, category, attributes, changed FROM items WHERE item IN ({marks(some)}) ORDER BY item",
                some,
            )
            sizes: dict[int, list[tuple[int, str | None]]] = {}
            for key, size, duration in self.catalog.connection.execute(
                "SELECT item, size, json_extract(tags, '$.duration') FROM media "
                f"WHERE item IN ({marks(some)}) ORDER BY item, position",
                some,
            ):
                sizes.setdefault(key, []).append((size, None if duration is None else str(duration)))
            for key, category, attributes, changed in rows.fetchall():
                if key not in found:
                    continue
                media = tuple(
                    (one.location, str(one.modality), one.stamp, *rest)
                    for one, rest in zip(found[key].media, sizes.get(key, []), strict=True)
                )
                told = repr((found[key].item_id, category, attributes, media, changed))
                stamp = hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=8).digest()
                yield ItemRow(
                    key, int.from_bytes(stamp, "big", signed=True), found[key].item_id, category, attributes, media
                )

    def vectors(self, keys: list[int]) -> Iterator[tuple[int, int, int, bytes]]:
        """Vectors as encoded of items: key, position of the file, key of the encoder, little-endian float32."""
        for some in chunks(keys):
            places: dict[int, int] = {}
            before = (-1, -1)
            for item, media, encoder, vector in self.catalog.connection.execute(
                "SELECT m.item, m.media, v.encoder, v.vector FROM media m LEFT JOIN vectors v USING (media) "
                f"WHERE m.item IN ({marks(some)}) ORDER BY m.item, m.position, m.media, v.encoder",
                some,
            ):
                if (item, media) != before:
                    places[item] = places.get(item, -1) + 1
                    before = (item, media)
                if vector is not None:
                    yield item, places[item], encoder, bytes(vector)

    @cached_property
    def _deltas(self) -> dict[str, Delta]:
        sequence = self.generation.manifest.sequence
        return {space.name: read_delta(self.catalog, sequence, space) for space in self.generation.every_space()}

    def keys(self, space: Space) -> NDArray[np.int64]:
        """Database keys of all items of a space as they are now, ascending."""
        return self._placed(space)[0]

    def _placed(self, space: Space) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Keys ascending, and where each is: a row of the generation, or below 0 the place −1−i in the delta."""
        delta = self._deltas[space.name]
        rows = np.setdiff1d(np.arange(space.record.count), delta.masked)
        keys = np.concatenate([np.asarray(space.keys[rows], np.int64), delta.keys])
        places = np.concatenate([rows, -1 - np.arange(len(delta.keys))])
        order = np.argsort(keys, kind="stable")
        return keys[order], places[order]

    def blocks(self, space: Space, size: int = BLOCK) -> Iterator[RowBlock]:
        """All rows of a space as they are now."""
        keys, places = self._placed(space)
        for start in range(0, len(keys), size):
            own = keys[start : start + size]
            vectors = self._gather(space, places[start : start + size])
            known = {
                key: (changed, category)
                for key, changed, category in self.catalog.connection.execute(
                    "SELECT item, changed, category FROM items WHERE item BETWEEN ? AND ?", (int(own[0]), int(own[-1]))
                )
            }
            here = np.array([key in known for key in own.tolist()], bool)
            listed = own[here].tolist()
            if not listed:
                continue
            stamps = np.array([known[key][0] for key in listed], np.int64)
            yield RowBlock(own[here], stamps, [known[key][1] for key in listed], vectors[here])
            space.release()

    def rows_of(self, space: Space, keys: NDArray[np.int64]) -> Vectors:
        """Rows of items that are in a space. float32, shape ``(len(keys), dim)``."""
        every, places = self._placed(space)
        return self._gather(space, places[np.searchsorted(every, keys)])

    def _gather(self, space: Space, places: NDArray[np.int64]) -> Vectors:
        vectors = np.zeros((len(places), space.record.dim), np.float32)
        vectors[places >= 0] = space.vectors[places[places >= 0]]
        vectors[places < 0] = self._deltas[space.name].vectors[-1 - places[places < 0]]
        return vectors

    def categories(self, keys: list[int]) -> list[str | None]:
        """Categories of items by key, in order."""
        found: dict[int, str | None] = {}
        for some in chunks(keys):
            sql = f"SELECT item, category FROM items WHERE item IN ({marks(some)})"
            found.update(self.catalog.connection.execute(sql, some))
        return [found.get(key) for key in keys]

    def nothing(self, space: Space) -> RowBlock:
        """A block without rows."""
        return RowBlock(np.zeros(0, np.int64), np.zeros(0, np.int64), [], np.zeros((0, space.record.dim), np.float32))

    def sources(self) -> list[tuple[bytes, str]]:
        """Location and kind of what was indexed."""
        rows = self.catalog.connection.execute("SELECT location, kind FROM sources ORDER BY source")
        return [(os.fsencode(location) if isinstance(location, str) else location, kind) for location, kind in rows]

    def learned(self) -> list[tuple[str, str, str, str, str, str]]:
        """Learned relations: name, modality, rule, why, digest of the head, encoders as JSON."""
        return self.catalog.connection.execute(
            "SELECT name, modality, rule, why, digest, encoders FROM learned ORDER BY name"
        ).fetchall()

    def reranked(self) -> dict[str, str]:
        """How relations are re-ranked, of those that are."""
        return {name: one.rerank for name, one in self.catalog.relations().items() if one.rerank != "none"}

    def personal(self) -> Iterator[tuple[str, str, bytes]]:
        """Weights of people: relation, person, little-endian float32."""
        yield from self.catalog.connection.execute("SELECT relation, user, weights FROM personal")
