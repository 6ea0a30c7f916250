"""The gate: what is better passes, what is not does not, and too little to tell is told; and the baselines."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from index.errors import InputError
from index.learning.baselines import baselines, popularity_scorer, random_scorer, same_category_scorer
from index.learning.gate import MIN_EDGES, Trial, judge
from index.learning.scorers import Contender, cosine_scorer, link_scorer
from index.learning.splits import cold_split, warm_split

EVERY = 16
"""Two splits, two kinds of negatives, four others."""


@pytest.fixture(scope="module")
def made():
    """600 items of five categories; edges join nearest styles of other categories, and looks hide the style."""
    rng = np.random.default_rng(0)
    categories, style = rng.integers(0, 5, 600), rng.normal(size=(600, 4))
    looks = 3 * rng.normal(size=(5, 12))[categories] + 2 * rng.normal(size=(600, 12))
    rows = np.concatenate([style, looks], axis=1).astype(np.float32)
    apart = ((style[:, None] - style[None]) ** 2).sum(axis=2)
    apart[categories[:, None] == categories[None]] = np.inf
    near = np.argsort(apart, axis=1)[:, :6]
    pairs = np.stack([np.repeat(np.arange(600), 6), near.ravel()], axis=1)
    return rows, pairs, categories


def _judged(made, learned, *, pairs=None, categories="own", **options):
    rows, all_pairs, own = made
    pairs = all_pairs if pairs is None else pairs
    categories = own if isinstance(categories, str) else categories
    plain = Contender("similar", cosine_scorer(rows))
    trials = [Trial(split(rows, pairs, seed=2), learned, plain) for split in (warm_split, cold_split)]
    return judge(*trials, seed=1, categories=categories, **options)


def _styled(made):
    style = made[0][:, :4]
    return Contender("style", link_scorer(style, style, 1.5), 0.0)


def test_what_knows_the_style_passes(made):
    """Better in every comparison, also among unseen items and inside the category."""
    found = _judged(made, _styled(made))
    assert found.passed
    assert len(found.comparisons) == EVERY
    assert {(one.split, one.negatives) for one in found.comparisons} == {
        (split, kind) for split in ("warm", "cold") for kind in ("at random", "same category")
    }
    assert all(one.difference.low > 0 and one.difference.n >= MIN_EDGES for one in found.comparisons)
    assert min(one.ours.value for one in found.comparisons) > 0.95
    assert found.sentence.startswith("passed: better in all 16 comparisons")


def test_the_same_again_is_refused(made):
    """A copy of the unlearned relation is not better than it."""
    rows = made[0]
    found = _judged(made, Contender("copy", cosine_scorer(rows)))
    assert found.decision == "refused"
    against = [one for one in found.comparisons if one.against == "similar"]
    assert all(one.difference.value == one.difference.low == one.difference.high == 0 for one in against)
    assert {one.verdict for one in against} == {"not better"}


def test_knowing_only_categories_is_refused(made):
    """What tells which categories go together wins at random, and fails where the category is the same."""
    categories = made[2]
    other = same_category_scorer(categories, seed=5)
    found = _judged(made, Contender("categories", lambda queries, candidates: -other(queries, candidates)))
    assert not found.passed
    random = [one for one in found.comparisons if one.negatives == "at random" and one.against == "similar"]
    assert {one.verdict for one in random} == {"better"}
    assert "not better" in {one.verdict for one in found.comparisons if one.negatives == "same category"}


def test_what_only_remembers_is_refused_on_the_cold_split(made):
    """A table of training edges knows nothing of items it has not seen."""
    rows, pairs, categories = made
    trials = []
    for split in (warm_split(rows, pairs, seed=2), cold_split(rows, pairs, seed=2)):
        near = cosine_scorer(rows[:, :4])
        seen = np.zeros(len(rows), bool)
        seen[split.train] = True

        def remembered(queries, candidates, near=near, seen=seen):
            return near(queries, candidates) * (seen[queries] & seen[candidates])

        trials.append(Trial(split, Contender("memory", remembered), Contender("similar", cosine_scorer(rows))))
    found = judge(*trials, seed=1, categories=categories)
    assert found.decision == "refused"
    assert {one.verdict for one in found.comparisons if one.split == "warm"} == {"better"}
    cold = [one for one in found.comparisons if one.split == "cold" and one.against == "chance"]
    assert {one.ours.value for one in cold} == {0.5}
    assert {one.verdict for one in cold} == {"not better"}


def test_noise_does_not_pass(made):
    """Random scores beat nothing by more than chance."""
    for seed in range(5):
        assert not _judged(made, Contender("noise", random_scorer(seed))).passed


def test_too_few_edges_cannot_tell(made):
    """However good it is, a handful of edges does not show it; nothing is to be saved."""
    few = made[1][np.random.default_rng(0).choice(3600, 400, replace=False)]
    found = _judged(made, _styled(made), pairs=few)
    assert found.decision == "cannot tell"
    assert not found.passed
    assert {one.verdict for one in found.comparisons if one.difference.n < MIN_EDGES} == {"cannot tell"}
    assert "edges of" in found.sentence


def test_edges_of_one_source_cannot_tell(made):
    """Many edges of few sources are one opinion, not many."""
    rows, pairs, categories = made
    split = warm_split(rows, pairs, seed=2)
    lopsided = replace(split, test=np.stack([np.full(60, 7), np.setdiff1d(np.arange(61), [7])], axis=1))
    cold = cold_split(rows, pairs, seed=2)
    plain, learned = Contender("similar", cosine_scorer(rows)), _styled(made)
    found = judge(Trial(lopsided, learned, plain), Trial(cold, learned, plain), seed=1, categories=categories)
    assert {one.verdict for one in found.comparisons if one.split == "warm"} == {"cannot tell"}
    assert {one.queries for one in found.comparisons if one.split == "warm"} == {1}


@pytest.mark.parametrize("categories", [None, np.zeros(600, np.int64), np.full(600, -1)])
def test_without_two_categories_the_rest_decides(made, categories):
    """No categories, a single one, none known: a note tells that nothing was asked inside the category."""
    found = _judged(made, _styled(made), categories=categories)
    assert found.passed
    assert {one.against for one in found.comparisons} == {"chance", "similar"}
    assert "no two categories" in found.notes[0]


def test_a_comparison_that_cannot_be_made_does_not_pass(made):
    """Where no negative of the same category exists on one split, the gate cannot tell."""
    found = _judged(made, _styled(made), categories=np.arange(600))
    assert found.decision == "cannot tell"
    assert "no edge has a negative" in found.notes[0]


def test_the_result_tells_itself(made):
    """As JSON and as a table; the same seed gives the same."""
    found = _judged(made, _styled(made))
    assert json.loads(json.dumps(found.to_json()))["decision"] == "passed"
    assert found.to_json() == _judged(made, _styled(made)).to_json()
    lines = found.table().splitlines()
    assert lines[0].split() == ["split", "negatives", "against", "ours", "theirs", "difference", "edges", "verdict"]
    assert len(lines) == 1 + EVERY + 1
    assert lines[-1] == found.sentence


def test_splits_must_be_of_one_set_of_edges(made):
    """Two cold splits, or splits of different edges, are refused."""
    rows, pairs, _ = made
    one = Contender("similar", cosine_scorer(rows))
    warm, cold = warm_split(rows, pairs, seed=0), cold_split(rows, pairs[::-1], seed=0)
    with pytest.raises(InputError, match="in this order; found cold and cold"):
        judge(Trial(cold, one, one), Trial(cold, one, one), seed=0)
    with pytest.raises(InputError, match="of different data"):
        judge(Trial(warm, one, one), Trial(cold, one, one), seed=0)


def test_random_scores_depend_on_the_pair_alone():
    """Whatever block they are asked in; spread evenly; another seed, another order."""
    table = random_scorer(1)(np.arange(200)[:, None], np.arange(300)[None, :])
    assert (random_scorer(1)(np.arange(200), np.arange(200)) == np.diagonal(table)).all()
    assert np.abs(np.histogram(table, bins=10, range=(0, 1))[0] / 6000 - 1).max() < 0.06
    assert np.abs(np.corrcoef(table)[np.triu_indices(200, 1)]).max() < 0.3
    assert not (random_scorer(2)(np.arange(200), np.arange(200)) == np.diagonal(table)).any()


def test_baselines_by_hand():
    """Popularity counts edges; the own category stands before all others, unknown ones share with nobody."""
    training = np.array([[0, 1], [2, 1], [3, 1], [0, 2]])
    rows = np.arange(5)
    assert popularity_scorer(training, 5)(rows[:1, None], rows[None, :]).tolist() == [[2, 3, 2, 1, 0]]
    categories = np.array([0, 0, 1, 0, -1])
    for found in (
        same_category_scorer(categories, seed=0),
        same_category_scorer(categories, seed=0, training=training),
    ):
        table = found(rows[:, None], rows[None, :])
        assert ((table >= 1) == ((categories[:, None] == categories[None]) & (categories >= 0))).all()
    assert table[3, 1] > table[3, 0] > table[3, 3]
    assert table[4].argmax() == 1


def test_every_baseline_that_the_data_allows():
    """Each needs what it needs; ours looks at the columns it is told."""
    rows = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    edges, categories = np.array([[0, 1]]), np.array([0, 0, 0, 1, 1, 1])
    assert [one.name for one in baselines(rows, seed=0)] == ["random", "raw cosine"]
    everything = baselines(rows, seed=0, training=edges, categories=categories, color=slice(1, 3))
    assert [one.name for one in everything] == [
        "random", "popularity", "same category, random", "same category, most popular", "colour histogram",
        "raw cosine",
    ]  # fmt: skip
    assert len(baselines(rows, seed=0, categories=np.zeros(6, np.int64))) == 2
    expected = cosine_scorer(rows[:, 1:3])(np.array([0]), np.array([1]))
    assert everything[4].score(np.array([0]), np.array([1])) == expected


def test_vectors_that_tell_nothing_are_refused():
    """All the same, or not finite; and one category for all."""
    with pytest.raises(InputError, match="all vectors are the same"):
        baselines(np.ones((4, 3), np.float32), seed=0)
    with pytest.raises(InputError, match="NaN"):
        baselines(np.array([[np.nan], [1]], np.float32), seed=0)
    with pytest.raises(InputError, match="two categories at least"):
        same_category_scorer(np.array([2, 2, -1]), seed=0)


def test_worse_than_chance_is_no_mark_to_beat(made):
    """Where the unlearned relation prefers what does not go together, knowing nothing does not pass."""
    rows, pairs, _ = made
    apart = Contender("apart", lambda queries, candidates: -cosine_scorer(rows[:, :4])(queries, candidates))
    nothing = Contender("nothing", lambda queries, candidates: 0 * cosine_scorer(rows)(queries, candidates))
    trials = [Trial(split(rows, pairs, seed=2), nothing, apart) for split in (warm_split, cold_split)]
    found = judge(*trials, seed=1)
    assert {one.verdict for one in found.comparisons if one.against == "apart"} == {"better"}
    assert found.decision == "refused"


def test_one_lucky_edge_is_not_better(made):
    """A difference above 0 that other edges might not have shown does not count."""
    rows, pairs, _ = made
    warm, cold = warm_split(rows, pairs, seed=2), cold_split(rows, pairs, seed=2)
    plain = cosine_scorer(rows)
    lost = [edge for edge in warm.test if plain(edge[:1], edge[1:])[0] < -0.3][:1]
    assert lost

    def score(queries, candidates):
        right = (queries == lost[0][0]) & (candidates == lost[0][1])
        return (plain(queries, candidates) + 3 * right).astype(np.float32)

    similar = Contender("similar", plain)
    found = judge(Trial(warm, Contender("lucky", score), similar), Trial(cold, similar, similar), seed=1)
    one = next(one for one in found.comparisons if one.split == "warm" and one.against == "similar")
    assert one.difference.value > 0
    assert one.difference.low == 0
    assert one.verdict == "not better"


def test_cold_links_name_unseen_items_alone(made):
    """Edges and negatives of the cold split are of items that training has not seen."""
    rows, pairs, categories = made
    warm, cold = warm_split(rows, pairs, seed=2), cold_split(rows, pairs, seed=2)
    asked = []

    def score(queries, candidates):
        asked.append(np.concatenate([queries, candidates]))
        return cosine_scorer(rows)(queries, candidates)

    plain = Contender("similar", cosine_scorer(rows))
    judge(Trial(warm, plain, plain), Trial(cold, Contender("x", score, 0.0), plain), seed=1, categories=categories)
    assert not np.isin(np.concatenate(asked), cold.train).any()
    assert not np.isin(np.concatenate(asked), cold.validation).any()
