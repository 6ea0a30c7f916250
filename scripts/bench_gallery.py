#!/usr/bin/env python3
"""The gallery in Chromium: time until the first view is usable, and how smoothly a large catalog scrolls.

Usage: scripts/bench_gallery.py [--items 100000] [--runs 7] [--keep FOLDER] [--json]

Makes a catalog of vectors (as bench_recall.py does) whose items show 500 small pictures drawn here, serves it with
`simkin serve`, and opens the gallery in a fresh profile for each run. Needs the extra [test] and a Chromium.

Times run from the start of the navigation: `cards` until every place on the screen holds a card that can be opened,
`pictures` until each of these shows its picture. Scrolling moves 100 pixels a frame, over 400 frames; a frame is long
above 50 ms. `blank` is the same scrolling over an empty page, on the same machine and without a graphics card.
`jump` is the time from a jump to the middle of the catalog until the screen is full of cards again.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from bench_recall import make_catalog
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, sync_playwright

from index.catalog import Catalog
from index.engine.build import build_if_needed

PICTURES, SIDE = 500, 400
ARGUMENTS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split()

WATCH = """
window.seen = {};
const seenCards = () => [...document.querySelectorAll('.grid [data-position]')].filter((cell) => {
  const {top, bottom} = cell.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
});
const look = () => {
  const cells = seenCards();
  if (cells.length && cells.every((cell) => cell.querySelector('a'))) {
    window.seen.cards ??= performance.now();
    if (cells.every((cell) => cell.querySelector('img.loaded'))) window.seen.pictures ??= performance.now();
  }
  if (!window.seen.pictures) requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""

SCROLL = """async () => {
  const frames = [];
  let before = performance.now();
  for (let frame = 0; frame < 400; frame++) {
    scrollBy({top: 100, behavior: 'instant'});
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - before);
    before = now;
  }
  return frames;
}"""

JUMP = """async () => {
  const started = performance.now();
  scrollTo({top: document.documentElement.scrollHeight / 2, behavior: 'instant'});
  for (;;) {
    await new Promise(requestAnimationFrame);
    const cells = [...document.querySelectorAll('.grid [data-position]')].filter((cell) => {
      const {top, bottom} = cell.getBoundingClientRect();
      return bottom > 0 && top < innerHeight;
    });
    if (cells.length && cells.every((cell) => cell.querySelector('a'))) return performance.now() - started;
  }
}"""


def main() -> None:
    """Make the catalog, serve it, open it, print figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="Make the catalog here, or use the one made here before.")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        sys.exit("no chromium on the path")
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        catalog = folder / f"{args.items}.simkin"
        if not catalog.exists():
            make(folder, catalog, args.items)
        words = [sys.executable, "-m", "simkin", "serve", "--port", "0", "--catalog", str(catalog)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            if not found:
                sys.exit("simkin serve told no address")
            try:
                with sync_playwright() as driver:
                    browser = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
                    figures = measure(browser, found[0], args.runs)
                    browser.close()
            finally:
                server.terminate()
    print(json.dumps(figures) if args.json else told(args.items, figures))


def make(folder: Path, catalog: Path, items: int) -> None:
    """Fill a catalog and draw what its items show."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    for number in range(PICTURES):
        image = Image.new("RGB", (SIDE, SIDE), tuple(random.integers(200, 256, 3).tolist()))
        pen = ImageDraw.Draw(image)
        for _ in range(12):
            left, top, width, height = random.integers(20, 200, 4).tolist()
            pen.ellipse((left, top, left + width, top + height), fill=tuple(random.integers(0, 256, 3).tolist()))
        image.save(pictures / f"{number}.jpg", quality=88)
    make_catalog(catalog, items)
    with Catalog.open(catalog) as opened:
        with opened.writing(), opened.connection as sql:
            sql.execute("UPDATE sources SET location = ?", (bytes(pictures.absolute()),))
            sql.execute("UPDATE media SET path = CAST((item % ?) || '.jpg' AS BLOB)", (PICTURES,))
        build_if_needed(opened)


def measure(browser: Browser, address: str, runs: int) -> dict[str, float]:
    """Open it so many times; scroll and jump in the last page."""
    first: list[dict[str, float]] = []
    for _ in range(runs + 1):  # the first finds the server cold, and is left out
        page = fresh(browser)
        page.add_init_script(WATCH)
        page.goto(address)
        page.locator(".grid img.loaded").first.wait_for()
        while "pictures" not in page.evaluate("window.seen"):
            page.wait_for_timeout(20)
        first.append(page.evaluate("window.seen"))
        scrolled = page.evaluate(SCROLL)
        jumped = page.evaluate(JUMP)
        page.context.close()
    blank = fresh(browser)
    blank.set_content("<body style='margin: 0; height: 3000000px'></body>")
    plain = blank.evaluate(SCROLL)
    return {
        "cards_s": statistics.median(one["cards"] for one in first[1:]) / 1000,
        "pictures_s": statistics.median(one["pictures"] for one in first[1:]) / 1000,
        "cold_cards_s": first[0]["cards"] / 1000,
        "frame_median_ms": statistics.median(scrolled),
        "frame_p95_ms": float(np.percentile(scrolled, 95)),
        "frame_worst_ms": max(scrolled),
        "long_frames_percent": 100 * sum(frame > 50 for frame in scrolled) / len(scrolled),
        "blank_frame_median_ms": statistics.median(plain),
        "blank_long_frames_percent": 100 * sum(frame > 50 for frame in plain) / len(plain),
        "jump_s": jumped / 1000,
    }


def fresh(browser: Browser) -> Page:
    """A page of a new profile."""
    return browser.new_context(viewport={"width": 1440, "height": 900}).new_page()


def told(items: int, figures: dict[str, float]) -> str:
    """The figures for people."""
    return "\n".join(
        (
            f"{items:,} items",
            f"  first view: cards {figures['cards_s']:.2f} s, pictures {figures['pictures_s']:.2f} s"
            f" (server just started: cards {figures['cold_cards_s']:.2f} s)",
            f"  scrolling: a frame {figures['frame_median_ms']:.0f} ms, 95 % within {figures['frame_p95_ms']:.0f} ms,"
            f" worst {figures['frame_worst_ms']:.0f} ms, {figures['long_frames_percent']:.1f} % long",
            f"  blank page: a frame {figures['blank_frame_median_ms']:.0f} ms,"
            f" {figures['blank_long_frames_percent']:.1f} % long",
            f"  jump to the middle: {figures['jump_s']:.2f} s",
        )
    )


if __name__ == "__main__":
    main()
