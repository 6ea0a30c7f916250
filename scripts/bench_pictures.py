#!/usr/bin/env python3
"""Measure how many pictures a second one core describes, beside the loop one would otherwise write.

Usage: scripts/bench_pictures.py [--folder DIR] [--pictures N] [--repeats N] [--quick] [--json]

Three contenders read the same JPEG files, in turns, in one process on one thread:

  builtin   the built-in picture encoder: read, decode, find the product, shape, color and texture
  loop      the same three kinds of descriptor as a user would write them with Pillow and scikit-image:
            hog, rgb2lab and a histogram, local_binary_pattern at four radii, on a 128-pixel square
  decode    Pillow decoding to RGB and nothing else: the ceiling

and, on one decoded square, each of our descriptors against scikit-image's. Without --folder the pictures
are drawn with a fixed seed. Reported are medians over the repeats with their range, and ratios taken
within each repeat, so that what else the machine does meanwhile hits all contenders alike.
Needs scikit-image (a development dependency) for the comparison; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from skimage.color import rgb2lab
from skimage.feature import hog, local_binary_pattern

from vision.builtin import BuiltinPictureEncoder
from vision.color import color_vector, rgb_to_lab
from vision.shape import shape_vector
from vision.texture import texture_vector

SIDE = 128
SEED = 20260
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="JPEG files to measure with instead of drawn ones (recursive)")
    parser.add_argument("--pictures", type=int, default=200, help="how many pictures (default 200)")
    parser.add_argument("--repeats", type=int, default=7, help="interleaved repeats (default 7)")
    parser.add_argument("--quick", action="store_true", help="20 pictures, 3 repeats")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    if any(os.environ.get(name) != "1" for name in ONE_THREAD):  # read by numpy when it is first imported
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **dict.fromkeys(ONE_THREAD, "1")})
    count, repeats = (20, 3) if args.quick else (args.pictures, args.repeats)
    if count < 1 or repeats < 1:
        parser.error("--pictures and --repeats must be at least 1")
    with tempfile.TemporaryDirectory() as scratch:
        if args.folder is None:
            paths = draw_pictures(Path(scratch), count)
        else:
            paths = sorted(p for p in args.folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))[:count]
        if not paths:
            sys.exit(f"no JPEG files under {args.folder}")
        result = {"pictures": len(paths), "repeats": repeats, **measure(paths, repeats)}
    if args.json:
        print(json.dumps(result))
    else:
        show(result)


def draw_pictures(folder: Path, count: int) -> list[Path]:
    """Draw shop-like 224-pixel JPEGs: one textured, coloured shape on a nearly white background."""
    rng = np.random.default_rng(SEED)
    paths = []
    for number in range(count):
        picture = Image.new("RGB", (224, 224), (252, 252, 252))
        colour = tuple(int(v) for v in rng.integers(20, 220, 3))
        surface = Image.effect_noise((224, 224), float(rng.uniform(5, 40))).filter(ImageFilter.GaussianBlur(1))
        surface_rgb = Image.blend(Image.new("RGB", (224, 224), colour), surface.convert("RGB"), 0.3)
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        outline = [
            (112 + float(rng.uniform(40, 100)) * np.cos(a), 112 + float(rng.uniform(40, 100)) * np.sin(a))
            for a in angles
        ]
        mask = Image.new("L", (224, 224), 0)
        ImageDraw.Draw(mask).polygon(outline, fill=255)
        picture.paste(surface_rgb, mask=mask)
        paths.append(folder / f"{number:04d}.jpg")
        picture.save(paths[-1], quality=90)
    return paths


def measure(paths: list[Path], repeats: int) -> dict[str, object]:
    """Pictures a second of each contender, and microseconds of each descriptor."""
    encoder = BuiltinPictureEncoder()
    rgb = np.asarray(Image.open(paths[0]).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))
    lab = rgb_to_lab(rgb)
    light = np.ascontiguousarray(lab[..., 0])
    mask = np.ones_like(light)
    rates = interleaved(
        {
            "builtin": lambda: [encoder.describe(path) for path in paths],
            "loop": lambda: [describe_with_skimage(path) for path in paths],
            "decode": lambda: [decode_only(path) for path in paths],
        },
        repeats,
    )
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "shape": (lambda: shape_vector(light), lambda: skimage_shape(light)),
        "color": (
            lambda: color_vector(rgb_to_lab(rgb)[::2, ::2], mask[::2, ::2]),
            lambda: skimage_color(rgb),
        ),
        "texture": (lambda: texture_vector(light, mask), lambda: skimage_texture(light)),
    }
    parts: dict[str, object] = {}
    for name, (ours, theirs) in pairs.items():
        times = interleaved({"ours": repeated(ours, 20), "skimage": repeated(theirs, 20)}, repeats)
        parts[name] = {
            "ours_us": spread([t / 20 * 1e6 for t in times["ours"]]),
            "skimage_us": spread([t / 20 * 1e6 for t in times["skimage"]]),
            "ratio": spread([b / a for a, b in zip(times["ours"], times["skimage"], strict=True)]),
        }
    return {
        "pictures_per_second": {name: spread([len(paths) / t for t in times]) for name, times in rates.items()},
        "builtin_over_loop": spread([b / a for a, b in zip(rates["builtin"], rates["loop"], strict=True)]),
        "decode_over_builtin": spread([a / b for a, b in zip(rates["builtin"], rates["decode"], strict=True)]),
        "descriptors": parts,
    }


def interleaved(contenders: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each contender, ``repeats`` times in turns, after one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats + 1):
        for name, work in contenders.items():
            start = time.process_time()
            work()
            if turn:
                times[name].append(time.process_time() - start)
    return times


def repeated(work: Callable[[], object], count: int) -> Callable[[], object]:
    """The same work ``count`` times, to get above the clock's resolution."""
    return lambda: [work() for _ in range(count)]


