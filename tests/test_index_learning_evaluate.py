"""Evaluation and its report: all contenders on the same questions, and a page that asks nobody for anything."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from index.errors import InputError, StorageError
from index.learning import evaluate as evaluation_module
from index.learning.baselines import baselines
from index.learning.evaluate import EdgeTruth, LabelTruth, evaluate
from index.learning.plots import bars, lines
from index.learning.report import page, write_report
from index.learning.scorers import Contender, cosine_scorer, link_scorer
from index.learning.splits import warm_split
from index.learning.vectors_file import read_vectors_file

TOLD = {"seed": 3, "data_hash": "abc", "date": "2026-01-31"}


@pytest.fixture(scope="module")
def made():
    """200 items in four categories; edges join the three nearest by the first two columns."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 8)).astype(np.float32)
    near = np.argsort(((rows[:, None, :2] - rows[None, :, :2]) ** 2).sum(axis=2), axis=1)[:, 1:4]
    pairs = np.stack([np.repeat(np.arange(200), 3), near.ravel()], axis=1)
    return rows, warm_split(rows, pairs, seed=0, test=0.2), rng.integers(0, 4, 200)


@pytest.fixture(scope="module")
def found(made):
    """Ours knows the two columns that count."""
    rows, split, categories = made
    ours = Contender("<b>style</b>", link_scorer(rows[:, :2], rows[:, :2], 0.5), 0.0)
    others = baselines(rows, seed=1, training=split.train, categories=categories, color=slice(2, 5))
    truth = EdgeTruth(split.test, split.train, "nearest & best")
    return evaluate([ours, *others], truth, 200, categories=categories, **TOLD)


def test_what_knows_is_told_from_what_does_not(found):
    """Ours near perfect; random at chance; every contender has the same figures."""
    assert [one.name for one in found.contenders][1:3] == ["random", "popularity"]
    ours, random = found.contenders[:2]
    for one in found.contenders:
        assert list(one.metrics) == list(ours.metrics)
        assert list(one.support) == list(ours.support)
    assert ours.metrics["recall@3"].value > 0.8
    assert ours.metrics["AUC, random negatives"].value > 0.95
    assert ours.metrics["accuracy, same-category negatives"].value > 0.85
    assert random.metrics["AUC, random negatives"].value == pytest.approx(0.5, abs=0.12)
    assert random.metrics["rank percentile"].value == pytest.approx(0.5, abs=0.1)
    assert {"MRR@20", "MAP", "nDCG@10", "recall@1", "recall@5", "recall@10", "recall@20"} < set(ours.metrics)


def test_support_counts_every_right_answer_once(found, made):
    """Buckets add up, and so do seen and unseen."""
    counts = {name: one.n for name, one in found.contenders[0].support.items()}
    assert (
        counts.pop("seen", 0) + counts.pop("unseen", 0) == len(np.unique(made[1].test, axis=0)) == sum(counts.values())
    )


def test_unseen_answers_are_kept_apart(made):
    """Without training edges everything is unseen, and scores that are no probabilities have no accuracy."""
    rows, split, _ = made
    truth = EdgeTruth(split.test, split.train[:0], "edges")
    found = evaluate([Contender("cosine", cosine_scorer(rows))], truth, 200, **TOLD)
    assert set(found.contenders[0].support) == {"0", "unseen"}
    assert not any(name.startswith("accuracy") for name in found.contenders[0].metrics)
    assert "AUC, random negatives" in found.contenders[0].metrics


def test_labels_are_counted_by_precision():
    """By hand: of six items in two labels, the nearest of each carries its label in four cases."""
    rows = np.array([[1, 0], [1, 0.1], [1, 0.2], [0, 1], [0.1, 1], [1, 0.21]], np.float32)
    labels = np.array([0, 0, 0, 1, 1, 1])
    found = evaluate([Contender("cosine", cosine_scorer(rows))], LabelTruth(labels, "kind"), 6, k=2, **TOLD)
    assert found.contenders[0].metrics["precision@1"].value == pytest.approx(4 / 6)
    assert found.curve == "precision"
    assert found.notes == ("the items are too few for lists longer than 5, which were left out",)


