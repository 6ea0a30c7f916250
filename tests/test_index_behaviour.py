"""Known items are served by their own behaviour, new ones by what their content predicts."""

from __future__ import annotations

import csv
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.catalog import Catalog
from index.encoders import load_encoder
from index.engine.build import raw_vectors
from index.engine.head import BEHAVIOUR, Head, expected_parts
from index.engine.sphere import Sphere
from index.errors import NotACatalogError, StaleIndexError
from index.learned import Behaviour, head_of, hold_relation
from index.learning import learn as learning
from index.learning.edge_store import read_edges_of
from index.learning.fitting import METHODS, Task
from index.learning.learn import LearnOptions, forget, learn
from index.learning.targets import Known, cooccurrence
from index.relations import Relation
from index.schema import BEHAVIOUR as BEHAVIOUR_TABLE
from index.schema import FORMAT_VERSION

RANK = 6


@pytest.fixture
def made(make_catalog: Callable[[], Any]) -> Any:
    """A catalog whose relation ``goes-with`` knows the behaviour of every other item."""
    made = make_catalog()
    made.fill(200)
    made.build()
    projection = made.open().generation.spaces["image"].projection
    rng = np.random.default_rng(3)
    matrix = rng.normal(0, 0.5, (projection.dim, RANK)).astype(np.float32)
    facets = projection.project(made.points(300, seed=9)[0])
    parts = np.zeros(len(projection.parts), np.float32)
    nowhere = np.zeros(RANK, np.float32)
    sphere = Sphere(facets.mean(axis=0), 1.5)
    made.head = Head(projection, matrix, matrix, nowhere, 2.0, parts, sphere)
    made.head = replace(made.head, expected=expected_parts(made.head, facets))
    made.ids = [item_id for (item_id,) in made.catalog.connection.execute("SELECT id FROM items ORDER BY id")]
    made.known = made.ids[::2]
    made.places = sphere.on(rng.normal(size=(len(made.known), RANK)).astype(np.float32))
    hold(made, made.head, made.known, made.places)
    made.build()
    return made


def hold(made: Any, head: Head, known: list[str], places: np.ndarray) -> None:
    """Keep the relation with the behaviour of some items."""
    relation = Relation("goes-with", {}, "any", ("image",), "Made up.", head.digest)
    behaviour = Behaviour(np.array(made.catalog.keys_of(known)), places)
    with made.catalog.connection:
        hold_relation(made.catalog, relation, ["builtin-image"], head, "{}", behaviour)


def truth(made: Any, extra: np.ndarray | None = None) -> np.ndarray:
    """Where every item stands, from the definition: float64, one row for each of ``ids``, then of ``extra``."""
    found = dict(
        made.catalog.connection.execute(
            "SELECT i.id, v.vector FROM items i JOIN media USING (item) JOIN vectors v USING (media)"
        ).fetchall()
    )
    raw = np.stack([np.frombuffer(found[one], "<f4") for one in made.ids])
    raw = raw if extra is None else np.vstack([raw, extra])
    points = (made.head.projection.project(raw).astype(float) - made.head.sphere.mean) @ made.head.target
    places = 1.5 * points / np.linalg.norm(points, axis=1, keepdims=True)
    for item_id, place in zip(made.known, made.places, strict=True):
        if item_id in made.ids:
            places[made.ids.index(item_id)] = place
    return np.asarray(places)


def check_answers(made: Any, asked: str, places: np.ndarray) -> None:
    """The answers are those nearest on the sphere, with their probabilities."""
    at = made.ids.index(asked)
    probable = 1 / (1 + np.exp(((places - places[at]) ** 2).sum(axis=1) - 2.0))
    probable[at] = -1
    best = np.argsort(-probable)[:8]
    hits = made.open().query(asked, relation="goes-with", k=8, duplicates=True).hits
    assert [hit.item_id for hit in hits] == [made.ids[other] for other in best]
    np.testing.assert_allclose([hit.score for hit in hits], probable[best], rtol=1e-3)


@pytest.mark.parametrize("at", [0, 17, 100, 123])
def test_each_is_where_its_behaviour_or_else_its_content_puts_it(made: Any, at: int) -> None:
    """Known and new items are asked about, and answer, side by side."""
    check_answers(made, made.ids[at], truth(made))


