"""Personal weights: kept if they help, and answers in the order of one person's own link probabilities."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.answers import Query
from index.engine.head import Head, expected_parts
from index.errors import InputError, UnknownNameError
from index.learned import hold_relation
from index.learning.learn import LearnOptions, learn
from index.relations import Relation

RANK, PEOPLE = 5, ("ann", "ben", "cleo")


@pytest.fixture(scope="module")
def made(make_catalog: Callable[[], Any]) -> Any:
    """A catalog with a made-up relation in which three people have weights."""
    made = make_catalog()
    made.fill(300)
    made.build()
    projection = made.open().generation.spaces["image"].projection
    rng = np.random.default_rng(5)
    matrix = rng.normal(0, 0.5, (projection.dim, RANK)).astype(np.float32)
    facets = projection.project(made.points(300, seed=9)[0])
    nothing = np.zeros(RANK, np.float32)
    head = Head(projection, matrix, matrix, nothing, 2.0, nothing[:3])
    made.head = replace(head, expected=expected_parts(head, facets))
    made.weights = np.abs(rng.normal(1, 0.8, (len(PEOPLE), RANK + 1))).astype(np.float32)
    relation = Relation("goes-with", {}, "any", ("image",), "Made up.", made.head.digest)
    with made.catalog.connection:
        hold_relation(made.catalog, relation, ["builtin-image"], made.head, "{}", personal=(PEOPLE, made.weights))
    made.build()
    vectors, clusters = made.points(5, seed=6)
    made.add([f"later-{row}" for row in range(5)], vectors, [f"kind-{c % 10:02d}" for c in clusters])
    return made


def truth(made: Any, asked: str, weights: np.ndarray) -> dict[str, float]:
    """P(link | u) of every other item, from the database."""
    found = made.catalog.connection.execute(
        "SELECT i.id, v.vector FROM items i JOIN media USING (item) JOIN vectors v USING (media)"
    ).fetchall()
    ids = [name for name, _ in found]
    points = made.head.projection.project(np.stack([np.frombuffer(row[1], "<f4") for row in found])) @ made.head.source
    far = np.square(points - points[ids.index(asked)]).astype(float) @ weights[:RANK] - made.head.shift - weights[RANK]
    return {name: 1 / (1 + np.exp(odds)) for name, odds in zip(ids, far, strict=True) if name != asked}


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("asked", ["item-0-00003", "later-2"])
def test_answers_are_in_the_order_of_one_persons_probabilities(made: Any, person: str, asked: str) -> None:
    """Scores are P(link | u), items that came later among them."""
    answer = made.open().query(asked, relation="goes-with", user=person, k=30, duplicates=True)
    expected = truth(made, asked, made.weights[PEOPLE.index(person)])
    best = sorted(expected, key=expected.__getitem__, reverse=True)[:30]
    assert [hit.item_id for hit in answer.hits] == best
    assert [hit.score for hit in answer.hits] == pytest.approx([expected[name] for name in best], rel=1e-3)
    assert person in answer.notes[-1]


def test_nobody_in_particular_is_answered_as_before(made: Any) -> None:
    """Without a user the common distance orders; filters and several items go with a user, too."""
    recommender = made.open()
    common = truth(made, "item-0-00003", np.append(np.ones(RANK), 0))
    hits = recommender.query("item-0-00003", relation="goes-with", k=20, duplicates=True).hits
    assert [hit.item_id for hit in hits] == sorted(common, key=common.__getitem__, reverse=True)[:20]
    cheap = recommender.query("item-0-00003", relation="goes-with", user="ben", where="price<20", k=5)
    assert len(cheap.hits) == 5
    assert all(hit.attributes["price"] < 20 for hit in cheap.hits)
    several = recommender.query("item-0-00003", "item-0-00004", relation="goes-with", user="ben", diversity=0.3)
    assert len(several.hits) == 10


def test_unusual_closeness_is_told_by_the_persons_own_measure(made: Any) -> None:
    """``closer_than`` is the share of random pairs that are less likely for this person."""
    recommender = made.open()
    space, weights = recommender.generation.learned["goes-with"], made.weights[0]
    places = space.vectors[:, :RANK]
    squared = np.square(places[:, None] - places[None]).astype(float) @ weights[:RANK]
    scores = np.sort((1 / (1 + np.exp(squared - 2 - weights[RANK])))[np.triu_indices(300, 1)])
    for hit in recommender.query("item-0-00003", relation="goes-with", user="ann", k=200).hits[::20]:
        assert hit.closer_than == pytest.approx(np.searchsorted(scores, hit.score) / len(scores), abs=0.02)


def test_who_is_not_known_is_told(made: Any) -> None:
    """The nearest name, or what would learn weights."""
    recommender = made.open()
    with pytest.raises(UnknownNameError, match="did you mean 'cleo'"):
        recommender.query("item-0-00003", relation="goes-with", user="cleoo")
    with pytest.raises(InputError, match="simkin learn EDGES --relation similar --personal"):
        recommender.query("item-0-00003", user="ann")
    with pytest.raises(InputError, match="not both"):
        recommender.ask(Query(items=(("item-0-00003", 1.0),), relation="goes-with", user="ann", rerank="both"))


def tasteful(made: Any, path: Path, *, own: bool) -> np.ndarray:
    """Edges of thirty people, each of whom looks at two of six directions of style (everybody at all six unless
    ``own``): the style of every item."""
    rng = np.random.default_rng(2)
    facet = next(one for one in made.card.facets if one.name == "color")
    vectors, _ = made.points(500, seed=1)
    style = rng.normal(size=(500, 6))
    seen = style @ rng.normal(size=(6, facet.dim)) + 0.1 * rng.normal(size=(500, facet.dim))
    vectors[:, facet.start : facet.stop] = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    made.add([f"item-{row:03d}" for row in range(500)], vectors, [None] * 500)
    made.build()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["source", "target", "user"])
        for person in range(30):
            looks = rng.choice(6, 2, replace=False) if own else np.arange(6)
            for item in rng.choice(500, 80, replace=False):
                far = np.square(style - style[item])[:, looks].sum(axis=1)
                far[item] = np.inf
                writer.writerow([f"item-{item:03d}", f"item-{int(np.argmin(far)):03d}", f"person {person}"])
    return style


def test_personal_weights_are_learned_where_people_differ(make_catalog: Callable[[], Any], tmp_path: Path) -> None:
    """They pass their gate, and change what two people are told; learned anew without, they are gone."""
    made = make_catalog()
    tasteful(made, tmp_path / "edges.csv", own=True)
    catalog = made.open().catalog
    report = learn(catalog, tmp_path / "edges.csv", LearnOptions("taste", personal=True, force=True, ranks=(10,)))
    assert report.people is not None
    assert report.people.kept
    assert report.people.people == 30
    assert report.people.gain.low > 0
    assert report.people.personal.value > report.people.common.value
    recommender = made.open()
    told = {
        user: [hit.item_id for hit in recommender.query("item-003", relation="taste", user=user).hits]
        for user in ("person 1", "person 2")
    }
    assert told["person 1"] != told["person 2"]
    learn(catalog, None, LearnOptions("taste", force=True, ranks=(10,)))
    with pytest.raises(InputError, match="--personal"):
        made.open().query("item-003", relation="taste", user="person 1")


def test_weights_that_do_not_help_are_not_kept(make_catalog: Callable[[], Any], tmp_path: Path) -> None:
    """People of one taste: the plain head is saved, and the report says so; edges without people are refused."""
    made = make_catalog()
    tasteful(made, tmp_path / "edges.csv", own=False)
    catalog = made.open().catalog
    report = learn(catalog, tmp_path / "edges.csv", LearnOptions("taste", personal=True, force=True, ranks=(10,)))
    assert report.people is not None
    assert not report.people.kept
    assert report.saved
    assert "not saved" in report.people.sentence
    assert not catalog.connection.execute("SELECT count(*) FROM personal").fetchone()[0]
    rows = (tmp_path / "edges.csv").read_text().splitlines()
    (tmp_path / "plain.csv").write_text("\n".join(row.rsplit(",", 1)[0] for row in rows))
    with pytest.raises(InputError, match="column 'user'"):
        learn(catalog, tmp_path / "plain.csv", LearnOptions("other", personal=True))
    with pytest.raises(InputError, match="low-rank"):
        learn(catalog, tmp_path / "edges.csv", LearnOptions("other", method="asymmetric", personal=True))


def test_a_user_is_named_on_the_command_line(made: Any) -> None:
    """``--user`` orders by that person's probabilities."""
    command = [sys.executable, "-m", "simkin", "query", "item-0-00003", "--relation", "goes-with", "--json"]
    command += ["--catalog", str(made.folder), "--user"]
    done = subprocess.run([*command, "ann"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    hits = json.loads(done.stdout)["hits"]
    assert [hit["id"] for hit in hits] == [
        hit.item_id for hit in made.open().query("item-0-00003", relation="goes-with", user="ann").hits
    ]
    assert subprocess.run([*command, "an"], capture_output=True, text=True, check=False).returncode == 1