def test_labels_answer_only_by_what_may_answer():
    """With a group filter, queries whose label is all their own artist's are left out, and told."""
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(30, 4)).astype(np.float32), np.repeat([0, 1, 2], 10)
    artists = np.where(labels == 2, 99, np.arange(30))
    found = evaluate(
        [Contender("cosine", cosine_scorer(rows))], LabelTruth(labels, "genre"), 30, groups=artists, **TOLD
    )
    assert found.contenders[0].metrics["precision@1"].n == 20
    assert "10 queries had no candidate with their label" in " ".join(found.notes)
    other = evaluate(
        [Contender("cosine", cosine_scorer(rows))], LabelTruth(labels, "genre"), 30,
        categories=np.where(labels == 0, 0, np.arange(30) % 2), rule="other category", **TOLD,
    )  # fmt: skip
    assert other.contenders[0].metrics["precision@1"].n == 20


def test_many_queries_are_sampled_and_told(made, monkeypatch):
    """Beyond the bound, by seed, with a note."""
    monkeypatch.setattr(evaluation_module, "MAX_QUERIES", 20)
    monkeypatch.setattr(evaluation_module, "MAX_LINKS", 30)
    rows, split, _ = made
    truth = EdgeTruth(split.test, split.train, "edges")
    one, again = (evaluate([Contender("cosine", cosine_scorer(rows))], truth, 200, **TOLD) for _ in range(2))
    assert one.queries == 20
    assert one.to_json() == again.to_json()
    assert one.contenders[0].metrics["AUC, random negatives"].n == 30
    assert [note.split()[0] for note in one.notes] == ["20", "links"]


@pytest.mark.parametrize(
    ("truth", "options", "message"),
    [
        (EdgeTruth(np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64), ""), {}, "no edges left"),
        (EdgeTruth(np.array([[0, 9]]), np.zeros((0, 2), np.int64), ""), {}, "rows 0 to 5, found 9"),
        (LabelTruth(np.arange(6), ""), {}, "labels are all distinct"),
        (LabelTruth(np.full(6, -1), ""), {}, "labels are all distinct"),
        (LabelTruth(np.zeros(6, np.int64), ""), {}, "all items have the same label"),
        (LabelTruth(np.array([0, 0, 1]), ""), {}, "one label for each of 6 items"),
        (LabelTruth(np.array([0, 0, 0, 1, 1, 1]), ""), {"k": 6}, "k must lie between 1 and 5"),
        (LabelTruth(np.array([0, 0, 0, 1, 1, 1]), ""), {"k": 2, "groups": np.zeros(6, np.int64)}, "no query has"),
        (LabelTruth(np.array([0, 0, 0, 1, 1, 1]), ""), {"k": 2, "rule": "same category"}, "needs categories"),
    ],
)
def test_what_cannot_be_evaluated_is_told(truth, options, message):
    """Each with its own sentence."""
    rows = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    with pytest.raises(InputError, match=message):
        evaluate([Contender("cosine", cosine_scorer(rows))], truth, 6, **TOLD, **options)


def test_contenders_have_names_of_their_own():
    """Two of one name could not be told apart in the report."""
    one = Contender("same", cosine_scorer(np.eye(3, dtype=np.float32)))
    for some in ([one, one], []):
        with pytest.raises(InputError, match="contenders of different names"):
            evaluate(some, LabelTruth(np.array([0, 0, 1]), ""), 3, k=1, **TOLD)


class _Page(HTMLParser):
    """Tags that open and close, addresses, text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.tags, self.text = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.addresses += [value for name, value in attributes if name in ("href", "src", "xlink:href", "action")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_escaped_and_alone(found):
    """Well nested, no script, no address, no markup from names; every figure of the JSON's table is in it."""
    text = page(found)
    parsed = _Page(text)
    assert parsed.open == []
    assert parsed.addresses == []
    assert not parsed.tags & {"script", "link", "img", "iframe", "b"}
    assert not re.search(r"https?:|url\(|@import", text)
    assert "prefers-color-scheme: dark" in text
    told = "".join(parsed.text)
    assert "<b>style</b>" in told
    for part in ("nearest & best", "abc", "2026-01-31", "raw cosine", "recall@20", "AUC, same-category negatives"):
        assert part in told
    for one in found.contenders:
        for figure in one.metrics.values():
            assert f"{figure.value:.3f}" in told
            assert f"{figure.low:.3f} to {figure.high:.3f}" in told
    assert text.count("<svg") == 4


