"""Generations: what is damaged or does not fit is refused, what is interrupted leaves the old one."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from index.catalog import Catalog
from index.encoders import card_of
from index.engine import build as building
from index.engine.ann import build_trees
from index.engine.build import build_if_needed
from index.engine.generations import (
    CURRENT,
    MANIFEST,
    Manifest,
    current_number,
    file_record,
    generation_folder,
    new_generation,
    open_generation,
    read_manifest,
)
from index.errors import NotBuiltError, StaleIndexError, StorageError
from index.relations import RELATIONS

CARDS = {"builtin-image": card_of("builtin-image")}


@pytest.fixture(scope="module")
def built(make_catalog, searching_by):
    """A catalog with trees, built once."""
    with searching_by("annoy"):
        made = make_catalog()
        made.fill(900, categories=2)
        made.build()
        yield made


@pytest.fixture
def copied(built, tmp_path):
    """The folder of a fresh copy, its manifest telling the copy's own stamps."""
    folder = tmp_path / "copy.simkin"
    shutil.copytree(built.folder, folder)
    manifest = read_manifest(folder, 1)
    inside = generation_folder(folder, 1)
    files = {name: file_record(inside / name) for name in manifest.files}
    (inside / MANIFEST).write_text(replace(manifest, files=files).to_json())
    return folder


def _open(folder):
    return open_generation(folder, CARDS, RELATIONS)


def test_a_sound_generation_opens(copied):
    """Manifest, files and relations agree."""
    space = _open(copied).spaces["image"]
    assert space.vectors.shape == (900, 240)
    assert space.record.relations["similar"].search_k > 0


def test_a_manifest_survives_being_written_and_read(built):
    """Every field, to the last bit."""
    manifest = read_manifest(built.folder, 1)
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_a_flipped_byte_in_any_file_is_refused(copied):
    """Trees, vectors, keys, projection: each is read again once it was touched."""
    inside = generation_folder(copied, 1)
    for name in read_manifest(copied, 1).files:
        content = (inside / name).read_bytes()
        flipped = bytearray(content)
        flipped[len(flipped) // 2] ^= 1
        (inside / name).write_bytes(flipped)
        with pytest.raises(StaleIndexError, match="is damaged"):
            _open(copied)
        (inside / name).write_bytes(content)
    _open(copied)


def test_damage_that_hides_its_time_is_found_by_a_thorough_look(copied):
    """A disk that rots changes no modification time."""
    path = generation_folder(copied, 1) / "image" / "vectors.f32"
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"\xff")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(StaleIndexError, match=r"vectors\.f32 is damaged"):
        open_generation(copied, CARDS, RELATIONS, thorough=True)


@pytest.mark.parametrize("change", ["missing", "longer", "empty"])
def test_a_missing_or_resized_file_is_refused(copied, change):
    """The message names the file and the command that mends it."""
    path = generation_folder(copied, 1) / "image" / "keys.i64"
    if change == "missing":
        path.unlink()
    else:
        path.write_bytes(b"" if change == "empty" else path.read_bytes() + b"\0")
    with pytest.raises(StaleIndexError, match=r"keys\.i64.*simkin index --rebuild"):
        _open(copied)


def test_trees_of_another_dimension_are_refused(copied):
    """Annoy would open them without complaint."""
    path = next((generation_folder(copied, 1) / "image" / "similar").glob("trees-*.ann"))
    path.unlink()
    build_trees(path, np.random.default_rng(0).normal(size=(14, 32)).astype(np.float32))
    with pytest.raises(StaleIndexError, match="trees"):
        _open(copied)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: "null",
        lambda text: '"format"',
        lambda text: text.replace('"dim": 240', '"dim": 120'),
        lambda text: text.replace('"search_k"', '"search_n"'),
        lambda text: text.replace('"spaces"', '"places"'),
        lambda text: json.dumps({**json.loads(text), "spaces": []}),
        lambda text: json.dumps({**json.loads(text), "format": 99}),
        lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "checksum"}),
    ],
)
def test_a_damaged_manifest_is_refused_and_rebuilt(copied, damage):
    """Whatever happened to it, the error is ours; a changed number is noticed too."""
    path = generation_folder(copied, 1) / MANIFEST
    path.write_text(damage(path.read_text()))
    with pytest.raises(StaleIndexError, match="simkin index --rebuild"):
        read_manifest(copied, 1)


def test_a_manifest_that_is_no_text_is_refused(copied):
    """Bytes that are no UTF-8."""
    (generation_folder(copied, 1) / MANIFEST).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StaleIndexError):
        read_manifest(copied, 1)


