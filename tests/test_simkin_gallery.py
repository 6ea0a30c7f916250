"""The gallery in a real Chromium, against a real ``simkin serve``."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from index.ingesting.ingest import IndexOptions
from simkin.demo.pictures import make_pictures
from simkin.demo.songs import make_songs
from simkin.library import index as index_sources

playwright = pytest.importorskip("playwright.sync_api", reason="the extra [test] brings playwright")
from playwright.sync_api import Browser, Page, Request, expect  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

PATIENCE = 30_000
"""Milliseconds until something is taken not to happen; the first sound asked about takes seconds."""

expect.set_options(timeout=PATIENCE)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path (Debian: apt-get install chromium)"),
]

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


def serving(catalog: Path) -> tuple[subprocess.Popen[str], str]:
    """A server of its own process, and its address."""
    words = [sys.executable, "-m", "simkin", "serve", "--port", "0", "--catalog", str(catalog)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found, "simkin serve told no address"
    return process, found[0]


@pytest.fixture(scope="module")
def server(catalog: Path) -> Iterator[str]:
    """The address of `simkin serve` on that catalog."""
    process, address = serving(catalog)
    yield address
    process.terminate()
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of this file."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page in a fresh profile, with what went wrong on it."""

    page: Page
    home: str
    complaints: list[str] = field(default_factory=list)
    expected: str = "never"

    def open(self, address: str = "#/") -> Page:
        """Go there."""
        self.page.goto(f"{self.home}/{address}")
        return self.page

    def listen(self) -> None:
        """Note errors, violations of the policy, dialogs, and requests to anywhere else."""
        page = self.page
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on(
            "console", lambda told: self.complaints.append(told.text) if told.type in ("error", "warning") else None
        )
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", self._check)

    def _check(self, request: Request) -> None:
        if not request.url.startswith((self.home, "blob:")):
            self.complaints.append(f"outside request: {request.url}")


