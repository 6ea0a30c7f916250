#!/usr/bin/env python3
"""The Ray engine of `simkin embed` beside the local one: rate, two nodes beside one, bytes, memory of the driver.

Usage: scripts/bench_ray.py [--quick] [--pictures N] [--repeats N] [--only engine,nodes,bytes,memory,driver,split]
       [--network 'onnx:FILE?preset=imagenet'] [--json]

Makes small JPEG pictures. Rates are files a second from the first file described to the last, without the start of
processes; engines take turns, medians and ratios are told. `nodes` starts real nodes by `ray start`, one place and one
processor core each, the driver on the core of the first, and encodes by the network named, if any: what a job gains by
a second node shows where encoding, not what goes on beside it on the same cores, takes the time. `memory` is the peak
of the driver's own resident memory for a table of many rows whose files are missing. `driver` is what one process does
for all: plan, hashes, manifest. `split` holds decoding in tasks of their own, with encoding in actors, against both in
one actor, as two pipelines of Ray Data, for the network named. On a machine that does other things at the same time
rates and their ratios say little.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench_memory import make_folder
from ray_nodes import ENVIRONMENT, cluster


def run_here(asked: dict[str, Any]) -> None:
    """One job in this process; prints what it took."""
    if asked["cores"]:
        os.sched_setaffinity(0, asked["cores"])
    from index.embedding.job import EmbedOptions, embed

    samples: list[tuple[float, int]] = []

    def on_progress(stage: str, done: int, _total: int, _failed: int) -> None:
        if stage == "describe" and done and (not samples or done > samples[-1][1]):
            samples.append((time.monotonic(), done))

    options = EmbedOptions(**asked["options"] | {"encoders": (asked["encoder"],)})
    report = embed([asked["source"]], Path(asked["out"]), options, on_progress)
    (first, begun), (last, ended) = samples[0], samples[-1]
    rate = (ended - begun) / (last - first) if last > first else 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"rate": rate, "seconds": report.seconds, "driver_mb": peak, "files": report.files}))


def run(
    source: Path, out: Path, encoder: str = "builtin-image", cores: Sequence[int] = (), **options: Any
) -> dict[str, Any]:
    """One job in a process of its own, on some cores if any are named."""
    asked = {"source": str(source), "out": str(out), "encoder": encoder, "cores": list(cores), "options": options}
    command = [sys.executable, __file__, "--run", json.dumps(asked)]
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def hash_of(out: Path) -> str:
    """One hash over all shards and the manifest."""
    hasher = hashlib.sha256()
    for path in [*sorted(out.rglob("*.parquet")), out / "manifest.json"]:
        hasher.update(path.read_bytes())
    return hasher.hexdigest()[:16]


def in_turn(repeats: int, forms: dict[str, Callable[[int], float]]) -> dict[str, float]:
    """Medians of forms that take turns."""
    found: dict[str, list[float]] = {name: [] for name in forms}
    for repeat in range(repeats):
        for name, form in forms.items():
            found[name].append(form(repeat))
            print(f"  {name} {found[name][-1]:.1f}", file=sys.stderr, flush=True)
    return {name: statistics.median(values) for name, values in found.items()}


def bench_engine(folder: Path, scratch: Path, repeats: int, size: int) -> dict[str, object]:
    """The rate of Ray on this machine against that of the local engine."""
    told = in_turn(
        repeats,
        {
            name: lambda repeat, name=name: run(
                folder, scratch / f"{name}{repeat}", engine=name, shard_size=size
            )["rate"]
            for name in ("local", "ray")
        },
    )  # fmt: skip
    return {"row": "engine", "local": told["local"], "ray": told["ray"], "ratio": told["ray"] / told["local"]}


def bench_nodes(folder: Path, scratch: Path, repeats: int, size: int, encoder: str) -> dict[str, object]:
    """Two nodes with one core each against one; the driver runs on the first one's core."""
    cores = sorted(os.sched_getaffinity(0))[:2]

    def form(count: int) -> Callable[[int], float]:
        def once(repeat: int) -> float:
            with cluster(cores[:count]) as address:
                out = scratch / f"nodes{count}-{repeat}"
                options = {"engine": "ray", "address": address, "shard_size": size}
                return float(run(folder, out, encoder, cores[:1], **options)["rate"])

        return once

    told = in_turn(repeats, {"one": form(1), "two": form(2)})
    return {"row": "nodes", "encoder": encoder, **told, "ratio": told["two"] / told["one"]}


