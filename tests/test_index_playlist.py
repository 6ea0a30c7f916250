"""Playlists: closest first, small steps, no artist again too soon, no recording twice, and what cannot be is told."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.catalog import Catalog
from index.encoders import card_of, impression_of
from index.engine.build import build_if_needed
from index.errors import InputError, UnknownNameError
from index.learning.edges import Reading
from index.learning.playlists import read_playlists
from index.lists.m3u import can_name, place_inside
from index.lists.playlist import Playlist, make_playlist
from index.recommender import Recommender

CARD = card_of("builtin-audio")


class Songs:
    """A catalog of songs with vectors of the built-in sound encoder, and no files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalog = Catalog.create(folder)
        rng = np.random.default_rng(7)
        self.axes = [rng.normal(size=(8, facet.dim)) for facet in CARD.facets]
        with self.catalog.connection as sql:
            sql.execute("INSERT INTO sources VALUES (1, ?, 'folder', NULL)", (os.fsencode(folder.parent),))
            self.catalog.hold_encoder(CARD.name, CARD)

    def points(self, count: int, seed: int) -> np.ndarray:
        """Vectors near a few centres: float32, ``(count, dim)``."""
        rng = np.random.default_rng(seed)
        latent = np.random.default_rng(3).normal(size=(12, 8))[rng.integers(0, 12, count)]
        latent = latent + 0.5 * rng.normal(size=latent.shape)
        parts = [latent @ axes + 0.3 * rng.normal(size=(count, axes.shape[1])) for axes in self.axes]
        return np.hstack([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]).astype("<f4")

    def add(self, ids: Sequence[str], vectors: np.ndarray, attributes: Sequence[dict[str, Any]]) -> None:
        with self.catalog.connection as sql:
            sequence = self.catalog.next_sequence()
            for item_id, vector, known in zip(ids, vectors, attributes, strict=True):
                (key,) = sql.execute(
                    "INSERT INTO items (id, source, attributes, given, changed) VALUES (?,1,?,x'00',?) RETURNING item",
                    (item_id, json.dumps(known), sequence),
                ).fetchone()
                tags = json.dumps({"duration": known["duration"]}) if "duration" in known else None
                (media,) = sql.execute(
                    "INSERT INTO media (source, id, position, item, path, modality, size, mtime_ns, tags) "
                    "VALUES (1, ?, 0, ?, ?, 'audio', 0, 0, ?) RETURNING media",
                    (item_id, key, f"music/{item_id}.mp3".encode(), tags),
                ).fetchone()
                sql.execute("INSERT INTO vectors VALUES (?, 1, ?)", (media, vector.astype("<f4").tobytes()))

    def fill(self, count: int, artists: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        known = [
            {
                "title": f"Song {at}",
                "artist": f"Artist {rng.integers(artists)}",
                "duration": int(rng.integers(120, 300)),
                "genre": "jazz" if at % 3 else "rock",
            }
            for at in range(count)
        ]
        self.add([f"s{at:04d}" for at in range(count)], self.points(count, seed), known)
        self.build()

    def build(self) -> None:
        with self.catalog.writing():
            build_if_needed(self.catalog, force=True)

    def open(self) -> Recommender:
        return Recommender(Catalog.open(self.folder))


@pytest.fixture(scope="module")
def make_songs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Songs]:
    return lambda: Songs(tmp_path_factory.mktemp("songs") / "songs.simkin")


@pytest.fixture(scope="module")
def songs(make_songs: Callable[[], Songs]) -> Songs:
    """400 songs of 60 artists."""
    made = make_songs()
    made.fill(400, 60)
    return made


def ids_of(found: Playlist) -> list[str]:
    return [track.item.item_id for track in found.tracks]


def artists_keep(found: Playlist, gap: int) -> bool:
    names = [track.artist_key for track in found.tracks]
    return all(not name or name not in names[max(0, at - gap) : at] for at, name in enumerate(names))


def scores_of(recommender: Recommender, item_id: str) -> dict[str, float]:
    """The score of every other item with one, as the recommender has it."""
    answer = recommender.query(item_id, relation="similar-track", k=1000, duplicates=True)
    return {hit.item_id: hit.score for hit in answer.hits}


def test_without_a_gap_a_radius_is_the_answer_to_a_query(songs: Songs) -> None:
    """The seed, then the same items with the same scores, in the same order."""
    recommender = songs.open()
    found = make_playlist(recommender, ["s0007"], artist_gap=0, length=30)
    answer = recommender.query("s0007", relation="similar-track", k=29, duplicates=True)
    assert ids_of(found) == ["s0007", *(hit.item_id for hit in answer.hits)]
    assert found.scores[0] is None
    np.testing.assert_allclose(found.scores[1:], [hit.score for hit in answer.hits], atol=1e-5)
    assert found.notes == ()
    assert (found.mode, found.relation) == ("radius", "similar-track")


