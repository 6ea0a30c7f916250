"""Trouble with the database, told in sentences that say what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from index.errors import StorageError
from index.schema import DATABASE


class StorageTrouble:
    """A context in which trouble of SQLite becomes a ``StorageError``: full disk, read-only disk, damaged file.

    A class, for it is entered at every question, and one made of a generator takes three times as long.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, (sqlite3.DatabaseError, UnicodeDecodeError)):  # the latter in its own words on damage
            return
        text = str(error)
        if "full" in text:
            advice = "the disk is full; everything committed before is kept: free some space, then run again"
        elif "readonly" in text or "read-only" in text:
            advice = "it is read-only; it can be queried, not changed"
        elif any(sign in text for sign in ("malformed", "not a database", "decode", "unsupported file format")):
            advice = f"the database is damaged; mend it with: simkin verify --repair --catalog {self.folder}"
        elif "locked" in text:
            advice = "another program holds the database; wait for it, then run again"
        else:
            advice = "check the disk and its permissions, then run again"
        raise StorageError(f"{self.folder / DATABASE}: {text}: {advice}") from error
