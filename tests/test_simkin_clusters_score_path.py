"""The verbs clusters, score, path and map: stable JSON keys, readable lines, one-line errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from simkin.cli import main

ITEMS = ["item-0-00001", "item-0-00005", "item-0-00017"]


@pytest.fixture(scope="module")
def ask(make_catalog: Callable[[], Any]) -> Callable[..., Result]:
    """Run a verb on a catalog of 60 pictures."""
    made = make_catalog()
    made.fill(60)
    made.build()
    return lambda *words: CliRunner().invoke(main, [*map(str, words), "--catalog", str(made.folder)])


def test_clusters_are_one_object_a_line(ask: Callable[..., Result]) -> None:
    """Largest first, and the same when asked again."""
    done = ask("clusters", "--relation", "style", "-n", 4, "--central", 3, "--json")
    assert done.exit_code == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(each) for each in found] == [["cluster", "relation", "size", "share", "central", "categories"]] * 4
    assert [each["cluster"] for each in found] == [1, 2, 3, 4]
    assert sum(each["size"] for each in found) == 60
    assert sorted((each["size"] for each in found), reverse=True) == [each["size"] for each in found]
    assert ask("clusters", "--relation", "style", "-n", 4, "--central", 3, "--json").stdout == done.stdout
    told = ask("clusters", "--relation", "style", "-n", 4, "--where", "price<30").stdout
    assert told.startswith("30 image items · style · 4 clusters")
    assert "kind-" in told


def test_score_tells_pairs_the_weakest_and_what_goes_better(ask: Callable[..., Result]) -> None:
    """For programs and for people, and which measure it is."""
    done = ask("score", *ITEMS, "--relation", "similar", "--suggest", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["relation", "measure", "score", "pairs", "items", "weakest", "suggestion"]
    assert found["measure"] == "score"
    assert len(found["pairs"]) == 3
    assert found["suggestion"]["replaces"] == found["weakest"]
    assert found["suggestion"]["score"] > found["score"]
    told = ask("score", *ITEMS, "--relation", "similar", "--suggest").stdout
    assert "mean score of 3 pairs · similar" in told
    assert f"weakest: {found['weakest']}" in told
    assert f"better: {found['suggestion']['id']} in its place" in told
    assert json.loads(ask("score", *ITEMS, "--json").stdout)["suggestion"] is None


def test_path_walks_with_as_many_items_as_asked(ask: Callable[..., Result]) -> None:
    """Both ends besides; the first has no score."""
    done = ask("path", ITEMS[0], ITEMS[1], "--relation", "similar", "--steps", 8, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["relation", "steps", "lowest", "direct"]
    assert len(found["steps"]) == 10
    assert [found["steps"][0], found["steps"][-1]["id"]] == [{"id": ITEMS[0], "score": None}, ITEMS[1]]
    assert found["lowest"] == min(step["score"] for step in found["steps"][1:])
    told = ask("path", ITEMS[0], ITEMS[1], "--steps", 8).stdout.splitlines()
    assert told[0].startswith("similar · 8 items between")
    assert len(told) == 11
    assert "kind-" in told[1]


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["clusters", "-n", "61"], 1, "ask for at most 60"),
        (["clusters", "--where", "prise<3"], 1, "did you mean 'price'"),
        (["score", ITEMS[0]], 2, "name at least two items"),
        (["score", ITEMS[0], ITEMS[0]], 1, "named twice"),
        (["score", *ITEMS, "--relation", "styl"], 1, "did you mean 'style'"),
        (["path", ITEMS[0], ITEMS[0]], 1, "named twice"),
        (["path", ITEMS[0], "item-0-0005"], 1, "did you mean"),
        (["path", ITEMS[0], ITEMS[1], "--relation", "similar-track"], 1, "no audio item"),
    ],
)
def test_errors_are_one_line(ask: Callable[..., Result], words: list[str], status: int, told: str) -> None:
    """Nothing on stdout, and the status that was promised."""
    done = ask(*words)
    assert done.exit_code == status
    assert told in done.stderr
    assert not done.stdout


def test_map_writes_what_the_ending_says(ask: Callable[..., Result], tmp_path: Path) -> None:
    """And tells what it drew; another ending is wrong usage."""
    done = ask("map", "--relation", "style", "--method", "pca", "--clusters", 3, "--out", tmp_path / "m.json", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert list(told) == ["relation", "modality", "method", "items", "fitted_on", "clusters", "out"]
    assert (told["items"], told["method"], sum(each["size"] for each in told["clusters"])) == (60, "pca", 60)
    assert json.loads((tmp_path / "m.json").read_text())["count"] == 60
    done = ask("map", "--method", "pca", "--where", "price<30", "--out", tmp_path / "m.html")
    assert done.stdout == f"30 image items · similar · pca · 6 clusters → {tmp_path / 'm.html'}\n"
    assert ask("map", "--out", tmp_path / "m.gif").exit_code == 2
    assert "cannot write" in ask("map", "--method", "pca", "--out", tmp_path / "none" / "m.png").stderr
