"""OpenSubsonic for music players: the extension ``sonicSimilarity``, and what clients need to use what it answers.

This follows Subsonic 1.16.1 with OpenSubsonic 1: the extension ``sonicSimilarity`` in its version 1, as the
specification (opensubsonic.netlify.app) describes it in 2026: ``sonicMatch`` stands at the top of the envelope, each
with an ``entry`` and a ``similarity`` from 0 to 1. Ids of songs are ids of items; only items with a sound are songs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from index.answers import Query
from index.errors import MediaError, SimkinError, UnknownNameError
from index.items import Item, Medium
from index.listing import Listed
from index.lists.paths import scores_from
from index.lists.playlist import MOST, make_playlist
from index.live import LiveCatalog
from index.thumbnails import thumbnail
from simkin.server.errors import told
from simkin.server.guard import MEDIA_POLICY
from simkin.server.media import TYPES
from simkin.server.seekable import SeekableFile
from simkin.server.service import Service, service
from simkin.server.subsonic_envelope import (
    CLIENT_OLD,
    GENERIC,
    MISSING,
    NOT_FOUND,
    SERVER_OLD,
    SubsonicError,
    envelope,
    failure,
)
from simkin.server.subsonic_keys import check_credentials

RELATION = "similar-track"

EXTENSIONS = {"apiKeyAuthentication": [1], "formPost": [1], "sonicSimilarity": [1]}

MOST_SONGS = 500
"""Songs in one answer at most."""

router = APIRouter(tags=["OpenSubsonic"])

Given: TypeAlias = Mapping[str, str]
"""Parameters of a request, from its address and its form."""

Endpoint: TypeAlias = Callable[[Given, Service], Awaitable["dict[str, Any] | Response"]]


async def ping(given: Given, here: Service) -> dict[str, Any]:
    """Is the server there, and is the key right?"""
    return {}


async def license_(given: Given, here: Service) -> dict[str, Any]:
    """Older clients ask whether the server was paid for."""
    return {"license": {"valid": True}}


async def extensions(given: Given, here: Service) -> dict[str, Any]:
    """What of OpenSubsonic is spoken here; needs no key."""
    return {
        "openSubsonicExtensions": [{"name": name, "versions": versions} for name, versions in EXTENSIONS.items()],
    }


async def music_folders(given: Given, here: Service) -> dict[str, Any]:
    """The catalog, as the only folder."""
    return {"musicFolders": {"musicFolder": [{"id": 1, "name": "simkin"}]}}


async def song(given: Given, here: Service) -> dict[str, Any]:
    """One song by its id."""
    name = _needed(given, "id")
    return {"song": await here.questions.ask(lambda live: child_of(_song(live, name)))}


async def search(given: Given, here: Service) -> dict[str, Any]:
    """Songs that hold some words in title, artist, album or any other attribute; all songs for no words."""
    text = given.get("query", "").strip().strip('"')
    offset = _number(given, "songOffset", 0, 0, 1 << 31)
    count = _number(given, "songCount", 20, 0, MOST_SONGS)

    def find(live: LiveCatalog) -> list[dict[str, Any]]:
        keys = (
            here.listings.page(live.catalog, Listed(text=text, modality="audio"), offset, count).keys if count else []
        )
        items = live.catalog.items(keys)
        return [child_of(items[key]) for key in keys if key in items]

    return {"searchResult3": {"song": await here.questions.ask(find)}}


async def similar_tracks(given: Given, here: Service) -> dict[str, Any]:
    """Songs that sound like one, most alike first."""
    return {"sonicMatch": await _similar(given, here, 10)}


async def similar_songs(given: Given, here: Service) -> dict[str, Any]:
    """The same for older clients, without figures."""
    return {"similarSongs": {"song": [match["entry"] for match in await _similar(given, here, 50)]}}


async def similar_songs_2(given: Given, here: Service) -> dict[str, Any]:
    """The same again, under its newer name."""
    return {"similarSongs2": {"song": [match["entry"] for match in await _similar(given, here, 50)]}}


async def sonic_path(given: Given, here: Service) -> dict[str, Any]:
    """Songs that lead from one to another in small steps; at most ``count``, both ends among them, made as playlists
    are: no artist again within three songs, no version of a recording twice."""
    start, end = _needed(given, "startSongId"), _needed(given, "endSongId")
    count = _number(given, "count", 25, 2, MOST)

    def find(live: LiveCatalog) -> list[dict[str, Any]]:
        _song(live, start)
        _song(live, end)
        found = make_playlist(live.recommender, [start], mode="path", to=end, relation=RELATION, length=count)
        ids = [track.item.item_id for track in found.tracks]
        scores = scores_from(live.recommender, start, ids, RELATION)
        return _matches(live, list(zip(ids, scores, strict=True)))

    return {"sonicMatch": await here.slow.ask(find)}


async def stream(given: Given, here: Service) -> Response:
    """The sound file as it is, seekable; nothing is transcoded."""
    name = _needed(given, "id")

    def find(live: LiveCatalog) -> tuple[Medium, os.stat_result]:
        medium = _sound(_song(live, name))
        try:
            status = medium.path.stat()
        except OSError:
            status = None
        if status is None or not stat.S_ISREG(status.st_mode):
            raise SubsonicError(NOT_FOUND, "the file of this song cannot be read")
        return medium, status

    medium, status = await here.questions.ask(find)
    kind = TYPES["audio"].get(medium.path.suffix.lower(), "application/octet-stream")
    headers = {"Cache-Control": "private, no-cache", "Content-Security-Policy": MEDIA_POLICY}
    return SeekableFile(medium.path, headers=headers, media_type=kind, stat_result=status)


async def cover_art(given: Given, here: Service) -> Response:
    """A song's cover, or a drawing of its loudness."""
    name = _needed(given, "id")
    wanted = _number(given, "size", 320, 1, 1 << 31)
    side = next((size for size in (160, 320) if wanted <= size), 640)

    def find(live: LiveCatalog) -> bytes:
        medium = _sound(_song(live, name))
        key = ("cover", medium.path, medium.stamp, side)
        content = here.thumbnails.get(key)
        if content is None:
            try:
                content = thumbnail(medium.path, medium.modality, side)
            except MediaError as error:
                raise SubsonicError(NOT_FOUND, f"no picture can be made of this song: {error.reason}") from None
            here.thumbnails.put(key, content)
        return content

    content = await here.drawings.ask(find)
    headers = {"Cache-Control": "private, max-age=3600", "Content-Security-Policy": MEDIA_POLICY}
    return Response(content, headers=headers, media_type="image/jpeg")


