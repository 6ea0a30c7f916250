"""The JSON that items and answers have."""

from __future__ import annotations

from typing import Any

from index.answers import Answer
from index.engine.rows import Space
from index.errors import NotBuiltError, StaleIndexError
from index.items import Item
from index.reading import CatalogReader
from index.recommender import Recommender
from index.relations import Relation


def item_json(item: Item) -> dict[str, Any]:
    """One item; where its files lie stays here."""
    return {
        "id": item.item_id,
        "modality": item.media[0].modality if item.media else None,
        "title": item.title,
        "category": item.category,
        "attributes": item.attributes,
        "media": [
            {"position": position, "modality": medium.modality, "version": medium.stamp}
            for position, medium in enumerate(item.media)
        ],
    }


def items_json(catalog: CatalogReader, keys: list[int]) -> list[dict[str, Any]]:
    """Items by database key, in order, without those removed a moment ago."""
    found = catalog.items(keys)
    return [item_json(found[key]) for key in keys if key in found]


def answer_json(answer: Answer) -> dict[str, Any]:
    """One answer."""
    return {
        "relation": answer.query.relation,
        "method": answer.method,
        "rerank": answer.rerank,
        "recall": answer.recall,
        "generation": answer.generation,
        "notes": list(answer.notes),
        "hits": [
            {
                "rank": hit.rank,
                "id": hit.item_id,
                "score": round(hit.score, 6),
                "closer_than": round(hit.closer_than, 6),
                "facets": dict(hit.facets),
                "duplicates": list(hit.duplicates),
                "item": item_json(Item(hit.item_id, dict(hit.attributes), hit.media)),
            }
            for hit in answer.hits
        ],
    }


def relations_json(recommender: Recommender) -> list[dict[str, Any]]:
    """Every relation of a catalog, with the modalities in which it can be asked: none before anything is built."""
    try:
        spaces = recommender.generation.every_space()
    except (NotBuiltError, StaleIndexError):
        spaces = []
    return [
        {
            "name": relation.name,
            "rule": relation.rule,
            "why": relation.why,
            "modalities": [space.modality for space in spaces if _asks(space, relation)],
            "weights": dict(relation.weights),
            "learned": bool(relation.head),
            "recall": {
                space.modality: space.record.relations[relation.name].recall
                for space in spaces
                if _asks(space, relation)
            },
        }
        for relation in recommender.catalog.relations().values()
    ]


def _asks(space: Space, relation: Relation) -> bool:
    return bool(space.record.count) and space.compares(relation) and relation.name in space.record.relations


def items_by_id(catalog: CatalogReader, ids: list[str]) -> dict[str, Any]:
    """Items that a list names, by id.

    Raises:
        UnknownNameError: One was removed a moment ago.
    """
    found = catalog.items(catalog.keys_of(list(dict.fromkeys(ids))))
    return {item.item_id: item_json(item) for item in found.values()}
