#!/usr/bin/env python3
"""Photograph the gallery for README: what the demo's catalog shows in Chromium.

Usage: simkin demo && scripts/make_gallery_pictures.py [--catalog simkin-demo/demo.simkin] [--out docs]

Needs the extra [test] and a Chromium. Writes gallery.png and gallery-songs.png, of at most 256 colours.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURE, SONG, OTHER = "mug-red-stripes-01", "folk-01", "folk-05"
ARGUMENTS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split()


def main() -> None:
    """Serve the catalog, open the views, save what they show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", type=Path, default=Path("simkin-demo/demo.simkin"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    args = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        sys.exit("no chromium on the path")
    words = [sys.executable, "-m", "simkin", "serve", "--port", "0", "--catalog", str(args.catalog)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        if not found:
            sys.exit("simkin serve told no address")
        try:
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
                page = browser.new_page(viewport={"width": 1360, "height": 850})
                page.set_default_timeout(120_000)
                page.goto(f"{found[0]}/#/ask?{urlencode({'id': PICTURE})}")
                page.locator(".hits [data-id]").first.wait_for()
                save(page, args.out / "gallery.png")
                page.goto(f"{found[0]}/#/why?{urlencode({'a': SONG, 'b': OTHER, 'relation': 'similar-track'})}")
                page.locator(".wave[d*='M10.0']").first.wait_for(state="attached")  # until the songs are decoded
                save(page, args.out / "gallery-songs.png")
                browser.close()
        finally:
            server.terminate()


def save(page: Page, path: Path) -> None:
    """Wait until every picture is there, and write what is on the screen."""
    page.wait_for_load_state("networkidle")
    page.evaluate("Promise.all([...document.images].filter((one) => one.checkVisibility()).map((one) => one.decode()))")
    with Image.open(io.BytesIO(page.screenshot())) as shown:
        shown.convert("RGB").quantize(256).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