def test_a_radius_takes_the_closest_that_may_come(songs: Songs) -> None:
    """From the definition: at each place the closest that is left whose artist did not just play."""
    recommender = songs.open()
    found = make_playlist(recommender, ["s0003"], length=40)
    scores = scores_of(recommender, "s0003")
    artist = {item.item_id: item.attributes["artist"] for item in recommender.catalog.items(range(1, 401)).values()}
    wanted = ["s0003"]
    while len(wanted) < 40:
        recent = {artist[one] for one in wanted[-3:]}
        wanted.append(max((one for one in scores if one not in wanted and artist[one] not in recent), key=scores.get))
    assert ids_of(found) == wanted
    assert artists_keep(found, 3)


def test_a_chain_goes_on_with_the_closest_to_the_last(songs: Songs) -> None:
    """From the definition, over the whole catalog; two seeds come first."""
    recommender = songs.open()
    found = make_playlist(recommender, ["s0003", "s0100"], mode="chain", length=15)
    artist = {item.item_id: item.attributes["artist"] for item in recommender.catalog.items(range(1, 401)).values()}
    wanted = ["s0003", "s0100"]
    while len(wanted) < 15:
        recent = {artist[one] for one in wanted[-3:]}
        scores = scores_of(recommender, wanted[-1])
        wanted.append(max((one for one in scores if one not in wanted and artist[one] not in recent), key=scores.get))
    assert ids_of(found) == wanted
    steps = [scores_of(recommender, one)[other] for one, other in itertools.pairwise(wanted)]
    np.testing.assert_allclose(found.scores[1:], steps, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_path_goes_in_small_steps(songs: Songs, seed: int) -> None:
    """From end to end over 30 pairs: as long as asked, each step smaller than half of all random ones, none twice."""
    recommender = songs.open()
    rng = np.random.default_rng(seed)
    everyone = recommender.item_ids("audio")
    rows = recommender.generation.spaces["audio"]
    relation = recommender.catalog.relation("similar-track")
    left, right = rng.integers(0, 400, (2, 20_000))
    median = np.median(rows.pair_scores(relation, left, right))
    for _ in range(10):
        start, goal = rng.choice(everyone, 2, replace=False).tolist()
        found = make_playlist(recommender, [start], to=goal, length=12, seed=seed)
        ids = ids_of(found)
        assert (ids[0], ids[-1], len(ids), len(set(ids))) == (start, goal, 12, 12)
        assert min(found.scores[1:]) > median
        assert artists_keep(found, 3)
        assert found.notes == ()
        assert found == make_playlist(songs.open(), [start], to=goal, length=12, seed=seed)


@pytest.mark.parametrize("mode", ["radius", "chain", "path"])
def test_a_seed_varies_the_list_and_the_same_seed_does_not(songs: Songs, mode: Any) -> None:
    """Others come, but close ones: better than random by far."""
    to = "s0044" if mode == "path" else None
    lists = [ids_of(make_playlist(songs.open(), ["s0009"], mode=mode, to=to, seed=seed)) for seed in (0, 0, 5, 5, 6)]
    assert lists[0] == lists[1]
    assert lists[2] == lists[3]
    assert lists[0] != lists[2] != lists[4]
    if mode == "radius":
        scores = scores_of(songs.open(), "s0009")
        assert np.mean([scores[one] for one in lists[2][1:]]) > np.quantile(list(scores.values()), 0.9)


@pytest.mark.parametrize("trend", ["tempo up", "tempo down", "energy up", "energy down"])
@pytest.mark.parametrize("mode", ["radius", "chain", "path"])
def test_a_trend_is_never_broken(songs: Songs, mode: Any, trend: Any) -> None:
    """Values are those estimated from the vectors; the seeds are in the list."""
    recommender = songs.open()
    name, way = trend.split()
    rows = songs.catalog.connection.execute(
        "SELECT i.id, vector FROM items i JOIN media USING (item) JOIN vectors USING (media)"
    )
    vectors = {item_id: np.frombuffer(vector, "<f4") for item_id, vector in rows}
    value = dict(zip(vectors, impression_of(name, np.stack(list(vectors.values()))).tolist(), strict=True))
    ranked = sorted(value, key=lambda one: value[one])
    start, goal = (ranked[60], ranked[-60]) if way == "up" else (ranked[-60], ranked[60])
    seeds = [start] if mode == "path" else [start, goal]
    found = make_playlist(recommender, seeds, mode=mode, to=goal if mode == "path" else None, trend=trend, length=10)
    values = [value[one] for one in ids_of(found)]
    assert found.values == pytest.approx(values)
    assert values == sorted(values, reverse=way == "down")
    assert len(values) == 10
    assert {start, goal} <= set(ids_of(found))
    assert artists_keep(found, 3)
    assert any("estimate" in note for note in found.notes)
    if mode != "radius":
        assert ids_of(found)[0] == start


def test_tags_decide_on_tempo_before_estimates(make_songs: Callable[[], Songs]) -> None:
    """And what no number is known of cannot begin."""
    made = make_songs()
    known = [{"bpm": 100 + at, "energy": "high", "duration": 100 + 5 * at} for at in range(8)]
    made.add([f"t{at}" for at in range(8)], made.points(8, 1), known)
    made.build()
    found = make_playlist(made.open(), ["t0"], mode="chain", trend="tempo up", length=8)
    assert ids_of(found) == [f"t{at}" for at in range(8)]
    assert found.values == tuple(range(100, 108))
    assert [track["tempo"] for track in found.to_json()["tracks"]] == list(range(100, 108))
    assert not any("estimate" in note for note in found.notes)
    with pytest.raises(InputError, match="tempo cannot rise from 103 to 101"):
        make_playlist(made.open(), ["t3"], to="t1", trend="tempo up")


def test_minutes_are_filled_and_never_passed(songs: Songs) -> None:
    """In every mode, with and without a trend."""
    for options in (
        {"mode": "radius"},
        {"mode": "chain"},
        {"to": "s0200"},
        {"mode": "radius", "trend": "energy up"},
        {"mode": "chain", "trend": "energy down"},
    ):
        found = make_playlist(songs.open(), ["s0001"], minutes=45, **options)
        assert found.seconds is not None
        assert 43 * 60 <= found.seconds <= 45 * 60, options
        assert found.seconds == sum(track.item.attributes["duration"] for track in found.tracks)
        assert artists_keep(found, 3)
    short = make_playlist(songs.open(), ["s0001"], minutes=0.5)
    assert ids_of(short) == ["s0001"]
    assert "alone last" in short.notes[0]


def test_the_same_recording_never_comes_twice_but_songs_that_only_sound_alike_do(
    make_songs: Callable[[], Songs],
) -> None:
    """Cosines and lengths must agree; where a length is not known, they are different songs."""
    made = make_songs()
    made.fill(40, 40)
    vector = made.points(40, 0)[[0]]
    lengths = {"copy": 0, "copy-2": 1, "longer": 15, "unknown": None}
    first = made.catalog.connection.execute("SELECT attributes FROM items WHERE id='s0000'").fetchone()[0]
    seconds = json.loads(first)["duration"]
    for item_id, more in lengths.items():
        known = {"artist": item_id} | ({} if more is None else {"duration": seconds + more})
        made.add([item_id], vector, [known])
    for mode in ("radius", "chain"):
        found = ids_of(make_playlist(made.open(), ["s0000"], mode=mode, length=45))
        assert {"longer", "unknown"} <= set(found)
        assert not {"copy", "copy-2"} & set(found)
        assert len(found) == 42
    both = make_playlist(made.open(), ["copy", "s0000"], length=3)
    assert "s0000 is the same recording as another seed" in both.notes
    assert ids_of(both)[0] == "copy"
    ends = make_playlist(made.open(), ["s0000"], to="copy", length=6)
    assert ids_of(ends)[0] == "s0000"
    assert ids_of(ends)[-1] == "copy"
    assert "copy-2" not in ids_of(ends)


def test_the_longest_list_is_given_where_artists_are_few(make_songs: Callable[[], Songs]) -> None:
    """With a note, and no rule broken: all by one; by two; by four of whom one has a single song."""
    for counts, longest in (([20], 1), ([10, 10], 2), ([6, 6, 6, 1], 7)):
        made = make_songs()
        names = [name for name, count in enumerate(counts) for _ in range(count)]
        known = [{"artist": f"A{name}", "duration": 60 + 5 * at} for at, name in enumerate(names)]
        made.add([f"x{at:02d}" for at in range(len(names))], made.points(len(names), 2), known)
        made.build()
        for mode in ("radius", "chain"):
            found = make_playlist(made.open(), ["x00"], mode=mode)
            assert artists_keep(found, 3)
            assert len(found.tracks) == longest
            assert "20 tracks were asked for" in found.notes[0]
    ends = make_playlist(made.open(), ["x00"], to="x01")
    assert artists_keep(ends, 3)
    assert 5 <= len(ends.tracks) < 20
    assert "20 tracks were asked for" in ends.notes[-1]


def test_ends_by_one_artist_alone_are_told(make_songs: Callable[[], Songs]) -> None:
    """Nothing can lie between; the ends were asked for, so they are there, and the note says why only they are."""
    made = make_songs()
    made.add(["a", "b", "c"], made.points(3, 2), [{"artist": "One", "duration": 60 + at * 9} for at in range(3)])
    made.build()
    found = make_playlist(made.open(), ["a"], to="b")
    assert ids_of(found) == ["a", "b"]
    assert any("only the ends are told" in note for note in found.notes)


def test_artists_are_known_however_they_are_written(make_songs: Callable[[], Songs]) -> None:
    """Case, spaces and guests; compilations and unknown artists are nobody's."""
    made = make_songs()
    names = ["Björk", "BJO\u0308RK ", "björk feat. Thom", "Various Artists", "various artists", "", None]
    known = [{"artist": name, "duration": 60 + 5 * at} for at, name in enumerate(names)]
    made.add([f"b{at}" for at in range(len(names))], made.points(len(names), 4), known)
    made.build()
    found = make_playlist(made.open(), ["b0"], artist_gap=3)
    numbers = [at for at, one in enumerate(ids_of(found)) if one in ("b0", "b1", "b2")]
    assert numbers == [0, 4] or len(numbers) == 1 or (np.diff(numbers) > 3).all()
    assert len(found.tracks) == 6
    nobody = make_songs()
    nobody.add(["n0", "n1"], nobody.points(2, 4), [{"duration": 60}, {"duration": 90}])
    nobody.build()
    assert "no track names an artist" in make_playlist(nobody.open(), ["n0"]).notes[0]


def test_the_filter_holds_for_what_is_found(songs: Songs) -> None:
    """Not for the seed."""
    for options in ({"mode": "radius"}, {"mode": "chain"}, {"to": "s0003"}):
        found = make_playlist(songs.open(), ["s0000"], where="genre=jazz", length=10, **options)
        between = found.tracks[1:-1] if "to" in options else found.tracks[1:]
        assert len(found.tracks) == 10
        assert {track.item.attributes["genre"] for track in between} == {"jazz"}


def test_new_songs_are_found_before_the_next_build(songs: Songs, make_songs: Callable[[], Songs]) -> None:
    """And removed ones are not."""
    made = make_songs()
    made.fill(30, 30)
    near = made.points(30, 0)[[5]] + 0.02 * made.points(1, 9)
    made.add(["new"], near, [{"artist": "New", "duration": 999}])
    with made.catalog.connection as sql:
        key = made.catalog.keys_of(["s0001"])[0]
        sql.execute("DELETE FROM media WHERE item=?", (key,))
        sql.execute("DELETE FROM items WHERE item=?", (key,))
        sql.execute("INSERT INTO removed VALUES (?, ?)", (key, made.catalog.next_sequence()))
    for mode in ("radius", "chain"):
        found = ids_of(make_playlist(made.open(), ["s0005"], mode=mode, length=40))
        assert found[1] == "new"
        assert "s0001" not in found
        assert len(found) == 30


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mode": "path"}, "go together"),
        ({"mode": "chain", "to": "s0001"}, "go together"),
        ({"to": "s0000"}, "named twice"),
        ({"length": 0}, "between 1 and 200"),
        ({"length": 201}, "between 1 and 200"),
        ({"to": "s0001", "length": 1}, "between 2 and 200"),
        ({"minutes": 0}, "above 0"),
        ({"minutes": float("nan")}, "above 0"),
        ({"artist_gap": -1}, "artist gap"),
        ({"seed": -1}, "seed"),
        ({"where": "genre="}, "expected"),
        ({"relation": "style"}, "no audio item of this catalog has what"),
    ],
)
def test_what_cannot_be_asked_is_told(songs: Songs, options: dict[str, Any], told: str) -> None:
    """One plain sentence each."""
    with pytest.raises(InputError, match=told):
        make_playlist(songs.open(), ["s0000"], **options)