def bench_bytes(folder: Path, scratch: Path, size: int) -> dict[str, object]:
    """Hashes of everything that local and Ray runs with 1, 2 and 4 workers write."""
    hashes = {}
    for name, engine, workers in (("local", "local", 2), *((f"ray {n}", "ray", n) for n in (1, 2, 4))):
        out = scratch / f"bytes-{engine}-{workers}"
        run(folder, out, engine=engine, workers=workers, shard_size=size)
        hashes[name] = hash_of(out)
    return {"row": "bytes", **hashes, "identical": len(set(hashes.values())) == 1}


def bench_memory(scratch: Path, rows: list[int], size: int) -> dict[str, object]:
    """Peak resident memory of the driver for tables of so many rows."""
    peaks = {}
    for count in rows:
        table = scratch / f"rows{count}.csv"
        with table.open("w") as file:
            file.write("id,path,title\n")
            file.writelines(
                f"item-{n:09d},images/{n // 1000:06d}/{n:09d}.jpg,Title of item {n}\n" for n in range(count)
            )
        peaks[count] = run(table, scratch / f"memory{count}", engine="ray", shard_size=size)["driver_mb"]
        print(f"  {count} rows {peaks[count]:.0f} MB", file=sys.stderr, flush=True)
    return {"row": "memory", **{f"mb_{count}": peak for count, peak in peaks.items()},
            "ratio": peaks[rows[-1]] / peaks[rows[0]]}  # fmt: skip


def bench_driver(scratch: Path) -> dict[str, object]:
    """What is done by one process however large the cluster: a second of one core's time each."""
    import numpy as np

    from index.embedding.plan import Plan
    from index.embedding.shards import EncoderShards, Manifest, Row, sha256_of, write_shard
    from index.embedding.sources import Found
    from index.encoders import card_of
    from index.ingesting.scan import Entry

    def found(number: int) -> Found:
        name = f"{number // 1000:06d}/{number:09d}.jpg"
        return Found(Entry(name, 0, f"/data/{name}".encode(), "image", 100_000, number, '{"category": "a"}'))

    (scratch / "driver").mkdir()
    card, count = card_of("builtin-image"), 200_000
    began = time.process_time()
    plan = Plan(scratch / "driver")
    plan.take_in("/data", map(found, range(count)))
    plan.cut(5000)
    plan.close()
    planned = count / (time.process_time() - began)
    vectors = np.random.default_rng(0).random((5000, card.dim), np.float32)
    rows = [Row(f"{at:09d}.jpg", 0, f"/data/{at:09d}.jpg", "{}", "{}", v.tobytes()) for at, v in enumerate(vectors)]
    path = scratch / "driver" / "shard.parquet"
    began = time.process_time()
    shard = write_shard(path, card.name, card, rows)
    written = len(rows) / (time.process_time() - began)
    began = time.process_time()
    sha256_of(path)
    hashed = path.stat().st_size / (time.process_time() - began) / 1e6
    shards = {f"shard-{at:06d}.parquet": shard for at in range(20_000)}
    began = time.process_time()
    Manifest([], {card.name: EncoderShards(card.name, card, shards)}).save(scratch / "driver")
    saved = len(shards) / (time.process_time() - began)
    job = (scratch / "driver" / "job.db").stat().st_size / count
    manifest = (scratch / "driver" / "manifest.json").stat().st_size / len(shards)
    return {"row": "driver", "planned_per_s": planned, "plan_bytes": job, "written_per_s": written,
            "hashed_mb_per_s": hashed, "shards_saved_per_s": saved, "manifest_bytes_a_shard": manifest}  # fmt: skip


