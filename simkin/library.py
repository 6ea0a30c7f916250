"""The two calls that most programs need: bring a catalog up to date, and open it for questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from index.catalog import Catalog

if TYPE_CHECKING:
    from index.ingesting.ingest import IndexOptions, IndexReport, Progress
    from index.recommender import Recommender


def index(
    sources: Sequence[str | Path],
    catalog: str | Path = "catalog.simkin",
    options: IndexOptions | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> IndexReport:
    """Bring a catalog in line with its sources, making it when it does not exist.

    Args:
        sources: Folders, tables or single files; none means those indexed before.
        catalog: The catalog's folder.
        options: Encoders, workers, recall and the like.
        on_progress: Told how far it is.

    Raises:
        SimkinError: See ``index.ingesting.ingest.ingest``.
    """
    from index.ingesting.ingest import IndexOptions, ingest

    with Catalog.create(catalog) as opened:
        return ingest(opened, [Path(source) for source in sources], options or IndexOptions(), on_progress)


def open(catalog: str | Path = "catalog.simkin") -> Recommender:
    """Open an existing catalog for questions.

    Args:
        catalog: Its folder, or ``postgresql://…`` where it was pushed to.

    Raises:
        NotACatalogError: Nothing is there.
    """
    from index.address import place_of
    from index.opening import open_recommender

    return open_recommender(place_of(str(catalog)))
