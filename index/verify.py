"""Verifying a catalog: every stored thing is read and checked; repair mends what can be mended."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from index.catalog import Catalog
from index.engine.build import build_if_needed, cards
from index.engine.generations import Generation, current_number, damage, disagreement, generation_folder, read_manifest
from index.errors import NotACatalogError, NotBuiltError, StaleIndexError, StorageError
from index.salvage import DAMAGED, salvage
from index.schema import DATABASE


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be.

    Attributes:
        where: ``"database"``, ``"vectors"``, ``"items"`` or ``"generation"``.
        what: One plain sentence.
        repair: What ``repair`` does about it; empty when it can do nothing, or has done it: then it is a loss.
    """

    where: str
    what: str
    repair: str


def verify(catalog: Catalog) -> list[Problem]:
    """Read everything and list what is wrong; an empty list means sound."""
    problems = _database(catalog)
    if not problems:
        problems += _vectors(catalog)
        problems += _generation(catalog)
    return problems


def repair(catalog: Catalog) -> list[Problem]:
    """Salvage a damaged database, drop what is unusable so that the next ``index`` makes it again, and rebuild the
    generation.

    Returns:
        What was wrong before, and what was lost; ask ``verify`` again for what is left.

    Raises:
        LockedError: Another process is writing.
        StorageError: Nothing can be read of the database, or the disk is full.
    """
    problems = verify(catalog)
    losses: list[Problem] = []
    if any(problem.where == "database" for problem in problems):
        catalog.close()
        losses = _losses(catalog.folder)
        vars(catalog).update(vars(Catalog.open(catalog.folder)))  # all of it: another file lies there now
    if losses or any(problem.repair for problem in problems):
        with catalog.writing():
            connection = catalog.connection
            with connection:
                bad = list(_bad_vectors(catalog))
                connection.executemany("DELETE FROM vectors WHERE rowid=?", [(row,) for row, _ in bad])
                _drop_unreadable(connection)
                if bad:
                    sequence = catalog.next_sequence()
                    connection.executemany(
                        "UPDATE items SET changed=? WHERE item=(SELECT item FROM media WHERE media=?)",
                        [(sequence, media) for _, media in bad],
                    )
            build_if_needed(catalog, force=True)
    return problems + losses


def check(folder: Path, *, mend: bool) -> tuple[list[Problem], list[Problem]]:
    """Verify a catalog, also one whose database cannot be opened, and repair it if told to.

    Returns:
        What is or was wrong, with what was lost; and what of it is left.

    Raises:
        NotACatalogError: The folder holds none.
        LockedError, StorageError: As ``repair``.
    """
    losses: list[Problem] = []
    try:
        catalog = Catalog.open(folder)
    except (StorageError, NotACatalogError) as error:
        if not _is_damaged(folder):
            raise
        problem = Problem("database", str(error), "puts what can be read into a new database")
        if not mend:
            return [problem], [problem]
        losses = [problem, *_losses(folder)]
        catalog = Catalog.open(folder)
    with catalog:
        if not mend:
            found = verify(catalog)
            return found, found
        found = repair(catalog)
        return losses + found, verify(catalog)


def _is_damaged(folder: Path) -> bool:
    """Whether there is a database whose own structure is broken."""
    path = folder / DATABASE
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",))
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        return not isinstance(error, sqlite3.OperationalError) or "malformed" in str(error) or "format" in str(error)


def _losses(folder: Path) -> list[Problem]:
    kept = Problem("database", f"what could be read is in a new database, the damaged one is {folder / DAMAGED}", "")
    return [kept, *(Problem("database", loss.what, "") for loss in salvage(folder))]


_UNREADABLE = (
    "SELECT item FROM items WHERE CASE WHEN json_valid(attributes) THEN category IS NOT "
    "CAST(json_extract(attributes, '$.category') AS TEXT) ELSE 1 END"
)


