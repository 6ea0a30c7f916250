"""Maps drawn: the picture and the page hold what is on the map, and nothing in titles is taken as markup."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import index.lists.map_picture as drawing
from index.catalog import Catalog
from index.errors import InputError, StorageError
from index.lists.map import Landmark, MapCluster, StyleMap, map_items
from index.lists.map_colors import OTHER, PALETTE, colorings
from index.lists.map_files import write_map
from index.lists.map_page import map_page
from index.lists.map_picture import map_figure, map_image
from index.recommender import Recommender

NASTY = "</script><script>alert(1)</script><!-- \"'&\u2028 \ud800"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, pictures: Callable[..., list[Path]]) -> Path:
    """An indexed folder of 30 pictures, one of which is gone since."""
    from index.ingesting.ingest import IndexOptions, ingest

    folder = tmp_path_factory.mktemp("shop")
    made = pictures(folder / "photos" / "Shoes & <b>", 15) + pictures(folder / "photos" / "Bags", 15, seed=1)
    with Catalog.create(folder / "catalog") as catalog:
        ingest(catalog, [folder / "photos"], IndexOptions(workers=1), lambda _: None)
    made[3].unlink()
    return folder / "catalog"


@pytest.fixture(scope="module")
def drawn(shop: Path) -> StyleMap:
    """Its map."""
    return map_items(Recommender(Catalog.open(shop)), "similar", method="pca", clusters=3)


def made_map(count: int, modality: Any = "audio", **fields: Any) -> StyleMap:
    """A map of so many items in a ring, without files."""
    turn = np.linspace(0, 6, count)
    at = (0.5 + 0.5 * np.stack([np.cos(turn), np.sin(turn)], axis=1)).astype(np.float32)
    ids = tuple(f"song-{row}" for row in range(count))
    whole = StyleMap(
        relation="similar-track",
        modality=modality,
        method="pca",
        generation=1,
        fitted_on=count,
        ids=ids,
        titles=tuple(f"Title {row}" for row in range(count)),
        at=at,
        labels=np.zeros(count, np.int32),
        clusters=(MapCluster(0.5, 0.5, count, 1.0, ids[:1], NASTY),),
        attribute="",
        values=(),
        codes=np.full(count, -1, np.int32),
        landmarks=tuple(Landmark(row, Path("/nowhere/song.wav"), "audio") for row in range(count)),
    )
    return replace(whole, **fields)


def page_data(text: str) -> dict[str, Any]:
    """What a page's script reads."""
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert block
    data: dict[str, Any] = json.loads(block[1])
    return data


def unpacked(text: str) -> bytes:
    return gzip.decompress(base64.b64decode(text))


def test_the_page_holds_every_item_and_a_thumbnail_of_each_that_can_be_read(drawn: StyleMap) -> None:
    """Places to a part in 65,535; a file that is gone has no thumbnail."""
    data = page_data(map_page(drawn))
    places = np.frombuffer(unpacked(data["places"]), "<u2").reshape(2, -1).T / 65535
    assert np.allclose(places, drawn.at, atol=1e-4)
    assert json.loads(unpacked(data["names"])) == {"titles": list(drawn.titles), "ids": list(drawn.ids)}
    assert len(data["thumbs"]) == 29
    image = Image.open(io.BytesIO(base64.b64decode(data["thumbs"][0]["uri"].partition(",")[2])))
    assert image.size == (data["thumbs"][0]["width"], data["thumbs"][0]["height"])
    assert max(image.size) <= 112
    kinds = [(one["name"], one["values"]) for one in data["colorings"]]
    assert kinds[-1][0] == "cluster"
    codes = np.frombuffer(unpacked(data["codes"]), np.uint8)
    assert len(codes) == len(kinds) * len(drawn)


