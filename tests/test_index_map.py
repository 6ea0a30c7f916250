"""Maps: what is alike lies together, the same for the same seed, whatever the method, the blocks and the changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from index.errors import InputError, UnknownNameError
from index.lists import map_layout, map_store
from index.lists.map import StyleMap, map_items
from index.lists.map_labels import label_of, telling_attribute
from index.lists.map_layout import nearest, principal_axes
from index.lists.map_spread import spread_order, without_overlap
from index.lists.map_store import kept_map


@pytest.fixture(scope="module")
def planted(make_catalog: Callable[[], Any]) -> Any:
    """Three clusters of 60, 40 and 20 items, whose colours are told by an attribute and whose kinds are not."""
    made = make_catalog()
    colors = {3: "Red", 17: "Green", 40: "Navy Blue"}
    for size, cluster in ((60, 3), (40, 17), (20, 40)):
        vectors, _ = made.points(size, seed=cluster, cluster=cluster)
        made.add([f"{cluster}-{row:02d}" for row in range(size)], vectors, [f"kind-{row % 4}" for row in range(size)])
    with made.catalog.connection as sql:
        for cluster, color in colors.items():
            sql.execute(
                "UPDATE items SET attributes=json_set(attributes, '$.color', ?, '$.title', 'The ' || id) "
                "WHERE id LIKE ?",
                (color, f"{cluster}-%"),
            )
    made.build()
    return made


def own_cluster_is_near(found: StyleMap) -> float:
    """Share of items whose nearest neighbour on the map is of their planted cluster."""
    near, _ = nearest(found.at, found.at, 2)
    planted = np.array([item_id.partition("-")[0] for item_id in found.ids])
    other = np.where(near[:, 0] == np.arange(len(near)), near[:, 1], near[:, 0])
    return float(np.mean(planted[other] == planted))


def test_what_is_alike_lies_together(planted: Any) -> None:
    """PCA of three clusters parts them; places fill the unit square in one direction and stay inside it."""
    found = map_items(planted.open(), "similar", method="pca", clusters=3)
    assert (found.method, len(found), found.fitted_on) == ("pca", 120, 120)
    assert own_cluster_is_near(found) > 0.95
    assert found.at.dtype == np.float32
    assert found.at.min() >= 0
    assert float(np.ptp(found.at, axis=0).max()) == pytest.approx(1)
    assert [cluster.size for cluster in found.clusters] == [60, 40, 20]
    assert sum(cluster.share for cluster in found.clusters) == pytest.approx(1)


def test_clusters_are_named_by_what_they_tell_apart(planted: Any) -> None:
    """By colour, not by kinds that are the same in all; their names are written among their own items."""
    found = map_items(planted.open(), "similar", method="pca", clusters=3)
    assert found.attribute == "color"
    assert found.values == ("Red", "Green", "Navy Blue")
    assert [cluster.label for cluster in found.clusters] == ["Red", "Green", "Navy Blue"]
    for at, cluster in enumerate(found.clusters):
        nearest_item = np.argmin(np.square(found.at - [cluster.x, cluster.y]).sum(axis=1))
        assert found.labels[nearest_item] == at
        assert {found.labels[found.ids.index(name)] for name in cluster.central} == {at}
    assert found.titles[0] == f"The {found.ids[0]}"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("umap") is None, reason="needs umap-learn")
def test_umap_keeps_neighbours_and_places_the_rest_among_them(planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed gives the same map; beyond the sample, items lie by those that they are nearest to."""
    found = map_items(planted.open(), "similar", clusters=3)
    assert (found.method, found.fitted_on) == ("umap", 120)
    assert own_cluster_is_near(found) > 0.95
    again = map_items(planted.open(), "similar", clusters=3)
    assert np.array_equal(found.at, again.at)
    monkeypatch.setattr(map_layout, "UMAP_ITEMS", 100)
    monkeypatch.setattr(map_layout, "SAMPLE", 80)
    assert map_items(planted.open(), "similar").method == "pca"
    sampled = map_items(planted.open(), "similar", method="umap")
    assert (sampled.method, len(sampled), sampled.fitted_on) == ("umap", 120, 80)
    assert own_cluster_is_near(sampled) > 0.95


