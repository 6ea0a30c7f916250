"""Triplet metric: nuisance is unlearnt, mining takes what it says, bad input is named."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.triplets import fit_triplets, mine, triplet_loss


def photos(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Three photos each of 200 products: eight numbers of the product, and two loud ones of the photo alone.

    Gives rows, the product of each, kin among the first 150 products, and categories.
    """
    rng = np.random.default_rng(seed)
    product = np.repeat(np.arange(200), 3)
    rows = np.hstack([rng.normal(size=(200, 8))[product], 5 * rng.normal(size=(600, 2))])
    rows = rows @ np.linalg.qr(rng.normal(size=(10, 10)))[0] + 0.2 * rng.normal(size=(600, 10))
    first = np.arange(0, 450, 3)
    kin = np.concatenate([np.stack([first + i, first + j], axis=1) for i, j in ((0, 1), (0, 2), (1, 2))])
    return rows.astype(np.float32), product, kin, product % 5


def recall(points: NDArray[np.float32], product: NDArray[np.int64]) -> float:
    """Share of the last 50 products' photos whose nearest neighbour among them is of the same product."""
    points, product = points[450:], product[450:]
    far = np.square(points[:, None] - points[None]).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    return float(np.mean(product[far.argmin(axis=1)] == product))


def test_nuisance_is_unlearnt_for_products_never_seen() -> None:
    """Photos of held-out products find each other, which they do not as they are."""
    rows, product, kin, categories = photos(0)
    learned = fit_triplets(rows, kin, categories=categories, rank=8)
    assert recall(rows, product) < 0.3
    assert recall(learned.project(rows), product) > 0.9
    assert learned.rank < learned.start_rank


def test_gradient_agrees_with_finite_differences() -> None:
    """In float64, away from the hinge's corner."""
    rng = np.random.default_rng(1)
    matrix, rows = rng.normal(size=(5, 3)), rng.normal(size=(12, 5))
    triplets = rng.integers(0, 12, (20, 3))
    gradient = triplet_loss(matrix, rows, triplets)[1]
    for place in np.ndindex(matrix.shape):
        step = np.zeros_like(matrix)
        step[place] = 1e-6
        slope = (triplet_loss(matrix + step, rows, triplets)[0] - triplet_loss(matrix - step, rows, triplets)[0]) / 2e-6
        assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_the_semi_hard_negative_is_mined() -> None:
    """On a line: the positive lies at 2; of the allowed, 3 is the nearest beyond it, and 1 all there is within."""
    points = np.array([[0.0], [2.0], [1.0], [3.0], [9.0]], np.float32)
    anchors, positives = np.array([0, 0, 0, 0]), np.array([1, 1, 1, 1])
    allowed = np.array([[0, 0, 1, 1, 1], [0, 0, 1, 0, 1], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]], np.bool_)
    negatives, found = mine(points, anchors, positives, allowed)
    np.testing.assert_array_equal(negatives[:3], [3, 4, 2])
    np.testing.assert_array_equal(found, [True, True, True, False])


def test_in_class_negatives_teach_what_parts_a_category() -> None:
    """Where category is loud, negatives out of class alone leave products of one category close together."""
    rng = np.random.default_rng(2)
    product = np.repeat(np.arange(200), 3)
    category = product % 5
    loud = 6 * np.eye(5)[category]
    rows = np.hstack([loud, 0.5 * rng.normal(size=(200, 4))[product], rng.normal(size=(600, 4))]).astype(np.float32)
    rows += 0.1 * rng.normal(size=rows.shape).astype(np.float32)
    first = np.arange(0, 450, 3)
    kin = np.concatenate([np.stack([first + i, first + j], axis=1) for i, j in ((0, 1), (0, 2), (1, 2))])
    mixed, outside = (
        recall(fit_triplets(rows, kin, categories=category, rank=8, in_class=share).project(rows), product)
        for share in (0.3, 0.0)
    )
    assert mixed > outside + 0.1


def test_the_same_seed_gives_the_same_bytes() -> None:
    """And another seed other batches."""
    rows, _, kin, categories = photos(3)
    kin = kin[kin[:, 0] < 90]
    first, again, other = (fit_triplets(rows, kin, categories=categories, rank=9, seed=s).matrix for s in (5, 5, 6))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_one_category_is_no_obstacle() -> None:
    """All negatives are then in class, whatever share is asked."""
    rows, product, kin, categories = photos(4)
    learned = fit_triplets(rows, kin, categories=np.zeros_like(categories), rank=8, in_class=0.0)
    assert recall(learned.project(rows), product) > 0.9


def test_bad_input_is_a_plain_sentence() -> None:
    """What was expected, what was found."""
    rows, _, kin, categories = photos(5)
    with pytest.raises(InputError, match="at most 10"):
        fit_triplets(rows, kin, rank=11)
    with pytest.raises(InputError, match="from 0 to 1, found 3"):
        fit_triplets(rows, kin, categories=categories, rank=2, in_class=3)
    with pytest.raises(InputError, match="all the same"):
        fit_triplets(np.ones_like(rows), kin, rank=2)
    with pytest.raises(InputError, match="found none"):
        fit_triplets(rows, kin[:0], rank=2)
