"""The verb explain: stable JSON keys, readable lines, a picture and a page, one-line errors."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from simkin.cli import main


@pytest.fixture
def ask(tmp_path: Path, run_index: Any, pictures: Callable[..., list[Path]]) -> Callable[..., Result]:
    """Run the verb on a catalog of six pictures."""
    pictures(tmp_path / "p", 6)
    run_index(tmp_path / "c", tmp_path / "p")
    return lambda *words: CliRunner().invoke(main, ["explain", *map(str, words), "--catalog", str(tmp_path / "c")])


def test_an_explanation_is_told_and_drawn(ask: Callable[..., Result], tmp_path: Path) -> None:
    """For people on stdout, for programs as one object, as a picture and as a page."""
    told = ask("000.jpg", "001.jpg", "--relation", "style", "--out", tmp_path / "why.png")
    assert told.exit_code == 0, told.stderr
    assert told.stdout.startswith("000.jpg · 001.jpg · style")
    assert "drawn:" in told.stderr
    with Image.open(io.BytesIO((tmp_path / "why.png").read_bytes())) as drawn:
        assert drawn.format == "PNG"
        assert drawn.width > 800
    done = ask("000.jpg", "001.jpg", "--json", "--out", tmp_path / "why.html")
    found = json.loads(done.stdout)
    assert (found["a"], found["b"], found["relation"]) == ("000.jpg", "001.jpg", "similar")
    assert (tmp_path / "why.html").read_text().startswith("<!doctype html>")


def test_facets_are_weighed_as_in_the_question(ask: Callable[..., Result], tmp_path: Path) -> None:
    """The score is that of the same question; what weighs nothing has no share."""
    words = ["--facet", "shape=0", "--facet", "color=3", "--json"]
    weighed = json.loads(ask("000.jpg", "001.jpg", *words).stdout)
    assert "shape" not in weighed["facets"]
    assert "Weighed as asked: shape 0, color 3." in weighed["words"]
    catalog = ["--catalog", str(tmp_path / "c"), "--duplicates"]
    answer = json.loads(CliRunner().invoke(main, ["query", "000.jpg", *words, *catalog]).stdout)
    hit = next(hit for hit in answer["hits"] if hit["id"] == "001.jpg")
    assert weighed["score"] == pytest.approx(hit["score"], abs=1e-5)
    assert weighed["facets"] == pytest.approx(hit["facets"], abs=1e-3)
    assert weighed["closer_than"] == pytest.approx(hit["closer_than"], abs=1e-3)
    assert weighed["score"] != json.loads(ask("000.jpg", "001.jpg", "--json").stdout)["score"]


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["000.jpg"], 2, "Missing argument"),
        (["000.jpg", "000.jpg"], 1, "named twice"),
        (["000.jpg", "001.jpg", "--facet", "colour=1"], 1, "did you mean"),
        (["000.jpg", "001.jpg", "--facet", "color"], 2, "such as color=2"),
        (["000.jpg", "01.jpg"], 1, "did you mean"),
        (["000.jpg", "001.jpg", "--out", "why.pdf"], 1, "must end in .png or .html"),
        (["000.jpg", "001.jpg", "--out", "/nowhere/why.png"], 1, "cannot be written: no such file"),
    ],
)
def test_errors_are_one_line(ask: Callable[..., Result], words: list[str], status: int, told: str) -> None:
    """Nothing on stdout, and the status that was promised."""
    done = ask(*words)
    assert done.exit_code == status
    assert told in done.stderr
    assert not done.stdout
