"""The application: routers, guard and errors put together around one catalog."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import simkin
from simkin.server import (
    ask,
    embeddings,
    explain,
    health,
    items,
    lists,
    maps,
    media,
    reference,
    subsonic,
    uploads,
    write,
)
from simkin.server.bodies import ErrorAnswer
from simkin.server.description import complete_description
from simkin.server.errors import map_errors
from simkin.server.guard import Guard
from simkin.server.page import mount_gallery
from simkin.server.quick import Quick
from simkin.server.service import Service
from simkin.server.settings import Settings

ERRORS = {
    400: "The question makes no sense; the message says why.",
    401: "A key is needed.",
    404: "There is no such item, relation or attribute.",
    422: "A parameter is not what it must be.",
    503: "The catalog cannot answer now, or too much is asked at once.",
}


def create_app(settings: Settings) -> FastAPI:
    """Make the application for one catalog; everything it holds hangs on it, so that several may live side by side."""
    service = Service.start(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.slow.leave(service.warm)
        yield
        service.stop()

    app = FastAPI(
        title="simkin",
        version=simkin.__version__,
        description="Substitutes, style matches and similar tracks, from the content of pictures and songs.",
        docs_url=None,  # it loads scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        responses={status: {"model": ErrorAnswer, "description": text} for status, text in ERRORS.items()},
    )
    app.state.service = service
    map_errors(app, settings.catalog)
    for module in (items, media, ask, uploads, explain, lists, maps, embeddings, write, subsonic, health, reference):
        app.include_router(module.router)
    mount_gallery(app)
    complete_description(app, settings)
    app.add_middleware(Quick, service=service)
    app.add_middleware(Guard, settings=settings, metrics=service.metrics)
    return app
