"""The OpenAPI description tells of what happens at the door, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from simkin.server.app import create_app
from simkin.server.settings import Settings


def described(settings: Settings) -> dict[str, Any]:
    with TestClient(create_app(settings)) as client:
        headers = {"X-API-Key": settings.api_key}
        content: dict[str, Any] = client.get("/openapi.json", headers=headers).json()
        assert client.get("/openapi.json", headers=headers).json() == content
    return content


def test_bodies_that_are_refused_are_told_of(tmp_path: Path) -> None:
    """Slow and large ones wherever there is a body, wrong ones where it holds a file."""
    paths = described(Settings(tmp_path))["paths"]
    upload, question = paths["/api/recommend/upload"]["post"], paths["/api/recommend"]["post"]
    assert {"408", "413", "415"} <= upload["responses"].keys()
    assert {"408", "413"} <= question["responses"].keys()
    assert "415" not in question["responses"]
    assert "413" not in paths["/api/recommend"]["get"]["responses"]


def test_keys_are_told_of_where_they_are_asked_for(tmp_path: Path) -> None:
    """Not for /health, nor for what has keys of its own."""
    assert "security" not in str(described(Settings(tmp_path)))
    content = described(Settings(tmp_path, api_key="k"))
    assert content["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"
    told = {path for path, one in content["paths"].items() if any("security" in each for each in one.values())}
    assert "/api/item" in told
    assert not told & {"/health", "/rest/ping"}
