"""Explaining two pictures: the region that matters is named, and what cannot be explained is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from index.catalog import Catalog
from index.errors import InputError, UnknownNameError
from index.explaining import Explanation, explain
from index.explaining.occlusion import MOST_BY_NETWORK, lost_without, map_evidence, occlude
from index.explaining.pair import read_pair
from index.explaining.regions import loaded, views_of
from index.recommender import Recommender
from index.types import FeatureMap
from simkin.demo.pictures import make_pictures

SIDE, PATCH = 240, 90
PLACES = {"a.png": (20, 130), "b.png": (130, 30)}
"""Left and top of the patch that two pictures share."""


def background(seed: int) -> np.ndarray:
    """Soft blobs of dull colours, unlike for each seed. uint8, ``(SIDE, SIDE, 3)``."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(70, 150, (6, 6, 3), dtype=np.uint8))
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def checks() -> np.ndarray:
    """Red and yellow checks. uint8, ``(PATCH, PATCH, 3)``."""
    odd = (np.add.outer(np.arange(PATCH) // 9, np.arange(PATCH) // 9) % 2).astype(bool)
    return np.where(odd[..., None], np.uint8([220, 20, 30]), np.uint8([250, 220, 20])).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, two of which share a patch, and one sound."""
    folder = tmp_path_factory.mktemp("explained")
    for seed in range(12):
        Image.fromarray(background(seed)).save(folder / f"{seed:02d}.png")
    for seed, (name, (left, top)) in enumerate(PLACES.items(), 50):
        pixels = background(seed).copy()
        pixels[top : top + PATCH, left : left + PATCH] = checks()
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture
def recommender(folder: Path, tmp_path: Path, run_index: Any, song: Callable[..., Path]) -> Recommender:
    """Of a catalog of them."""
    song(tmp_path / "sounds" / "tune.wav", 1)
    run_index(tmp_path / "c", folder, tmp_path / "sounds")
    return Recommender(Catalog.open(tmp_path / "c"))


def overlap(box: tuple[float, ...], place: tuple[int, int]) -> float:
    """Share of a box that lies on the patch."""
    first = np.maximum(np.array(box[:2]), np.array(place) / SIDE)
    last = np.minimum(np.array(box[:2]) + box[2:], (np.array(place) + PATCH) / SIDE)
    return float(np.maximum(last - first, 0).prod() / np.prod(box[2:]))


def test_the_patch_that_two_pictures_share_is_named(recommender: Recommender) -> None:
    """By colour, wherever it lies; and what blurring it costs is told."""
    found = explain(recommender, "a.png", "b.png", "style")
    first = found.regions[0]
    assert overlap(first.a, PLACES["a.png"]) > 0.4
    assert overlap(first.b, PLACES["b.png"]) > 0.4
    assert first.facet in ("color", "texture")
    assert 0 < first.strength <= 1
    assert found.regions == tuple(sorted(found.regions, key=lambda region: -region.strength))
    assert any(line.startswith("Checked: blurring the first region costs") for line in found.words)
    swapped = explain(recommender, "b.png", "a.png", "style")
    assert overlap(swapped.regions[0].a, PLACES["b.png"]) > 0.4


def test_scores_and_shares_are_those_of_the_answer(recommender: Recommender) -> None:
    """An explanation explains the very numbers that a query tells, of items and of files."""
    for name in ("a.png", str(recommender.catalog.item("a.png").paths[0].with_name("a.png"))):
        (hit,) = [h for h in recommender.query(name, relation="style", k=50).hits if h.item_id == "b.png"]
        found = explain(recommender, name, "b.png", "style")
        assert found.score == pytest.approx(hit.score, abs=1e-6)
        assert found.closer_than == pytest.approx(hit.closer_than, abs=1e-4)
        assert dict(found.facets) == pytest.approx(dict(hit.facets), abs=1e-4)


def test_a_file_outside_the_catalog_can_be_either_side(recommender: Recommender, folder: Path, tmp_path: Path) -> None:
    """Whichever comes first keeps its place."""
    outside = tmp_path / "outside.png"
    outside.write_bytes((folder / "a.png").read_bytes())
    first, second = (
        explain(recommender, *names, "style") for names in ((outside, "b.png"), ("b.png", outside))
    )  # fmt: skip
    assert (first.a, first.b) == (str(outside), "b.png")
    assert (second.a, second.b) == ("b.png", str(outside))
    assert overlap(first.regions[0].a, PLACES["a.png"]) > 0.4
    assert overlap(second.regions[0].b, PLACES["a.png"]) > 0.4
    assert first.score == pytest.approx(explain(recommender, "a.png", "b.png", "style").score, abs=1e-5)


def test_the_named_region_matters_more_than_random_ones(recommender: Recommender) -> None:
    """Also when it is deleted in a way that no explanation has looked at."""
    found = explain(recommender, "a.png", "b.png", "similar")
    pair = read_pair(recommender, "a.png", "b.png", "similar")
    one, other, _ = views_of(recommender.catalog, pair)
    base, rest = one.described(), other.described()
    boxes = np.vstack([found.regions[0].a, one.look.random_boxes(20, seed=1)])
    for spread in (0.7, 0.35, None):
        lost = lost_without(one, base, lambda rows: pair.closeness(rows, rest[None]), boxes, spread)
        assert lost[0] > lost[1:].mean()


def test_json_is_plain_and_has_no_path(recommender: Recommender, tmp_path: Path) -> None:
    """Keys that other programs rely on."""
    found = explain(recommender, "a.png", "b.png", "style").to_json()
    assert json.loads(json.dumps(found)) == found
    assert list(found) == [
        "a", "b", "relation", "modality", "score", "closer_than", "facets", "cosines", "sentence", "words", "notes",
        "regions",
    ]  # fmt: skip
    assert str(tmp_path) not in json.dumps(found)


def test_a_picture_that_is_gone_leaves_facets(recommender: Recommender, folder: Path) -> None:
    """What is stored can still be explained; the note says what cannot, and drawing still works."""
    whole = explain(recommender, "03.png", "a.png")
    content = (folder / "03.png").read_bytes()
    try:
        (folder / "03.png").write_bytes(b"no picture")
        damaged = explain(recommender, "03.png", "a.png")
        (folder / "03.png").unlink()
        gone = explain(recommender, "03.png", "a.png")
    finally:
        (folder / "03.png").write_bytes(content)
    for found in (damaged, gone):
        assert found.facets == whole.facets
        assert not found.regions
        assert any(note.startswith("no regions") for note in found.notes)
        assert found.png().startswith(b"\x89PNG")
        assert "<img" in found.html()


@pytest.mark.parametrize(
    ("names", "relation", "error", "told"),
    [
        (("a.png", "tune.wav"), "similar", InputError, "a.png is a picture and tune.wav is a sound"),
        (("a.png", "a.png"), "similar", InputError, "named twice"),
        (("a.png", "b.png"), "similar-track", InputError, "not of image items"),
        (("a.png", "nothing.png"), "similar", UnknownNameError, "unknown item 'nothing.png'"),
        (("a.png", "b.png"), "styl", UnknownNameError, "did you mean 'style'"),
    ],
)
def test_what_cannot_be_explained_says_why(
    recommender: Recommender, names: tuple[str, str], relation: str, error: type[Exception], told: str
) -> None:
    """In one sentence."""
    with pytest.raises(error, match=told):
        explain(recommender, *names, relation)


def test_vectors_without_files_are_explained_by_their_facets(make_catalog: Callable[[], Any]) -> None:
    """Nothing can be looked at again, and the explanation says so."""
    made = make_catalog()
    made.fill(40)
    made.build()
    found = explain(made.open(), "item-0-00001", "item-0-00002", "style")
    assert sum(found.facets.values()) == pytest.approx(1) or not any(found.facets.values())
    assert found.notes == ("no regions: there is no picture of item-0-00001 on this machine",)
    assert "there is no picture" in found.html()


def test_threads_explain_side_by_side(recommender: Recommender, tmp_path: Path) -> None:
    """Each with a recommender of its own, to the same result."""

    def one(_: int) -> Explanation:
        return explain(Recommender(Catalog.open(tmp_path / "c")), "a.png", "b.png", "style")

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, range(8)))
    assert all(each == found[0] for each in found)


def test_the_closest_of_several_pictures_is_shown(folder: Path, tmp_path: Path, run_index: Any) -> None:
    """An item with many photos is explained by the one that made it an answer."""
    table = tmp_path / "table.csv"
    others = [folder / f"{number:02d}.png" for number in range(4, 12)]
    for seed in range(200, 230):  # of a dozen pictures nothing could be said about what is common
        others.append(tmp_path / f"{seed}.png")
        Image.fromarray(background(seed)).save(others[-1])
    table.write_text(
        f"id,path\nmany,{folder / '01.png'}|{folder / 'a.png'}|{folder / '02.png'}\none,{folder / 'b.png'}\n"
        + "".join(f"{path.stem},{path}\n" for path in others)
    )
    run_index(tmp_path / "c", table)
    found = explain(Recommender(Catalog.open(tmp_path / "c")), "many", "one", "style")
    assert found.media[0] == folder / "a.png"
    assert any("many has 3 pictures" in note for note in found.notes)
    assert overlap(found.regions[0].a, PLACES["a.png"]) > 0.4


def test_titles_are_never_markup(recommender: Recommender) -> None:
    """Whatever people call their things."""
    from dataclasses import replace

    nasty = "<script>alert('x')</script>\"&"
    found = replace(explain(recommender, "a.png", "b.png"), titles=(nasty, nasty), notes=(nasty,), sentence=nasty)
    for page in (found.html(), found._repr_html_()):
        assert "<script>alert" not in page
        assert "alert(&#x27;x&#x27;)" in page
    assert "http" not in found.html().replace("http-equiv", "")


def test_map_evidence_finds_the_cell_that_agrees() -> None:
    """One cell of a feature map holds what the other picture is full of."""
    values = np.zeros((3, 4, 4), np.float32)
    values[0] = 1
    values[:, 1, 2] = (0, 5, 0)
    there = np.zeros((3, 4, 4), np.float32)
    there[1] = 1
    whole = (0.0, 0.0, 1.0, 1.0)
    boxes = np.array([[0, 0, 0.25, 0.25], [0.5, 0.25, 0.25, 0.25], [0.5, 0.5, 0.25, 0.25]])
    gain, held = map_evidence(FeatureMap(values, whole), FeatureMap(there, whole), boxes)
    assert gain.argmax() == 1
    assert gain[1] > 0 > gain[0]
    assert held[1] == pytest.approx([0, 1, 0])


def write_shallow_network(path: Path) -> str:
    """A network of one convolution that sees checks, whose last map can be read; returns its encoder's name."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kernel = np.zeros((2, 3, 3, 3), np.float32)
    kernel[0, 1] = ((0, -1, 0), (-1, 4, -1), (0, -1, 0))
    kernel[1] = 0.02
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["raw"], pads=[1, 1, 1, 1]),
        helper.make_node("Abs", ["raw"], ["strong"]),
        helper.make_node("AveragePool", ["strong"], ["map"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "shallow",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 64, 64])],
        [
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 2]),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, ["N", 2, 8, 8]),
        ],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return f"onnx:{path}?preset=siglip"


