"""Diversity: close to the query and unlike each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.answering.diversity import diversify

VECTORS = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 2, 3]]
SCORES = np.array([0.9, 0.89, 0.88, 0.5, 0.4, 0.1], np.float32)


def closeness(place):
    """Three are alike, the others alone."""
    return VECTORS @ VECTORS[place]


def test_without_diversity_the_order_stays():
    """Nothing is traded."""
    assert diversify(list(range(6)), SCORES, closeness, 6, 0.0) == list(range(6))


def test_repetitions_give_way_to_something_else():
    """The best comes first, then one of each kind."""
    assert diversify(list(range(6)), SCORES, closeness, 4, 0.7)[:3] == [0, 3, 4]


def test_full_diversity_looks_only_at_what_was_chosen():
    """The most unlike, whatever their scores."""
    assert set(diversify(list(range(6)), SCORES, closeness, 4, 1.0)) == {0, 3, 4, 5}


@given(diversity=st.floats(0, 1), count=st.integers(0, 12), places=st.permutations(range(6)))
def test_answers_are_chosen_without_repetition(diversity, count, places):
    """As many as asked for and exist, each once."""
    chosen = diversify(sorted(places[:4]), SCORES, closeness, count, diversity)
    assert len(chosen) == len(set(chosen)) == min(count, 4)
    assert set(chosen) <= set(places[:4])


def test_choosing_agrees_with_the_formula():
    """Carbonell & Goldstein's formula, computed step by step."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(40, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.sort(rng.random(40).astype(np.float32))[::-1]
    chosen: list[int] = []
    while len(chosen) < 10:
        gains = [
            -np.inf if at in chosen else 0.6 * scores[at] - 0.4 * max((vectors[chosen] @ vectors[at]).tolist() or [0])
            for at in range(40)
        ]
        chosen.append(int(np.argmax(gains)))
    assert diversify(list(range(40)), scores, lambda place: vectors @ vectors[place], 10, 0.4) == pytest.approx(chosen)


def test_answers_far_down_keep_their_order(monkeypatch):
    """However many are asked for, only the first are traded."""
    monkeypatch.setattr("index.answering.diversity.FIRST", 2)
    assert diversify(list(range(6)), SCORES, closeness, 5, 0.7) == [0, 3, 1, 2, 4]
