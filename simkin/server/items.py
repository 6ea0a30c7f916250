"""Endpoints that tell what a catalog holds: its figures, its items page by page, one item."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

import simkin
from index.address import name_of
from index.encoders import ENCODERS, card_of
from index.errors import NotBuiltError, StaleIndexError
from index.listing import Listed
from index.live import LiveCatalog
from index.types import EncoderCard
from simkin.server.bodies import ItemShape, ItemsShape
from simkin.server.errors import told
from simkin.server.json import json_bytes
from simkin.server.service import json_text, service
from simkin.server.shapes import item_json, items_json, relations_json

router = APIRouter(tags=["catalog"])


@router.get("/api/info", summary="What the catalog holds")
async def info(request: Request) -> Response:
    """Figures of the catalog, and the names that questions may use.

    Where nothing is built, or what is built does not fit the catalog, `generation` is 0 and `state` says what to run;
    else `state` is `current`.
    """
    here = service(request)

    def find(live: LiveCatalog) -> bytes:
        catalog = live.catalog
        contents = here.listings.contents(catalog)
        cards = [held.card for held in catalog.encoders().values()]
        modalities = ("image", "audio")
        generation, state = _built(live)
        if not contents.items:
            folder = catalog.folder.name
            state = f"{folder} holds no items yet; fill it with: simkin index SOURCE --catalog {folder}"
        return json_bytes(
            {
                "name": name_of(live.place).removesuffix(".simkin"),
                "items": contents.items,
                "modalities": {modality: contents.modalities.get(modality, 0) for modality in modalities},
                "generation": generation,
                "state": state,
                "categories": [{"name": name, "count": count} for name, count in contents.categories],
                "attributes": contents.attributes,
                "write": here.settings.write,
                "facets": {
                    modality: [facet.name for card in cards if card.modality == modality for facet in card.facets]
                    for modality in modalities
                },
                "version": simkin.__version__,
            }
        )

    return json_text(await here.questions.ask(find))


@router.get("/api/items", summary="Items, page by page", response_model=ItemsShape)
async def items(
    request: Request,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 60,
    where: Annotated[str, Query(description="A filter, such as: category=Shoes and price<50")] = "",
    text: Annotated[str, Query(description="Words that stand in the id or in any attribute.")] = "",
    modality: Literal["image", "audio", ""] = "",
    category: str | None = None,
    sort: Annotated[str, Query(description="id, title or an attribute; with - before it from the end.")] = "id",
) -> Response:
    """Those that pass the filter and hold the text, in order."""
    here = service(request)
    listed = Listed(where, text, modality or None, category, sort)

    def find(live: LiveCatalog) -> bytes:
        page = here.listings.page(live.catalog, listed, offset, limit)
        return json_bytes({"total": page.total, "offset": offset, "items": items_json(live.catalog, page.keys)})

    return json_text(await here.questions.ask(find))


@router.get("/api/counts", summary="How many items have each value of an attribute")
async def counts(
    request: Request,
    attribute: str = "category",
    where: Annotated[str, Query(description="A filter, such as: category=Shoes and price<50")] = "",
    text: Annotated[str, Query(description="Words that stand in the id or in any attribute.")] = "",
    modality: Literal["image", "audio", ""] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """Of those that pass the filter and hold the text; the most numerous values first."""
    here = service(request)
    listed = Listed(where, text, modality or None)

    def find(live: LiveCatalog) -> bytes:
        found = here.listings.counts(live.catalog, listed, attribute, limit)
        values = [{"name": name, "count": count} for name, count in found]
        return json_bytes({"attribute": attribute, "values": values})

    return json_text(await here.questions.ask(find))


@router.get("/api/item", summary="One item", response_model=ItemShape)
async def item(request: Request, id: str) -> Response:
    """What is known of it."""
    return json_text(await service(request).questions.ask(lambda live: json_bytes(item_json(live.catalog.item(id)))))


@router.get("/api/relations", summary="Questions that can be asked")
async def relations(request: Request) -> Response:
    """Each relation with its weights, its rule, and the recall it was measured at in each modality; no modality
    where nothing is built yet."""
    return json_text(await service(request).questions.ask(lambda live: json_bytes(relations_json(live.recommender))))


@router.get("/api/encoders", summary="What describes pictures and sounds")
async def encoders(request: Request) -> Response:
    """Encoders that the catalog holds vectors of, then built-in ones that it does not use."""

    def find(live: LiveCatalog) -> bytes:
        held = {name: one.card for name, one in live.catalog.encoders().items()}
        others = {name: card_of(name) for name in ENCODERS if name not in held}
        return json_bytes([_card_json(name, card, name in held) for name, card in (*held.items(), *others.items())])

    return json_text(await service(request).questions.ask(find))


def _built(live: LiveCatalog) -> tuple[int, str]:
    """The generation in use, 0 for none, and ``current`` or what to run."""
    try:
        return live.recommender.generation.manifest.number, "current"
    except (NotBuiltError, StaleIndexError) as error:
        return 0, told(error, live.folder)["message"]


def _card_json(name: str, card: EncoderCard, used: bool) -> dict[str, object]:
    library, colon, rest = name.partition(":")
    return {
        "name": f"{library}:{rest.rpartition('/')[2]}" if colon and library == "onnx" else name,  # not where it lies
        "used": used,
        "modality": card.modality,
        "dim": card.dim,
        "revision": card.revision,
        "fingerprint": card.fingerprint,
        "facets": [{"name": facet.name, "dim": facet.dim, "source": facet.source} for facet in card.facets],
        "preprocessing": dict(card.preprocessing),
        "licence": card.licence,
        "source": card.source,
    }
