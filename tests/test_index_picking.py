"""Learning from shards: what edges name is taken into the catalog, and some others, and nothing else."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from index.catalog import Catalog
from index.embedding import ready_made
from index.embedding.ready_made import ReadyMade
from index.embedding.shards import EncoderShards, Manifest, Row, shard_name, write_shard
from index.errors import InputError
from index.ingesting.ingest import IndexOptions, ingest
from index.learning.edges import Edge
from index.learning.learn import LearnOptions
from index.learning.picking import pick_named, take_named
from index.salvage import salvage
from simkin.cli import main

COUNT = 900


@pytest.fixture(scope="module")
def shards(make_catalog: Callable[[], Any], write_shards: Callable[..., Any], tmp_path_factory: Any) -> Any:
    """Eight or so; of them, ``linked`` go with those that are near in colour alone."""
    made = make_catalog()
    shards = write_shards(tmp_path_factory.mktemp("shards"), made, COUNT)
    colour = next(facet for facet in made.card.facets if facet.name == "color")
    linked = np.arange(0, COUNT, 2)
    seen = shards.raw[linked, colour.start : colour.stop]
    seen = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    near = np.argsort(-(seen @ seen.T), axis=1)[:, 1:9]
    edges = {(shards.ids[linked[row]], shards.ids[linked[other]]) for row in range(len(linked)) for other in near[row]}
    return SimpleNamespace(
        folder=shards.folder, ids=shards.ids, linked={shards.ids[at] for at in linked}, edges=sorted(edges)
    )


def write_pairs(path: Path, pairs: Iterable[tuple[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("source", "target"), *pairs])
    return path


def ids_in(catalog: Catalog | Path) -> set[str]:
    if isinstance(catalog, Path):
        with Catalog.open(catalog) as opened:
            return ids_in(opened)
    return {item_id for (item_id,) in catalog.connection.execute("SELECT id FROM items")}


def test_named_items_and_others_evenly_spread(shards: Any, tmp_path: Path) -> None:
    """Of several files of an item one is enough to pick it; edges of other relations pick nothing."""
    ready = ReadyMade.open(shards.folder)
    edges = [Edge("ware 0011", "ware 0012"), Edge("ware 0013", "not there", 1.0, "style"), Edge("a", "b", 1.0, "other")]
    assert pick_named(ready, edges, "style") == {"ware 0011", "ware 0012", "ware 0013"}
    files = list(ready.ids())
    assert ready.count() == len(files) == len(list(ready.items()))
    assert ready.spread(100) < set(files)
    assert 90 <= len(ready.spread(100)) <= 100  # some have several files
    assert len(ready.spread(len(files) - 1)) > 0.9 * COUNT
    assert ready.spread(10_000) == set(files)
    assert ready.spread(0) == set()
    run = CliRunner().invoke(
        main,
        ["index", "--embeddings", str(shards.folder), "--sample", "100", "--catalog", str(tmp_path / "c.simkin")],
    )
    assert run.exit_code == 3, run.output  # some of the files failed when they were described
    assert ids_in(tmp_path / "c.simkin") == ready.spread(100) - {"nothing"}
    assert ids_in(tmp_path / "c.simkin") < set(shards.ids)
    told = CliRunner().invoke(main, ["info", "--catalog", str(tmp_path / "c.simkin")])
    assert f"{shards.folder} (embeddings, a part of them)" in told.stdout


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("/data/shoes/17.jpg", {"shoes/17.jpg"}),
        ("shoes/17", {"shoes/17.jpg"}),
        ("C:\\data\\shoes\\17.png", {"shoes/17.jpg"}),
        ("17.jpg", {"shoes/17.jpg", "hats/17.jpg"}),
        ("bags/17.jpg", set()),
        ("7.jpg", set()),
    ],
)
def test_names_that_may_be_files(tmp_path: Path, name: str, found: set[str]) -> None:
    """What resolving would look at is taken, so that it finds the same, or finds it is not sure."""
    ready = SimpleNamespace(folder=tmp_path, ids=lambda: iter(["shoes/17.jpg", "hats/17.jpg", "18"]))
    assert pick_named(ready, [Edge("18", name)]) == found | {"18"}


def test_only_these_are_read(shards: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards in which nobody is named are not even hashed."""
    hashed: list[Path] = []
    whole = ready_made.sha256_of
    monkeypatch.setattr(ready_made, "sha256_of", lambda path: hashed.append(path) or whole(path))
    ready = ReadyMade.open(shards.folder)
    read = list(ready.items({"ware 0000", "ware 0001"}))
    assert [(item.entry.item_id, item.entry.position) for item in read] == [
        ("ware 0000", 0), ("ware 0000", 1), ("ware 0000", 2), ("ware 0001", 0),
    ]  # fmt: skip
    assert read == [item for item in ready.items() if item.entry.item_id in ("ware 0000", "ware 0001")]
    assert len(hashed) == 1 + len(ready.shards("image"))


