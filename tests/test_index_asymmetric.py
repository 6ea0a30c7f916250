"""Asymmetric maps: direction is learnt where links have one, and bad input is named."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.asymmetric import TwoMaps, asymmetric_loss, fit_asymmetric
from index.learning.likelihood import make_batch
from index.learning.lowrank import fit_low_rank


def cameras_and_cases(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Links lead from item i to those whose style is i's, one step further on; 90 % to learn, 10 % to test."""
    rng = np.random.default_rng(seed)
    style = rng.normal(size=(400, 2))
    rows = np.hstack([style, 1.5 * rng.normal(size=(400, 8))]).astype(np.float32)
    pairs = []
    for item in range(400):
        far = np.square(style - style[item] - np.array([1.0, 0.0])).sum(axis=1)
        far[item] = np.inf
        pairs += [(item, other) for other in np.argsort(far)[:8]]
    shuffled = rng.permutation(np.array(pairs))
    return rows, shuffled[320:], shuffled[:320]


def directed_accuracy(learned: TwoMaps, rows: NDArray[np.float32], pairs: NDArray[np.int64]) -> float:
    """How often a link is likelier than the same link turned round."""
    asked, answers = learned.project_sources(rows), learned.project_targets(rows)

    def distance(sources: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(np.square(asked[sources] - answers[targets]).sum(axis=1))

    return float(np.mean(distance(pairs[:, 0], pairs[:, 1]) < distance(pairs[:, 1], pairs[:, 0])))


def test_direction_is_learnt() -> None:
    """What goes with i is told from what i goes with, and a symmetric map does worse on the same links."""
    rows, learnt, tested = cameras_and_cases(0)
    learned = fit_asymmetric(rows, learnt, ranks=(2,))
    assert directed_accuracy(learned, rows, tested) > 0.9
    symmetric = fit_low_rank(rows, learnt, ranks=(2,))
    best = max(trial.accuracy for trial in symmetric.tried)
    assert max(trial.accuracy for trial in learned.tried) > best + 0.05


def test_gradients_agree_with_finite_differences() -> None:
    """In float64, so that what differs is the formula and not rounding."""
    rng = np.random.default_rng(1)
    links, others = rng.integers(0, 7, (10, 2)), rng.integers(0, 7, (10, 2))
    ones = np.ones(10, np.float32)
    batch = make_batch(links, others, ones, ones, np.arange(20))
    rows = rng.normal(size=(7, 3))[batch.items]
    point = rng.normal(size=2 * 3 * 2 + 2 + 1)
    gradient = asymmetric_loss(point, rows, batch, 2, 0.01, 0.7)[1]
    for place in range(len(point)):
        step = np.zeros(len(point))
        step[place] = 1e-5
        ahead, behind = (asymmetric_loss(point + turn * step, rows, batch, 2, 0.01, 0.7)[0] for turn in (1, -1))
        assert gradient[place] == pytest.approx((ahead - behind) / 2e-5, rel=1e-4, abs=1e-7)


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Of both maps."""
    rows, learnt, _ = cameras_and_cases(2)
    first, again = (fit_asymmetric(rows, learnt[:500], ranks=(2,), seed=3) for _ in range(2))
    assert first.source.tobytes() == again.source.tobytes()
    assert first.target.tobytes() == again.target.tobytes()


def test_links_that_hold_both_ways_are_never_their_own_negatives() -> None:
    """Where every link has its mirror, turning links round teaches nothing wrong."""
    rng = np.random.default_rng(3)
    style = rng.normal(size=(200, 2))
    rows = style.astype(np.float32)
    far = np.square(style[:, None] - style[None]).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    pairs = np.stack([np.repeat(np.arange(200), 5), np.argsort(far, axis=1)[:, :5].ravel()], axis=1)
    learned = fit_asymmetric(rows, np.concatenate([pairs, pairs[:, ::-1]]), ranks=(2,))
    assert max(trial.accuracy for trial in learned.tried) > 0.85


def test_bad_input_is_a_plain_sentence() -> None:
    """As for symmetric maps."""
    rows, learnt, _ = cameras_and_cases(4)
    with pytest.raises(InputError, match="found none"):
        fit_asymmetric(rows, np.empty((0, 2), int))
    with pytest.raises(InputError, match="at most 10"):
        fit_asymmetric(rows, learnt, ranks=(11,))