@pytest.fixture
def visit(chromium: Browser, server: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A page; the test fails when the page complained of anything that it did not expect."""
    options = getattr(request, "param", {"viewport": {"width": 1280, "height": 800}})
    context = chromium.new_context(reduced_motion="reduce", **options)
    visit = Visit(context.new_page(), server)
    visit.listen()
    yield visit
    ran = visit.page.evaluate("window.ran")
    context.close()
    assert ran is None, "markup of a title ran"
    assert [told for told in visit.complaints if not re.search(visit.expected, told)] == []


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def titles(page: Page, relation: str) -> list[str]:
    """Titles of a relation's hits, once it has answered."""
    column = page.locator(f'[data-relation="{relation}"]')
    expect(column.locator(".hits [data-id]").first).to_be_visible()
    expect(column).not_to_have_attribute("aria-busy", "true")
    return column.locator(".hits .card-title").all_inner_texts()


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
    expect(page.locator(".total")).not_to_have_text("94 items")
    found = page.locator(".total").inner_text()
    assert all("mug" in title.lower() for title in page.locator(".grid .card-title").all_inner_texts())
    expect(page.get_by_role("status")).to_have_text(found)
    page.reload()
    expect(page.locator(".total")).to_have_text(found)
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
    expect(page.locator(".grid .card-subtitle").first).to_contain_text("lamp")
    lamps = int(page.locator(".total").inner_text().split()[0])
    page.get_by_label("Price to").fill("60")
    expect(page.get_by_role("button", name="Remove filter to 60")).to_be_visible()
    expect(page.locator(".total")).not_to_have_text(f"{lamps} items")
    assert all(float(text.split("·")[1]) <= 60 for text in page.locator(".grid .card-subtitle").all_inner_texts())
    page.get_by_label("Any attribute").fill("color = = red")
    expect(page.locator("#where-problem")).to_contain_text("expected")
    page.get_by_label("Any attribute").fill("color in (red, blue)")
    expect(page.locator("#where-problem")).to_be_empty()
    for chip in ("color in (red, blue)", "to 60", "lamp"):
        page.get_by_role("button", name=f"Remove filter {chip}").click()
    expect(page.locator(".total")).to_have_text("94 items")
    page.get_by_label("Sort by").select_option("price")
    page.get_by_text("Pictures", exact=True).click()
    expect(page.locator(".total")).to_have_text("82 items")
    prices = [float(text.split("·")[1]) for text in page.locator(".grid .card-subtitle").all_inner_texts()]
    assert prices == sorted(prices)


def test_opening_an_item_sets_its_relations_side_by_side(visit: Visit) -> None:
    """Substitutes stay in the category, style leaves it; going back finds the grid as it was."""
    page = visit.open("#/?text=mug&category=mug")
    page.locator(".grid .card a").nth(2).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("mug")
    expect(page).to_have_title(re.compile("mug"))
    titles(page, "substitute"), titles(page, "style"), titles(page, "similar")
    kinds = {
        name: page.locator(f'[data-relation="{name}"] .card-subtitle').all_inner_texts()
        for name in ("substitute", "style")
    }
    assert all(text.startswith("mug") for text in kinds["substitute"])
    assert not any(text.startswith("mug") for text in kinds["style"])
    boxes = [page.locator(f'[data-relation="{name}"]').bounding_box() for name in ("substitute", "style", "similar")]
    assert len({box["y"] for box in boxes if box}) == 1
    scores = [float(text) for text in page.locator('[data-relation="style"] .score').all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    bar = page.locator('[data-relation="style"] .facet-bar').first
    expect(bar).to_have_attribute("aria-label", re.compile(r"color \d+ %"))
    expect(page.locator('[data-relation="style"] .recall')).to_contain_text("every true answer")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("mug")
    expect(page.locator('[data-position="2"] a')).to_be_focused()


def test_items_are_added_and_subtracted_with_weights(visit: Visit) -> None:
    """Each change has an address of its own; back takes it away again."""
    page = visit.open("#/?category=boot")
    page.locator(".grid .card a").first.click()
    before = titles(page, "style")
    column = page.locator('[data-relation="style"]')
    column.locator(".card").first.hover()
    column.get_by_role("button", name=re.compile("^Less like")).first.click()
    expect(page.locator(".part.against")).to_have_count(1)
    expect(page).to_have_url(re.compile("minus=1"))
    expect(column.locator(".card-title").first).not_to_have_text(before[0])
    assert before[0] not in titles(page, "style")
    page.locator(".part select").select_option("2")
    expect(page).to_have_url(re.compile("minus=2"))
    column.locator(".card").first.hover()
    column.get_by_role("button", name=re.compile("^More like")).first.click()
    expect(page.locator(".part")).to_have_count(2)
    page.go_back()
    expect(page.locator(".part")).to_have_count(1)
    page.get_by_role("button", name=re.compile("^Take")).click()
    expect(page.locator(".part")).to_have_count(0)
    expect(column.locator(".card-title").first).to_have_text(before[0])


def test_sliders_rank_anew_and_reset(visit: Visit) -> None:
    """More by colour, less by shape: the answers change at once, and come back."""
    page = visit.open("#/?category=chair")
    page.locator(".grid .card a").first.click()
    before = titles(page, "similar")
    for facet, value in (("shape", "-4"), ("color", "4")):
        page.locator(f'input[data-facet="{facet}"]').fill(value)
    expect(page).to_have_url(re.compile("more="))
    leads = page.locator('[data-relation="similar"] .facet-bar').first
    expect(leads).to_have_attribute("aria-label", re.compile("^color"))
    after = titles(page, "similar")
    assert after != before
    page.reload()
    expect(leads).to_have_attribute("aria-label", re.compile("^color"))
    assert titles(page, "similar") == after
    page.get_by_role("button", name="Reset").click()
    expect(leads).to_have_attribute("aria-label", re.compile("^shape"))
    assert titles(page, "similar") == before
    page.get_by_label("How varied the answers are").fill("1")
    expect(page.locator('[data-relation="similar"] .card-title')).not_to_have_text(before)


def test_a_picture_of_ones_own_is_asked_about_whole_and_in_part(visit: Visit, catalog: Path) -> None:
    """Chosen with the button, then cut out with the keys; a reload still knows the file."""
    page = visit.open()
    picture = next((catalog.parent / "products" / "pictures").glob("*.jpg"))
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name="Ask with a file").click()
    with page.expect_request("**/api/recommend/upload"):
        chosen.value.set_files(picture)
    assert titles(page, "similar")
    expect(page.get_by_role("heading", level=1)).to_have_text(picture.name)
    page.get_by_role("button", name="Cut out a part").click()
    frame = page.locator(".crop-frame")
    expect(frame).to_be_focused()
    with page.expect_request("**/api/recommend/upload"):
        page.keyboard.press("Shift+ArrowLeft")
    expect(page).to_have_url(re.compile(r"crop=0\.1%2C0\.1%2C0\.78%2C0\.8"))
    page.reload()
    assert titles(page, "similar")
    expect(frame).to_be_visible()
    box = frame.bounding_box()
    assert box is not None
    with page.expect_request("**/api/recommend/upload"):
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2 + 12, box["y"] + box["height"] / 2, steps=3)
        page.mouse.up()
    page.get_by_role("button", name="Whole picture").click()
    expect(page).not_to_have_url(re.compile("crop="))


