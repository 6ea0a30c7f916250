"""The HTTP API: what is in the catalog, questions, media, uploads, and what strangers may try."""

from __future__ import annotations

import io
import json

import httpx2
import numpy as np
import pytest
from PIL import Image

from index.ingesting.ingest import IndexOptions
from simkin.library import index as index_sources
from simkin.library import open as open_catalog
from simkin.server.settings import Settings

ODD = 'shoes/it\'s <b>"größe" & 100%.jpg'


@pytest.fixture(scope="module")
def folder(tmp_path_factory, picture, song):
    """Pictures in two categories, one with an odd name, and songs, indexed; one picture is gone since."""
    folder = tmp_path_factory.mktemp("served")
    media = folder / "media"
    for number in range(12):
        picture(media / ("hats" if number % 2 else "shoes") / f"{number}.jpg", number)
    picture(media / ODD, 90)
    picture(media / "hats" / "gone.jpg", 91)
    for number in range(4):
        song(media / "songs" / f"{number}.wav", number, seconds=3.0)
    index_sources([media], folder / "c.simkin", IndexOptions(workers=1))
    (media / "hats" / "gone.jpg").unlink()
    return folder


@pytest.fixture(scope="module")
def api(folder, serve_for_long):
    """A client of a server on that catalog."""
    return serve_for_long(Settings(folder / "c.simkin"))


def error_of(response: httpx2.Response, status: int) -> str:
    """The message of an error of the one shape, after its status was checked."""
    assert response.status_code == status, response.text
    content = response.json()
    assert set(content) == {"error"}
    assert set(content["error"]) == {"type", "message"}
    return content["error"]["message"]


def test_info_tells_what_can_be_chosen_from(api):
    """Counts, categories, attributes and facets."""
    info = api.get("/api/info").json()
    assert (info["name"], info["items"], info["modalities"]) == ("c", 18, {"image": 14, "audio": 4})
    assert info["categories"] == [
        {"name": "hats", "count": 7}, {"name": "shoes", "count": 7}, {"name": "songs", "count": 4}
    ]  # fmt: skip
    assert info["facets"]["image"] == ["shape", "color", "texture"]
    assert {"category", "duration"} <= set(info["attributes"])
    assert info["write"] is False


def test_items_come_page_by_page(api):
    """All pages together are all items, in order; totals count the filter's matches."""
    first = api.get("/api/items", params={"limit": 10}).json()
    second = api.get("/api/items", params={"limit": 10, "offset": 10}).json()
    ids = [item["id"] for item in (*first["items"], *second["items"])]
    assert first["total"] == second["total"] == len(ids) == 18
    assert ids == sorted(ids)
    songs = api.get("/api/items", params={"modality": "audio", "sort": "-id"}).json()
    assert [item["title"] for item in songs["items"]] == ["3.wav", "2.wav", "1.wav", "0.wav"]
    assert api.get("/api/items", params={"where": "category=hats", "text": "7"}).json()["total"] == 1


def test_values_are_counted_among_what_is_shown(api):
    """Of one kind, of a search, of a filter; the most numerous first."""

    def counted(**asked: str) -> list[tuple[str, int]]:
        answer = api.get("/api/counts", params=asked).json()
        return [(value["name"], value["count"]) for value in answer["values"]]

    assert counted() == [("hats", 7), ("shoes", 7), ("songs", 4)]
    assert counted(modality="audio") == [("songs", 4)]
    assert counted(text="1") == [("hats", 2), ("shoes", 2), ("songs", 1)]
    assert counted(where="category=hats", limit="1") == [("hats", 7)]
    assert counted(attribute="duration", modality="image") == []
    assert sum(count for _, count in counted(attribute="duration")) == 4
    assert "unknown attribute 'size'" in error_of(api.get("/api/counts", params={"attribute": "size"}), 404)


