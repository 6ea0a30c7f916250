"""OpenSubsonic: envelopes in JSON and XML, codes of errors, keys as players bring them, songs that sound alike."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fastapi.testclient import TestClient
from PIL import Image

import index.ingesting.ingest
from index.catalog import Catalog
from index.ingesting.ingest import IndexOptions
from index.recommender import Recommender
from simkin.server.app import create_app
from simkin.server.settings import Settings
from simkin.server.subsonic_envelope import SubsonicError, envelope
from simkin.server.subsonic_keys import check_credentials

KEY = "schlüssel"
NS = "{http://subsonic.org/restapi}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, song: Callable[..., Path], picture: Callable[..., Path]) -> Path:
    """Twelve songs with tags from a table, one of them with a hostile title, and a picture."""
    folder = tmp_path_factory.mktemp("music")
    lines = ["id,path,title,artist,album,genre,track,year,duration"]
    for number in range(12):
        song(folder / f"{number:02d}.wav", number, seconds=2.0)
        title = '"<b>&\x01 ""é"' if number == 3 else f"Song {number}"
        lines.append(f"album/s {number},{number:02d}.wav,{title},Artist {number % 5},Album,rock,{number},1999,2")
    (folder / "songs.csv").write_text("\n".join(lines))
    picture(folder / "pictures" / "one.jpg", 1)
    with Catalog.create(folder / "c.simkin") as catalog:
        sources = [folder / "songs.csv", folder / "pictures"]
        index.ingesting.ingest.ingest(catalog, sources, IndexOptions(workers=1), lambda _: None)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(folder / "c.simkin"))) as client:
        yield client


@pytest.fixture(scope="module")
def ask(client: TestClient) -> Callable[..., dict[str, Any]]:
    """Ask an endpoint for JSON; the envelope."""

    def ask(name: str, **given: Any) -> dict[str, Any]:
        response = client.get(f"/rest/{name}", params={"f": "json", "v": "1.16.1", "c": "test", "u": "me", **given})
        assert response.status_code == 200
        content: dict[str, Any] = response.json()["subsonic-response"]
        return content

    return ask


def test_the_envelope_says_who_answers(ask: Callable[..., dict[str, Any]], client: TestClient) -> None:
    """The same in JSON and XML, at both addresses, by GET and by POST."""
    found = ask("ping")
    assert found == {
        "status": "ok",
        "version": "1.16.1",
        "type": "simkin",
        "serverVersion": found["serverVersion"],
        "openSubsonic": True,
    }
    for response in (client.get("/rest/ping.view"), client.post("/rest/ping", data={"u": "me", "f": "xml"})):
        assert response.headers["content-type"] == "application/xml"
        root = ElementTree.fromstring(response.content)
        assert root.tag == f"{NS}subsonic-response"
        assert (root.get("status"), root.get("openSubsonic")) == ("ok", "true")
    assert client.post("/rest/ping.view", data={"f": "json"}).json()["subsonic-response"]["status"] == "ok"


def test_extensions_are_advertised(ask: Callable[..., dict[str, Any]], client: TestClient) -> None:
    """Sonic similarity in version 1."""
    found = ask("getOpenSubsonicExtensions")["openSubsonicExtensions"]
    assert {"name": "sonicSimilarity", "versions": [1]} in found
    root = ElementTree.fromstring(client.get("/rest/getOpenSubsonicExtensions.view").content)
    names = {one.get("name"): one.findtext(f"{NS}versions") for one in root.iter(f"{NS}openSubsonicExtensions")}
    assert names["sonicSimilarity"] == "1"


def test_similar_tracks_are_those_that_the_library_finds(ask: Callable[..., dict[str, Any]], folder: Path) -> None:
    """In its order, as songs with a similarity from 0 to 1; never the song itself."""
    found = ask("getSonicSimilarTracks", id="album/s 1", count=5)["sonicMatch"]
    answer = Recommender(Catalog.open(folder / "c.simkin")).query("album/s 1", relation="similar-track", k=5)
    assert [one["entry"]["id"] for one in found] == [hit.item_id for hit in answer.hits]
    scores = [one["similarity"] for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert scores[0] == pytest.approx((1 + answer.hits[0].score) / 2, abs=1e-3)
    assert len(ask("getSonicSimilarTracks", id="album/s 1")["sonicMatch"]) == 10
    assert len(ask("getSonicSimilarTracks", id="album/s 1", count="9" * 30)["sonicMatch"]) == 11
    old = ask("getSimilarSongs2", id="album/s 1", count=5)["similarSongs2"]["song"]
    assert old == [one["entry"] for one in found]


def test_a_path_begins_and_ends_with_its_songs(ask: Callable[..., dict[str, Any]]) -> None:
    """At most as many as asked; similarity is that with the first, which is 1 for itself."""
    ends = {"startSongId": "album/s 1", "endSongId": "album/s 9"}
    found = ask("findSonicPath", **ends, count=6)["sonicMatch"]
    ids = [one["entry"]["id"] for one in found]
    assert (ids[0], ids[-1], len(ids), len(set(ids))) == ("album/s 1", "album/s 9", 6, 6)
    assert found[0]["similarity"] == pytest.approx(1, abs=1e-3)
    assert [one["entry"]["id"] for one in ask("findSonicPath", **ends, count=2)["sonicMatch"]] == list(ends.values())
    assert 2 <= len(ask("findSonicPath", **ends)["sonicMatch"]) <= 12


@pytest.mark.parametrize("end", [0, 3, 6, 9, 11])
def test_a_path_keeps_artists_apart(ask: Callable[..., dict[str, Any]], end: int) -> None:
    """Three others come between two songs of one, ends of the same artist and the clients' large counts included."""
    found = ask("findSonicPath", startSongId="album/s 1", endSongId=f"album/s {end}", count=9999)["sonicMatch"]
    artists = [one["entry"]["artist"] for one in found]
    assert (found[0]["entry"]["id"], found[-1]["entry"]["id"]) == ("album/s 1", f"album/s {end}")
    assert len(artists) > 4
    assert all(len(set(artists[at : at + 4])) == len(artists[at : at + 4]) for at in range(len(artists)))


