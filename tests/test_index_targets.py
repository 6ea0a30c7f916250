"""Behaviour vectors from elsewhere: factors of groups by well-known libraries, and files of vectors."""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from index.errors import InputError, MissingExtraError, UnknownNameError
from index.learning.edges import Event
from index.learning.factors import als, bpr, item2vec
from index.learning.groups import EventLog, Groups, groups_of_pairs, without_pairs
from index.learning.learn import LearnOptions, learn
from index.learning.targets import Evidence, Known, targets_of
from index.learning.vectors_file import read_vectors_file

ITEMS, USED = 300, 240


def groups_of(sets: list[list[int]]) -> Groups:
    """Groups of row numbers, all counting 1."""
    numbers = np.repeat(np.arange(len(sets)), [len(one) for one in sets])
    return Groups(numbers, np.array(list(itertools.chain(*sets))), np.ones(len(numbers), np.float32))


def sets_of(groups: Groups) -> list[list[int]]:
    """The items of each group that is left."""
    return [groups.items[groups.groups == number].tolist() for number in np.unique(groups.groups)]


def test_events_become_groups_in_order() -> None:
    """By time, an item once with what it was worth in all; unknown items, weak events and lone items are left out."""
    log = EventLog(least=2.0)
    events = [
        Event("b", "x", 3.0, 2.0), Event("a", "y", 9.0, 5.0), Event("a", "x", 1.0, 2.0), Event("b", "?", 1.0, 2.0),
        Event("a", "x", 10.0, 3.0), Event("a", "z", 2.0, 1.0), Event("a", "w", 3.0, 2.0),
    ]  # fmt: skip
    assert list(log.keep(events, ordered=True)) == events
    groups = log.groups(lambda name: {"x": 4, "y": 2, "z": 7, "w": 0}.get(name, -1))
    assert groups is not None
    assert groups.ordered
    assert sets_of(groups) == [[4, 0, 2]]
    assert groups.values.tolist() == [5, 2, 5]
    assert EventLog().groups(lambda name: 0) is None


