"""Splits and negatives: nothing seen in training is judged, and no negative is a known edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import InputError
from index.learning.negatives import random_negatives, same_category_negatives
from index.learning.splits import check_pairs, cold_split, data_hash, find_groups, warm_split


def _made(seed: int, n: int = 60, edges: int = 400, groups: int = 40):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 6)).astype(np.float32)
    return rows, rng.integers(0, n, (edges, 2)), rng.integers(0, groups, n)


def _bundles(groups, pairs):
    return {tuple(sorted(ends)) for ends in groups[pairs].tolist()}


@given(seed=st.integers(0, 10_000), groups=st.integers(5, 60))
@settings(max_examples=40, deadline=None)
def test_nothing_leaks_in_a_warm_split(seed, groups):
    """No edge, no reversed edge and no edge between near-duplicates is on two sides; judged items are seen."""
    rows, pairs, group = _made(seed, groups=groups)
    try:
        split = warm_split(rows, pairs, seed=seed, groups=group, validation=0.2, test=0.2)
    except InputError:
        return
    sides = [_bundles(group, some) for some in (split.train, split.validation, split.test)]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    assert all(one != other for side in sides for one, other in side)
    assert set(split.validation.ravel()) | set(split.test.ravel()) <= set(split.train.ravel())
    assert len(split.train) + len(split.validation) + len(split.test) + split.within == len(pairs)


@given(seed=st.integers(0, 10_000), groups=st.integers(20, 60))
@settings(max_examples=40, deadline=None)
def test_nothing_leaks_in_a_cold_split(seed, groups):
    """No item of one side, and no near-duplicate of it, is on another; what is lost is counted."""
    rows, pairs, group = _made(seed, groups=groups)
    try:
        split = cold_split(rows, pairs, seed=seed, groups=group, validation=0.2, test=0.4)
    except InputError:
        return
    sides = [set(group[some].ravel().tolist()) for some in (split.train, split.validation, split.test)]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    for number, some in enumerate((split.train, split.validation, split.test)):
        assert (split.parts[some] == number).all()
    judged = len(split.train) + len(split.validation) + len(split.test)
    assert judged + split.within + split.lost == len(pairs)
    assert split.lost > 0


def test_the_seed_decides_and_is_kept():
    """The same seed gives the same split, another one another; the hash is of the data alone."""
    rows, pairs, group = _made(1)
    for split in (warm_split, cold_split):
        one, again, other = (split(rows, pairs, seed=seed, groups=group) for seed in (3, 3, 4))
        assert one.to_json() == again.to_json()
        assert (one.test == again.test).all()
        assert one.test.tolist() != other.test.tolist()
        assert one.data_hash == other.data_hash == data_hash(rows, pairs)
    assert data_hash(rows, pairs[::-1]) != data_hash(rows, pairs)
    assert data_hash(rows, pairs, group) != data_hash(rows, pairs)


def test_a_warm_split_keeps_shares_where_edges_are_dense():
    """A tenth each is held out when every item has many edges."""
    rows, pairs, _ = _made(2, edges=3000)
    split = warm_split(rows, pairs, seed=0)
    assert len(split.test) == pytest.approx(300, abs=40)
    assert len(split.validation) == pytest.approx(300, abs=40)


def test_near_duplicates_are_joined_through_others():
    """a is like b and b like c, so all three are one group, also across blocks; zero rows are nobody's duplicate."""
    angles = np.array([0.0, 10, 20, 90, 0, 0])
    rows = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=1).astype(np.float32)
    rows[4:] = 0
    assert find_groups(rows, np.cos(np.radians(11))).tolist() == [0, 0, 0, 1, 2, 3]
    assert find_groups(rows, np.cos(np.radians(9))).tolist() == [0, 1, 2, 3, 4, 5]


def test_groups_do_not_depend_on_blocks(monkeypatch):
    """One row at a time gives the groups that one block gives, and those of a plain search."""
    from index.learning import splits

    rows = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    whole = find_groups(rows, 0.95)
    monkeypatch.setattr(splits, "CELLS", 1)
    assert (find_groups(rows, 0.95) == whole).all()
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    reached = np.linalg.matrix_power((units @ units.T >= 0.95).astype(object), 80) > 0
    assert ((whole[:, None] == whole[None]) == reached.astype(bool)).all()


