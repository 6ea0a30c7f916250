"""Joint choice: equal to trying everything, under caps, with things that must not meet, and for alternatives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from index.lists.joint import Choices, choose_jointly


def made(seed: int, sizes: list[int], cap: float = np.inf) -> Choices:
    """Random worths; some candidates are the same thing, within slots and between them."""
    rng = np.random.default_rng(seed)
    count = sum(sizes)
    pairs = rng.normal(size=(count, count))
    things = rng.integers(0, max(3, count - count // 4), count)
    return Choices(
        np.concatenate([[0], np.cumsum(sizes)]),
        rng.normal(size=count),
        pairs + pairs.T,
        things[:, None] == things,
        rng.uniform(1, 10, count).round(2),
        cap,
    )


def allowed(choices: Choices, chosen: np.ndarray, earlier: list[np.ndarray], shared: int) -> bool:
    """The rules, from their definition."""
    for one, other in itertools.combinations(chosen, 2):
        if choices.same[one, other]:
            return False
    if choices.prices[chosen].sum() > choices.cap:
        return False
    return all(sum(bool(choices.same[one, before].any()) for one in chosen) <= shared for before in earlier)


def tried(choices: Choices, earlier: list[np.ndarray], shared: int) -> float | None:
    """The highest worth of all choices there are."""
    slots = [range(choices.of_slot(s).start, choices.of_slot(s).stop) for s in range(choices.slots)]
    every = (np.array(one) for one in itertools.product(*slots))
    return max((choices.worth(one) for one in every if allowed(choices, one, earlier, shared)), default=None)


@pytest.mark.parametrize("seed", range(30))
def test_the_best_of_all_choices_is_found(seed: int) -> None:
    """Slots of several sizes, with and without a cap that bites, five alternatives one after another."""
    rng = np.random.default_rng(1000 + seed)
    sizes = rng.integers(1, 9, rng.integers(1, 5)).tolist()
    cap = float(rng.choice([np.inf, 3.0 * len(sizes), 5.0 * len(sizes)]))
    choices = made(seed, sizes, cap)
    shared = int(rng.integers(0, len(sizes)))
    found: list[np.ndarray] = []
    for _ in range(5):
        best = tried(choices, found, shared)
        chosen = choose_jointly(choices, found, shared)
        assert (chosen is None) == (best is None)
        if chosen is None:
            break
        assert allowed(choices, chosen, found, shared)
        assert choices.worth(chosen) == pytest.approx(best)
        found.append(chosen)


@pytest.mark.parametrize("seed", range(3))
def test_a_narrow_search_still_finds_the_best_of_many(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """160,000 choices, of which 300 partial ones at a time are carried on."""
    monkeypatch.setattr("index.lists.joint.WIDTH", 300)
    choices = made(seed, [20, 20, 20, 20])
    slots = [range(choices.of_slot(s).start, choices.of_slot(s).stop) for s in range(4)]
    a, b, c, d = np.ix_(*slots)
    pairs, alone = choices.pairs, choices.alone
    worth = alone[a] + alone[b] + alone[c] + alone[d] + pairs[a, b] + pairs[a, c] + pairs[a, d]
    worth = worth + pairs[b, c] + pairs[b, d] + pairs[c, d]
    for one, other in itertools.combinations((a, b, c, d), 2):
        worth = np.where(choices.same[one, other], -np.inf, worth)
    chosen = choose_jointly(choices)
    assert chosen is not None
    assert choices.worth(chosen) == pytest.approx(worth.max())


def test_nothing_is_chosen_where_nothing_can_be() -> None:
    """A cap below everything, or one thing for two slots."""
    choices = made(0, [3, 3], cap=1.0)
    assert choose_jointly(choices) is None
    one = Choices(np.array([0, 1, 2]), np.zeros(2), np.zeros((2, 2)), np.ones((2, 2), bool), np.zeros(2))
    assert choose_jointly(one) is None