@pytest.mark.parametrize("beside", [(), ("builtin-image",)])
def test_a_network_looks_again_where_its_last_map_points(
    folder: Path, tmp_path: Path, run_index: Any, beside: tuple[str, ...]
) -> None:
    """Few times, and it still finds what two pictures share."""
    name = write_shallow_network(tmp_path / "shallow.onnx")
    run_index(tmp_path / "c", folder, encoders=(*beside, name))
    recommender = Recommender(Catalog.open(tmp_path / "c"))
    found = explain(recommender, "a.png", "b.png", "similar")
    assert overlap(found.regions[0].a, PLACES["a.png"]) > 0.3
    assert overlap(found.regions[0].b, PLACES["b.png"]) > 0.3
    assert "content, as a network sees it (shallow)" in found.sentence
    pair = read_pair(recommender, "a.png", "b.png", "similar")
    one, other, _ = views_of(recommender.catalog, pair)
    base, rest = one.described(), other.described()
    network = len(beside)
    seen = occlude(
        one,
        base,
        lambda rows: pair.closeness(rows, rest[None]),
        [None] * network + [other.look.feature_map(network)],
    )
    assert len(seen.boxes) == MOST_BY_NETWORK


def test_a_network_that_is_gone_is_left_out_of_regions(folder: Path, tmp_path: Path, run_index: Any) -> None:
    """Stored facets are explained; regions are found by what is still here."""
    name = write_shallow_network(tmp_path / "shallow.onnx")
    run_index(tmp_path / "c", folder, encoders=("builtin-image", name))
    (tmp_path / "shallow.onnx").unlink()
    loaded.cache_clear()
    found = explain(Recommender(Catalog.open(tmp_path / "c")), "a.png", "b.png", "similar")
    assert "content:shallow" in found.facets
    assert found.regions
    assert any(note.startswith("regions are found without shallow.onnx") for note in found.notes)
    assert not any(str(tmp_path) in note for note in found.notes)


@pytest.mark.slow
@pytest.mark.parametrize("relation", ["similar", "substitute", "style"])
def test_named_regions_of_the_demo_beat_random_ones(tmp_path: Path, run_index: Any, relation: str) -> None:
    """The deletion test on the demo's pictures, by a blur that no explanation has looked at."""
    run_index(tmp_path / "c", make_pictures(tmp_path / "demo"))
    recommender = Recommender(Catalog.open(tmp_path / "c"))
    won = []
    for item_id in recommender.item_ids("image")[::9]:
        (hit,) = recommender.query(item_id, relation=relation, k=1).hits
        found = explain(recommender, item_id, hit.item_id, relation)
        pair = read_pair(recommender, found.a, found.b, relation)
        one, other, _ = views_of(recommender.catalog, pair)
        base, rest = one.described(), other.described()
        boxes = np.vstack([found.regions[0].a, one.look.random_boxes(8, seed=len(won))])
        lost = lost_without(one, base, lambda rows, p=pair, r=rest: p.closeness(rows, r[None]), boxes, 0.35)
        won.append(lost[0] > lost[1:].mean())
    assert len(won) > 10
    assert np.mean(won) >= 0.8
