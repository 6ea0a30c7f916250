"""The quick way in answers as the application does."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from index.answers import Query
from index.ingesting.ingest import IndexOptions
from simkin.library import index as index_sources
from simkin.server.quick import query_in
from simkin.server.settings import Settings

ODD = 'hats/it\'s <b>"größe" & 100%+1.jpg'


@pytest.fixture(scope="module")
def settings(tmp_path_factory, picture):
    """Pictures in two categories, one with an odd name."""
    folder = tmp_path_factory.mktemp("quick")
    for number in range(8):
        picture(folder / "media" / ("hats" if number % 2 else "shoes") / f"{number}.jpg", number)
    picture(folder / "media" / ODD, 90)
    index_sources([folder / "media"], folder / "c.simkin", IndexOptions(workers=1))
    return Settings(folder / "c.simkin")


@pytest.mark.parametrize(
    "asked",
    [
        "id=hats/1.jpg", "id=hats%2F1.jpg&k=3", "k=100&relation=style&id=shoes/2.jpg", f"id={quote(ODD)}&k=4",
        "id=nobody", "id=", "id=%00", "id=%ff", "id=hats/1.jpg&relation=nothing", "id=hats/1.jpg&relation=",
    ],
)  # fmt: skip
def test_answers_and_errors_are_those_of_the_application(settings, serve, asked):
    """Where it answers, it says to the byte what is said to the same request with an empty filter."""
    ways = [serve(settings).get(f"/api/recommend?{asked}{more}") for more in ("", "&where=")]
    told = [(way.status_code, way.content, {**way.headers, "date": ""}) for way in ways]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("asked", "query"),
    [
        ("id=a%2Fb+c&k=7", Query(items=(("a/b c", 1.0),), k=7)),
        ("id=a&relation=style", Query(items=(("a", 1.0),), relation="style")),
        ("k=3", None), ("id=a&id=b", None), ("id=a&k=101", None), ("id=a&k=0", None), ("id=a&k=-1", None),
        ("id=a&k=1e1", None), ("id=a&k=%C2%B2", None), ("id=a&k=", None), ("id=a&where=price<5", None),
        ("id=a&diversity=0", None), ("id=a&nonsense=1", None), ("", None), ("id=a&k=" + 5000 * "1", None),
    ],
)  # fmt: skip
def test_only_plain_questions_are_taken(asked, query):
    """Any other is left to the application, which checks it."""
    scope = {"type": "http", "path": "/api/recommend", "method": "GET", "query_string": asked.encode()}
    assert query_in(scope) == query
    assert query_in({**scope, "method": "POST"}) is None
    assert query_in({**scope, "path": "/api/items"}) is None


def test_quick_answers_are_counted(settings, serve):
    """Under the path of the endpoint, as all others."""
    api = serve(settings)
    for _ in range(3):
        assert api.get("/api/recommend?id=hats/1.jpg").status_code == 200
    line = 'simkin_requests_total{method="GET",route="/api/recommend",status="200"} 3.0'
    assert line in api.get("/metrics").text


def test_quick_answers_need_the_key(settings, serve):
    """The guard stands before it."""
    api = serve(Settings(settings.catalog, api_key="secret"))
    assert api.get("/api/recommend?id=hats/1.jpg").status_code == 401
    assert api.get("/api/recommend?id=hats/1.jpg", headers={"X-API-Key": "secret"}).status_code == 200
