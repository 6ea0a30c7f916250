"""Vectors that were made elsewhere, taken into a catalog without opening a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import index.embedding.local
from index.catalog import Catalog
from index.embedding.job import EmbedOptions, EmbedReport, embed
from index.errors import InputError
from index.recommender import Recommender
from index.verify import verify

Run = Callable[..., EmbedReport]


@pytest.fixture
def run(run_index: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Embed in this process: ``run(out, *sources, **EmbedOptions)``."""
    monkeypatch.setattr(index.embedding.local, "describe_all", run_index.describe_all)
    return lambda out, *sources, **options: embed(list(sources), out, EmbedOptions(**options))


@pytest.fixture
def media(pictures: Callable[..., list[Path]], song: Callable[..., Path], tmp_path: Path) -> Path:
    """Six pictures of two kinds and a sound."""
    pictures(tmp_path / "media" / "shoes", 3)
    pictures(tmp_path / "media" / "hats", 3, 1)
    song(tmp_path / "media" / "a.wav", 1)
    return tmp_path / "media"


def content(folder: Path) -> list[tuple[Any, ...]]:
    """Items with attributes and vectors."""
    with Catalog.open(folder) as catalog:
        return catalog.connection.execute(
            "SELECT i.id, i.category, i.attributes, e.name, v.vector FROM items i JOIN media m USING (item) "
            "JOIN vectors v USING (media) JOIN encoders e USING (encoder) ORDER BY i.id, m.position, e.name"
        ).fetchall()


def ids_of(folder: Path, item_id: str, relation: str) -> list[str]:
    """Answers to one question."""
    with Catalog.open(folder) as catalog:
        return [hit.item_id for hit in Recommender(catalog).query(item_id, relation=relation, k=3).hits]


def test_shards_make_the_catalog_that_files_make(run: Run, run_index: Any, media: Path, tmp_path: Path) -> None:
    """The same items, attributes, vectors and answers, and no file is opened."""
    run_index(tmp_path / "files.simkin", media)
    run(tmp_path / "out", media, shard_size=2)
    report = run_index(tmp_path / "taken.simkin", embeddings=(tmp_path / "out",))
    assert run_index.opened == []
    assert (report.added, report.failed, report.items) == (7, 0, 7)
    assert content(tmp_path / "taken.simkin") == content(tmp_path / "files.simkin")
    for relation in ("similar", "substitute", "style"):
        asked = "shoes/001.jpg"
        assert ids_of(tmp_path / "taken.simkin", asked, relation) == ids_of(tmp_path / "files.simkin", asked, relation)
    with Catalog.open(tmp_path / "taken.simkin") as catalog:
        assert verify(catalog) == []
        assert catalog.item("shoes/001.jpg").paths == (media / "shoes" / "001.jpg",)


def test_taken_in_again_only_what_changed_is_stored(
    run: Run, run_index: Any, media: Path, picture: Callable[..., Path], tmp_path: Path
) -> None:
    """Changed, added and mended rows; without naming anything, the folder is looked at again."""
    (media / "shoes" / "002.jpg").write_bytes(b"not a picture")
    run(tmp_path / "out", media, shard_size=2)
    catalog = tmp_path / "c.simkin"
    report = run_index(catalog, embeddings=(tmp_path / "out",))
    assert (report.added, report.failed, report.items) == (7, 1, 6)
    with Catalog.open(catalog) as opened:
        (failure,) = opened.failures()
    assert (failure.item_id, failure.stage) == ("shoes/002.jpg", "decode")
    report = run_index(catalog)
    assert (report.unchanged, report.failed, report.generation) == (7, 1, 1)
    picture(media / "shoes" / "002.jpg", 77)
    picture(media / "shoes" / "000.jpg", 78)
    picture(media / "shoes" / "003.jpg", 79)
    run(tmp_path / "out", media)
    report = run_index(catalog)
    assert (report.added, report.changed + report.retried, report.failed, report.items) == (1, 2, 0, 8)
    assert run_index.opened == []


