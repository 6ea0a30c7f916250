"""Tar files as webdataset writes them: members that share a key are one item."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, NamedTuple

from index.encoders import modality_of
from index.errors import InputError
from index.ingesting.scan import REPEATED
from index.types import Attribute, Modality

TAR_SUFFIX = ".tar"
PACKED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")

LARGEST_TEXT = 1 << 20
"""Bytes of a ``.json`` or ``.txt`` member that are read as attributes; larger ones are passed over."""

_TEXTS = {"txt": "caption", "cls": "class"}


class Member(NamedTuple):
    """One picture or sound inside a tar.

    Attributes:
        item_id: The key: its name up to the first dot of its last part.
        position: Place among the media of its key.
        name: As the tar says it.
        offset: Of its first byte in the tar.
        size: Bytes.
        modality: Picture or sound, by the name's ending.
        attributes: JSON object of the key's ``.json``, ``.txt`` (as ``caption``) and ``.cls`` (as ``class``).
        problem: Why it cannot be read; empty when nothing is known.
    """

    item_id: str
    position: int
    name: str
    offset: int
    size: int
    modality: Modality
    attributes: str
    problem: str = ""


@dataclass
class _Sample:
    key: str
    media: list[tuple[tarfile.TarInfo, Modality]] = field(default_factory=list)
    attributes: dict[str, Attribute] = field(default_factory=dict)


def scan_tar(file: IO[bytes], name: str) -> Iterator[Member]:
    """List the pictures and sounds of a tar, in the order of the tar, reading headers and small texts alone.

    Args:
        file: The tar, with ``seek``.
        name: Shown in errors.

    Raises:
        InputError: It is compressed or no tar; or its end is missing, after what is there was yielded.
    """
    seen: set[int] = set()
    try:
        with tarfile.open(fileobj=file, mode="r:", errors="backslashreplace") as tar:
            sample = _Sample("")
            for info in tar:
                tar.members = []  # type: ignore[attr-defined]  # else it remembers every header
                links = info.issym() or info.islnk()
                if not (info.isreg() or links) or PurePosixPath(info.name).name.startswith((".", "__")):
                    continue
                key, ending = key_of(info.name)
                if key != sample.key:
                    yield from _members(sample, seen)
                    sample = _Sample(key)
                modality = modality_of(info.name)
                if modality:
                    sample.media.append((info, modality))
                elif not links and (ending == "json" or ending in _TEXTS) and info.size <= LARGEST_TEXT:
                    content = tar.extractfile(info)
                    sample.attributes |= _attributes(ending, content.read() if content else b"")
            yield from _members(sample, seen)
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes any header it cannot read for the end
                raise tarfile.ReadError(f"no header at byte {tar.offset:,}")
    except (tarfile.TarError, EOFError) as error:
        raise InputError(
            f"{name} is cut off, damaged, compressed or no tar file ({error}); expected an uncompressed .tar, fetch or "
            "unpack it again"
        ) from None


def key_of(name: str) -> tuple[str, str]:
    """Return a member's key and ending: ``("a/0001", "seg.png")`` for ``a/0001.seg.png``."""
    folder, _, last = name.removeprefix("./").rpartition("/")
    stem, _, ending = last.partition(".")
    return (f"{folder}/{stem}" if folder else stem), ending.lower()


def _members(sample: _Sample, seen: set[int]) -> Iterator[Member]:
    if not sample.media:
        return
    problem = "the tar has this key twice, apart from each other; the first is kept" if hash(sample.key) in seen else ""
    seen.add(hash(sample.key))
    attributes = json.dumps(sample.attributes, ensure_ascii=False)
    for position, (info, modality) in enumerate(sample.media):
        place = REPEATED + info.offset_data // tarfile.BLOCKSIZE if problem else position
        yield Member(
            sample.key, place, info.name, info.offset_data, info.size, modality, attributes,
            problem or _unreadable(info),
        )  # fmt: skip


def _unreadable(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return f"it is a link to {info.linkname!r}; links in a tar are not followed"
    return "sparse members cannot be read" if info.sparse else ""


def _attributes(ending: str, content: bytes) -> dict[str, Attribute]:
    text = content.decode("utf-8", "replace").strip()
    if ending in _TEXTS:
        return {_TEXTS[ending]: text}
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(told, dict):
        return {}
    return {str(k): v for k, v in told.items() if isinstance(v, str | int | float | bool) and v == v}
