"""Every exception this project raises on purpose.

* SimkinError
  - MediaError          one file cannot be read, decoded or encoded; a job records it and goes on
  - InputError          a source, table, filter or argument is not what it must be; correct it
  - UnknownNameError    no such item, relation, encoder or facet; correct the name
  - NotACatalogError    the folder holds no catalog, or one of another format; name another folder
  - NotBuiltError       the catalog has no usable generation; build one
  - StaleIndexError     files on disk disagree with each other or with the encoder; rebuild or re-embed
  - LockedError         another process is writing; wait for it
  - StorageError        the disk is full, read-only or failing; free space, then run again
  - MissingExtraError   an optional dependency is not installed; install it
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SimkinError(Exception):
    """The root: anything this project raises on purpose."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.__class__.__name__


class MediaError(SimkinError):
    """One file cannot be read, decoded or encoded.

    Args:
        stage: ``"read"``, ``"decode"`` or ``"encode"``.
        reason: What was expected and what was found, in one plain sentence, without the path.
    """

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(reason)
        self.stage = stage
        self.reason = reason

    def __reduce__(self) -> tuple[type[MediaError], tuple[str, str]]:
        return type(self), (self.stage, self.reason)


class InputError(SimkinError, ValueError):
    """A source, table, filter or argument is not what it must be."""


class UnknownNameError(SimkinError, KeyError):
    """No item, relation, encoder or facet has this name."""

    @classmethod
    def of(cls, kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
        """Name what was not found, with the nearest name that exists."""
        names = sorted(known)
        near = get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        listed = f" (known: {', '.join(names)})" if not near and 0 < len(names) <= 12 else ""
        return cls(f"unknown {kind} {name!r}{hint}{listed}")


class NotACatalogError(SimkinError):
    """The folder holds no catalog, or one of another format version."""


class NotBuiltError(SimkinError):
    """The catalog has items but no usable generation."""


class StaleIndexError(SimkinError):
    """Files on disk disagree with each other or with the encoder."""


class LockedError(SimkinError):
    """Another process is writing to the catalog."""


class StorageError(SimkinError):
    """The disk is full, read-only or failing."""


class MissingExtraError(SimkinError, ImportError):
    """An optional dependency is not installed."""
