"""Endpoints for whoever runs the server: is it well, and its figures for Prometheus."""

from __future__ import annotations

import random

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from index.answers import Query
from index.errors import SimkinError, StaleIndexError
from index.live import LiveCatalog
from index.overview import Overview
from simkin.server.errors import told
from simkin.server.service import json_response, service

router = APIRouter(tags=["running"])


@router.get(
    "/health",
    summary="Is it well?",
    responses={200: {"description": "The catalog answers."}, 503: {"description": "It does not; the error says why."}},
)
async def health(request: Request) -> Response:
    """Asks the catalog for the neighbours of one of its items, drawn at random; 503 with the reason when it fails."""
    here = service(request)
    try:
        return json_response({"status": "ok", **await here.questions.ask(_ask_anything)})
    except SimkinError as error:
        content = told(error, here.settings.catalog)
        return json_response({"status": "unwell", "error": content}, 503)


def _ask_anything(live: LiveCatalog) -> dict[str, object]:
    """Ask one question of each modality's rows."""
    recommender = live.recommender
    generation = recommender.generation
    harm = recommender.catalog.damage()
    if harm:
        raise StaleIndexError(f"generation {generation.manifest.number}: {harm}; rebuild with: simkin index --rebuild")
    asked: list[str] = []
    for space in generation.spaces.values():
        names = [name for name, plan in space.record.relations.items() if plan]
        if not space.record.count or not names:
            continue
        relation = "similar" if "similar" in names else names[0]
        items = live.catalog.items(space.some_keys(8, random.randrange(1 << 30)))
        for item in items.values():  # some may have been removed since
            recommender.ask(Query(items=((item.item_id, 1.0),), relation=relation, k=5))
            asked.append(space.modality)
            break
    return {"generation": generation.manifest.number, "items": live.catalog.count(), "asked": asked}


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
async def metrics(request: Request) -> Response:
    """Requests, latency, the recall told, the generation, failures, and what waits for the next build."""
    here = service(request)
    found: Overview | None
    try:
        found = await here.questions.ask(lambda live: live.catalog.overview())
    except SimkinError:
        found = None
    return Response(here.metrics.page(found), media_type=CONTENT_TYPE_LATEST)
