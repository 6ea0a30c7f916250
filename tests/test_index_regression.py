"""Content to behaviour: linear truths are found, curves where they pay, and predictions do not crowd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.regression import calibrate, fit_regression, place_behaviour


def songs(seed: int, count: int = 300, noise: float = 0.1) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Content of ten dimensions, and behaviour of four that is linear in it but for noise."""
    rng = np.random.default_rng(seed)
    content = rng.normal(size=(count, 10)).astype(np.float32)
    behaviour = content @ rng.normal(size=(10, 4)) + 2.0 + noise * rng.normal(size=(count, 4))
    return content, behaviour.astype(np.float32)


def test_a_linear_truth_is_found() -> None:
    """Items that were not learnt from are predicted up to the noise, offset included."""
    content, behaviour = songs(0)
    learned = fit_regression(content[:250], behaviour[:250], waves=(0,))
    assert learned.explained > 0.99
    assert np.abs(learned.predict(content[250:]) - behaviour[250:]).std() < 0.12


def test_more_dimensions_than_items_are_solved_through_the_items() -> None:
    """The dual form gives what the primal one gives."""
    rng = np.random.default_rng(1)
    content, behaviour = rng.normal(size=(40, 60)), rng.normal(size=(40, 2))
    wide = fit_regression(content, behaviour, waves=(0,))
    centred, goal = content - content.mean(axis=0), behaviour - behaviour.mean(axis=0)
    unit = np.square(centred).sum() / 60
    direct = np.linalg.solve(centred.T @ centred + wide.ridge * unit * np.eye(60), centred.T @ goal)
    np.testing.assert_allclose(wide.matrix, direct, atol=1e-4)


def test_noise_asks_for_regularisation() -> None:
    """Where behaviour has nothing to do with content, the strongest ridge is chosen and little is predicted."""
    rng = np.random.default_rng(2)
    learned = fit_regression(rng.normal(size=(60, 40)), rng.normal(size=(60, 3)), waves=(0,))
    assert learned.ridge == max(ridge for _, ridge, _ in learned.tried)
    assert learned.out_of_fold.std() < 0.3


def test_curves_are_taken_only_where_they_clearly_win() -> None:
    """A straight truth keeps the linear map, a bent one does not."""
    content, behaviour = songs(3)
    assert fit_regression(content, behaviour, waves=(0, 200)).waves.shape[1] == 0
    assert fit_regression(content[:, :2], np.cos(2 * content[:, :2]), waves=(0, 200)).waves.shape[1] == 200


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Random features and folds come from the seed."""
    content, behaviour = songs(4)
    first, again = (fit_regression(content, behaviour, waves=(50,), seed=7) for _ in range(2))
    assert first.matrix.tobytes() == again.matrix.tobytes()
    assert first.out_of_fold.tobytes() == again.out_of_fold.tobytes()


def test_calibrated_predictions_have_the_spread_of_what_is_known() -> None:
    """Mean and variance of each dimension, which least squares had shrunk."""
    content, behaviour = songs(5, noise=4.0)
    learned = fit_regression(content, behaviour, waves=(0,))
    assert (learned.out_of_fold.std(axis=0) < 0.9 * behaviour.std(axis=0)).all()
    calibrated = calibrate(behaviour, learned.out_of_fold).apply(learned.out_of_fold)
    np.testing.assert_allclose(calibrated.std(axis=0), behaviour.std(axis=0), rtol=1e-3)
    np.testing.assert_allclose(calibrated.mean(axis=0), behaviour.mean(axis=0), atol=1e-3)


def test_new_items_neither_crowd_nor_hide() -> None:
    """Among the neighbours of known items, new ones have about their share; uncalibrated they have far more."""
    rng = np.random.default_rng(6)
    content = rng.normal(size=(600, 30)).astype(np.float32)
    behaviour = content @ rng.normal(size=(30, 24)) + 6.0 * rng.normal(size=(600, 24)) + 4.0
    behaviour = behaviour.astype(np.float32)
    known = np.arange(0, 600, 2)
    raw = fit_regression(content[known], behaviour[known], waves=(0,)).predict(content)
    raw[known] = behaviour[known]

    def share_of_new(vectors: NDArray[np.float32]) -> float:
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        close = unit[known] @ unit.T
        close[np.arange(len(known)), known] = -np.inf
        return float(np.mean(np.argsort(-close, axis=1)[:, :20] % 2))

    placing = place_behaviour(content[known], behaviour[known])
    placed = (content - placing.mean) @ placing.matrix
    placed[known] = placing.known
    assert 0.35 < share_of_new(placed) < 0.65
    assert share_of_new(raw) > share_of_new(placed) + 0.05


def test_places_keep_the_cosines_of_behaviour_vectors() -> None:
    """Turned to their principal axes, they lie to each other as they did about their mean; the first say most."""
    content, behaviour = songs(7)
    placing = place_behaviour(content, behaviour)
    centred = behaviour - behaviour.mean(axis=0)
    np.testing.assert_allclose(placing.known @ placing.known.T, centred @ centred.T, atol=1e-2)
    assert (np.diff(placing.known.std(axis=0)) < 0).all()
    np.testing.assert_allclose(placing.as_new.std(axis=0), placing.known.std(axis=0), rtol=1e-3)
    cosines = np.einsum("ij,ij->i", placing.known, (content - placing.mean) @ placing.matrix)
    lengths = [np.linalg.norm(some, axis=1) for some in (placing.known, (content - placing.mean) @ placing.matrix)]
    assert np.mean(cosines / lengths[0] / lengths[1]) > 0.99


@pytest.mark.parametrize(
    ("rows", "targets", "message"),
    [
        (np.eye(20), np.where(np.eye(20) > 0, np.nan, 1), "finite numbers in targets"),
        (np.ones((20, 3)), np.eye(20), "rows that differ"),
        (np.eye(20), np.ones((20, 3)), "targets that differ"),
        (np.eye(20), np.eye(19), "one target for each of 20 rows, found 19"),
        (np.eye(9), np.eye(9), "at least 10 items"),
    ],
)
def test_bad_input_is_a_plain_sentence(rows: Any, targets: Any, message: str) -> None:
    """What was expected, what was found."""
    with pytest.raises(InputError, match=message):
        fit_regression(rows, targets)
