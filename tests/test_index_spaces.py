"""Facet spaces: fitted maps keep lengths, absences, and small catalogs almost as they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.engine.spaces import fit_space, unit_rows
from index.types import Facet

FACET = Facet("color", 0, 12, whitening=0.3, kept=8, same=0.97, source="test")


def _unit(count: int, seed: int = 0) -> np.ndarray:
    spread = np.linspace(3, 0.1, 12)
    return unit_rows((np.random.default_rng(seed).normal(size=(count, 12)) * spread).astype(np.float32))


@settings(max_examples=50, deadline=None)
@given(count=st.integers(0, 40), absent=st.integers(0, 40))
def test_projected_rows_have_unit_length_or_are_absent(count, absent):
    """Whatever the catalog holds: nothing, one item, some without the facet."""
    vectors = np.vstack([_unit(count), np.zeros((absent, 12), np.float32)])
    space = fit_space(FACET, vectors)
    projected = space.project(vectors)
    assert projected.dtype == np.float32
    assert projected.shape == (count + absent, 8)
    assert np.isfinite(projected).all()
    np.testing.assert_allclose(np.linalg.norm(projected[:count], axis=1), 1, atol=1e-5)
    assert not projected[count:].any()


def test_fitting_is_deterministic():
    """The same vectors give the same space, bit by bit."""
    one, other = fit_space(FACET, _unit(500)), fit_space(FACET, _unit(500))
    assert (one.mean == other.mean).all()
    assert (one.matrix == other.matrix).all()


def test_a_small_catalog_is_compared_almost_by_plain_cosine():
    """Three items say next to nothing about a mean or a covariance."""
    facet = Facet("color", 0, 12, whitening=0.3, kept=12, same=0.97, source="test")
    vectors = _unit(3)
    projected = fit_space(facet, vectors).project(vectors)
    np.testing.assert_allclose(projected @ projected.T, vectors @ vectors.T, atol=0.1)


def test_whitening_evens_out_strong_directions():
    """In a large catalog the fitted space is rounder than the raw one."""
    vectors = _unit(5000)
    projected = fit_space(Facet("color", 0, 12, 0.5, 12, 0.97, "test"), vectors).project(vectors)
    raw, fitted = (np.linalg.eigvalsh(np.cov(v.T)) for v in (vectors, projected))
    assert fitted[-1] / fitted[1] < 0.2 * raw[-1] / raw[1]


def test_identical_vectors_stay_identical():
    """A catalog of one picture many times has no covariance, and no division by zero."""
    vectors = np.repeat(_unit(1), 200, axis=0)
    projected = fit_space(FACET, vectors).project(vectors)
    assert (projected @ projected.T).min() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("rows", [np.zeros((0, 3)), np.zeros((2, 3)), np.full((2, 3), 1e-30)])
def test_rows_without_length_become_zero(rows):
    """Nothing is divided by nothing."""
    assert not unit_rows(rows).any()
