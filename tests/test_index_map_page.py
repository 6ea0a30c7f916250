"""The page that a map is written as, in a real Chromium: a file on disk that asks nobody for anything."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from index.ingesting.ingest import IndexOptions
from simkin.library import index as index_sources

playwright = pytest.importorskip("playwright.sync_api", reason="the extra [test] brings playwright")
from playwright.sync_api import Page, expect  # noqa: E402

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Visit: TypeAlias = Any
"""A page in a fresh profile: see ``conftest.Visit``."""

MARKUP = '<img src=x onerror="window.ran=1"></script><script>window.ran=1</script> größe'
"""A title, an id and a category."""

PIXELS = """() => {
  const canvas = document.getElementById("map");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) sum = (sum * 31 + data[at] + 256 * data[at + 1] + data[at + 2]) >>> 0;
  return sum;
}"""
"""A number for all that is drawn."""

OTHERWISE = f"before => ({PIXELS})() !== before"


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory, pictures: Callable[..., list[Path]], run_simkin: Callable[..., Any]
) -> Path:
    """What `simkin map` writes of 24 pictures in three categories, one of them named by markup."""
    folder = tmp_path_factory.mktemp("mapped")
    categories = ("hats", "shoes", MARKUP)
    with (folder / "items.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "path", "title", "category"])
        for number, path in enumerate(pictures(folder / "files", 24)):
            title = MARKUP if number == 5 else f"Thing {number}"
            table.writerow([MARKUP if number == 5 else f"thing-{number}", path, title, categories[number % 3]])
    index_sources([folder / "items.csv"], folder / "c.simkin", IndexOptions(workers=1))
    done = run_simkin("map", "--catalog", folder / "c.simkin", "--method", "pca", "--out", folder / "map.html")
    assert done.returncode == 0, done.stderr
    return folder / "map.html"


@pytest.fixture
def visit(visiting: Callable[..., Visit], written: Path) -> Visit:
    """That file, opened and drawn; the test fails at an error, or a request for anything else."""
    visit = visiting(written.as_uri(), viewport={"width": 1100, "height": 760})
    visit.expected = "willReadFrequently"  # said of this test's own reading
    visit.page.goto(visit.home)
    expect(visit.page.locator("html")).to_have_attribute("data-ready", "yes")
    visit.page.wait_for_function("() => [...document.images].every((image) => image.complete)")
    return visit


def until_drawn(page: Page) -> int:
    """What is drawn once nothing more is waiting to be."""
    frames = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
    page.evaluate(frames)
    found: int = page.evaluate(PIXELS)
    return found


def test_the_map_zooms_moves_and_comes_back(visit: Visit) -> None:
    """By wheel, by drag, by keys and by buttons; all of it again with one key."""
    page = visit.page
    whole = until_drawn(page)
    page.mouse.move(700, 380)
    ways: tuple[Callable[[], None], ...] = (
        lambda: page.mouse.wheel(0, -400),
        lambda: page.get_by_role("button", name="Zoom in").click(),
        lambda: page.get_by_role("button", name="Zoom out").click(),
        lambda: (page.mouse.move(700, 380), page.mouse.down(), page.mouse.move(620, 330, steps=3), page.mouse.up()),
        lambda: (page.locator("#map").focus(), page.keyboard.press("ArrowLeft")),
        lambda: page.keyboard.press("+"),
    )  # type: ignore[assignment]
    for way in ways:
        before = until_drawn(page)
        way()
        page.wait_for_function(OTHERWISE, arg=before)
    page.mouse.move(5, 5)  # over the panel: nothing is pointed at
    page.keyboard.press("Escape")
    page.keyboard.press("0")
    page.wait_for_function(f"whole => ({PIXELS})() === whole", arg=whole)


def test_what_is_searched_is_found_lit_and_told(visit: Visit) -> None:
    """Words in titles and ids, in any case; choosing one goes there and names it."""
    page = visit.page
    whole = until_drawn(page)
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("THING 1")
    expect(page.locator("#found")).to_have_text("12 found")  # 1, 10 to 19, and 21
    page.wait_for_function(OTHERWISE, arg=whole)
    page.get_by_role("searchbox").fill("thing-17")
    expect(page.locator("#found")).to_have_text("1 found")
    page.locator("#matches button").click()
    tip = page.locator("#tip")
    expect(tip).to_be_visible()
    expect(tip.locator("#tip-title")).to_have_text("Thing 17")
    expect(tip.locator("#tip-value")).to_contain_text(MARKUP)  # its category
    expect(tip.locator("img")).to_have_js_property("complete", True)
    page.get_by_role("searchbox").fill("nothing is called this")
    expect(page.locator("#found")).to_have_text("nothing found")
    page.get_by_role("searchbox").press("Escape")
    expect(page.locator("#found")).to_be_empty()
    expect(page.locator("#map")).to_be_focused()
    page.keyboard.press("n")
    expect(tip.locator("#tip-title")).not_to_have_text("Thing 17")


def test_clusters_and_colours_lead_around_the_map(visit: Visit) -> None:
    """Each cluster has a button that goes there; each colour one that shows its items alone."""
    page = visit.page
    clusters = page.locator("#clusters button")
    expect(clusters.first).to_be_visible()
    sizes = [int(text) for text in clusters.locator("small").all_inner_texts()]
    assert sum(sizes) == 24
    before = until_drawn(page)
    clusters.first.click()
    page.wait_for_function(OTHERWISE, arg=before)
    page.get_by_role("combobox", name="Colours").select_option(label="category")
    legend = page.locator("#legend button")
    expect(legend.locator("span")).to_have_text(sorted(["hats", "shoes", MARKUP]), use_inner_text=True)
    expect(legend.locator("small")).to_have_text(["8", "8", "8"])
    before = until_drawn(page)
    legend.filter(has_text="hats").click()
    expect(legend.filter(has_text="hats")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(OTHERWISE, arg=before)


def test_markup_in_titles_stays_text_on_the_map(visit: Visit) -> None:
    """Found, chosen and pointed at: it is shown as it is written, and does not run."""
    page = visit.page
    page.get_by_role("searchbox").fill("onerror")
    expect(page.locator("#found")).to_have_text("1 found")
    expect(page.locator("#matches button span")).to_have_text(MARKUP)
    page.locator("#matches button").click()
    expect(page.locator("#tip-title")).to_have_text(MARKUP)
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("document.scripts.length") == 2


@pytest.mark.parametrize("width", [390])
def test_on_a_phone_the_panel_is_folded_and_the_map_is_whole(visiting: Any, written: Path, width: int) -> None:
    """Unfolded, it does not reach over the edge."""
    visit = visiting(written.as_uri(), viewport={"width": width, "height": 844}, has_touch=True, is_mobile=True)
    page = visit.page
    page.goto(visit.home)
    expect(page.locator("html")).to_have_attribute("data-ready", "yes")
    expect(page.get_by_role("searchbox")).to_be_hidden()
    page.locator("summary").tap()
    expect(page.get_by_role("searchbox")).to_be_visible()
    box = page.locator("#panel").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert re.fullmatch(r"file://.*map\.html", page.url)
