#!/usr/bin/env python3
"""Measure networks: onnxruntime against torch, and files to vectors against the bare session and a user's loop.

Usage: scripts/bench_encode.py [--models DIR] [--pictures N] [--repeats N] [--only PART]... [--quick] [--json]

Parts, each with contenders that take turns, so that what else the machine does meanwhile hits all alike:

  runtime   per network: torch eager, batches of 8 on all cores; onnxruntime as simkin runs it, one
            single-threaded session in each of as many processes as there are cores, one picture at a time.
            Both give the same outputs: pooled features, style statistics and the last feature map.
            ResNet50 once more in 8-bit numbers, as `simkin export --int8` keeps them on made pictures.
  files     per network: JPEG files of one megapixel to vectors by OnnxPictureEncoder.describe; the bare
            session on ready tensors; bare decoding with Pillow; and the loop one would otherwise write,
            timm's own transform in a DataLoader with a worker per core, torch eager, batches of 8,
            pooled features only. With --photos DIR, these files instead of made ones.

The networks are timm's with random weights, converted at the start (kept in --models): speed does not
depend on what a network has learned. Reported are medians of pictures per second, and medians of the
ratios taken within each repeat. Needs torch: pip install 'simkin[torch]'. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CORES = len(os.sched_getaffinity(0))
RUNTIME = ("mobilenetv3_small_100", "convnext_atto", "resnet50")
FILES = ("resnet50", "mobilenetv3_small_100")
INT8 = ("resnet50",)
"""Networks that are measured in 8-bit numbers, too, as `simkin export --int8` makes them."""
BATCH = 8
SHAPE = (864, 1152)
"""One megapixel, rows and columns."""


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder to keep converted networks in (default: a temporary one)")
    parser.add_argument("--photos", type=Path, help="JPEG files to measure with instead of made ones (recursive)")
    parser.add_argument("--pictures", type=int, default=96, help="pictures in each turn (default 96)")
    parser.add_argument("--repeats", type=int, default=7, help="interleaved repeats (default 7)")
    parser.add_argument("--only", action="append", choices=["runtime", "files"], help="measure this part only")
    parser.add_argument("--quick", action="store_true", help="16 pictures, 3 repeats")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    count, repeats = (2 * BATCH, 3) if args.quick else (args.pictures, args.repeats)
    count = max(1, round(count / (BATCH * CORES))) * BATCH * CORES  # whole batches for every core
    if repeats < 1:
        parser.error("--repeats must be at least 1")
    result: dict[str, Any] = {"cores": CORES, "pictures": count, "repeats": repeats}
    with tempfile.TemporaryDirectory() as scratch:
        models = args.models or Path(scratch)
        for part, measure, networks in (("runtime", runtime, RUNTIME), ("files", files, FILES)):
            if args.only and part not in args.only:
                continue
            paths = (photos(args.photos) if args.photos else made_photos(Path(scratch), 24)) if part == "files" else []
            result[part] = {name: measure(name, models, count, repeats, paths) for name in networks}
    if args.json:
        print(json.dumps(result))
    else:
        show(result)


def converted(name: str, folder: Path, *, int8: bool = False) -> Path:
    """Convert a network, unless the folder has it."""
    from vision.export import export

    path = folder / f"{name}{'-int8' if int8 else ''}.onnx"
    if not path.is_file():
        print(f"converting {path.stem} …", file=sys.stderr)
        parity = export(f"timm:{name}?untrained", path, int8=int8)
        if int8:
            print(f"{name}: {parity.int8}", file=sys.stderr)
    return path


def photos(folder: Path) -> list[Path]:
    """JPEG files below a folder."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        sys.exit(f"no JPEG files under {folder}")
    return found[:200]