ENDPOINTS: dict[str, tuple[Endpoint, tuple[str, ...]]] = {
    "ping": (ping, ()),
    "getLicense": (license_, ()),
    "getOpenSubsonicExtensions": (extensions, ()),
    "getMusicFolders": (music_folders, ()),
    "getSong": (song, ("id",)),
    "search3": (search, ("query", "songCount", "songOffset")),
    "getSonicSimilarTracks": (similar_tracks, ("id", "count")),
    "findSonicPath": (sonic_path, ("startSongId", "endSongId", "count")),
    "getSimilarSongs": (similar_songs, ("id", "count")),
    "getSimilarSongs2": (similar_songs_2, ("id", "count")),
    "stream": (stream, ("id",)),
    "download": (stream, ("id",)),
    "getCoverArt": (cover_art, ("id", "size")),
}
"""Name below ``/rest/`` → what answers, and its own parameters."""

COMMON = ("u", "p", "t", "s", "apiKey", "v", "c", "f")
"""Parameters of every endpoint."""


def child_of(item: Item) -> dict[str, Any]:
    """A song as the protocol's ``Child``; its place on disk stays here."""
    known, medium = item.attributes, _sound(item)
    child: dict[str, Any] = {"id": item.item_id, "isDir": False, "isVideo": False, "type": "music"}
    child |= {"mediaType": "song", "title": item.title, "coverArt": item.item_id}
    child |= {name: str(known[name]) for name in ("artist", "album", "genre") if known.get(name) not in (None, "")}
    for name in ("track", "year", "duration"):
        value = known.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 31:
            child[name] = round(value)
    suffix = medium.path.suffix.lower()
    kind = TYPES["audio"].get(suffix, "application/octet-stream")
    return child | {"suffix": suffix.removeprefix("."), "contentType": kind}


async def _similar(given: Given, here: Service, default: int) -> list[dict[str, Any]]:
    name = _needed(given, "id")
    count = _number(given, "count", default, 1, MOST_SONGS)

    def find(live: LiveCatalog) -> list[dict[str, Any]]:
        _song(live, name)
        answer = live.recommender.ask(Query(items=((name, 1.0),), relation=RELATION, k=count))
        return _matches(live, [(hit.item_id, hit.score) for hit in answer.hits])

    return await here.questions.ask(find)


