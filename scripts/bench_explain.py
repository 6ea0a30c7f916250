#!/usr/bin/env python3
"""Whether explanations are right: the deletion test, named regions against random ones.

Usage: scripts/bench_explain.py [SOURCE] [--pairs 200] [--relation NAME]... [--encoder NAME]... [--random 10] [--json]

SOURCE is a folder or a table of pictures, or a catalog of them; without it the demo's pictures are drawn. A pair
is an item, drawn at random, and its first answer. What is compared: the first region that the explanation names
in picture A is blurred in A, the picture is described again from its pixels, and the score with the unchanged
picture B is taken; likewise for B; what the two lose on average is the loss of the named region. Opponents are
--random boxes of the same size anywhere on the product, by the same rule on how much of the product they cover,
but on no grid. The loss of each is taken in the same way. Told are the share of pairs in which the named region
loses more than random ones do on average, the share of single random boxes that it beats, and both losses.

Explanations find regions by blurring windows themselves, with a blur of 0.7 of the region's side, so the test
with that blur shows that what is told is what was found. Blurs of 0.35 and 0.15, and a fill with the picture's
mean colour, are other deletions, which no explanation has seen.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import simkin
from index.errors import SimkinError
from index.explaining import explain
from index.explaining.occlusion import lost_without
from index.explaining.pair import read_pair
from index.explaining.regions import views_of
from simkin.demo.pictures import make_pictures

DELETIONS = {"blur 0.7": 0.7, "blur 0.35": 0.35, "blur 0.15": 0.15, "mean colour": None}


def losses(pair, views, bases, boxes, spread):
    """What the score loses without each box: float64 for the boxes of A and of B, shape (2, n)."""
    a, b = bases
    closeness = (lambda rows: pair.closeness(rows, b[None]), lambda rows: pair.closeness(a[None], rows))
    found = []
    for view, base, close, own in zip(views, bases, closeness, boxes, strict=True):
        whole = close(base[None])[0]
        lost = lost_without(view, base, close, own, spread)
        found.append(pair.scores(whole) - pair.scores(whole - lost))
    return np.array(found)


def measure(recommender, relation: str, pairs: int, opponents: int, seed: int) -> dict[str, object]:
    """All pairs of one relation."""
    rng = np.random.default_rng(seed)
    ids = recommender.item_ids("image")
    wins: dict[str, list[bool]] = {name: [] for name in DELETIONS}
    beaten: dict[str, list[float]] = {name: [] for name in DELETIONS}
    lost: dict[str, list[tuple[float, float]]] = {name: [] for name in DELETIONS}
    seconds = []
    without = 0
    for at in rng.permutation(len(ids)):
        if len(seconds) == pairs:
            break
        answer = recommender.query(ids[at], relation=relation, k=1)
        if not answer.hits:
            continue
        started = time.perf_counter()
        try:
            told = explain(recommender, ids[at], answer.hits[0].item_id, relation)
        except SimkinError as error:
            print(f"{ids[at]}: {error}")
            continue
        seconds.append(time.perf_counter() - started)
        if not told.regions:
            without += 1
            continue
        pair = read_pair(recommender, told.a, told.b, relation)
        views = views_of(recommender.catalog, pair)[:2]
        bases = [view.described() for view in views]
        named = [np.array([told.regions[0].a]), np.array([told.regions[0].b])]
        drawn = [view.look.random_boxes(opponents, seed=int(at) * 2 + side) for side, view in enumerate(views)]
        for name, spread in DELETIONS.items():
            both = [np.vstack([one, some]) for one, some in zip(named, drawn, strict=True)]
            own, *rest = losses(pair, views, bases, both, spread).mean(axis=0)
            others = np.array(rest)
            wins[name].append(bool(own > others.mean()))
            beaten[name].append(float(np.mean(own > others)))
            lost[name].append((float(own), float(others.mean())))
    return {
        "relation": relation,
        "pairs": len(seconds),
        "without region": without,
        "seconds": round(statistics.median(seconds), 3),
        **{
            name: {
                "beats the average": round(sum(wins[name]) / len(seconds), 3),
                "beats one": round(sum(beaten[name]) / len(seconds), 3),
                "named": round(float(np.median([own for own, _ in lost[name]])), 4),
                "random": round(float(np.median([other for _, other in lost[name]])), 4),
            }
            for name in DELETIONS
        },
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", type=Path)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--relation", action="append", dest="relations")
    parser.add_argument("--encoder", action="append", dest="encoders")
    parser.add_argument("--random", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        catalog = args.source
        if catalog is None or not (catalog / "catalog.db").is_file():
            source = catalog or make_pictures(Path(scratch) / "products")
            catalog = Path(scratch) / "c.simkin"
            simkin.index([source], catalog, simkin.IndexOptions(encoders=tuple(args.encoders or ("builtin-image",))))
        recommender = simkin.open(catalog)
        for relation in args.relations or ["similar", "substitute", "style"]:
            found = measure(recommender, relation, args.pairs, args.random, args.seed)
            if args.json:
                print(json.dumps(found), flush=True)
                continue
            print(
                f"{relation}: {found['pairs']} pairs, {found['without region']} without a region, "
                f"median {found['seconds']} s an explanation"
            )
            for name in DELETIONS:
                print(f"  {name:<12}", "  ".join(f"{key} {value}" for key, value in found[name].items()), flush=True)


if __name__ == "__main__":
    main()
