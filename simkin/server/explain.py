"""Endpoints that say why two items are alike, in numbers and as a picture."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from index.explaining import Explanation
from index.explaining import explain as explain_pair
from index.live import LiveCatalog
from simkin.server.errors import without_places
from simkin.server.guard import MEDIA_POLICY
from simkin.server.json import json_bytes
from simkin.server.service import json_text, service

router = APIRouter(tags=["reasons"])


@router.get("/api/explain", summary="Why two items are alike")
async def explain(request: Request, a: str, b: str, relation: str = "similar") -> Response:
    """Facets' shares, and regions of pictures that match, or moments of songs; in words and numbers."""
    here = service(request)

    def find(live: LiveCatalog) -> bytes:
        catalog = live.catalog
        key = ("explain", catalog.identity, catalog.sequence, a, b, relation)
        content = here.answers.get(key)
        if content is None:
            found = _explained(live, a, b, relation)
            told = found.to_json()
            told["notes"] = [without_places(note, live.folder, *filter(None, found.media)) for note in found.notes]
            content = json_bytes(told)
            here.answers.put(key, content)
        return content

    return json_text(await here.reasons.ask(find))


@router.get(
    "/api/explain.png",
    summary="Why two items are alike, as a picture",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
)
async def explain_png(request: Request, a: str, b: str, relation: str = "similar") -> Response:
    """Both pictures with the regions that match, or two songs time by time."""
    content = await service(request).reasons.ask(lambda live: _explained(live, a, b, relation).png())
    headers = {"Cache-Control": "private, max-age=300", "Content-Security-Policy": MEDIA_POLICY}
    return Response(content, headers=headers, media_type="image/png")


def _explained(live: LiveCatalog, a: str, b: str, relation: str) -> Explanation:
    live.catalog.keys_of([a, b])  # ids only: the library would take names of files, too
    return explain_pair(live.recommender, a, b, relation)