@pytest.mark.parametrize("content", [None, "", "seven", "999\n", "\x00"])
def test_a_damaged_current_file_is_not_built(copied, content):
    """The message says how to build, and building works."""
    if content is None:
        (copied / CURRENT).unlink()
    else:
        (copied / CURRENT).write_text(content)
    with pytest.raises(NotBuiltError, match="simkin index --rebuild"):
        open_generation(copied, {}, RELATIONS)


def test_another_encoder_is_refused(copied):
    """Vectors of another fingerprint are not compared."""
    with pytest.raises(StaleIndexError, match="built for encoders"):
        open_generation(copied, {"builtin-image": replace(CARDS["builtin-image"], revision=99)}, RELATIONS)


def test_another_definition_of_a_relation_is_refused_and_rebuilt(make_catalog, monkeypatch):
    """A changed weight makes the generation stale; the next build mends it, and only then."""
    made = make_catalog()
    made.fill(40)
    assert made.build() == 1
    monkeypatch.setitem(RELATIONS, "style", replace(RELATIONS["style"], weights={"color": 1.0}))
    with pytest.raises(StaleIndexError, match="another definition of relation 'style'"):
        made.open().query("item-0-00001")
    assert made.build(force=False) == 2
    assert made.build(force=False) == 2
    assert made.open().query("item-0-00001").generation == 2
    monkeypatch.delitem(RELATIONS, "style")
    assert made.open().query("item-0-00001").generation == 2, "the others answer"
    with Catalog.open(made.folder) as catalog, catalog.writing():  # another run of the program
        assert build_if_needed(catalog) == 3


def test_a_writer_killed_before_he_told_of_his_generation_leaves_a_catalog_that_answers(make_catalog, monkeypatch):
    """Who has it open goes on with the one before, and learns of the next one that is told of."""
    made = make_catalog()
    made.fill(40)
    made.build()
    reader = made.open()
    assert reader.query("item-0-00001").generation == 1
    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "set_setting", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            made.build()
    assert current_number(made.folder) == 2
    assert reader.query("item-0-00001").generation == 1
    assert made.open().query("item-0-00001").generation == 2
    assert made.build() == 3
    assert reader.query("item-0-00001").generation == 3


def test_a_damaged_generation_is_rebuilt_when_needed(make_catalog):
    """Damage counts as a reason to build."""
    made = make_catalog()
    made.fill(40)
    made.build()
    (generation_folder(made.folder, 1) / "image" / "vectors.f32").write_bytes(b"short")
    assert made.build(force=False) == 2
    (generation_folder(made.folder, 2) / MANIFEST).write_text("{")
    assert made.build(force=False) == 3
    (made.folder / CURRENT).write_text("?")
    assert made.build(force=False) == 4
    assert len(made.open().query("item-0-00001").hits) == 10


@pytest.mark.parametrize("error", [RuntimeError("killed"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_build_leaves_the_old_generation(make_catalog, monkeypatch, error):
    """Nothing half-built is seen, kept or put in use."""
    made = make_catalog()
    made.fill(40)
    made.build()

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(building, "random_quantiles", fail)
        with pytest.raises(StorageError if isinstance(error, OSError) else type(error)):
            made.build()
    assert current_number(made.folder) == 1
    assert [p.name for p in (made.folder / "generations").iterdir()] == ["000001"]
    assert made.open().query("item-0-00001").generation == 1
    assert made.build() == 2


def test_an_interruption_after_the_swap_keeps_what_is_in_use(tmp_path, monkeypatch):
    """Ctrl-C in the instant after the rename does not delete the new generation."""
    replace_file = os.replace

    def interrupted(*names: object) -> None:
        replace_file(*names)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), new_generation(tmp_path) as (number, folder):
        (folder / MANIFEST).write_text("{}")
    assert current_number(tmp_path) == number
    assert folder.is_dir()


def test_old_generations_and_remains_are_cleaned_away(make_catalog):
    """The one before is kept for readers that hold it, nothing older."""
    made = make_catalog()
    made.fill(20)
    for _ in range(3):
        made.build()
    (generation_folder(made.folder, 9)).mkdir()
    number = made.build()
    assert number == 10
    assert sorted(p.name for p in (made.folder / "generations").iterdir()) == ["000003", "000010"]


def test_a_generation_that_fits_is_not_rebuilt(make_catalog):
    """No change, no work; another recall asked for is a change."""
    made = make_catalog()
    made.fill(20)
    with made.catalog.writing():
        assert build_if_needed(made.catalog) == 1
        assert build_if_needed(made.catalog) == 1
        with made.catalog.connection:
            made.catalog.set_setting("recall", "0.9")
        assert build_if_needed(made.catalog) == 2
