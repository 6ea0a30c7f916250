"""Endpoints that say why two items are alike, in numbers and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from index.errors import InputError
from index.explaining import Explanation
from index.explaining import explain as explain_pair
from index.live import LiveCatalog
from simkin.server.errors import without_places
from simkin.server.guard import MEDIA_POLICY
from simkin.server.json import json_bytes
from simkin.server.service import json_text, service

router = APIRouter(tags=["reasons"])

MOST_WEIGHTS = 64
"""Facets that may be weighed at once."""

Weights = Annotated[
    Sequence[str],
    Query(
        description="Facets weighed otherwise, each as NAME=WEIGHT, as `weights` of /api/recommend.",
        max_length=MOST_WEIGHTS,
    ),
]


@router.get("/api/explain", summary="Why two items are alike")
async def explain(request: Request, a: str, b: str, relation: str = "similar", weights: Weights = ()) -> Response:
    """Facets' shares, and regions of pictures that match, or moments of songs; in words and numbers."""
    here = service(request)
    weighed = _weighed(weights)

    def find(live: LiveCatalog) -> bytes:
        catalog = live.catalog
        key = ("explain", catalog.identity, catalog.sequence, a, b, relation, tuple(weighed.items()))
        content = here.answers.get(key)
        if content is None:
            found = _explained(live, a, b, relation, weighed)
            told = found.to_json()
            told["notes"] = [without_places(note, live.place, *filter(None, found.media)) for note in found.notes]
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
async def explain_png(request: Request, a: str, b: str, relation: str = "similar", weights: Weights = ()) -> Response:
    """Both pictures with the regions that match, or two songs time by time."""
    weighed = _weighed(weights)
    content = await service(request).reasons.ask(lambda live: _explained(live, a, b, relation, weighed).png())
    headers = {"Cache-Control": "private, max-age=300", "Content-Security-Policy": MEDIA_POLICY}
    return Response(content, headers=headers, media_type="image/png")


def _explained(live: LiveCatalog, a: str, b: str, relation: str, weighed: dict[str, float]) -> Explanation:
    live.catalog.keys_of([a, b])  # ids only: the library would take names of files, too
    return explain_pair(live.recommender, a, b, relation, facet_weights=weighed)


def _weighed(given: Sequence[str]) -> dict[str, float]:
    """Weights by facet; the library checks both."""
    found: dict[str, float] = {}
    for one in given:
        name, _, weight = one.rpartition("=")
        try:
            number = float(weight)
        except ValueError:
            raise InputError(f"weights are written as NAME=WEIGHT, such as color=2, not as {one!r}") from None
        if found.setdefault(name, number) != number:
            raise InputError(f"facet {name!r} is weighed twice; give each facet one weight")
    return found
