"""Endpoints that answer with lists: outfits completed, playlists, near-duplicates."""

from __future__ import annotations

import json
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from index.lists.complete import complete_outfit
from index.lists.m3u import can_name, m3u_text, place_inside
from index.lists.playlist import make_playlist
from index.lists.repeats import find_duplicates
from index.live import LiveCatalog
from simkin.server.bodies import Named, Outfit, PlaylistWish
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

    return json_text(await service(request).slow.ask(find))


@router.post(
    "/api/playlist",
    summary="Choose tracks, and an order to play them in",
    responses={200: {"content": {"audio/x-mpegurl": {}}}},
)
async def playlist(
    request: Request,
    wish: PlaylistWish,
    format: Annotated[Literal["json", "m3u8"], Query(description="m3u8 names tracks by addresses here.")] = "json",
) -> Response:
    """Around seeds, each close to the one before, or along a path to another track."""
    here = service(request)
    base = str(request.base_url)

    def find(live: LiveCatalog) -> bytes:
        live.catalog.keys_of([*wish.seeds, *([wish.to] if wish.to is not None else [])])  # ids only
        found = make_playlist(
            live.recommender,
            wish.seeds,
            mode=wish.mode,
            to=wish.to,
            relation=wish.relation,
            length=wish.length,
            minutes=wish.minutes,
            artist_gap=wish.artist_gap,
            trend=wish.trend,
            seed=wish.seed,
            where=wish.where,
        )
        if format == "m3u8":
            places = (f"{base}api/media?id={quote(track.item.item_id, safe='')}" for track in found.tracks)
            return m3u_text(zip(found.tracks, places, strict=True)).encode("utf-8", "replace")
        ids = [track.item.item_id for track in found.tracks]
        return json_bytes({**found.to_json(), "items": items_by_id(live.catalog, ids)})

    content = await here.slow.ask(find)
    if format == "json":
        return json_text(content)
    headers = {"Content-Disposition": 'attachment; filename="playlist.m3u8"'}
    return Response(content, headers=headers, media_type="audio/x-mpegurl; charset=utf-8")


@router.post("/api/files", summary="Names of items' files, as playlists write them")
async def files(request: Request, named: Named) -> Response:
    """Where the first file of each item lies inside the folder that was indexed, never where that folder lies; items
    that are unknown, or whose file's name a playlist cannot write, are left out."""

    def find(live: LiveCatalog) -> bytes:
        catalog = live.catalog
        known = catalog.items(
            catalog.keys_of([item_id for item_id in dict.fromkeys(named.ids) if catalog.has(item_id)])
        )
        bases = catalog.bases()
        places = {item.item_id: place_inside(item.paths[0], bases) for item in known.values() if item.paths}
        return json_bytes({"files": {item_id: place for item_id, place in places.items() if can_name(place)}})

    return json_text(await service(request).questions.ask(find))


@router.get("/api/duplicates", summary="Near-duplicates, grouped")
async def duplicates(
    request: Request,
    modality: Literal["image", "audio", ""] = "",
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 60,
) -> Response:
    """The same picture or recording again, with the evidence; found once for each state of the catalog, which takes as
    long as asking about every item."""
    here = service(request)

    def find(live: LiveCatalog) -> bytes:
        catalog = live.catalog
        key = ("duplicates", catalog.identity, catalog.sequence, modality)
        content = here.answers.get(key)
        if content is None:
            content = json_bytes(find_duplicates(live.recommender, modality).to_json())
            here.answers.put(key, content)
        found = json.loads(content)
        groups = found["groups"][offset : offset + limit]
        ids = [item_id for group in groups for item_id in group["items"]]
        return json_bytes({**found, "groups": groups, "offset": offset, "items": items_by_id(catalog, ids)})

    return json_text(await here.reasons.ask(find))
