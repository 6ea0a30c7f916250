"""What sound files say about themselves."""

from __future__ import annotations

from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile

from audio.tags import read_tags


def tagged(path: Path, **tags: str) -> Path:
    """Two seconds of quiet noise with tags."""
    sound = np.random.default_rng(0).normal(0, 0.01, 88_200).astype(np.float32)
    soundfile.write(path, sound, 44_100, format={"mp3": "MP3", "ogg": "OGG", "flac": "FLAC"}[path.suffix[1:]])
    opened = mutagen.File(path, easy=True)
    if opened.tags is None:
        opened.add_tags()
    for name, value in tags.items():
        opened[name] = value
    opened.save()
    return path


@pytest.mark.parametrize("name", ["song.mp3", "song.ogg", "song.flac"])
def test_tags_are_read(name: str, tmp_path: Path) -> None:
    path = tagged(
        tmp_path / name, title="Ære", artist="B", album="C", genre="Jazz", date="1999-03-01", tracknumber="3/12"
    )
    assert read_tags(path) == {
        "title": "Ære",
        "artist": "B",
        "album": "C",
        "genre": "Jazz",
        "year": 1999,
        "track": 3,
        "duration": 2,
    }


@pytest.mark.parametrize("name", ["song.mp3", "song.ogg", "song.flac"])
@pytest.mark.parametrize(("told", "read"), [("127.6", 128), ("90", 90), ("0", None), ("fast", None)])
def test_beats_a_minute_are_read(name: str, told: str, read: int | None, tmp_path: Path) -> None:
    """Programs that find none write 0."""
    assert read_tags(tagged(tmp_path / name, bpm=told)).get("bpm") == read


def test_absent_tags_are_left_out(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "plain.wav", np.zeros(44_100, np.float32), 44_100)
    assert read_tags(tmp_path / "plain.wav") == {"duration": 1}


@pytest.mark.parametrize(
    "content", [b"", b"a text", bytes(3000), b"ID3\x04\x00\x00\x00\x00\x02\x00COMM\xff\xff", b"fLaC\x00\x00\x00\x22"]
)
@pytest.mark.parametrize("ending", [".mp3", ".flac", ".m4a", ".ogg"])
def test_bad_files_have_no_tags(content: bytes, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"bad{ending}"
    path.write_bytes(content)
    assert read_tags(path) == {}


def test_a_missing_file_has_no_tags(tmp_path: Path) -> None:
    assert read_tags(tmp_path / "none.mp3") == {}
