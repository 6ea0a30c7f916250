"""Annoy files: same input, same candidates; what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from index.engine.ann import Trees, build_trees
from index.errors import StaleIndexError, StorageError


def _rows(count: int, dim: int = 16) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, dim)).astype(np.float32)


def test_points_are_their_own_nearest(tmp_path):
    """Points are 0 to n - 1, in order, also beyond one block."""
    rows = _rows(5000)
    build_trees(tmp_path / "t.ann", rows)
    trees = Trees(tmp_path / "t.ann", 16, 5000)
    for row in (0, 4095, 4096, 4999):
        assert trees.nearest(rows[row], 3, 2000)[0] == row


def test_the_same_points_give_the_same_answers(tmp_path):
    """Seeds are fixed; only the order of nodes in the file varies, since cores build side by side."""
    rows = _rows(800)
    for name in ("a", "b"):
        build_trees(tmp_path / name, rows)
    one, other = (Trees(tmp_path / name, 16, 800) for name in ("a", "b"))
    for row in rows[:50]:
        assert one.nearest(row, 20, 100) == other.nearest(row, 20, 100)


def test_another_number_of_points_is_refused(tmp_path):
    """A file that is not the manifest's is not asked."""
    build_trees(tmp_path / "t.ann", _rows(300))
    with pytest.raises(StaleIndexError, match="300 points, the manifest says 299"):
        Trees(tmp_path / "t.ann", 16, 299)


@pytest.mark.parametrize("content", [None, b"", b"no trees"])
def test_a_missing_or_truncated_file_is_refused(tmp_path, content):
    """Annoy's own message ends in "Success"; ours says what to run."""
    if content is not None:
        (tmp_path / "t.ann").write_bytes(content)
    with pytest.raises(StaleIndexError, match="simkin index --rebuild"):
        Trees(tmp_path / "t.ann", 16, 300)


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    """A full or missing disk is StorageError."""
    with pytest.raises(StorageError, match="cannot write"):
        build_trees(tmp_path / "nowhere" / "t.ann", _rows(10))
