"""The field's other common form: float16 ``.npy`` files of vectors with row-aligned Parquet tables of metadata."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.embedding.shards import ROWS_AT_ONCE, Row, put_in_place, read_shard, shard_files
from index.encoders import modality_of
from index.errors import InputError
from index.types import EncoderCard, Facet

VECTORS, METADATA = "vectors.npy", "metadata.parquet"
_CARD = b"simkin.card"
_IDS = ("id", "key", "image_path", "path", "url")
_PATHS = ("path", "image_path", "audio_path", "url")
_OWN = frozenset(("id", "position", "tags", "path", "image_path", "audio_path"))
"""Columns that are no attributes."""


def write_npy(folder: Path, card: EncoderCard) -> int:
    """Write the vectors of one encoder's shards once more as ``vectors.npy`` beside their ``metadata.parquet``.

    ``vectors.npy`` is float16, shape ``(n, dim)``; ``metadata.parquet`` has columns ``id``, ``position``,
    ``path``, ``attributes`` and ``tags``, one row for each vector in the same order, and the encoder's card
    in its schema. Failed rows are in neither.

    Returns:
        Number of rows.
    """
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    total = sum(bool(row.vector) for path in shard_files(folder) for row in read_shard(path))
    vectors_part, table_part = folder / f".{VECTORS}.part", folder / f".{METADATA}.part"
    text = arrow.string()
    schema = arrow.schema(
        [("id", text), ("position", arrow.int64()), ("path", text), ("attributes", text), ("tags", text)],
        metadata={_CARD: json.dumps(card.to_json()).encode()},
    )
    with vectors_part.open("wb") as file, parquet.ParquetWriter(table_part, schema) as writer:
        header = {"descr": "<f2", "fortran_order": False, "shape": (total, card.dim)}
        np.lib.format.write_array_header_1_0(file, header)
        for path in shard_files(folder):
            rows = [row for row in read_shard(path) if row.vector]
            file.write(np.frombuffer(b"".join(row.vector for row in rows), "<f4").astype("<f2").tobytes())
            writer.write_table(arrow.table(list(zip(*(row[:5] for row in rows), strict=True)) or [[]] * 5, schema))
    put_in_place(vectors_part, folder / VECTORS)
    put_in_place(table_part, folder / METADATA)
    return total


@dataclass(frozen=True, slots=True)
class NpyPart:
    """One file of vectors, ``(n, dim)`` of any float type, memory-mapped, and the table of its rows."""

    vectors: NDArray[Any]
    table: Path


def find_parts(folder: Path) -> list[NpyPart]:
    """Find ``.npy`` files below a folder with their tables: of the same name or number, or the only table.

    ``img_emb/img_emb_7.npy`` belongs to ``metadata/metadata_7.parquet``, ``vectors.npy`` to ``metadata.parquet``.

    Raises:
        InputError: None is there, a table is missing or has another number of rows, or dimensions differ.
    """
    import pyarrow.parquet as parquet

    arrays = sorted(folder.rglob("*.npy"), key=_number)
    tables = sorted(folder.rglob("*.parquet"), key=_number)
    if not arrays:
        raise InputError(f"{folder} holds neither shards of simkin embed nor .npy files with .parquet tables")
    parts: list[NpyPart] = []
    for path in arrays:
        mine = [t for t in tables if t.stem == path.stem] or [t for t in tables if _number(t) == _number(path)]
        if len(mine) != 1:
            raise InputError(
                f"{path} has {len(mine)} tables; expected one .parquet of the same name or number, row by row"
            )
        try:
            vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is not a readable .npy file: {error}") from None
        rows = parquet.read_metadata(mine[0]).num_rows
        if vectors.ndim != 2 or vectors.dtype.kind != "f" or len(vectors) != rows:
            raise InputError(
                f"{path} holds {vectors.dtype} of shape {vectors.shape}, {mine[0].name} has {rows} rows; expected "
                "floats of shape (rows, dimensions)"
            )
        if parts and parts[0].vectors.shape[1] != vectors.shape[1]:
            raise InputError(
                f"{path} has {vectors.shape[1]} dimensions, {arrays[0].name} has {parts[0].vectors.shape[1]}; "
                "vectors of two encoders go into two folders"
            )
        parts.append(NpyPart(vectors, mine[0]))
    return parts


def read_card(folder: Path, parts: list[NpyPart]) -> tuple[str, EncoderCard]:
    """The name and card of the encoder that made the vectors; one is made up where the files do not say.

    A made-up encoder is named ``vectors:`` and the folder's name; it cannot describe files.
    """
    import pyarrow.parquet as parquet

    told = (parquet.read_schema(parts[0].table).metadata or {}).get(_CARD)
    if told:
        card = EncoderCard.from_json(json.loads(told))
        return card.name, card
    name, dim = folder.absolute().name, int(parts[0].vectors.shape[1])
    first = next(_table_rows(parts[0].table), {})
    modality = modality_of(str(_first(first, _PATHS) or "").partition("?")[0]) or "image"
    facet = Facet(f"content:{name}", 0, dim, whitening=0.0, kept=min(dim, 256), same=0.97, source="ready-made vectors")
    card = EncoderCard(f"vectors:{name}", 1, modality, (facet,), {"dim": dim}, "unknown", f"the folder {name}")
    return card.name, card


def read_npy(parts: list[NpyPart], card: EncoderCard) -> Iterator[Row]:
    """Read all rows, each facet scaled to unit length; a vector with values that are no numbers is a failed row.

    Raises:
        InputError: A table has no column to be the id, or cannot be read.
    """
    for part in parts:
        for at, row in enumerate(_table_rows(part.table)):
            identity = _first(row, _IDS)
            if identity is None:
                raise InputError(
                    f"{part.table} has no id in row {at + 1}; expected one of the columns {', '.join(_IDS)}, found: "
                    f"{', '.join(row)}"
                )
            path = str(_first(row, _PATHS) or "")
            told = row.get("attributes")
            attributes = str(told) if isinstance(told, str) and told.startswith("{") else _attributes(row)
            vector = np.asarray(part.vectors[at], np.float32)
            if np.isfinite(vector).all() and vector.any():
                content, stage, error = _unit(vector, card).tobytes(), "", ""
            else:
                content, stage, error = b"", "encode", "the vector holds zeros alone, or values that are no numbers"
            position = row.get("position")
            yield Row(
                str(identity), position if isinstance(position, int) else 0, os.fspath(path), attributes,
                str(row.get("tags") or "{}"), content, stage, error,
            )  # fmt: skip


def _unit(vector: NDArray[np.float32], card: EncoderCard) -> NDArray[np.float32]:
    out = np.zeros(card.dim, "<f4")
    for facet in card.facets:
        part = vector[facet.start : facet.stop]
        length = float(np.linalg.norm(part.astype(np.float64)))
        if length > 0:
            out[facet.start : facet.stop] = part / length
    return out


def _number(path: Path) -> tuple[int, str]:
    """The number at the end of a file's name; -1 for names without."""
    found = re.search(r"(\d+)$", path.stem)
    return (int(found[1]), "") if found else (-1, "")


def _table_rows(table: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(table) as file:
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
            yield from batch.to_pylist()


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _attributes(row: Mapping[str, Any]) -> str:
    kept = {k: v for k, v in row.items() if k not in _OWN and isinstance(v, str | int | float | bool) and v == v}
    return json.dumps(kept, ensure_ascii=False)
