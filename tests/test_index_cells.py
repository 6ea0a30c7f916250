"""Cells: every row in one of them, near its centre, beside rows of its own category alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.engine import cells as module
from index.engine.cells import CELL, LARGEST, fit_cells, half_squares


def clustered(count: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, count // 100), dim))
    return (centres[rng.integers(0, len(centres), count)] + 0.2 * rng.normal(size=(count, dim))).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 900), min_size=1, max_size=5), copies=st.booleans())
def test_every_row_lies_in_one_cell_of_its_own_category(sizes, copies):
    """Also where categories are empty, or all of their rows the same."""
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    rows = clustered(int(offsets[-1]))
    if copies and len(rows):
        rows[:] = rows[0]
    cells = fit_cells(rows, offsets)
    assert sorted(cells.rows.tolist()) == list(range(len(rows)))
    assert cells.starts[0] == 0
    assert cells.starts[-1] == len(rows)
    lengths = np.diff(cells.starts)
    assert len(lengths) == len(cells.centres) == cells.offsets[-1]
    assert not len(lengths) or (lengths.min() >= 1 and lengths.max() <= LARGEST)
    category = np.searchsorted(offsets, cells.rows, side="right") - 1
    for code in range(len(sizes)):
        own = slice(cells.starts[cells.offsets[code]], cells.starts[cells.offsets[code + 1]])
        assert (category[own] == code).all()
        assert len(category[own]) == sizes[code]
    assert (cells.groups[0], cells.groups[-1]) == (0, len(lengths))
    assert (np.diff(cells.groups) > 0).all()
    assert set(cells.offsets.tolist()) <= set(cells.groups.tolist())


@pytest.mark.parametrize("flat", [10**6, 16])
def test_rows_lie_with_the_centre_closest_to_them(monkeypatch, flat):
    """In one level or in two; borders between groups leave hardly a row with the wrong centre."""
    monkeypatch.setattr(module, "FLAT", flat)
    rows = clustered(6000)
    cells = fit_cells(rows, np.asarray([0, len(rows)]))
    assert len(rows) / CELL / 2 < len(cells.centres) <= 2 * len(rows) / CELL
    own = np.zeros(len(rows), np.int64)
    own[cells.rows] = np.repeat(np.arange(len(cells.centres)), np.diff(cells.starts))
    closeness = rows @ cells.centres.T - half_squares(cells.centres)
    best, held = closeness.max(axis=1), closeness[np.arange(len(rows)), own]
    assert np.mean(held >= best - 1e-4) > 0.97
    spread = np.square(rows - cells.centres[own]).sum() / np.square(rows - rows.mean(axis=0)).sum()
    assert spread < 0.1
    if flat == 16:
        assert 5 < len(cells.groups) < 20
        middles = cells.middles()
        group = np.repeat(np.arange(len(middles)), np.diff(cells.groups))[own]
        for at in range(len(middles)):
            assert middles[at] == pytest.approx(rows[group == at].mean(axis=0), abs=0.05)


def test_equal_rows_give_equal_cells():
    """Nothing is left to chance but the seed."""
    rows = clustered(3000)
    one, other = (fit_cells(rows, np.asarray([0, 1200, 3000])) for _ in range(2))
    assert (one.rows == other.rows).all()
    assert (one.centres == other.centres).all()
