"""What questions read of a catalog, wherever it lies: ``Catalog`` reads a folder, ``PostgresCatalog`` a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from index.address import Place
from index.items import Item
from index.relations import Relation
from index.types import Attribute, EncoderCard, Modality, Vectors

if TYPE_CHECKING:
    from index.engine.delta import Delta
    from index.engine.generations import Generation
    from index.engine.rows import Space
    from index.overview import Overview


class HeldEncoder(NamedTuple):
    """An encoder that a catalog holds vectors of: its database key and its card."""

    key: int
    card: EncoderCard


def columns_of(encoders: Iterable[HeldEncoder]) -> tuple[dict[int, slice], int]:
    """Where each encoder's numbers stand when their vectors lie side by side, by its database key; and how many these
    are together."""
    places: dict[int, slice] = {}
    width = 0
    for encoder, card in encoders:
        places[encoder] = slice(width, width + card.dim)
        width += card.dim
    return places, width


class Now(NamedTuple):
    """What a catalog says of itself before every question, read at once.

    Attributes:
        sequence: Number of the last change that matters to answers.
        number: Of the generation in use; 0 when there is none.
        relations: Those that can be asked, by name; not to be changed.
    """

    sequence: int
    number: int
    relations: Mapping[str, Relation]


class CatalogReader(Protocol):
    """A catalog opened for questions. Keys are whole numbers that name items for good."""

    @property
    def folder(self) -> Path:
        """Its folder, or what messages call it where it has none."""

    @property
    def place(self) -> Place:
        """What ``index.opening`` opens it by, in any process of this machine."""

    @property
    def identity(self) -> object:
        """Another one when another catalog lies in its place."""

    @property
    def sequence(self) -> int:
        """Number of the last change that matters to answers."""

    def close(self) -> None:
        """Let go of it."""

    # What it is made of

    def encoders(self) -> dict[str, HeldEncoder]:
        """Encoders in use by name, in the order they were added."""

    def check_fingerprint(self, name: str, fingerprint: str) -> None:
        """Refuse an encoder whose numbers differ from those it holds, by a ``StaleIndexError``."""

    def relations(self) -> dict[str, Relation]:
        """Relations that can be asked, by name."""

    def relation(self, name: str) -> Relation:
        """Look a relation up by name, or raise an ``UnknownNameError``."""

    def now(self, *, anew: bool = False) -> Now:
        """What it is now; ``anew`` trusts nothing that was read before."""

    def open_generation(self) -> Generation:
        """The generation in use, or a ``NotBuiltError`` or a ``StaleIndexError``."""

    def delta(self, sequence: int, space: Space) -> Delta:
        """What changed in a space since a generation of this sequence was built."""

    def damage(self) -> str:
        """What is wrong with the generation in use; empty when nothing is."""

    def overview(self) -> Overview:
        """Its figures."""

    # Items

    def count(self) -> int:
        """Number of items."""

    def keys_of(self, item_ids: Sequence[str]) -> list[int]:
        """Keys of items, in order, or an ``UnknownNameError``."""

    def ids_of(self, keys: Sequence[int]) -> dict[int, str]:
        """Ids of items by key; those of removed items are missing."""

    def has(self, item_id: str) -> bool:
        """Whether there is an item of this id."""

    def item(self, item_id: str) -> Item:
        """One item, or an ``UnknownNameError``."""

    def items(self, keys: Sequence[int]) -> dict[int, Item]:
        """Items by key; those that were removed are missing."""

    def item_ids(self, modality: Modality) -> list[str]:
        """Ids of all items that have vectors of one modality, in id order."""

    def count_with(self, modalities: Sequence[Modality]) -> int:
        """Number of items that have vectors of some modalities."""

    def ids_after(self, modalities: Sequence[Modality], last: str, limit: int) -> list[str]:
        """The next ids, in order, of items that have vectors of some modalities."""

    def bases(self) -> list[Path]:
        """Folders that were indexed, and those in which tables and single files lie; absolute, without repeats."""

    def id_at(self, path: Path) -> str | None:
        """Id of the item that has this file, or ``None``."""

    def categories_of(self, keys: Sequence[int]) -> list[str | None]:
        """Categories of items, without repeats; ``None`` for those that have none."""

    def category_by_key(self, keys: Sequence[int]) -> dict[int, str]:
        """Categories of items that have one, by key."""

    def attributes_of(self, keys: Sequence[int]) -> dict[int, dict[str, Attribute]]:
        """What is known of items, by key; those that were removed are missing."""

    def durations(self, keys: Sequence[int]) -> dict[int, Attribute]:
        """What the first sound of each item says of its own length, where it says anything."""

    def sizes(self, keys: Sequence[int], modality: Modality) -> dict[int, int]:
        """Bytes of the first file of each item of one modality."""

    # Vectors and behaviour

    def raw_vectors(self, keys: Sequence[int], encoders: Iterable[HeldEncoder]) -> Vectors:
        """Vectors of items as encoded, side by side, those of several files pooled: float32, ``(n, raw_dim)``."""

    def media_vectors(self, key: int, modality: Modality) -> Iterator[tuple[Path, int, bytes]]:
        """Vectors of an item's files as encoded, in order: path, key of the encoder, little-endian float32."""

    def weights_of_person(self, relation: Relation, name: str) -> NDArray[np.float32]:
        """How much one person cares about each dimension of a learned relation; see ``index.learned``."""

    def links_of(self, name: str, keys: Sequence[int] | None = None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Pairs of items that behaviour links for a relation; see ``index.learned``."""

    # Filters and listings

    def matching(self, where: str) -> NDArray[np.int64]:
        """Keys of the items that pass a filter, ascending; an ``InputError`` or ``UnknownNameError`` for a bad one."""

    def attribute_names(self) -> list[str]:
        """Names of attributes that any item has."""

    def count_unpriced(self, categories: Sequence[str], where: str) -> int:
        """How many items of some categories that pass a filter have no price in numbers."""

    def cheapest(self, category: str, where: str, limit: int) -> list[int]:
        """Keys of the cheapest items of a category that pass a filter."""

    def entries(self) -> list[tuple[int, str]]:
        """Key and id of every item, by key."""

    def attributes_since(self, sequence: int) -> Iterable[tuple[int, str]]:
        """Key and attributes, as JSON, of items that changed after a sequence number; may be more than those."""

    def keys_in(self, category: str) -> NDArray[np.int64]:
        """Keys of the items of a category."""

    def keys_with(self, modality: Modality) -> NDArray[np.int64]:
        """Keys of the items that have files of a modality."""

    def keys_by_id(self, *, down: bool) -> NDArray[np.int64]:
        """Keys of all items in the order of their ids."""

    def keys_by_value(self, name: str, *, down: bool) -> tuple[NDArray[np.int64], bool]:
        """Keys of all items in the order of an attribute (``title``: of what they are called), those without it last;
        and whether any has it."""

    def modality_counts(self) -> dict[str, int]:
        """Number of items with files of each modality."""

    def category_counts(self) -> list[tuple[str, int]]:
        """Category and number of its items, in alphabetical order."""