def _matches(live: LiveCatalog, scored: list[tuple[str, float]]) -> list[dict[str, Any]]:
    """Songs with how alike they are: a link probability as it is, a cosine from -1..1 brought to 0..1."""
    learned = bool(live.catalog.relation(RELATION).head)
    keys = live.catalog.keys_of([name for name, _ in scored])
    items = live.catalog.items(keys)
    return [
        {
            "entry": child_of(items[key]),
            "similarity": round(min(1.0, max(0.0, score if learned else (1 + score) / 2)), 4),
        }
        for key, (_, score) in zip(keys, scored, strict=True)
        if key in items and "audio" in items[key].modalities
    ]


def _song(live: LiveCatalog, name: str) -> Item:
    item = live.catalog.item(name)
    if "audio" not in item.modalities:
        raise SubsonicError(NOT_FOUND, f"{name!r} is no song")
    return item


def _sound(item: Item) -> Medium:
    return next(medium for medium in item.media if medium.modality == "audio")


def _needed(given: Given, name: str) -> str:
    if not given.get(name):
        raise SubsonicError(MISSING, f"Required parameter {name!r} is missing")
    return given[name]


def _number(given: Given, name: str, default: int, least: int, most: int) -> int:
    """A whole number; one beyond ``most`` is ``most``, as clients ask for all with a very large one."""
    text = given.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or int(text[:12]) < least:
        raise SubsonicError(GENERIC, f"{name} must be a whole number of at least {least}, not {text[:40]!r}")
    return min(int(text[:12]), most)


# ---- From requests to endpoints


async def _given(request: Request) -> dict[str, str]:
    """Parameters, the first of those that are repeated; a form's come before the address's."""
    found = dict(reversed(list(request.query_params.multi_items())))
    if request.method == "POST":
        form: FormData = await request.form(max_files=0, max_fields=100)
        found |= {name: value for name, value in reversed(list(form.multi_items())) if isinstance(value, str)}
    return {name: value for name, value in found.items() if value != "" or name == "query"}


def _check_version(given: Given) -> None:
    major = given.get("v", "1").partition(".")[0]
    if major.isdecimal() and int(major[:6]) != 1:
        raise SubsonicError(
            CLIENT_OLD if int(major[:6]) < 1 else SERVER_OLD, f"this server speaks Subsonic 1, not {given['v'][:20]}"
        )


def _answering(name: str, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        here, form = service(request), request.query_params.get("f", "xml")
        try:
            given = await _given(request)
            form = given.get("f", "xml")
            if form not in ("xml", "json"):
                raise SubsonicError(GENERIC, f"answers are written as xml or json, not as {form[:20]!r}")
            _check_version(given)
            if name != "getOpenSubsonicExtensions":
                check_credentials(here.settings.api_key, given)
            found = await endpoint(given, here)
            return envelope(found, form) if isinstance(found, dict) else found
        except SubsonicError as error:
            return failure(error, form)
        except UnknownNameError as error:
            return failure(SubsonicError(NOT_FOUND, told(error, here.settings.catalog)["message"]), form)
        except SimkinError as error:
            return failure(SubsonicError(GENERIC, told(error, here.settings.catalog)["message"]), form)
        except HTTPException as error:
            if error.status_code in (408, 413):
                raise
            return failure(SubsonicError(GENERIC, error.detail), form)

    answer.__doc__ = endpoint.__doc__
    return answer


def _mount() -> None:
    for name, (endpoint, own) in ENDPOINTS.items():
        parameters = [{"name": one, "in": "query", "schema": {"type": "string"}} for one in (*own, *COMMON)]
        content: dict[str, Any] = {kind: {} for kind in ("application/json", "application/xml")}
        if endpoint is stream:
            content["audio/*"] = {}
        if endpoint is cover_art:
            content["image/jpeg"] = {}
        router.add_api_route(
            f"/rest/{name}",
            _answering(name, endpoint),
            methods=["GET"],
            summary=name,
            response_class=Response,
            responses={200: {"content": content}},
            openapi_extra={"parameters": parameters},
        )
        for path, methods in ((f"/rest/{name}", ["POST"]), (f"/rest/{name}.view", ["GET", "POST"])):
            router.add_api_route(path, _answering(name, endpoint), methods=methods, include_in_schema=False)


_mount()
