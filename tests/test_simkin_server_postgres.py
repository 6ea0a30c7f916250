"""The HTTP API over a catalog in a real PostgreSQL: the same answers as over its folder, and files where they are."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("psycopg")

from index.address import PostgresAddress
from index.ingesting.ingest import IndexOptions
from index.postgres.push import push
from simkin.library import index as index_sources
from simkin.library import open as open_catalog
from simkin.server.settings import Settings

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any, picture: Any, song: Any) -> Any:
    """Pictures in two categories and songs, indexed; one picture is gone since."""
    folder = tmp_path_factory.mktemp("served")
    for number in range(10):
        picture(folder / "media" / ("hats" if number % 2 else "shoes") / f"{number}.jpg", number)
    picture(folder / "media" / "hats" / "gone.jpg", 91)
    for number in range(3):
        song(folder / "media" / "songs" / f"{number}.wav", number, seconds=3.0)
    index_sources([folder / "media"], folder / "c.simkin", IndexOptions(workers=1))
    (folder / "media" / "hats" / "gone.jpg").unlink()
    return folder


@pytest.fixture(scope="module")
def address(folder: Any, database: Any) -> str:
    """Where it was pushed to; the password is one that nobody asks for, and nobody may be told."""
    there: str = database.address("served", password="hidden")
    push(open_catalog(folder / "c.simkin").catalog, PostgresAddress.parse(there))  # type: ignore[arg-type]
    return there


@pytest.fixture(scope="module")
def apis(folder: Any, address: str, serve_for_long: Any) -> tuple[Any, Any]:
    """Clients of a server on the folder, and of one on the database."""
    return serve_for_long(Settings(folder / "c.simkin")), serve_for_long(Settings(address))


@pytest.mark.parametrize(
    "path",
    [
        "/api/items", "/api/items?sort=-title&text=shoes", "/api/items?where=category%3Dhats&limit=3&offset=2",
        "/api/item?id=hats/1.jpg", "/api/relations", "/api/encoders", "/api/recommend?id=songs/1.wav&k=2",
        "/api/recommend?id=hats/1.jpg&relation=style&k=5", "/api/recommend?id=shoes/2.jpg&where=category!%3Dhats",
        "/api/recommend?id=nobody", "/api/recommend?id=hats/1.jpg&where=((", "/api/item?id=%00",
        "/api/counts?text=1", "/api/counts?attribute=duration&modality=audio", "/api/counts?attribute=nothing",
    ],
)  # fmt: skip
def test_both_servers_say_the_same(apis: tuple[Any, Any], path: str) -> None:
    mine, theirs = (api.get(path) for api in apis)
    assert theirs.status_code == mine.status_code
    if mine.status_code == 200:
        assert sorted(flat(theirs.json())) == sorted(flat(mine.json()))
        assert closeness(theirs.json()) == pytest.approx(closeness(mine.json()), abs=0.011)
    else:
        assert theirs.json()["error"]["type"] == mine.json()["error"]["type"]


def closeness(content: Any) -> list[float]:
    """Of each hit. In so small a catalog a score may be that of a sampled pair, where its last bit decides a level."""
    return [hit["closer_than"] for hit in (content.get("hits", []) if isinstance(content, dict) else [])]


def flat(content: Any, at: str = "") -> list[str]:
    """Every other value with its place, numbers rounded; the order of keys is nobody's promise."""
    if isinstance(content, dict):
        kept = [(key, value) for key, value in content.items() if key not in ("generation", "closer_than")]
        return [line for key, value in kept for line in flat(value, f"{at}.{key}")]
    if isinstance(content, list):
        return [line for place, value in enumerate(content) for line in flat(value, f"{at}[{place}]")]
    return [f"{at}={content:.4f}" if isinstance(content, float) else f"{at}={content!r}"]


def test_files_are_served_where_they_are_and_missed_in_a_sentence_where_they_are_not(apis: tuple[Any, Any]) -> None:
    api = apis[1]
    named = api.post("/api/files", json={"ids": ["songs/1.wav", "nobody", "\u0000"]})
    assert named.json() == {"files": {"songs/1.wav": "songs/1.wav"}}
    assert api.get("/api/thumbnail?id=hats/1.jpg").headers["content-type"] == "image/jpeg"
    assert api.get("/api/media?id=songs/1.wav").headers["content-type"] == "audio/wav"
    for path in ("/api/thumbnail?id=hats/gone.jpg", "/api/media?id=hats/gone.jpg"):
        answer = api.get(path)
        assert answer.status_code == 404
        assert "the file of this item cannot be read: no such file" in answer.json()["error"]["message"]


def test_it_is_well_and_shows_its_gallery(apis: tuple[Any, Any]) -> None:
    api = apis[1]
    health = api.get("/health")
    assert health.json() == {"status": "ok", "generation": 1, "items": 14, "asked": ["image", "audio"]}
    assert api.get("/api/info").json()["name"] == "served"
    assert "simkin_catalog_up 1.0" in api.get("/metrics").text
    assert "<script" in api.get("/").text
    assert api.get("/api/map?relation=style&method=pca").status_code == 200
    files = {"file": ("new.jpg", api.get("/api/media?id=hats/1.jpg").content)}
    mine, theirs = (one.post("/api/recommend/upload", files=files).json() for one in apis)
    assert [hit["id"] for hit in mine["hits"]] == [hit["id"] for hit in theirs["hits"]]


def test_changes_are_refused_in_a_sentence(address: str, serve: Any, folder: Any) -> None:
    api = serve(Settings(address, api_key="k", write=True))
    answer = api.patch("/api/item?id=hats/1.jpg", json={"attributes": {"a": 1}}, headers={"X-API-Key": "k"})
    assert answer.status_code == 400
    assert "is only read; this needs the folder" in answer.json()["error"]["message"]


def test_while_postgresql_is_away_it_says_so_without_its_address_and_then_goes_on(
    apis: tuple[Any, Any], database: Any
) -> None:
    api = apis[1]
    database.stop("immediate")
    try:
        answer = api.get("/api/recommend?id=hats/3.jpg&k=3")
        assert answer.status_code == 503
        assert "check that PostgreSQL runs" in answer.text
        assert "postgresql://" not in answer.text
        assert "hidden" not in answer.text
        assert api.get("/health").status_code == 503
    finally:
        database.start()
    assert api.get("/api/recommend?id=hats/3.jpg&k=3").status_code == 200
    assert api.get("/health").status_code == 200
