"""The demo's pictures and songs: real files, varied, the same for the same seed."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from simkin.demo.drawing import COLORS, SIZE
from simkin.demo.pictures import COLUMNS as PRODUCT_COLUMNS
from simkin.demo.pictures import PATTERNS, make_pictures
from simkin.demo.silhouettes import SHAPES, trace
from simkin.demo.songs import COLUMNS as SONG_COLUMNS
from simkin.demo.songs import COUNT, TONICS, make_songs
from simkin.demo.styles import STYLES
from simkin.demo.synth import DRUMS, VOICES, Synth


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_songs(tmp_path_factory.mktemp("songs"))


def test_the_table_of_products_lists_every_picture_once(products: Path) -> None:
    rows = _rows(products)
    assert tuple(rows[0]) == PRODUCT_COLUMNS
    assert len(rows) == 243
    assert len({row["id"] for row in rows}) == len(rows)
    on_disk = {f"pictures/{path.name}" for path in (products.parent / "pictures").iterdir()}
    assert {row["path"] for row in rows} == on_disk
    assert all(row["title"] and float(row["price"]) > 0 for row in rows)


def test_pictures_decode_at_the_stated_size_with_the_product_in_the_middle(products: Path) -> None:
    for row in _rows(products):
        with Image.open(products.parent / row["path"]) as picture:
            assert picture.format == "JPEG"
            assert (picture.mode, picture.size) == ("RGB", (SIZE, SIZE))
            pixels = np.asarray(picture).astype(np.int16)
        middle, corner = pixels[80:240, 80:240], pixels[:12, :12]
        assert np.abs(middle - corner.mean(axis=(0, 1))).mean() > 15, row["id"]


def test_products_vary_in_kind_color_and_pattern(products: Path) -> None:
    rows = _rows(products)[:240]
    assert set(Counter(row["category"] for row in rows).values()) == {20}
    assert set(Counter(row["color"] for row in rows).values()) == {24}
    assert set(Counter(row["pattern"] for row in rows).values()) == {48}
    assert len({row["category"] for row in rows}) == 12
    assert {row["color"] for row in rows} == set(COLORS)
    assert {row["pattern"] for row in rows} == set(PATTERNS)


@pytest.mark.parametrize("color", ["red", "green", "blue"])
def test_the_stated_color_is_the_one_to_be_seen(products: Path, color: str) -> None:
    channel = ["red", "green", "blue"].index(color)
    for row in _rows(products):
        if row["color"] == color and row["pattern"] == "plain" and row["category"] in ("mug", "t-shirt", "backpack"):
            with Image.open(products.parent / row["path"]) as picture:
                middle = np.asarray(picture)[130:190, 130:190].reshape(-1, 3).mean(axis=0)
            assert int(middle.argmax()) == channel, row["id"]


def test_three_products_are_photographed_again(products: Path) -> None:
    rows = {row["id"]: row for row in _rows(products)}
    again = [row for item_id, row in rows.items() if item_id.endswith("-again")]
    copies = 0
    for row in again:
        first = rows[row["id"].removesuffix("-again")]
        assert row["title"] == first["title"]
        files = [products.parent / row["path"], products.parent / first["path"]]
        copies += files[0].read_bytes() == files[1].read_bytes()
        images = [np.asarray(Image.open(file)).astype(np.float32) for file in files]
        assert np.abs(images[0] - images[1]).mean() < 4
    assert len(again) == 3
    assert copies == 1


def test_outlines_are_inside_their_square() -> None:
    for models in SHAPES.values():
        for part in (part for parts in models for part in parts):
            points = trace(part.outline)
            assert points.shape[1] == 2
            assert points.min() >= 0
            assert points.max() <= 100


def test_the_table_of_songs_lists_every_file_once(songs: Path) -> None:
    rows = _rows(songs)
    assert tuple(rows[0]) == SONG_COLUMNS
    assert len(rows) == COUNT == 60
    assert len({row["id"] for row in rows}) == len(rows)
    on_disk = {f"songs/{path.name}" for path in (songs.parent / "songs").iterdir()}
    assert {row["path"] for row in rows} == on_disk
    assert sum(path.stat().st_size for path in (songs.parent / "songs").iterdir()) < 60_000_000


def test_songs_decode_with_their_tags_at_the_stated_length_and_level(songs: Path) -> None:
    kinds = set()
    for row in _rows(songs):
        with soundfile.SoundFile(songs.parent / row["path"]) as file:
            kinds.add((file.format, file.channels, file.samplerate))
            assert 12 <= file.frames / file.samplerate <= 20
            assert (file.title, file.artist) == (row["title"], row["artist"])
            sound = file.read(dtype="float32")
        expected = 0.8 * 0.89 if row["id"].endswith("-again") else 0.8
        assert float(np.abs(sound).max()) == pytest.approx(expected, abs=0.001)
        assert float(np.sqrt(np.square(sound).mean())) > 0.08, row["id"]
        assert abs(float(sound.mean())) < 0.01
    assert {kind[0] for kind in kinds} == {"WAV", "FLAC"}
    assert {kind[1] for kind in kinds} == {1, 2}
    assert {kind[2] for kind in kinds} == {22_050, 44_100}


def test_songs_vary_in_style_tempo_and_key(songs: Path) -> None:
    rows = _rows(songs)
    assert {row["style"] for row in rows} == {style.name for style in STYLES}
    assert len(STYLES) == 10
    tempi = [int(row["tempo"]) for row in rows]
    assert min(tempi) <= 76
    assert max(tempi) >= 160
    assert len(set(tempi)) > 20
    assert {row["key"].split()[0] for row in rows} == set(TONICS)
    assert {row["key"].split()[1] for row in rows} == {"major", "minor"}


def test_one_song_is_the_same_recording_again(songs: Path) -> None:
    rows = {row["id"]: row for row in _rows(songs)}
    (again,) = [row for item_id, row in rows.items() if item_id.endswith("-again")]
    first = rows[again["id"].removesuffix("-again")]
    assert again["path"].endswith(".flac")
    assert first["path"].endswith(".wav")
    sounds = [soundfile.read(songs.parent / row["path"], dtype="float32")[0] for row in (first, again)]
    np.testing.assert_allclose(sounds[1], 0.89 * sounds[0], atol=1e-4)  # 16 bits: steps of 3e-5


def test_patterns_fill_their_bar_and_name_known_instruments() -> None:
    for style in STYLES:
        patterns = [*style.lead_rhythms, style.chord_pattern, style.bass_pattern, *(d[3] for d in style.drums)]
        assert {len(pattern) for pattern in patterns} == {style.steps}, style.name
        assert {*style.leads, style.chord, style.bass} <= set(VOICES)
        assert {drum[0] for drum in style.drums} <= set(DRUMS)


@pytest.mark.parametrize("voice", ["nylon", "organ", "lead", "bell", "flute"])
def test_a_note_has_its_pitch(voice: str) -> None:
    rate = 22_050
    sound = Synth(rate).note(voice, 69, 1.0)
    assert sound.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size), 4 * rate))
    hertz = np.arange(spectrum.size) / 4
    near = (hertz > 400) & (hertz < 480)
    assert hertz[near][spectrum[near].argmax()] == pytest.approx(440, abs=1)


@pytest.mark.parametrize("drum", DRUMS)
def test_a_drum_stroke_dies_away(drum: str) -> None:
    sound = Synth(22_050).drum(drum)
    tenth = sound.size // 10
    assert float(np.abs(sound).max()) <= 1.001
    assert np.square(sound[-tenth:]).sum() < 0.05 * np.square(sound[: 3 * tenth]).sum()


def test_the_same_seed_gives_the_same_files(products: Path, songs: Path, tmp_path: Path) -> None:
    make_pictures(tmp_path / "p")
    make_songs(tmp_path / "s")
    assert _digests(tmp_path / "p") == _digests(products.parent)
    assert _digests(tmp_path / "s") == _digests(songs.parent)


def test_another_seed_gives_other_pictures(products: Path, tmp_path: Path) -> None:
    make_pictures(tmp_path, seed=8)
    ours, others = set(_digests(products.parent).values()), set(_digests(tmp_path).values())
    assert not ours & others
