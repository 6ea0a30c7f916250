"""Endpoints that change the catalog, for holders of the key, where the server was started to let them."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from pydantic import TypeAdapter, ValidationError

from index.changes import add_item, build_if_many, change_item, give_feedback, remove_item
from index.errors import LockedError, MediaError
from index.live import LiveCatalog
from simkin.server.bodies import Attributes, Change, ErrorAnswer, Feedback, ItemShape
from simkin.server.errors import Refusal
from simkin.server.guard import check_key
from simkin.server.json import json_bytes
from simkin.server.service import json_text, service
from simkin.server.shapes import item_json
from simkin.server.uploads import ending_of, kept_file


def may_write(request: Request) -> None:
    """Let only those write who may.

    Raises:
        Refusal: 403 where nobody may, 401 without the key.
    """
    settings = service(request).settings
    if not settings.write or not settings.api_key:
        raise Refusal(403, "ReadOnlyError", "this server only reads; start it with --write and a key to change items")
    check_key(settings.api_key, request.headers, writing=True)


router = APIRouter(
    tags=["writing"],
    dependencies=[Depends(may_write)],
    responses={403: {"model": ErrorAnswer, "description": "This server only reads."}},
)

_ATTRIBUTES: TypeAdapter[Attributes] = TypeAdapter(Attributes)


@router.post("/api/items", summary="Add an item", status_code=201, response_model=ItemShape)
async def add(
    request: Request,
    file: Annotated[UploadFile, File(description="A picture or a sound; it is copied into the catalog.")],
    attributes: Annotated[str, Form(description="A JSON object: category, title, price, …")] = "{}",
    id: Annotated[str, Form(description="Must be new; made from the content when it is empty.")] = "",
) -> Response:
    """It answers questions from now on."""
    here = service(request)
    try:
        known = _ATTRIBUTES.validate_json(attributes or "{}")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("attributes", *first["loc"])))
        raise Refusal(422, "ValidationError", f"{place}: {first['msg']}") from None
    ending, modality = ending_of(file)
    content = file.file

    def change(live: LiveCatalog) -> bytes:
        with kept_file(content, ending) as path:
            try:
                item = add_item(live.writable, path, modality, known, id, live.recommender.encoders)
            except MediaError as error:
                raise Refusal(415, "MediaError", f"this file cannot be added: {error.reason}") from None
            return json_bytes(item_json(item))

    content_json = await here.slow.ask(change)
    here.slow.leave(_tidy)
    return Response(content_json, 201, media_type="application/json")


@router.patch("/api/item", summary="Change an item's attributes", response_model=ItemShape)
async def change(request: Request, id: str, change: Change) -> Response:
    """They stand whatever the item's source says of them later."""
    here = service(request)
    content = await here.slow.ask(lambda live: json_bytes(item_json(change_item(live.writable, id, change.attributes))))
    here.slow.leave(_tidy)
    return json_text(content)


@router.delete("/api/item", summary="Remove an item", status_code=204)
async def remove(request: Request, id: str) -> Response:
    """A file that was added here is deleted; one of the owner's folders stays there, out of the catalog."""
    here = service(request)
    await here.slow.ask(lambda live: remove_item(live.writable, id))
    here.slow.leave(_tidy)
    return Response(status_code=204)


@router.post("/api/feedback", summary="Say how well two items go together", status_code=204)
async def feedback(request: Request, said: Feedback) -> Response:
    """Kept as an edge of the relation: ``simkin learn --relation NAME`` learns from all of them."""

    def change(live: LiveCatalog) -> None:
        give_feedback(live.writable, said.source, said.target, said.relation, said.weight, said.user)

    await service(request).slow.ask(change)
    return Response(status_code=204)


def _tidy(live: LiveCatalog) -> None:
    with suppress(LockedError):  # whoever writes now builds
        build_if_many(live.writable)
