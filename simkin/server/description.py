"""The OpenAPI description, completed by what the guard at the door answers: keys asked for, bodies refused."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from simkin.server.guard import OPEN, OWN_KEYS
from simkin.server.settings import Settings

BODIES = {
    408: "The body came too slowly.",
    413: "The body is larger than allowed.",
}
"""What any request with a body may be answered."""

FILES = {415: "The file is neither a picture nor a sound, or cannot be decoded."}
"""What requests with files may be answered beside."""

CARRIES_FILES = ("/v1/embeddings",)
"""Paths whose bodies hold files although they are JSON."""


def complete_description(app: FastAPI, settings: Settings) -> None:
    """Have ``/openapi.json`` tell of what happens before an endpoint is reached."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(plain(), settings)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(description: dict[str, Any], settings: Settings) -> None:
    shape = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}
    for path, operations in description["paths"].items():
        for operation in operations.values():
            kinds = operation.get("requestBody", {}).get("content", {})
            files = "multipart/form-data" in kinds or path in CARRIES_FILES
            for status, text in ({**BODIES, **(FILES if files else {})} if kinds else {}).items():
                operation["responses"].setdefault(str(status), {"description": text, "content": shape})
            if settings.api_key and path not in OPEN and not path.startswith(OWN_KEYS):
                operation["security"] = [{"key": []}]
    if settings.api_key:
        key = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
        description.setdefault("components", {}).setdefault("securitySchemes", {})["key"] = key
