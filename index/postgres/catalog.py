"""A catalog in PostgreSQL, opened for reading: what ``index.catalog.Catalog`` tells of a folder, told of a schema."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.address import PostgresAddress
from index.engine.delta import Delta
from index.engine.generations import Generation, Manifest
from index.engine.rows import Space
from index.errors import InputError, NotBuiltError, StaleIndexError, UnknownNameError
from index.folder_reading import absolute
from index.items import Item, Medium
from index.learned import nobody
from index.overview import Overview
from index.postgres.listing import PostgresListing
from index.postgres.overview import overview
from index.postgres.schema import check_format
from index.postgres.session import Session, storable, told
from index.postgres.spaces import open_generation
from index.reading import HeldEncoder, Now, columns_of
from index.relations import RELATIONS, Relation, relation_named
from index.types import Attribute, EncoderCard, Modality, Vectors

_HELD = (
    "FROM items i WHERE EXISTS (SELECT 1 FROM media m JOIN vectors v USING (item, position) "
    "WHERE m.item=i.item AND m.modality = ANY(%s))"
)


@dataclass(frozen=True, slots=True)
class State:
    """What a catalog says of itself, read anew when ``version`` is another."""

    version: int
    generation: int
    encoders: dict[str, HeldEncoder]
    relations: dict[str, Relation]
    codes: dict[str | None, int]
    reranked: dict[str, str]
    manifest: Manifest | None


class PostgresCatalog(PostgresListing):
    """A catalog that was pushed; it is only read. One object serves one thread at a time."""

    def __init__(self, address: PostgresAddress) -> None:
        """Connect.

        Raises:
            MissingExtraError, StorageError: See ``index.postgres.session.connect``.
            NotACatalogError: The schema holds none, or one of another format.
        """
        self.address = address
        self.session = Session(address)
        try:
            with told(address):
                check_format(self.session.connection, address)
        except BaseException:
            self.session.close()
            raise
        self._state: State | None = None
        self._dialect = None

    def close(self) -> None:
        """Close the connection."""
        self.session.close()

    def __enter__(self) -> PostgresCatalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def shown(self) -> str:
        """Where it is, for people."""
        return self.address.shown

    @property
    def place(self) -> str:
        """What it is opened by."""
        return self.address.text

    @property
    def folder(self) -> Path:
        """What messages call it that speak of folders."""
        return Path(self.address.schema)

    @property
    def identity(self) -> tuple[str, str]:
        """Another catalog has another."""
        return self.address.connection, self.address.schema

    # What it says of itself

    @property
    def state(self) -> State:
        """What the catalog says of itself now.

        Raises:
            StorageError, NotACatalogError: It cannot be read.
        """
        rows = self.session.rows("SELECT key, value FROM settings WHERE key IN ('version', 'generation')")
        found = dict(rows)
        version, number = int(found.get("version", 0)), int(found.get("generation", 0))
        held = self._state
        if held is None or (held.version, held.generation) != (version, number):
            self._state = held = self._read_state(version, number)
        return held

    @property
    def sequence(self) -> int:
        """Number of the last push that changed anything."""
        return self.state.version

    def now(self, *, anew: bool = False) -> Now:
        """What it is now: its last change, its generation in use, its relations."""
        state = self.state
        return Now(state.version, state.generation, state.relations)

    def open_generation(self) -> Generation:
        """The generation in use.

        Raises:
            NotBuiltError: None was ever finished.
            StaleIndexError: It was dropped a moment ago.
        """
        return open_generation(self)

    def delta(self, sequence: int, space: Space) -> Delta:
        """Nothing: what changed is pushed into the rows themselves."""
        nothing = np.zeros(0, np.int64)
        return Delta(nothing, np.zeros(0, object), np.zeros((0, space.record.dim), np.float32), nothing)

    def damage(self) -> str:
        """Nothing that could be seen from here: PostgreSQL guards its own files."""
        return ""

    def overview(self) -> Overview:
        """Its figures."""
        return overview(self)

    def codes(self) -> dict[str | None, int]:
        """Numbers of categories in rows."""
        return self._known().codes

    def reranked(self) -> dict[str, str]:
        """How relations are re-ranked in the folder, of those that are."""
        return self._known().reranked

    def _read_state(self, version: int, number: int) -> State:
        rows = self.session.rows
        encoders = {
            name: HeldEncoder(key, EncoderCard.from_json(json.loads(card)))
            for key, name, card in rows("SELECT encoder, name, card FROM encoders ORDER BY encoder")
        }
        fingerprints = {name: held.card.fingerprint for name, held in encoders.items()}
        relations = dict(RELATIONS)
        for name, modality, rule, why, digest, fitted in rows("SELECT * FROM learned ORDER BY name"):
            if all(fingerprints.get(encoder) == known for encoder, known in json.loads(fitted).items()):
                relations[name] = Relation(name, {}, rule, (modality,), why, digest)
        codes = dict(rows("SELECT name, code FROM categories"))
        found = rows("SELECT manifest FROM generations WHERE number=%s AND manifest IS NOT NULL", (number,))
        manifest = None
        if found:
            try:
                manifest = Manifest.from_json(found[0][0])
            except (ValueError, KeyError, TypeError) as error:
                raise StaleIndexError(
                    f"{self.shown}: what is told of generation {number} cannot be read ({error})"
                ) from None
        told_of = rows("SELECT value FROM settings WHERE key='reranked'")
        reranked = json.loads(told_of[0][0]) if told_of else {}
        return State(version, number, encoders, relations, codes, reranked, manifest)

    def manifest(self) -> Manifest:
        """What is told of the generation in use.

        Raises:
            NotBuiltError: None was ever finished.
        """
        found = self.state.manifest
        if found is None:
            raise NotBuiltError(
                f"{self.shown} has no finished generation; finish it with: simkin push ADDRESS --catalog FOLDER"
            )
        return found

    def encoders(self) -> dict[str, HeldEncoder]:
        """Encoders in use by name, in the order they were added."""
        return self._known().encoders

    def check_fingerprint(self, name: str, fingerprint: str) -> None:
        """Refuse an encoder whose numbers differ from those the catalog holds.

        Raises:
            StaleIndexError: With what to do.
        """
        held = self.encoders().get(name)
        if held and held.card.fingerprint != fingerprint:
            raise StaleIndexError(
                f"{self.shown} holds {name} vectors of fingerprint {held.card.fingerprint}, this program makes "
                f"{fingerprint}; embed again in the catalog's folder with simkin index --re-embed, then push it"
            )

    def relations(self) -> dict[str, Relation]:
        """Relations that can be asked, by name."""
        return self._known().relations

    def relation(self, name: str) -> Relation:
        """Look a relation up by name.

        Raises:
            UnknownNameError: There is none; the message names the nearest.
        """
        return relation_named(self.state.relations, name)

    def _known(self) -> State:
        """What was read last, which is as of the question that is being answered."""
        return self._state or self.state

    # Items

    def count(self) -> int:
        """Number of items."""
        return int(self.session.rows("SELECT count(*) FROM items")[0][0])

    def keys_of(self, item_ids: Sequence[str]) -> list[int]:
        """Keys of items, in order.

        Raises:
            UnknownNameError: An id is not in the catalog; the message names the nearest.
        """
        asked = [item_id for item_id in item_ids if storable(item_id)]
        found: dict[str, int] = {}
        if asked:
            found = dict(self.session.rows("SELECT id, item FROM items WHERE id = ANY(%s)", (asked,)))
        for item_id in item_ids:
            if item_id not in found:
                item_id.encode()  # a file's name may hold bytes that are no text
                raise UnknownNameError.of("item", item_id, self._ids_near(item_id))
        return [found[item_id] for item_id in item_ids]

    def items(self, keys: Sequence[int]) -> dict[int, Item]:
        """Read items by key; keys of removed items are missing from the answer."""
        rows = self.session.rows(
            "SELECT i.item, i.id, i.attributes, m.location, m.modality, m.version "
            "FROM items i LEFT JOIN (SELECT * FROM media WHERE item = ANY(%s)) m USING (item) "
            "WHERE i.item = ANY(%s) ORDER BY i.item, m.position",  # by index on both sides, whatever is planned
            (list(keys), list(keys)),
        )
        media: dict[int, list[Medium]] = {}
        told_of: dict[int, tuple[str, dict[str, Any]]] = {}
        for key, item_id, attributes, location, modality, version in rows:
            told_of[key] = item_id, attributes
            own = media.setdefault(key, [])
            if location is not None:
                own.append(Medium(location, modality, version))
        return {key: Item(item_id, known, tuple(media[key])) for key, (item_id, known) in told_of.items()}

    def item(self, item_id: str) -> Item:
        """Read one item by id.

        Raises:
            UnknownNameError: No item has this id.
        """
        (key,) = self.keys_of([item_id])
        return self.items([key])[key]

    def ids_of(self, keys: Sequence[int]) -> dict[int, str]:
        """Ids of items by key; those of removed items are missing."""
        return dict(self.session.rows("SELECT item, id FROM items WHERE item = ANY(%s)", (list(keys),)))

    def has(self, item_id: str) -> bool:
        """Whether there is an item of this id."""
        return storable(item_id) and bool(self.session.rows("SELECT 1 FROM items WHERE id=%s", (item_id,)))

    def item_ids(self, modality: Modality) -> list[str]:
        """Ids of all items that have vectors of one modality, in id order."""
        rows = self.session.rows(
            "SELECT id FROM items i WHERE EXISTS (SELECT 1 FROM media m JOIN vectors v USING (item, position) "
            "WHERE m.item=i.item AND m.modality=%s) ORDER BY id",
            (modality,),
        )
        return [row[0] for row in rows]

    def count_with(self, modalities: Sequence[Modality]) -> int:
        """Number of items that have vectors of some modalities."""
        return int(self.session.rows(f"SELECT count(*) {_HELD}", (list(modalities),))[0][0])

    def ids_after(self, modalities: Sequence[Modality], last: str, limit: int) -> list[str]:
        """The next ids, in order, of items that have vectors of some modalities."""
        sql = f"SELECT id {_HELD} AND id > %s ORDER BY id LIMIT %s"
        return [row[0] for row in self.session.rows(sql, (list(modalities), last, limit))]

    def categories_of(self, keys: Sequence[int]) -> list[str | None]:
        """Categories of items by key, without repeats; ``None`` for those that have none."""
        return [
            row[0]
            for row in self.session.rows("SELECT DISTINCT category FROM items WHERE item = ANY(%s)", (list(keys),))
        ]

    def bases(self) -> list[Path]:
        """Folders that were indexed, and those of tables and single files, on the machine that pushed."""
        rows = self.session.rows("SELECT location, kind FROM sources ORDER BY location")
        return list(dict.fromkeys(absolute(location, kind, b"") for location, kind in rows))

    def id_at(self, path: Path) -> str | None:
        """Id of the item that has this file, or ``None``."""
        location = os.fsencode(path.absolute())
        rows = self.session.rows(
            "SELECT i.id FROM media m JOIN items i USING (item) WHERE m.location=%s ORDER BY i.id LIMIT 1", (location,)
        )
        return str(rows[0][0]) if rows else None

    def category_by_key(self, keys: Sequence[int]) -> dict[int, str]:
        """Categories of items that have one, by key."""
        sql = "SELECT item, category FROM items WHERE category IS NOT NULL AND item = ANY(%s)"
        return dict(self.session.rows(sql, (list(keys),)))

    def attributes_of(self, keys: Sequence[int]) -> dict[int, dict[str, Attribute]]:
        """What is known of items, by key."""
        return dict(self.session.rows("SELECT item, attributes FROM items WHERE item = ANY(%s)", (list(keys),)))

    def durations(self, keys: Sequence[int]) -> dict[int, Attribute]:
        """What the first sound of each item says of its own length."""
        rows = self.session.rows(
            "SELECT item, duration FROM media WHERE modality='audio' AND duration IS NOT NULL AND item = ANY(%s) "
            "ORDER BY position DESC",
            (list(keys),),
        )
        return {key: number_of(duration) for key, duration in rows}

    def sizes(self, keys: Sequence[int], modality: Modality) -> dict[int, int]:
        """Bytes of the first file of each item of one modality."""
        sql = "SELECT item, size FROM media WHERE item = ANY(%s) AND modality=%s ORDER BY position DESC"
        return dict(self.session.rows(sql, (list(keys), modality)))

    def raw_vectors(self, keys: Sequence[int], encoders: Iterable[HeldEncoder]) -> Vectors:
        """Vectors of items as encoded, those of several files added.

        Args:
            keys: Of items, n of them.
            encoders: All of one modality.

        Returns:
            float32, shape ``(n, raw_dim)``: the encoders' vectors side by side, zero where an item has none.
        """
        places, width = columns_of(encoders)
        raw = np.zeros((len(keys), width), np.float32)
        row_of = {key: row for row, key in enumerate(keys)}
        for item, encoder, vector in self.session.rows(
            "SELECT item, encoder, vector FROM vectors WHERE item = ANY(%s) AND encoder = ANY(%s) "
            "ORDER BY item, position",
            (list(keys), list(places)),
        ):
            raw[row_of[item], places[encoder]] += np.frombuffer(vector, "<f4")
        return raw

    def media_vectors(self, key: int, modality: Modality) -> Iterator[tuple[Path, int, bytes]]:
        """Vectors of an item's files as encoded: path, key of the encoder, little-endian float32; in order."""
        rows = self.session.rows(
            "SELECT m.location, v.encoder, v.vector FROM media m JOIN vectors v USING (item, position) "
            "WHERE m.item=%s AND m.modality=%s ORDER BY m.position, v.encoder",
            (key, modality),
        )
        for location, encoder, vector in rows:
            yield Path(os.fsdecode(location)), encoder, vector

    def weights_of_person(self, relation: Relation, name: str) -> NDArray[np.float32]:
        """How much one person cares about each dimension of a learned relation; see ``index.learned``."""
        known = storable(name) and relation.head
        sql = "SELECT weights FROM personal WHERE relation=%s AND person=%s"
        rows = self.session.rows(sql, (relation.name, name)) if known else []
        if rows:
            return np.frombuffer(rows[0][0], "<f4")
        near = self.session.rows(
            "SELECT person FROM personal WHERE relation=%s ORDER BY starts_with(person, %s) DESC, person LIMIT 500",
            (relation.name, name[:2] if storable(name) else ""),
        )
        raise nobody(relation, name, [person for (person,) in near])

    def links_of(self, name: str, keys: Sequence[int] | None = None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Behaviour is not pushed.

        Raises:
            InputError: Always.
        """
        raise InputError(f"{self.shown} knows no behaviour data; ask the folder of the catalog")

    def _ids_near(self, item_id: str) -> list[str]:
        stem = item_id.rsplit("/", 1)[-1][:3]
        if not storable(stem):
            return []
        rows = self.session.rows("SELECT id FROM items WHERE position(%s in id) > 0 LIMIT 200", (stem,))
        return [row[0] for row in rows]


def number_of(text: str) -> Attribute:
    """A number where a text is one, else the text."""
    try:
        return float(text)
    except ValueError:
        return text
