"""The quick way in: the commonest request is answered before routing and checking of parameters cost their share."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from index.answers import Query
from index.errors import SimkinError
from simkin.server.ask import BRIEF_ANSWERS, PATH, answered
from simkin.server.errors import Refusal
from simkin.server.service import Service, json_text


class Quick:
    """Answers a question about one item, where nothing else was asked for; the application answers all others.

    Plain ASGI. What it cannot answer it hands on, errors among it, so that everything is told in one place.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service
        self._route = SimpleNamespace(path=PATH)  # as it is counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        content = None
        query = query_in(scope)
        if query is not None:
            with suppress(SimkinError, Refusal):  # the application meets the same, and tells it
                content = await self.service.brief.ask(lambda live: answered(live, query, self.service.answers))
        if content is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = self._route
        await json_text(content)(scope, receive, send)


def query_in(scope: Scope) -> Query | None:
    """The question that a request asks, where it names an item once and at most a relation and a small ``k`` beside."""
    if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "GET":
        return None
    told = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    asked = dict(told)
    if len(asked) < len(told) or "id" not in asked or not asked.keys() <= {"id", "relation", "k"}:
        return None
    k = asked.get("k", "10")
    if not (k.isascii() and k.isdecimal() and len(k) <= len(str(BRIEF_ANSWERS)) and 1 <= int(k) <= BRIEF_ANSWERS):
        return None
    return Query(items=((asked["id"], 1.0),), relation=asked.get("relation", "similar"), k=int(k))
