"""The gallery in a real Chromium, against a real ``simkin serve``."""

from __future__ import annotations

import base64
import csv
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import pytest

from index.ingesting.ingest import IndexOptions
from simkin.demo.pictures import make_pictures
from simkin.demo.songs import make_songs
from simkin.library import index as index_sources

playwright = pytest.importorskip("playwright.sync_api", reason="the extra [test] brings playwright")
from playwright.sync_api import Locator, Page, expect  # noqa: E402

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Visit: TypeAlias = Any
"""A page in a fresh profile: see ``conftest.Visit``."""

MARKUP = '<img src=x onerror="window.ran=1">/\'"><script>window.ran=1</script> größe ' + "x" * 400
"""The id and the title of one item."""


def thinned(table: Path, step: int, *more: tuple[str, ...]) -> Path:
    """Every so many rows of a table, and further ones that name a file of its first row."""
    with table.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    kept = rows[::step]
    for item_id, title in more:
        kept.append(
            [
                item_id if name == "id" else title if name == "title" else value
                for name, value in zip(head, rows[0], strict=True)
            ]
        )
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *kept])
    return table


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of what `simkin demo` makes, and one item whose names are markup."""
    folder = tmp_path_factory.mktemp("gallery")
    pictures = thinned(make_pictures(folder / "products"), 3, (MARKUP, MARKUP))
    songs = thinned(make_songs(folder / "songs"), 5)
    index_sources([pictures, songs], folder / "c.simkin", IndexOptions(workers=2))
    return folder / "c.simkin"


@contextmanager
def serving(catalog: Path) -> Iterator[str]:
    """The address of a server of its own process, while the context lasts."""
    words = [sys.executable, "-m", "simkin", "serve", "--port", "0", "--catalog", str(catalog)]
    unbuffered = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=unbuffered) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "simkin serve told no address"
        try:
            yield found[0]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def server(catalog: Path) -> Iterator[str]:
    """The address of `simkin serve` on that catalog."""
    with serving(catalog) as address:
        yield address


@pytest.fixture
def visit(visiting: Callable[..., Visit], server: str, request: pytest.FixtureRequest) -> Visit:
    """A page of the gallery; the test fails when the page complained of anything that it did not expect."""
    return visiting(server, **getattr(request, "param", {"viewport": {"width": 1280, "height": 800}}))


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def answers(page: Page, relation: str) -> Locator:
    """The column of a relation, once every column has answered what is asked now."""
    expect(page.locator(".answers")).not_to_have_attribute("aria-busy", "true")
    column = page.locator(f'.answer[data-relation="{relation}"]')
    expect(column.locator(".hits [data-id]").first).to_be_visible()
    return column


def titles(page: Page, relation: str) -> list[str]:
    """Titles of a relation's hits."""
    return answers(page, relation).locator(".hits .card-title").all_inner_texts()


def items(visit: Visit, **query: str) -> list[dict[str, Any]]:
    """Items that the server lists."""
    found: list[dict[str, Any]] = visit.page.request.get(f"{visit.home}/api/items", params=query).json()["items"]
    return found


def posted(visit: Visit, path: str, **body: Any) -> dict[str, Any]:
    """What the server answers to a question in JSON."""
    answer = visit.page.request.post(f"{visit.home}/api/{path}", data=body)
    assert answer.ok, answer.text()
    told: dict[str, Any] = answer.json()
    return told


def shows(page: Page, wanted: list[dict[str, Any]]) -> None:
    """Wait until the grid begins with these items and their number is told."""
    expect(page.locator(".total")).to_have_text(f"{len(wanted)} item{'' if len(wanted) == 1 else 's'}")
    for place, item in enumerate(wanted[:15]):
        expect(page.locator(f'.grid [data-position="{place}"] .card-title')).to_have_text(item["title"])


def drawn(page: Page, images: str) -> None:
    """Wait until some pictures are there, and as large as they will be."""
    page.wait_for_function(
        "all => [...document.querySelectorAll(all)].every((one) => one.naturalWidth > 0)", arg=images
    )


def first_song(page: Page) -> None:
    """Open the first song of the catalog."""
    page.get_by_text("Sounds", exact=True).click()
    expect(page.locator(".total")).to_have_text("12 items")
    page.locator(".grid .card.audio a").first.click()


