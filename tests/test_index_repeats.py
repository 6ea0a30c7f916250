"""Near-duplicates of a whole catalog: equal to comparing all pairs, grouped around the first, with true evidence."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageFilter
from scipy import ndimage

from index.errors import UnknownNameError
from index.lists import repeats
from index.lists.repeats import Duplicates, find_duplicates


def with_copies(made: Any, count: int, seed: int = 0) -> None:
    """Items of which many are near other ones: some within what counts as the same, some just beyond it."""
    made.fill(count, seed=seed)
    rng = np.random.default_rng(seed)
    vectors = made.points(count, seed)[0]
    originals = rng.integers(0, count, count // 2)
    noise = made.points(count, seed + 1)[0][: len(originals)]
    share = rng.choice([0.0, 0.1, 0.15, 0.2, 0.25, 0.3], len(originals))[:, None]
    rows = vectors[originals] + share * noise
    for facet in made.card.facets:
        own = slice(facet.start, facet.stop)
        rows[:, own] /= np.linalg.norm(rows[:, own], axis=1, keepdims=True)
    made.add([f"copy-{at:04d}" for at in range(len(rows))], rows.astype("<f4"), ["kind-00"] * len(rows))


def compared_all(made: Any) -> list[list[str]]:
    """Groups from all pairs, by the definition: components, parted by who agrees with the first by id."""
    rows = made.catalog.connection.execute(
        "SELECT i.id, vector FROM items i JOIN media USING (item) JOIN vectors USING (media) ORDER BY i.id"
    ).fetchall()
    ids = [item_id for item_id, _ in rows]
    raw = np.stack([np.frombuffer(vector, "<f4") for _, vector in rows]).astype(float)
    agree = np.ones((len(ids), len(ids)), bool)
    for facet in made.card.facets:
        own = raw[:, facet.start : facet.stop]
        own = own / np.linalg.norm(own, axis=1, keepdims=True)
        agree &= own @ own.T >= facet.same
    near = [np.abs((raw[:, f.start : f.stop] ** 2).sum() - f.same) for f in made.card.facets]
    assert near  # cosines right at the limit would make the outcome a matter of rounding
    groups = []
    left = set(range(len(ids)))
    while left:
        component, open_ones = set(), [min(left)]
        while open_ones:
            one = open_ones.pop()
            if one not in component:
                component.add(one)
                open_ones += np.flatnonzero(agree[one]).tolist()
        left -= component
        rest = sorted(component)
        while len(rest) > 1:
            members = [one for one in rest if agree[rest[0], one]]
            if len(members) > 1:
                groups.append([ids[one] for one in members])
            rest = [one for one in rest[1:] if one not in members]
    return sorted(groups)


def ids_of(found: Duplicates) -> list[list[str]]:
    return [[copy.item.item_id for copy in group.copies] for group in found.groups]


@pytest.mark.parametrize("seed", range(4))
def test_groups_are_those_of_all_pairs(make_catalog: Callable[[], Any], seed: int) -> None:
    """Also for items that are newer than the last build; each member's evidence agrees."""
    made = make_catalog()
    if seed % 2:
        with_copies(made, 120, seed)
        made.build()
    else:
        made.fill(40, seed=50 + seed)
        made.build()
        with_copies(made, 120, seed)
    seen: list[tuple[int, int]] = []
    found = find_duplicates(made.open(), on_progress=lambda done, total: seen.append((done, total)))
    assert ids_of(found) == compared_all(made)
    assert len(found.groups) > 10
    assert seen[-1] == (found.compared, found.compared)
    for group in found.groups:
        assert group.kind == "picture"
        first = group.copies[0].item.item_id
        assert [(one.a, one.b) for one in group.evidence] == [(first, copy.item.item_id) for copy in group.copies[1:]]
        for one in group.evidence:
            assert one.seconds is None
            assert all(one.cosines[facet.name] >= facet.same - 1e-6 for facet in made.card.facets)


@pytest.mark.parametrize("method", ["annoy", "cells"])
def test_the_index_finds_them_too(
    make_catalog: Callable[[], Any], searching_by: Callable[[str], AbstractContextManager[None]], method: str
) -> None:
    """Where cells propose, found by Annoy or by looking at all, in small batches."""
    made = make_catalog()
    with_copies(made, 1000)
    with searching_by(method):
        made.build()
        found = find_duplicates(made.open())
    assert made.open().generation.spaces["image"].record.relations["similar"].method == "cells"
    assert ids_of(found) == compared_all(made)


