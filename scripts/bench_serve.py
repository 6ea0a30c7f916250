#!/usr/bin/env python3
"""Latency of `simkin serve` under load: questions by id at a steady rate and flat out, listings, uploads.

Usage: scripts/bench_serve.py [--items 100000] [--workers 2] [--rates 300,800] [--seconds 20] [--keep FOLDER] [--json]

Makes vectors with a seeded generator (clusters in a latent space, as scripts/bench_recall.py describes), writes them
as float16 `.npy` with a Parquet table, takes them in by `simkin index --embeddings`, and serves them on loopback.
Questions name random items, so that hardly one is asked twice. Load comes from wrk where it is installed
(Debian package `wrk`), which takes a share of the same cores: 16 connections that pause at random between requests, so
that the rate asked for comes out; else from threads of this program. Uploads are photograph-like JPEGs of one
megapixel, one after the other. Runs offline.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
from PIL import Image

from index.encoders import card_of

ENCODER = "builtin-image"
CLUSTERS, CATEGORIES, LATENT = 300, 40, 32
CONNECTIONS = 16

LUA = """
local mean = {mean}
math.randomseed({seed})
function delay() return mean > 0 and math.floor(-mean * math.log(1 - math.random())) or 0 end
function request()
  local id = string.format("item-%06d", math.random(0, {items} - 1))
  return wrk.format("GET", "{path}" .. id)
end
"""


def write_vectors(folder: Path, count: int) -> None:
    """Write `count` vectors of the built-in picture encoder, with a table of categories, colours and prices."""
    import pyarrow
    import pyarrow.parquet

    rng = np.random.default_rng(0)
    card = card_of(ENCODER)
    spectrum = 1 / np.sqrt(1 + np.arange(LATENT))
    centres = rng.normal(size=(CLUSTERS, LATENT)) * spectrum
    axes = {facet.name: rng.normal(size=(LATENT, facet.dim)) for facet in card.facets}
    clusters = rng.integers(0, CLUSTERS, count)
    folder.mkdir(parents=True)
    with (folder / "vectors.npy").open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (count, card.dim)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, count, 5000):
            own = clusters[start : start + 5000]
            latent = centres[own] + 0.6 * rng.normal(size=(len(own), LATENT)) * spectrum
            facets = []
            for facet in card.facets:
                points = latent @ axes[facet.name]
                points += 0.1 * rng.normal(size=points.shape)
                facets.append(points / np.linalg.norm(points, axis=1, keepdims=True))
            file.write(np.hstack(facets).astype("<f2").tobytes())
    colors = ("red", "green", "blue", "black", "white")
    table = pyarrow.table(
        {
            "id": [f"item-{row:06d}" for row in range(count)],
            "path": [f"pictures/{row:06d}.jpg" for row in range(count)],
            "category": [f"kind-{cluster % CATEGORIES:02d}" for cluster in clusters],
            "title": [f"{colors[row % 5]} thing {row}" for row in range(count)],
            "price": [float(row % 500) for row in range(count)],
        }
    )
    table = table.replace_schema_metadata({b"simkin.card": json.dumps(card.to_json()).encode()})
    pyarrow.parquet.write_table(table, folder / "metadata.parquet")


class Server:
    """`simkin serve` in processes of its own."""

    def __init__(self, catalog: Path, workers: int) -> None:
        command = [sys.executable, "-m", "simkin", "serve", "--catalog", str(catalog), "--port", "0"]
        self.process = subprocess.Popen([*command, "--workers", str(workers)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        self.address = re.findall(r"http://\S+", said)[0]
        host = urlsplit(self.address).netloc
        for _ in range(40 * workers):  # each process opens the catalog, and maps its rows
            _get(host, "/api/recommend?id=item-000001")
            _get(host, "/api/items")

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


def _get(host: str, path: str) -> int:
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def by_wrk(address: str, path: str, items: int, rate: float, seconds: float, seed: int) -> dict[str, float]:
    """Load by wrk; milliseconds, requests a second, and the number of requests that failed."""
    mean = 1000 * CONNECTIONS / rate - 2.0 if rate else 0.0  # an answer takes about the rest
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA.format(mean=max(mean, 0.0), seed=seed, items=items, path=path))
        script.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--timeout", "10s", "--latency"]
        done = subprocess.run([*command, "-s", script.name, address], capture_output=True, text=True, check=True)
    return read_wrk(done.stdout)


def read_wrk(text: str) -> dict[str, float]:
    """What wrk printed."""
    units = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}

    def percentile(share: str) -> float:
        number, unit = re.findall(rf"{share}%\s+([0-9.]+)(us|ms|s|m)", text)[0]
        return float(number) * units[unit]

    failed = [int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", text)]
    failed += [int(n) for line in re.findall(r"Socket errors: (.*)", text) for n in re.findall(r"\d+", line)]
    rate = float(re.findall(r"Requests/sec:\s+([0-9.]+)", text)[0])
    return {"rate": rate, "p50": percentile("50"), "p99": percentile("99"), "failed": float(sum(failed))}


def by_threads(address: str, path: str, items: int, rate: float, seconds: float, seed: int) -> dict[str, float]:
    """The same load from threads of this program, where there is no wrk."""
    host, times, failed = urlsplit(address).netloc, [], 0
    ending = time.monotonic() + seconds

    def drive(number: int) -> None:
        nonlocal failed
        rng = random.Random(seed + number)
        connection = http.client.HTTPConnection(host, timeout=10)
        while time.monotonic() < ending:
            if rate:
                time.sleep(max(0.0, rng.expovariate(rate / CONNECTIONS) - 0.002))
            started = time.perf_counter()
            connection.request("GET", f"{path}item-{rng.randrange(items):06d}")
            response = connection.getresponse()
            response.read()
            times.append(1000 * (time.perf_counter() - started))
            failed += response.status != 200
        connection.close()

    threads = [threading.Thread(target=drive, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ordered = sorted(times)
    at = {"p50": ordered[len(ordered) // 2], "p99": ordered[int(0.99 * len(ordered))]}
    return {"rate": len(times) / seconds, **at, "failed": float(failed)}


def photograph(seed: int) -> bytes:
    """A JPEG of one megapixel: shapes with soft edges and grain on a gradient."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (24, 32, 3), np.uint8)
    image = np.asarray(Image.fromarray(small).resize((1152, 864), Image.Resampling.BICUBIC), np.float32)
    image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255)
    content = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(content, "JPEG", quality=88)
    return content.getvalue()


