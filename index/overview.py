"""What a catalog holds, in figures: for people who ask how it is doing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from index.catalog import Catalog
from index.engine.build import cards, pending
from index.engine.generations import current_number, damage, disagreement, generation_folder, read_manifest
from index.errors import NotBuiltError, StaleIndexError


@dataclass(frozen=True, slots=True)
class RelationState:
    """How one relation is answered in one modality."""

    relation: str
    modality: str
    method: str
    recall: float
    measured_on: int
    rerank: str


@dataclass(frozen=True, slots=True)
class Overview:
    """A catalog in figures.

    Attributes:
        items: By modality; an item with both counts in both.
        categories: Number of distinct categories.
        encoders: Name → fingerprint.
        sources: Location and kind of what was indexed, and whether it was taken in part.
        failures: Files that could not be indexed.
        generation: Number in use; 0 for none.
        state: ``"current"``, or why the generation cannot be used.
        pending: Changes since it was built, searched beside it.
        asked_recall: Recall at 10 that it was built to reach.
        relations: How each is answered.
        database_bytes: Size of the database.
        generation_bytes: Size of the generation in use.
    """

    items: dict[str, int]
    categories: int
    encoders: dict[str, str]
    sources: list[tuple[str, str]]
    failures: int
    generation: int
    state: str
    pending: int
    asked_recall: float
    relations: list[RelationState]
    database_bytes: int
    generation_bytes: int


def overview(catalog: Catalog) -> Overview:
    """Gather a catalog's figures."""
    execute = catalog.connection.execute
    number = current_number(catalog.folder)
    relations: list[RelationState] = []
    changes, asked, state = 0, 0.0, "current"
    try:
        manifest = read_manifest(catalog.folder, number)
        asked_of = catalog.relations()
        told = disagreement(manifest, cards(catalog), asked_of)
        state = told or damage(catalog.folder, manifest, thorough=False) or state
        changes, asked = pending(catalog, manifest.sequence), manifest.asked_recall
        modality_of = {name: card.modality for name, card in cards(catalog).items()}
        relations = [
            RelationState(
                relation=name,
                modality=modality_of[space.encoders[0]],
                method=plan.method,
                recall=plan.recall,
                measured_on=plan.measured_on,
                rerank=asked_of[name].rerank if name in asked_of else "none",
            )
            for space in manifest.spaces.values()
            if space.count
            for name, plan in space.relations.items()
        ]
    except (NotBuiltError, StaleIndexError) as error:
        state = str(error)
    held = execute("SELECT 1 FROM sqlite_master WHERE name='parts'").fetchone()  # older catalogs lack the table
    parts = {source for (source,) in execute("SELECT DISTINCT source FROM parts")} if held else set()
    return Overview(
        items=dict(execute("SELECT modality, count(DISTINCT item) FROM media WHERE item NOT NULL GROUP BY modality")),
        categories=execute("SELECT count(DISTINCT category) FROM items").fetchone()[0],
        encoders={name: card.fingerprint for name, card in cards(catalog).items()},
        sources=[
            (location.decode("utf-8", "backslashreplace"), f"{kind}, a part of them" if source in parts else kind)
            for source, location, kind in execute("SELECT source, location, kind FROM sources ORDER BY source")
        ],
        failures=execute("SELECT count(*) FROM failures").fetchone()[0],
        generation=number,
        state=state,
        pending=changes,
        asked_recall=asked,
        relations=relations,
        database_bytes=sum(path.stat().st_size for path in catalog.folder.glob("catalog.db*")),
        generation_bytes=_size(generation_folder(catalog.folder, number)) if number else 0,
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
