"""Building: rows in order, several media pooled, rebuilt when enough has changed."""

from __future__ import annotations

import numpy as np
import pytest

from index.catalog import HeldEncoder
from index.engine import build as building
from index.engine.build import pending, raw_vectors


def test_rows_lie_by_category_and_id(make_catalog):
    """Items without a category come first; offsets tell where each category starts."""
    made = make_catalog()
    vectors, _ = made.points(5)
    made.add(["e", "d", "c", "b", "a"], vectors, ["y", "x", None, "y", "x"])
    made.build()
    space = made.open().generation.spaces["image"]
    assert space.record.categories == (None, "x", "y")
    assert space.record.offsets == (0, 1, 3, 5)
    assert space.keys.tolist() == made.catalog.keys_of(["c", "a", "d", "b", "e"])
    assert space.rows_of(np.array([*space.keys, 999])).tolist() == [0, 1, 2, 3, 4, -1]
    assert space.categories_of(np.arange(5)).tolist() == [0, 1, 1, 2, 2]
    np.testing.assert_allclose(space.vectors, space.projection.project(vectors[[2, 4, 1, 3, 0]]), atol=1e-6)


def test_several_media_of_an_item_are_pooled(make_catalog):
    """The sum stands for the mean; items keep their order; an item without vectors is zero."""
    made = make_catalog()
    vectors, _ = made.points(4)
    made.add(["a", "b", "c"], vectors[:3], ["x"] * 3)
    with made.catalog.connection as sql:
        (media,) = sql.execute(
            "INSERT INTO media (source, id, position, item, path, modality, size, mtime_ns) "
            "VALUES (1, 'b', 1, 2, x'00', 'image', 0, 0) RETURNING media"
        ).fetchone()
        sql.execute("INSERT INTO vectors VALUES (?, 1, ?)", (media, vectors[3].tobytes()))
    raw = raw_vectors(made.catalog, [3, 99, 2, 1], [HeldEncoder(1, made.card)])
    np.testing.assert_allclose(raw, [vectors[2], 0 * vectors[0], vectors[1] + vectors[3], vectors[0]], atol=1e-6)
    assert raw_vectors(made.catalog, [], [HeldEncoder(1, made.card)]).shape == (0, 1292)


def test_building_twice_gives_the_same_rows(make_catalog):
    """Byte for byte: nothing in it depends on time or chance."""
    made = make_catalog()
    made.fill(200)
    folders = []
    for _ in range(2):
        made.build()
        folders.append(made.open().generation.spaces["image"].folder)
    for name in ("vectors.f32", "keys.i64"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_large_catalogs_are_rebuilt_when_enough_has_changed(make_catalog, monkeypatch):
    """Until then changes are searched beside the generation."""
    made = make_catalog()
    made.fill(100)
    made.build()
    monkeypatch.setattr(building, "ALWAYS_REBUILD", 50)
    vectors, _ = made.points(6, seed=1)
    made.add(["one", "two", "three"], vectors[:3], ["x"] * 3)
    made.remove(["item-0-00001"])
    assert pending(made.catalog, 1) == 4
    assert made.build(force=False) == 1
    assert made.open().query("one", k=101, duplicates=True).hits[100 - 1].item_id
    made.add(["four", "five", "six"], vectors[3:], ["x"] * 3)
    assert made.build(force=False) == 2
    assert pending(made.catalog, made.catalog.sequence) == 0


def test_small_catalogs_are_rebuilt_at_every_change(make_catalog):
    """It takes a moment."""
    made = make_catalog()
    made.fill(20)
    assert made.build(force=False) == 1
    made.remove(["item-0-00001"])
    assert made.build(force=False) == 2
    assert made.build(force=False) == 2


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_and_one_item_can_be_built(make_catalog, count):
    """A catalog may be empty."""
    made = make_catalog()
    made.fill(count)
    made.build()
    space = made.open().generation.spaces["image"]
    assert space.record.count == count
    assert space.record.offsets[-1] == count
