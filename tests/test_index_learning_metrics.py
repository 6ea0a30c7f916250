"""Metrics: hand-computed cases, scikit-learn's numbers where it has the metric, and no gain from equal scores."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

from index.errors import InputError
from index.learning import ranking as ranking_module
from index.learning.exposure import exposure, gini, skewness
from index.learning.intervals import bootstrap, bootstrap_auc
from index.learning.metrics import (
    average_precision,
    best_threshold,
    correct,
    label_precision,
    ndcg,
    rank_percentile,
    recall,
    reciprocal_rank,
    support_bucket,
    wins,
)
from index.learning.ranking import NO_PAIRS, Questions, rank
from index.learning.scorers import cosine_scorer, link_scorer, score_pairs

TIES = ("expected", "median", "conservative")


def _table_scorer(table):
    """Scores read off a table of all rows."""
    return lambda queries, candidates: table[queries, candidates]


def _ranked(scores, right, k=3):
    """One query (row 0) over candidates 1 … with these scores; ``right`` are places among the candidates."""
    table = np.zeros((1, len(scores) + 1), np.float32)
    table[0, 1:] = scores
    truth = np.array([[0, place + 1] for place in right], np.int64).reshape(-1, 2)
    questions = Questions(np.array([0]), np.arange(len(scores) + 1), truth, NO_PAIRS)
    return rank(_table_scorer(table), questions, k=k, seed=0)


def test_ranks_by_hand():
    """Right answers second and fourth of five."""
    found = _ranked([9, 8, 7, 6, 5], [1, 3])
    for ties in TIES:
        assert recall(found, 1, ties) == 0
        assert recall(found, 3, ties) == 0.5
        assert recall(found, 5, ties) == 1
        assert reciprocal_rank(found, 20, ties) == 0.5
        assert reciprocal_rank(found, 1, ties) == 0
        assert average_precision(found, ties) == pytest.approx((1 / 2 + 2 / 4) / 2)
        expected = (1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3))
        assert ndcg(found, 10, ties) == pytest.approx(expected)
    assert rank_percentile(found) == pytest.approx((1 + 3) / 2 / 4)
    assert found.top.tolist() == [[1, 2, 3]]


def test_ties_by_hand():
    """One right answer tied with three wrong ones, behind one that is better."""
    found = _ranked([9, 5, 5, 5, 5, 1], [2])
    assert recall(found, 3, "expected") == pytest.approx(2 / 4)
    assert recall(found, 3, "median") == 0  # rank 3.5
    assert recall(found, 4, "median") == 1
    assert recall(found, 4, "conservative") == 0  # rank 5
    assert reciprocal_rank(found, 20, "expected") == pytest.approx((1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4)
    assert reciprocal_rank(found, 20, "median") == pytest.approx(1 / 3.5)
    assert reciprocal_rank(found, 20, "conservative") == pytest.approx(1 / 5)


@given(
    scores=st.lists(st.integers(0, 2), min_size=3, max_size=5),
    data=st.data(),
)
@settings(max_examples=50, deadline=None)
def test_expected_ties_are_the_mean_over_all_orders(scores, data):
    """The closed forms equal what trying every order of equal scores gives."""
    right = sorted(data.draw(st.sets(st.integers(0, len(scores) - 1), min_size=1, max_size=3)))
    k = data.draw(st.integers(1, len(scores)))
    found = _ranked(scores, right, k=1)
    metrics = {"recall": recall, "rr": reciprocal_rank, "ndcg": ndcg}
    sums = dict.fromkeys([*metrics, "ap"], 0.0)
    orders = list(itertools.permutations(range(len(scores))))
    for order in orders:
        broken = _ranked(np.array(scores) + np.array(order) / 100, right, k=1)
        for name, metric in metrics.items():
            sums[name] += float(metric(broken, k)[0])
        sums["ap"] += float(average_precision(broken)[0])
    for name, metric in metrics.items():
        assert metric(found, k)[0] == pytest.approx(sums[name] / len(orders), abs=1e-9), name
    assert average_precision(found)[0] == pytest.approx(sums["ap"] / len(orders), abs=1e-9)


@given(seed=st.integers(0, 10_000), n=st.integers(5, 40), right=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_constant_scores_score_as_random(seed, n, right):
    """Exactly the chance level when ties are expected, at every cut-off; never above it when conservative."""
    rng = np.random.default_rng(seed)
    found = _ranked(np.full(n, 0.7), rng.choice(n, right, replace=False).tolist())
    for k in (1, 3, n // 2, n):
        assert recall(found, k)[0] == pytest.approx(k / n)
        assert recall(found, k, "conservative")[0] <= k / n + 1e-9
    chance = np.mean([average_precision(_ranked(rng.permutation(n), range(right)))[0] for _ in range(100)])
    assert average_precision(found)[0] == pytest.approx(chance, abs=0.15)
    assert average_precision(found, "conservative")[0] <= average_precision(found)[0] + 1e-9
    assert rank_percentile(found)[0] == pytest.approx(0.5)


def test_constant_scores_over_rows_in_order_recommend_at_random():
    """Items sorted by label, all scores equal: the lists are random ones, not the first rows."""
    labels = np.repeat(np.arange(10), 30)
    questions = Questions(np.arange(300), np.arange(300), NO_PAIRS, NO_PAIRS)
    found = rank(cosine_scorer(np.ones((300, 7), np.float32)), questions, k=10, seed=1)
    assert label_precision(found, labels, 10, np.ones(300, bool)).mean() == pytest.approx(29 / 299, abs=0.03)
    assert exposure(found.top, questions.candidates).never < 0.01


@given(seed=st.integers(0, 10_000), levels=st.integers(2, 50))
@settings(max_examples=40, deadline=None)
def test_agrees_with_scikit_learn(seed, levels):
    """AUC and nDCG with ties; average precision where there are none."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, 30).astype(np.float32)
    right = np.zeros(30, bool)
    right[rng.choice(30, 6, replace=False)] = True
    places = np.flatnonzero(right).tolist()
    assert ndcg(_ranked(scores, places), 10)[0] == pytest.approx(ndcg_score([right], [scores], k=10))
    apart = rng.permutation(30).astype(np.float32)
    for ties in TIES:
        assert average_precision(_ranked(apart, places), ties)[0] == pytest.approx(
            average_precision_score(right, apart)
        )
    positive, negative = scores[:15], scores[15:]
    found = bootstrap_auc(positive, negative, seed=0, clusters=np.arange(15))
    assert found.value == pytest.approx(roc_auc_score([1] * 15 + [0] * 15, scores))
    assert found.low <= found.value <= found.high


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_numbering_does_not_matter(seed):
    """Rows numbered otherwise, queries and candidates in another order: the same figures, within 0 and 1."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 2, (25, 4)).astype(np.float32)
    truth = rng.integers(0, 25, (40, 2))
    truth = truth[truth[:, 0] != truth[:, 1]]
    known, groups = rng.integers(0, 25, (20, 2)), rng.integers(-1, 9, 25)
    new = rng.permutation(25)
    old = np.argsort(new)
    here = Questions(
        np.unique(truth[:, 0]), np.arange(25), truth, known, groups, rows[:, 0].astype(int), "other category"
    )
    there = Questions(
        rng.permutation(new[here.queries]), rng.permutation(25), new[truth], new[known], groups[old],
        rows[old, 0].astype(int), "other category",
    )  # fmt: skip
    one, other = rank(cosine_scorer(rows), here, k=3, seed=0), rank(cosine_scorer(rows[old]), there, k=3, seed=0)
    assert one.unreachable == other.unreachable
    for ties in TIES:
        for metric in (lambda r, t: recall(r, 3, t), average_precision, lambda r, t: ndcg(r, 5, t)):
            mine, theirs = (np.sort(metric(ranking, ties)) for ranking in (one, other))
            np.testing.assert_allclose(mine, theirs, atol=1e-12)
            assert ((mine >= 0) & (mine <= 1 + 1e-12) | np.isnan(mine)).all()


@pytest.mark.parametrize("bound", ["CELLS", "FEW"])
def test_blocks_do_not_matter(monkeypatch, bound):
    """One query at a time gives what one block gives, and sorting what counting gives."""
    rng = np.random.default_rng(0)
    rows, truth = rng.integers(0, 3, (50, 3)).astype(np.float32), rng.integers(0, 50, (60, 2))
    questions = Questions(np.unique(truth[:, 0]), np.arange(50), truth, NO_PAIRS)
    whole = rank(cosine_scorer(rows), questions, k=5, seed=0)
    monkeypatch.setattr(ranking_module, bound, 0)
    parts = rank(cosine_scorer(rows), questions, k=5, seed=0)
    for name in ("pairs", "place", "above", "tied", "true_above", "true_tied", "candidates"):
        assert (getattr(whole, name) == getattr(parts, name)).all()
    assert (whole.top == parts.top).all()


def test_who_may_answer():
    """Neither oneself, nor one's own group, nor known pairs in either direction, nor categories against the rule."""
    table = np.tile(np.arange(8, dtype=np.float32), (8, 1))
    categories = np.array([0, 0, 0, 0, 1, 1, 1, 1])

    def top(**options):
        questions = Questions(np.array([7]), np.arange(8), NO_PAIRS, options.pop("known", NO_PAIRS), **options)
        found = rank(_table_scorer(table), questions, k=7, seed=0)
        return [row for row in found.top[0].tolist() if row >= 0]

    assert top() == [6, 5, 4, 3, 2, 1, 0]
    assert top(known=np.array([[7, 5], [3, 7], [1, 2]])) == [6, 4, 2, 1, 0]
    assert top(groups=np.array([0, 0, 1, 1, 2, 2, 1, 1])) == [5, 4, 1, 0]
    assert top(groups=np.full(8, -1)) == [6, 5, 4, 3, 2, 1, 0]
    assert top(categories=categories, rule="same category") == [6, 5, 4]
    assert top(categories=categories, rule="other category") == [3, 2, 1, 0]


