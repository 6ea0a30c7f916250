"""M3U playlists as groups of songs in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.errors import InputError
from index.learning.edges import Event, Reading
from index.learning.playlists import read_playlists


def test_entries_are_paths_relative_to_the_folder(tmp_path: Path) -> None:
    """As ids of a scanned folder are, from wherever a playlist names them."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "mix.m3u8").write_text(
        f"\ufeff#EXTM3U\n#EXTINF:123,Someone - Song\n../rock/a.mp3\n\n{tmp_path}/rock/b.mp3\n"
        f"file://{tmp_path}/rock/c%20d.mp3\n..\\rock\\e.mp3\n./f.mp3\n/elsewhere/g.mp3\nhttp://example.org/live\n",
        encoding="utf-8",
    )
    (tmp_path / "B.M3U").write_bytes("ä.mp3\r\nrock/a.mp3\r\n".encode("latin-1"))
    (tmp_path / "notes.txt").write_text("no playlist")
    reading = Reading()
    assert list(read_playlists(tmp_path, reading)) == [
        Event("B.M3U", "ä.mp3", 0.0),
        Event("B.M3U", "rock/a.mp3", 1.0),
        *[
            Event("lists/mix.m3u8", item, float(place))
            for place, item in enumerate(
                ["rock/a.mp3", "rock/b.mp3", "rock/c d.mp3", "rock/e.mp3", "lists/f.mp3", "/elsewhere/g.mp3"]
            )
        ],
    ]
    assert reading.rows == 9
    assert reading.examples == [
        "lists/mix.m3u8, line 10: http://example.org/live is an address; only files are items",
    ]


def test_a_single_playlist_is_read_beside_its_songs(tmp_path: Path) -> None:
    """Entries are relative to its own folder."""
    path = tmp_path / "one.m3u"
    path.write_text("a.mp3\nsub/b.mp3\n")
    assert list(read_playlists(path, Reading())) == [Event("one.m3u", "a.mp3", 0.0), Event("one.m3u", "sub/b.mp3", 1.0)]


def test_playlists_without_songs_are_refused(tmp_path: Path) -> None:
    """Streams only, nothing at all, or no file."""
    path = tmp_path / "one.m3u"
    path.write_text("http://example.org/a\nhttps://example.org/b\na.mp3\n")
    with pytest.raises(InputError, match="2 of 3 rows"):
        list(read_playlists(path, Reading()))
    path.write_text("#EXTM3U\n")
    with pytest.raises(InputError, match="holds no rows"):
        list(read_playlists(path, Reading()))
    with pytest.raises(InputError, match="cannot read"):
        list(read_playlists(tmp_path / "none.m3u", Reading()))