def test_a_picture_that_is_there_a_hundred_times_is_one_group(
    make_catalog: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More often than neighbours are looked at, at first and at most."""
    made = make_catalog()
    made.fill(50)
    made.add([f"same-{at:03d}" for at in range(100)], made.points(1, 5)[0].repeat(100, axis=0), ["kind-00"] * 100)
    made.build()
    for most in (repeats.MOST_NEIGHBOURS, repeats.NEIGHBOURS):
        monkeypatch.setattr(repeats, "MOST_NEIGHBOURS", most)
        assert ids_of(find_duplicates(made.open())) == [[f"same-{at:03d}" for at in range(100)]]


def test_a_chain_of_near_ones_is_parted_around_the_first(make_catalog: Callable[[], Any]) -> None:
    """a is like b, b like c, c like d; a is not like c: two groups, each around its first."""
    made = make_catalog()
    made.fill(60)
    one, other = made.points(2, 8)[0]
    rows = []
    for angle in (0.0, 0.2, 0.4, 0.6):
        row = np.empty_like(one)
        for facet in made.card.facets:
            own = slice(facet.start, facet.stop)
            across = other[own] - (other[own] @ one[own]) * one[own]
            row[own] = np.cos(angle) * one[own] + np.sin(angle) * across / np.linalg.norm(across)
        rows.append(row)
    made.add(["a", "b", "c", "d"], np.stack(rows).astype("<f4"), ["kind-00"] * 4)
    made.build()
    assert ids_of(find_duplicates(made.open())) == [["a", "b"], ["c", "d"]] == compared_all(made)


def test_a_catalog_without_any_says_so(make_catalog: Callable[[], Any]) -> None:
    """And an unknown modality is told."""
    made = make_catalog()
    made.fill(30)
    made.build()
    assert find_duplicates(made.open()).to_json() == {"groups": [], "total": 0}
    assert find_duplicates(made.open(), "audio").compared == 0
    with pytest.raises(UnknownNameError, match="modality 'sound'"):
        find_duplicates(made.open(), "sound")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory, picture: Any, song: Any) -> Path:
    """Pictures and songs that differ, and others made from three of them."""
    folder = tmp_path_factory.mktemp("media")
    for seed in range(12):
        picture(folder / f"p{seed:02d}.png", seed, (320, 240))
        song(folder / f"s{seed:02d}.wav", seed, 12.0)
    rng = np.random.default_rng(0)
    grain = ndimage.gaussian_filter(rng.normal(0, 60, (240, 320, 3)), (1.5, 1.5, 0))
    pixels = np.asarray(Image.open(folder / "p00.png"), float) + grain
    original = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    original.save(folder / "p00.png")
    original.save(folder / "p00-again.jpg", quality=80)
    original.resize((240, 180), Image.Resampling.LANCZOS).save(folder / "p00-small.png")
    original.filter(ImageFilter.GaussianBlur(9)).rotate(90, expand=True).save(folder / "p00-other.png")
    sound, rate = soundfile.read(folder / "s00.wav")
    soundfile.write(folder / "s00-again.mp3", sound, rate)
    soundfile.write(folder / "s00-longer.wav", np.concatenate([sound, sound]), rate)
    return folder


def test_files_are_grouped_with_what_decides_which_to_keep(media: Path, tmp_path: Path, run_index: Any) -> None:
    """Saved again, scaled, coded again; not what only sounds alike and lasts longer."""
    catalog = tmp_path / "c.simkin"
    run_index(catalog, media)
    from simkin.library import open

    found = find_duplicates(open(catalog))
    assert ids_of(found) == [["p00-again.jpg", "p00-small.png", "p00.png"], ["s00-again.mp3", "s00.wav"]]
    pictures, songs = found.groups
    assert [copy.pixels for copy in pictures.copies] == [(320, 240), (240, 180), (320, 240)]
    assert [copy.bytes for copy in pictures.copies] == [
        (media / copy.item.item_id).stat().st_size for copy in pictures.copies
    ]
    assert songs.kind == "recording"
    assert songs.evidence[0].seconds == pytest.approx((12, 12), abs=0.6)
    assert [copy.pixels for copy in songs.copies] == [None, None]
    assert ids_of(find_duplicates(open(catalog), "audio")) == [["s00-again.mp3", "s00.wav"]]
    told = found.to_json(offset=1, limit=1)
    assert told["total"] == 2
    assert [group["items"] for group in told["groups"]] == [["s00-again.mp3", "s00.wav"]]
    assert "320 × 240" in found._repr_html_()


def test_the_verb_prints_groups(media: Path, tmp_path: Path, run_index: Any, run_simkin: Callable[..., Any]) -> None:
    """As text and as JSON; the files stay as they are."""
    catalog = tmp_path / "c.simkin"
    run_index(catalog, media)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in media.iterdir())
    text = run_simkin("duplicates", "--catalog", catalog)
    assert text.returncode == 0, text.stderr
    assert text.stdout.startswith("2 groups of near-duplicates, 5 of 29 items")
    assert "p00-small.png" in text.stdout
    told = json.loads(run_simkin("duplicates", "--catalog", catalog, "--modality", "image", "--json").stdout)
    assert told["total"] == 1
    assert told["groups"][0]["files"][1]["pixels"] == [240, 180]
    assert sorted((path.name, path.stat().st_mtime_ns) for path in media.iterdir()) == before
