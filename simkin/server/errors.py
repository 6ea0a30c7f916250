"""Errors as HTTP answers: one table from our exceptions to status codes, and one shape for all of them."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from index import errors
from index.address import Place, is_postgres, name_of, shown
from simkin.server.json import json_bytes

STATUS: dict[type[errors.SimkinError], int] = {
    errors.InputError: 400,
    errors.UnknownNameError: 404,
    errors.MediaError: 415,
    errors.NotACatalogError: 503,
    errors.NotBuiltError: 503,
    errors.StaleIndexError: 503,
    errors.LockedError: 503,
    errors.StorageError: 503,
    errors.MissingExtraError: 501,
}
"""Error → status; any other of ours is a 500."""

RETRY_SECONDS = 1
"""What a client is told to wait before it asks again, where waiting helps."""

_log = logging.getLogger("simkin.server")


class Refusal(HTTPException):
    """A request that is turned away before the library is asked; an ``HTTPException``, which FastAPI lets pass
    while it reads a body.

    Args:
        status: HTTP status.
        kind: What ``error.type`` says.
        message: What was expected and what was found.
        headers: To send along.
    """

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.kind = kind

    @classmethod
    def busy(cls, message: str) -> Refusal:
        """Too much is asked at once; asking again soon helps."""
        return cls(503, "BusyError", message, {"Retry-After": str(RETRY_SECONDS)})

    def response(self) -> Response:
        """The answer to the request."""
        return error_response(self.status_code, self.kind, self.detail, self.headers)


def error_response(status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error in the one shape that all have."""
    content = {"error": {"type": kind, "message": message}}
    return Response(json_bytes(content), status, dict(headers or {}), "application/json")


def told(error: errors.SimkinError, catalog: Place) -> dict[str, str]:
    """An error of ours as it may leave the server: without places on its disk, or of its database."""
    return {"type": type(error).__name__, "message": without_places(str(error), catalog)}


def without_places(text: str, *places: Place) -> str:
    """A text with the names of files, folders and catalogs alone, not where they lie."""
    spelt: dict[str, str] = {}
    for place in places:
        if isinstance(place, str) and is_postgres(place):
            spelt[shown(place)] = name_of(place)
        else:
            spelt |= {str(spelling): Path(place).name for spelling in (place, Path(place).absolute())}
    for spelling in sorted(spelt, key=len, reverse=True):
        text = text.replace(spelling, spelt[spelling])
    return text.replace(f"{tempfile.gettempdir()}/", "")


def status_of(error: errors.SimkinError) -> int:
    """HTTP status of an error of ours."""
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)


def map_errors(app: FastAPI, catalog: Place) -> None:
    """Have every error of an application told in the one shape."""

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, errors.SimkinError)
        status = status_of(error)
        headers = {"Retry-After": str(RETRY_SECONDS)} if isinstance(error, errors.LockedError) else {}
        content = told(error, catalog)
        return error_response(status, content["type"], content["message"], headers)

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return error.response()

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part not in ("query", "body"))
        message = f"{place}: {first['msg']}" if place else str(first["msg"])
        return error_response(422, "ValidationError", message)

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = {404: "NotFoundError", 405: "MethodError"}.get(error.status_code, "RequestError")
        return error_response(error.status_code, kind, str(error.detail), error.headers)

    async def unforeseen(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return error_response(500, "InternalError", "the server failed at this; its log says where")

    app.add_exception_handler(errors.SimkinError, ours)
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unforeseen)
