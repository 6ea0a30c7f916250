#!/usr/bin/env python3
"""Measure tuning: products drawn under changing pose, light and colour cast, and how well unseen ones are found again.

Usage: scripts/bench_tune.py [--products 100] [--photos 5] [--seeds 3] [--network timm:ARCH] [--json]

A product is one of the demo's silhouettes with colours, a pattern and proportions of its own. Each photo turns, shifts,
scales and mirrors it, lights it from one side and casts a colour over everything, stronger than products differ.
The network begins with what it learned by telling half as many other products apart, on its own (`--epochs`), so that
nothing is downloaded. A quarter of the products is held out whole; recall@1 and recall@20 ask each of their photos for
another photo of the product among all photos held out.

  raw          the network's features, as a catalog compares them
  whitened     the same with their variance evened out, learned from the other photos without knowing the products
  triplets     a linear map fitted to the other products' pairs without torch (`simkin learn --method triplets`)
  head         `simkin tune --train head`
  blocks       `simkin tune --train blocks:2`

Figures are medians over seeds. Needs torch: pip install 'simkin[torch]'.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from index.catalog import Catalog
from index.encoders import open_tuner
from index.engine.spaces import unit_rows
from index.ingesting.ingest import IndexOptions, ingest
from index.learning.kin import kin_of
from index.learning.kin_recall import first_kin
from index.learning.kin_split import split_kin
from index.learning.splits import TEST, TRAIN
from index.learning.triplets import fit_triplets
from index.learning.tune import TuneOptions, tune
from simkin.demo.silhouettes import SHAPES, trace

SIDE = 160
OTHERS = {"light": (244, 240, 232), "dark": (50, 46, 48), "metal": (176, 178, 184), "wood": (158, 112, 72)}


def photo(product: int, seed: int, rng: np.random.Generator) -> Image.Image:
    """One photo of a product: what is drawn from ``rng`` is nuisance, the rest is the product's own."""
    own = np.random.default_rng([seed, product])
    models = [parts for kind in SHAPES.values() for parts in kind]
    parts = models[int(own.integers(len(models)))]
    body, second = (tuple(int(part) for part in own.integers(40, 220, 3)) for _ in range(2))
    stripes, slant, aspect = own.uniform(3, 14), own.uniform(0, math.pi), own.uniform(0.8, 1.25)
    angle, scale, flip = rng.normal(0, 0.15), rng.uniform(0.9, 1.25) * SIDE / 100, rng.choice([-1, 1])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = turn @ np.diag([flip * scale * aspect, scale / aspect])
    shift = SIDE / 2 + rng.uniform(-14, 14, 2)
    image = Image.new("RGB", (SIDE, SIDE), tuple(int(part) for part in rng.integers(190, 256, 3)))
    down, across = np.mgrid[0:SIDE, 0:SIDE] - SIDE / 2
    wave = (across * flip * math.cos(slant + flip * angle) + down * math.sin(slant + flip * angle)) / (stripes * scale)
    cloth = Image.fromarray(np.where((wave % 1 < 0.5)[..., None], body, second).astype(np.uint8))
    for part in parts:
        points = [(x, y) for x, y in ((trace(part.outline) - 50) @ matrix.T + shift).tolist()]
        mask = Image.new("L", image.size)
        if part.stroke:
            ImageDraw.Draw(mask).line(points, fill=255, width=max(2, round(part.stroke * scale)), joint="curve")
        else:
            ImageDraw.Draw(mask).polygon(points, fill=255)
        image.paste(cloth if part.paint == "body" else OTHERS.get(part.paint, second), (0, 0), mask)
    light = 1 + rng.uniform(-0.35, 0.35) * across / SIDE + rng.uniform(-0.35, 0.35) * down / SIDE
    cast = rng.uniform(0.55, 1.3, 3)
    pixels = np.asarray(image, np.float64) * light[..., None] * cast + rng.normal(0, 4, (SIDE, SIDE, 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def trained_start(network: str, photos: list[Path], products: list[int], epochs: int, out: Path, seed: int) -> None:
    """Train a timm network to tell products apart, and write its weights."""
    import timm
    import torch

    from vision.torch_models import load_torch

    torch.manual_seed(seed)
    how = load_torch(f"{network}?untrained").preprocessing
    pixels = torch.from_numpy(np.concatenate([how.apply(Image.open(path).convert("RGB")) for path in photos]))
    labels = torch.tensor(products)
    model = timm.create_model(network.partition(":")[2], num_classes=max(products) + 1).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(32):
            flipped = pixels[rows].flip(3) if torch.rand(()) < 0.5 else pixels[rows]
            loss = torch.nn.functional.cross_entropy(model(flipped), labels[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    torch.save(model.state_dict(), out)


def measured(folder: Path, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """Recalls of one seed."""
    rng = np.random.default_rng(seed)
    written: dict[str, tuple[list[Path], list[int]]] = {"known": ([], []), "shop": ([], [])}
    for number in range(args.products + args.products // 2):
        part, own = ("shop", number) if number < args.products else ("known", number - args.products)
        for shot in range(args.photos):
            path = folder / f"{part}-{own:04d}-{shot}.jpg"
            photo(number, seed, rng).save(path, quality=90)
            written[part][0].append(path)
            written[part][1].append(own)
    trained_start(args.network, *written["known"], args.epochs, folder / "start.pth", seed)
    table = folder / "shop.csv"
    rows = [f"{path.stem},{path},p{own}" for path, own in zip(*written["shop"], strict=True)]
    table.write_text("\n".join(["id,path,product", *rows]))
    encoder = f"{args.network}?checkpoint={folder / 'start.pth'}"
    found: dict[str, float] = {}
    with Catalog.create(folder / "shop.simkin") as catalog:
        ingest(catalog, [table], IndexOptions())
        for name, train in (("head", "head"), ("blocks", "blocks:2")):
            options = TuneOptions(encoder, folder / "t.onnx", label="product", train=train, seed=seed, force=True)
            began = time.perf_counter()
            report = tune(catalog, None, options)
            found[f"{name}: seconds"] = time.perf_counter() - began
            for ours, theirs in (("raw", "untouched"), ("whitened", "whitened"), (name, "tuned")):
                for depth in (1, 20):
                    found[f"{ours}: recall@{depth}"] = report.verdict.recalls[theirs][f"recall@{depth}"].value
            found["photos asked"] = float(report.verdict.asked)
        kin = kin_of(catalog, label="product", groups_of=lambda items: items)
        tuner = open_tuner(encoder, blocks=0, loss="triplet", hidden=0, dim=64, epochs=1, seed=seed)
        features, _ = tuner.read(kin.paths, folder / "features", lambda *_: None)
    split = split_kin(kin, seed)
    learnt, asked = split.rows(TRAIN), split.rows(TEST)
    pairs = [
        pair
        for one in np.unique(kin.classes[learnt])
        for pair in itertools.combinations(np.flatnonzero(kin.classes[learnt] == one).tolist(), 2)
    ]
    linear = fit_triplets(features[learnt], np.array(pairs), rank=min(64, features.shape[1]), seed=seed)
    projected = linear.project(features)
    ranks = first_kin(
        kin, asked, unit_rows(projected[asked] - projected[learnt].mean(axis=0)), seed=seed, by_item=False
    )
    for depth in (1, 20):
        found[f"triplets: recall@{depth}"] = float(ranks.hits(depth).mean())
    return found


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=100, help="products of the shop (default 100)")
    parser.add_argument("--photos", type=int, default=5, help="photos of each (default 5)")
    parser.add_argument("--epochs", type=int, default=12, help="of the network's first training (default 12)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds (default 3)")
    parser.add_argument("--network", default="timm:test_resnet", help="architecture (default timm:test_resnet)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    every = []
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory(prefix="simkin-bench-") as folder:
            os.environ["SIMKIN_CACHE"] = str(Path(folder) / "cache")
            every.append(measured(Path(folder), seed, args))
            told = ", ".join(f"{key} {value:.3f}" for key, value in every[-1].items() if key.endswith("@20"))
            print(f"seed {seed}: {told}", file=sys.stderr)
    figures = {key: statistics.median(one[key] for one in every) for key in every[0]}
    if args.json:
        print(json.dumps({"seeds": args.seeds, "figures": figures}))
        return
    print(f"{'':<10}{'recall@1':>10}{'recall@20':>11}   medians of {args.seeds} seeds")
    for name in ("raw", "whitened", "triplets", "head", "blocks"):
        print(f"{name:<10}{figures[f'{name}: recall@1']:>10.3f}{figures[f'{name}: recall@20']:>11.3f}")
    print(f"head {figures['head: seconds']:.0f} s, blocks {figures['blocks: seconds']:.0f} s")


if __name__ == "__main__":
    main()
