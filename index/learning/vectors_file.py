"""Vectors from elsewhere: NumPy or Parquet files with one vector for each id."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from index.errors import InputError
from index.types import Vectors


def read_vectors_file(path: Path) -> tuple[list[str], Vectors]:
    """Read ids and their vectors.

    Args:
        path: ``.npy`` holding an array of shape ``(n, d)``, with the ids beside it under the same name, as
            ``.parquet`` (column ``id``) or ``.txt`` (UTF-8, one id on each line); ``.npz`` holding arrays ``ids``
            and ``vectors``; or ``.parquet`` with columns ``id`` and ``vector`` (a list of numbers in each row).

    Returns:
        n ids in order, and float32, shape ``(n, d)``.

    Raises:
        InputError: Missing, unreadable, of another form; empty; ids repeated; values not finite.
    """
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz", ".parquet", ".pq") and not path.is_file():
        raise InputError(f"{path} does not exist; expected a file of vectors, .npy, .npz or .parquet")
    if suffix == ".npy":
        ids, vectors = _beside(path), _array(path)
    elif suffix == ".npz":
        ids, vectors = _archive(path)
    elif suffix in (".parquet", ".pq"):
        ids, vectors = _table(path)
    else:
        raise InputError(f"{path} holds no vectors that can be read; expected .npy, .npz or .parquet")
    if vectors.ndim != 2 or not vectors.size or vectors.dtype.kind not in "fiu":
        raise InputError(
            f"{path} must hold one vector of numbers for each id, found {vectors.dtype} of shape {vectors.shape}"
        )
    if len(ids) != len(vectors):
        raise InputError(f"{path} has {len(vectors)} vectors for {len(ids)} ids; give one id for each")
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise InputError(f"{path} gives the id {name!r} twice; keep one vector for each id")
        seen.add(name)
    with np.errstate(over="ignore"):
        single = vectors.astype(np.float32)
    if not np.isfinite(single).all():
        wrong = int(np.flatnonzero(~np.isfinite(single).all(axis=1))[0])
        raise InputError(f"{path} holds a value that is infinite or NaN, for id {ids[wrong]!r}; repair or remove it")
    return ids, single


def _array(path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is not a readable array of numbers: {error}") from None


def _archive(path: Path) -> tuple[list[str], np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in ("ids", "vectors") if name not in arrays]
            if missing:
                found = ", ".join(arrays) or "none"
                raise InputError(f"{path} has no array {missing[0]!r}; expected 'ids' and 'vectors', found: {found}")
            return _ids(path, arrays["ids"].ravel().tolist()), arrays["vectors"]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError, BadZipFile, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a readable archive of arrays: {error}") from None


def _beside(path: Path) -> list[str]:
    table, text = path.with_suffix(".parquet"), path.with_suffix(".txt")
    if table.exists():
        return _ids(table, _column(table, "id"))
    try:
        return _ids(text, text.read_text(encoding="utf-8-sig").splitlines())
    except FileNotFoundError:
        raise InputError(f"{path} needs its ids beside it, in {table.name} or {text.name}; neither is there") from None
    except OSError as error:
        raise InputError(f"cannot read {text}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{text} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def _table(path: Path) -> tuple[list[str], np.ndarray]:
    ids, lists = _ids(path, _column(path, "id")), _column(path, "vector")
    try:
        return ids, np.array(lists, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{path}: every 'vector' must be a list of as many numbers as the others") from None


def _column(path: Path, name: str) -> list[object]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            if name not in file.schema_arrow.names:
                raise InputError(
                    f"{path} has no column {name!r}; found: {', '.join(file.schema_arrow.names) or 'none'}"
                )
            column: list[object] = file.read(columns=[name]).column(name).to_pylist()
            return column
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except pyarrow.ArrowException as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from None


def _ids(path: Path, values: Iterable[object]) -> list[str]:
    ids = []
    for number, value in enumerate(values, 1):
        name = "" if value is None else str(value).strip()
        if not name:
            raise InputError(f"{path}: row {number} has no id; give every vector one")
        ids.append(name)
    return ids