def test_the_first_screen_says_what_one_can_do_and_searching_narrows_it(visit: Visit) -> None:
    """The address keeps the search: a reload shows the same."""
    page = visit.open()
    expect(page.locator(".lead")).to_contain_text("what could replace it")
    expect(page.locator(".total")).to_have_text("94 items")
    expect(page.locator(".grid img.loaded").first).to_be_visible()
    page.get_by_role("searchbox").fill("mug")
    mugs = items(visit, text="mug")
    assert all("mug" in item["title"].lower() for item in mugs)
    shows(page, mugs)
    expect(page.get_by_role("status")).to_have_text(f"{len(mugs)} items")
    page.reload()
    shows(page, mugs)
    expect(page.get_by_role("searchbox")).to_have_value("mug")
    page.get_by_role("searchbox").fill("nothing is called this")
    expect(page.get_by_role("heading", name="Nothing passes")).to_be_visible()
    page.get_by_role("button", name="Show everything").click()
    expect(page.locator(".total")).to_have_text("94 items")


def test_filters_combine_and_a_wrong_one_is_explained(visit: Visit) -> None:
    """Category, price and any attribute; each can be taken off again."""
    visit.expected = "400"
    page = visit.open()
    page.get_by_role("checkbox", name="lamp").check()
    lamps = items(visit, category="lamp")
    shows(page, lamps)
    page.get_by_label("Price to").fill("60")
    expect(page.get_by_role("button", name="Remove filter to 60")).to_be_visible()
    cheap = [lamp for lamp in lamps if lamp["attributes"]["price"] <= 60]
    assert 0 < len(cheap) < len(lamps)
    shows(page, cheap)
    page.get_by_label("Any attribute").fill("color = = red")
    expect(page.locator("#where-problem")).to_contain_text("expected")
    page.get_by_label("Any attribute").fill("color in (red, blue)")
    expect(page.locator("#where-problem")).to_be_empty()
    for chip in ("color in (red, blue)", "to 60", "lamp"):
        page.get_by_role("button", name=f"Remove filter {chip}").click()
    expect(page.locator(".total")).to_have_text("94 items")
    page.get_by_label("Sort by").select_option("price")
    page.get_by_text("Pictures", exact=True).click()
    pictures = sorted(items(visit, modality="image", limit="500"), key=lambda item: item["attributes"]["price"])
    assert len(pictures) == 82
    expect(page.locator(".total")).to_have_text("82 items")
    for place, item in enumerate(pictures[:15]):
        subtitle = page.locator(f'.grid [data-position="{place}"] .card-subtitle')
        expect(subtitle).to_contain_text(f"· {item['attributes']['price']:.2f}")


def test_sounds_are_chosen_by_who_plays_them_and_play_where_they_stand(visit: Visit) -> None:
    """Values are counted among what is shown; a card's button plays and pauses; Browse comes back to the choice."""
    page = visit.page
    page.add_init_script(SLOWLY)
    visit.open()
    expect(page.get_by_role("group", name="Category")).to_be_visible()
    expect(page.get_by_role("group", name="Artist")).to_be_hidden()
    page.get_by_text("Sounds", exact=True).click()
    artists = page.get_by_role("group", name="Artist")
    expect(artists).to_be_visible()
    expect(page.get_by_role("group", name="Category")).to_be_hidden()
    songs = items(visit, modality="audio")
    playing = songs[0]["attributes"]["artist"]
    theirs = [song for song in songs if song["attributes"]["artist"] == playing]
    line = artists.get_by_role("listitem").filter(has_text=playing)
    expect(line.locator(".number")).to_have_text(str(len(theirs)))
    line.get_by_role("checkbox").check()
    shows(page, theirs)
    page.get_by_role("searchbox").fill(theirs[0]["title"])
    shows(page, theirs[:1])
    expect(artists.get_by_role("listitem")).to_have_count(1)
    button = page.locator('.grid [data-act="listen"]')
    expect(button).to_have_accessible_name(f"Play {theirs[0]['title']}")
    button.click()
    expect(button).to_have_accessible_name("Pause")
    button.click()
    expect(button).to_have_accessible_name(f"Play {theirs[0]['title']}")
    page.get_by_role("link", name="Map").click()
    expect(page.get_by_role("heading", name="Map")).to_be_visible()
    page.get_by_role("link", name="Browse").click()
    shows(page, theirs[:1])
    wave = page.locator(".grid img.loaded")
    page.get_by_role("button", name="Dark colours").click()
    expect(wave).to_have_attribute("src", re.compile("dark=1"))
    page.get_by_role("button", name="Light colours").click()
    expect(wave).not_to_have_attribute("src", re.compile("dark=1"))


