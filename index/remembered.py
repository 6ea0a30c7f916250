"""Remembered: what was read from a database, held until anything in it may have changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

Kept = TypeVar("Kept")


class Remembered:
    """What one connection has read, by name."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._read: dict[str, tuple[tuple[int, int], Any]] = {}

    @property
    def state(self) -> tuple[int, int]:
        """Another one whenever anything may have changed, by this connection or by others (``PRAGMA data_version``)."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return int(version), self._connection.total_changes

    def forget(self, name: str) -> None:
        """Read it again the next time."""
        self._read.pop(name, None)

    def get(self, name: str, read: Callable[[], Kept]) -> Kept:
        """What a name stands for: read again only once something may have changed."""
        state = self.state
        held = self._read.get(name)
        if held is not None and held[0] == state:
            found: Kept = held[1]
            return found
        found = read()
        if not self._connection.in_transaction:  # which may be rolled back
            self._read[name] = (state, found)
        return found
