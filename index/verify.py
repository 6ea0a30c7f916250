"""Verifying a catalog: every stored thing is read and checked; repair mends what can be mended."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.catalog import Catalog
from index.engine.build import build_if_needed, cards
from index.engine.generations import Generation, current_number, damage, disagreement, generation_folder, read_manifest
from index.errors import NotBuiltError, StaleIndexError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be.

    Attributes:
        where: ``"database"``, ``"vectors"`` or ``"generation"``.
        what: One plain sentence.
        repair: What ``repair`` does about it; empty when it can do nothing.
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
    """Drop unusable vectors so that the next ``index`` makes them again, and rebuild the generation.

    Returns:
        What was wrong before; ask ``verify`` again for what is left.

    Raises:
        LockedError: Another process is writing.
    """
    problems = verify(catalog)
    if any(problem.repair for problem in problems):
        with catalog.writing():
            connection = catalog.connection
            with connection:
                bad = list(_bad_vectors(catalog))
                connection.executemany("DELETE FROM vectors WHERE rowid=?", [(row,) for row, _ in bad])
                connection.execute(
                    "DELETE FROM vectors WHERE NOT EXISTS (SELECT 1 FROM media m WHERE m.media=vectors.media)"
                )
                if bad:
                    sequence = catalog.next_sequence()
                    connection.executemany(
                        "UPDATE items SET changed=? WHERE item=(SELECT item FROM media WHERE media=?)",
                        [(sequence, media) for _, media in bad],
                    )
            build_if_needed(catalog, force=True)
    return problems


def _database(catalog: Catalog) -> list[Problem]:
    try:
        found = [row[0] for row in catalog.connection.execute("PRAGMA integrity_check(20)")]
        keys = catalog.connection.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.DatabaseError as error:
        found, keys = [str(error)], []
    advice = ""
    problems = [Problem("database", f"SQLite says: {text}", advice) for text in found if text != "ok"]
    if keys:
        problems.append(Problem("database", f"{len(keys)} rows refer to rows that do not exist", "drops such vectors"))
    return problems


def _vectors(catalog: Catalog) -> list[Problem]:
    bad = len(list(_bad_vectors(catalog)))
    if not bad:
        return []
    return [Problem("vectors", f"{bad} vectors have a wrong length or values that are no numbers", "drops them")]


def _bad_vectors(catalog: Catalog) -> list[tuple[int, int]]:
    """Row ids and media of vectors that cannot be used."""
    bad = []
    for held in catalog.encoders().values():
        key, dim = held.key, held.card.dim
        rows = catalog.connection.execute("SELECT rowid, media, vector FROM vectors WHERE encoder=?", (key,))
        for row, media, vector in rows:
            if (
                len(vector) != 4 * dim
                or not np.isfinite(values := np.frombuffer(vector, "<f4")).all()
                or not values.any()
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
