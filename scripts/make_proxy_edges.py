#!/usr/bin/env python3
"""Edges between products, derived from what a table says of them: a proxy where no behaviour is at hand.

Usage: scripts/make_proxy_edges.py TABLE --out DIR [--each 12] [--seed 0]

Writes DIR/style.csv and DIR/substitute.csv (source,target), both between items of TABLE (columns id, category,
color, and any of gender, season, usage):

  style        another category, the same gender, season and usage, and colours that harmonise: the same, a
               neutral one with any, or neighbours on the colour wheel.
  substitute   the same category, gender and colour.

For every item up to --each partners are drawn. Nobody has clicked on these: what is learned from them shows how
learning behaves, not what people like.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections import defaultdict
from pathlib import Path

NEUTRAL = frozenset(
    "black white grey gray silver cream beige off-white khaki brown tan nude taupe charcoal steel skin".split()
)
WHEEL = ("red", "orange", "yellow", "green", "teal", "blue", "navy blue", "purple", "magenta", "pink")
NEAR = 1
"""Steps on the wheel over which colours still go together."""


def harmonise(one: str, other: str) -> bool:
    """Whether two colours go together."""
    one, other = one.lower(), other.lower()
    if one == other or one.split()[0] in NEUTRAL or other.split()[0] in NEUTRAL:
        return True
    if one not in WHEEL or other not in WHEEL:
        return False
    steps = abs(WHEEL.index(one) - WHEEL.index(other))
    return min(steps, len(WHEEL) - steps) <= NEAR


def partners(rows: list[dict[str, str]], relation: str, each: int, rng: random.Random) -> list[tuple[str, str]]:
    """Draw edges of one relation."""
    same = ("category", "gender", "color") if relation == "substitute" else ("gender", "season", "usage")
    lots: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        lots[tuple(row.get(name, "") for name in same)].append(row)
    edges = set()
    for lot in lots.values():
        for row in lot:
            found = 0
            for other in rng.sample(lot, min(len(lot), 40 * each)):
                fits = other["id"] != row["id"]
                if relation == "style":
                    fits = fits and other["category"] != row["category"] and harmonise(row["color"], other["color"])
                if fits:
                    edges.add(tuple(sorted((row["id"], other["id"]))))
                    found += 1
                if found == each:
                    break
    return sorted(edges)


def main() -> None:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--each", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with args.table.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    args.out.mkdir(parents=True, exist_ok=True)
    for relation in ("style", "substitute"):
        edges = partners(rows, relation, args.each, random.Random(args.seed))
        with (args.out / f"{relation}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("source", "target"), *edges])
        print(f"{args.out / relation}.csv: {len(edges):,} edges between {len(rows):,} items")


if __name__ == "__main__":
    main()