def test_opening_an_item_sets_its_relations_side_by_side(visit: Visit) -> None:
    """Substitutes stay in the category, style leaves it; going back finds the grid as it was."""
    page = visit.open("#/?text=mug&category=mug")
    page.locator(".grid .card a").nth(2).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("mug")
    expect(page).to_have_title(re.compile("mug"))
    substitutes, style = answers(page, "substitute"), answers(page, "style")
    assert all(text.startswith("mug") for text in substitutes.locator(".card-subtitle").all_inner_texts())
    assert not any(text.startswith("mug") for text in style.locator(".card-subtitle").all_inner_texts())
    tops = page.locator(".answer").evaluate_all("all => all.map((one) => one.getBoundingClientRect().top)")
    assert len(tops) == 3
    assert len(set(tops)) == 1
    scores = [float(text) for text in style.locator(".score").all_inner_texts()]
    assert len(scores) == 12
    assert scores == sorted(scores, reverse=True)
    expect(style.locator(".facet-bar").first).to_have_attribute("aria-label", re.compile(r"color \d+ %"))
    expect(style.locator(".recall")).to_contain_text("every true answer")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("mug")
    expect(page.locator('[data-position="2"] a')).to_be_focused()


def test_items_are_added_and_subtracted_with_weights(visit: Visit) -> None:
    """Each change has an address of its own; back takes it away again."""
    page = visit.open("#/?category=boot")
    page.locator(".grid .card a").first.click()
    before = titles(page, "style")
    column = page.locator('.answer[data-relation="style"]')
    column.locator(".card").first.hover()
    column.get_by_role("button", name=f"Less like {before[0]}", exact=True).click()
    expect(page.locator(".part.against")).to_contain_text("Less like this")
    expect(page).to_have_url(re.compile("minus=1"))
    expect(column.locator(".card-title").get_by_text(before[0], exact=True)).to_have_count(0)
    page.locator(".part select").select_option("2")
    expect(page).to_have_url(re.compile("minus=2"))
    answers(page, "style").locator(".card").first.hover()
    column.get_by_role("button", name=re.compile("^More like")).first.click()
    expect(page.locator(".part")).to_have_count(2)
    kinds = answers(page, "substitute").locator(".card-subtitle").all_inner_texts()
    assert all(kind.startswith("boot") for kind in kinds), kinds  # what was added goes with boots, and is none
    page.go_back()
    expect(page.locator(".part")).to_have_count(1)
    page.get_by_role("button", name=re.compile("^Take")).click()
    expect(page.locator(".part")).to_have_count(0)
    expect(column.locator(".hits .card-title")).to_have_text(before)


def test_sliders_rank_anew_and_reset(visit: Visit) -> None:
    """More by colour, less by shape: the answers change at once, and come back."""
    page = visit.open("#/?category=chair")
    page.locator(".grid .card a").first.click()
    before = titles(page, "similar")
    for facet, value in (("shape", "-4"), ("color", "4")):
        page.locator(f'input[data-facet="{facet}"]').fill(value)
    expect(page).to_have_url(re.compile("more=0%3Ashape&more=8%3Acolor"))
    leads = page.locator('.answer[data-relation="similar"] .facet-bar').first
    expect(leads).to_have_attribute("aria-label", re.compile("^color"))
    after = titles(page, "similar")
    assert after != before
    shown = page.locator('.answer[data-relation="similar"] .hits .card-title')
    page.reload()
    expect(leads).to_have_attribute("aria-label", re.compile("^color"))
    expect(shown).to_have_text(after)
    scores = answers(page, "similar").locator(".score")
    score = scores.first.inner_text()
    page.locator('.answer[data-relation="similar"] .why').first.click()
    expect(page.locator(".why-score .score")).to_have_text(score)  # why, by the weights that the answer had
    expect(page.locator(".why-score .facet-bar")).to_have_attribute("aria-label", re.compile("^color"))
    expect(page.locator(".reasons")).to_contain_text("Weighed as asked")
    page.get_by_role("link", name="Judge by the usual weights").click()
    expect(page.locator(".why-score .score")).not_to_have_text(score)
    expect(page.locator(".reasons")).not_to_contain_text("Weighed as asked")
    page.go_back()
    page.go_back()
    expect(scores.first).to_have_text(score)
    page.get_by_role("button", name="Reset").click()
    expect(leads).to_have_attribute("aria-label", re.compile("^shape"))
    expect(shown).to_have_text(before)
    page.get_by_label("How varied the answers are").fill("1")
    expect(shown).not_to_have_text(before)


