"""Calibration: the recall told is the recall measured from outside, and the fastest method wins."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from index.engine import calibrate as calibration
from index.engine.calibrate import random_quantiles, rows_that_meet_cells, rule_categories
from index.engine.search import Restriction, Searcher
from index.relations import RELATIONS


def _told_and_measured(made, measure_recall, relation: str, queries: int) -> tuple[float, float, str]:
    recommender = made.open()
    seen = made.seen(recommender, relation)
    some = np.random.default_rng(7).choice(len(seen.ids), queries, replace=False)
    told, found, methods = [], [], set()
    for row in some.tolist():
        answer = recommender.query(seen.ids[row], relation=relation, duplicates=True)
        told.append(answer.recall)
        found.append(measure_recall(answer.hits, seen.truth(seen.ids[row]), 10))
        methods.add(answer.method)
    assert len(methods) == 1
    return float(np.mean(told)), float(np.mean(found)), methods.pop()


@pytest.mark.parametrize("method", ["annoy", "cells"])
@pytest.mark.parametrize("relation", ["similar", "style", "substitute"])
def test_recall_told_is_recall_measured(make_catalog, searching_by, measure_recall, method, relation):
    """Two thousand items, low recall asked for, so that there are misses to count."""
    with searching_by(method):
        made = make_catalog()
        made.fill(2000, categories=3)
        with made.catalog.connection:
            made.catalog.set_setting("recall", "0.9")
        made.build()
        told, measured, used = _told_and_measured(made, measure_recall, relation, 300)
    assert used == method
    assert 0.9 <= told <= 1
    assert measured >= told - 0.015  # asking holds the first ten of twenty fetched, as calibration did
    assert abs(told - measured) <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize("relation", ["similar", "style"])
def test_recall_told_is_recall_measured_on_a_large_catalog(make_catalog, measure_recall, relation):
    """Fifteen thousand items, nothing forced: whichever method the build chose."""
    made = make_catalog()
    made.fill(15_000)
    made.build()
    told, measured, _ = _told_and_measured(made, measure_recall, relation, 400)
    assert abs(told - measured) <= 0.01


def test_a_small_catalog_is_scanned(make_catalog):
    """No trees, no files for them, recall 1."""
    made = make_catalog()
    made.fill(300)
    made.build()
    space = made.open().generation.spaces["image"]
    assert {plan.method for plan in space.record.relations.values()} == {"exact"}
    assert not [path for path in space.folder.iterdir() if path.is_dir()]


def test_cells_that_cannot_win_are_given_up_and_deleted(make_catalog, monkeypatch):
    """When a scan is faster the plan is exact and no unused file stays."""
    monkeypatch.setattr("index.engine.build.EXACT_ROWS", 400)
    probe = calibration._probe
    monkeypatch.setattr(calibration, "_probe", lambda *a: (replace(probe(*a)[0], per_scan=0.0), 1e-12))
    made = make_catalog()
    made.fill(600)
    made.build()
    space = made.open().generation.spaces["image"]
    assert {plan.method for plan in space.record.relations.values()} == {"exact"}
    assert not [path for path in space.folder.iterdir() if path.is_dir()]


def test_only_files_that_the_method_reads_are_kept(make_catalog, searching_by):
    """The copy, laid out by cells, and trees only where Annoy is asked."""
    cells = {
        *("reducer.f32", "scales.f32", "reduced.i8", "centres.f32", "centres.i8", "starts.i64", "layout.i32"),
        *("cells.i64", "groups.i64"),
    }
    for method, kept in (("annoy", {*cells, "trees-0-14.ann"}), ("cells", cells)):
        with searching_by(method):
            made = make_catalog()
            made.fill(900)
            made.build()
            folder = made.open().generation.spaces["image"].folder / "similar"
            assert {path.name for path in folder.iterdir()} == kept


def test_small_categories_are_no_witnesses_for_cells(make_catalog, searching_by):
    """Questions that are scanned anyway do not lift the recall told of those that are not."""
    with searching_by("annoy"):
        made = make_catalog()
        vectors, _ = made.points(900)
        made.add([f"i{row:04d}" for row in range(900)], vectors, ["large"] * 800 + ["small"] * 50 + [None] * 50)
        made.build()
        space = made.open().generation.spaces["image"]
        meets = rows_that_meet_cells(space, RELATIONS["substitute"])
        assert meets.sum() == 850
        assert rows_that_meet_cells(space, RELATIONS["style"]).all()


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_random_pairs_have_ascending_quantiles(count):
    """Also when there are no pairs."""
    vectors = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    quantiles = random_quantiles(len(vectors), lambda a, b: np.sum(vectors[a] * vectors[b], axis=1), (0.0, 0.5, 1.0))
    assert list(quantiles) == sorted(quantiles)
    assert all(math.isfinite(value) for value in quantiles)


def test_an_item_is_no_random_pair_with_itself():
    """Two unlike items have one score."""
    assert random_quantiles(2, lambda a, _: np.zeros(len(a), np.float32), (0.0, 1.0)) == (0.0, 0.0)


def test_cells_are_looked_for_in_the_nearest_groups_of_them(make_catalog, searching_by, monkeypatch):
    """Where that is chosen: fewer centres are looked at, inside a category, too, and the recall told is kept."""
    monkeypatch.setattr("index.engine.cells.FLAT", 16)
    with searching_by("cells"):
        made = make_catalog()
        made.fill(3000, categories=2)
        made.build()
        recommender = made.open()
    space = recommender.generation.spaces["image"]
    for name in ("similar", "substitute"):
        plan, relation = space.record.relations[name], recommender.catalog.relation(name)
        every = Searcher(space, relation, replace(plan, groups=0))
        agreed = {}
        for groups in (1, 3):
            some, found = Searcher(space, relation, replace(plan, groups=groups)), []
            for row in range(0, 3000, 50):
                restriction = Restriction(rule_categories(space, relation, row), None, np.asarray([row]))
                one, other = (one.search(space.vectors[row], 10, restriction).rows for one in (every, some))
                found.append(len(np.intersect1d(one, other)) / len(one))
            agreed[groups] = np.mean(found)
        assert agreed[3] > 0.9
        assert agreed[1] < agreed[3]
