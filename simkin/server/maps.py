"""The endpoint that shows a relation's space in two dimensions."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from index.lists.map_store import kept_map
from index.live import LiveCatalog
from simkin.server.bodies import MapShape
from simkin.server.json import json_bytes
from simkin.server.service import json_text, service

MOST = 200_000
"""Items sent of one map; of a larger one an even sample."""

router = APIRouter(tags=["lists"])


@router.get("/api/map", summary="A relation's space in two dimensions", response_model=MapShape)
async def map_(
    request: Request,
    relation: str = "similar",
    method: Annotated[
        Literal["auto", "pca", "umap"], Query(description="umap needs the extra [map] where the server runs.")
    ] = "auto",
    where: Annotated[str, Query(description="A filter: items that do not pass are left out, none is moved.")] = "",
    modality: Annotated[
        Literal["image", "audio", ""], Query(description="Where the relation compares both and the catalog has both.")
    ] = "",
) -> Response:
    """Items that lie close are alike; clusters with their central items.

    A map is computed once for each generation, which takes from a moment to some minutes, one at a time; it is kept
    in the catalog's folder.
    """

    def find(live: LiveCatalog) -> bytes:
        return json_bytes(
            kept_map(live.recommender, relation, method=method, where=where, modality=modality).to_json(MOST)
        )

    return json_text(await service(request).maps.ask(find))