def test_a_sample_read_in_blocks_gives_nearly_the_same_map(planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks change nothing, a sample little; progress ends where it should."""
    whole = map_items(planted.open(), "similar", method="pca")
    monkeypatch.setattr("index.answering.places.BLOCK", 13)
    told: list[tuple[str, int, int]] = []
    blocks = map_items(planted.open(), "similar", method="pca", on_progress=lambda *now: told.append(now))
    assert np.allclose(whole.at, blocks.at, atol=1e-5)
    assert told[0] == ("fit", 0, 120)
    assert told[-1] == ("place", 120, 120)
    monkeypatch.setattr(map_layout, "SAMPLE", 60)
    sampled = map_items(planted.open(), "similar", method="pca")
    assert sampled.fitted_on == 60
    assert own_cluster_is_near(sampled) > 0.95


def test_filters_new_and_removed_items_count(make_catalog: Callable[[], Any]) -> None:
    """What passes now is drawn; few items have no clusters; one item lies in the middle."""
    made = make_catalog()
    made.fill(40)
    made.build()
    made.add(["new"], made.points(1, seed=9)[0], ["kind-new"])
    made.remove(["item-0-00003"])
    recommender = made.open()
    found = map_items(recommender, "similar", method="pca")
    assert len(found) == 40
    assert "new" in found.ids
    assert "item-0-00003" not in found.ids
    few = map_items(recommender, "similar", method="pca", where="price<5")
    assert (len(few), few.clusters) == (5, ())
    assert set(few.labels.tolist()) == {-1}
    one = map_items(recommender, "similar", where="id=new")
    assert (one.ids, one.at.tolist(), one.method) == (("new",), [[0.5, 0.5]], "pca")


def test_items_at_one_place_are_a_map_all_the_same(make_catalog: Callable[[], Any]) -> None:
    """Constant vectors lie in the middle, without clusters."""
    made = make_catalog()
    made.add([f"same-{row}" for row in range(30)], np.repeat(made.points(1)[0], 30, axis=0), ["kind"] * 30)
    made.build()
    found = map_items(made.open(), "similar", method="pca")
    assert np.allclose(found.at, 0.5, atol=0.51)
    assert np.isfinite(found.at).all()
    assert found.clusters == ()


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"method": "tsne"}, InputError, "auto, umap or pca, not 'tsne'"),
        ({"clusters": -1}, InputError, "at least 0, not -1"),
        ({"where": "price>1000"}, InputError, "passes the filter; loosen it"),
        ({"where": "price>"}, InputError, "expected a value"),
        ({"where": "prise>3"}, UnknownNameError, "did you mean 'price'"),
        ({"relation": "similar-track"}, InputError, "no audio item"),
        ({"relation": "styl"}, UnknownNameError, "did you mean 'style'"),
    ],
)
def test_what_cannot_be_done_is_told(planted: Any, arguments: dict[str, Any], error: type, told: str) -> None:
    """One plain sentence each."""
    with pytest.raises(error, match=told):
        map_items(planted.open(), **arguments)


def test_umap_that_is_not_installed_is_told(planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it; ``auto`` does without."""
    monkeypatch.setattr(map_layout, "has_umap", lambda: False)
    with pytest.raises(InputError, match=r"pip install 'simkin\[map\]', or take --method pca"):
        map_items(planted.open(), method="umap")
    assert map_items(planted.open()).method == "pca"


def test_json_has_one_entry_of_each_column_for_each_item(planted: Any) -> None:
    """Plain data, as programs expect it."""
    found = map_items(planted.open(), "style", method="pca").to_json()
    assert list(found) == [
        "relation", "modality", "method", "generation", "count", "ids", "x", "y", "cluster", "clusters",
    ]  # fmt: skip
    assert json.loads(json.dumps(found)) == found
    assert {len(found[name]) for name in ("ids", "x", "y", "cluster")} == {found["count"]}
    assert list(found["clusters"][0]) == ["x", "y", "size", "share", "central", "label"]
    few = map_items(planted.open(), "style", method="pca").to_json(50)
    assert (few["count"], len(few["ids"]), len(set(few["ids"]))) == (120, 50, 50)
    assert few["x"][-1] == found["x"][found["ids"].index(few["ids"][-1])]


# ---- Kept maps


def count_fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many items each map that is computed from now on has."""
    fits: list[int] = []
    compute = map_store.draw

    def counted(chosen: Any, *others: Any) -> Any:
        fits.append(len(chosen))
        return compute(chosen, *others)

    monkeypatch.setattr(map_store, "draw", counted)
    return fits


def test_a_map_is_computed_once_for_each_generation(
    make_catalog: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by another process's recommender; filters only leave out, removed items go, a build renews it."""
    made = make_catalog()
    made.fill(60)
    made.build()
    fits = count_fits(monkeypatch)
    first = kept_map(made.open(), "similar", method="pca")
    assert np.array_equal(kept_map(made.open(), "similar", method="pca").at, first.at)
    assert fits == [60]
    cheap = kept_map(made.open(), "similar", method="pca", where="price<30")
    assert len(cheap) == 30
    rows = [first.ids.index(item_id) for item_id in cheap.ids]
    assert np.array_equal(first.at[rows], cheap.at)
    assert [one.label for one in cheap.clusters] != []
    made.remove([first.ids[5]])
    assert first.ids[5] not in kept_map(made.open(), "similar", method="pca").ids
    assert fits == [60]
    kept_map(made.open(), "style", method="pca")
    made.build()
    assert kept_map(made.open(), "similar", method="pca").generation == 2
    assert fits == [60, 59, 59]
    with pytest.raises(InputError, match="passes the filter"):
        kept_map(made.open(), "similar", method="pca", where="price>1000")


def test_a_damaged_or_unwritable_kept_map_is_no_trouble(
    make_catalog: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is computed anew."""
    made = make_catalog()
    made.fill(30)
    made.build()
    fits = count_fits(monkeypatch)
    first = kept_map(made.open(), "similar", method="pca")
    (file,) = (made.folder / "generations" / "000001" / map_store.FOLDER).iterdir()
    for damage in (b"", b"nothing", file.read_bytes()[:-200]):
        file.write_bytes(damage)
        assert np.array_equal(kept_map(made.open(), "similar", method="pca").at, first.at)
    assert len(fits) == 4
    file.unlink()
    file.mkdir()
    (file / "in the way").touch()
    assert np.array_equal(kept_map(made.open(), "similar", method="pca").at, first.at)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


# ---- The parts


@pytest.mark.parametrize(("shape", "exact"), [((900, 400), 2000), ((400, 900), 2000), ((900, 400), 10)])
def test_principal_axes_are_those_of_a_full_decomposition(
    shape: tuple[int, int], exact: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More items than dimensions or fewer, exactly or by iteration; up to sign the same directions."""
    monkeypatch.setattr(map_layout, "EXACT", exact)
    rng = np.random.default_rng(5)
    points = (rng.normal(size=shape) / np.sqrt(1 + np.arange(shape[1]))).astype(np.float32)
    points -= points.mean(axis=0)
    expected = np.linalg.svd(points, full_matrices=False)[2][:2]
    found = principal_axes(points, 2, 0)
    assert np.allclose(np.abs(np.sum(found.T * expected, axis=1)), 1, atol=1e-3)
    assert (found[np.argmax(np.abs(found), axis=0), [0, 1]] > 0).all()
    assert not principal_axes(np.zeros((9, 4), np.float32), 2, 0).any()


def test_any_beginning_of_the_order_is_spread_over_the_map() -> None:
    """The first four lie in four quarters, the first items are those asked for, nothing comes twice."""
    rng = np.random.default_rng(1)
    at = np.vstack([rng.uniform(0, 0.2, (500, 2)), rng.uniform(0, 1, (50, 2))]).astype(np.float32)
    order = spread_order(at, 200, first=[7])
    assert order[0] == 7
    assert len(set(order.tolist())) == 200
    assert {tuple(quarter) for quarter in (at[order[:4]] > 0.5).tolist()} == {
        (a, b) for a in (False, True) for b in (False, True)
    }
    assert len(spread_order(np.full((9, 2), 0.5, np.float32), 5)) == 1


def test_no_two_items_share_a_cell_and_none_goes_far() -> None:
    """Ten at one place take the nine cells around it within reach 1.5; the last goes without."""
    found = without_overlap(np.full((10, 2), 0.5, np.float32), 9, 1.5)
    placed = [tuple(cell) for cell in found.tolist() if cell[0] >= 0]
    assert len(placed) == len(set(placed)) == 9
    assert placed[0] == (4, 4)
    assert np.abs(np.array(placed) - 4).max() == 1
    corner = without_overlap(np.ones((1, 2), np.float32), 9, 1.5)
    assert corner.tolist() == [[8, 8]]


def test_attributes_that_name_items_name_no_clusters() -> None:
    """Nor those that clusters do not tell apart, or that few items have."""
    labels = np.arange(300, dtype=np.int32) % 3
    known: list[dict[str, Any]] = [
        {"artist": f"a-{row}", "genre": f"g-{row % 3}", "mood": f"m-{row % 7}", "price": float(row % 3)}
        for row in range(300)
    ]
    assert telling_attribute(known, labels) == "genre"
    assert telling_attribute([{"mood": one["mood"]} for one in known], labels) == ""
    assert (
        telling_attribute([{"genre": one["genre"]} if row < 100 else {} for row, one in enumerate(known)], labels) == ""
    )


def test_labels_of_clusters() -> None:
    """One value where it leads, two where none does, the central item's title where nothing is known."""
    from collections import Counter

    assert label_of(Counter({"red": 7, "blue": 3}), 10, "x") == "red"
    assert label_of(Counter({"red": 5, "blue": 4}), 10, "x") == "red, blue"
    assert label_of(Counter({"red": 3}), 10, "x") == "x"
    assert label_of(Counter(), 10, "x") == "x"