def test_equal_rows_are_one_group():
    """A whole catalog of one photo is one group, and cannot be split."""
    rows = np.ones((50, 4), np.float32)
    groups = find_groups(rows, 0.999)
    assert not groups.any()
    pairs = np.array([[0, 1], [2, 3]])
    for split in (warm_split, cold_split):
        with pytest.raises(InputError, match="near-duplicates of one another"):
            split(rows, pairs, seed=0, groups=groups)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (np.zeros((0, 2), np.int64), "no edges left"),
        (np.array([[0, 9]]), "rows 0 to 4, found 9"),
        (np.array([[-1, 2]]), "found -1"),
        (np.array([[0.5, 1.0]]), "int64 of shape"),
        (np.array([1, 2]), "int64 of shape"),
    ],
)
def test_malformed_edges_are_refused(pairs, message):
    """Each with its own sentence."""
    with pytest.raises(InputError, match=message):
        check_pairs(pairs, 5)


def test_too_little_to_split_is_told():
    """Self-loops alone, one edge, shares that leave nothing, wrong groups, wrong threshold."""
    rows = np.eye(5, dtype=np.float32)
    with pytest.raises(InputError, match="joins an item to itself"):
        warm_split(rows, np.array([[1, 1]]), seed=0)
    with pytest.raises(InputError, match="no edges are left to judge by after the warm split"):
        warm_split(rows, np.array([[0, 1]]), seed=0)
    with pytest.raises(InputError, match="no edges are left to"):
        cold_split(rows, np.array([[0, 1]]), seed=0)
    with pytest.raises(InputError, match="must leave something to learn from"):
        warm_split(rows, np.array([[0, 1]]), seed=0, test=1.0)
    with pytest.raises(InputError, match="one group for each of 5"):
        cold_split(rows, np.array([[0, 1]]), seed=0, groups=np.arange(4))
    with pytest.raises(InputError, match="above 0 and at most at 1"):
        find_groups(rows, 1.5)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_negatives_are_never_known(seed):
    """As many as edges, same sources, no known edge in either direction, no near-duplicate of a partner."""
    _, pairs, group = _made(seed, edges=150)
    judged, items = pairs[:50], np.arange(60)
    places, drawn = random_negatives(judged, pairs, items, seed=seed, groups=group)
    assert len(places) == len(drawn)
    assert (drawn[:, 0] == judged[places, 0]).all()
    assert not _bundles(group, drawn) & _bundles(group, pairs)
    assert (group[drawn[:, 0]] != group[drawn[:, 1]]).all()
    again = random_negatives(judged, pairs, items, seed=seed, groups=group)
    assert (again[1] == drawn).all()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_negatives_of_the_same_category_are_of_it(seed):
    """The category of the true target; edges to items without a category are left out."""
    _, pairs, _ = _made(seed, edges=80)
    categories = np.random.default_rng(seed).integers(-1, 4, 60)
    items = np.arange(10, 60)
    places, drawn = same_category_negatives(pairs, pairs, items, categories, seed=seed)
    assert (categories[drawn[:, 1]] == categories[pairs[places, 1]]).all()
    assert (categories[drawn[:, 1]] >= 0).all()
    assert drawn[:, 1].min() >= 10
    assert not _bundles(np.arange(60), drawn) & _bundles(np.arange(60), pairs)


def test_rare_negatives_are_found():
    """Where one candidate of a hundred is left, it is drawn; where none is, the edge is left out."""
    items = np.arange(100)
    known = np.stack([np.zeros(98, np.int64), np.arange(1, 99)], axis=1)
    places, drawn = random_negatives(known[:3], known, items, seed=0)
    assert places.tolist() == [0, 1, 2]
    assert drawn.tolist() == [[0, 99]] * 3
    full = np.vstack([known, [[0, 99]], [[5, 6]]])
    assert random_negatives(full[[0, 99]], full, items, seed=0)[0].tolist() == [1]
    with pytest.raises(InputError, match="no edge has a negative"):
        random_negatives(full[:2], full, items, seed=0)


def test_random_negatives_are_uniform():
    """Every item that is allowed is drawn about equally often."""
    pairs = np.tile([[0, 1]], (9000, 1))
    counts = np.bincount(random_negatives(pairs, pairs, np.arange(11), seed=1)[1][:, 1], minlength=11)
    assert counts[:2].tolist() == [0, 0]
    assert np.abs(counts[2:] - 1000).max() < 150


def test_a_single_category_gives_no_same_category_negatives():
    """It would be the same as at random, which is told; so is that no edges are left."""
    pairs = np.array([[0, 1]])
    with pytest.raises(InputError, match="two categories at least"):
        same_category_negatives(pairs, pairs, np.arange(5), np.array([1, 1, 1, -1, 1]), seed=0)
    with pytest.raises(InputError, match="no edges left"):
        random_negatives(pairs[:0], pairs, np.arange(5), seed=0)