def test_a_file_that_changed_keeps_its_behaviour_and_a_new_item_is_predicted(made: Any) -> None:
    """In the delta as in the next generation."""
    changed, new = [made.ids[0], made.ids[1]], ["new-0"]
    made.add([*changed, *new], made.points(3, seed=77)[0], ["kind-00"] * 3)
    made.ids = sorted([*made.ids, *new])
    places = truth(made)
    assert len(made.open()._deltas) == 0
    for built in (False, True):
        if built:
            made.build()
        for asked in (*changed, *new, made.ids[40]):
            check_answers(made, asked, places)


def test_a_file_from_outside_is_predicted(made: Any, picture: Callable[..., Path], tmp_path: Path) -> None:
    """Nobody has used it yet."""
    file = picture(tmp_path / "outside.png", 5)
    place = truth(made, load_encoder("builtin-image").describe(file)[None])[-1]
    probable = 1 / (1 + np.exp(((truth(made) - place) ** 2).sum(axis=1) - 2.0))
    hits = made.open().query(file, relation="goes-with", k=5, duplicates=True).hits
    assert [hit.item_id for hit in hits] == [made.ids[other] for other in np.argsort(-probable)[:5]]
    several = made.open().query(file, made.ids[0], relation="goes-with", k=5, negatives=[made.ids[3]]).hits
    assert len(several) == 5
    assert all(0 < hit.score < 1 for hit in several)


def test_behaviour_goes_with_its_item_and_its_relation(made: Any) -> None:
    """Removed items leave none behind, nor does a relation that is forgotten or learned anew."""
    count = "SELECT count(*) FROM behaviour"
    sql = made.catalog.connection
    assert sql.execute(count).fetchone() == (100,)
    made.remove(made.known[:3])
    assert sql.execute(count).fetchone() == (97,)
    hold(made, replace(made.head, shift=1.0), made.known[3:5], made.places[:2])
    assert sql.execute(count).fetchone() == (2,)
    forget(made.catalog, "goes-with")
    assert sql.execute(count).fetchone() == (0,)


def test_learning_anew_replaces_all_or_nothing(made: Any) -> None:
    """A failure half-way leaves the relation with the behaviour that it had."""
    before = made.catalog.connection.execute("SELECT * FROM behaviour ORDER BY item").fetchall()
    twice = [made.known[4], made.known[4]]
    with pytest.raises(sqlite3.IntegrityError):
        hold(made, replace(made.head, shift=1.0), twice, made.places[:2])
    assert made.catalog.connection.execute("SELECT * FROM behaviour ORDER BY item").fetchall() == before
    assert head_of(made.catalog, "goes-with")[1].digest == made.head.digest
    check_answers(made, made.ids[2], truth(made))


def test_readers_of_the_old_generation_never_mix_two_fits(made: Any) -> None:
    """Behaviour of another head, even of other dimensions, is not put into its rows."""
    reader = made.open()
    reader.query(made.ids[0], relation="goes-with")
    half = made.head.target[:, :3]
    other = replace(made.head, source=half, target=half, offset=np.zeros(3, np.float32))
    hold(made, other, made.known, made.places[:, :3])
    made.add([made.ids[0]], made.points(1, seed=5)[0], ["kind-00"])
    for asking in (reader, made.open()):
        with pytest.raises(StaleIndexError, match="learned or forgotten a moment ago"):
            asking.query(made.ids[0], relation="goes-with")
        assert asking.query(made.ids[0]).hits, "the others answer"
    made.build()
    assert reader.query(made.ids[0], relation="goes-with").hits


def test_shares_name_behaviour_where_it_says_more_than_content(made: Any) -> None:
    """Between new items it says nothing; shares sum to one."""
    recommender, new = made.open(), set(made.ids) - set(made.known)
    for asked in (made.ids[0], made.ids[1]):
        hits = recommender.query(asked, relation="goes-with", k=150, duplicates=True).hits
        places = dict(zip(made.ids, truth(made), strict=True))
        content = made.head.rows_of(facets_of(made))[:, :RANK].astype(float)
        predicted = dict(zip(made.ids, content, strict=True))
        assert {BEHAVIOUR, "shape", "color", "texture"} == set(hits[0].facets)
        told = 0
        for hit in hits:
            assert sum(hit.facets.values()) == pytest.approx(1, abs=1e-3) or not any(hit.facets.values())
            by_content = ((predicted[asked] - predicted[hit.item_id]) ** 2).sum()
            closer = by_content - ((places[asked] - places[hit.item_id]) ** 2).sum()
            assert (hit.facets[BEHAVIOUR] > 0) == (closer > 1e-3), (hit, closer)
            told += hit.facets[BEHAVIOUR] > 0
            if asked in new and hit.item_id in new:
                assert hit.facets[BEHAVIOUR] == 0
        assert told > 20