DROP = """([name, type, bytes]) => {
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(bytes)], name, {type}));
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
    page.evaluate(DROP, ["notes.txt", "text/plain", [104, 105]])
    expect(page.locator(".toast")).to_contain_text("neither a picture nor a sound")
    song = next((catalog.parent / "songs").rglob("*.wav"), None) or next(
        (catalog.parent / "songs").rglob("*.[fo][lg]*")
    )
    page.evaluate(DROP, [song.name, "audio/x-any", list(song.read_bytes())])
    assert titles(page, "similar-track")
    page.evaluate(DROP, ["broken.png", "image/png", [1, 2, 3]])
    expect(page.locator(".answer .state-error").first).to_be_visible()


def test_two_songs_play_under_one_control(visit: Visit) -> None:
    """Both run at once; one hears B, then A after switching; a seek moves the song."""
    visit.expected = "/api/explain|status of 404"
    page = visit.open()
    first_song(page)
    assert titles(page, "similar-track")
    page.get_by_role("button", name=re.compile("^Listen to")).first.click()
    player = page.get_by_role("region", name="Player")
    expect(player.locator(".side-b")).to_have_class(re.compile("heard"))
    for side in ("a", "b"):
        expect(player.locator(f".side-{side} .time")).not_to_have_text(re.compile("^0:00"))
    player.get_by_role("button", name="Switch between A and B").click()
    expect(player.locator(".side-a")).to_have_class(re.compile("heard"))
    player.get_by_label("Crossfade from A to B").fill("1")
    expect(player.locator(".side-b")).to_have_class(re.compile("heard"))
    player.get_by_role("button", name="Pause").click()
    player.get_by_label(re.compile("^Position in")).first.fill("0")
    expect(player.locator(".side-a .time")).to_have_text(re.compile("^0:00 / 0:0[1-9]|^0:00 / 0:[1-9]"))
    player.get_by_role("button", name="Close the player").click()
    expect(player).to_be_hidden()


def answering(page: Page, path: str, answer: Callable[[Request], dict[str, object]]) -> None:
    """Answer requests to one path here, as the HTTP contract has it."""
    page.route(re.compile(rf"/api/{path}(\\?|$)"), lambda route: route.fulfill(json=answer(route.request)))


def reasons(request: Request) -> dict[str, object]:
    """Why two items are alike: two regions or two moments."""
    told = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
    facets = {"color": 0.7, "texture": 0.3} if told["relation"] == "style" else {"timbre": 0.6, "harmony": 0.4}
    regions = [
        {"facet": name, "a": [0.1, 0.2, 0.3, 0.4], "b": [0.5, 0.5, 0.2, 0.2], "strength": 0.5} for name in facets
    ]
    moments = [{"a": start, "b": 2 * start, "seconds": 2.0, "score": 0.9 - 0.1 * start} for start in (1.0, 3.0)]
    shared = {"score": 0.6, "closer_than": 0.98, "facets": facets, "cosines": {}, "notes": [], "modality": ""}
    words = {"sentence": "Alike <b>mostly</b> by one thing.", "words": ["a first reason", "a second one"]}
    return {**told, **shared, **words, "regions": regions, "moments": moments}


def test_two_pictures_say_why_by_regions_of_the_same_colour_and_number(visit: Visit) -> None:
    """A region lights up in both when its name is pointed at."""
    page = visit.open("#/?category=watch")
    answering(page, "explain", reasons)
    page.locator(".grid .card a").first.click()
    assert titles(page, "style")
    page.locator('[data-relation="style"] .why').first.click()
    expect(page.locator(".sentence")).to_have_text("Alike <b>mostly</b> by one thing.")
    expect(page.locator(".reasons li")).to_have_text(["a first reason", "a second one"])
    expect(page.locator(".region")).to_have_count(4)
    boxes = [page.locator(".region-frame").nth(side).bounding_box() for side in (0, 1)]
    first = page.locator(".region").first.bounding_box()
    assert boxes[0] is not None
    assert first is not None
    assert abs(first["x"] - boxes[0]["x"] - 0.1 * boxes[0]["width"]) < 2
    page.get_by_role("button", name=re.compile("^1 · color")).hover()
    expect(page.locator('.region[data-region="1"]').first).to_have_class(re.compile("dim"))
    expect(page.locator('.region[data-region="0"]').first).not_to_have_class(re.compile("dim"))


def test_two_songs_play_the_moments_that_match(visit: Visit) -> None:
    """Chosen in the picture, by name, or in the player: A from its moment, then B from its own."""
    page = visit.open()
    answering(page, "explain", reasons)
    page.route("**/api/explain.png*", lambda route: route.fulfill(body=b"", content_type="image/png"))
    first_song(page)
    assert titles(page, "similar-track")
    page.locator('[data-relation="similar-track"] .why').first.click()
    expect(page.locator(".ribbon")).to_have_count(2)
    player = page.get_by_role("region", name="Player")
    expect(player.locator(".side-a")).to_have_class(re.compile("heard"))
    page.get_by_role("button", name="0:03 in A ⇄ 0:06 in B").click()
    expect(player.locator(".side-a .time")).to_have_text(re.compile(r"^0:0[3-6]"))
    expect(player.locator(".side-b")).to_have_class(re.compile("heard"))
    expect(player.locator(".side-b .time")).to_have_text(re.compile(r"^0:0[6-9]"))
    expect(player.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.locator(".ribbon").first.click(force=True)
    expect(player.locator(".side-a .time")).to_have_text(re.compile(r"^0:0[1-4]"))


def test_a_playlist_is_made_changed_and_exported(visit: Visit) -> None:
    """From a song's own page; another way of making it has another address."""
    page = visit.open()
    found = page.request.get(f"{visit.home}/api/items?modality=audio").json()["items"]

    def playlist(request: Request) -> dict[str, object]:
        asked = request.post_data_json
        chosen = found if asked["mode"] == "radius" else found[::-1]
        tracks = [
            {"id": item["id"], "title": item["title"], "artist": None, "seconds": 61.0, "score": None}
            for item in chosen[: asked["length"]]
        ]
        return {
            "relation": "similar-track",
            "mode": asked["mode"],
            "seconds": 61.0 * len(tracks),
            "tracks": tracks,
            "notes": ["one note"],
        }

    answering(page, "playlist", playlist)
    first_song(page)
    page.get_by_role("link", name="Make a playlist").click()
    expect(page.locator(".line")).to_have_count(12)
    page.get_by_label("How many songs").fill("5")
    expect(page.locator(".line")).to_have_count(5)
    page.get_by_text("Onwards").click()
    expect(page.locator(".line b").first).to_have_text(found[-1]["title"])
    expect(page).to_have_url(re.compile("mode=chain"))
    expect(page.get_by_text("one note")).to_be_visible()
    name, text = downloaded(page, "M3U8 playlist")
    assert name.endswith(".m3u8")
    assert text.count("#EXTINF:61,") == 5
    page.get_by_role("button", name="Save as a list").click()
    expect(page.locator("#list-count")).to_have_text("5")


