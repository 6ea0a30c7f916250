"""Endpoints that answer with lists: outfits completed."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from index.lists.complete import complete_outfit
from index.live import LiveCatalog
from simkin.server.bodies import Outfit
from simkin.server.json import json_bytes
from simkin.server.service import json_text, service
from simkin.server.shapes import items_by_id

router = APIRouter(tags=["lists"])


@router.post("/api/complete", summary="Complete an outfit")
async def complete(request: Request, outfit: Outfit) -> Response:
    """The best item for each slot, chosen jointly; several alternatives that differ."""

    def find(live: LiveCatalog) -> bytes:
        live.catalog.keys_of(outfit.items)  # ids only: the library would take names of files, too
        found = complete_outfit(
            live.recommender,
            outfit.items,
            outfit.slots,
            outfit.relation,
            alternatives=outfit.alternatives,
            diversity=outfit.diversity,
            max_price=outfit.max_price,
            where=outfit.where,
        ).to_json()
        ids = [one["id"] for alternative in found["alternatives"] for one in alternative["items"]]
        return json_bytes({**found, "items": items_by_id(live.catalog, ids)})

    return json_text(await service(request).labours.ask(find))
