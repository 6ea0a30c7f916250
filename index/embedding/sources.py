"""What a job may be given: folders, tables, files, tars, and URLs of all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from index.embedding.http import fetch
from index.embedding.remote import RemoteFile, fetch_remote, is_http, look_up, open_remote, scheme_of
from index.embedding.tars import PACKED_SUFFIXES, TAR_SUFFIX, scan_tar
from index.encoders import modality_of
from index.errors import InputError, MediaError
from index.ingesting.scan import Entry, entry_id, folder_attributes, scan_folder, unreadable
from index.ingesting.tables import TABLE_SUFFIXES, is_table, scan_table

EXPECTED = "a folder, a table (.csv, .tsv, .jsonl, .parquet), a tar, a picture or a sound"

LARGEST_TABLE = 4 << 30
"""Bytes of a table that is fetched."""


class Found(NamedTuple):
    """One picture or sound that a source names.

    Attributes:
        entry: With an absolute path, or a URL; of a tar, that of the tar.
        member: Its name inside the tar; empty outside of one.
        offset: Of its first byte in the tar; -1 for a file by itself.
    """

    entry: Entry
    member: str = ""
    offset: int = -1


@dataclass(frozen=True, slots=True)
class Access:
    """How far a source may reach.

    Attributes:
        outside: Tables may name files outside their own folder with ``..``.
        http: ``http://`` and ``https://`` addresses are fetched.
    """

    outside: bool = False
    http: bool = False


def settled(source: str) -> str:
    """Return a source's name as it is remembered: a URL as it is, a local path absolute.

    Raises:
        InputError: It does not exist, or is nothing that can be read.
    """
    if scheme_of(source) == "file":
        source = source.partition("://")[2]
    if scheme_of(source):
        return source
    path = Path(os.path.abspath(source))
    if path.name.lower().endswith(PACKED_SUFFIXES):
        raise InputError(f"{path} is compressed, so its members cannot be read in place; unpack it to a plain .tar")
    if not path.exists():
        raise InputError(f"{path} does not exist; expected {EXPECTED}")
    if not path.is_dir() and not is_table(path) and path.suffix.lower() != TAR_SUFFIX and not modality_of(path.name):
        raise InputError(f"{path} is not {EXPECTED}")
    return os.fspath(path)


def scan_source(source: str, access: Access, scratch: Path, trouble: Callable[[str], None]) -> Iterator[Found]:
    """List what a source names, always in the same order.

    Args:
        source: As ``settled`` gives it.
        scratch: A folder for tables that must be fetched first.
        trouble: Told of folders and tars that cannot be listed to their end; the rest is listed.

    Raises:
        InputError: The source itself cannot be read.
        MissingExtraError: A URL needs a package that is not installed.
    """
    if is_http(source):
        yield from _over_http(source, access, scratch)
    elif scheme_of(source):
        yield from _remote(source, access, scratch, trouble)
    else:
        yield from _local(Path(source), access, trouble)


def _local(path: Path, access: Access, trouble: Callable[[str], None]) -> Iterator[Found]:
    root = os.fsencode(path if path.is_dir() else path.parent)
    if path.is_dir():
        for entry in scan_folder(root, folder_attributes({}), lambda _: None):
            if entry.path.endswith(b"/"):
                trouble(f"{path / entry.item_id}: {entry.problem}")
            else:
                yield Found(entry._replace(path=os.path.join(root, entry.path)))
    elif is_table(path):
        yield from _table(path, access, "")
    elif path.suffix.lower() == TAR_SUFFIX:
        status = path.stat()
        with path.open("rb") as file:
            yield from _tar(file, os.fsencode(path), status.st_mtime_ns, trouble)
    else:
        status = path.stat()
        name = os.fsencode(path.name)
        entry = Entry(entry_id(name), 0, os.fsencode(path), "image", status.st_size, status.st_mtime_ns, "{}")
        yield Found(entry._replace(modality=modality_of(path.name) or "image"))


def _table(path: Path, access: Access, base_url: str) -> Iterator[Found]:
    folder = os.fsencode(path.parent.absolute())
    for entry in scan_table(path, allow_outside=access.outside, urls=True, base_url=base_url):
        if b"://" not in entry.path:
            yield Found(entry._replace(path=os.path.join(folder, entry.path) if entry.path else b""))
            continue
        problem = entry.problem or _forbidden(entry_id(entry.path), access)
        yield Found(_refused(entry, problem) if problem else entry)


def _forbidden(url: str, access: Access) -> str:
    """Why a table may not name an address; empty when it may."""
    if is_http(url):
        return "" if access.http else f"{url} is not fetched unless asked; allow it with --allow-http"
    if "::" in url or scheme_of(url) in ("", "file", "local"):
        return f"{url} is no address that a table may name; name local files by their paths"
    return ""


def _refused(entry: Entry, problem: str) -> Entry:
    return unreadable(entry.item_id, entry.position, entry.path, entry.modality, entry.attributes, problem)


def _tar(file: IO[bytes], path: bytes, stamp: int, trouble: Callable[[str], None]) -> Iterator[Found]:
    try:
        for member in scan_tar(file, entry_id(path)):
            item_id, position, name, offset, size, modality, attributes, problem = member
            entry = Entry(item_id, position, path, modality, size, stamp, attributes, problem)
            yield Found(entry, name, offset)
    except InputError as error:
        trouble(str(error))


def _remote(url: str, access: Access, scratch: Path, trouble: Callable[[str], None]) -> Iterator[Found]:
    base, files = look_up(url)
    for file in files:
        lowered = file.url.lower()
        if lowered.endswith(TABLE_SUFFIXES) and isinstance(files, list):  # one in a folder is data, not a source
            yield from _table(_fetched(file, scratch), access, base)
        elif lowered.endswith(TAR_SUFFIX):
            with open_remote(file.url) as opened:
                yield from _tar(opened, file.url.encode(), file.stamp, trouble)
        elif modality := modality_of(file.url):
            below = file.url.removeprefix(base).lstrip("/")
            folder = below.rpartition("/")[0].rpartition("/")[2]
            attributes = folder_attributes({})(below, folder)
            yield Found(Entry(below, 0, file.url.encode(), modality, file.size, file.stamp, attributes))


def _fetched(file: RemoteFile, scratch: Path) -> Path:
    target = scratch / file.url.rpartition("/")[2]
    try:
        fetch_remote(file.url, target, LARGEST_TABLE)
    except MediaError as error:
        raise InputError(f"{file.url}: {error.reason}") from None
    return target


def _over_http(url: str, access: Access, scratch: Path) -> Iterator[Found]:
    if not access.http:
        raise InputError(f"{url} is not fetched unless asked; allow it with --allow-http")
    name = url.partition("?")[0].rpartition("/")[2]
    if is_table(Path(name)):
        target = scratch / name
        try:
            fetch(url, target, LARGEST_TABLE, seconds=3600)
        except MediaError as error:
            raise InputError(f"{url}: {error.reason}") from None
        yield from _table(target, access, url.partition("?")[0].rpartition("/")[0])
    elif modality := modality_of(name):
        yield Found(Entry(name, 0, url.encode(), modality, 0, 0, "{}"))
    else:
        raise InputError(
            f"{url} is neither a table (.csv, .tsv, .jsonl, .parquet), a picture nor a sound; fetch folders and tars "
            "first, or name them by a scheme of fsspec"
        )
