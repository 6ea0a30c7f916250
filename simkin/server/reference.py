"""A page that lists the endpoints, drawn from the OpenAPI description, without scripts."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The endpoints, for people; programs read ``/openapi.json``."""
    return Response(page(request.app.openapi()), media_type="text/html; charset=utf-8")


def page(description: dict[str, Any]) -> str:
    """An OpenAPI description as HTML that stands alone."""
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(description['info']['title'])}</title>"
        f"<h1>{escape(description['info']['title'])} {escape(description['info']['version'])}</h1>"
        f"<p>{escape(description['info'].get('description', ''))}"
        "<p><a href='/'>The gallery</a> · <a href='/openapi.json'>OpenAPI description</a>"
    ]
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(path, method, operation))
    return "\n".join(parts)


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<li><code>{escape(parameter['name'])}</code> {escape(_kind(parameter.get('schema', {})))}"
        f"{' (needed)' if parameter.get('required') else ''} {escape(parameter.get('description', ''))}"
        for parameter in operation.get("parameters", [])
    )
    bodies = "".join(
        f"<li>body: {escape(kind)}, {escape(content.get('schema', {}).get('$ref', '').rpartition('/')[2])}"
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    return (
        f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2>"
        f"<p><b>{escape(operation.get('summary', ''))}</b> {escape(operation.get('description', ''))}"
        f"<ul>{rows}{bodies}</ul>"
    )


def _kind(schema: dict[str, Any]) -> str:
    choices = schema.get("enum")
    if choices:
        return " | ".join(str(choice) for choice in choices if choice != "")
    kinds = [schema.get("type", ""), *(one.get("type", "") for one in schema.get("anyOf", []))]
    default = "" if schema.get("default") in (None, "") else f" = {schema['default']}"
    return " or ".join(kind for kind in kinds if kind) + default