def test_a_picture_of_ones_own_is_asked_about_whole_and_in_part(visit: Visit, catalog: Path) -> None:
    """Chosen with the button, then cut out with the keys; a reload still knows the file."""
    page = visit.open()
    picture = next((catalog.parent / "products" / "pictures").glob("*.jpg"))
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name="Ask with a file").click()
    with page.expect_request("**/api/recommend/upload"):
        chosen.value.set_files(picture)
    answers(page, "similar")
    expect(page.get_by_role("heading", level=1)).to_have_text(picture.name)
    page.get_by_role("button", name="Cut out a part").click()
    frame = page.locator(".crop-frame")
    expect(frame).to_be_focused()
    with page.expect_request("**/api/recommend/upload"):
        page.keyboard.press("Shift+ArrowLeft")
    expect(page).to_have_url(re.compile(r"crop=0\.1%2C0\.1%2C0\.78%2C0\.8"))
    page.reload()
    answers(page, "similar")
    expect(frame).to_be_visible()
    drawn(page, "img.subject-picture")  # as large as it will be
    box = frame.bounding_box()
    assert box is not None
    with page.expect_request("**/api/recommend/upload"):
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2 + 12, box["y"] + box["height"] / 2, steps=3)
        page.mouse.up()
    page.get_by_role("button", name="Whole picture").click()
    expect(page).not_to_have_url(re.compile("crop="))


DROP = """([name, type, content]) => {
  const files = new DataTransfer();
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  files.items.add(new File([bytes], name, {type}));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(kind, {dataTransfer: files, bubbles: true, cancelable: true}));
}"""


def test_files_dropped_anywhere_are_asked_about_unless_they_are_neither_picture_nor_sound(
    visit: Visit, catalog: Path
) -> None:
    """A sound is asked about among sounds; a broken picture is refused in the server's words."""
    visit.expected = "status of 4"
    page = visit.open()
    expect(page.locator(".total")).to_be_visible()
    page.evaluate(DROP, ["notes.txt", "text/plain", "aGk="])
    expect(page.locator(".toast")).to_contain_text("neither a picture nor a sound")
    song = min((catalog.parent / "songs" / "songs").iterdir(), key=lambda file: file.stat().st_size)
    page.evaluate(DROP, [song.name, "audio/x-any", base64.b64encode(song.read_bytes()).decode()])
    answers(page, "similar-track")
    page.evaluate(DROP, ["broken.png", "image/png", "AQID"])
    expect(page.locator(".answer .state-error").first).to_be_visible()


SLOWLY = """
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () { this.playbackRate = 0.25; return play.call(this); };
"""
"""Songs last four times as long, so that none is over before a slow browser has got to it."""

SEEKS = """
window.seeks = [];
const time = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "currentTime");
Object.defineProperty(HTMLMediaElement.prototype, "currentTime", {
  ...time,
  set(seconds) {
    window.seeks.push([new URL(this.src).searchParams.get("id"), seconds]);
    time.set.call(this, seconds);
  },
});
"""
"""Notes which song is played from which second."""


def test_two_songs_play_under_one_control(visit: Visit) -> None:
    """Both run at once; one hears B, then A after switching; a seek moves the song."""
    page = visit.page
    page.add_init_script(SLOWLY)
    visit.open()
    first_song(page)
    answers(page, "similar-track")
    page.get_by_role("button", name=re.compile("^Listen to")).first.click()
    player = page.get_by_role("region", name="Player")
    expect(player.locator(".side-b")).to_have_class(re.compile("heard"))
    for side in ("a", "b"):
        expect(player.locator(f".side-{side} .time")).not_to_have_text(re.compile("^0:00"))
    player.get_by_role("button", name="Pause").click()
    expect(player.get_by_role("button", name="Play", exact=True)).to_be_visible()
    player.get_by_role("button", name="Switch between A and B").click()
    expect(player.locator(".side-a")).to_have_class(re.compile("heard"))
    player.get_by_label("Crossfade from A to B").fill("1")
    expect(player.locator(".side-b")).to_have_class(re.compile("heard"))
    player.get_by_label(re.compile("^Position in")).first.fill("0")
    expect(player.locator(".side-a .time")).to_have_text(re.compile("^0:00 / 0:0[1-9]|^0:00 / 0:[1-9]"))
    expect(player.locator(".dock-moments button").first).to_be_visible()
    player.get_by_role("button", name="Close the player").click()
    expect(player).to_be_hidden()