def test_unknown_names_are_told(songs: Songs) -> None:
    """With the nearest."""
    for options, told in (({"mode": "chian"}, "chain"), ({"trend": "tempo upp"}, "tempo up"), ({"to": "s00001"}, "s0")):
        with pytest.raises(UnknownNameError, match=f"did you mean '{told}"):
            make_playlist(songs.open(), ["s0000"], **options)
    with pytest.raises(InputError, match="1 to 50 seeds, not 0"):
        make_playlist(songs.open(), [])


def test_pictures_make_lists_too(make_catalog: Callable[[], Any]) -> None:
    """Without length and tempo; near-duplicates by cosines alone."""
    made = make_catalog()
    made.fill(60)
    made.add(["copy"], made.points(60)[0][[0]], ["kind-00"])
    made.build()
    found = make_playlist(made.open(), ["item-0-00000"], length=60)
    assert found.relation == "similar"
    assert len(found.tracks) == 60
    assert "copy" not in ids_of(found)
    assert found.seconds is None
    assert found.to_json()["seconds"] is None
    for options in ({"minutes": 5}, {"trend": "tempo up"}):
        with pytest.raises(InputError, match="pictures have no length"):
            make_playlist(made.open(), ["item-0-00000"], **options)


def test_a_file_is_named_inside_the_largest_folder_that_holds_it() -> None:
    """Elsewhere, by its name alone: no folder of this machine is told."""
    music, rock = Path("/home/me/music"), Path("/home/me/music/rock")
    assert place_inside(rock / "a.mp3", [rock, music]) == "rock/a.mp3"
    assert place_inside(rock / "a.mp3", [rock, Path("/else")]) == "a.mp3"
    assert place_inside(Path("/other/b.mp3"), [rock, music]) == "b.mp3"
    assert can_name("rock/ä b.mp3")
    assert not can_name("rock/a\nb.mp3")
    assert not can_name("rock/\udcff.mp3")


