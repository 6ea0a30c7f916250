"""Low-rank maps, weighted neighbours and personal distances: planted truths are found, bad input is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.diagonal import fit_diagonal
from index.learning.likelihood import make_batch
from index.learning.lowrank import LinkMap, fit_low_rank, low_rank_loss
from index.learning.personal import fit_personal, personal_loss
from index.learning.training_links import prepare_links
from index.learning.training_negatives import are_linked, draw_negatives, link_keys


def planted(
    seed: int, count: int = 400, dim: int = 12
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """Items linked to their six nearest in a hidden plane; the plane, ``(dim, 2)``, carries little variance."""
    rng = np.random.default_rng(seed)
    style = rng.normal(size=(count, 2))
    axes = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    rows = 0.4 * style @ axes[:2] + 1.5 * rng.normal(size=(count, dim - 2)) @ axes[2:]
    far = np.square(style[:, None] - style[None]).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    near = np.argsort(far, axis=1)[:, :6]
    pairs = np.stack([np.repeat(np.arange(count), 6), near.ravel()], axis=1)
    return rows.astype(np.float32), pairs, axes[:2].T


def fit(rows: NDArray[Any], pairs: NDArray[Any], **options: Any) -> LinkMap:
    return fit_low_rank(rows, pairs, **{"ranks": (2,), **options})


def test_a_planted_plane_is_found() -> None:
    """The learned map looks along the plane that decides links, and along nothing else."""
    rows, pairs, plane = planted(0)
    learned = fit(rows, pairs)
    inside = np.linalg.norm(plane.T @ learned.matrix) / np.linalg.norm(learned.matrix)
    assert inside > 0.98
    assert max(trial.accuracy for trial in learned.tried) > 0.85


def test_probability_falls_with_distance_and_is_half_at_the_shift() -> None:
    """P = 1 / (1 + exp(d − c)), eq. 1 of the paper."""
    learned = LinkMap("low rank", np.eye(2, dtype=np.float32), 3.0, ())
    np.testing.assert_allclose(learned.probability([3.0, 0.0]), [0.5, 1 / (1 + np.exp(-3))])
    np.testing.assert_array_equal(learned.project(np.array([[1, 2]], np.float32)), [[1, 2]])


def test_gradients_agree_with_finite_differences() -> None:
    """In float64, so that what differs is the formula and not rounding."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(9, 4))
    links, others = rng.integers(0, 9, (12, 2)), rng.integers(0, 9, (10, 2))
    numbers = np.concatenate([np.arange(12), np.arange(10)])
    loads = rng.random(12).astype(np.float32), np.ones(10, np.float32)
    batch = make_batch(links, others, *loads, numbers)
    rows = rows[batch.items]
    people = rng.integers(0, 2, 12)[batch.origins]
    for size, loss in (
        (4 * 3 + 1, lambda p: low_rank_loss(p, rows, batch, 3, 0.01, 0.7)),
        (2 * 3 + 4 * 3 + 1, lambda p: personal_loss(p, rows, batch, people, (2, 3))),
    ):
        point = rng.normal(size=size)
        gradient = loss(point)[1]
        for place in range(size):
            step = np.zeros(size)
            step[place] = 1e-5
            slope = (loss(point + step)[0] - loss(point - step)[0]) / 2e-5
            assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_the_same_seed_gives_the_same_bytes() -> None:
    """And another seed other negatives, so other bytes."""
    rows, pairs, _ = planted(2, count=150)
    first, again, other = (fit(rows, pairs, seed=seed) for seed in (5, 5, 6))
    assert first.matrix.tobytes() == again.matrix.tobytes()
    assert first.shift == again.shift
    assert first.matrix.tobytes() != other.matrix.tobytes()


def test_the_rank_is_chosen_on_validation_links() -> None:
    """A plane needs two dimensions; with one the validation links are less likely."""
    rows, pairs, _ = planted(3)
    learned = fit(rows, pairs, ranks=(1, 2))
    assert learned.matrix.shape[1] == 2
    assert learned.tried[0].loss > learned.tried[1].loss


def test_low_rank_beats_weighted_neighbours_where_axes_are_mixed() -> None:
    """A weight for each dimension cannot look along a slanted plane."""
    rows, pairs, _ = planted(4)
    diagonal = fit_diagonal(rows, pairs)
    assert np.count_nonzero(diagonal.matrix - np.diag(np.diag(diagonal.matrix))) == 0
    assert fit(rows, pairs).tried[0].accuracy > diagonal.tried[0].accuracy + 0.1


def test_weighted_neighbours_find_the_dimensions_that_count() -> None:
    """Where the plane lies along two axes, these get the weight."""
    rows, pairs, plane = planted(5)
    turned = rows @ np.linalg.qr(np.hstack([plane, np.random.default_rng(0).normal(size=(12, 10))]))[0]
    weights = np.diag(fit_diagonal(turned, pairs).matrix)
    assert weights[:2].min() > 3 * weights[2:].max()


def test_pairs_of_no_weight_teach_nothing() -> None:
    """Wrong pairs, as many as right ones, spoil the map with full weight and not without."""
    rows, pairs, _ = planted(6)
    wrong = np.random.default_rng(0).integers(0, len(rows), (len(pairs), 2))
    wrong = wrong[wrong[:, 0] != wrong[:, 1]]
    inside = []
    for load in (0.0, 1.0):
        weights = np.concatenate([np.ones(len(pairs)), np.full(len(wrong), load)])
        learned = fit(rows, np.concatenate([pairs, wrong]), weights=weights)
        inside.append(max(trial.accuracy for trial in learned.tried))
    assert inside[0] > 0.85
    assert inside[1] < inside[0] - 0.05


