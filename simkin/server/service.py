"""What the endpoints of one application share: its settings, thread pools and caches."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response

from index.address import is_postgres
from index.errors import SimkinError
from index.listing import Listed, Listings
from index.live import LiveCatalog
from simkin.server.cache import ByteCache
from simkin.server.json import json_bytes
from simkin.server.metrics import Metrics
from simkin.server.pool import ThreadPool
from simkin.server.settings import Settings


@dataclass(frozen=True, slots=True)
class Service:
    """One application's own things.

    Attributes:
        settings: What it was told.
        brief: Answers plain questions about one item, which take a millisecond or two of the interpreter: in one
            thread, for several would only take it from each other; a database's answers are waited for side by side.
        questions: Answers what takes milliseconds.
        drawings: Makes thumbnails.
        slow: Does what takes longer: uploads, lists, changes.
        reasons: Explains, which may take seconds for each pair.
        maps: Draws maps, one after another: each may take all of a core for a minute.
        listings: Of the catalog's items.
        answers: Answers already given, as JSON.
        thumbnails: Those already drawn.
        metrics: Counts what happens.
    """

    settings: Settings
    brief: ThreadPool
    questions: ThreadPool
    drawings: ThreadPool
    slow: ThreadPool
    reasons: ThreadPool
    maps: ThreadPool
    listings: Listings
    answers: ByteCache
    thumbnails: ByteCache
    metrics: Metrics

    @classmethod
    def start(cls, settings: Settings) -> Service:
        """Start the threads."""
        catalog, waiting = settings.catalog, settings.waiting
        return cls(
            settings,
            ThreadPool("brief", catalog, settings.threads if is_postgres(catalog) else 1, waiting),
            ThreadPool("questions", catalog, settings.threads, waiting),
            ThreadPool("drawings", catalog, settings.threads, 4 * waiting),
            ThreadPool("slow", catalog, settings.threads, waiting),
            ThreadPool("reasons", catalog, 1, 16),
            ThreadPool("maps", catalog, 1, 16),
            Listings(),
            ByteCache(settings.answer_bytes),
            ByteCache(settings.thumbnail_bytes),
            Metrics(settings),
        )

    def warm(self, live: LiveCatalog) -> None:
        """Read what the first page would wait for."""
        with suppress(SimkinError):  # whoever asks will be told
            self.listings.page(live.catalog, Listed(), 0, 1)
            self.listings.contents(live.catalog)

    def stop(self) -> None:
        """Let the threads end."""
        for pool in (self.brief, self.questions, self.drawings, self.slow, self.reasons, self.maps):
            pool.close()


def service(request: Request) -> Service:
    """The service of the application that a request came to."""
    found: Service = request.app.state.service
    return found


def json_response(content: Any, status: int = 200) -> Response:
    """Plain data as an answer."""
    return Response(json_bytes(content), status, media_type="application/json")


def json_text(content: bytes) -> Response:
    """JSON written already, in the thread that found it."""
    return Response(content, media_type="application/json")