def facets_of(made: Any) -> np.ndarray:
    """Projected facets of all items, in the order of their ids."""
    keys = made.catalog.keys_of(made.ids)
    return np.asarray(made.head.projection.project(raw_vectors(made.catalog, keys, made.catalog.encoders().values())))


def test_a_catalog_of_the_format_before_is_brought_to_this_one(made: Any, tmp_path: Path) -> None:
    """It is opened as it is, and learns like any other."""
    shutil.copytree(made.folder, tmp_path / "old")
    with sqlite3.connect(tmp_path / "old" / "catalog.db") as sql:
        sql.execute("DROP TABLE behaviour")
        sql.execute("DROP TABLE personal")
        sql.execute("DELETE FROM learned")
        sql.execute("UPDATE settings SET value='2' WHERE key='format_version'")
    sql.close()
    with Catalog.open(tmp_path / "old") as old:
        assert old.setting("format_version") == "4"
        made.catalog = old
        hold(made, made.head, made.known, made.places)
        assert old.connection.execute("SELECT count(*) FROM behaviour").fetchone() == (100,)
        (text,) = old.connection.execute("SELECT sql FROM sqlite_master WHERE name='behaviour'").fetchone()
        assert text in BEHAVIOUR_TABLE


def test_a_catalog_of_the_format_before_that_cannot_be_written_says_so(
    made: Any, tmp_path: Path, as_nobody: Callable[[Path, Callable[[], Any]], Any]
) -> None:
    """Whoever may write opens it once."""
    folder = tmp_path / "old"
    shutil.copytree(made.folder, folder)
    with sqlite3.connect(folder / "catalog.db") as sql:
        sql.execute("DROP TABLE behaviour")
        sql.execute("UPDATE settings SET value='2' WHERE key='format_version'")
    sql.execute("PRAGMA journal_mode=DELETE")
    sql.close()
    for path in folder.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o555)

    def told() -> str:
        try:
            Catalog.open(folder)
        except NotACatalogError as error:
            return str(error)
        return "opened"

    assert f"must be brought to format {FORMAT_VERSION}, but it is read-only" in as_nobody(folder, told)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory, make_catalog: Callable[[], Any]) -> Any:
    """A catalog of 400 items and sessions over three quarters of them, which follow what one facet shows."""
    made = make_catalog()
    vectors, clusters = made.points(400, seed=1)
    colour = next(facet for facet in made.card.facets if facet.name == "color")
    rng = np.random.default_rng(2)
    taste = rng.normal(size=(400, 4))
    seen = taste @ rng.normal(size=(4, colour.dim)) + 0.5 * rng.normal(size=(400, colour.dim))
    vectors[:, colour.start : colour.stop] = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    made.ids = [f"item-{row:04d}" for row in range(400)]
    made.add(made.ids, vectors, [f"kind-{kind}" for kind in clusters % 4])
    made.build()
    made.used = 300
    made.groups = []
    for _ in range(500):
        odds = 4 * taste[: made.used] @ rng.normal(size=4) + rng.gumbel(size=made.used)
        made.groups.append(np.argsort(-odds)[:8].tolist())
    made.taste = taste
    made.file = tmp_path_factory.mktemp("sessions") / "sessions.csv"
    with made.file.open("w", newline="") as file:
        rows = [(group, made.ids[item]) for group, items in enumerate(made.groups) for item in items]
        csv.writer(file).writerows([("group", "item"), *rows])
    return made