def test_two_pictures_say_why_by_regions_of_the_same_colour_and_number(visit: Visit) -> None:
    """A region lights up in both when its name is pointed at."""
    page = visit.open("#/?category=watch")
    page.locator(".grid .card a").first.click()
    answers(page, "style").locator(".why").first.click()
    expect(page.locator(".sentence")).to_contain_text("Alike")
    asked = dict(re.findall(r"(\w+)=([^&]*)", page.url.partition("?")[2]))
    told = page.request.get(f"{visit.home}/api/explain", params=asked).json()
    assert len(told["regions"]) >= 2
    expect(page.locator(".sentence")).to_have_text(told["sentence"])
    expect(page.locator(".reasons li")).to_have_text(told["words"])
    expect(page.locator(".region")).to_have_count(2 * len(told["regions"]))
    drawn(page, ".region-frame img")
    strongest = max(told["regions"], key=lambda region: region["strength"])
    shares = page.locator(".region-frame").evaluate_all(
        """all => all.map((frame) => {
          const outer = frame.getBoundingClientRect();
          const inner = frame.querySelector('[data-region="0"]').getBoundingClientRect();
          return [(inner.x - outer.x) / outer.width, inner.width / outer.width];
        })"""
    )
    for share, side in zip(shares, ("a", "b"), strict=True):
        assert share == pytest.approx([strongest[side][0], strongest[side][2]], abs=0.01)
    page.get_by_role("button", name=re.compile(f"^1 · {strongest['facet']}")).hover()
    expect(page.locator('.region[data-region="1"]').first).to_have_class(re.compile("dim"))
    expect(page.locator('.region[data-region="0"]').first).not_to_have_class(re.compile("dim"))


