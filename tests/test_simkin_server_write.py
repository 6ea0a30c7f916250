"""Endpoints that change the catalog, and those that give vectors."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from index.catalog import Catalog
from index.ingesting.ingest import IndexOptions
from index.learning.edge_store import count_edges
from simkin.library import index as index_sources
from simkin.server.settings import Settings

KEY = {"X-API-Key": "secret"}


@pytest.fixture
def folder(tmp_path, picture):
    """Six pictures in two categories, indexed."""
    for number in range(6):
        picture(tmp_path / "media" / ("hats" if number % 2 else "shoes") / f"{number}.jpg", number)
    index_sources([tmp_path / "media"], tmp_path / "c.simkin", IndexOptions(workers=1))
    return tmp_path


@pytest.fixture
def api(folder, serve):
    """A client of a server that may write."""
    return serve(Settings(folder / "c.simkin", api_key="secret", write=True))


def test_nobody_writes_without_being_let(folder, serve, api):
    """Not where the server only reads, not without the key, not because another site's page made a browser."""
    change = {"attributes": {"price": 5}}
    reading = serve(Settings(folder / "c.simkin"))
    keyed = serve(Settings(folder / "c.simkin", api_key="secret"))
    assert reading.patch("/api/item", params={"id": "hats/1.jpg"}, json=change).status_code == 403
    assert reading.delete("/api/item", params={"id": "hats/1.jpg"}).status_code == 403
    assert keyed.patch("/api/item", params={"id": "hats/1.jpg"}, json=change, headers=KEY).status_code == 403
    assert api.patch("/api/item", params={"id": "hats/1.jpg"}, json=change).status_code == 401
    password = {"auth": ("", "secret"), "params": {"id": "hats/1.jpg"}, "json": change}
    assert api.patch("/api/item", **password).status_code == 401
    assert api.patch("/api/item", **password, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 401
    assert api.patch("/api/item", **password, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_an_added_item_answers_at_once_and_stays(api, folder, picture, tmp_path):
    """It is found, shown, kept by the next run of indexing, and cannot be added again."""
    path = picture(tmp_path / "new.png", 77)
    told = {"category": "hats", "price": 12.5, "title": "A <b>hat</b>"}
    send = {"files": {"file": ("../../new.png", path.read_bytes())}, "headers": KEY}
    added = api.post("/api/items", **send, data={"attributes": json.dumps(told), "id": "new/ä.png"})
    assert added.status_code == 201, added.text
    assert added.json()["attributes"] == told
    seen = api.post("/api/recommend/upload", files={"file": ("q.png", path.read_bytes())}, headers=KEY,
                    data={"query": '{"duplicates": true, "k": 1}'}).json()  # fmt: skip
    assert seen["hits"][0]["item"] == added.json()
    assert api.get("/api/thumbnail", params={"id": "new/ä.png"}, headers=KEY).status_code == 200
    assert "already" in api.post("/api/items", **send, data={"id": "new/ä.png"}).json()["error"]["message"]
    report = index_sources([], folder / "c.simkin", IndexOptions(workers=1))
    assert (report.added, report.changed, report.removed, report.failed, report.items) == (0, 0, 0, 0, 7)
    assert api.get("/api/item", params={"id": "new/ä.png"}, headers=KEY).json() == added.json()
    assert not list((folder / "c.simkin").parent.glob("new*.png.part"))


def test_what_cannot_be_added_leaves_nothing(api, folder):
    """No picture, attributes that cannot be, reserved names."""
    send = {"headers": KEY, "files": {"file": ("a.jpg", b"no picture")}}
    assert api.post("/api/items", **send).status_code == 415
    good = {"headers": KEY, "files": {"file": ("a.jpg", (folder / "media/hats/1.jpg").read_bytes())}}
    assert api.post("/api/items", **good, data={"attributes": "[]"}).status_code == 422
    assert api.post("/api/items", **good, data={"attributes": '{"a": {"b": 1}}'}).status_code == 422
    assert api.post("/api/items", **good, data={"attributes": '{"path": "/etc/passwd"}'}).status_code == 400
    assert api.post("/api/items", **good, data={"id": "  "}).status_code == 400
    assert not (folder / "c.simkin" / "uploads").exists()
    assert api.get("/api/info", headers=KEY).json()["items"] == 6


def test_changed_attributes_count_at_once_and_outlast_the_source(api, folder):
    """Filters and categories see them; indexing the source again keeps them."""
    patch = {"attributes": {"price": 9, "category": "caps"}}
    item = api.patch("/api/item", params={"id": "hats/1.jpg"}, json=patch, headers=KEY).json()
    assert (item["category"], item["attributes"]["price"]) == ("caps", 9)
    found = api.get("/api/items", params={"where": "price=9", "category": "caps"}, headers=KEY).json()
    assert [one["id"] for one in found["items"]] == ["hats/1.jpg"]
    (folder / "media" / "hats" / "1.jpg").touch()
    index_sources([folder / "media"], folder / "c.simkin", IndexOptions(workers=1))
    assert api.get("/api/item", params={"id": "hats/1.jpg"}, headers=KEY).json()["category"] == "caps"
    api.patch("/api/item", params={"id": "hats/1.jpg"}, json={"attributes": {"price": None}}, headers=KEY)
    assert "price" not in api.get("/api/item", params={"id": "hats/1.jpg"}, headers=KEY).json()["attributes"]


def test_removed_items_stay_away_until_called_back(api, folder, picture, tmp_path):
    """The owner's file is not touched, and is passed over; one that was added here is deleted."""
    assert api.delete("/api/item", params={"id": "hats/1.jpg"}, headers=KEY).status_code == 204
    assert api.get("/api/item", params={"id": "hats/1.jpg"}, headers=KEY).status_code == 404
    hits = api.get("/api/recommend", params={"id": "hats/3.jpg", "k": 50}, headers=KEY).json()["hits"]
    assert {hit["id"] for hit in hits} == {"shoes/0.jpg", "shoes/2.jpg", "shoes/4.jpg", "hats/5.jpg"}
    assert (folder / "media" / "hats" / "1.jpg").exists()
    report = index_sources([folder / "media"], folder / "c.simkin", IndexOptions(workers=1))
    assert (report.items, report.failed) == (5, 0)
    report = index_sources([folder / "media"], folder / "c.simkin", IndexOptions(workers=1, retry_failed=True))
    assert report.items == 6
    content = picture(tmp_path / "new.png", 77).read_bytes()
    added = api.post("/api/items", files={"file": ("new.png", content)}, headers=KEY).json()
    assert api.delete("/api/item", params={"id": added["id"]}, headers=KEY).status_code == 204
    assert not [path for path in (folder / "c.simkin" / "uploads").rglob("*") if path.is_file()]
    assert index_sources([], folder / "c.simkin", IndexOptions(workers=1)).items == 6


def test_feedback_becomes_edges(api, folder):
    """The last word about a pair stands; nought takes it back."""
    say = {"source": "hats/1.jpg", "target": "shoes/2.jpg", "relation": "goes-with"}

    def edges() -> dict[str, int]:
        with Catalog.open(folder / "c.simkin") as catalog:
            return count_edges(catalog.connection)

    for extra in ({}, {"weight": 3}, {"user": "ann"}, {"user": "ann", "weight": 2}):
        assert api.post("/api/feedback", json={**say, **extra}, headers=KEY).status_code == 204
    assert edges() == {"goes-with": 2}
    api.post("/api/feedback", json={**say, "weight": 0}, headers=KEY)
    assert edges() == {"goes-with": 1}
    for bad in ({"weight": -1}, {"target": "hats/1.jpg"}, {"relation": "No Good"}, {"user": ""}):
        assert api.post("/api/feedback", json={**say, **bad}, headers=KEY).status_code == 400
    assert api.post("/api/feedback", json={**say, "source": "nobody"}, headers=KEY).status_code == 404


def test_a_writer_elsewhere_is_waited_for(api, folder):
    """The client is told to ask again."""
    with Catalog.open(folder / "c.simkin") as catalog, catalog.writing():
        response = api.delete("/api/item", params={"id": "hats/1.jpg"}, headers=KEY)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["error"]["type"] == "LockedError"
    assert api.delete("/api/item", params={"id": "hats/1.jpg"}, headers=KEY).status_code == 204


def test_vectors_of_items_and_of_files_agree(api, folder):
    """An item by id, its file as a data URL and as base64; as numbers and as bytes."""
    content = base64.b64encode((folder / "media" / "hats" / "1.jpg").read_bytes()).decode()
    inputs = ["hats/1.jpg", f"data:image/jpeg;base64,{content}", content]
    asked = {"model": "builtin-image", "input": inputs}
    found = api.post("/v1/embeddings", json=asked, headers=KEY).json()
    vectors = np.array([one["embedding"] for one in found["data"]])
    assert vectors.shape == (3, 1292)
    assert np.abs(vectors - vectors[0]).max() < 1e-5
    assert [one["index"] for one in found["data"]] == [0, 1, 2]
    assert found["usage"]["total_tokens"] == 3
    packed = api.post("/v1/embeddings", json={**asked, "encoding_format": "base64"}, headers=KEY).json()
    assert np.allclose(np.frombuffer(base64.b64decode(packed["data"][0]["embedding"]), "<f4"), vectors[0])


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"model": "text-embedding-3-small", "input": "hats/1.jpg"}, 404),
        ({"model": "builtin-image", "input": "nobody"}, 404),
        ({"model": "builtin-image", "input": "/etc/passwd"}, 404),
        ({"model": "builtin-image", "input": "file:///etc/passwd"}, 404),
        ({"model": "builtin-image", "input": "data:image/png;base64,AAAA"}, 400),
        ({"model": "builtin-image", "input": "data:image/png;base64," + "A" * 400}, 415),
        ({"model": "builtin-image", "input": "data:audio/wav;base64," + "A" * 400}, 400),
        ({"model": "builtin-image", "input": []}, 400),
        ({"input": "hats/1.jpg"}, 422),
    ],
)
def test_vectors_that_cannot_be_given(api, asked, status):
    """Told as OpenAI's API would."""
    response = api.post("/v1/embeddings", json=asked, headers=KEY)
    assert response.status_code == status, response.text
    assert response.json()["error"]["message"]