def test_odd_ids_are_found_and_stay_text(api):
    """Slashes, quotes, markup and letters of all kinds."""
    item = api.get("/api/item", params={"id": ODD}).json()
    assert item["id"] == ODD
    assert item["title"] == ODD.removeprefix("shoes/")
    assert api.get("/api/recommend", params={"id": ODD}).json()["hits"]
    assert api.get("/api/thumbnail", params={"id": ODD}).headers["content-type"] == "image/jpeg"
    assert api.get("/api/items", params={"text": "GRÖSSE"}).json()["items"][0]["id"] == ODD


def test_nothing_tells_where_files_lie(api, folder):
    """Absolute paths stay on the server."""
    for path in ("/api/info", "/api/items", "/api/relations", "/api/encoders", "/api/recommend?id=hats/1.jpg"):
        assert str(folder) not in api.get(path).text


def test_recommend_answers_as_the_library_does(api, folder):
    """By GET and by POST, with the items themselves in the hits."""
    truth = open_catalog(folder / "c.simkin").query("hats/1.jpg", k=5)
    got = api.get("/api/recommend", params={"id": "hats/1.jpg", "k": 5}).json()
    posted = api.post("/api/recommend", json={"items": [{"id": "hats/1.jpg"}], "k": 5}).json()
    assert got == posted
    assert [hit["id"] for hit in got["hits"]] == [hit.item_id for hit in truth.hits]
    assert got["hits"][0]["score"] == pytest.approx(truth.hits[0].score, abs=1e-6)
    assert got["hits"][0]["item"] == api.get("/api/item", params={"id": got["hits"][0]["id"]}).json()
    assert (got["recall"], got["method"]) == (truth.recall, truth.method)


def test_negatives_and_weights_reach_the_library(api, folder):
    """Several items for, one against."""
    question = {"items": [{"id": "hats/1.jpg", "weight": 2}, {"id": "hats/3.jpg"}], "negatives": [{"id": "hats/5.jpg"}]}
    truth = open_catalog(folder / "c.simkin").query(
        "hats/1.jpg", "hats/3.jpg", weights=(2, 1), negatives=["hats/5.jpg"], k=4
    )
    answer = api.post("/api/recommend", json={**question, "k": 4}).json()
    assert [hit["id"] for hit in answer["hits"]] == [hit.item_id for hit in truth.hits]


def test_a_bad_question_in_a_batch_fails_alone(api):
    """Each question is answered by itself."""
    good = {"items": [{"id": "hats/1.jpg"}], "k": 1}
    bad = [{"items": [{"id": "nobody"}]}, {"items": []}, {"k": "many"}, {**good, "where": "price<<"}]
    answers = api.post("/api/recommend/batch", json={"queries": [good, *bad, good]}).json()["answers"]
    assert answers[0] == answers[-1]
    assert answers[0]["hits"]
    kinds = [answer["error"]["type"] for answer in answers[1:-1]]
    assert kinds == ["UnknownNameError", "InputError", "ValidationError", "InputError"]


@pytest.mark.parametrize(
    ("params", "status", "told"),
    [
        ({"id": "nobody"}, 404, "unknown item"),
        ({"id": "hats/1.jpg", "relation": "nothing"}, 404, "unknown relation"),
        ({"id": "hats/1.jpg", "k": 0}, 400, "k must lie"),
        ({"id": "hats/1.jpg", "k": -1}, 400, "k must lie"),
        ({"id": "hats/1.jpg", "k": 10**9}, 400, "k must lie"),
        ({"id": "hats/1.jpg", "k": "ten"}, 422, "k:"),
        ({"id": "hats/1.jpg", "where": "'; DROP TABLE items; --"}, 400, "filter"),
        ({"id": "hats/1.jpg", "where": "nothing=1"}, 404, "unknown attribute"),
        ({"id": "hats/1.jpg", "diversity": "nan"}, 400, "diversity"),
        ({"id": "\x00'\"%"}, 404, "unknown item"),
        ({}, 422, "id:"),
    ],
)
def test_bad_questions_are_told_plainly(api, params, status, told):
    """A 4xx of the one shape, never a 500."""
    assert told in error_of(api.get("/api/recommend", params=params), status)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'{"items": [{"id": 5}]}', b'{"items": [{"id": "a", "weight": NaN}]}',
        b'{"items": [{"id": "a", "weight": 1e300}]}', b'{"items": [{"id": "\\ud800"}]}', b'{"surprise": 1}',
    ],
)  # fmt: skip
def test_bodies_that_are_no_questions_are_refused(api, body):
    """What is not JSON, or other JSON."""
    error_of(api.post("/api/recommend", content=body, headers={"content-type": "application/json"}), 422)


