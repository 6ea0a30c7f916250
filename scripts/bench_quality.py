#!/usr/bin/env python3
"""How often a neighbour carries the query's label: simkin beside what a user would write instead.

Usage: scripts/bench_quality.py [SOURCE --label COLUMN [--relation NAME]... [--not-same COLUMN]] [-k 10] [--json]

SOURCE is a labelled folder (label: category) or a table with id, path and the label; without it, the
demo's products (category, color) and songs (style) are made and measured. Labels are hidden from the
catalog. Every item asks; P@1 and P@k are the shares of its nearest neighbours with its label. --not-same
leaves out candidates that share another column, as an artist filter does for songs. Beside simkin stand,
by cosine over whole files: 16×16 RGB pixels, scikit-image's HOG and a LAB histogram; for songs the mean
and deviation of librosa's MFCC.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

import simkin
from index.encoders import modality_of
from index.ingesting.tables import is_table, read_rows
from simkin.demo.pictures import make_pictures
from simkin.demo.songs import make_songs

Rows = list[dict[str, str]]


def read_items(source: Path) -> Rows:
    """Items of a table or folder: id, absolute path, and the labels."""
    if is_table(source):
        rows = [{name: str(values[0]) for name, values in row.items()} for _, row in read_rows(source)]
        return [{**row, "path": str(source.parent / row["path"])} for row in rows]
    files = sorted(path for path in source.rglob("*") if modality_of(path.name))
    return [{"id": str(p.relative_to(source)), "path": str(p), "category": p.parent.name} for p in files]


def precision(neighbours: dict[str, list[str]], rows: Rows, label: str, not_same: str, k: int) -> tuple[float, float]:
    """P@1 and P@k over all items."""
    by_id = {row["id"]: row for row in rows}
    first = at_k = 0.0
    for row in rows:
        found = [by_id[other] for other in neighbours[row["id"]]]
        found = [other for other in found if not not_same or other[not_same] != row[not_same]][:k]
        first += bool(found) and found[0][label] == row[label]
        at_k += sum(other[label] == row[label] for other in found) / k
    return first / len(rows), at_k / len(rows)


def by_cosine(rows: Rows, vectors: np.ndarray, depth: int) -> dict[str, list[str]]:
    """Neighbours of every item by cosine."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -np.inf)
    return {row["id"]: [rows[at]["id"] for at in np.argsort(-scores[n])[:depth]] for n, row in enumerate(rows)}


def by_simkin(rows: Rows, relation: str, depth: int) -> dict[str, list[str]]:
    """Neighbours of every item by simkin's command line's own job, from a table without labels."""
    found: dict[str, list[str]] = {row["id"]: [] for row in rows}
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "items.csv"
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([("id", "path"), *((row["id"], row["path"]) for row in rows)])
        simkin.index([table], Path(scratch) / "c")
        out = Path(scratch) / "out.jsonl"
        simkin.write_all(simkin.open(Path(scratch) / "c"), simkin.Query(relation=relation, k=depth), out)
        for line in out.open():
            row = json.loads(line)
            found[row["query"]].append(row["id"])
    return found


def picture_baselines(rows: Rows) -> dict[str, np.ndarray]:
    """What a user would write first, for pictures."""
    from skimage.color import rgb2lab
    from skimage.feature import hog

    pixels, gradients, colors = [], [], []
    for row in rows:
        with Image.open(row["path"]) as image:
            rgb = image.convert("RGB")
            pixels.append(np.asarray(rgb.resize((16, 16))).ravel() / 255)
            small = np.asarray(rgb.resize((128, 128)))
        gradients.append(hog(small, pixels_per_cell=(16, 16), channel_axis=2))
        lab = rgb2lab(small).reshape(-1, 3)
        colors.append(np.histogramdd(lab, (8, 8, 8), [(0, 100), (-80, 80), (-80, 80)])[0].ravel())
    return {"16×16 pixels": np.array(pixels), "HOG": np.array(gradients), "LAB histogram": np.array(colors)}


def song_baselines(rows: Rows) -> dict[str, np.ndarray]:
    """What a user would write first, for songs."""
    import librosa

    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in rows:
            mfcc = librosa.feature.mfcc(y=librosa.load(row["path"])[0], n_mfcc=20)
            found.append(np.hstack([mfcc.mean(axis=1), mfcc.std(axis=1)]))
    return {"MFCC mean + deviation": np.array(found)}


def measure(rows: Rows, label: str, relations: list[str], not_same: str, k: int) -> list[dict[str, object]]:
    """Every method on one set of items."""
    depth = len(rows) if not_same else 2 * k
    image = modality_of(rows[0]["path"]) == "image"
    ranked = {
        name: by_cosine(rows, vectors, depth)
        for name, vectors in (picture_baselines(rows) if image else song_baselines(rows)).items()
    }
    for relation in relations:
        ranked[f"simkin {relation}"] = by_simkin(rows, relation, depth)
    results = []
    for name, neighbours in ranked.items():
        p1, pk = precision(neighbours, rows, label, not_same, k)
        results.append(
            {"items": len(rows), "label": label, "method": name, "P@1": round(p1, 3), f"P@{k}": round(pk, 3)}
        )
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", type=Path)
    parser.add_argument("--label", default="category")
    parser.add_argument("--relation", action="append", dest="relations")
    parser.add_argument("--not-same", default="", metavar="COLUMN")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results = []
    if args.source:
        results = measure(read_items(args.source), args.label, args.relations or ["similar"], args.not_same, args.k)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            products = read_items(make_pictures(Path(scratch) / "products"))
            results += measure(products, "category", ["similar", "substitute"], "", args.k)
            results += measure(products, "color", ["style"], "", args.k)
            songs = read_items(make_songs(Path(scratch) / "songs"))
            results += measure(songs, "style", ["similar-track"], "artist", 5)
    for result in results:
        print(json.dumps(result) if args.json else "  ".join(f"{key}={value}" for key, value in result.items()))


if __name__ == "__main__":
    main()
