"""Explaining two songs: the moments that match are found, and words tell numbers that were estimated."""

from __future__ import annotations

import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from audio.key import Key
from audio.portrait import Portrait
from index.catalog import Catalog
from index.explaining import explain
from index.explaining.keys import read_key
from index.explaining.moments import listen
from index.explaining.songwords import song_words
from index.explaining.wording import clock
from index.recommender import Recommender

RATE, SECONDS, SHARED = 22_050, 24, 5
PLACES = {"a.wav": 4.3, "b.wav": 13.6}
"""First second of the passage that two songs share."""


def tune(seed: int, seconds: float = SECONDS) -> np.ndarray:
    """Notes of random pitches and lengths, another timbre for each seed. float32."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * RATE), np.float32)
    overtones = rng.uniform(0, 1, 8) ** 2
    at = 0.0
    while at < seconds - 0.3:
        length = float(rng.choice([0.15, 0.25, 0.4]) * rng.uniform(0.8, 1.2))
        time = np.arange(round(min(length, seconds - at) * RATE)) / RATE
        pitch = 110 * 2 ** (rng.integers(0, 36) / 12)
        note = sum(strength * np.sin(2 * np.pi * pitch * (k + 1) * time) for k, strength in enumerate(overtones))
        start = round(at * RATE)
        sound[start : start + len(time)] += (0.1 * note * np.exp(-3 * time)).astype(np.float32)
        at += length
    return sound


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs, two of which share a passage."""
    folder = tmp_path_factory.mktemp("songs")
    for seed in range(6):
        soundfile.write(folder / f"{seed}.wav", tune(seed), RATE)
    passage = tune(99, SHARED)
    for seed, (name, start) in enumerate(PLACES.items(), 50):
        sound = tune(seed)
        at = round(start * RATE)
        sound[at : at + len(passage)] = passage * (1 if name == "a.wav" else 0.6)
        soundfile.write(folder / name, sound, RATE)
    return folder


@pytest.fixture
def recommender(folder: Path, tmp_path: Path, run_index: Any) -> Recommender:
    """Of a catalog of them."""
    run_index(tmp_path / "c", folder)
    return Recommender(Catalog.open(tmp_path / "c"))


def test_a_passage_that_two_songs_share_is_found(recommender: Recommender) -> None:
    """Within a second in each, and in step with each other."""
    found = explain(recommender, "a.wav", "b.wav", "similar-track")
    first = found.moments[0]
    assert first.a == pytest.approx(PLACES["a.wav"], abs=1)
    assert first.b == pytest.approx(PLACES["b.wav"], abs=1)
    assert first.b - first.a == pytest.approx(PLACES["b.wav"] - PLACES["a.wav"], abs=0.05)
    assert first.seconds == SHARED
    assert first.score > 0.7
    assert any(line.startswith(f"Most alike for 5 seconds from {clock(first.a)} of the first") for line in found.words)


def test_moments_do_not_overlap_and_stay_within_the_songs(recommender: Recommender) -> None:
    """The most alike first."""
    found = explain(recommender, "0.wav", "1.wav", "similar")
    scores = [moment.score for moment in found.moments]
    assert scores == sorted(scores, reverse=True)
    for at, one in enumerate(found.moments):
        assert 0 <= one.a <= SECONDS - one.seconds
        assert 0 <= one.b <= SECONDS - one.seconds + 0.1
        for other in found.moments[:at]:
            assert abs(one.a - other.a) >= one.seconds


def test_scores_are_those_of_the_answer(recommender: Recommender) -> None:
    """An explanation explains the very numbers that a query tells."""
    (hit,) = [h for h in recommender.query("a.wav", relation="similar-track", k=9).hits if h.item_id == "b.wav"]
    found = explain(recommender, "a.wav", "b.wav", "similar-track")
    assert found.score == pytest.approx(hit.score, abs=1e-6)
    assert dict(found.facets) == pytest.approx(dict(hit.facets), abs=1e-4)


def test_the_picture_has_axes_and_a_dark_place_where_the_songs_meet(recommender: Recommender) -> None:
    """Every moment of one beside every moment of the other."""
    found = explain(recommender, "a.wav", "b.wav", "similar-track")
    assert found.likeness is not None
    assert found.likeness.scores.shape == (len(found.likeness.starts_a), len(found.likeness.starts_b))
    with Image.open(io.BytesIO(replace(found, moments=()).png())) as drawn:
        pixels = np.asarray(drawn.convert("L"), int)
    left, top, scale = 84, 84, 560 / SECONDS
    row = top + round((PLACES["a.wav"] + SHARED / 2) * scale)
    column = left + round((PLACES["b.wav"] + SHARED / 2) * scale)
    inside = pixels[top : top + 560, left : left + 560]
    assert pixels[row - 6 : row + 6, column - 6 : column + 6].mean() < np.quantile(inside, 0.02)


def test_json_names_moments_and_nothing_of_pictures(recommender: Recommender) -> None:
    """Keys that other programs rely on."""
    found = explain(recommender, "a.wav", "b.wav").to_json()
    assert json.loads(json.dumps(found)) == found
    assert list(found["moments"][0]) == ["a", "b", "seconds", "score"]
    assert "regions" not in found
    assert "dimensions" not in found


