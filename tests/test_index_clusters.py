"""Clusters: planted kinds are found, whole catalogs are assigned, and what cannot be parted is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from index.errors import InputError, UnknownNameError
from index.lists.clusters import find_clusters

SIZES = {3: 50, 17: 30, 41: 20}
"""Cluster of the made catalog → items of it."""


def plant(made: Any) -> None:
    """Add items of three clusters, named after them; categories cut across."""
    for cluster, size in SIZES.items():
        vectors, _ = made.points(size, seed=cluster, cluster=cluster)
        made.add([f"{cluster}-{row:02d}" for row in range(size)], vectors, [f"kind-{row % 2}" for row in range(size)])
    made.build()


@pytest.fixture(scope="module")
def planted(make_catalog: Callable[[], Any]) -> Any:
    made = make_catalog()
    plant(made)
    return made


@pytest.mark.parametrize("relation", ["similar", "style", "substitute"])
def test_planted_clusters_are_found(planted: Any, relation: str) -> None:
    """Largest first, with their sizes, members of their own in the middle, and their categories."""
    found = find_clusters(planted.open(), relation, 3, central=4)
    assert [cluster.size for cluster in found.clusters] == [50, 30, 20]
    assert [cluster.share for cluster in found.clusters] == [0.5, 0.3, 0.2]
    for cluster, name in zip(found.clusters, SIZES, strict=True):
        assert len(set(cluster.central)) == 4
        assert all(item_id.startswith(f"{name}-") for item_id in cluster.central)
        assert dict(cluster.categories) == {"kind-0": cluster.size // 2, "kind-1": cluster.size // 2}
    assert (found.items, found.fitted_on, found.modality) == (100, 100, "image")


def test_the_most_central_item_comes_first(planted: Any) -> None:
    """Closest to the mean of its cluster, as the relation sees it."""
    recommender = planted.open()
    seen = planted.seen(recommender, "style")
    for cluster in find_clusters(recommender, "style", 3, central=5).clusters:
        name = cluster.central[0].partition("-")[0]
        own = [at for at, item_id in enumerate(seen.ids) if item_id.startswith(f"{name}-")]
        apart = np.linalg.norm(seen.rows[own] - seen.rows[own].mean(axis=0), axis=1)
        assert list(cluster.central) == [seen.ids[own[at]] for at in np.argsort(apart)[:5]]


def test_the_same_seed_gives_the_same_clusters(planted: Any) -> None:
    """Also where centres are fitted on a sample and items are assigned block by block."""
    whole = find_clusters(planted.open(), "similar", 7)
    assert find_clusters(planted.open(), "similar", 7) == whole
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("index.answering.places.BLOCK", 13)
        assert find_clusters(planted.open(), "similar", 7) == whole
        patch.setattr("index.lists.clusters.SAMPLE", 40)
        sampled = find_clusters(planted.open(), "similar", 3)
    assert (sampled.fitted_on, sampled.items) == (40, 100)
    assert [cluster.size for cluster in sampled.clusters] == [50, 30, 20]


def test_filters_new_and_removed_items_count(make_catalog: Callable[[], Any]) -> None:
    """What passes the filter now is clustered, and near-duplicates are told once."""
    made = make_catalog()
    plant(made)
    copies, _ = made.points(1, seed=5, cluster=17)
    made.add([f"copy-{row}" for row in range(9)], np.repeat(copies, 9, axis=0), ["new"] * 9)
    made.remove(["3-00", "3-01"])
    recommender = made.open()
    assert find_clusters(recommender, "similar", 3).items == 107
    assert find_clusters(recommender, "similar", 2, where="category=kind-1").items == 49
    copied = find_clusters(recommender, "similar", 2, where="category=new or id=3-07", central=5).clusters[0]
    assert (copied.size, len(copied.central)) == (9, 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"count": 1}, "between 2 and 500, not 1"),
        ({"count": 501}, "between 2 and 500, not 501"),
        ({"count": 101}, "101 clusters need at least 101 items; 100 have .* ask for at most 100"),
        ({"count": 3, "where": "price>1000"}, "0 pass the filter and have .* loosen the filter"),
        ({"count": 3, "central": 0}, "central items must be at least 1"),
        ({"count": 3, "relation": "similar-track"}, "no audio item"),
        ({"count": 3, "where": "price>"}, "expected a value"),
    ],
)
def test_what_cannot_be_done_is_told(planted: Any, arguments: dict[str, Any], told: str) -> None:
    """One plain sentence each."""
    with pytest.raises(InputError, match=told):
        find_clusters(planted.open(), **arguments)


def test_misspelt_attributes_are_told(planted: Any) -> None:
    """With the nearest that exists."""
    with pytest.raises(UnknownNameError, match="did you mean 'price'"):
        find_clusters(planted.open(), "style", 3, where="prise<3")


def test_items_that_are_all_alike_cannot_be_parted(make_catalog: Callable[[], Any]) -> None:
    """Constant vectors are told, not parted by rounding."""
    made = make_catalog()
    vectors = np.repeat(made.points(1)[0], 30, axis=0)
    vectors *= 1 + 1e-6 * np.random.default_rng(0).normal(size=vectors.shape)
    made.add([f"same-{row}" for row in range(30)], vectors.astype(np.float32), ["kind"] * 30)
    made.build()
    with pytest.raises(InputError, match=r"stand at 1 different places .* cannot be parted into 12 clusters"):
        find_clusters(made.open(), "similar")
