"""GET /api/map: the kept map as JSON, filtered, and plain refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from index.lists import map_store
from simkin.server import maps
from simkin.server.app import create_app
from simkin.server.settings import Settings


@pytest.fixture(scope="module")
def made(make_catalog: Callable[[], Any]) -> Any:
    made = make_catalog()
    made.fill(60)
    made.build()
    return made


@pytest.fixture
def client(made: Any) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(made.folder))) as client:
        yield client


def test_a_map_is_drawn_once_and_filtered(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not pass is left out, nothing moves, nothing is computed anew."""
    whole = client.get("/api/map", params={"relation": "style", "method": "pca"}).json()
    assert (whole["count"], len(whole["ids"]), whole["method"]) == (60, 60, "pca")
    monkeypatch.setattr(map_store, "draw", lambda *_: pytest.fail("drawn again"))
    asked = {"relation": "style", "method": "pca", "where": "price<30"}
    some = client.get("/api/map", params=asked).json()
    assert some["count"] == 30
    at = dict(zip(whole["ids"], zip(whole["x"], whole["y"], strict=True), strict=True))
    assert [at[name] for name in some["ids"]] == list(zip(some["x"], some["y"], strict=True))
    monkeypatch.setattr(maps, "MOST", 10)
    sample = client.get("/api/map", params={"relation": "style", "method": "pca"}).json()
    assert (sample["count"], len(sample["ids"])) == (60, 10)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"relation": "nothing"}, 404),
        ({"relation": "similar-track"}, 400),
        ({"method": "tsne"}, 422),
        ({"method": "pca", "where": "price>"}, 400),
        ({"method": "pca", "where": "price>1000"}, 400),
        ({"method": "pca", "where": "prise>1"}, 404),
        ({"modality": "audio"}, 400),
    ],
)
def test_what_cannot_be_drawn_is_told(client: TestClient, asked: dict[str, str], status: int) -> None:
    """In the one shape of errors."""
    response = client.get("/api/map", params=asked)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"type", "message"}