def test_an_outfit_is_completed_for_the_kinds_that_are_chosen(visit: Visit) -> None:
    """Each kind is switched on and off; the whole is saved as a list."""
    page = visit.open("#/?category=dress")
    pieces = {
        name: page.request.get(f"{visit.home}/api/items?category={name}").json()["items"][0]["id"]
        for name in ("bag", "hat", "boot", "backpack", "bottle", "chair", "lamp", "mug", "shoe", "t-shirt", "watch")
    }

    def outfit(request: Request) -> dict[str, object]:
        items = [{"slot": slot, "id": pieces[slot], "score": 0.5} for slot in request.post_data_json["slots"]]
        return {
            "relation": "style",
            "measure": "m",
            "alternatives": [{"score": 0.7, "price": 42.0, "items": items}],
            "notes": [],
        }

    answering(page, "complete", outfit)
    page.locator(".grid .card a").first.click()
    page.get_by_role("link", name="Complete the outfit").click()
    expect(page.locator(".piece")).to_have_count(4)
    for kind in page.locator('.chip[aria-pressed="true"]').all_inner_texts():
        page.get_by_role("button", name=kind, exact=True).click()
    expect(page.get_by_role("heading", name="Choose what is missing")).to_be_visible()
    page.get_by_role("button", name="hat", exact=True).click()
    expect(page.locator(".piece")).to_have_count(2)
    expect(page.locator(".outfit")).to_contain_text("42.00 in all")
    expect(page).to_have_url(re.compile("slot=hat"))
    page.get_by_role("button", name="Save as a list").click()
    expect(page.locator("#list-count")).to_have_text("2")