def test_two_songs_play_the_moments_that_match(visit: Visit) -> None:
    """Chosen by name or in the picture: A from its moment, then B from its own, then silence."""
    page = visit.page
    page.add_init_script(SEEKS)
    visit.open()
    first_song(page)
    answers(page, "similar-track").locator(".why").first.click()
    player = page.get_by_role("region", name="Player")
    expect(player.locator(".side-a")).to_have_class(re.compile("heard"))
    asked = dict(re.findall(r"(\w+)=([^&]*)", page.url.partition("?")[2]))
    told = page.request.get(f"{visit.home}/api/explain", params=asked).json()
    moments = sorted(told["moments"], key=lambda moment: -moment["score"])
    assert len(moments) >= 2
    expect(page.locator(".ribbon")).to_have_count(len(moments))
    expect(page.locator(".moments-figure .chip")).to_have_count(len(moments))
    for place in (0, 1):
        page.evaluate("window.seeks.length = 0")
        if place:
            page.locator(".ribbon").nth(place).dispatch_event("click")  # ribbons may lie over each other
        else:
            page.locator(".moments-figure .chip").nth(place).click()
        wanted = [[told["a"], moments[place]["a"]], [told["b"], moments[place]["b"]], [told["b"], moments[place]["b"]]]
        page.wait_for_function("count => window.seeks.length >= count", arg=len(wanted))
        assert page.evaluate("window.seeks") == wanted
        expect(player.locator(".side-b")).to_have_class(re.compile("heard"))
        expect(player.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.get_by_text("Every moment beside every moment").click()
    drawn(page, ".every-moment img")


def test_a_playlist_is_made_changed_and_exported(visit: Visit) -> None:
    """From a song's own page; another way of making it has another address."""
    page = visit.open()
    first_song(page)
    page.get_by_role("link", name="Make a playlist").click()
    seed = items(visit, modality="audio")[0]["id"]

    def made(mode: str, length: int) -> dict[str, Any]:
        playlist = posted(visit, "playlist", seeds=[seed], mode=mode, length=length)
        expect(page.locator(".line b")).to_have_text([track["title"] for track in playlist["tracks"]])
        return playlist

    around = made("radius", 20)
    assert around["notes"]  # twelve songs are fewer than twenty
    expect(page.get_by_text(around["notes"][0])).to_be_visible()
    page.get_by_label("How many songs").fill("5")
    around = made("radius", 5)
    assert len(around["tracks"]) == 5
    page.get_by_text("Onwards").click()
    expect(page).to_have_url(re.compile("mode=chain"))
    onwards = made("chain", 5)
    assert [track["id"] for track in onwards["tracks"]] != [track["id"] for track in around["tracks"]]
    name, text = downloaded(page, "M3U8 playlist")
    assert name.endswith(".m3u8")
    expect(page.locator(".toast")).to_contain_text(f"Saved 5 songs as {name}; entries are file names relative to")
    for track in onwards["tracks"]:
        assert f"#EXTINF:{round(track['seconds'])},{track['artist']} - {track['title']}\n" in text
    page.get_by_role("button", name="Save as a list").click()
    expect(page.locator("#list-count")).to_have_text("5")


def test_an_outfit_is_completed_for_the_kinds_that_are_chosen(visit: Visit) -> None:
    """Each kind is switched on and off; the whole is saved as a list."""
    page = visit.open("#/?category=dress")
    page.locator(".grid .card a").first.click()
    page.get_by_role("link", name="Complete the set").click()
    expect(page.locator('.chip[aria-pressed="true"]')).to_have_count(3)
    expect(page.locator(".outfit").first.locator(".piece")).to_have_count(4)
    for kind in page.locator('.chip[aria-pressed="true"]').all_inner_texts():
        page.get_by_role("button", name=kind, exact=True).click()
    expect(page.get_by_role("heading", name="Choose what is missing")).to_be_visible()
    page.get_by_role("button", name="hat", exact=True).click()
    expect(page).to_have_url(re.compile("slot=hat"))
    dress = items(visit, category="dress")[0]
    wanted = posted(visit, "complete", items=[dress["id"]], slots=["hat"], alternatives=4)
    hats = [wanted["items"][one["items"][0]["id"]] for one in wanted["alternatives"]]
    assert all(hat["category"] == "hat" for hat in hats)
    expect(page.locator(".outfit .piece:last-child .card-title")).to_have_text([hat["title"] for hat in hats])
    expect(page.locator(".outfit .piece:first-child .card-title")).to_have_text([dress["title"]] * len(hats))
    expect(page.locator(".outfit").first).to_contain_text(f"{wanted['alternatives'][0]['price']:.2f} in all")
    page.get_by_label("What goes together is judged by").select_option("substitute")
    expect(page).to_have_url(re.compile("relation=substitute"))
    wanted = posted(visit, "complete", items=[dress["id"]], slots=["hat"], alternatives=4, relation="substitute")
    hats = [wanted["items"][one["items"][0]["id"]] for one in wanted["alternatives"]]
    expect(page.locator(".outfit .piece:last-child .card-title")).to_have_text([hat["title"] for hat in hats])
    page.locator(".outfit").first.get_by_role("button", name="Save as a list").click()
    expect(page.locator("#list-count")).to_have_text("2")


def downloaded(page: Page, name: str) -> tuple[str, str]:
    """What a button saves: the file's name and its text."""
    with page.expect_download() as saved:
        page.get_by_role("button", name=name).click()
    return saved.value.suggested_filename, Path(saved.value.path()).read_text(encoding="utf-8")


def test_what_is_saved_becomes_a_list_that_can_be_named_ordered_and_exported(visit: Visit, catalog: Path) -> None:
    """CSV for everything, M3U8 with files or with web links for the songs; a reload keeps the list."""
    page = visit.open("#/?modality=audio")
    expect(page.locator(".total")).to_have_text("12 items")
    for place in range(3):
        card = page.locator(".grid .card").nth(place)
        card.hover()
        card.get_by_role("button", name=re.compile("^Save")).click()
    saved = [item["title"] for item in items(visit, modality="audio")[:3]]
    expect(page.locator("#list-count")).to_have_text("3")
    page.get_by_role("link", name=re.compile("^Lists")).click()
    page.get_by_label("Name of the list").fill("For: tonight")
    page.get_by_label("Name of the list").press("Enter")
    page.get_by_role("button", name=f"Move up {saved[2]}").click()
    wanted = [saved[0], saved[2], saved[1]]
    expect(page.locator(".line b")).to_have_text(wanted)
    page.reload()
    expect(page.locator(".line b")).to_have_text(wanted)
    name, text = downloaded(page, "CSV")
    assert name == "For- tonight.csv"
    expect(page.locator(".toast")).to_have_text("Saved 3 items as For- tonight.csv.")
    assert [row["title"] for row in csv.DictReader(io.StringIO(text))] == wanted
    name, text = downloaded(page, "M3U8 playlist")
    lines = text.splitlines()
    assert (name, lines[0]) == ("For- tonight.m3u8", "#EXTM3U")
    entries = [line for line in lines if not line.startswith("#")]
    assert len(entries) == 3
    assert all((catalog.parent / "songs" / entry).is_file() for entry in entries)  # beside the table that names them
    name, text = downloaded(page, "Web links (M3U8)")
    assert name == "For- tonight.m3u8"
    entries = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(entries) == 3
    assert page.request.get(entries[0]).headers["content-type"].startswith("audio/")
    page.get_by_role("button", name=f"Take out {wanted[0]}").click()
    expect(page.locator(".line")).to_have_count(2)


def test_the_map_zooms_pans_and_opens_items(visit: Visit) -> None:
    """By wheel and keys on the canvas, and by the list of clusters beside it; the address keeps the place."""
    page = visit.open("#/map?relation=style")
    canvas = page.locator(".map-canvas")
    expect(page.locator(".map-head")).to_contain_text("82 items")
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -600)
    expect(page).to_have_url(re.compile(r"z=[2-9]"))
    canvas.focus()
    page.keyboard.press("0")
    expect(page).to_have_url(re.compile(r"z=1\.00"))
    page.get_by_role("navigation", name="Clusters").get_by_role("button").first.click()
    expect(page).to_have_url(re.compile(r"z=5\.00"))
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 50, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile("#/map"))
    page.get_by_role("navigation", name="Clusters").get_by_role("link").first.click()
    answers(page, "style")


