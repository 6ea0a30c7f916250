"""Clusters, outfits, paths and maps in a notebook: they show what they name, and nothing is taken as markup."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import simkin
from index.ingesting.ingest import IndexOptions
from index.recommender import Recommender

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
NASTY = "<b onclick=x>"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, picture: Callable[..., Path]) -> Path:
    """A folder with thirty pictures, some of them those that README asks about."""
    folder = tmp_path_factory.mktemp("work")
    names = ["shoe-17", "boot-3", "dead", *(f"{NASTY} & {number}" for number in range(27))]
    for number, name in enumerate(names):
        picture(folder / "photos" / f"{name}.jpg", number)
    return folder


@pytest.fixture(scope="module")
def recommender(photos: Path) -> Iterator[Recommender]:
    simkin.index([photos / "photos"], photos / "c.simkin", IndexOptions(workers=1))
    (photos / "photos" / "dead.jpg").unlink()
    recommender = simkin.open(photos / "c.simkin")
    yield recommender
    recommender.catalog.close()


def pictures(text: str) -> int:
    """How many pictures it shows; fails where a name is taken as markup."""
    assert "<b onclick" not in text
    return len(re.findall(r"<img [^>]*src='data:image/jpeg;base64,", text))


def test_clusters_show_their_central_items(recommender: Recommender) -> None:
    """A row for each."""
    found = simkin.find_clusters(recommender, "similar", 3, central=2)
    text = found._repr_html_()
    assert "3 clusters of 30 image items" in text
    shown = [name for cluster in found.clusters for name in cluster.central]
    assert all(html.escape(name) in text for name in shown)
    assert pictures(text) == len(shown) - shown.count("dead.jpg")


def test_outfits_show_the_weakest_and_what_would_go_better(recommender: Recommender) -> None:
    """A picture that is gone is named."""
    found = simkin.score_outfit(recommender, ["shoe-17.jpg", "boot-3.jpg", "dead.jpg"], "similar", suggest=True)
    text = found._repr_html_()
    assert f"mean score {found.score:.3f}" in text
    assert text.count("the weakest") == 1
    assert "<code>dead.jpg</code>" in text
    assert found.suggestion is not None
    assert "what would go better" in text
    assert pictures(text) == 3


def test_paths_show_every_step(recommender: Recommender) -> None:
    """In order, with scores."""
    found = simkin.find_path(recommender, "shoe-17.jpg", "boot-3.jpg", between=4)
    text = found._repr_html_()
    at = [text.index(html.escape(step.item_id)) for step in found.steps]
    assert at == sorted(at)
    assert len(at) == 6
    assert all(f"{step.score:.3f}" in text for step in found.steps if step.score is not None)


def test_maps_show_themselves(recommender: Recommender) -> None:
    """As one picture."""
    text = simkin.map_items(recommender, "style", method="pca")._repr_html_()
    assert pictures(text) == 1
    assert "style · 30 pictures · PCA" in text


def test_readme_shows_python_that_runs(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands there, in a folder that has what it names."""
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(photos)
    monkeypatch.setattr("index.lists.map_layout.has_umap", lambda: False)
    names: dict[str, object] = {}
    exec(snippet, names)
    for name in ("answer", "style", "styles", "path", "why"):
        assert "<img" in names[name]._repr_html_()  # type: ignore[attr-defined]
    names["recommender"].catalog.close()  # type: ignore[attr-defined]