def made_photos(folder: Path, count: int) -> list[Path]:
    """Write JPEG files of one megapixel, quality 90, as detailed as photos: 200 to 400 kB."""
    from vision.samples import made_pictures

    rng = np.random.default_rng(5)
    paths = []
    for number, rgb in enumerate(made_pictures(count)):
        large = np.asarray(Image.fromarray(rgb).resize(SHAPE[::-1], Image.Resampling.BICUBIC), np.int16)
        grain = rng.normal(0, 6, (*SHAPE, 1)).astype(np.int16)
        paths.append(folder / f"{number:03d}.jpg")
        Image.fromarray(np.clip(large + grain, 0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


# ---- Contenders --------------------------------------------------------------------------------------


class Workers:
    """As many processes as cores, each with one single-threaded session of a network; they end with this one."""

    def __init__(self, model: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.ends: list[Connection] = []
        for _ in range(CORES):
            ours, theirs = context.Pipe()
            context.Process(target=serve, args=(theirs, model), daemon=True).start()
            self.ends.append(ours)
        self.ask("session", [Path()] * CORES)

    def ask(self, task: str, paths: Sequence[Path]) -> float:
        """Have all paths worked on, and return the pictures per second."""
        start = time.perf_counter()
        for at, end in enumerate(self.ends):
            end.send((task, list(paths[at::CORES])))
        for end in self.ends:
            end.recv()
        return len(paths) / (time.perf_counter() - start)


def serve(end: Connection, model: Path) -> None:
    """Answer tasks until told to stop; runs in a process of its own."""
    from vision.onnx_encoder import OnnxPictureEncoder

    encoder = OnnxPictureEncoder(model)
    how = encoder.preprocessing
    ready = np.random.default_rng(0).normal(size=(1, 3, how.height, how.width)).astype(np.float32)
    outputs = [name for name in ("pooled", "style", "map") if name in encoder.model.outputs]
    while True:
        try:
            task, paths = end.recv()
        except EOFError:
            return
        for path in paths:
            if task == "session":
                encoder.model.run(ready, outputs)
            elif task == "decode":
                with Image.open(path) as picture:
                    picture.convert("RGB")
            else:
                encoder.describe(path)
        end.send(len(paths))


def torch_batches(module: Any, side: int, count: int) -> Callable[[], float]:
    """Torch eager on ready tensors."""
    import torch

    torch.set_num_threads(CORES)
    ready = torch.randn(BATCH, 3, side, side)

    def turn() -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            for _ in range(count // BATCH):
                module(ready)
        return count / (time.perf_counter() - start)

    return turn


def loader_loop(name: str, paths: Sequence[Path]) -> Callable[[], float]:
    """What one would otherwise write: timm's transform in a DataLoader, pooled features by torch eager."""
    import timm
    import torch
    from timm.data import create_transform, resolve_model_data_config

    model = timm.create_model(name, pretrained=False, num_classes=0).eval()
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    loader = torch.utils.data.DataLoader(Files(paths, transform), batch_size=BATCH, num_workers=CORES)

    def turn() -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            vectors = torch.cat([model(batch) for batch in loader])
        return len(vectors) / (time.perf_counter() - start)

    return turn


class Files:
    """A map-style dataset of picture files."""

    def __init__(self, paths: Sequence[Path], transform: Callable[[Image.Image], Any]) -> None:
        self.paths = list(paths)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: int) -> Any:
        with Image.open(self.paths[at]) as picture:
            return self.transform(picture.convert("RGB"))


# ---- Parts -------------------------------------------------------------------------------------------


def runtime(name: str, models: Path, count: int, repeats: int, paths: Sequence[Path]) -> dict[str, Any]:
    """Measure onnxruntime against torch eager."""
    from vision.torch_models import load_torch

    network = load_torch(f"timm:{name}?untrained")
    workers = Workers(converted(name, models))
    contenders = {
        "onnxruntime": lambda: workers.ask("session", [Path()] * count),
        "torch": torch_batches(network.module, network.preprocessing.height, count),
    }
    ratios: dict[str, Callable[[dict[str, float]], float]] = {
        "onnxruntime / torch": lambda r: r["onnxruntime"] / r["torch"]
    }
    if name in INT8:
        small = Workers(converted(name, models, int8=True))
        contenders["onnxruntime int8"] = lambda: small.ask("session", [Path()] * count)
        ratios["onnxruntime int8 / torch"] = lambda r: r["onnxruntime int8"] / r["torch"]
    rates = turns(contenders, repeats)
    return summary(rates, ratios)


def files(name: str, models: Path, count: int, repeats: int, paths: Sequence[Path]) -> dict[str, Any]:
    """Measure files to vectors against what bounds it, and against a user's loop."""
    some = [paths[at % len(paths)] for at in range(count)]
    workers = Workers(converted(name, models))
    contenders = {
        "files to vectors": lambda: workers.ask("describe", some),
        "bare session": lambda: workers.ask("session", some),
        "bare decoding": lambda: workers.ask("decode", some),
        "loader loop": loader_loop(name, some),
    }
    ratios: dict[str, Callable[[dict[str, float]], float]] = {
        "of the bare session": lambda r: r["files to vectors"] / r["bare session"],
        "of the smaller of session and decoding": lambda r: (
            r["files to vectors"] / min(r["bare session"], r["bare decoding"])
        ),
        "of the loader loop": lambda r: r["files to vectors"] / r["loader loop"],
    }
    if name in INT8:
        small = Workers(converted(name, models, int8=True))
        contenders["files to vectors, int8"] = lambda: small.ask("describe", some)
        ratios["int8 of the loader loop"] = lambda r: r["files to vectors, int8"] / r["loader loop"]
    rates = turns(contenders, repeats)
    return summary(rates, ratios)


def turns(contenders: dict[str, Callable[[], float]], repeats: int) -> list[dict[str, float]]:
    """Let contenders take turns; the first round warms up and does not count."""
    rounds = []
    for number in range(repeats + 1):
        names = list(contenders)[number % 2 :] + list(contenders)[: number % 2]  # nobody is always first
        rates = {name: contenders[name]() for name in names}
        rounds += [rates] * (number > 0)
    return rounds


def summary(rounds: list[dict[str, float]], ratios: dict[str, Callable[[dict[str, float]], float]]) -> dict[str, Any]:
    """Medians, with the range of the ratios."""
    rates = {name: round(statistics.median(r[name] for r in rounds), 2) for name in rounds[0]}
    found = {}
    for name, ratio in ratios.items():
        each = sorted(ratio(r) for r in rounds)
        found[name] = {
            "median": round(statistics.median(each), 3),
            "low": round(each[0], 3),
            "high": round(each[-1], 3),
        }
    return {"pictures per second": rates, "ratios": found}


def show(result: dict[str, Any]) -> None:
    """Print for people."""
    print(f"{result['cores']} cores, {result['pictures']} pictures a turn, medians of {result['repeats']} turns")
    for part in ("runtime", "files"):
        for name, measured in result.get(part, {}).items():
            print(f"\n{part}: {name}")
            for contender, rate in measured["pictures per second"].items():
                print(f"  {contender:<40} {rate:9.1f} pictures/s")
            for ratio, each in measured["ratios"].items():
                print(f"  {ratio:<40} {each['median']:9.2f} ×   ({each['low']:.2f} to {each['high']:.2f})")


if __name__ == "__main__":
    main()
