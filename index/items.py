"""Items, their media files, and failures, as a catalog tells of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from index.types import Attribute, Modality


class Medium(NamedTuple):
    """One media file of an item: where it lies (absolute), what it is, and a stamp that changes with its content."""

    location: bytes
    modality: Modality
    stamp: str

    @property
    def path(self) -> Path:
        """Where it lies; made when it is asked for, which for most answers it is not."""
        return Path(os.fsdecode(self.location))


@dataclass(frozen=True, slots=True)
class Item:
    """One item as the catalog knows it.

    Attributes:
        item_id: Stable, unique in the catalog.
        attributes: Name → value, from the table, the folder names and the file's own tags.
        media: Its files, in order; paths are absolute.
    """

    item_id: str
    attributes: dict[str, Attribute]
    media: tuple[Medium, ...]

    @property
    def title(self) -> str:
        """What people call it."""
        return title_of(self.item_id, self.attributes.get("title"))

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its media files, in order, absolute."""
        return tuple(medium.path for medium in self.media)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Of its media files, without repeats."""
        return tuple(dict.fromkeys(medium.modality for medium in self.media))

    @property
    def category(self) -> str | None:
        """The attribute that candidate rules look at."""
        value = self.attributes.get("category")
        return None if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Failure:
    """One file that could not be indexed: data, not an exception.

    Attributes:
        item_id: The item it belongs to or would belong to.
        path: The file.
        stage: ``"read"``, ``"decode"``, ``"encode"`` or ``"worker"`` (the process died).
        reason: One plain sentence.
        attempts: How often it was tried as it is now.
        at: When it was tried last, UTC, ``YYYY-MM-DD HH:MM:SS``.
    """

    item_id: str
    path: Path
    stage: str
    reason: str
    attempts: int
    at: str


def title_of(item_id: str, title: object) -> str:
    """What an item is called: its title, or else the last part of its id."""
    return str(title) if title not in (None, "") else item_id.rstrip("/").rpartition("/")[2] or item_id
