"""Measuring re-ranking: the figures are those of the answers that are served."""

from __future__ import annotations

import numpy as np
import pytest

from index.catalog import Catalog
from index.errors import InputError
from index.learning.measure import MeasureOptions, measure
from index.learning.reranked import reranked
from index.learning.scorers import Contender, cosine_scorer
from index.relations import RELATIONS

HOW = ("neighbours", "local-scale", "both")


@pytest.fixture(scope="module")
def made(make_catalog):
    """Items whose categories are clusters."""
    made = make_catalog()
    made.fill(160, categories=8)
    made.build()
    return made


def test_figures_are_those_of_the_answers_served(made):
    """Precision of every way, and how answers spread, as counted from what the recommender tells."""
    with Catalog.open(made.folder) as catalog:
        found = measure(catalog, MeasureOptions("similar", label="category", rerank=True))
    figures = {one.name: one for one in found.contenders}
    assert list(figures)[:4] == ["similar", *(f"similar, {how}" for how in HOW)]
    recommender = made.open()
    category = dict(made.catalog.connection.execute("SELECT id, category FROM items"))
    for how in ("none", *HOW):
        right, seen = [], set()
        for name, own in category.items():
            hits = recommender.query(name, k=10, rerank=how, duplicates=True).hits
            right.append([category[hit.item_id] == own for hit in hits])
            seen.update(hit.item_id for hit in hits)
        figure = figures["similar" if how == "none" else f"similar, {how}"]
        assert figure.metrics["precision@1"].value == pytest.approx(np.mean([row[0] for row in right]), abs=1e-6)
        assert figure.metrics["precision@10"].value == pytest.approx(np.mean(right), abs=2e-3)
        assert figure.exposure.never == pytest.approx(1 - len(seen) / len(category), abs=0.01)


@pytest.mark.parametrize("relation", ["substitute", "style"])
def test_a_pair_scores_as_in_a_table_and_scores_change_hands(made, relation):
    """One query's scores are the plain ones in another order; groups and the rule keep others out."""
    recommender = made.open()
    space = recommender.generation.spaces["image"]
    plain = Contender(relation, cosine_scorer(space.vectors * np.sqrt(space.facet_weights(RELATIONS[relation]))))
    codes = space.categories_of(np.arange(160))
    groups = np.arange(160) // 2
    for one in reranked(plain, space, RELATIONS[relation], rule="any", categories=codes, groups=groups):
        queries, rows = np.arange(40), np.arange(160)
        table = one.score(queries[:, None], rows[None])
        before = plain.score(queries[:, None], rows[None])
        assert (table != before).any()
        np.testing.assert_allclose(np.sort(table, axis=1), np.sort(before, axis=1), atol=3e-6)
        own = groups[queries][:, None] == groups[None]
        np.testing.assert_allclose(table[own], before[own], atol=1e-6)
        pairs = np.random.default_rng(0).integers(0, [[40], [160]], (2, 300))
        np.testing.assert_allclose(one.score(pairs[0], pairs[1]), table[pairs[0], pairs[1]], atol=2e-6)


def test_vectors_from_elsewhere_have_no_surroundings(made, tmp_path):
    """Said in one sentence."""
    with Catalog.open(made.folder) as catalog, pytest.raises(InputError, match="no surroundings"):
        measure(catalog, MeasureOptions(label="category", vectors=tmp_path / "v.npy", rerank=True))
