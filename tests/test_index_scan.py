"""Walking folders: what is seen, in which order, and what cannot be seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from index.errors import InputError
from index.ingesting.scan import REPEATED, Entry, entry_id, scan_folder


def scan(folder: Path) -> tuple[list[Entry], list[bytes]]:
    unknown: list[bytes] = []
    return list(scan_folder(os.fsencode(folder), lambda _, name: name, unknown.append)), unknown


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def ids(folder: Path) -> list[str]:
    return [entry.item_id for entry in scan(folder)[0]]


def test_pictures_and_sounds_are_found_in_order_and_nothing_else(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "notes.txt", "sub/deep/c.mp3", "sub/a.flac", "jpg", ".hidden.jpg", ".trash/d.jpg")
    assert ids(tmp_path) == ["a.png", "b.JPG", "sub/a.flac", "sub/deep/c.mp3"]


def test_an_entry_says_what_stat_says_and_in_which_folder_it_lies(tmp_path: Path) -> None:
    touch(tmp_path, "Shoes/Red/a.jpg", "b.wav")
    (red, top), _ = scan(tmp_path)
    status = (tmp_path / "Shoes/Red/a.jpg").stat()
    assert red == Entry(
        "Shoes/Red/a.jpg", 0, b"Shoes/Red/a.jpg", "image", status.st_size, status.st_mtime_ns, "Red", ""
    )
    assert (top.modality, top.attributes) == ("audio", "")


def test_a_catalog_inside_the_folder_is_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "my.simkin/catalog.db", "my.simkin/writer.json", "my.simkin/generations/1/x.jpg")
    assert ids(tmp_path) == ["a.jpg"]


def test_another_programs_catalog_db_hides_nothing(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "catalog.db", "sub/b.jpg")
    assert ids(tmp_path) == ["a.jpg", "sub/b.jpg"]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.jpg")
    (tmp_path / "sub/up").symlink_to(tmp_path)
    (tmp_path / "sub/self").symlink_to("self")
    (tmp_path / "sub/self.jpg").symlink_to("self.jpg")
    entries, _ = scan(tmp_path)
    assert [entry.item_id for entry in entries] == ["sub/a.jpg", "sub/self.jpg"]
    assert "symbolic links" in entries[1].problem


def test_a_linked_file_is_followed_and_a_folder_entered_once(tmp_path: Path) -> None:
    touch(tmp_path, "photos/a.jpg")
    (tmp_path / "photos/link.jpg").symlink_to("a.jpg")
    (tmp_path / "again").symlink_to("photos")
    entries, _ = scan(tmp_path)
    assert [entry.item_id for entry in entries] == ["again/a.jpg", "again/link.jpg"]
    assert entries[1].size == entries[0].size


def test_a_dangling_link_to_a_picture_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("nowhere.jpg")
    ((entry,), unknown) = scan(tmp_path)
    assert (entry.size, entry.problem, unknown) == (-1, "no such file or directory", [])


def test_a_link_to_a_folder_that_is_gone_tells_that_its_content_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "disk").symlink_to("/nowhere/mounted")
    assert scan(tmp_path) == ([], [b"disk/"])


def test_a_name_that_is_not_utf8_is_shown_with_escapes_and_kept_as_bytes(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))).write_bytes(b"x")
    ((entry,), _) = scan(tmp_path)
    assert (entry.item_id, entry.path) == ("caf\\xe9.jpg", b"caf\xe9.jpg")


def test_two_names_that_look_alike_when_escaped_are_not_confused(tmp_path: Path) -> None:
    touch(tmp_path, "caf\\xe9.jpg")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))).write_bytes(b"x")
    entries, _ = scan(tmp_path)
    assert sorted((entry.position, bool(entry.problem)) for entry in entries) == [(0, False), (REPEATED, True)]


def test_the_longest_names_and_deep_folders_are_found(tmp_path: Path) -> None:
    deep = "/".join(["d" * 20] * 150)
    touch(tmp_path, "n" * 251 + ".jpg", f"{deep}/a.jpg")
    assert len(ids(tmp_path)) == 2


def test_a_folder_that_cannot_be_listed_is_an_entry_with_a_problem(
    tmp_path: Path, as_nobody: Callable[[Path, Callable[[], Any]], Any]
) -> None:
    touch(tmp_path, "a.jpg", "locked/b.jpg", "z.jpg")
    (tmp_path / "locked").chmod(0o000)
    try:
        entries, unknown = as_nobody(tmp_path, lambda: scan(tmp_path))
    finally:
        (tmp_path / "locked").chmod(0o755)
    assert [entry.item_id for entry in entries] == ["a.jpg", "locked/", "z.jpg"]
    assert entries[1].problem == "the folder cannot be listed: permission denied"
    assert unknown == [b"locked/"]


def test_a_root_that_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot list .*gone: no such file"):
        scan(tmp_path / "gone")


def test_ids_of_ordinary_paths_are_the_paths() -> None:
    assert entry_id("é/ü.jpg".encode()) == "é/ü.jpg"
