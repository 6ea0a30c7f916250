"""Shards on disk: Parquet files of vectors, and the manifest that says which of them are finished.

An output folder holds ``manifest.json``, the plan (``job.db``) and one folder for each encoder with
``shard-000000.parquet``, …. A file counts only when the manifest names it with the hash it has; anything
else is what a killed run left behind.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from index.errors import InputError
from index.types import EncoderCard, Vectors

MANIFEST = "manifest.json"
FORMAT = "simkin-embed"
VERSION = 1
PARTIAL = ".part"
"""How names of shards end that are being written: by their writer's name, for two hosts may have the same shard
in hand, when one is taken for dead."""

ROWS_AT_ONCE = 4096
"""Rows read at once."""


class Row(NamedTuple):
    """One row of a shard.

    Attributes:
        item_id: The item.
        position: Of this file among the item's media, from 0.
        path: Its file, absolute, or a URL; inside a tar the tar's path, a slash and the member's name. Text;
            bytes that are not UTF-8 are shown as ``\\xNN``.
        attributes: JSON object of what the source says of the item.
        tags: JSON object of what the file says of itself.
        vector: Little-endian float32 bytes; empty when it failed.
        stage: Where it failed; empty when it did not.
        error: Why.
    """

    item_id: str
    position: int
    path: str
    attributes: str
    tags: str
    vector: bytes
    stage: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One finished file: its rows, how many of them failed, and the hash of its content."""

    rows: int
    failed: int
    sha256: str


@dataclass(slots=True)
class EncoderShards:
    """The shards of one encoder; ``folder`` lies below the output folder, ``shards`` go by file name."""

    folder: str
    card: EncoderCard
    shards: dict[str, ShardFile] = field(default_factory=dict)


@dataclass(slots=True)
class Manifest:
    """What an output folder holds.

    Attributes:
        sources: Absolute paths or URLs, in the order they were first named.
        encoders: Name → its shards.
        provider: What networks ran on; ``"cuda"`` differs from ``"cpu"`` in the last bits.
    """

    sources: list[str] = field(default_factory=list)
    encoders: dict[str, EncoderShards] = field(default_factory=dict)
    provider: str = "cpu"

    def save(self, out: Path) -> None:
        """Replace ``manifest.json`` in one step.

        Raises:
            OSError: It cannot be written.
        """
        encoders = {
            name: {
                "folder": held.folder,
                "fingerprint": held.card.fingerprint,
                "dim": held.card.dim,
                "rows": sum(shard.rows for shard in held.shards.values()),
                "failed": sum(shard.failed for shard in held.shards.values()),
                "card": held.card.to_json(),
                "shards": {  # by number, whatever the order they were finished in
                    n: {"rows": s.rows, "failed": s.failed, "sha256": s.sha256}
                    for n, s in sorted(held.shards.items(), key=lambda shard: (len(shard[0]), shard[0]))
                },
            }
            for name, held in self.encoders.items()
        }
        content = {"format": FORMAT, "version": VERSION, "sources": self.sources, "encoders": encoders}
        if self.provider != "cpu":
            content["provider"] = self.provider
        partial = out / f".{MANIFEST}.part"
        with partial.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, out / MANIFEST)

    @classmethod
    def load(cls, out: Path) -> Manifest | None:
        """Read ``manifest.json``; ``None`` when there is none.

        Raises:
            InputError: It is not readable, or of another format or version.
        """
        try:
            content = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
            told = (content["format"], content["version"])
            if told != (FORMAT, VERSION):
                raise InputError(
                    f"{out / MANIFEST} is {told[0]} version {told[1]}; expected {FORMAT} version {VERSION}; "
                    "name another folder"
                )
            encoders = {name: _encoder_shards(held) for name, held in content["encoders"].items()}
            return cls(list(content["sources"]), encoders, str(content.get("provider", "cpu")))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"cannot read {out / MANIFEST}: {error.strerror or error}") from None
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"{out / MANIFEST} is not a manifest of embed shards; name another folder") from None


def _encoder_shards(content: dict[str, Any]) -> EncoderShards:
    shards = {name: ShardFile(**told) for name, told in content["shards"].items()}
    return EncoderShards(content["folder"], EncoderCard.from_json(content["card"]), shards)


def encoder_folder(name: str) -> str:
    """Return the folder of an encoder: its name, or for names that no folder can have the end of it and a hash."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        return name
    end = re.sub(r"[^A-Za-z0-9_-]+", "-", name.partition("?")[0].rpartition("/")[2]).strip("-")
    return f"{end[:60]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"


def shard_name(number: int) -> str:
    """Return the file name of a shard, counted from 0."""
    return f"shard-{number:06d}.parquet"


@contextmanager
def placed(path: Path) -> Iterator[Path]:
    """Where the body shall write a file, which takes its place once the body has ended well."""
    partial = partial_of(path)
    yield partial
    put_in_place(partial, path)


def sha256_of(path: Path) -> str:
    """Return the hash of a file's content, as 64 hex digits; empty when there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def partial_of(path: Path) -> Path:
    """Where a file or folder is made before it takes its place: see ``PARTIAL``."""
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}{PARTIAL}")