def test_negatives_are_never_links_and_keep_category_when_asked() -> None:
    """Neither direction of a link is drawn, nor an item with itself."""
    rng = np.random.default_rng(0)
    pairs = np.stack([np.arange(40), (np.arange(40) + 1) % 40], axis=1)
    categories = np.arange(40) % 4
    keys = link_keys(pairs, 40)
    drawn, origin = draw_negatives(pairs, 40, rng, known=keys, categories=categories, same_category=1.0)
    assert not are_linked(drawn, keys, 40).any()
    assert (drawn[:, 0] != drawn[:, 1]).all()
    np.testing.assert_array_equal(drawn[:, 0], pairs[origin, 0])
    np.testing.assert_array_equal(categories[drawn[:, 1]], categories[pairs[origin, 1]])


def test_held_out_links_are_learnt_in_neither_direction() -> None:
    """A pair and its mirror are one link."""
    rows, pairs, _ = planted(7, count=100)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    links = prepare_links(
        rows,
        both,
        weights=None,
        validation=None,
        categories=None,
        same_category=0.0,
        rng=np.random.default_rng(0),
    )
    held = links.validation.items[np.stack([links.validation.sources, links.validation.targets], axis=1)]
    held = held[links.validation.signs > 0]
    assert not are_linked(held, link_keys(links.pairs, 100), 100).any()
    assert len(held) + len(links.pairs) == len(both)


def test_personal_weights_tell_people_apart() -> None:
    """One person looks at one axis of the plane only, the other at the other."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 6)).astype(np.float32)
    pairs = []
    for axis in (0, 1):
        for source in range(300):
            other = rng.choice(300, 60, replace=False)
            other = other[other != source]
            pairs.append((source, other[np.argmin(abs(rows[other, axis] - rows[source, axis]))]))
    people = np.repeat([0, 1], 300)
    common = fit(rows, np.array(pairs), ranks=(2,))
    personal = fit_personal(common, rows, np.array(pairs), people, user_count=3)
    assert personal.accuracy > max(trial.accuracy for trial in common.tried) + 0.05
    np.testing.assert_array_equal(personal.weights[2], 1)
    query = np.zeros(6, np.float32)
    near = np.eye(6, dtype=np.float32)[:2] * 3
    assert personal.rank_for(0, query, near)[0] == 1
    assert personal.rank_for(1, query, near)[0] == 0
    with pytest.raises(InputError, match="expected a user from 0 to 2, found 3"):
        personal.rank_for(3, query, near)


ROWS, PAIRS, _ = planted(8, count=40)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": np.ones((40, 12))}, "all the same"),
        ({"rows": np.where(np.eye(40, 12) > 0, np.nan, 1)}, "finite numbers"),
        ({"rows": ROWS[:1]}, "at least two rows"),
        ({"rows": ROWS[0]}, "shape"),
        ({"pairs": np.empty((0, 2), np.int64)}, "found none"),
        ({"pairs": PAIRS + 1}, "row numbers from 0 to 39"),
        ({"pairs": PAIRS.astype(float)}, "whole numbers"),
        ({"pairs": np.array([[3, 3], [1, 2]])}, "found 1 of an item with itself"),
        ({"pairs": np.array([[1, 2], [2, 1]])}, "two different pairs"),
        ({"weights": np.ones(3)}, "one for each pair"),
        ({"weights": -np.ones(len(PAIRS))}, "not negative"),
        ({"weights": np.zeros(len(PAIRS))}, "not all zero"),
        ({"validation": PAIRS[:5, ::-1]}, "split them apart"),
        ({"ranks": (13,)}, "at most 12"),
        ({"ranks": ()}, "at least 1"),
        ({"same_category": 0.5}, "found none; give them"),
        ({"same_category": 1.5}, "from 0 to 1"),
        ({"categories": np.zeros(3, int)}, "one for each row"),
    ],
)
def test_bad_input_is_a_plain_sentence(options: dict[str, Any], message: str) -> None:
    """What was expected, what was found, what to do."""
    with pytest.raises(InputError, match=message):
        fit(**{"rows": ROWS, "pairs": PAIRS, **options})


def test_fewer_items_than_dimensions_asked_for_are_refused() -> None:
    """Ten items do not determine twelve dimensions."""
    rows, pairs, _ = planted(9, count=10)
    with pytest.raises(InputError, match="more items than the rank 12, found 10"):
        fit(rows, pairs, ranks=(12,))


def test_everything_linked_to_everything_is_refused() -> None:
    """There is no negative to draw."""
    pairs = np.array([(i, j) for i in range(5) for j in range(5) if i < j])
    with pytest.raises(InputError, match="every item is linked to every other"):
        fit(ROWS[:5], pairs)


def test_one_category_is_no_obstacle() -> None:
    """Negatives of the same category are then negatives at random."""
    assert fit(ROWS, PAIRS, categories=np.zeros(40, int), same_category=1.0).matrix.shape == (12, 2)


def test_users_must_fit_their_pairs() -> None:
    """A users file for other pairs is refused."""
    common = fit(ROWS, PAIRS)
    with pytest.raises(InputError, match="one for each pair"):
        fit_personal(common, ROWS, PAIRS, np.zeros(3, int), user_count=1)
    with pytest.raises(InputError, match="users from 0 to 0, found 7 to 7"):
        fit_personal(common, ROWS, PAIRS, np.full(len(PAIRS), 7), user_count=1)
