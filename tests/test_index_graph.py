"""Re-ranking by the neighbourhood: noise is averaged out, hubs lose their places, bad input is named."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from index.engine.spaces import unit_rows
from index.errors import InputError
from index.learning.graph import (
    centred,
    link_graph,
    local_scales,
    nearest,
    neighbour_graph,
    rerank_by_local_scale,
    rerank_by_neighbours,
    structural_similarity,
)


def classes(seed: int, noise: float) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Items around the centres of thirty classes; rows of unit length, and each one's class."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 30, 900)
    rows = rng.normal(size=(30, 64))[label] + noise * rng.normal(size=(900, 64))
    return unit_rows(rows.astype(np.float32)), label


def precision(found: NDArray[np.int64], label: NDArray[np.int64]) -> float:
    return float(np.mean(label[found[:, :10]] == label[:, None]))


def reach(found: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """How many lists of ten each item is in."""
    return np.bincount(found[:, :10].ravel(), minlength=count)


def test_nearest_is_what_sorting_everything_gives() -> None:
    """Closest first, never the item itself."""
    rows, _ = classes(0, 1.0)
    found, cosines = nearest(rows[:80], 7)
    close = rows[:80] @ rows[:80].T
    np.fill_diagonal(close, -np.inf)
    np.testing.assert_array_equal(found, np.argsort(-close, axis=1)[:, :7])
    np.testing.assert_allclose(cosines, np.sort(-close, axis=1)[:, :7] * -1, atol=1e-6)


def test_structural_similarity_by_hand() -> None:
    """0 and 1 share themselves and 2, out of three and four neighbours; 5 stands alone."""
    graph = link_graph([[0, 1], [0, 2], [1, 2], [1, 3]], 6)
    found = structural_similarity(graph, np.array([0, 5]), np.array([[1, 3, 0], [0, 5, 4]]))
    np.testing.assert_allclose(found, [[3 / np.sqrt(12), 1 / np.sqrt(6), 1], [0, 1, 0]], rtol=1e-6)


def test_a_pair_given_twice_is_one_link() -> None:
    """Both directions and repeats alike."""
    once, often = link_graph([[0, 1]], 3), link_graph([[0, 1], [1, 0], [0, 1]], 3)
    np.testing.assert_array_equal(once.toarray(), often.toarray())


def test_shared_neighbours_average_noise_out() -> None:
    """Noisy items find more of their class, clear ones lose nothing."""
    for noise, gain in ((2.5, 0.04), (0.8, -0.01)):
        rows, label = classes(1, noise)
        found, cosines = nearest(rows, 100)
        graph = neighbour_graph(found[:, :20])
        better, scores = rerank_by_neighbours(graph, np.arange(900), found, cosines)
        assert precision(better, label) >= precision(found, label) + gain
        assert (np.diff(scores, axis=1) <= 0).all()


def test_no_share_changes_nothing() -> None:
    """The mixture at 0 is the order it was given."""
    rows, _ = classes(2, 2.0)
    found, cosines = nearest(rows, 30)
    same, scores = rerank_by_neighbours(neighbour_graph(found[:, :5]), np.arange(900), found, cosines, share=0)
    np.testing.assert_array_equal(same, found)
    np.testing.assert_array_equal(scores, cosines)


def test_local_scaling_takes_places_from_hubs() -> None:
    """In many dimensions some items are everybody's neighbours; the worst of them lose places."""
    rows = unit_rows(np.random.default_rng(3).normal(size=(800, 60)).astype(np.float32) + 0.3)
    found, cosines = nearest(rows, 100)
    better, _ = rerank_by_local_scale(local_scales(cosines), np.arange(800), found, cosines)
    before, after = reach(found, 800), reach(better, 800)
    assert after.max() < 0.7 * before.max()
    assert (after == 0).sum() < (before == 0).sum()


def test_centring_takes_places_from_hubs() -> None:
    """An item near the common mean is near everything, until the mean is taken off."""
    rows = unit_rows(np.random.default_rng(4).normal(size=(800, 60)).astype(np.float32) + 1.0)
    before, after = reach(nearest(rows, 10)[0], 800), reach(nearest(centred(rows), 10)[0], 800)
    assert after.max() < 0.8 * before.max()


def test_bad_input_is_a_plain_sentence() -> None:
    """What was expected, what was found."""
    rows, _ = classes(5, 1.0)
    with pytest.raises(InputError, match="from 1 to 4 neighbours among 5 items, found 5"):
        nearest(rows[:5], 5)
    with pytest.raises(InputError, match="found none"):
        link_graph(np.empty((0, 2), int), 3)
    with pytest.raises(InputError, match="all the same"):
        centred(np.ones((4, 3)))
    with pytest.raises(InputError, match="from 0 to 1, found 2"):
        rerank_by_neighbours(link_graph([[0, 1]], 2), np.array([0]), np.array([[1]]), np.array([[0.5]]), share=2)