def put_in_place(partial: Path, path: Path) -> str:
    """Bring a written file to disk, give it its name in one step, and return its hash."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    os.replace(partial, path)
    return sha256


def write_shard(path: Path, encoder: str, card: EncoderCard, rows: Sequence[Row]) -> ShardFile:
    """Write one shard under a temporary name, then rename it; the same rows give the same bytes.

    Columns: ``id``, ``position``, ``path``, ``encoder``, ``fingerprint``, ``vector`` (float32, list of the
    fixed size ``card.dim``; null when failed), ``status`` (``"ok"`` or ``"failed"``), ``stage``, ``error``,
    ``attributes`` and ``tags`` (JSON objects).

    Raises:
        OSError: It cannot be written.
    """
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    numbers = np.frombuffer(b"".join(row.vector or bytes(4 * card.dim) for row in rows), "<f4")
    missing = arrow.array([not row.vector for row in rows], arrow.bool_())
    text = arrow.string()
    columns = {
        "id": arrow.array([row.item_id for row in rows], text),
        "position": arrow.array([row.position for row in rows], arrow.int64()),
        "path": arrow.array([row.path for row in rows], text),
        "encoder": arrow.array([encoder] * len(rows), text),
        "fingerprint": arrow.array([card.fingerprint] * len(rows), text),
        "vector": arrow.FixedSizeListArray.from_arrays(arrow.array(numbers), card.dim, mask=missing),
        "status": arrow.array(["ok" if row.vector else "failed" for row in rows], text),
        "stage": arrow.array([row.stage or None for row in rows], text),
        "error": arrow.array([row.error or None for row in rows], text),
        "attributes": arrow.array([row.attributes for row in rows], text),
        "tags": arrow.array([row.tags for row in rows], text),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(path)
    few = ["encoder", "fingerprint", "status", "stage", "attributes", "tags"]
    parquet.write_table(arrow.table(columns), partial, use_dictionary=few, compression="zstd")
    return ShardFile(len(rows), sum(not row.vector for row in rows), put_in_place(partial, path))


def read_ids(path: Path) -> Iterator[str]:
    """The item of each row of a shard, in order.

    Raises:
        OSError, pyarrow.ArrowException: It cannot be read.
        KeyError: It lacks the column.
    """
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=["id"]):
            yield from batch.column("id").to_pylist()


def read_shard(path: Path, only: Container[str] | None = None) -> Iterator[Row]:
    """Read the rows of a shard, in order, some thousand at a time.

    Args:
        only: Ids of the items to read; ``None`` for all.

    Raises:
        OSError, pyarrow.ArrowException: It cannot be read.
        KeyError: It lacks a column.
    """
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    names = ["id", "position", "path", "attributes", "tags", "stage", "error"]
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=[*names, "vector"]):
            if only is not None:
                wanted = [at for at, name in enumerate(batch.column("id").to_pylist()) if name in only]
                if not wanted:
                    continue
                batch = batch.take(arrow.array(wanted, arrow.int64()))
            values = [batch.column(name).to_pylist() for name in names]
            column = batch.column("vector")
            flat = column.values.to_numpy(zero_copy_only=False)[column.offset * column.type.list_size :]
            vectors = flat.astype("<f4", copy=False).reshape(-1, column.type.list_size)
            good = column.is_valid().to_pylist()
            for at, (item_id, position, place, attributes, tags, stage, error) in enumerate(zip(*values, strict=True)):
                vector = vectors[at].tobytes() if good[at] else b""
                yield Row(item_id, position, place, attributes, tags, vector, stage or "", error or "")


def adopt_shard(path: Path, fingerprint: str, planned: Iterable[tuple[str, int]]) -> ShardFile | None:
    """Look at a file that no manifest vouches for: is it the shard that was planned?

    Args:
        fingerprint: Of the encoder.
        planned: Id and position of each of its rows, in order.

    Returns:
        What a manifest would say of it; ``None`` when there is none, or it is another one or damaged.
    """
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        table = parquet.read_table(path, columns=["id", "position", "fingerprint", "status"])
    except (OSError, arrow.ArrowException, KeyError, ValueError):
        return None
    held = list(zip(table.column("id").to_pylist(), table.column("position").to_pylist(), strict=True))
    if held != list(planned) or set(table.column("fingerprint").to_pylist()) != {fingerprint}:
        return None
    return ShardFile(len(held), table.column("status").to_pylist().count("failed"), sha256_of(path))


def shard_files(folder: Path) -> list[Path]:
    """The shards of one encoder, in the order of the plan.

    Raises:
        InputError: The folder holds none.
    """
    names = sorted(folder.glob("shard-*.parquet"), key=lambda path: int(path.stem.partition("-")[2]))
    if not names:
        raise InputError(f"{folder} holds no shards; name the folder of one encoder, such as OUT/builtin-image")
    return names


def read_vectors(folder: Path) -> Iterator[tuple[list[str], Vectors]]:
    """Read the vectors of one encoder's folder, some thousand rows at a time; failed rows are passed over.

    Args:
        folder: Below the output folder, such as ``out/builtin-image``.

    Yields:
        Ids, and their vectors: float32, shape ``(n, dim)``, n > 0, in the order of the plan.

    Raises:
        InputError: The folder holds no shards.
    """
    import pyarrow.parquet as parquet

    for name in shard_files(folder):
        with parquet.ParquetFile(name) as file:
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=["id", "vector"]):
                held = batch.filter(batch.column("vector").is_valid())
                if held.num_rows:
                    column = held.column("vector")
                    flat = column.flatten().to_numpy(zero_copy_only=False)
                    vectors: Vectors = flat.astype(np.float32, copy=False).reshape(-1, column.type.list_size)
                    yield held.column("id").to_pylist(), vectors