def downloaded(page: Page, name: str) -> tuple[str, str]:
    """What a button saves: the file's name and its text."""
    with page.expect_download() as saved:
        page.get_by_role("button", name=name).click()
    return saved.value.suggested_filename, Path(saved.value.path()).read_text(encoding="utf-8")


def test_what_is_saved_becomes_a_list_that_can_be_named_ordered_and_exported(visit: Visit, server: str) -> None:
    """CSV for everything, M3U8 for the songs; a reload keeps the list."""
    page = visit.open("#/?modality=audio")
    expect(page.locator(".total")).to_have_text("12 items")
    for place in range(3):
        card = page.locator(".grid .card").nth(place)
        card.hover()
        card.get_by_role("button", name=re.compile("^Save")).click()
    saved = [page.locator(".grid .card-title").nth(place).inner_text() for place in range(3)]
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
    assert [row["title"] for row in csv.DictReader(io.StringIO(text))] == wanted
    name, text = downloaded(page, "M3U8 playlist")
    lines = text.splitlines()
    assert (name, lines[0]) == ("For- tonight.m3u8", "#EXTM3U")
    entries = [line for line in lines if not line.startswith("#")]
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
    assert titles(page, "style")


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
    assert titles(page, "style")
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
    expect(page.locator(".total")).not_to_have_text("94 items")
    page.keyboard.press("Enter")
    expect(page.locator('[data-position="0"] a')).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    place = page.evaluate("Number(document.activeElement.closest('[data-position]').dataset.position)")
    columns = int(page.locator(".grid").get_attribute("aria-colcount") or 0)
    assert place == columns + 1
    assert page.locator('.grid a[tabindex="0"]').count() == 1
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


@pytest.mark.parametrize("visit", [PHONE], indirect=True)
def test_a_phone_shows_all_of_it_without_sideways_scrolling(visit: Visit) -> None:
    """Two columns of cards; filters fold away; an item's answers stand below each other."""
    page = visit.open()
    expect(page.locator(".grid")).to_have_attribute("aria-colcount", "2")
    fits = "document.documentElement.scrollWidth <= window.innerWidth"
    assert page.evaluate(fits)
    expect(page.get_by_label("Price to")).to_be_hidden()
    page.get_by_text("Filters", exact=True).tap()
    expect(page.get_by_label("Price to")).to_be_visible()
    page.locator(".grid .card a").first.tap()
    assert titles(page, "substitute")
    assert page.evaluate(fits)
    tops = [page.locator(f'[data-relation="{name}"]').bounding_box() for name in ("substitute", "style")]
    assert tops[0] is not None
    assert tops[1] is not None
    assert tops[0]["y"] < tops[1]["y"]


def test_light_and_dark_follow_the_system_until_one_is_chosen(visit: Visit) -> None:
    """The choice is kept."""
    page = visit.open()
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Dark colours").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark


def test_an_empty_catalog_names_the_command_that_fills_it(chromium: Browser, tmp_path: Path) -> None:
    """And shows the items once they are there."""
    from index.catalog import Catalog

    Catalog.create(tmp_path / "new.simkin").close()
    process, address = serving(tmp_path / "new.simkin")
    try:
        page = chromium.new_page()
        page.goto(address)
        expect(page.get_by_role("heading", name="This catalog is empty")).to_be_visible()
        expect(page.locator("pre")).to_contain_text("simkin index")
        page.close()
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()
