"""Product pictures for ``simkin demo``: drawn, varied like photographs, written as JPEG with a table.

Nothing here is random beyond the seed: the same seed gives the same files.
"""

from __future__ import annotations

import csv
import io
import math
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from simkin.demo.drawing import COLORS, draw
from simkin.demo.silhouettes import SHAPES

PER_KIND = 20
"""Pictures of each kind of product: every colour twice."""
COLUMNS = ("id", "path", "category", "color", "pattern", "price", "title")

_QUALITY = 88
_QUALITY_AGAIN = 55

PATTERNS: dict[str, str] = {
    "plain": "",
    "stripes": "striped",
    "dots": "dotted",
    "checks": "checked",
    "zigzag": "zigzag",
}
"""Each pattern and its word in a title."""
_PRICES = {
    "shoe": 69, "boot": 119, "bag": 89, "backpack": 59, "mug": 12, "chair": 149,
    "lamp": 64, "t-shirt": 19, "dress": 79, "hat": 29, "bottle": 18, "watch": 139,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Product:
    """One row of the table."""

    item_id: str
    category: str
    color: str
    pattern: str
    price: float
    title: str


def make_pictures(folder: Path, seed: int = 7) -> Path:
    """Write product pictures and their table.

    Args:
        folder: Where to; created if need be. Pictures go to ``folder/pictures``.
        seed: Same seed, same bytes.

    Returns:
        The table, ``folder/products.csv``, with columns `COLUMNS`; paths are relative to it.
        Its last three rows are products that occur before, under another id:
        one a copy of the file, two encoded again at lower quality.
    """
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    products = _assortment(rng)
    for product in products:
        picture = draw(product.category, product.color, product.pattern, rng)
        picture.save(folder / _path(product), quality=_QUALITY)
    products += [_photograph_again(folder, product, copy=n == 0) for n, product in enumerate(rng.sample(products, 3))]
    table = folder / "products.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for p in products:
            rows.writerow((p.item_id, _path(p), p.category, p.color, p.pattern, f"{p.price:.2f}", p.title))
    return table


def _path(product: Product) -> str:
    return f"pictures/{product.item_id}.jpg"


def _assortment(rng: random.Random) -> list[Product]:
    """Every colour equally often in each kind, patterns dealt in turn."""
    products = []
    for category in SHAPES:
        colors = [color for _ in range(PER_KIND // len(COLORS)) for color in rng.sample(list(COLORS), len(COLORS))]
        patterns = [pattern for _ in range(PER_KIND // len(PATTERNS)) for pattern in rng.sample(list(PATTERNS), 5)]
        for number, (color, pattern) in enumerate(zip(colors, patterns, strict=True), start=1):
            price = math.floor(_PRICES[category] * rng.uniform(0.7, 1.5)) + rng.choice((0.0, 0.5, 0.9))
            title = " ".join(word for word in (color, PATTERNS[pattern], category) if word).capitalize()
            item_id = f"{category}-{color}-{pattern}-{number:02d}"
            products.append(Product(item_id, category, color, pattern, price, title))
    return products


def _photograph_again(folder: Path, product: Product, *, copy: bool) -> Product:
    """Write a product's picture once more, as a copy or encoded anew, and return its second entry."""
    again = Product(
        f"{product.item_id}-again", product.category, product.color, product.pattern, product.price, product.title
    )
    data = (folder / _path(product)).read_bytes()
    if copy:
        (folder / _path(again)).write_bytes(data)
    else:
        with Image.open(io.BytesIO(data)) as picture:
            picture.save(folder / _path(again), quality=_QUALITY_AGAIN)
    return again
