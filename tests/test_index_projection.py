"""Projection: encoders side by side, facets in their places, the same after saving."""

from __future__ import annotations

import numpy as np
import pytest

from index.engine.projection import Projection, fit_projection
from index.types import EncoderCard, Facet

CARDS = (
    EncoderCard(
        "one", 1, "image", (Facet("a", 0, 5, 0.3, 4, 0.9, "t"), Facet("b", 5, 8, 0.0, 9, 0.9, "t")), {}, "MIT", "t"
    ),
    EncoderCard("two", 1, "image", (Facet("c", 0, 6, 0.5, 2, 0.9, "t"),), {}, "MIT", "t"),
)
RAW = np.random.default_rng(0).normal(size=(300, 14)).astype(np.float32)


@pytest.fixture
def projection() -> Projection:
    return fit_projection(CARDS, RAW)


def test_facets_lie_side_by_side_without_gaps(projection):
    """Raw and projected places follow the cards; kept dimensions never exceed those there are."""
    assert [facet.name for facet in projection.facets] == ["a", "b", "c"]
    assert [(part.raw.start, part.raw.stop) for part in projection.parts] == [(0, 5), (5, 8), (8, 14)]
    assert [(part.own.start, part.own.stop) for part in projection.parts] == [(0, 4), (4, 7), (7, 9)]
    assert (projection.raw_dim, projection.dim) == (14, 9)


def test_each_facet_is_of_unit_length_or_absent(projection):
    """An item that one encoder could not describe keeps its other facets."""
    raw = RAW.copy()
    raw[0, 8:] = 0
    projected = projection.project(raw)
    assert not projected[0, 7:].any()
    for part in projection.parts:
        np.testing.assert_allclose(np.linalg.norm(projected[1:, part.own], axis=1), 1, atol=1e-5)


def test_scale_of_pooled_media_does_not_matter(projection):
    """A sum of several media serves as their mean."""
    np.testing.assert_allclose(projection.project(RAW), projection.project(3 * RAW), atol=1e-5)


def test_saving_keeps_every_bit(projection, tmp_path):
    """What is loaded projects as what was saved."""
    projection.save(tmp_path / "p.npz")
    loaded = Projection.load(tmp_path / "p.npz", CARDS)
    assert (loaded.project(RAW) == projection.project(RAW)).all()


def test_a_catalog_without_items_has_a_projection():
    """Nothing to fit on is no error."""
    projection = fit_projection(CARDS, RAW[:0])
    assert projection.project(RAW[:0]).shape == (0, 9)
    assert np.isfinite(projection.project(RAW)).all()
