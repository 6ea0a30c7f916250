"""The catalog: one folder whose SQLite database holds every item, vector, failure and setting."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from index.address import folder_of
from index.errors import NotACatalogError, StaleIndexError, StorageError, UnknownNameError
from index.folder_reading import FolderReading, absolute, base_of, chunks, marks
from index.items import Failure, Item, Medium
from index.lock import writer_lock
from index.reading import HeldEncoder, Now
from index.relations import RELATIONS, Relation, relation_named
from index.remembered import Remembered
from index.schema import ADDED, DATABASE, FORMAT_VERSION, SCHEMA, UPGRADES
from index.trouble import StorageTrouble
from index.types import EncoderCard

__all__ = ["Catalog", "HeldEncoder", "absolute", "chunks", "identity_at", "marks"]

PAGES_KEPT = 16_384
"""Kilobytes of the database's pages that a connection keeps at most, once it has read so many."""

ITEMS_KEPT = 4096
"""Items that are remembered until the catalog changes: a few megabytes."""


class Catalog(FolderReading):
    """A catalog folder, opened for reading; ``writing()`` takes the lock and allows changes.

    Any number of readers, in any number of processes, may be open beside one writer.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection, identity: tuple[int, int] | None) -> None:
        self.folder = folder
        self.connection = connection
        self.identity = identity
        """Of the database file that was opened, as ``identity_at`` tells it; another catalog in its place has
        another."""
        self._remembered = Remembered(connection)

    @classmethod
    def open(cls, folder: str | Path) -> Catalog:
        """Open an existing catalog; one of an older format that can be read is brought to this one.

        Raises:
            InputError: It lies in a database; see ``index.opening``.
            NotACatalogError: Nothing is there, or another format version.
            StorageError: The database cannot be read.
        """
        folder = folder_of(folder)
        if not (folder / DATABASE).is_file():
            raise NotACatalogError(f"{folder} holds no catalog; make one with: simkin index SOURCE --catalog {folder}")
        identity = identity_at(folder)
        with StorageTrouble(folder):
            catalog = cls(folder, _connect(folder), identity)
            catalog._check_format()
        return catalog

    @classmethod
    def create(cls, folder: str | Path) -> Catalog:
        """Open the catalog in ``folder``, making it first when nothing is there.

        Raises:
            NotACatalogError: The folder holds other files, or another format version.
            StorageError: The folder cannot be made or written.
        """
        folder = folder_of(folder)
        if _holds_tables(folder):
            return cls.open(folder)
        try:
            strangers = [p.name for p in folder.iterdir() if not p.name.startswith((DATABASE, "writer."))]
        except FileNotFoundError:
            strangers = []
        except OSError as error:
            raise NotACatalogError(f"{folder} cannot be a catalog: {error.strerror}") from None
        if strangers:
            raise NotACatalogError(
                f"{folder} holds other files ({strangers[0]}, …) and no catalog; name another folder"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the catalog {folder}: {error.strerror}") from None
        with writer_lock(folder), StorageTrouble(folder):
            connection = _connect(folder)
            connection.execute("PRAGMA journal_mode=WAL")
            made = connection.execute("SELECT 1 FROM sqlite_master WHERE name='settings'").fetchone()
            if not made:  # one transaction: a catalog exists whole or not at all
                version = f"INSERT INTO settings VALUES ('format_version', '{FORMAT_VERSION}'), ('sequence', '0');"
                connection.executescript(f"BEGIN; {SCHEMA} {version} COMMIT;")
            connection.close()
        return cls.open(folder)

    def close(self) -> None:
        """Close the database; the object cannot be used afterwards."""
        self.connection.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writer lock; storage trouble inside becomes ``StorageError``.

        Raises:
            LockedError: Another process is writing.
            StorageError: The disk is full, read-only or failing; the last commit stands.
        """
        with writer_lock(self.folder), StorageTrouble(self.folder):
            self.connection.executescript(ADDED)
            try:
                yield
            finally:
                if self.connection.in_transaction:
                    self.connection.rollback()

    # Settings

    def setting(self, key: str, default: str = "") -> str:
        """Read one setting."""
        row = self.connection.execute("SELECT value FROM settings WHERE key=?", (key,)).fetchone()
        return str(row[0]) if row else default

    def set_setting(self, key: str, value: str) -> None:
        """Write one setting, inside the caller's transaction."""
        self.connection.execute("INSERT INTO settings VALUES (?, ?) ON CONFLICT DO UPDATE SET value=?2", (key, value))

    def now(self, *, anew: bool = False) -> Now:
        """What the catalog is now: its last change, its generation in use, its relations.

        Args:
            anew: Read it though the database did not change: who put a generation in use may have been killed before
                he wrote so.
        """
        if anew:
            self._remembered.forget("now")
        return self._remembered.get("now", self._read_now)

    def _read_now(self) -> Now:
        from index.engine.generations import current_number

        return Now(self._read_sequence(), current_number(self.folder), self._read_relations())

    @property
    def sequence(self) -> int:
        """Number of the last change that matters to answers."""
        return self._remembered.get("sequence", self._read_sequence)

    def _read_sequence(self) -> int:
        return int(self.setting("sequence", "0"))

    def next_sequence(self) -> int:
        """Count one more change, inside the caller's transaction, and return its number."""
        number = self.sequence + 1
        self.set_setting("sequence", str(number))
        return number

    # Encoders

    def encoders(self) -> dict[str, HeldEncoder]:
        """Encoders in use by name, in the order they were added."""
        return dict(self._remembered.get("encoders", self._read_encoders))

    def _read_encoders(self) -> dict[str, HeldEncoder]:
        rows = self.connection.execute("SELECT name, encoder, card FROM encoders ORDER BY encoder")
        return {name: HeldEncoder(key, _card_of(card)) for name, key, card in rows}

    def hold_encoder(self, name: str, card: EncoderCard) -> None:
        """Add an encoder, or renew its card, inside the caller's transaction."""
        self.connection.execute(
            "INSERT INTO encoders (name, modality, fingerprint, card) VALUES (?,?,?,?) "
            "ON CONFLICT (name) DO UPDATE SET fingerprint=excluded.fingerprint, card=excluded.card",
            (name, card.modality, card.fingerprint, json.dumps(card.to_json(), ensure_ascii=False)),
        )

    def check_fingerprint(self, name: str, fingerprint: str) -> None:
        """Refuse an encoder whose numbers differ from those the catalog holds.

        Raises:
            StaleIndexError: With the command that re-embeds.
        """
        held = self.encoders().get(name)
        if held and held.card.fingerprint != fingerprint:
            raise StaleIndexError(
                f"{self.folder} holds {name} vectors of fingerprint {held.card.fingerprint}, this program makes "
                f"{fingerprint}; embed again with: simkin index --re-embed --catalog {self.folder}"
            )

    # Relations

    def relations(self) -> dict[str, Relation]:
        """Relations that can be asked, by name: the built-in ones, and learned ones, which take their places.

        A relation learned on vectors that the catalog no longer holds is left out.
        """
        return dict(self.now().relations)

    def _read_relations(self) -> dict[str, Relation]:
        fingerprints = dict(self.connection.execute("SELECT name, fingerprint FROM encoders"))
        found = dict(RELATIONS)
        for name, modality, rule, why, digest, encoders in self.connection.execute(
            "SELECT name, modality, rule, why, digest, encoders FROM learned ORDER BY name"
        ):
            if all(fingerprints.get(encoder) == known for encoder, known in json.loads(encoders).items()):
                found[name] = Relation(name, {}, rule, (modality,), why, digest)
        for name, how in self.connection.execute(
            "SELECT substr(key, 8), value FROM settings WHERE key GLOB 'rerank:*'"
        ):
            if name in found:
                found[name] = replace(found[name], rerank=how)
        return found

    def relation(self, name: str) -> Relation:
        """Look a relation up by name.

        Raises:
            UnknownNameError: There is none; the message names the nearest.
        """
        return relation_named(self.now().relations, name)

    # Items

    def count(self) -> int:
        """Number of items."""
        return int(self.connection.execute("SELECT count(*) FROM items").fetchone()[0])

    def keys_of(self, item_ids: Sequence[str]) -> list[int]:
        """Return the database keys of items, in order.

        Raises:
            UnknownNameError: An id is not in the catalog; the message names the nearest.
        """
        if len(item_ids) == 1:  # the commonest by far
            row = self.connection.execute("SELECT item FROM items WHERE id=?", item_ids).fetchone()
            found = {item_ids[0]: int(row[0])} if row else {}
        else:
            found = self._keys_of_several(item_ids)
        for item_id in item_ids:
            if item_id not in found:
                raise UnknownNameError.of("item", item_id, self._ids_near(item_id))
        return [found[item_id] for item_id in item_ids]

    def _keys_of_several(self, item_ids: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for some in chunks(item_ids):
            found.update(self.connection.execute(f"SELECT id, item FROM items WHERE id IN ({marks(some)})", some))
        return found

    def items(self, keys: Sequence[int]) -> dict[int, Item]:
        """Read items by database key; keys of removed items are missing from the answer."""
        if len(keys) > ITEMS_KEPT:
            return self._read_items(keys)
        held = self._remembered.get("items", dict[int, Item])
        if len(held) > ITEMS_KEPT:
            held.clear()
        missing = [key for key in keys if key not in held]
        if missing:
            held.update(self._read_items(missing))
        return {key: held[key] for key in keys if key in held}

    def _read_items(self, keys: Sequence[int]) -> dict[int, Item]:
        known: dict[int, tuple[str, str]] = {}
        media: dict[int, list[Medium]] = {}
        for some in chunks(keys):
            rows = self.connection.execute(
                "SELECT i.item, i.id, i.attributes, s.location, s.kind, m.path, m.modality, "
                "iif(m.digest NOT NULL, hex(substr(m.digest, 1, 8)), m.size || '-' || m.mtime_ns) "
                "FROM items i LEFT JOIN media m ON m.item = i.item LEFT JOIN sources s ON s.source = m.source "
                f"WHERE i.item IN ({marks(some)}) ORDER BY i.item, m.position",
                some,
            )
            for key, item_id, attributes, location, kind, path, modality, stamp in rows:
                known[key] = item_id, attributes
                if path is not None:
                    place = os.path.join(base_of(location, kind), path)
                    media.setdefault(key, []).append(Medium(place, modality, stamp))
        return {
            key: Item(item_id, json.loads(attributes), tuple(media.get(key, ())))
            for key, (item_id, attributes) in known.items()
        }

    def categories_of(self, keys: Sequence[int]) -> list[str | None]:
        """Categories of items by database key, without repeats; ``None`` for those that have none."""
        return [
            row[0]
            for some in chunks(keys)
            for row in self.connection.execute(
                f"SELECT DISTINCT category FROM items WHERE item IN ({marks(some)})", some
            )
        ]

    def item(self, item_id: str) -> Item:
        """Read one item by id.

        Raises:
            UnknownNameError: No item has this id.
        """
        (key,) = self.keys_of([item_id])
        return self.items([key])[key]

    def id_at(self, path: Path) -> str | None:
        """Return the id of the item that has this file, or ``None``."""
        target = os.fsencode(path.absolute())
        for source, location, kind in self.connection.execute("SELECT source, location, kind FROM sources"):
            base = base_of(location, kind)
            names = [target]
            if target.startswith(base.rstrip(b"/") + b"/"):
                names.append(target[len(base.rstrip(b"/")) + 1 :])
            row = self.connection.execute(
                f"SELECT i.id FROM media m JOIN items i USING (item) WHERE m.source=? AND m.path IN ({marks(names)})",
                (source, *names),
            ).fetchone()
            if row:
                return str(row[0])
        return None

    def failures(self) -> Iterator[Failure]:
        """Files that could not be indexed, by id."""
        rows = self.connection.execute(
            "SELECT m.id, s.location, s.kind, m.path, f.stage, f.reason, f.attempts, f.at FROM failures f "
            "JOIN media m USING (media) JOIN sources s USING (source) ORDER BY m.id, m.position"
        )
        for item_id, location, kind, path, stage, reason, attempts, at in rows:
            yield Failure(item_id, absolute(location, kind, path), stage, reason, attempts, at)

    def _ids_near(self, item_id: str) -> list[str]:
        stem = item_id.rsplit("/", 1)[-1][:3]
        rows = self.connection.execute(
            "SELECT id FROM items WHERE id LIKE ? ESCAPE '\\' LIMIT 200",
            (f"%{stem.replace('%', '').replace('_', '')}%",),
        )
        return [row[0] for row in rows]

    def _check_format(self) -> None:
        try:
            found = self.setting("format_version")
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            found = "none"
        if found.isdecimal() and int(found) in UPGRADES:
            found = self._upgrade()
        if found != str(FORMAT_VERSION):
            raise NotACatalogError(
                f"{self.folder} has catalog format {found}, this program reads format {FORMAT_VERSION}; "
                "use the version of simkin that made it, or index its sources into a new folder"
            )

    def _upgrade(self) -> str:
        """Make the tables that came since this catalog's format, and return the format reached.

        Raises:
            NotACatalogError: It cannot be written.
        """
        version = int(self.setting("format_version"))
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            version = int(self.setting("format_version"))  # another process may have been quicker
            while version in UPGRADES:
                for statement in UPGRADES[version].split(";"):
                    self.connection.execute(statement)
                version += 1
            self.set_setting("format_version", str(version))
            self.connection.commit()
        except sqlite3.OperationalError as error:
            self.connection.rollback()
            if "readonly" not in str(error):
                raise
            raise NotACatalogError(
                f"{self.folder} has catalog format {version}, which must be brought to format {FORMAT_VERSION}, but it "
                "is read-only; let somebody who may write open it once, with: simkin info"
            ) from None
        return str(version)


@lru_cache(64)
def _card_of(text: str) -> EncoderCard:
    return EncoderCard.from_json(json.loads(text))


def identity_at(folder: Path) -> tuple[int, int] | None:
    """Device and inode of the database in a folder; ``None`` when there is none."""
    try:
        status = (folder / DATABASE).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _holds_tables(folder: Path) -> bool:
    """Whether there is a database that is more than what a run killed while making it left behind."""
    database = folder / DATABASE
    if not database.is_file() or database.stat().st_size == 0:
        return False
    with StorageTrouble(folder):
        connection = _connect(folder)
        try:
            return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        finally:
            connection.close()


def _connect(folder: Path) -> sqlite3.Connection:
    database = folder / DATABASE
    uri = database.absolute().as_uri()
    mode = "rwc" if os.access(folder, os.W_OK) else "ro"
    connection = sqlite3.connect(f"{uri}?mode={mode}", uri=True, timeout=30, check_same_thread=False)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        wal = database.with_name(DATABASE + "-wal")
        if mode != "ro" or (wal.exists() and wal.stat().st_size):
            raise
        # A read-only folder cannot hold WAL's shared memory; with no WAL pending the file is complete by itself.
        connection = sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA cache_size=-{PAGES_KEPT}")
    if mode == "rwc":
        connection.execute("PRAGMA synchronous=NORMAL")  # in WAL mode safe against any crash of the program
    return connection