def test_it_is_written_as_m3u8_and_read_back(songs: Songs, tmp_path: Path) -> None:
    """Relative paths, lengths and names; by our own reader of playlists."""
    found = make_playlist(songs.open(), ["s0000"], length=5)
    file = songs.folder.parent / "lists" / "list.m3u8"
    file.parent.mkdir(exist_ok=True)
    found.save(file)
    lines = file.read_text("utf-8").splitlines()
    assert lines[0] == "#EXTM3U"
    first = found.tracks[0]
    assert lines[1] == f"#EXTINF:{first.item.attributes['duration']},{first.item.attributes['artist']} - Song 0"
    assert lines[2] == "../music/s0000.mp3"
    assert len(lines) == 11
    events = list(read_playlists(file, Reading()))
    assert [event.item for event in events] == [str(track.item.paths[0]) for track in found.tracks]
    assert list(file.parent.iterdir()) == [file]


def test_odd_names_stay_one_line(make_songs: Callable[[], Songs], tmp_path: Path) -> None:
    """Line breaks in titles; names that begin like a comment."""
    made = make_songs()
    made.add(["#1"], made.points(1, 1), [{"title": "a\nb\u2028c", "artist": "Ü"}])
    with made.catalog.connection as sql:
        sql.execute("UPDATE media SET path=?", ("#1 Ü.mp3".encode(),))
    made.build()
    file = made.folder.parent / "odd.m3u8"
    make_playlist(made.open(), ["#1"]).save(file)
    assert file.read_text("utf-8").split("\n") == ["#EXTM3U", "#EXTINF:-1,Ü - a b c", "./#1 Ü.mp3", ""]
    with made.catalog.connection as sql:
        sql.execute("UPDATE media SET path=?", (b"a\nb.mp3",))
    with pytest.raises(InputError, match="line break"):
        make_playlist(made.open(), ["#1"]).save(file)


def test_it_shows_itself_in_a_notebook(songs: Songs) -> None:
    shown = make_playlist(songs.open(), ["s0000"], length=3)._repr_html_()
    assert "Song 0 · Artist" in shown


def test_the_verb_prints_lists_and_writes_them(songs: Songs, run_simkin: Callable[..., Any], tmp_path: Path) -> None:
    """Text, JSON, and the file."""
    found = make_playlist(songs.open(), ["s0000"], to="s0009", length=6)
    asked = ("playlist", "s0000", "--to", "s0009", "--length", 6, "--catalog", songs.folder)
    told = run_simkin(*asked, "--m3u", tmp_path / "x.m3u8")
    assert told.returncode == 0, told.stderr
    assert all(item_id in told.stdout for item_id in ids_of(found))
    assert (tmp_path / "x.m3u8").read_text().count("#EXTINF") == 6
    assert json.loads(run_simkin(*asked, "--json").stdout) == found.to_json()