def uploads(address: str, count: int) -> dict[str, float]:
    """Ask about pictures, one after the other."""
    host, times, failed = urlsplit(address).netloc, [], 0
    pictures = [photograph(seed) for seed in range(8)]
    connection = http.client.HTTPConnection(host, timeout=60)
    for number in range(count):
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
        body = head.encode() + pictures[number % len(pictures)] + f"\r\n--{mark}--\r\n".encode()
        started = time.perf_counter()
        kind = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        connection.request("POST", "/api/recommend/upload", body, kind)
        response = connection.getresponse()
        response.read()
        if number >= 10:  # encoders are loaded by then
            times.append(1000 * (time.perf_counter() - started))
        failed += response.status != 200
    connection.close()
    ordered = sorted(times)
    at = {"p50": statistics.median(ordered), "p95": ordered[int(0.95 * len(ordered))]}
    return {"rate": 1000 * len(times) / sum(times), **at, "failed": float(failed)}


def listings(address: str, count: int) -> dict[str, float]:
    """Pages of the grid, filtered, searched and sorted: words that are new, and the same again, by one process."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    words = [f"thing {number}" for number in range(100, 100 + count)]
    asked = [f"/api/items?text={quote(word)}&where={quote('price<400')}&sort=price" for word in words]
    times: dict[str, list[float]] = {"first": [], "again": []}
    for path in asked:
        for key in ("first", "again"):
            started = time.perf_counter()
            connection.request("GET", path)
            assert connection.getresponse().read()
            times[key].append(1000 * (time.perf_counter() - started))
    connection.close()
    return {f"{key} p50": statistics.median(values) for key, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rates", default="300,800", help="requests a second; 0 is as fast as they come")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="make or use the catalog in this folder, and leave it there")
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = told.keep or Path(scratch)
        catalog = folder / f"bench-{told.items}.simkin"
        if not catalog.exists():
            vectors = folder / "vectors"
            shutil.rmtree(vectors, ignore_errors=True)
            write_vectors(vectors, told.items)
            command = [sys.executable, "-m", "simkin", "index", "--embeddings", str(vectors)]
            subprocess.run([*command, "--catalog", str(catalog)], check=True, stdout=subprocess.DEVNULL)
            shutil.rmtree(vectors)
        found = measure(catalog, told)
    for name, row in found.items():
        if told.json:
            print(json.dumps({"what": name, **row}))
        else:
            print(f"{name:<34}" + "  ".join(f"{key} {value:9.2f}" for key, value in row.items()))


def measure(catalog: Path, told: argparse.Namespace) -> dict[str, dict[str, float]]:
    """All rows, medians of repeated runs."""
    load: Callable[..., dict[str, float]] = by_wrk if shutil.which("wrk") else by_threads
    found: dict[str, dict[str, float]] = {}
    server = Server(catalog, told.workers)
    try:
        for rate in [float(rate) for rate in told.rates.split(",")]:
            runs = [
                load(server.address, "/api/recommend?k=10&id=", told.items, rate, told.seconds, seed)
                for seed in range(told.repeats)
            ]
            name = f"recommend at {rate:.0f}/s" if rate else "recommend, as fast as they come"
            found[name] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        found["upload, 1 megapixel"] = uploads(server.address, told.uploads)
        found["items, searched and filtered"] = listings(server.address, 30)
    finally:
        server.close()
    return found


if __name__ == "__main__":
    main()