def test_both_files_are_written_whole_or_not_at_all(found, tmp_path):
    """The JSON reads back; a folder that is not there leaves nothing behind."""
    write_report(found, tmp_path / "r.html", tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == json.loads(json.dumps(found.to_json()))
    assert (tmp_path / "r.html").read_text() == page(found)
    with pytest.raises(StorageError, match="cannot write"):
        write_report(found, tmp_path / "new.html", tmp_path / "missing" / "r.json")
    with pytest.raises(InputError, match="different files"):
        write_report(found, tmp_path / "x", tmp_path / "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "r.json"]


def test_plots_stay_within_their_frame():
    """Bars are as high as their values, intervals included, and empty ones draw nothing outside."""
    text = bars("t", ["a", "b"], [("x", [(1.0, 0.9, 1.0), None]), ("y", [(0.5, 0.4, 0.6), (0.25, 0.0, 0.5)])])
    heights = [float(height) for height in re.findall(r'<rect[^>]* height="([0-9.]+)"', text)]
    assert heights == pytest.approx([248, 124, 62])
    flat = lines("t", ["1"], [("x", [0.0])])
    assert 'cy="260.0"' in flat
    assert "nan" not in flat


def _write_vectors(path, vectors, ids):
    pyarrow.parquet.write_table(pyarrow.table({"id": ids, "vector": list(vectors)}), path)


def test_vectors_are_read_from_every_form(tmp_path):
    """Parquet; .npy with ids as text or as Parquet; always float32, in order."""
    vectors = np.arange(6, dtype=np.float64).reshape(3, 2)
    _write_vectors(tmp_path / "a.parquet", vectors, ["x", "y", "z"])
    np.save(tmp_path / "b.npy", vectors)
    (tmp_path / "b.txt").write_text("x\ny\nz\n")
    np.save(tmp_path / "c.npy", vectors.astype(np.float16))
    pyarrow.parquet.write_table(pyarrow.table({"id": ["x", "y", "z"]}), tmp_path / "c.parquet")
    for name in ("a.parquet", "b.npy", "c.npy"):
        ids, found = read_vectors_file(tmp_path / name)
        assert ids == ["x", "y", "z"]
        assert found.dtype == np.float32
        assert (found == vectors).all()


def test_vectors_that_cannot_be_used_are_told(tmp_path):
    """Each with its own sentence."""
    two = np.ones((2, 3))

    def refused(name, message):
        with pytest.raises(InputError, match=message):
            read_vectors_file(tmp_path / name)

    refused("a.csv", "expected .npy, .npz or .parquet")
    refused("a.parquet", "does not exist")
    (tmp_path / "a.parquet").write_text("no table")
    refused("a.parquet", "not a readable Parquet file")
    pyarrow.parquet.write_table(pyarrow.table({"id": ["x"]}), tmp_path / "a.parquet")
    refused("a.parquet", "no column 'vector'; found: id")
    _write_vectors(tmp_path / "a.parquet", [[1.0], [1.0, 2.0]], ["x", "y"])
    refused("a.parquet", "list of as many numbers")
    _write_vectors(tmp_path / "a.parquet", [[1.0], None], ["x", "y"])
    refused("a.parquet", "list of as many numbers")
    _write_vectors(tmp_path / "a.parquet", two, ["x", "x"])
    refused("a.parquet", "'x' twice")
    _write_vectors(tmp_path / "a.parquet", two, ["x", None])
    refused("a.parquet", "row 2 has no id")
    _write_vectors(tmp_path / "a.parquet", [[1.0, np.nan], [1.0, 2.0]], ["x", "y"])
    refused("a.parquet", "infinite or NaN, for id 'x'")
    np.save(tmp_path / "b.npy", two)
    refused("b.npy", "needs its ids beside it")
    (tmp_path / "b.txt").write_text("x\n")
    refused("b.npy", "2 vectors for 1 ids")
    np.save(tmp_path / "b.npy", np.ones(3))
    refused("b.npy", r"found float64 of shape \(3,\)")
    (tmp_path / "b.npy").write_bytes(b"nothing")
    refused("b.npy", "not a readable array")
    np.save(tmp_path / "b.npy", np.array([{}], object), allow_pickle=True)
    refused("b.npy", "not a readable array")
