"""Changes to single items: added from a file, described otherwise, removed; and feedback on pairs of them."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from index.catalog import Catalog
from index.engine.build import REBUILD_SHARE, build_if_needed, pending
from index.engine.generations import current_number, read_manifest
from index.errors import InputError, MediaError, NotBuiltError, StaleIndexError, StorageError
from index.ingesting.plan import source_key, take_in
from index.ingesting.scan import Entry
from index.ingesting.store import Store
from index.ingesting.tables import MEDIA_COLUMNS, scan_table
from index.ingesting.worker import content_digest, describe
from index.ingesting.workers import Job
from index.items import Item
from index.learning.edge_store import NAME, set_edge
from index.types import Attribute, Encoder, Modality

UPLOADS = "uploads"
"""Folder of a catalog in which files lie that were added one by one, with the table that names them: a source like
any other, which ``simkin index`` goes through again."""

TABLE = "items.jsonl"

REMOVED = "removed"
"""Stage of a failure that is none: the file is there, but its item was removed by request. It stays out until the
file changes, or failures are tried again."""

MOST_ATTRIBUTES = 200
LONGEST_NAME = 100
LONGEST_VALUE = 10_000
LONGEST_ID = 500

CHANGES = 200
"""So many changes are gathered before a build, if they are also ``REBUILD_SHARE`` of the items."""


def add_item(
    catalog: Catalog,
    file: Path,
    modality: Modality,
    attributes: Mapping[str, Attribute],
    item_id: str,
    encoders: dict[str, Encoder],
) -> Item:
    """Add an item with one file, which is copied into the catalog and described by all of its encoders.

    Args:
        file: Its ending is kept, its name is not.
        item_id: Must be new; empty for one made from the file's content.
        encoders: Those loaded so far; missing ones are loaded and kept here.

    Returns:
        The item, which answers from now on.

    Raises:
        InputError: The id is taken or cannot be one, an attribute cannot be, or the catalog's vectors came ready made.
        MediaError: The file cannot be read, decoded or described.
        LockedError: Another process is writing.
        StorageError: The disk is full or failing.
    """
    check_attributes(attributes, reserved=("id", *MEDIA_COLUMNS))
    names = tuple(name for name, held in catalog.encoders().items() if held.card.modality == modality)
    if not names:
        raise InputError(f"the catalog has no encoder for {modality} files; index some of them first")
    described = describe(Job(1, os.fsencode(file), modality, names), encoders)  # before the lock: it takes longest
    if described.stage:
        raise MediaError(described.stage, described.reason)
    for name in names:
        catalog.check_fingerprint(name, encoders[name].card.fingerprint)
    digest = content_digest(file).hex()
    item_id = item_id or f"upload-{digest[:16]}"
    _check_id(item_id)
    folder = catalog.folder.absolute() / UPLOADS
    kept = folder / digest[:2] / f"{digest}{file.suffix.lower()}"
    table = folder / TABLE
    with catalog.writing():
        if catalog.connection.execute("SELECT 1 FROM items WHERE id=?", (item_id,)).fetchone():
            raise InputError(f"item {item_id!r} is in the catalog already; remove it first, or choose another id")
        kept.parent.mkdir(parents=True, exist_ok=True)
        _copy(file, kept)
        place = os.path.relpath(kept, folder)
        _write_table(table, [*_rows(table), {**attributes, "id": item_id, modality: place}])
        entry = _entry(table, item_id)
        with catalog.connection:
            source = source_key(catalog, os.fsencode(table), "table", None)
        take_in(catalog, source, [entry])
        store = Store(catalog, source)
        store.add(described)
        store.commit()
        return catalog.item(item_id)


def change_item(catalog: Catalog, item_id: str, attributes: Mapping[str, Attribute]) -> Item:
    """Give an item other values of some attributes, which stand whatever its source says of them later.

    Args:
        attributes: Name → new value; ``None`` takes the attribute away.

    Raises:
        UnknownNameError: No item has this id.
        InputError: An attribute cannot be.
        LockedError, StorageError: As ``add_item``.
    """
    check_attributes(attributes, reserved=("id",))
    with catalog.writing(), catalog.connection as connection:
        (key,) = catalog.keys_of([item_id])
        row = connection.execute("SELECT attributes FROM edits WHERE item=?", (key,)).fetchone()
        edits = {**(json.loads(row[0]) if row else {}), **attributes}
        connection.execute("INSERT OR REPLACE INTO edits VALUES (?, ?)", (key, _json(edits)))
        connection.execute(
            "UPDATE items SET attributes=json_patch(attributes, ?), changed=? WHERE item=?",
            (_json(dict(attributes)), catalog.next_sequence(), key),
        )
        connection.execute(
            "UPDATE items SET category=CAST(json_extract(attributes, '$.category') AS TEXT) WHERE item=?", (key,)
        )
        return catalog.item(item_id)


def remove_item(catalog: Catalog, item_id: str) -> None:
    """Remove an item. A file that was added by itself is deleted; one of a folder or table of the owner's stays there,
    and out of the catalog: see ``REMOVED``.

    Raises:
        UnknownNameError: No item has this id.
        LockedError, StorageError: As ``add_item``.
    """
    table = catalog.folder.absolute() / UPLOADS / TABLE
    with catalog.writing():
        (key,) = catalog.keys_of([item_id])
        paths = catalog.item(item_id).paths
        (location,) = catalog.connection.execute(
            "SELECT location FROM items JOIN sources USING (source) WHERE item=?", (key,)
        ).fetchone()
        added = location == os.fsencode(table)
        with catalog.connection as connection:
            sequence = catalog.next_sequence()
            connection.execute("DELETE FROM vectors WHERE media IN (SELECT media FROM media WHERE item=?)", (key,))
            if added:
                connection.execute("DELETE FROM media WHERE item=?", (key,))
            else:
                connection.execute(
                    "INSERT OR REPLACE INTO failures SELECT media, ?, ?, 1, datetime('now') FROM media WHERE item=?",
                    (REMOVED, "removed by request; bring it back with: simkin index --retry-failed", key),
                )
            connection.execute("DELETE FROM items WHERE item=?", (key,))
            connection.execute("INSERT OR REPLACE INTO removed VALUES (?, ?)", (key, sequence))
            if (
                added
                and not connection.execute(
                    "SELECT 1 FROM media JOIN sources USING (source) WHERE location=?", (location,)
                ).fetchone()
            ):
                connection.execute("DELETE FROM sources WHERE location=?", (location,))
        if added:
            rows = [row for row in _rows(table) if row.get("id") != item_id]
            _write_table(table, rows)
            in_use = {str(row.get(column)) for row in rows for column in MEDIA_COLUMNS}
            for path in paths:
                if os.path.relpath(path, table.parent) not in in_use:
                    path.unlink(missing_ok=True)


def give_feedback(
    catalog: Catalog, source: str, target: str, relation: str, weight: float = 1.0, user: str | None = None
) -> None:
    """Say how well one item goes with another; ``simkin learn`` learns from all that was said of a relation.

    Args:
        source, target: Item ids.
        relation: Of any name that can be learned.
        weight: Takes the place of what was said of this pair before, by this user; 0 takes it back.
        user: Who says it; ``None`` for nobody in particular.

    Raises:
        UnknownNameError: An item does not exist.
        InputError: The weight is below 0 or no number, the items are one, or a name is empty or too long.
        LockedError, StorageError: As ``add_item``.
    """
    if not math.isfinite(weight) or weight < 0:
        raise InputError(f"the weight of feedback is a number of at least 0, not {weight}")
    if source == target:
        raise InputError("feedback is about two items, not about one and itself")
    if not NAME.fullmatch(relation):
        raise InputError(f"{relation[:80]!r} names no relation that can be learned: small letters, digits and dashes")
    if user is not None and not 0 < len(user) <= LONGEST_NAME:
        raise InputError(f"the name of a user has 1 to {LONGEST_NAME} characters")
    with catalog.writing(), catalog.connection as connection:
        pair = catalog.keys_of([source, target])
        set_edge(connection, relation, (pair[0], pair[1]), weight, user)


def build_if_many(catalog: Catalog) -> int:
    """Build a generation when so much was changed that searching it beside the rows costs; return the number in use.

    Raises:
        LockedError, StorageError: As ``add_item``.
    """
    number = current_number(catalog.folder)
    try:
        changes = pending(catalog, read_manifest(catalog.folder, number).sequence)
        if changes < max(CHANGES, REBUILD_SHARE * catalog.count()):
            return number
    except (NotBuiltError, StaleIndexError):
        pass
    with catalog.writing():
        return build_if_needed(catalog)


def check_attributes(attributes: Mapping[str, Attribute], reserved: tuple[str, ...] = ()) -> None:
    """See that attributes can be stored and asked about.

    Raises:
        InputError: One cannot.
    """
    if len(attributes) > MOST_ATTRIBUTES:
        raise InputError(f"an item has at most {MOST_ATTRIBUTES} attributes, not {len(attributes)}")
    for name, value in attributes.items():
        if not 0 < len(name) <= LONGEST_NAME or any(c in '"\\`' or not c.isprintable() for c in name):
            raise InputError(
                f"{name[:LONGEST_NAME]!r} cannot name an attribute: quotes and control characters, or length"
            )
        if name in reserved:
            raise InputError(f"an attribute cannot be named {name!r}: that says which item or file is meant")
        if isinstance(value, str) and len(value) > LONGEST_VALUE:
            raise InputError(f"attribute {name!r} has {len(value)} characters, more than {LONGEST_VALUE}")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"attribute {name!r} is no finite number")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise InputError(f"attribute {name!r} is a number beyond 64 bits")


def _check_id(item_id: str) -> None:
    if item_id != item_id.strip() or not 0 < len(item_id) <= LONGEST_ID or "\0" in item_id:
        raise InputError(f"an id has 1 to {LONGEST_ID} characters, without spaces around it")


def _copy(file: Path, kept: Path) -> None:
    if kept.exists():  # by its name, the same content
        return
    partial = kept.with_name(f".{kept.name}.part")
    shutil.copyfile(file, partial)
    with partial.open("rb") as copied:
        os.fsync(copied.fileno())
    os.replace(partial, kept)


def _rows(table: Path) -> list[dict[str, Attribute]]:
    try:
        lines = table.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot read {table}: {error.strerror or error}") from None
    return [json.loads(line) for line in lines if line.strip()]


def _write_table(table: Path, rows: list[dict[str, Attribute]]) -> None:
    if not rows:
        table.unlink(missing_ok=True)
        return
    partial = table.with_name(f".{table.name}.part")
    with partial.open("w", encoding="utf-8") as out:
        out.writelines(f"{_json(row)}\n" for row in rows)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, table)


def _entry(table: Path, item_id: str) -> Entry:
    """What indexing the table will find of an item."""
    for entry in scan_table(table):
        if entry.item_id == item_id:
            return entry
    raise InputError(f"{item_id!r} cannot be an id")


def _json(content: Mapping[str, Attribute]) -> str:
    return json.dumps(content, ensure_ascii=False)
