"""Endpoints that show an item's files: thumbnails, and the files themselves, seekable."""

from __future__ import annotations

import hashlib
import os
import stat
from enum import IntEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from index.errors import MediaError
from index.items import Medium
from index.live import LiveCatalog
from index.thumbnails import thumbnail as draw
from simkin.server.errors import Refusal
from simkin.server.guard import MEDIA_POLICY
from simkin.server.seekable import SeekableFile
from simkin.server.service import service

router = APIRouter(tags=["media"])

DRAWN = 1
"""Raised when thumbnails come out otherwise, so that browsers ask for them again."""

TYPES = {
    "image": {
        ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".jpe": "image/jpeg", ".jfif": "image/jpeg",
        ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif", ".bmp": "image/bmp", ".dib": "image/bmp",
        ".tif": "image/tiff", ".tiff": "image/tiff", ".avif": "image/avif", ".jp2": "image/jp2",
    },
    "audio": {
        ".wav": "audio/wav", ".w64": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg",
        ".oga": "audio/ogg", ".opus": "audio/ogg", ".m4a": "audio/mp4", ".mp4a": "audio/mp4", ".aac": "audio/aac",
        ".aif": "audio/aiff", ".aiff": "audio/aiff", ".aifc": "audio/aiff", ".wma": "audio/x-ms-wma",
        ".au": "audio/basic", ".caf": "audio/x-caf", ".mka": "audio/x-matroska", ".weba": "audio/webm",
    },
}  # fmt: skip
"""Ending → content type. Anything else is bytes; none of these is something that a browser runs."""


class Side(IntEnum):
    """Pixels of a thumbnail's longer side."""

    SMALL = 160
    MIDDLE = 320
    LARGE = 640


def medium_at(live: LiveCatalog, item_id: str, position: int) -> Medium:
    """One file of an item.

    Raises:
        UnknownNameError: There is no such item.
        Refusal: It has no such file.
    """
    media = live.catalog.item(item_id).media
    if position >= len(media):
        raise Refusal(404, "UnknownNameError", f"item {item_id!r} has {len(media)} files; position {position} is none")
    return media[position]


@router.get(
    "/api/thumbnail",
    summary="A small picture of an item",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, 304: {"description": "What the client has is still right."}},
)
async def thumbnail(
    request: Request,
    id: str,
    position: Annotated[int, Query(ge=0)] = 0,
    size: Side = Side.MIDDLE,
    dark: Annotated[bool, Query(description="Draw a sound's loudness for a dark page.")] = False,
    v: Annotated[str, Query(description="The medium's version: lets the client keep the picture for good.")] = "",
) -> Response:
    """A JPEG of at most so many pixels a side; of sounds the cover, or a drawing of their loudness.

    404 when the item has no such file, or the file cannot be read.
    """
    here = service(request)
    asked = request.headers.get("if-none-match", "")

    def find(live: LiveCatalog) -> tuple[str, bytes | None]:
        medium = medium_at(live, id, position)
        status = _status(medium)
        stamp = f"{DRAWN} {medium.path} {status.st_mtime_ns} {status.st_size} {int(size)} {dark}"
        tag = '"' + hashlib.blake2b(os.fsencode(stamp), digest_size=12).hexdigest() + '"'
        if tag in asked:
            return tag, None
        content = here.thumbnails.get(tag)
        if content is None:
            try:
                content = draw(medium.path, medium.modality, int(size), dark=dark)
            except MediaError as error:
                raise Refusal(404, "MediaError", f"no picture can be made of {id!r}: {error.reason}") from None
            here.thumbnails.put(tag, content)
        return tag, content

    tag, content = await here.drawings.ask(find)
    kept = "private, max-age=31536000, immutable" if v else "private, no-cache"
    headers = {"ETag": tag, "Cache-Control": kept, "Content-Security-Policy": MEDIA_POLICY}
    if content is None:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type="image/jpeg")


@router.head("/api/media", include_in_schema=False)
@router.get(
    "/api/media",
    summary="A file of an item",
    response_class=SeekableFile,
    responses={200: {"content": {"image/*": {}, "audio/*": {}}}, 206: {}, 416: {"description": "Beyond the end."}},
)
async def media(request: Request, id: str, position: Annotated[int, Query(ge=0)] = 0) -> Response:
    """The file as it is; ranges of bytes are served, so that players can seek."""
    here = service(request)

    def find(live: LiveCatalog) -> tuple[Medium, os.stat_result]:
        medium = medium_at(live, id, position)
        return medium, _status(medium)

    medium, status = await here.questions.ask(find)
    kind = TYPES[medium.modality].get(medium.path.suffix.lower(), "application/octet-stream")
    headers = {"Cache-Control": "private, no-cache", "Content-Security-Policy": MEDIA_POLICY}
    return SeekableFile(medium.path, headers=headers, media_type=kind, stat_result=status)


def _status(medium: Medium) -> os.stat_result:
    try:
        status = medium.path.stat()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Refusal(404, "MediaError", f"the file of this item cannot be read: {reason}") from None
    if not stat.S_ISREG(status.st_mode):
        raise Refusal(404, "MediaError", "the file of this item is no regular file")
    return status