def test_markup_in_ids_and_titles_stays_text(visit: Visit) -> None:
    """Searched, opened, saved and exported: nothing of it runs."""
    visit.expected = "status of 404"
    page = visit.open("#/?" + "text=" + quote("onerror"))
    expect(page.locator(".total")).to_have_text("1 item")
    expect(page.locator(".grid .card-title")).to_have_text(MARKUP)
    page.locator(".grid .card a").hover()
    page.get_by_role("button", name=re.compile("^Save")).click()
    page.locator(".grid .card a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(MARKUP)
    answers(page, "style")
    page.get_by_role("link", name=re.compile("^Lists")).click()
    expect(page.locator(".line b")).to_have_text(MARKUP)
    _, text = downloaded(page, "CSV")
    assert next(csv.DictReader(io.StringIO(text)))["id"] == MARKUP
    page.goto(visit.home + "/#/ask?id=" + quote("no such <b>item</b>"))
    expect(page.locator(".state-error")).to_contain_text("no such <b>item</b>")


def test_the_keyboard_is_enough(visit: Visit) -> None:
    """Search, walk, save, open, leave, help."""
    page = visit.open()
    expect(page.locator(".total")).to_have_text("94 items")
    page.keyboard.press("/")
    page.keyboard.type("boot")
    shows(page, items(visit, text="boot"))
    page.keyboard.press("Enter")
    expect(page.locator('[data-position="0"] a')).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    place = 1 + int(page.locator(".grid").get_attribute("aria-colcount") or 0)
    expect(page.locator(f'[data-position="{place}"] a')).to_be_focused()
    expect(page.locator('.grid a[tabindex="0"]')).to_have_count(1)
    page.keyboard.press("s")
    expect(page.locator("#list-count")).to_have_text("1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("boot")
    page.keyboard.press("Escape")
    expect(page.locator(f'[data-position="{place}"] a')).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="What you can do here")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="What you can do here")).to_be_hidden()


def test_answers_are_walked_by_keyboard(visit: Visit) -> None:
    """From the page's top to a card of the second column in few keys; one Tab stop a column; keys act on the card."""
    mug = items(visit, category="mug")[0]
    page = visit.open("#/ask?id=" + quote(mug["id"]))
    first, second = answers(page, "substitute"), answers(page, "style")
    links = page.locator(".answer:not([hidden]) .card-link")
    pressed = 0

    def press(key: str) -> None:
        nonlocal pressed
        page.keyboard.press(key)
        pressed += 1

    press("Tab")
    press("Enter")  # skips to the content
    skip = page.get_by_role("button", name="Skip to the answers")
    while not skip.evaluate("one => one === document.activeElement"):
        press("Tab")
        assert pressed < 10
    press("Enter")
    expect(first.locator(".card-link").first).to_be_focused()
    press("ArrowRight")
    press("ArrowRight")
    expect(second.locator(".card-link").first).to_be_focused()
    assert pressed < 10
    columns = page.locator(".answer:not([hidden])").count()
    assert page.locator(".answer:not([hidden]) .card [tabindex='0']").count() == columns < links.count()
    page.keyboard.press("ArrowDown")
    expect(second.locator(".card-link").nth(2)).to_be_focused()  # two cards stand in a row
    page.keyboard.press("ArrowLeft")
    expect(first.locator(".card-link").nth(3)).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    expect(first.locator(".card-link").last).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("s")
    expect(page.locator("#list-count")).to_have_text("1")
    taken = titles(page, "substitute")[0]
    page.keyboard.press("-")
    expect(page.locator(".part.against")).to_have_count(1)
    expect(first.locator(".card-title").get_by_text(taken, exact=True)).to_have_count(0)
    expect(answers(page, "substitute").locator(".card-link").first).to_be_focused()
    page.keyboard.press("+")
    expect(page.locator(".part:not(.against)")).to_have_count(1)
    expect(answers(page, "substitute").locator(".card-link").first).to_be_focused()
    page.keyboard.press("w")
    expect(page.locator(".sentence")).to_contain_text("like")
    page.go_back()
    title = titles(page, "style")[0]
    page.locator('.answer[data-relation="style"] .card-link').first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