def test_thumbnails_are_small_and_kept_by_browsers(api):
    """No larger than asked; the tag saves sending it again; with its version it is kept for good."""
    for item in ("hats/1.jpg", "songs/1.wav"):
        response = api.get("/api/thumbnail", params={"id": item, "size": 160})
        image = Image.open(io.BytesIO(response.content))
        assert max(image.size) <= 160
        assert len(image.getcolors(1 << 20)) > 1
        again = api.get(
            "/api/thumbnail", params={"id": item, "size": 160}, headers={"If-None-Match": response.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
    version = api.get("/api/item", params={"id": "hats/1.jpg"}).json()["media"][0]["version"]
    kept = api.get("/api/thumbnail", params={"id": "hats/1.jpg", "v": version})
    assert "immutable" in kept.headers["cache-control"]
    error_of(api.get("/api/thumbnail", params={"id": "hats/1.jpg", "size": 5000}), 422)


def test_media_are_seekable(api, folder):
    """The whole file, a part, and beyond its end."""
    whole = (folder / "media" / "songs" / "1.wav").read_bytes()
    response = api.get("/api/media", params={"id": "songs/1.wav"})
    assert response.content == whole
    assert response.headers["content-type"] == "audio/wav"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]
    part = api.get("/api/media", params={"id": "songs/1.wav"}, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole[100:200])
    beyond = api.get("/api/media", params={"id": "songs/1.wav"}, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{len(whole)}"
    head = api.head("/api/media", params={"id": "songs/1.wav"})
    assert (head.content, head.headers["content-length"]) == (b"", str(len(whole)))


@pytest.mark.parametrize("path", ["/api/media", "/api/thumbnail"])
def test_only_an_items_own_files_are_sent(api, path):
    """No path from the client, no position beyond, no file that is gone."""
    for name in ("../c.simkin/catalog.db", "/etc/passwd", "c.simkin/catalog.db", "hats/../hats/1.jpg"):
        assert "unknown item" in error_of(api.get(path, params={"id": name}), 404)
    error_of(api.get(path, params={"id": "hats/1.jpg", "position": 1}), 404)
    error_of(api.get(path, params={"id": "hats/1.jpg", "position": -1}), 422)
    assert "no such file" in error_of(api.get(path, params={"id": "hats/gone.jpg"}), 404)
    for name in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"):
        assert api.get(name).status_code == 404


def test_every_answer_forbids_running_what_it_shows(api):
    """Pages, errors and media alike."""
    for path in ("/", "/docs", "/api/info", "/api/item?id=nobody", "/nothing", "/api/thumbnail?id=hats/1.jpg"):
        headers = api.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith(("default-src 'self'", "default-src 'none'"))
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def upload(api, content: bytes, name: str = "a.jpg", **fields: object) -> httpx2.Response:
    """Ask about a file."""
    return api.post("/api/recommend/upload", files={"file": (name, content)}, data=fields)


def test_an_upload_is_asked_about_and_forgotten(api, folder, tmp_path, monkeypatch):
    """A copy of an item finds that item; a song finds songs; nothing stays on disk."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    content = (folder / "media" / "hats" / "1.jpg").read_bytes()
    answer = upload(api, content, query=json.dumps({"duplicates": True, "k": 3})).json()
    assert answer["hits"][0]["id"] == "hats/1.jpg"
    assert len(answer["hits"]) == 3
    sound = (folder / "media" / "songs" / "2.wav").read_bytes()
    answer = upload(api, sound, "x.wav", query=json.dumps({"duplicates": True})).json()
    assert answer["hits"][0]["id"] == "songs/2.wav"
    error_of(upload(api, b"no picture"), 415)
    assert list(tmp_path.iterdir()) == []


def test_a_crop_is_asked_about_instead_of_the_whole(api, folder):
    """The part of a larger picture that an item is finds the item."""
    item = Image.open(folder / "media" / "shoes" / "2.jpg")
    large = Image.new("RGB", (4 * item.width, 4 * item.height), (0, 90, 200))
    large.paste(item, (2 * item.width, item.height))
    content = io.BytesIO()
    large.save(content, "PNG")
    query = json.dumps({"duplicates": True, "k": 1})
    answer = upload(api, content.getvalue(), "a.png", query=query, crop="0.5,0.25,0.25,0.25").json()
    assert answer["hits"][0]["id"] == "shoes/2.jpg"
    for crop in ("0.5,0.5", "a,b,c,d", "0,0,0,0", "-1,0,1,1", "0.9,0.9,0.5,0.5", "nan,0,1,1", "0,0,0.001,0.001"):
        assert "crop" in error_of(upload(api, content.getvalue(), "a.png", crop=crop), 400)


def test_bad_uploads_are_told_plainly(api):
    """Empty, cut off, of no kind, and pictures that unpack to more than memory holds."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8))
    content = io.BytesIO()
    noise.save(content, "PNG")
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    assert "empty" in error_of(upload(api, b""), 415)
    assert "cut off" in error_of(upload(api, content.getvalue()[:3000], "a.png"), 415)
    assert "pixels" in error_of(upload(api, bomb.getvalue(), "a.png"), 415)
    assert "ending" in error_of(upload(api, b"text", "a.txt"), 415)
    assert "sound" in error_of(upload(api, b"#EXTM3U\nfile:///etc/passwd\n", "a.mp3"), 415)
    assert "query" in error_of(upload(api, content.getvalue(), "a.png", query='{"k": []}'), 422)
    error_of(api.post("/api/recommend/upload", data={"query": "{}"}), 422)


def test_too_large_bodies_are_not_read(serve, folder):
    """Whether their length is told or not."""
    api = serve(Settings(folder / "c.simkin", upload_bytes=100_000, body_bytes=1000))
    assert "100,000" in error_of(upload(api, bytes(200_000)), 413)

    def chunks():
        for _ in range(100):
            yield bytes(10_000)

    try:
        response = api.post("/api/recommend", content=chunks(), headers={"content-type": "application/json"})
    except httpx2.TransportError:
        return  # the server hung up while the rest was being sent
    assert "1,000" in error_of(response, 413)


def test_slow_bodies_are_given_up(serve, folder):
    """A client that trickles is told so, and others are answered meanwhile."""
    import socket

    api = serve(Settings(folder / "c.simkin", pause_seconds=0.3, body_seconds=1.0))
    with socket.create_connection((api.base_url.host, api.base_url.port)) as slow:
        slow.sendall(b"POST /api/recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 500\r\n\r\n{")  # fmt: skip
        assert api.get("/api/info").status_code == 200
        slow.settimeout(20)
        assert b" 408 " in slow.recv(1000).partition(b"\r\n")[0]


def test_a_key_opens_what_it_must(serve, folder):
    """In a header, as a bearer token, or as a browser's password; health needs none."""
    api = serve(Settings(folder / "c.simkin", api_key="schlüssel"))
    assert "key" in error_of(api.get("/api/info"), 401)
    assert api.get("/").headers["www-authenticate"].startswith("Basic")
    assert api.get("/health").status_code == 200
    key = "schlüssel".encode()
    assert api.get("/api/info", headers={b"X-API-Key": key}).status_code == 200
    assert api.get("/api/info", headers={b"Authorization": b"Bearer " + key}).status_code == 200
    assert api.get("/api/info", auth=("anyone", "schlüssel")).status_code == 200
    for headers in ({"X-API-Key": "other"}, {"Authorization": "Basic !"}, {"Authorization": "Bearer"}):
        error_of(api.get("/api/info", headers=headers), 401)


def test_metrics_count_requests_and_tell_the_catalog(api):
    """By route, never by what strangers typed."""
    api.get("/api/item", params={"id": "hats/1.jpg"})
    api.get("/no/such/place")
    text = api.get("/metrics").text
    assert 'simkin_requests_total{method="GET",route="/api/item",status="200"}' in text
    assert "simkin_generation 1.0" in text
    assert 'simkin_recall{method="exact",modality="image",relation="style"} 1.0' in text
    assert "/no/such/place" not in text


def test_the_description_lists_every_endpoint(api):
    """For programs and for people."""
    paths = api.get("/openapi.json").json()["paths"]
    assert {"/api/info", "/api/items", "/api/recommend", "/api/recommend/upload", "/health"} <= set(paths)
    page = api.get("/docs").text
    assert all(path in page for path in paths)
    assert "<script" not in page


def test_two_applications_live_side_by_side(serve, folder, make_catalog):
    """Nothing is shared between them."""
    made = make_catalog()
    made.fill(30)
    made.build()
    one, other = serve(Settings(folder / "c.simkin")), serve(Settings(made.folder))
    assert one.get("/api/info").json()["items"] == 18
    assert other.get("/api/info").json()["items"] == 30
    assert "cannot be read" in error_of(other.get("/api/thumbnail", params={"id": "item-0-00001"}), 404)


def test_two_items_are_explained(api, folder):
    """In numbers and words, and as a picture; names of files are no items."""
    found = api.get("/api/explain", params={"a": "hats/1.jpg", "b": "hats/3.jpg"}).json()
    assert (found["a"], found["b"], found["modality"]) == ("hats/1.jpg", "hats/3.jpg", "image")
    assert found["sentence"]
    pair = {"a": "hats/1.jpg", "b": "hats/3.jpg"}
    weighed = api.get("/api/explain", params={**pair, "weights": ["color=2", "shape=0"]}).json()
    asked = {"items": [{"id": "hats/1.jpg"}], "weights": {"color": 2, "shape": 0}, "duplicates": True}
    hits = {hit["id"]: hit for hit in api.post("/api/recommend", json=asked).json()["hits"]}
    assert weighed["score"] == pytest.approx(hits["hats/3.jpg"]["score"], abs=1e-4)
    assert weighed["score"] != found["score"]
    assert "shape" not in weighed["facets"]
    for wrong in (["color"], ["color=x"], ["color=1", "color=2"], ["color=-1"], ["color=0", "shape=0", "texture=0"]):
        error_of(api.get("/api/explain", params={**pair, "weights": wrong}), 400)
    assert api.get("/api/explain.png", params={**pair, "weights": "color=9"}).status_code == 200
    gone = api.get("/api/explain", params={"a": "hats/1.jpg", "b": "hats/gone.jpg"})
    assert gone.status_code == 200
    assert str(folder) not in gone.text
    for a, b in (("hats/1.jpg", "hats/3.jpg"), ("songs/1.wav", "songs/2.wav")):
        picture = api.get("/api/explain.png", params={"a": a, "b": b})
        assert Image.open(io.BytesIO(picture.content)).format == "PNG"
    path = str(folder / "media" / "hats" / "1.jpg")
    for name in (path, "/etc/passwd", "nobody"):
        told = error_of(api.get("/api/explain", params={"a": "hats/1.jpg", "b": name}), 404)
        assert "unknown item" in told
    error_of(api.get("/api/explain", params={"a": "hats/1.jpg", "b": "songs/1.wav"}), 400)


def test_playlists_name_items_or_addresses_that_play(api, folder):
    """As JSON with the items, as M3U8 with addresses of this server."""
    asked = {"seeds": ["songs/1.wav"], "length": 3}
    found = api.post("/api/playlist", json=asked).json()
    assert found["tracks"][0]["id"] == "songs/1.wav"
    assert set(found["items"]) == {track["id"] for track in found["tracks"]}
    listed = api.post("/api/playlist", params={"format": "m3u8"}, json=asked)
    assert listed.headers["content-type"].startswith("audio/x-mpegurl")
    lines = listed.text.splitlines()
    assert lines[0] == "#EXTM3U"
    assert api.get(lines[2]).content == (folder / "media" / "songs" / "1.wav").read_bytes()
    error_of(api.post("/api/playlist", json={"seeds": [str(folder / "media" / "songs" / "1.wav")]}), 404)
    error_of(api.post("/api/playlist", json={"seeds": []}), 400)
    error_of(api.post("/api/playlist", json={**asked, "trend": "sideways"}), 422)


def test_files_are_named_inside_the_folder_that_was_indexed(api, folder):
    """As a playlist names them beside that folder's files; what is unknown is left out, and no place is told."""
    asked = {"ids": ["songs/1.wav", "no such song", ODD, "songs/1.wav"]}
    answer = api.post("/api/files", json=asked)
    assert answer.json() == {"files": {"songs/1.wav": "songs/1.wav", ODD: ODD}}
    assert str(folder) not in answer.text
    error_of(api.post("/api/files", json={"ids": ["x"] * 1001}), 422)


def test_outfits_are_completed(api, folder):
    """With the items chosen; names of files are no items."""
    found = api.post("/api/complete", json={"items": ["hats/1.jpg"], "slots": ["shoes"], "alternatives": 2}).json()
    chosen = [one["id"] for alternative in found["alternatives"] for one in alternative["items"]]
    assert len(chosen) == 2
    assert all(found["items"][item]["category"] == "shoes" for item in chosen)
    error_of(api.post("/api/complete", json={"items": ["/etc/passwd"], "slots": ["shoes"]}), 404)
    error_of(api.post("/api/complete", json={"items": ["hats/1.jpg"], "slots": ["nothing"]}), 404)


def test_only_its_own_names_reach_a_server_that_names_them(serve, folder):
    """A page elsewhere that has its name point here is not answered."""
    api = serve(Settings(folder / "c.simkin", hosts=("127.0.0.1", "[::1]")))
    assert api.get("/api/info").status_code == 200
    assert api.get("/api/info", headers={"Host": "[::1]:8008"}).status_code == 200
    for name in ("evil.example", "evil.example:8008", "127.0.0.1.evil.example"):
        assert "allow-host" in error_of(api.get("/api/info", headers={"Host": name}), 403)


def test_facets_are_weighed_for_one_question(api, folder):
    """As the library does; a facet that is none is told."""
    truth = open_catalog(folder / "c.simkin").query("hats/1.jpg", k=4, facet_weights={"color": 2, "shape": 0})
    question = {"items": [{"id": "hats/1.jpg"}], "k": 4}
    answer = api.post("/api/recommend", json={**question, "weights": {"color": 2, "shape": 0}}).json()
    assert [hit["id"] for hit in answer["hits"]] == [hit.item_id for hit in truth.hits]
    error_of(api.post("/api/recommend", json={**question, "weights": {"smell": 1}}), 404)
    error_of(api.post("/api/recommend", json={**question, "rerank": "backwards"}), 404)


def test_near_duplicates_are_grouped_page_by_page(serve, tmp_path, picture):
    """The same picture saved again, with the items themselves."""
    for number in range(4):
        picture(tmp_path / "media" / f"{number}.png", number, (240, 200))
        with Image.open(tmp_path / "media" / f"{number}.png") as image:
            image.save(tmp_path / "media" / f"{number}-again.png", compress_level=1)
    index_sources([tmp_path / "media"], tmp_path / "c.simkin", IndexOptions(workers=1))
    api = serve(Settings(tmp_path / "c.simkin"))
    truth = {frozenset((f"{number}.png", f"{number}-again.png")) for number in range(4)}
    whole = api.get("/api/duplicates").json()
    assert (whole["total"], {frozenset(group["items"]) for group in whole["groups"]}) == (4, truth)
    part = api.get("/api/duplicates", params={"offset": 3, "limit": 1}).json()
    assert part["groups"] == whole["groups"][3:]
    assert set(part["items"]) == set(part["groups"][0]["items"])
    assert api.get("/api/duplicates", params={"modality": "audio"}).json()["total"] == 0
