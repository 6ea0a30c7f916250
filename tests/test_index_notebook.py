"""Answers in a notebook: they stand alone, and nothing in them is taken as markup."""

from __future__ import annotations

import os
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from index.answering import notebook
from index.answering.notebook import answer_html, shares_text
from index.answers import Answer, Hit, Query
from index.items import Medium

NASTY = "<script>alert('x')</script>&\"'"


def _hit(path: Path | None, item_id: str = "a", rank: int = 1) -> Hit:
    media = () if path is None else (Medium(os.fsencode(path), "image", ""),)
    return Hit(rank, item_id, 0.5, 0.9, {"color": 0.25, "shape": 0.75}, media, {})


def _answer(*hits: Hit) -> Answer:
    return Answer(Query(items=((NASTY, 1.0),), relation="similar"), "annoy", 0.991, 1, hits, (f"note {NASTY}",))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)


def _tags(text: str) -> list[str]:
    parser = _Tags()
    parser.feed(text)
    return parser.seen


@pytest.fixture
def picture(tmp_path):
    """A picture whose name is markup."""
    path = tmp_path / "<b>'x'.png"
    Image.new("RGBA", (400, 200), (10, 200, 30, 128)).save(path)
    return path


def test_names_notes_and_files_are_never_markup(picture):
    """Whatever people call their items."""
    text = _answer(_hit(picture, NASTY))._repr_html_()
    assert "<script>" not in text
    assert "<b>'x'" not in text
    assert _tags(text).count("img") == 1
    assert "script" not in _tags(text)


def test_a_picture_is_embedded_small(picture):
    """The answer needs no file and no network afterwards."""
    text = answer_html(_answer(_hit(picture)))
    assert "src='data:image/jpeg;base64," in text
    assert len(text) < 20_000
    assert "0.991" in text


def test_a_sound_is_a_player_unless_it_is_long(tmp_path, monkeypatch):
    """Long ones are named only."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(800), 8000)
    assert "audio/wav;base64" in answer_html(_answer(_hit(path)))
    monkeypatch.setattr(notebook, "SOUND_BYTES", 10)
    text = answer_html(_answer(_hit(path)))
    assert "<code>a.wav</code>" in text
    assert "base64" not in text


@pytest.mark.parametrize("content", [None, b"no picture at all"])
def test_files_that_are_gone_or_broken_are_named(tmp_path, content):
    """One bad file does not hide the other answers."""
    path = tmp_path / "gone.png"
    if content:
        path.write_bytes(content)
    text = answer_html(_answer(_hit(path), replace(_hit(None), item_id="other")))
    assert "<code>gone.png</code>" in text
    assert "other" in text


def test_a_huge_picture_is_named_not_decoded(tmp_path, monkeypatch):
    """A decompression bomb in an answer does not take the notebook down."""
    path = tmp_path / "bomb.png"
    Image.new("L", (300, 300)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "<code>bomb.png</code>" in answer_html(_answer(_hit(path)))


def test_no_hits_are_an_empty_grid():
    """Still with its head and notes."""
    assert "similar of" in answer_html(_answer())


def test_shares_are_told_largest_first():
    """In words, in per cent."""
    assert shares_text(_hit(None)) == "shape 75 %, color 25 %"
