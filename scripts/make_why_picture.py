#!/usr/bin/env python3
"""Draw README's picture of reasons: what the demo catalog really explains.

Usage: simkin demo && scripts/make_why_picture.py [--catalog simkin-demo/demo.simkin] [--out docs/why.png]
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image

import simkin
from index.explaining import explain

PAIR = ("mug-red-stripes-01", "style")
"""Whose first answer is explained, and the relation."""


def main() -> None:
    """Ask, explain and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", type=Path, default=Path("simkin-demo/demo.simkin"))
    parser.add_argument("--out", type=Path, default=Path("docs/why.png"))
    parser.add_argument("--item", default=PAIR[0])
    parser.add_argument("--relation", default=PAIR[1])
    args = parser.parse_args()
    recommender = simkin.open(args.catalog)
    hit = recommender.query(args.item, relation=args.relation, k=1).hits[0]
    found = explain(recommender, args.item, hit.item_id, args.relation)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    Image.open(io.BytesIO(found.png())).quantize(256).save(args.out, optimize=True)
    print(args.out)


if __name__ == "__main__":
    main()