def test_label_precision_leaves_out_the_own_artist():
    """With the filter, one's own album no longer counts."""
    rows = np.array([[1, 0], [1, 0.01], [0.9, 0.5], [0.8, 0.6]], np.float32)
    labels, artists = np.array([0, 0, 1, 0]), np.array([5, 5, 6, 7])
    for groups, expected in ((None, 1.0), (artists, 0.0)):
        questions = Questions(np.array([0]), np.arange(4), NO_PAIRS, NO_PAIRS, groups)
        found = rank(cosine_scorer(rows), questions, k=1, seed=0)
        assert label_precision(found, labels, 1, np.array([True])) == expected


def test_links_by_hand():
    """Wins, accuracy and threshold on four edges."""
    positive, negative = np.array([0.9, 0.6, 0.4, 0.5]), np.array([0.1, 0.6, 0.7, 0.2])
    assert wins(positive, negative).tolist() == [1, 0.5, 0, 1]
    assert correct(positive, negative, 0.5).tolist() == [1, 0.5, 0, 0.5]
    cut = best_threshold(positive, negative)
    assert 0.2 <= cut < 0.4
    assert correct(positive, negative, cut).mean() == 0.75
    assert correct(np.ones(4), np.ones(4), best_threshold(np.ones(4), np.ones(4))).mean() == 0.5


