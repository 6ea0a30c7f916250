"""The guard at the door: keys, limits on bodies, headers that keep browsers from running what they are shown."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simkin.server.errors import Refusal
from simkin.server.metrics import Metrics
from simkin.server.settings import Settings

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""What a page of ours may do: nothing from elsewhere, nothing inline."""

HEADERS = (
    (b"content-security-policy", PAGE_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""What every answer says, where it does not say otherwise itself."""

MEDIA_POLICY = "default-src 'none'; sandbox"
"""What a file of the catalog may do, should a browser take it for a page: nothing."""

OPEN = ("/health",)
"""Paths that need no key: load balancers ask them."""

OWN_KEYS = ("/rest/",)
"""What begins so checks keys by itself, as its protocol has it."""

UPLOADS = {"/api/recommend/upload": 1, "/api/items": 1, "/v1/embeddings": 4}
"""Paths whose bodies hold files, and as how many each counts; where it is more than one, because JSON is held in memory
as a whole, bodies are that much smaller."""


class Guard:
    """Stands before the application; plain ASGI, so that it costs little."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app = app
        self.settings = settings
        self.metrics = metrics
        self._receiving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                told = list(message.get("headers", ()))
                names = {name.lower() for name, _ in told}
                told += [header for header in HEADERS if header[0] not in names]
                message = {**message, "headers": told}
            await send(message)

        try:
            await self._pass(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", None) or "other"
            self.metrics.count(route, _method(scope), status, time.perf_counter() - started)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        headers = Headers(scope=scope)
        try:
            check_host(self.settings.hosts, headers)
            if not path.startswith(OWN_KEYS) and path not in OPEN:
                check_key(self.settings.api_key, headers, writing=False)
            if scope["method"] in ("GET", "HEAD"):
                await self.app(scope, receive, send)
                return
            count = UPLOADS.get(path, 0)
            limit = self.settings.upload_bytes // count if count else self.settings.body_bytes
            _check_length(headers, limit)
            if count and self._receiving + count > self.settings.uploads:
                raise Refusal.busy("too many files are arriving; send this one again in a moment")
        except Refusal as refusal:
            await refusal.response()(scope, receive, send)
            return
        body = _Body(receive, limit, self.settings)
        self._receiving += count
        left = False

        def arrived() -> None:
            nonlocal left
            if not left:
                left = True
                self._receiving -= count

        body.arrived = arrived
        try:
            await self.app(scope, body.receive, send)
        finally:
            arrived()


class _Body:
    """A body on its way in, held to a size and to a time."""

    def __init__(self, receive: Receive, limit: int, settings: Settings) -> None:
        self._receive = receive
        self._limit = limit
        self._pause = settings.pause_seconds
        self._deadline = time.monotonic() + settings.body_seconds
        self._size = 0
        self._whole = False
        self.arrived: Callable[[], None] = lambda: None

    async def receive(self) -> Message:
        if self._whole:  # what comes now is only that the client has gone
            return await self._receive()
        left = min(self._pause, self._deadline - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(left, 0.001))
        except TimeoutError:
            raise Refusal(
                408, "TimeoutError", "the body came too slowly; send it again", {"Connection": "close"}
            ) from None
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            if self._size > self._limit:
                raise too_large(self._limit)
            self._whole = not message.get("more_body", False)
        if self._whole or message["type"] == "http.disconnect":
            self.arrived()
        return message


def too_large(limit: int) -> Refusal:
    """The answer to a body that is larger than allowed."""
    return Refusal(413, "TooLargeError", f"a body here has at most {limit:,} bytes", {"Connection": "close"})


def _check_length(headers: Headers, limit: int) -> None:
    told = headers.get("content-length", "0")
    if told.isdecimal() and int(told) > limit:
        raise too_large(limit)


def check_host(hosts: tuple[str, ...], headers: Headers) -> None:
    """See that a request was meant for this server.

    A page elsewhere can have its own name point at this machine, and so have a browser read what only this machine
    should (DNS rebinding); the name it asks for tells.

    Raises:
        Refusal: 403.
    """
    if not hosts:
        return
    name = headers.get("host", "")
    name = name.rpartition(":")[0] if name[name.rfind("]") + 1 :].count(":") == 1 else name
    if name.lower() not in hosts:
        raise Refusal(403, "HostError", "this server is asked by another name than its own; see --allow-host")


def check_key(key: str, headers: Headers, *, writing: bool) -> None:
    """See that a request brings the key, where there is one.

    It may come as ``X-API-Key``, as a bearer token, or as the password of basic authentication, which browsers ask
    for by themselves. They also send that along when another site's page makes them; so writing by it needs their
    word that the page was ours.

    Raises:
        Refusal: 401.
    """
    if not key:
        return
    scheme, _, token = headers.get("authorization", "").partition(" ")
    brought = headers.get("x-api-key", "").encode("latin-1")  # as it came
    if not brought and scheme.lower() == "bearer":
        brought = token.strip().encode("latin-1")
    elif not brought and scheme.lower() == "basic":
        if writing and headers.get("sec-fetch-site") != "same-origin":
            raise Refusal(401, "KeyError", "writing takes the key as X-API-Key or as a bearer token")
        try:
            brought = base64.b64decode(token, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            brought = b""
    if not hmac.compare_digest(brought, key.encode()):
        what = "this server asks for a key: send it as X-API-Key" if not brought else "the key is not the right one"
        raise Refusal(401, "KeyError", what, {"WWW-Authenticate": 'Basic realm="simkin", charset="UTF-8"'})


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS") else "other"
