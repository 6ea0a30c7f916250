#!/usr/bin/env python3
"""Draw README's picture: what the demo catalog really answers.

Usage: simkin demo && scripts/make_readme_picture.py [--catalog simkin-demo/demo.simkin] [--out docs/answers.png]

The first column is the query, the others are the answers, best first, with score and facet shares.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import simkin

QUERIES = (
    ("mug-red-stripes-01", "substitute"),
    ("mug-red-stripes-01", "style"),
    ("boot-blue-plain-09", "substitute"),
    ("boot-blue-plain-09", "style"),
)
ANSWERS, SIDE, GAP, TEXT = 5, 170, 12, 46


def main() -> None:
    """Ask and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", type=Path, default=Path("simkin-demo/demo.simkin"))
    parser.add_argument("--out", type=Path, default=Path("docs/answers.png"))
    args = parser.parse_args()
    recommender = simkin.open(args.catalog)
    width = (ANSWERS + 1) * (SIDE + GAP) + 3 * GAP
    sheet = Image.new("RGB", (width, len(QUERIES) * (SIDE + TEXT + GAP) + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    font, bold = ImageFont.load_default(13), ImageFont.load_default(15)
    for row, (item_id, relation) in enumerate(QUERIES):
        top = GAP + row * (SIDE + TEXT + GAP)
        answer = recommender.query(item_id, relation=relation, k=ANSWERS)
        query = recommender.catalog.item(item_id)
        cells = [(query.paths[0], f"{relation} of", item_id)]
        for hit in answer.hits:
            shares = sorted(hit.facets.items(), key=lambda pair: -pair[1])[:2]
            text = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares)
            cells.append((hit.paths[0], f"{hit.rank}.  {hit.score:.2f}", text))
        for column, (path, first, second) in enumerate(cells):
            left = GAP + column * (SIDE + GAP) + (GAP if column else 0)
            with Image.open(path) as image:
                sheet.paste(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS), (left, top))
            if not column:
                pen.rectangle((left - 3, top - 3, left + SIDE + 2, top + SIDE + 2), outline="#2a6fdb", width=3)
            pen.text((left, top + SIDE + 5), first, fill="black", font=bold)
            pen.text((left, top + SIDE + 24), second, fill="#555555", font=font)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(256).save(args.out, optimize=True)
    print(args.out)


if __name__ == "__main__":
    main()