def test_shards_of_more_rows_than_are_read_at_once(make_catalog: Callable[[], Any], tmp_path: Path) -> None:
    """Nobody is wanted of some of the rows read at once."""
    card = make_catalog().card
    rows = [Row(f"{at:05d}", 0, f"/{at}.jpg", "{}", "{}", b"\1" * 4 * card.dim) for at in range(9000)]
    shard = write_shard(tmp_path / card.name / shard_name(0), card.name, card, rows)
    Manifest(["/"], {card.name: EncoderShards(card.name, card, {shard_name(0): shard})}).save(tmp_path)
    ready = ReadyMade.open(tmp_path)
    for name in ("00001", "08999"):
        (item,) = ready.items({name})
        assert (item.entry.item_id, len(item.vectors[0][1])) == (name, 4 * card.dim)
    assert list(ready.items({"none"})) == []


def test_what_was_chosen_is_known_before_it_is_stored(shards: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """A run that is killed at once is gone on with by looking at the sources again."""
    monkeypatch.setattr("index.ingesting.ingest._store_ready_made", lambda *_: 1 / 0)
    options = IndexOptions(embeddings=(shards.folder,), only=frozenset(["ware 0001", "ware 0002"]))
    with Catalog.create(tmp_path / "c.simkin") as catalog:
        with pytest.raises(ZeroDivisionError):
            ingest(catalog, (), options)
        monkeypatch.undo()
        assert ingest(catalog, (), IndexOptions()).items == 2
        assert ids_in(catalog) == options.only


def test_a_part_stays_a_part_until_all_is_asked_for(shards: Any, tmp_path: Path) -> None:
    """Later edges add to it; looking at the sources again, a database that was salvaged, and a whole taken in."""
    first = write_pairs(tmp_path / "a.csv", [("ware 0001", "ware 0002")])
    second = write_pairs(tmp_path / "b.csv", [("ware 0002", "ware 0500"), ("nothing", "ware 0002")])
    options = LearnOptions("goes-with")
    with Catalog.create(tmp_path / "c.simkin") as catalog:
        named, report = take_named(catalog, shards.folder, first, options, 0)
        assert (named, report.added, report.items) == (2, 2, 2)
        _, report = take_named(catalog, shards.folder, second, options, 0)
        assert (report.added, report.unchanged, report.removed, report.failed) == (2, 2, 0, 1)
        report = ingest(catalog, (), IndexOptions())
        assert (report.unchanged, report.added, report.removed, report.items) == (4, 0, 0, 3)
    salvage(tmp_path / "c.simkin")
    with Catalog.open(tmp_path / "c.simkin") as catalog:
        assert ingest(catalog, (), IndexOptions()).items == 3
        assert ingest(catalog, (), IndexOptions(embeddings=(shards.folder,))).items == COUNT
        take_named(catalog, shards.folder, first, options, 0)
        assert ingest(catalog, (), IndexOptions()).items == COUNT
    with Catalog.create(tmp_path / "d.simkin") as catalog, pytest.raises(InputError, match=r"none of the items.*'x'"):
        take_named(catalog, shards.folder, write_pairs(tmp_path / "x.csv", [("x", "y")]), options)


def test_a_shard_that_is_gone_or_damaged_is_named(shards: Any, tmp_path: Path) -> None:
    """By whoever reads ids."""
    copy = tmp_path / "copy"
    shutil.copytree(shards.folder, copy)
    one = sorted(copy.rglob("shard-*.parquet"))[1]
    one.write_bytes(one.read_bytes()[:100])
    with pytest.raises(InputError, match=f"{one.name} is missing or not what was written"):
        list(ReadyMade.open(copy).ids())
    one.unlink()
    with pytest.raises(InputError, match=f"{one.name} is missing or not what was written"):
        list(ReadyMade.open(copy).ids())


def test_learn_from_shards_and_answer_everybody_in_them(shards: Any, tmp_path: Path) -> None:
    """By commands: no catalog is there before; what was learned of a half answers for all of them."""
    pairs = write_pairs(tmp_path / "pairs.csv", shards.edges)
    catalog = tmp_path / "shop.simkin"
    run = CliRunner().invoke(
        main,
        ["learn", str(pairs), "--relation", "goes-with", "--embeddings", str(shards.folder), "--others", "50",
         "--catalog", str(catalog), "--rule", "any", "--json", "--force"],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert f"edges name {len(shards.linked)} items of it" in run.stderr
    told = json.loads(run.stdout)
    assert told["saved"]
    assert told["edges"] > 1000
    held = ids_in(catalog)
    assert shards.linked < held
    assert len(held) < len(shards.linked) + 60
    run = CliRunner().invoke(
        main,
        ["query", "--all", "--embeddings", str(shards.folder), "--relation", "goes-with", "-k", "5",
         "--out", str(tmp_path / "out"), "--catalog", str(catalog), "--json"],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout.splitlines()[-1])["items"] == COUNT


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["learn", "--relation", "style", "--embeddings", "out"], "name a file of them"),
        (["learn", "--relation", "style", "pairs.csv", "--others", "5"], "needs --embeddings"),
        (["index", "photos", "--sample", "5"], "files are indexed as a whole"),
    ],
)
def test_options_that_make_no_sense_together(arguments: list[str], told: str) -> None:
    """Said before anything is made."""
    run = CliRunner().invoke(main, arguments)
    assert run.exit_code == 2
    assert told in run.stderr