def spread(values: list[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def decode_only(path: Path) -> Image.Image:
    """Read and decode; nothing else."""
    with Image.open(path) as image:
        return image.convert("RGB")


def describe_with_skimage(path: Path) -> NDArray[np.floating]:
    """The loop: shrink to a square, then three descriptors."""
    rgb = np.asarray(decode_only(path).resize((SIDE, SIDE), Image.Resampling.BOX))
    light = np.asarray(Image.fromarray(rgb).convert("L"), dtype=np.float32)
    return np.concatenate([skimage_shape(light), skimage_color(rgb), skimage_texture(light)])


def skimage_shape(light: NDArray[np.float32]) -> NDArray[np.floating]:
    """Histograms of oriented gradients with scikit-image's usual settings, 8 × 8 cells."""
    return np.asarray(hog(light, orientations=9, pixels_per_cell=(16, 16), cells_per_block=(2, 2)))


def skimage_color(rgb: NDArray[np.uint8]) -> NDArray[np.floating]:
    """LAB histogram, 8 bins a side."""
    ranges = ((0, 100), (-50, 50), (-50, 50))
    return np.histogramdd(rgb2lab(rgb).reshape(-1, 3), bins=8, range=ranges)[0].ravel()


def skimage_texture(light: NDArray[np.float32]) -> NDArray[np.floating]:
    """Uniform local binary patterns at four radii."""
    grey = light.astype(np.uint8)
    codes = [local_binary_pattern(grey, 8, r, "nri_uniform") for r in (1, 2, 4, 8)]  # type: ignore[no-untyped-call]
    return np.concatenate([np.bincount(c.astype(int).ravel(), minlength=59) for c in codes]).astype(float)


def show(result: dict[str, object]) -> None:
    """Print the result as text."""

    def told(value: object) -> str:
        numbers = dict(value)  # type: ignore[call-overload]
        return f"{numbers['median']:9.1f}   ({numbers['low']:.1f} to {numbers['high']:.1f})"

    print(f"{result['pictures']} pictures, {result['repeats']} repeats, one core; median (lowest to highest)\n")
    for name, value in dict(result["pictures_per_second"]).items():  # type: ignore[call-overload]
        print(f"  {name:<22}{told(value)} pictures/s")
    print(f"  {'builtin : loop':<22}{told(result['builtin_over_loop'])} times as fast")
    print(f"  {'decode : builtin':<22}{told(result['decode_over_builtin'])} times as fast\n")
    for name, parts in dict(result["descriptors"]).items():  # type: ignore[call-overload]
        for key, unit in (("ours_us", "µs"), ("skimage_us", "µs"), ("ratio", "times as fast")):
            print(f"  {name + ' ' + key.removesuffix('_us'):<22}{told(parts[key])} {unit}")


if __name__ == "__main__":
    main()