def test_nothing_in_titles_or_labels_is_taken_as_markup() -> None:
    """The block of data ends where it should, and only our own script and style may run, by their hashes."""
    text = map_page(made_map(5, titles=(NASTY,) * 5, ids=(NASTY,) * 5, relation=NASTY))
    assert text.count("</script>") == 2
    assert text.lower().count("<script") == 2
    assert "<!-- " not in text
    assert page_data(text)["clusters"][0]["label"] == NASTY
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert "default-src 'none'" in policy[1]
    for tag in ("style", "script"):
        block = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(block) == 1
        digest = base64.b64encode(hashlib.sha256(block[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
    assert "unsafe" not in policy[1]


def test_the_picture_shows_thumbnails_without_overlap(drawn: StyleMap, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file that can be read is pasted, each within a cell of its own."""
    pasted: list[tuple[int, int, int, int]] = []
    paste = Image.Image.paste

    def noted(self: Image.Image, image: Any, box: Any = None, mask: Any = None) -> None:
        if self.size == (600, 600):
            pasted.append((*box, box[0] + image.width, box[1] + image.height))
        paste(self, image, box, mask)

    monkeypatch.setattr(Image.Image, "paste", noted)
    image = map_image(drawn, 600)
    assert image.size == (600, 600)
    assert 20 <= len(pasted) <= 29
    for at, one in enumerate(pasted):
        for other in pasted[:at]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart


def test_sounds_are_dots_with_titles_that_do_not_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of clusters come first; every text keeps a box to itself."""
    sheets: list[Any] = []
    names = drawing._cluster_names

    def noted(sheet: Any, draw: Any) -> None:
        sheets.append(sheet)
        names(sheet, draw)

    monkeypatch.setattr(drawing, "_cluster_names", noted)
    image = map_image(made_map(40), 1000)
    boxes = sheets[0].taken
    assert len(boxes) > 20
    for at, one in enumerate(boxes):
        for other in boxes[:at]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    colors = {color for _, color in image.getcolors(1 << 20) or []}
    assert tuple(int(PALETTE[0][at : at + 2], 16) for at in (1, 3, 5)) in colors


def test_many_items_are_drawn_at_once() -> None:
    """Dots of single pixels, the same colours."""
    count = 200_001
    rng = np.random.default_rng(0)
    large = made_map(
        count, at=rng.uniform(size=(count, 2)).astype(np.float32), landmarks=(), titles=("t",) * count, clusters=()
    )
    image = map_image(large, 400)
    assert np.mean(np.asarray(image.convert("L")) < 250) > 0.3


def test_colours_that_values_name_are_those_of_dots() -> None:
    """``Navy Blue`` is navy; values without colours of their own are others."""
    codes = np.array([0, 0, 1, 2, -1], np.int32)
    named = made_map(5, attribute="color", values=("Navy Blue", "Red", "Tartan"), codes=codes)
    (by_value, by_cluster) = colorings(named)
    assert by_value.colors == ("#000080", "#ff0000", OTHER, OTHER)
    assert by_value.codes.tolist() == [0, 0, 1, 2, 3]
    assert by_cluster.name == "cluster"
    plain = colorings(made_map(5, attribute="genre", values=("rock", "jazz", "folk"), codes=codes))[0]
    assert plain.colors == (*PALETTE[:3], OTHER)
    assert colorings(made_map(5, clusters=()))[0].values == ()


def test_a_map_shows_itself_in_a_notebook(drawn: StyleMap) -> None:
    """As one picture, with what it is as text."""
    text = drawn._repr_html_()
    assert text.startswith("<figure><img src='data:image/jpeg;base64,")
    assert "similar · 30 pictures · PCA" in text
    assert "<script" not in map_figure(made_map(4, relation=NASTY), 300)


@pytest.mark.parametrize(("name", "begins"), [("m.html", b"<!doctype"), ("m.PNG", b"\x89PNG"), ("m.json", b"{")])
def test_the_ending_says_what_is_written(drawn: StyleMap, tmp_path: Path, name: str, begins: bytes) -> None:
    """A page, a picture or numbers."""
    write_map(drawn, tmp_path / name, 300)
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_what_cannot_be_written_is_told(drawn: StyleMap, tmp_path: Path) -> None:
    """Another ending, a size out of range, a folder that is not there."""
    with pytest.raises(InputError, match=r"\.html, \.png or \.json"):
        write_map(drawn, tmp_path / "m.gif")
    with pytest.raises(InputError, match="200 to 12000 pixels a side, not 10"):
        write_map(drawn, tmp_path / "m.png", 10)
    with pytest.raises(StorageError, match="cannot write"):
        write_map(drawn, tmp_path / "none" / "m.json")