@given(seed=st.integers(0, 10_000), levels=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_no_threshold_is_better(seed, levels):
    """Tried against every cut between scores."""
    rng = np.random.default_rng(seed)
    positive, negative = rng.integers(0, levels, (2, 12)) + np.array([[1], [0]])
    best = correct(positive, negative, best_threshold(positive, negative)).mean()
    assert best == max(correct(positive, negative, cut).mean() for cut in np.arange(-1, levels + 2) + 0.5)


def test_a_pair_scores_the_same_alone_and_in_a_table():
    """Both forms of asking a scorer agree, and odds follow the distance."""
    rng = np.random.default_rng(0)
    rows, others = rng.normal(size=(2, 20, 6)).astype(np.float32)
    pairs = np.stack(np.meshgrid(np.arange(20), np.arange(20), indexing="ij"), axis=-1).reshape(-1, 2)
    for scorer in (cosine_scorer(rows), link_scorer(rows, others, 3.0)):
        table = scorer(np.arange(20)[:, None], np.arange(20)[None, :])
        np.testing.assert_allclose(score_pairs(scorer, pairs).reshape(20, 20), table, atol=2e-6)
    expected = 3 - ((rows[:, None] - others[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(table, expected, atol=1e-4)


def test_support_buckets_have_their_bounds():
    """0, 1-2, 3-9, 10+."""
    names = support_bucket(np.array([0, 1, 2, 3, 9, 10, 500])).tolist()
    assert names == ["0", "1-2", "1-2", "3-9", "3-9", "10+", "10+"]


def test_exposure_by_hand():
    """Five items, two lists of two: item 4 twice, 1 and 2 once, 0 and 3 never."""
    found = exposure(np.array([[4, 1], [2, 4]]), np.arange(5))
    assert (found.never, found.coverage) == (0.4, 0.6)
    assert found.histogram == ((0, 2), (1, 2), (2, 1))
    counts = np.array([0, 1, 1, 0, 2])
    from scipy.stats import skew

    assert found.skewness == pytest.approx(skew(counts))
    assert found.gini == pytest.approx(np.abs(counts[:, None] - counts[None]).sum() / (2 * 5 * counts.sum()))
    assert skewness(np.ones(4)) == gini(np.ones(4)) == gini(np.zeros(3)) == 0


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Of 200 samples, the 95 % interval of the mean holds the true one in most, by query and with clusters."""
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        clusters = np.repeat(np.arange(60), 3)
        values = np.repeat(rng.normal(size=60), 3)
        found = bootstrap(values, seed=seed, clusters=clusters)
        held += found.low <= 0 <= found.high
    assert 178 <= held <= 200
    single = bootstrap(values, seed=0)
    assert single.high - single.low < 0.75 * (found.high - found.low)
    assert bootstrap(values, seed=3) == bootstrap(values, seed=3)
    assert bootstrap(np.array([np.nan, 2.0, 4.0]), seed=0).value == 3
    assert bootstrap(np.full(9, 0.1), seed=0).low == pytest.approx(0.1)


def test_bad_input_is_told():
    """No queries, k beyond the catalog, a rule without categories, scores without order, nothing to average."""
    rows = np.eye(4, dtype=np.float32)
    everyone = np.arange(4)
    with pytest.raises(InputError, match="nothing to ask"):
        rank(cosine_scorer(rows), Questions(everyone[:0], everyone, NO_PAIRS, NO_PAIRS), k=1, seed=0)
    with pytest.raises(InputError, match="k must lie between 1 and 3"):
        rank(cosine_scorer(rows), Questions(everyone, everyone, NO_PAIRS, NO_PAIRS), k=4, seed=0)
    with pytest.raises(InputError, match="needs categories"):
        rank(cosine_scorer(rows), Questions(everyone, everyone, NO_PAIRS, NO_PAIRS, rule="same category"), k=1, seed=0)
    with pytest.raises(InputError, match="infinite or not a number"):
        rank(_table_scorer(np.full((4, 4), np.nan)), Questions(everyone, everyone, NO_PAIRS, NO_PAIRS), k=1, seed=0)
    with pytest.raises(InputError, match="nothing to average"):
        bootstrap(np.array([np.nan]), seed=0)
    with pytest.raises(InputError, match="no candidates"):
        exposure(np.zeros((1, 1), np.int64), everyone[:0])
    with pytest.raises(InputError, match="there are none"):
        best_threshold(np.ones(0), np.ones(2))
    with pytest.raises(InputError, match="there are none"):
        bootstrap_auc(np.ones(0), np.ones(0), seed=0, clusters=everyone[:0])
