"""Substitutes, style matches and similar tracks, from the content of pictures and songs.

    import simkin

    simkin.index(["photos/"], catalog="my.simkin")
    recommender = simkin.open("my.simkin")
    answer = recommender.query("photos/shoe-17.jpg", relation="substitute", k=5)

Importing this package costs nothing: each name below loads what it needs when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from index.answering.batch import write_all
    from index.answers import Answer, Hit, Query
    from index.catalog import Catalog
    from index.errors import SimkinError
    from index.ingesting.ingest import IndexOptions, IndexReport
    from index.items import Failure, Item
    from index.recommender import Recommender
    from simkin.library import index, open

__all__ = [
    "Answer",
    "Catalog",
    "Failure",
    "Hit",
    "IndexOptions",
    "IndexReport",
    "Item",
    "Query",
    "Recommender",
    "SimkinError",
    "index",
    "open",
    "write_all",
]

__version__ = "0.1.0"

_HOMES = {
    "Answer": "index.answers",
    "Catalog": "index.catalog",
    "Failure": "index.items",
    "Hit": "index.answers",
    "IndexOptions": "index.ingesting.ingest",
    "IndexReport": "index.ingesting.ingest",
    "Item": "index.items",
    "Query": "index.answers",
    "Recommender": "index.recommender",
    "SimkinError": "index.errors",
    "index": "simkin.library",
    "open": "simkin.library",
    "write_all": "index.answering.batch",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'simkin' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
