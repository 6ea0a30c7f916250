"""Ids of rows: as they were written, whatever they are made of."""

from pathlib import Path

import numpy as np
import pytest

from index.engine import ids as module
from index.engine.ids import ENDS, IDS, Ids, write_ids
from index.errors import StaleIndexError

SOME = ["a", "", "ordner/bild 1.jpg", "日本", "é" * 300, "'; DROP TABLE items", "🎵"]


def test_ids_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written in several blocks."""
    monkeypatch.setattr(module, "AT_ONCE", 3)
    write_ids(tmp_path, iter(SOME))
    kept = Ids(tmp_path, len(SOME))
    rows = np.asarray([3, 0, 6, 1, 1, 2, 5, 4])
    assert kept.of(rows) == [SOME[row] for row in rows]
    assert kept.of(np.zeros(0, np.int64)) == []
    assert (tmp_path / IDS).stat().st_size == len("".join(SOME).encode())


def test_of_nothing_there_is_nothing(tmp_path: Path) -> None:
    """An empty catalog."""
    write_ids(tmp_path, [])
    assert (tmp_path / IDS).read_bytes() == b""
    assert (tmp_path / ENDS).read_bytes() == bytes(8)


def test_files_that_are_gone_are_told(tmp_path: Path) -> None:
    """As for every file of a generation."""
    with pytest.raises(StaleIndexError, match="rebuild with: simkin index"):
        Ids(tmp_path, 3).of(np.asarray([0]))


def test_answers_are_called_as_the_database_calls_them(make_catalog) -> None:  # type: ignore[no-untyped-def]
    """Those of the generation, and those that came since."""
    made = make_catalog()
    made.fill(60)
    made.build()
    recommender = made.open()
    space = recommender.generation.spaces["image"]
    keys = space.keys.tolist()
    assert space.ids_at([*keys, 10**9]) == recommender.catalog.ids_of(keys)
