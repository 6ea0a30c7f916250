"""Learning a relation from a file of edges: judged, saved if it wins, asked like any other."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.errors import InputError
from index.learning.dataset import dataset_of
from index.learning.edge_store import read_edges_of
from index.learning.fitting import METHODS, Task
from index.learning.learn import LearnOptions, LearnReport, forget, head_of_maps, learn
from index.learning.measure import MeasureOptions, measure

ITEMS = 600


@pytest.fixture(scope="module")
def styled(tmp_path_factory: pytest.TempPathFactory, make_catalog: Callable[[], Any]) -> Any:
    """A catalog in ten categories, whose items go with those of other categories that are near in colour alone.

    The plain style relation looks at surface and form as well, which here say nothing.
    """
    made = make_catalog()
    vectors, clusters = made.points(ITEMS, seed=1)
    colour = next(facet for facet in made.card.facets if facet.name == "color")
    rng = np.random.default_rng(2)
    style = rng.normal(size=(ITEMS, 3))
    seen = style @ rng.normal(size=(3, colour.dim)) + 0.3 * rng.normal(size=(ITEMS, colour.dim))
    vectors[:, colour.start : colour.stop] = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    ids = [f"item-{row:04d}" for row in range(ITEMS)]
    categories = clusters % 10
    made.add(ids, vectors, [f"kind-{kind}" for kind in categories])
    made.build()
    apart = np.linalg.norm(style[:, None] - style[None], axis=2)
    apart[categories[:, None] == categories[None]] = np.inf
    edges = {
        (ids[row], ids[other]) for row in range(ITEMS) for other in np.argsort(apart[row])[:14].tolist() if row != other
    }
    made.edges = tmp_path_factory.mktemp("edges") / "pairs.csv"
    with made.edges.open("w", newline="") as file:
        csv.writer(file).writerows([("source", "target"), *sorted(edges)])
    made.apart, made.ids = apart, ids
    return made


@pytest.fixture(scope="module")
def learned(styled: Any) -> LearnReport:
    """Learned once, under a name of its own."""
    return learn(styled.catalog, styled.edges, LearnOptions("goes-with", ranks=(10,)))


@pytest.mark.slow
def test_it_wins_and_answers_better_than_before(styled: Any, learned: LearnReport) -> None:
    """The answers are nearer in style than those of the plain neighbour; the rule follows the edges."""
    assert learned.saved
    assert not learned.forced
    assert learned.rule == "other category"
    assert learned.gate.decision == "passed", learned.gate.table()
    recommender = styled.open()
    ranks: dict[str, list[float]] = {"goes-with": [], "style": []}
    for row in range(0, ITEMS, 20):
        order = np.argsort(np.argsort(styled.apart[row]))
        for relation, found in ranks.items():
            hits = recommender.query(styled.ids[row], relation=relation, k=10).hits
            found += [float(order[styled.ids.index(hit.item_id)]) for hit in hits]
    assert np.mean(ranks["goes-with"]) < 0.8 * np.mean(ranks["style"])  # which weighs colour, too
    (hit, *_) = recommender.query(styled.ids[0], relation="goes-with", k=1).hits
    assert max(hit.facets, key=hit.facets.__getitem__) == "color"
    assert 0.5 < hit.score <= 1


@pytest.mark.slow
def test_it_is_learned_anew_from_the_edges_that_are_kept(styled: Any, learned: LearnReport) -> None:
    """The same edges and seed give the same relation; the report is kept with it."""
    digest = styled.catalog.relation("goes-with").head
    again = learn(styled.catalog, None, LearnOptions("goes-with", ranks=(10,)))
    assert (again.edges, again.read) == (learned.edges, None)
    assert styled.catalog.relation("goes-with").head == digest
    (report,) = styled.catalog.connection.execute("SELECT report FROM learned WHERE name='goes-with'").fetchone()
    assert json.loads(report)["gate"]["decision"] == "passed"
    with pytest.raises(InputError, match="keeps no edges of 'style'"):
        learn(styled.catalog, None, LearnOptions("style"))


@pytest.mark.slow
def test_measured_beside_the_baselines(styled: Any, learned: LearnReport, tmp_path: Path) -> None:
    """Edges that it was learned from do not count; labels do."""
    with pytest.raises(InputError, match="learned from every edge"):
        measure(styled.catalog, MeasureOptions("goes-with", edges=styled.edges))
    found = measure(styled.catalog, MeasureOptions("goes-with", label="category"))
    names = [one.name for one in found.contenders]
    assert names[0] == "goes-with"
    assert {"random", "raw cosine"} <= set(names)
    vectors = np.random.default_rng(0).normal(size=(ITEMS, 8)).astype("f4")
    np.save(tmp_path / "mine.npy", vectors)
    (tmp_path / "mine.txt").write_text("\n".join(styled.ids) + "\n")
    options = MeasureOptions("similar", label="category", vectors=tmp_path / "mine.npy")
    by_name = {one.name: one.metrics["precision@10"].value for one in measure(styled.catalog, options).contenders}
    assert by_name["mine.npy"] == pytest.approx(by_name["random"], abs=0.03)
    assert by_name["similar, unlearned"] > by_name["mine.npy"] + 0.1


@pytest.mark.slow
def test_edges_that_say_nothing_do_not_pass(styled: Any, tmp_path: Path) -> None:
    """Nothing is saved unless it is forced, and then that is recorded."""
    rng = np.random.default_rng(3)
    pairs = tmp_path / "noise.csv"
    drawn = rng.integers(0, ITEMS, (2500, 2)).tolist()
    pairs.write_text("source,target\n" + "".join(f"{styled.ids[a]},{styled.ids[b]}\n" for a, b in drawn))
    report = learn(styled.catalog, pairs, LearnOptions("noise", ranks=(10,)))
    assert not report.saved
    assert report.gate.decision == "refused"
    assert "noise" not in styled.catalog.relations()
    assert learn(styled.catalog, pairs, LearnOptions("noise", ranks=(10,), force=True)).forced
    assert "noise" in styled.catalog.relations()
    forget(styled.catalog, "noise")
    assert "noise" not in styled.catalog.relations()
    with pytest.raises(InputError, match="no relation named 'noise'"):
        forget(styled.catalog, "noise")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["triplets", "regression", "neighbours", "asymmetric"])
def test_other_methods_answer_better_than_chance(styled: Any, learned: LearnReport, method: str) -> None:
    """Each gives maps whose probabilities part links from other pairs."""
    data = dataset_of(styled.catalog, read_edges_of(styled.catalog.connection, "goes-with"))
    pairs = data.edges.pairs
    weights = np.ones(len(pairs) // 2, np.float32)
    task = Task(data.rows, pairs[::2][: len(weights)], weights, None, data.categories, (10,), (2e-5,), 0)
    maps = METHODS[method](task)
    held = pairs[1::2]
    rng = np.random.default_rng(0)
    others = np.column_stack([held[:, 0], rng.integers(0, ITEMS, len(held))])
    head = head_of_maps(data, maps)
    rows = head.rows_of(data.rows)
    asked, answers = head.asked(rows), rows[:, : head.rank]
    apart = [np.square(asked[some[:, 0]] - answers[some[:, 1]]).sum(axis=1) for some in (held, others)]
    assert np.mean(apart[0] < maps.shift) > 0.6
    assert np.mean(apart[1] < maps.shift) < np.mean(apart[0] < maps.shift) - 0.15
    assert np.mean(apart[0] < apart[1]) > 0.7


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("source,target\nnobody,nothing\n", "nobody"),
        ("source,target\nitem-0000,item-0000\n", "item"),
        ("from,to\nitem-0000,item-0001\n", "from"),
        ("source,target\n", "holds no rows"),
        ("source,target\nitem-0000,item-0001\n", "edge"),
    ],
)
def test_edges_that_nothing_can_be_learned_from(styled: Any, tmp_path: Path, content: str, told: str) -> None:
    """One sentence each, and nothing is saved."""
    (tmp_path / "edges.csv").write_text(content)
    with pytest.raises(InputError, match=told):
        learn(styled.catalog, tmp_path / "edges.csv", LearnOptions("few"))
    assert "few" not in styled.catalog.relations()


@pytest.mark.parametrize("name", ["similar", "Similar", "a/b", "", "a" * 65, "-x"])
def test_names_that_cannot_be_learned(styled: Any, name: str) -> None:
    """The plain neighbour stays, and names are names of folders."""
    with pytest.raises(InputError, match="cannot be learned"):
        learn(styled.catalog, styled.edges, LearnOptions(name))
