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
    from index.explaining.explainer import explain
    from index.ingesting.ingest import IndexOptions, IndexReport
    from index.items import Failure, Item
    from index.lists.clusters import find_clusters
    from index.lists.complete import complete_outfit
    from index.lists.map import StyleMap, map_items
    from index.lists.outfits import score_outfit
    from index.lists.paths import find_path
    from index.lists.playlist import make_playlist
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
    "StyleMap",
    "complete_outfit",
    "explain",
    "find_clusters",
    "find_path",
    "index",
    "make_playlist",
    "map_items",
    "open",
    "score_outfit",
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
    "StyleMap": "index.lists.map",
    "complete_outfit": "index.lists.complete",
    "explain": "index.explaining.explainer",
    "find_clusters": "index.lists.clusters",
    "find_path": "index.lists.paths",
    "index": "simkin.library",
    "make_playlist": "index.lists.playlist",
    "map_items": "index.lists.map",
    "open": "simkin.library",
    "score_outfit": "index.lists.outfits",
    "write_all": "index.answering.batch",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'simkin' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