def _drop_unreadable(connection: sqlite3.Connection) -> None:
    """Drop items whose attributes are none: without them, their files are new to the next run of indexing."""
    connection.execute(f"DELETE FROM media WHERE item IN ({_UNREADABLE})")
    connection.execute(f"DELETE FROM items WHERE item IN ({_UNREADABLE})")


def _database(catalog: Catalog) -> list[Problem]:
    mend = "puts what can be read into a new database"
    try:
        found = [row[0] for row in catalog.connection.execute("PRAGMA integrity_check(20)")]
        keys = catalog.connection.execute("PRAGMA foreign_key_check").fetchall()
        if found == ["ok"]:
            catalog.encoders()  # which every answer needs
    except (sqlite3.DatabaseError, StorageError, ValueError, KeyError, TypeError) as error:
        found, keys = [str(error)], []
    problems = [
        Problem("database", f"SQLite says: {line}", mend)
        for text in found
        if text != "ok"
        for line in text.splitlines()
    ]
    if keys:
        problems.append(Problem("database", f"{len(keys)} rows refer to rows that do not exist", mend))
    return problems


def _vectors(catalog: Catalog) -> list[Problem]:
    problems = []
    bad = len(list(_bad_vectors(catalog)))
    if bad:
        what = f"{bad} vectors have a wrong length or values that are no numbers, or are not what was written"
        problems.append(Problem("vectors", what, "drops them"))
    (unreadable,) = catalog.connection.execute(f"SELECT count(*) FROM ({_UNREADABLE})").fetchone()
    if unreadable:
        problems.append(Problem("items", f"{unreadable} items have attributes that cannot be read", "drops them"))
    return problems


def _bad_vectors(catalog: Catalog) -> list[tuple[int, int]]:
    """Row ids and media of vectors that cannot be used."""
    bad = []
    summed = catalog.connection.execute("SELECT 1 FROM sqlite_master WHERE name='checksums'").fetchone()
    crc = "(SELECT crc FROM checksums c WHERE c.media=v.media AND c.encoder=v.encoder)" if summed else "NULL"
    for held in catalog.encoders().values():
        key, dim = held.key, held.card.dim
        rows = catalog.connection.execute(f"SELECT rowid, media, vector, {crc} FROM vectors v WHERE encoder=?", (key,))
        for row, media, vector, written in rows:
            if (
                not isinstance(vector, bytes)
                or len(vector) != 4 * dim
                or not np.isfinite(values := np.frombuffer(vector, "<f4")).all()
                or not values.any()
                or (written is not None and written != crc32(vector))
            ):
                bad.append((row, media))
    return bad


def _generation(catalog: Catalog) -> list[Problem]:
    number = current_number(catalog.folder)
    if not number and not catalog.count():
        return []
    mend = "builds a new generation"
    try:
        manifest = read_manifest(catalog.folder, number)
        reason = disagreement(manifest, cards(catalog), catalog.relations()) or damage(
            catalog.folder, manifest, thorough=True
        )
        if not reason:
            reason = _unreadable(
                generation_folder(catalog.folder, number),
                Generation(generation_folder(catalog.folder, number), manifest, cards(catalog)),
            )
    except (NotBuiltError, StaleIndexError) as error:
        reason = str(error)
    return [Problem("generation", reason, mend)] if reason else []


def _unreadable(folder: Path, generation: Generation) -> str:
    """Open every trees file, and look for vectors that are no numbers."""
    try:
        for space in generation.every_space():
            for start in range(0, space.record.count, 65536):
                if not np.isfinite(space.vectors[start : start + 65536]).all():
                    return f"{folder / space.name / 'vectors.f32'} holds values that are no numbers"
            for name, plan in space.record.relations.items():
                if plan.search_k:
                    for segment in space.segments(name).walk():
                        if segment.has_trees:
                            space.trees(name, segment)
    except StaleIndexError as error:
        return str(error)
    return ""