def test_a_path_comes_by_a_recording_once(song: Callable[..., Path], tmp_path: Path) -> None:
    """Of versions that sound and last alike one at most is on the way, and none that repeats an end."""
    lines = ["id,path,title,artist,duration"]
    for number in range(10):
        song(tmp_path / f"{number}.wav", number, seconds=2.0)
        lines += [f"{number}{letter},{number}.wav,Song {number},Artist {number}{letter},2" for letter in "ab"]
    (tmp_path / "songs.csv").write_text("\n".join(lines))
    with Catalog.create(tmp_path / "c.simkin") as catalog:
        index.ingesting.ingest.ingest(catalog, [tmp_path / "songs.csv"], IndexOptions(workers=1), lambda _: None)
    with TestClient(create_app(Settings(tmp_path / "c.simkin"))) as client:
        asked = {"f": "json", "u": "me", "startSongId": "0a", "endSongId": "9b", "count": 20}
        found = client.get("/rest/findSonicPath", params=asked).json()["subsonic-response"]["sonicMatch"]
    ids = [one["entry"]["id"] for one in found]
    assert (ids[0], ids[-1]) == ("0a", "9b")
    recordings = [item_id[0] for item_id in ids]
    assert len(recordings) > 4
    assert len(set(recordings)) == len(recordings)


def test_a_song_is_told_with_its_tags_and_not_with_its_place(
    ask: Callable[..., dict[str, Any]], client: TestClient, folder: Path
) -> None:
    """What a player shows."""
    song = ask("getSong", id="album/s 7")["song"]
    assert song == {
        "id": "album/s 7",
        "isDir": False,
        "isVideo": False,
        "type": "music",
        "mediaType": "song",
        "title": "Song 7",
        "coverArt": "album/s 7",
        "artist": "Artist 2",
        "album": "Album",
        "genre": "rock",
        "track": 7,
        "year": 1999,
        "duration": 2,
        "suffix": "wav",
        "contentType": "audio/wav",
    }
    response = client.get("/rest/getSong", params={"id": "album/s 3"})
    root = ElementTree.fromstring(response.content)
    title = root[0].get("title")
    assert title is not None
    assert title.startswith("<b>&")
    assert "\x01" not in response.text
    assert str(folder) not in response.text


def test_songs_are_searched_and_listed(ask: Callable[..., dict[str, Any]]) -> None:
    """No words mean all songs, page by page; pictures are no songs."""
    assert [one["id"] for one in ask("search3", query="Song 11")["searchResult3"]["song"]] == ["album/s 11"]
    pages = [ask("search3", query='""', songCount=7, songOffset=offset)["searchResult3"]["song"] for offset in (0, 7)]
    assert sorted(one["id"] for page in pages for one in page) == sorted(f"album/s {number}" for number in range(12))
    assert ask("search3", query="Song", songCount=0)["searchResult3"]["song"] == []