@pytest.mark.parametrize("visit", [PHONE], indirect=True)
def test_a_phone_shows_all_of_it_without_sideways_scrolling(visit: Visit) -> None:
    """Two columns of cards; filters fold away; an item's answers stand below each other."""
    page = visit.open()
    expect(page.locator(".grid")).to_have_attribute("aria-colcount", "2")
    expect(page.locator(".grid img.loaded").first).to_be_visible()
    fits = "document.documentElement.scrollWidth <= window.innerWidth"
    assert page.evaluate(fits)
    expect(page.get_by_label("Price to")).to_be_hidden()
    page.get_by_text("Filters", exact=True).tap()
    expect(page.get_by_label("Price to")).to_be_visible()
    page.get_by_role("checkbox", name="mug").check()
    mugs = len(items(visit, category="mug"))
    page.get_by_role("button", name=f"Show {mugs} items").tap()
    expect(page.get_by_label("Price to")).to_be_hidden()
    below = """card => card.querySelector(".card-actions").getBoundingClientRect().top
      >= card.querySelector(".card-picture").getBoundingClientRect().bottom"""
    assert page.locator(".grid .card").first.evaluate(below)
    page.locator(".grid .card a").first.tap()
    answers(page, "substitute")
    assert page.locator(".hits .card").first.evaluate(below)
    assert page.evaluate(fits)
    tops = page.locator(".answer:not([hidden])").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().top)"
    )
    assert len(tops) > 1
    assert tops == sorted(set(tops))


def test_light_and_dark_follow_the_system_until_one_is_chosen(visit: Visit) -> None:
    """The choice is kept."""
    page = visit.open()
    body = page.locator("body")
    light = body.evaluate("body => getComputedStyle(body).backgroundColor")
    page.get_by_role("button", name="Dark colours").click()
    expect(body).not_to_have_css("background-color", light)
    dark = body.evaluate("body => getComputedStyle(body).backgroundColor")
    page.reload()
    expect(body).to_have_css("background-color", dark)
    expect(page.get_by_role("button", name="Light colours")).to_be_visible()


def test_an_empty_catalog_names_the_command_that_fills_it(
    visiting: Callable[..., Visit], tmp_path: Path, pictures: Callable[..., list[Path]]
) -> None:
    """And shows the items once they are there, by itself."""
    from index.catalog import Catalog

    Catalog.create(tmp_path / "new.simkin").close()
    with serving(tmp_path / "new.simkin") as address:
        page = visiting(address).open()
        expect(page.get_by_role("heading", name="This catalog is empty")).to_be_visible()
        expect(page.locator("pre")).to_have_text("simkin index YOUR_FILES/ --catalog new.simkin")
        expect(page.locator(".side")).to_have_count(0)
        page.goto(f"{address}/#/map")
        expect(page.locator("pre")).to_have_text("simkin index SOURCE --catalog new.simkin")
        page.go_back()
        pictures(tmp_path / "files", 3)
        index_sources([tmp_path / "files"], tmp_path / "new.simkin", IndexOptions(workers=1))
        expect(page.locator(".total")).to_have_text("3 items")
        expect(page.locator(".notice")).to_be_hidden()


def test_items_can_be_looked_at_before_anything_is_built_of_them(
    visiting: Callable[..., Visit], make_catalog: Callable[[], Any]
) -> None:
    """The page says what to run, and goes on by itself once that is done."""
    made = make_catalog()
    made.fill(40)
    with serving(made.folder) as address:
        visit = visiting(address)
        visit.expected = "status of 404"  # these items have no files
        page = visit.open()
        expect(page.locator(".total")).to_have_text("40 items")
        expect(page.locator(".notice pre")).to_have_text(f"simkin index --rebuild --catalog {made.folder.name}")
        page.locator(".grid .card a").first.click()
        expect(page.get_by_role("heading", name="Nothing can be asked yet")).to_be_visible()
        page.go_back()
        expect(page.locator(".notice")).to_be_visible()
        made.build()
        expect(page.locator(".notice")).to_be_hidden()
        page.locator(".grid .card a").first.click()
        answers(page, "similar")
        page.goto("about:blank")  # before the server ends: pictures may still be on their way
