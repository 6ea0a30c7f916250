"""What a catalog in PostgreSQL holds, in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from index.errors import NotBuiltError
from index.overview import Overview, RelationState
from index.postgres.schema import rows_table

if TYPE_CHECKING:
    from index.postgres.catalog import PostgresCatalog


def overview(catalog: PostgresCatalog) -> Overview:
    """Gather its figures. Failures stay in the folder; 0 is told of them."""
    rows = catalog.session.rows
    relations: list[RelationState] = []
    asked, state, size = 0.0, "current", 0
    number = catalog.state.generation
    held = {name: one.card for name, one in catalog.encoders().items()}
    try:
        manifest = catalog.manifest()
        asked = manifest.asked_recall
        for place, space in enumerate(manifest.spaces.values()):
            table = rows_table(number, place)
            ((bytes_of,),) = rows("SELECT coalesce(pg_total_relation_size(to_regclass(%s)), 0)", (table,))
            ((parts,),) = rows(
                "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits "
                "WHERE inhparent = to_regclass(%s)",
                (table,),
            )
            size += int(bytes_of) + int(parts)
            relations += [
                RelationState(
                    relation=name,
                    modality=held[space.encoders[0]].modality,
                    method=plan.method,
                    recall=plan.recall,
                    measured_on=plan.measured_on,
                    rerank="none",
                )
                for name, plan in space.relations.items()
                if space.count
            ]
    except NotBuiltError as error:
        state = str(error)
    ((tables,),) = rows(
        "SELECT sum(pg_total_relation_size(to_regclass(name)))::bigint FROM unnest(%s::text[]) name",
        (["items", "media", "vectors"],),
    )
    return Overview(
        items=catalog.modality_counts(),
        categories=int(rows("SELECT count(DISTINCT category) FROM items")[0][0]),
        encoders={name: card.fingerprint for name, card in held.items()},
        sources=[
            (location.decode("utf-8", "backslashreplace"), kind)
            for location, kind in rows("SELECT location, kind FROM sources")
        ],
        failures=0,
        generation=number,
        state=state,
        pending=0,
        asked_recall=asked,
        relations=relations,
        database_bytes=int(tables or 0),
        generation_bytes=size,
    )
