"""Batches for costly towers: every link once, few evaluations, no link among the negatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.sampling import TowerBatch, independent_batches, shared_batches, tower_loss

RNG = np.random.default_rng(0)
LINKS = np.unique(np.stack([RNG.integers(0, 200, 3000), RNG.integers(200, 300, 3000)], axis=1), axis=0)
WAYS: dict[str, Callable[[int], Iterator[TowerBatch]]] = {
    "independent": lambda seed: independent_batches(LINKS, 300, size=64, negatives=10, seed=seed),
    "shared": lambda seed: shared_batches(LINKS, 300, size=64, seed=seed),
    "grouped": lambda seed: shared_batches(LINKS, 300, size=64, per_target=4, seed=seed),
}


def pairs_where(batch: TowerBatch, chosen: NDArray[np.bool_]) -> set[tuple[int, int]]:
    source, target = np.nonzero(chosen)
    return set(zip(batch.sources[source].tolist(), batch.targets[target].tolist(), strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_every_link_comes_once_and_is_never_a_negative(way: str) -> None:
    """One pass over the batches is one pass over the links."""
    known = set(map(tuple, LINKS.tolist()))
    seen: list[tuple[int, int]] = []
    for batch in WAYS[way](1):
        links = pairs_where(batch, batch.balance > 0)
        assert len(links) == batch.links
        seen += links
        assert not pairs_where(batch, batch.balance < 0) & known
    assert len(seen) == len(LINKS)
    assert set(seen) == known


@pytest.mark.parametrize("way", WAYS)
def test_links_and_negatives_weigh_the_same(way: str) -> None:
    """Their weights sum to 1 and to −1."""
    for batch in WAYS[way](2):
        assert batch.balance[batch.balance > 0].sum() == pytest.approx(1, abs=1e-4)
        assert batch.balance[batch.balance < 0].sum() == pytest.approx(-1, abs=1e-4)


def test_sharing_and_grouping_save_evaluations() -> None:
    """Links of one target together need fewer targets, and either far fewer than negatives of one's own."""
    counts = {way: sum(batch.tower_evaluations for batch in WAYS[way](3)) for way in WAYS}
    assert counts["grouped"] < 0.6 * counts["shared"]
    assert counts["shared"] < 0.6 * counts["independent"]


@pytest.mark.parametrize("way", WAYS)
def test_the_same_seed_gives_the_same_batches(way: str) -> None:
    """And another seed others."""
    first, again, other = (next(WAYS[way](seed)) for seed in (4, 4, 5))
    assert first.balance.tobytes() == again.balance.tobytes()
    assert first.sources.tobytes() == again.sources.tobytes()
    assert first.sources.tobytes() != other.sources.tobytes()


def test_gradients_agree_with_finite_differences() -> None:
    """By either side's vectors."""
    batch = next(WAYS["shared"](6))
    rng = np.random.default_rng(6)
    asked, answers = rng.normal(size=(len(batch.sources), 3)), rng.normal(size=(len(batch.targets), 3))
    _, by_asked, by_answers = tower_loss(asked, answers, batch)
    for vectors, gradient in ((asked, by_asked), (answers, by_answers)):
        for place in ((0, 0), (3, 1), (9, 2)):
            kept = vectors[place]
            found = []
            for step in (1e-5, -1e-5):
                vectors[place] = kept + step
                found.append(tower_loss(asked, answers, batch)[0])
            vectors[place] = kept
            assert gradient[place] == pytest.approx((found[0] - found[1]) / 2e-5, rel=1e-4, abs=1e-8)


def test_a_batch_without_negatives_is_left_out() -> None:
    """One target alone has nothing to be told from."""
    assert list(shared_batches(np.array([[0, 2], [1, 2]]), 3, size=2)) == []


def test_people_are_not_items() -> None:
    """Person 3 may be linked to item 3, negatives are items, and people keep their own numbers."""
    links = np.array([[person, item] for person in range(8) for item in range(4) if (person + item) % 2])
    for batch in (
        next(independent_batches(links, 4, size=16, negatives=3, people=8)),
        next(shared_batches(links, 4, size=16, people=8)),
    ):
        np.testing.assert_array_equal(batch.sources, np.arange(8))
        assert batch.targets.max() < 4
        assert batch.balance[3, 3] < 0 < batch.balance[3, 2]
    with pytest.raises(InputError, match="7 people and 4 items"):
        shared_batches(links, 4, size=16, people=7)


def test_bad_input_is_a_plain_sentence_before_the_first_batch() -> None:
    """Nothing waits for the first step to be refused."""
    with pytest.raises(InputError, match="found none"):
        shared_batches(np.empty((0, 2), int), 3, size=4)
    with pytest.raises(InputError, match="per_target = 0"):
        shared_batches(LINKS, 300, size=4, per_target=0)
    with pytest.raises(InputError, match="negatives = 0"):
        independent_batches(LINKS, 300, size=4, negatives=0)
