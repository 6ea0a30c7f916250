"""A cache of bytes made before: the least recently used go when it is full."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable


class ByteCache:
    """Bytes by key, up to so many bytes in all; threads may share it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held = 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, bytes] = OrderedDict()

    def get(self, key: Hashable) -> bytes | None:
        """What was put there, if it is there still."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def put(self, key: Hashable, content: bytes) -> None:
        """Put something there, in place of what was."""
        with self._lock:
            self._held += len(content) - len(self._entries.pop(key, b""))
            self._entries[key] = content
            while self._held > self._capacity and self._entries:
                _, old = self._entries.popitem(last=False)
                self._held -= len(old)