def test_what_is_judged_has_not_seen_what_it_is_judged_by(sessions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behaviour vectors are made of training links alone; those of the cold split's items, of none."""
    seen: list[tuple[np.ndarray, Known]] = []
    splits: list[Any] = []

    def spying(pairs: np.ndarray, weights: np.ndarray, rank: int, seed: int) -> Known:
        seen.append((pairs, cooccurrence(pairs, weights, rank, seed)))
        return seen[-1][1]

    def judge(warm: Any, cold: Any, **given: Any) -> Any:
        splits.extend([warm.split, cold.split])
        found = {trial.split.kind: trial.learned.score for trial in (warm, cold)}
        for split, (pairs, known) in zip(splits, seen, strict=False):
            ends = np.sort(pairs, axis=1)
            for held in (split.test, split.validation):
                assert not set(map(tuple, np.sort(held, axis=1).tolist())) & set(map(tuple, ends.tolist()))
            queries, targets = split.test[:, 0], split.test[:, 1]
            assert np.isin(split.test, known.rows).all() == (split.kind == "warm")
            assert np.isin(split.test, known.rows).any() == (split.kind == "warm")
            assert np.isfinite(found[split.kind](queries, targets)).all()
        return judge_as_ever(warm, cold, **given)

    judge_as_ever = learning.judge
    monkeypatch.setattr(learning, "judge", judge)
    monkeypatch.setattr(learning, "targets_of", lambda *_: spying)
    learn(sessions.catalog, sessions.file, LearnOptions("watched", method="regression", ranks=(4,)))
    assert [split.kind for split in splits] == ["warm", "cold"]
    assert len(seen) == 4  # two splits, then all links once to measure the odds and once to be served


def test_it_wins_and_answers_by_behaviour(sessions: Any) -> None:
    """Nearer in taste than the plain neighbour, for items that were used and items that never were."""
    report = learn(sessions.catalog, sessions.file, LearnOptions("goes-with", method="regression", ranks=(4, 10)))
    assert report.saved, report.gate.table()
    used = len(np.unique(read_edges_of(sessions.catalog.connection, "goes-with").pairs))
    kept = sessions.catalog.connection.execute("SELECT count(*) FROM behaviour WHERE relation='goes-with'")
    assert kept.fetchone() == (used,)
    recommender = sessions.open()
    for asked in (range(0, 300, 30), range(300, 400, 10)):
        apart: dict[str, list[float]] = {"goes-with": [], "similar": []}
        for row in asked:
            unit = sessions.taste / np.linalg.norm(sessions.taste, axis=1, keepdims=True)
            for relation, found in apart.items():
                hits = recommender.query(sessions.ids[row], relation=relation, k=10, duplicates=True).hits
                found += [float(unit[sessions.ids.index(hit.item_id)] @ unit[row]) for hit in hits]
        assert np.mean(apart["goes-with"]) > np.mean(apart["similar"]) + 0.1
    answers = [recommender.query(sessions.ids[row], relation="goes-with", k=20).hits for row in range(0, 300, 20)]
    new = np.mean([sessions.ids.index(hit.item_id) >= 300 for hits in answers for hit in hits])
    assert 0.05 < new < 0.4, "new items have about their share"


def test_vectors_that_say_little_lean_on_content(sessions: Any) -> None:
    """Of items seldom used only a trace is left in the vectors: they stand where their content points."""
    rng = np.random.default_rng(5)
    apart = np.square(sessions.taste[:, None] - sessions.taste).sum(axis=2)
    pairs = np.column_stack([np.repeat(np.arange(400), 6), np.argsort(apart, axis=1)[:, 1:7].ravel()])
    faint = np.arange(400) % 3 == 0
    vectors = np.where(faint[:, None], 0.01 * rng.normal(size=(400, 4)), sessions.taste).astype(np.float32)
    rows = np.asarray(sessions.open().generation.spaces["image"].vectors)
    ids = [item_id for (item_id,) in sessions.catalog.connection.execute("SELECT id FROM items ORDER BY category, id")]
    order = np.argsort([sessions.ids.index(item_id) for item_id in ids])
    task = Task(
        rows[order], pairs, np.ones(len(pairs), np.float32), None, None, (4,), (), 0,
        targets=lambda *_: Known(np.arange(400), vectors),
    )  # fmt: skip
    maps = METHODS["regression"](task)
    assert maps.known is not None
    assert maps.sphere is not None
    near = maps.known.vectors @ maps.known.vectors.T / maps.sphere.radius**2
    linked = near[pairs[:, 0], pairs[:, 1]]
    of_faint = faint[pairs].any(axis=1)
    assert linked[~of_faint].mean() > 0.8
    assert linked[of_faint].mean() > 0.4