def bench_split(folder: Path, network: str, repeats: int, limit: int) -> dict[str, object]:
    """Decoding in tasks and encoding in an actor, against both in one actor for each core."""
    import numpy as np
    import ray

    from index.cluster import on_cluster
    from index.encoders import load_encoder

    paths = [str(path) for path in sorted(folder.rglob("*.jpg"))[:limit]]

    class Describe:
        def __init__(self) -> None:
            self.encoder = load_encoder(network)

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            return {"vector": np.stack([self.encoder.describe(Path(path)) for path in batch["path"]])}

    class Encode(Describe):
        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            return {"vector": np.stack([self.encoder.describe_pixels(np.asarray(p)) for p in batch["pixels"]])}

    def decode(batch: dict[str, Any]) -> dict[str, Any]:
        from functools import cache

        global _loaded
        _loaded = globals().get("_loaded") or cache(load_encoder)
        return {"pixels": [_loaded(network).decode(Path(path)) for path in batch["path"]]}

    def timed(pipeline: Callable[[Any], Any]) -> Callable[[int], float]:
        def once(_: int) -> float:
            began, rows, first = 0.0, 0, 0
            for batch in pipeline(ray.data.from_items([{"path": path} for path in paths])).iter_batches(
                batch_size=None
            ):
                rows += len(batch["vector"])
                if not began:
                    began, first = time.monotonic(), rows
            return (rows - first) / (time.monotonic() - began)

        return once

    with on_cluster("", 2):
        ray.data.DataContext.get_current().enable_progress_bars = False
        pool = ray.data.ActorPoolStrategy
        told = in_turn(
            repeats,
            {
                "one stage": timed(
                    lambda data: data.map_batches(Describe, batch_size=32, compute=pool(size=2), num_cpus=1)
                ),
                "two stages": timed(
                    lambda data: data.map_batches(decode, batch_size=32, num_cpus=1).map_batches(
                        Encode, batch_size=32, compute=pool(size=1), num_cpus=1
                    )
                ),
            },
        )  # fmt: skip
    return {"row": "split", **told, "ratio": told["two stages"] / told["one stage"]}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2,000 pictures, one repeat, a tenth of the rows")
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="engine,nodes,bytes,memory,driver")
    parser.add_argument("--network", default="", help="for nodes, in place of builtin-image; for split")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        run_here(json.loads(args.run))
        return
    count, repeats = (2000, 1) if args.quick else (args.pictures, args.repeats)
    rows = [20_000, 100_000] if args.quick else [100_000, 1_000_000]
    size = max(20, count // 40)
    with tempfile.TemporaryDirectory() as name:
        scratch, folder = Path(name), Path(name) / "pictures"
        make_folder(folder, count, args.side)
        rows_of = {
            "engine": lambda: bench_engine(folder, scratch, repeats, size),
            "nodes": lambda: bench_nodes(folder, scratch, repeats, size, args.network or "builtin-image"),
            "bytes": lambda: bench_bytes(folder, scratch, size),
            "memory": lambda: bench_memory(scratch, rows, 5000),
            "driver": lambda: bench_driver(scratch),
            "split": lambda: bench_split(folder, args.network, repeats, min(count, 2000)),
        }
        for row in args.only.split(","):
            result = rows_of[row]()
            shown = {k: round(v, 3) if isinstance(v, float) else v for k, v in result.items()}
            print(json.dumps(shown) if args.json else "  ".join(f"{k}={v}" for k, v in shown.items()), flush=True)


if __name__ == "__main__":
    main()
