"""Files behind a URL: listed and read through fsspec, whatever scheme its user has installed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from index.errors import InputError, MediaError, MissingExtraError

_BLOCK = 1 << 20

_STAMPS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime", "modified", "created")
"""What file systems call what changes with a file's content, best first."""


class RemoteFile(NamedTuple):
    """A file as a listing shows it: full URL, bytes, and a number that changes when the file does."""

    url: str
    size: int
    stamp: int


def scheme_of(name: str) -> str:
    """Return the scheme of a URL, such as ``"s3"``; empty for a local name."""
    scheme, mark, _ = name.partition("://")
    return scheme.lower() if mark and scheme and "/" not in scheme else ""


def is_http(name: str) -> bool:
    """Whether a name is an ``http://`` or ``https://`` address."""
    return scheme_of(name) in ("http", "https")


def look_up(url: str) -> tuple[str, list[RemoteFile] | Iterator[RemoteFile]]:
    """Tell what a URL names: one file, several by a pattern (``*``), or a folder.

    Returns:
        The URL below which item ids are told, and the files; of a folder all that lie below it, by name.

    Raises:
        InputError: Nothing is there, it cannot be listed, or the scheme is unknown.
        MissingExtraError: fsspec, or what it needs for this scheme, is not installed.
    """
    files, path = _file_system(url)
    try:
        if any(sign in url for sign in "*["):
            found = [_file(files, info) for info in _details(files.glob(path, detail=True))]
            if not found:
                raise InputError(f"{url} matches no file")
            return str(files.unstrip_protocol(path.partition("*")[0].partition("[")[0].rpartition("/")[0])), found
        info = files.info(path)
        if info["type"] != "directory":
            file = _file(files, info)
            return file.url.rpartition("/")[0], [file]
        return str(files.unstrip_protocol(path)).rstrip("/"), _below(files, path)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(
            f"{url} does not exist; expected a folder, a table, a tar file, a picture or a sound"
        ) from None
    except Exception as error:  # every file system raises its own
        raise InputError(f"{url} cannot be listed: {_first_line(error)}") from None


def open_remote(url: str) -> IO[bytes]:
    """Open a remote file for reading with ``seek``.

    Raises:
        InputError: It cannot be opened.
        MissingExtraError: As ``look_up``.
    """
    files, path = _file_system(url)
    try:
        opened: IO[bytes] = files.open(path, "rb")
    except Exception as error:  # as above
        raise InputError(f"{url} cannot be opened: {_first_line(error)}") from None
    return opened


def fetch_remote(url: str, target: Path, largest: int, offset: int = -1, size: int = 0) -> None:
    """Write a remote file, or ``size`` bytes of it from ``offset`` on, to a local one.

    Raises:
        MediaError: Stage ``"read"``; it cannot be read, is cut off, or has more than ``largest`` bytes.
    """
    try:
        files, path = _file_system(url)
        if offset >= 0:
            content = files.cat_file(path, start=offset, end=offset + size)
            if len(content) != size:
                raise MediaError("read", f"{size} bytes were expected there, {len(content)} found")
            target.write_bytes(content)
            return
        length = 0
        with files.open(path, "rb") as source, target.open("wb") as file:
            while block := source.read(_BLOCK):
                length += len(block)
                if length > largest:
                    raise MediaError("read", f"it has more than the {largest:,} bytes allowed")
                file.write(block)
    except MediaError:
        raise
    except FileNotFoundError:
        raise MediaError("read", "no such file") from None
    except Exception as error:  # every file system raises its own
        raise MediaError("read", f"it cannot be fetched: {_first_line(error)}") from None


def _file_system(url: str) -> tuple[Any, str]:
    scheme = scheme_of(url)
    if "::" in url:
        raise InputError(f"{url} chains file systems; name one, such as s3://bucket/folder")
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingExtraError(f"{scheme}:// needs fsspec; install it with: pip install 'simkin[remote]'") from None
    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        raise MissingExtraError(f"{scheme}:// needs one more package: {_first_line(error)}") from None
    except Exception as error:  # unknown schemes, credentials that are missing
        raise InputError(f"{url} cannot be reached: {_first_line(error)}") from None
    return files, path


def _below(files: Any, folder: str) -> Iterator[RemoteFile]:
    """All files below a folder, folder by folder, names in order, hidden ones passed over."""
    listing = sorted(files.ls(folder, detail=True), key=lambda info: str(info["name"]))
    for info in listing:
        name = str(info["name"]).rstrip("/").rpartition("/")[2]
        if name.startswith(".") or str(info["name"]).rstrip("/") == folder.rstrip("/"):
            continue
        if info["type"] == "directory":
            yield from _below(files, info["name"])
        else:
            yield _file(files, info)


def _details(found: Any) -> list[Mapping[str, Any]]:
    return [info for _, info in sorted(found.items()) if info["type"] != "directory"]


def _file(files: Any, info: Mapping[str, Any]) -> RemoteFile:
    stamp = next((info[name] for name in _STAMPS if info.get(name)), "")
    url = files.unstrip_protocol(info["name"])
    return RemoteFile(url, int(info.get("size") or 0), zlib.crc32(str(stamp).encode()))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