def test_no_held_out_pair_stands_together_any_more() -> None:
    """Against every pair of every group; what is left of a group cannot take an item back."""
    rng = np.random.default_rng(0)
    sets = [rng.permutation(40)[: rng.integers(2, 9)].tolist() for _ in range(60)]
    pairs = rng.integers(0, 40, (60, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    barred = {frozenset(pair) for pair in pairs.tolist()}
    groups = groups_of(sets)
    left = without_pairs(groups, pairs, seed=1)
    kept = dict(zip(np.unique(left.groups).tolist(), sets_of(left), strict=True))
    for number, items in enumerate(sets):
        mine = kept.get(number, [])
        assert not [pair for pair in itertools.combinations(mine, 2) if frozenset(pair) in barred]
        assert mine == [item for item in items if item in mine]
        if mine:
            for item in set(items) - set(mine):
                assert any(frozenset((item, other)) in barred for other in mine), "it was left out for nothing"
    assert sets_of(without_pairs(groups, np.zeros((0, 2), np.int64), 0)) == sets
    assert len(left.items) > 0.7 * len(groups.items)


def test_factors_are_told_nothing_of_links_that_are_held_out() -> None:
    """Groups lose held-out pairs, and items all of whose links are held out; given vectors lose these items."""
    seen: list[Groups] = []

    def model(groups: Groups, rank: int, window: int, seed: int) -> tuple[Any, Any]:
        seen.append(groups)
        rows = np.unique(groups.items)
        return rows, np.ones((len(rows), rank), np.float32)

    pairs = np.array([[0, 1], [1, 2], [2, 3], [4, 5]])
    evidence = Evidence(pairs, 8, groups_of([[0, 1, 2, 3, 7], [4, 5, 6], [3, 0, 6]]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("index.learning.targets.MODELS", {"als": model})
        known = targets_of("als", evidence)(pairs[:2], np.ones(2, np.float32), 2, 0)
    assert sets_of(seen[0])[0] == [0, 1, 2, 7]  # 3 and 4, 5 have no link left
    assert set(known.rows) == {0, 1, 2, 6, 7} & set(np.concatenate(sets_of(seen[0])))
    given = Known(np.arange(8), np.zeros((8, 2), np.float32))
    assert targets_of("mine.npy", evidence, given)(pairs[:2], np.ones(2, np.float32), 2, 0).rows.tolist() == [
        0,
        1,
        2,
        6,
        7,
    ]


def test_links_alone_make_each_item_a_group_with_its_partners() -> None:
    """Links weigh one on average."""
    found = groups_of_pairs(np.array([[0, 1], [2, 1]]), np.array([1.0, 3.0], np.float32))
    assert sets_of(found) == [[0, 1], [0, 1, 2], [1, 2]]
    assert found.values.tolist() == [1, 0.5, 0.5, 1, 1.5, 1.5, 1]


@pytest.mark.behaviour
@pytest.mark.parametrize("model", [als, bpr, item2vec])
def test_what_stands_together_lies_together(model: Any) -> None:
    """Two worlds that never meet are apart; the same seed gives the same bytes."""
    pytest.importorskip("gensim" if model is item2vec else "implicit")
    rng = np.random.default_rng(0)
    sets = [(10 + 2 * rng.permutation(12)[:5] + world).tolist() for world in (0, 1) for _ in range(150)]
    rows, vectors = model(groups_of(sets), 8, 5, 3)
    assert rows.tolist() == list(range(10, 34))
    assert (vectors.dtype, vectors.shape) == (np.float32, (24, 8))
    unit = vectors - vectors.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    same = (rows[:, None] - rows) % 2 == 0
    cosines = unit @ unit.T
    assert cosines[same & ~np.eye(24, dtype=bool)].mean() > cosines[~same].mean() + 0.2
    assert model(groups_of(sets), 8, 5, 3)[1].tobytes() == vectors.tobytes()


@pytest.mark.parametrize(("name", "library"), [("als", "implicit"), ("bpr", "implicit"), ("item2vec", "gensim")])
def test_a_library_that_is_not_there_is_named_with_its_extra(
    shop: Any, name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is saved."""
    for module in [module for module in sys.modules if module.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"{name}.*need {library}.*pip install 'simkin\[behaviour\]'"):
        learn(shop.catalog, shop.baskets, LearnOptions("lacking", method="regression", targets=name))
    assert "lacking" not in shop.catalog.relations()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, make_catalog: Callable[[], Any]) -> Any:
    """A catalog, baskets that follow a taste which the facet ``color`` shows, and vectors of that taste."""
    made = make_catalog()
    vectors, _ = made.points(ITEMS, seed=1)
    colour = next(facet for facet in made.card.facets if facet.name == "color")
    rng = np.random.default_rng(2)
    made.taste = rng.normal(size=(ITEMS, 4)).astype(np.float32)
    seen = made.taste @ rng.normal(size=(4, colour.dim)) + 0.5 * rng.normal(size=(ITEMS, colour.dim))
    vectors[:, colour.start : colour.stop] = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    made.ids = [f"item-{row:04d}" for row in range(ITEMS)]
    made.add(made.ids, vectors, [None] * ITEMS)
    made.build()
    made.folder_of_files = tmp_path_factory.mktemp("shop")
    made.baskets = made.folder_of_files / "baskets.csv"
    with made.baskets.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("group", "item"))
        for basket in range(600):
            direction = rng.normal(size=4)
            odds = 6 * made.taste[:USED] @ direction / np.linalg.norm(direction) + rng.gumbel(size=USED)
            writer.writerows((basket, made.ids[item]) for item in np.argsort(-odds)[:7])
    return made


def is_near(shop: Any, rows: range) -> float:
    """Mean cosine of the taste of answers with that of who is asked about."""
    recommender = shop.open()
    unit = shop.taste / np.linalg.norm(shop.taste, axis=1, keepdims=True)
    found = []
    for row in rows:
        hits = recommender.query(shop.ids[row], relation="taste", k=10, duplicates=True).hits
        found += [float(unit[shop.ids.index(hit.item_id)] @ unit[row]) for hit in hits]
    return float(np.mean(found))


@pytest.mark.slow
@pytest.mark.behaviour
@pytest.mark.parametrize("targets", ["als", "bpr", "item2vec"])
def test_relations_are_learned_from_factors_of_groups(shop: Any, targets: str) -> None:
    """They answer by taste, for items in baskets and for others; the same again gives the same relation."""
    pytest.importorskip("gensim" if targets == "item2vec" else "implicit")
    options = LearnOptions("taste", method="regression", targets=targets, ranks=(4, 10), force=True)
    report = learn(shop.catalog, shop.baskets, options)
    assert report.known > 150
    assert is_near(shop, range(0, 200, 20)) > 0.5
    assert is_near(shop, range(USED, ITEMS, 6)) > 0.4
    digest = shop.catalog.relation("taste").head
    learn(shop.catalog, shop.baskets, options)
    assert shop.catalog.relation("taste").head == digest


def vectors_file(shop: Any, kind: str, rows: range, vectors: np.ndarray | None = None) -> Path:
    """Taste vectors of some items, in one of the forms that are read."""
    path = Path(shop.folder_of_files / f"taste.{kind}")
    ids, values = [shop.ids[row] for row in rows], shop.taste[rows] if vectors is None else vectors
    if kind == "npz":
        np.savez(path, ids=np.array(ids), vectors=values)
    elif kind == "npy":
        np.save(path, values)
        path.with_suffix(".txt").write_text("\n".join(ids) + "\n")
    else:
        pyarrow.parquet.write_table(pyarrow.table({"id": ids, "vector": values.tolist()}), path)
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "parquet"])
def test_relations_are_learned_from_vectors_of_a_file(shop: Any, kind: str) -> None:
    """Items of the file stand where it says, even those that no edge names; the gate tells what it cannot know."""
    path = vectors_file(shop, kind, range(260))
    assert len(read_vectors_file(path)[0]) == 260
    options = LearnOptions("taste", method="regression", targets=str(path), force=True)
    report = learn(shop.catalog, shop.baskets, options)
    assert report.known == 260
    assert "may have seen the edges held out" in report.gate.notes[-1]
    assert "may have seen the edges held out" in report.gate.table()
    assert is_near(shop, range(0, 260, 26)) > 0.7
    assert is_near(shop, range(260, ITEMS, 4)) > 0.4


def test_vectors_of_unknown_items_are_counted(shop: Any, tmp_path: Path) -> None:
    """And left out."""
    path = tmp_path / "some.npz"
    np.savez(path, ids=np.array([*shop.ids[:200], "nobody", "nothing"]), vectors=np.vstack([shop.taste[:202]]))
    report = learn(
        shop.catalog, shop.baskets, LearnOptions("taste", method="regression", targets=str(path), force=True)
    )
    assert report.known == 200
    assert "2 of 202 behaviour vectors are of items that the catalog does not have" in report.gate.notes[-1]
    assert "'nobody'" in report.gate.notes[-1]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda ids, vectors: (ids, np.where(np.eye(len(ids), 4) > 0, np.nan, vectors)), "infinite or NaN, for id"),
        (lambda ids, vectors: (ids, vectors[:, 0]), "one vector of numbers for each id"),
        (lambda ids, vectors: (ids[:-1], vectors), "200 vectors for 199 ids"),
        (lambda ids, vectors: (ids[:9], vectors[:9]), "behaviour is known of"),
        (lambda ids, vectors: ([f"x{name}" for name in ids], vectors), "behaviour is known of 0 items"),
        (lambda ids, vectors: (ids, np.ones_like(vectors)), "behaviour vectors that differ"),
        (lambda ids, vectors: ([ids[0], f"far/{ids[0]}", *ids[2:]], vectors), "name the same item"),
        (lambda ids, vectors: ([], vectors[:0]), "one vector of numbers for each id"),
    ],
)
def test_vectors_that_nothing_can_be_learned_from(shop: Any, damage: Any, told: str, tmp_path: Path) -> None:
    """One sentence each, and nothing is saved."""
    ids, vectors = damage(shop.ids[:200], shop.taste[:200])
    np.savez(tmp_path / "bad.npz", ids=np.array(ids, str), vectors=vectors)
    options = LearnOptions("bad", method="regression", targets=str(tmp_path / "bad.npz"), force=True)
    with pytest.raises(InputError, match=told):
        learn(shop.catalog, shop.baskets, options)
    assert "bad" not in shop.catalog.relations()
    assert not shop.catalog.connection.execute("SELECT 1 FROM edge_relations WHERE name='bad'").fetchone()


def test_targets_that_are_none(shop: Any, tmp_path: Path) -> None:
    """Names are told apart from files before anything is read, and other methods take none."""
    for targets, told in (("item3vec", "did you mean 'item2vec'"), ("vectors.csv", "unknown targets")):
        with pytest.raises(UnknownNameError, match=told):
            learn(shop.catalog, shop.baskets, LearnOptions("bad", method="regression", targets=targets))
    with pytest.raises(InputError, match="'low-rank' takes none"):
        learn(shop.catalog, shop.baskets, LearnOptions("bad", targets="als"))
    (tmp_path / "not.npz").write_bytes(b"PK no archive")
    np.savez(tmp_path / "other.npz", names=np.arange(3))
    for name, told in (
        ("gone.npz", "does not exist"),
        ("not.npz", "not a readable archive"),
        ("other.npz", "no array 'ids'"),
    ):
        options = LearnOptions("bad", method="regression", targets=str(tmp_path / name))
        with pytest.raises(InputError, match=told):
            learn(shop.catalog, shop.baskets, options)