def test_sounds_are_streamed_and_covers_drawn(client: TestClient, folder: Path) -> None:
    """With ranges; a cover is a picture of about the size asked for."""
    whole = client.get("/rest/stream", params={"id": "album/s 1"})
    assert whole.content == (folder / "01.wav").read_bytes()
    assert whole.headers["content-type"] == "audio/wav"
    part = client.get("/rest/stream.view", params={"id": "album/s 1"}, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    cover = client.get("/rest/getCoverArt", params={"id": "album/s 1", "size": 100})
    assert Image.open(io.BytesIO(cover.content)).size == (160, 160)


@pytest.mark.parametrize(
    ("name", "given", "code"),
    [
        ("getSong", {}, 10),
        ("getSong", {"id": ""}, 10),
        ("getSong", {"id": "album/s 99"}, 70),
        ("getSong", {"id": "../../etc/passwd"}, 70),
        ("getSong", {"id": "one.jpg"}, 70),
        ("stream", {"id": "one.jpg"}, 70),
        ("getCoverArt", {"id": "nothing"}, 70),
        ("getSonicSimilarTracks", {"count": 3}, 10),
        ("getSonicSimilarTracks", {"id": "album/s 1", "count": 0}, 0),
        ("getSonicSimilarTracks", {"id": "album/s 1", "count": -1}, 0),
        ("getSonicSimilarTracks", {"id": "album/s 1", "count": "many"}, 0),
        ("getSonicSimilarTracks", {"id": "one.jpg"}, 70),
        ("findSonicPath", {"startSongId": "album/s 1"}, 10),
        ("findSonicPath", {"startSongId": "album/s 1", "endSongId": "album/s 1"}, 0),
        ("findSonicPath", {"startSongId": "album/s 1", "endSongId": "none"}, 70),
        ("findSonicPath", {"startSongId": "album/s 1", "endSongId": "album/s 2", "count": 1}, 0),
        ("ping", {"v": "2.0.0"}, 30),
        ("ping", {"v": "0.9"}, 20),
    ],
)
def test_errors_have_the_protocols_codes(
    ask: Callable[..., dict[str, Any]], name: str, given: dict[str, Any], code: int
) -> None:
    """In an envelope, with a message, at status 200."""
    found = ask(name, **given)
    assert (found["status"], found["error"]["code"]) == ("failed", code)
    assert found["error"]["message"]


def test_other_forms_of_answers_are_refused(client: TestClient) -> None:
    """Scripts in particular; the refusal is XML."""
    response = client.get("/rest/ping", params={"f": "jsonp", "callback": "alert"})
    root = ElementTree.fromstring(response.content)
    assert root[0].get("code") == "0"
    assert "alert" not in response.text


def test_a_key_is_asked_for_in_the_protocols_ways(folder: Path) -> None:
    """As an API key, or as the password of any user; extensions are told to everybody."""
    with TestClient(create_app(Settings(folder / "c.simkin", api_key=KEY))) as client:

        def code(**given: str) -> int | None:
            found = client.get("/rest/ping", params={"f": "json", **given}).json()["subsonic-response"]
            assert (found["status"] == "ok") == ("error" not in found)
            return found.get("error", {}).get("code")

        salted = hashlib.md5((KEY + "salt").encode()).hexdigest()
        assert code(apiKey=KEY) is None
        assert code(u="me", p=KEY) is None
        assert code(u="me", p="enc:" + KEY.encode().hex()) is None
        assert code(u="me", t=salted, s="salt") is None
        assert code() == 10
        assert code(u="me") == 10
        assert code(u="me", t=salted) == 10
        assert code(apiKey="other") == 44
        assert code(apiKey=KEY, u="me") == 43
        assert code(u="me", p="other") == 40
        assert code(u="me", p="enc:zz") == 40
        assert code(u="me", t=salted, s="other") == 40
        assert client.get("/rest/getOpenSubsonicExtensions").status_code == 200
        assert b"failed" not in client.get("/rest/getOpenSubsonicExtensions").content
        assert b'code="10"' in client.get("/rest/stream", params={"id": "album/s 1"}).content


def test_without_a_key_whatever_is_brought_is_as_good() -> None:
    """Players insist on a name and a password."""
    check_credentials("", {"u": "me", "p": "anything"})
    with pytest.raises(SubsonicError):
        check_credentials("key", {"u": "me", "p": "k\ud800"})


def test_a_catalog_that_is_gone_fails_in_the_envelope(tmp_path: Path) -> None:
    """No song can be asked about; the place on disk is not told."""
    with TestClient(create_app(Settings(tmp_path / "none.simkin"))) as client:
        found = client.get("/rest/getSong", params={"id": "a", "f": "json"}).json()["subsonic-response"]
        assert found["error"]["code"] == 0
        assert str(tmp_path) not in found["error"]["message"]


def test_xml_holds_what_json_holds() -> None:
    """Scalars as attributes, lists as elements, nothing that XML forbids."""
    content = {"a": {"n": 1.5, "b": True, "none": None, "list": [{"x": "\x00<"}, {"x": "]]>"}], "words": ["v", "w"]}}
    root = ElementTree.fromstring(bytes(envelope(content, "xml").body))[0]
    assert root.attrib == {"n": "1.5", "b": "true"}
    assert [one.get("x") for one in root.iter(f"{NS}list")] == ["\ufffd<", "]]>"]
    assert [one.text for one in root.iter(f"{NS}words")] == ["v", "w"]
