"""Picking: of the items in shards of vectors, those that behaviour data names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from index.catalog import Catalog
from index.embedding.ready_made import ReadyMade
from index.errors import InputError
from index.ingesting.ingest import IndexOptions, IndexReport, Progress, ingest
from index.learning.edges import Edge
from index.learning.formats import read_edges
from index.learning.learn import LearnOptions
from index.learning.resolve import Naming

OTHERS = 20_000
"""Items that are taken beside those that edges name, unless told otherwise: twice as many as fit the spaces."""


def take_named(
    catalog: Catalog,
    embeddings: Path,
    edges: Path,
    options: LearnOptions,
    others: int = OTHERS,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> tuple[int, IndexReport]:
    """Take the items that behaviour data names, and some others, from shards into a catalog, to learn from them.

    Items that were taken before stay; of shards that were taken in as a whole nothing is left to take.

    Args:
        embeddings: The ``out`` of ``simkin embed``, or ``.npy`` files with tables; however many items they hold, the
            ids of those taken, and of those named, must fit into memory.
        edges: Behaviour data, see ``index.learning.formats.read_edges``.
        options: What will be learned.
        others: About how many more to take, evenly spread.

    Returns:
        How many items the edges name, and what taking them did.

    Raises:
        InputError: The shards or edges cannot be read, or the shards hold none of the items.
        StaleIndexError, LockedError, StorageError: See ``index.ingesting.ingest.ingest``.
    """
    found = read_edges(edges, format=options.format, pairing=options.pairing)
    named = pick_named(ReadyMade.open(embeddings), found, options.relation)
    wanted = IndexOptions(embeddings=(embeddings,), only=named, sample=others)
    return len(named), ingest(catalog, (), wanted, on_progress)


def pick_named(ready: ReadyMade, edges: Iterable[Edge], relation: str = "") -> frozenset[str]:
    """Ids of the items that edges name, by id or, where no id is equal, by what may be their file.

    Args:
        relation: Edges that name another one are passed over; empty: take all.

    Raises:
        InputError: Edges name none of the items.
    """
    names: set[str] = set()
    for edge in edges:
        if edge.is_of(relation):
            names.update((edge.source, edge.target))
    named = {item_id for item_id in ready.ids() if item_id in names}
    if left := names - named:
        naming = Naming(left)
        named.update(item_id for item_id in ready.ids() if item_id in naming)
    if not named:
        some = ", ".join(map(repr, sorted(names)[:3])) or "nothing"
        known = repr(next(ready.ids(), ""))
        raise InputError(
            f"{ready.folder} holds none of the items that edges name, such as {some}; its ids look like {known}; make "
            "ids agree"
        )
    return frozenset(named)