def test_the_page_plays_both_moments_and_asks_for_nothing_outside(recommender: Recommender) -> None:
    """Two players, three buttons for each pair of moments."""
    found = explain(recommender, "a.wav", "b.wav", "similar-track")
    page = found.html()
    assert page.count("<audio controls preload='metadata' src='data:audio/wav;base64,") == 2
    assert page.count("<button") == 3 * len(found.moments)
    assert f"data-a='{found.moments[0].a:.2f}' data-b='{found.moments[0].b:.2f}'" in page
    assert not re.search(r"(src|href)='(?!data:)", page)
    assert "<button" not in found._repr_html_()
    assert found._repr_html_().count("<audio") == 2


def test_a_song_that_is_gone_leaves_facets(recommender: Recommender, folder: Path) -> None:
    """What is stored can still be explained; the note says what cannot, and the page says which sound is missing."""
    whole = explain(recommender, "3.wav", "4.wav")
    (folder / "3.wav").rename(folder / "away")
    try:
        found = explain(recommender, "3.wav", "4.wav")
        page = found.html()
    finally:
        (folder / "away").rename(folder / "3.wav")
    assert found.facets == whole.facets
    assert not found.moments
    assert found.notes == ("no moments: there is no sound file of 3.wav on this machine",)
    assert "there is no sound file on this machine" in page
    assert found.png().startswith(b"\x89PNG")


def test_a_song_is_heard_again_only_when_its_file_changed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One song is often explained beside many."""
    path = tmp_path / "song.wav"
    path.write_bytes((folder / "0.wav").read_bytes())
    first = listen(path)
    assert listen(path) is first
    os.utime(path, ns=(1, 1))
    assert listen(path) is not first


def portrait(**changes: Any) -> Any:
    """Something heard, of which only the portrait matters."""
    usual = Portrait(tempo=120.0, key=Key(9, True, 0.82), brightness=1500.0, percussive=0.5, motion=3.0)
    return SimpleNamespace(portrait=replace(usual, **changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tempo": 120.3}, "Both go at about 120 BPM."),
        ({"tempo": 123.0}, "Both go at about 120 and 123 BPM."),
        ({"tempo": 61.0}, "About 120 and 61 BPM: the same pace, counted twice as fast."),
        ({"tempo": 90.0}, "About 120 BPM against 90."),
        ({"tempo": None}, "No steady beat was found in the second; the other goes at about 120 BPM."),
        ({"key": Key(9, True, 0.75)}, "Both lean to A minor (the notes of C major)."),
        ({"key": Key(0, False, 0.75)}, "The first leans to A minor, the second to C major: the same notes."),
        ({"key": Key(4, True, 0.75)}, "The first leans to A minor, the second to E minor, a fifth apart."),
        ({"key": Key(3, True, 0.75)}, "second to E♭ minor; harmony is compared in whatever key."),
        ({"key": None}, "The first leans to A minor, the second leans to no key."),
        ({"brightness": 1550.0}, "About equally bright: the middle of the spectrum lies at 1,500 and 1,600 Hz."),
        ({"brightness": 3000.0}, "The second is brighter: the middle of the spectrum lies at 1,500 and 3,000 Hz."),
        ({"percussive": 0.1}, "Hits carry more of the first (50 % and 10 % of the power)."),
        ({"motion": 9.0}, "Loudness moves more in the second (± 3.0 and ± 9.0 dB)."),
    ],
)
def test_words_tell_what_was_estimated(changes: dict[str, Any], told: str) -> None:
    """In both songs, with the numbers."""
    assert any(told in line for line in song_words(portrait(), portrait(**changes), ["timbre", "rhythm", "harmony"]))


def test_what_a_table_tells_stands_before_what_was_estimated() -> None:
    """One key and one tempo of a song wherever it is shown."""
    said = song_words(
        portrait(), portrait(key=None), [], ({"key": "A major", "tempo": 92}, {"key": "Ebm", "bpm": 90.0})
    )
    assert "The first is in A major, the second in E♭ minor; harmony is compared in whatever key." in said
    assert "Both go at about 92 and 90 BPM." in said
    said = song_words(portrait(), portrait(), [], ({"key": "C major"}, {"key": "no such key", "tempo": "fast"}))
    assert "The first is in C major, the second leans to A minor: the same notes." in said
    assert "Both go at about 120 BPM." in said


@pytest.mark.parametrize(
    ("text", "name"),
    [("A major", "A major"), ("F#m", "F♯ minor"), ("Bb", "B♭ major"), ("e flat minor", "E♭ minor"), ("Cb", "B major")],
)
def test_keys_are_read_as_they_are_written(text: str, name: str) -> None:
    """And what is no key is none."""
    key = read_key(text)
    assert key is not None
    assert key.name == name
    assert read_key("Amber") is read_key("8A") is read_key(3) is read_key("") is None


def test_words_begin_with_the_facet_that_matters_most() -> None:
    """And leave none out."""
    said = song_words(portrait(), portrait(), ["harmony", "timbre", "rhythm"])
    assert [line.split()[0] for line in said] == ["Both", "About", "Hits", "Loudness", "Both"]
    assert len(song_words(portrait(tempo=None, key=None), portrait(tempo=None, key=None), ["content:x"])) == 5


def test_vectors_without_files_are_explained_by_their_facets(recommender: Recommender, tmp_path: Path) -> None:
    """A catalog that came with its vectors alone has no sound to hear."""
    with recommender.catalog.connection as sql:
        sql.execute("UPDATE sources SET location = ?", (os.fsencode(tmp_path / "elsewhere"),))
    found = explain(recommender, "a.wav", "b.wav")
    assert sum(found.facets.values()) == pytest.approx(1)
    assert found.notes == ("no moments: there is no sound file of a.wav on this machine",)
