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


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["000.jpg"], 2, "Missing argument"),
        (["000.jpg", "000.jpg"], 1, "named twice"),
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
