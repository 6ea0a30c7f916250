"""Near-duplicates: every facet must agree, chains end at the first, the query's own repeat nothing."""

from __future__ import annotations

import numpy as np
import pytest

from index.answering.duplicates import FIRST, find_repeats
from index.engine.projection import fit_projection
from index.types import EncoderCard, Facet

FACETS = (Facet("a", 0, 8, 0.0, 8, 0.97, "t"), Facet("b", 8, 16, 0.0, 8, 0.97, "t"))
CARD = EncoderCard("one", 1, "image", FACETS, {}, "MIT", "t")


def _raw(count: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(count, 16)).astype(np.float32)


def _repeats(raw: np.ndarray, named: int) -> list[int]:
    projection = fit_projection([CARD], raw)
    return find_repeats(projection, projection.project(raw), named, raw.astype(np.float16).__getitem__).tolist()


def test_copies_point_at_the_first_of_them():
    """Later ones repeat the earliest; the query's own come first and repeat nothing."""
    raw = _raw(5)
    assert _repeats(raw[[0, 0, 1, 0, 1, 2, 1]], 2) == [0, 1, 2, 0, 2, 5, 2]


def test_every_facet_must_agree():
    """The same form in another colour is another item."""
    raw = _raw(3)
    raw[1, :8] = raw[0, :8]
    assert _repeats(raw, 0) == [0, 1, 2]


def test_the_threshold_is_that_of_the_encoder():
    """Compared as encoded, not in the fitted space."""
    raw = _raw(1)[[0, 0, 0]]
    across = np.zeros(8, np.float32)
    across[:2] = [-raw[0, 1], raw[0, 0]]
    across *= np.linalg.norm(raw[0, :8]) / np.linalg.norm(across)
    for row, cosine in ((1, 0.98), (2, 0.96)):
        raw[row, :8] = cosine * raw[0, :8] + np.sqrt(1 - cosine**2) * across
    assert _repeats(raw[[0, 1]], 0) == [0, 0]
    assert _repeats(raw[[0, 2]], 0) == [0, 1]


def test_what_lacks_a_facet_repeats_nothing():
    """Nothing is known of it."""
    raw = _raw(1)[[0, 0]]
    raw[:, 8:] = 0
    assert _repeats(raw, 0) == [0, 1]


def test_vectors_are_read_only_for_suspects():
    """Unlike items cost no look into the database."""
    raw = np.eye(16, dtype=np.float32)[:8] + np.eye(16, dtype=np.float32)[8:][::-1]
    projection = fit_projection([CARD], raw)

    def read(places: np.ndarray) -> np.ndarray:
        raise AssertionError(places)

    assert find_repeats(projection, projection.project(raw), 1, read).tolist() == list(range(8))


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_repeats_nothing(count):
    """No answers, or one."""
    assert _repeats(_raw(4)[:count], 0) == list(range(count))


def test_answers_far_down_are_not_compared():
    """The comparison is of the first thousand: time stays flat however many are asked for."""
    raw = np.repeat(_raw(1), FIRST + 5, axis=0)
    first = _repeats(raw, 1)
    assert first[: FIRST + 1] == [0] * (FIRST + 1)
    assert first[FIRST + 1 :] == list(range(FIRST + 1, FIRST + 5))