def test_metadata_adds_attributes(run: Run, run_index: Any, media: Path, tmp_path: Path) -> None:
    """As for a folder."""
    run(tmp_path / "out", media)
    (tmp_path / "more.csv").write_text("id,price\nshoes/000.jpg,7\n")
    run_index(tmp_path / "c.simkin", embeddings=(tmp_path / "out",), metadata=tmp_path / "more.csv")
    with Catalog.open(tmp_path / "c.simkin") as catalog:
        assert catalog.item("shoes/000.jpg").attributes == {"category": "shoes", "price": 7}


def test_files_can_be_indexed_beside_taken_vectors(
    run: Run, run_index: Any, media: Path, pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    """They are described by the encoders of the vectors, and answer together."""
    run(tmp_path / "out", media, encoders=("builtin-image",))
    run_index(tmp_path / "c.simkin", embeddings=(tmp_path / "out",))
    pictures(tmp_path / "new", 2, 5)
    report = run_index(tmp_path / "c.simkin", tmp_path / "new")
    assert (report.added, report.items) == (2, 8)
    with Catalog.open(tmp_path / "c.simkin") as catalog:
        assert list(catalog.encoders()) == ["builtin-image"]


def write_npy_folder(folder: Path, count: int = 30, dim: int = 16, dtype: str = "<f2") -> np.ndarray:
    """Two parts, as clip-retrieval writes them."""
    vectors = np.random.default_rng(0).normal(size=(count, dim)).astype(dtype)
    for number, rows in enumerate(np.array_split(np.arange(count), 2)):
        for name in ("img_emb", "metadata"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", vectors[rows])
        table = {
            "image_path": [f"/data/{row:03d}.jpg" for row in rows],
            "caption": [f"picture {row}" for row in rows],
            "category": [f"kind {row % 3}" for row in rows],
        }
        pyarrow.parquet.write_table(pyarrow.table(table), folder / "metadata" / f"metadata_{number}.parquet")
    return vectors


def test_npy_files_with_tables_are_taken_in(run_index: Any, picture: Callable[..., Path], tmp_path: Path) -> None:
    """Neighbours are those of the vectors; a file cannot be asked about, and the message says why."""
    vectors = write_npy_folder(tmp_path / "clip").astype(np.float64)
    picture(tmp_path / "photos" / "a.jpg", 1)
    report = run_index(tmp_path / "c.simkin", embeddings=(tmp_path / "clip",))
    assert (report.added, report.items) == (30, 30)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = np.argsort(-(unit @ unit[3]))[1:4]
    assert ids_of(tmp_path / "c.simkin", "/data/003.jpg", "similar") == [f"/data/{row:03d}.jpg" for row in near]
    with Catalog.open(tmp_path / "c.simkin") as catalog:
        assert catalog.item("/data/003.jpg").attributes == {"caption": "picture 3", "category": "kind 0"}
        assert list(catalog.encoders()) == ["vectors:clip"]
        with pytest.raises(InputError, match="came ready made"):
            Recommender(catalog).query(tmp_path / "photos" / "a.jpg")
    with pytest.raises(InputError, match="take vectors in with --embeddings"):
        run_index(tmp_path / "c.simkin", tmp_path / "photos")
    assert run_index(tmp_path / "c.simkin").unchanged == 30


def test_what_embed_writes_as_npy_comes_back(run: Run, run_index: Any, media: Path, tmp_path: Path) -> None:
    """With the encoder's own name and card, rounded to float16."""
    run(tmp_path / "out", media, npy=True, encoders=("builtin-image",))
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("vectors.npy", "metadata.parquet"):
        (tmp_path / "out" / "builtin-image" / name).rename(folder / name)
    run_index(tmp_path / "half.simkin", embeddings=(folder,))
    run_index(tmp_path / "full.simkin", embeddings=(tmp_path / "out",))
    half, full = content(tmp_path / "half.simkin"), content(tmp_path / "full.simkin")
    assert [row[:4] for row in half] == [row[:4] for row in full]
    for mine, theirs in zip(half, full, strict=True):
        np.testing.assert_allclose(np.frombuffer(mine[4], "<f4"), np.frombuffer(theirs[4], "<f4"), atol=1e-3)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda clip: (clip / "metadata" / "metadata_1.parquet").unlink(), "0 tables"),
        (lambda clip: np.save(clip / "img_emb" / "img_emb_1.npy", np.ones((15, 8), "<f2")), "8 dimensions"),
        (lambda clip: np.save(clip / "img_emb" / "img_emb_1.npy", np.ones((3, 16), "<f2")), "has 15 rows"),
        (lambda clip: np.save(clip / "img_emb" / "img_emb_1.npy", np.ones((15, 16), int)), "int64"),
        (lambda clip: (clip / "img_emb" / "img_emb_0.npy").write_bytes(b"no"), "not a readable .npy"),
        (lambda clip: [path.unlink() for path in clip.rglob("*.npy")], "neither shards"),
    ],
)
def test_npy_files_that_do_not_fit_are_refused(
    run_index: Any, tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    """Nothing is stored."""
    write_npy_folder(tmp_path / "clip")
    spoil(tmp_path / "clip")
    with pytest.raises(InputError, match=told):
        run_index(tmp_path / "c.simkin", embeddings=(tmp_path / "clip",))
    with Catalog.open(tmp_path / "c.simkin") as catalog:
        assert (catalog.count(), catalog.encoders()) == (0, {})


def test_a_vector_of_no_numbers_is_a_failure(run_index: Any, tmp_path: Path) -> None:
    """The others are taken in."""
    write_npy_folder(tmp_path / "clip")
    vectors = np.load(tmp_path / "clip" / "img_emb" / "img_emb_0.npy")
    vectors[2], vectors[3, 4] = 0, np.nan
    np.save(tmp_path / "clip" / "img_emb" / "img_emb_0.npy", vectors)
    report = run_index(tmp_path / "c.simkin", embeddings=(tmp_path / "clip",))
    assert (report.failed, report.items) == (2, 28)


def test_damaged_or_unfinished_shards_are_refused(run: Run, run_index: Any, media: Path, tmp_path: Path) -> None:
    """With the command that mends them."""
    out = tmp_path / "out"
    run(out, media)
    with pytest.raises(InputError, match="name the folder above"):
        run_index(tmp_path / "c.simkin", embeddings=(out / "builtin-image",))
    shard = out / "builtin-image" / "shard-000000.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-9])
    with pytest.raises(InputError, match="run simkin embed again"):
        run_index(tmp_path / "c.simkin", embeddings=(out,))
    shard.write_bytes(whole)
    manifest = json.loads((out / "manifest.json").read_text())
    for held in manifest["encoders"].values():
        held["shards"] = {}
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="no finished shard"):
        run_index(tmp_path / "c.simkin", embeddings=(out,))


def test_every_encoder_of_the_catalog_must_be_brought(run: Run, run_index: Any, media: Path, tmp_path: Path) -> None:
    """Files of taken vectors are not opened, so what is missing cannot be made."""
    write_npy_folder(tmp_path / "clip")
    run(tmp_path / "out", media)
    run_index(tmp_path / "c.simkin", embeddings=(tmp_path / "clip",))
    with pytest.raises(InputError, match="has no vectors of"):
        run_index(tmp_path / "c.simkin", embeddings=(tmp_path / "out",))
    run_index(tmp_path / "d.simkin", embeddings=(tmp_path / "out",))
    with pytest.raises(InputError, match="clip has no vectors of builtin-image"):
        run_index(tmp_path / "d.simkin", embeddings=(tmp_path / "clip",))
    assert len(content(tmp_path / "d.simkin")) == 7
