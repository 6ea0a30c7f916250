#!/usr/bin/env python3
"""Damaged pictures and sounds through decoding and describing: no crash of the run, no leak, bounded time for each.

Usage: scripts/mutate_media.py [--files 10000] [--seed 0] [--longest 20] [--keep FOLDER] [--json]

Small pictures (JPEG, progressive JPEG with EXIF, PNG, palette PNG, WebP, GIF, TIFF, BMP) and sounds (WAV, FLAC, Ogg,
MP3, and M4A where FFmpeg writes it) are made, and each file is one of them with seeded damage: bytes changed, a bit
flipped in the head, cut off, a stretch zeroed, doubled, taken out or filled with noise, a length field set to its
highest value, or two files joined in the middle. They go through the worker process that `simkin index` uses, one
after another. Told are how many were described, how many failed at which stage, how often a worker died, the longest
time of one file, and the worker's memory over time. Exit status 1 when the run breaks, a failure is no plain
sentence, a file takes longer than --longest seconds, or memory grows from the second quarter to the last by more than
a fifth and 20 MB. Files at which a worker died are kept with --keep.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image
from process_figures import family, memory

from index.ingesting.workers import Job, describe_all
from index.types import Modality

GROWTH, SLACK_MB = 1.2, 20.0
EVERY = 50
"""Files between two looks at the worker's memory."""


def made_pictures() -> dict[str, bytes]:
    """Small pictures by the ending of their file, several to an ending where formats have several kinds."""
    rng = np.random.default_rng(1)
    small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    picture = small.resize((160, 120), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    told: dict[str, dict[str, Any]] = {
        "a.jpg": {"quality": 85},
        "b.jpg": {"quality": 90, "progressive": True, "exif": exif},
        "a.png": {},
        "a.webp": {"quality": 80},
        "a.gif": {"save_all": True, "append_images": [picture.rotate(90)]},
        "a.tiff": {"compression": "tiff_lzw"},
        "a.bmp": {},
    }
    found = {}
    for name, options in told.items():
        content = io.BytesIO()
        picture.save(content, Image.registered_extensions()[Path(name).suffix], **options)
        found[name] = content.getvalue()
    content = io.BytesIO()
    picture.quantize(32).save(content, "PNG", transparency=3)
    return {**found, "b.png": content.getvalue()}


def made_sounds(folder: Path) -> dict[str, bytes]:
    """Sounds of three seconds by the ending of their file."""
    time_ = np.arange(3 * 22_050) / 22_050
    sound = 0.3 * np.sin(2 * np.pi * 220 * time_ * (1 + 0.1 * time_)) + 0.1 * np.sin(2 * np.pi * 1500 * time_)
    sound = (sound * (0.5 + 0.5 * np.sign(np.sin(2 * np.pi * 2 * time_)))).astype(np.float32)
    found = {}
    for ending in ("wav", "flac", "ogg", "mp3"):
        path = folder / f"sound.{ending}"
        soundfile.write(path, np.stack([sound, sound[::-1]], axis=1), 22_050)
        found[f"a.{ending}"] = path.read_bytes()
    try:
        import av

        path = folder / "sound.m4a"
        with av.open(str(path), "w") as out:
            stream = out.add_stream("aac", rate=22_050)
            frame = av.AudioFrame.from_ndarray(sound[None, :], format="fltp", layout="mono")
            frame.sample_rate = 22_050
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                out.mux(packet)
        found["a.m4a"] = path.read_bytes()
    except (ImportError, ValueError, OSError):  # an FFmpeg without an encoder for it
        pass
    return found


def changed(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Up to 64 bytes are others."""
    for at in rng.integers(0, len(content), rng.integers(1, 65)):
        content[at] = rng.integers(256)
    return content


def flipped(content: bytearray, rng: np.random.Generator) -> bytearray:
    """One bit in the first 512 bytes."""
    content[rng.integers(min(512, len(content)))] ^= 1 << int(rng.integers(8))
    return content


def cut(content: bytearray, rng: np.random.Generator) -> bytearray:
    """The end is missing."""
    return content[: rng.integers(len(content))]


def stretch(content: bytearray, rng: np.random.Generator) -> slice:
    """Somewhere, up to a quarter of the file."""
    start = int(rng.integers(len(content)))
    return slice(start, start + int(rng.integers(1, max(2, len(content) // 4))))


def zeroed(content: bytearray, rng: np.random.Generator) -> bytearray:
    """A stretch is zero."""
    part = stretch(content, rng)
    content[part] = bytes(len(content[part]))
    return content


def noisy(content: bytearray, rng: np.random.Generator) -> bytearray:
    """A stretch is noise."""
    part = stretch(content, rng)
    content[part] = rng.bytes(len(content[part]))
    return content


def doubled(content: bytearray, rng: np.random.Generator) -> bytearray:
    """A stretch comes twice."""
    part = stretch(content, rng)
    content[part] = content[part] * 2
    return content


def taken_out(content: bytearray, rng: np.random.Generator) -> bytearray:
    """A stretch is missing."""
    del content[stretch(content, rng)]
    return content


def lengthened(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Two or four bytes of the head, where lengths and sizes stand, have their highest value."""
    at, size = int(rng.integers(min(256, len(content)))), int(rng.choice([2, 4]))
    content[at : at + size] = b"\xff" * size if rng.random() < 0.7 else b"\x7f" + b"\xff" * (size - 1)
    return content


DAMAGES: tuple[Callable[[bytearray, np.random.Generator], bytearray], ...] = (
    changed, flipped, cut, zeroed, noisy, doubled, taken_out, lengthened,
)  # fmt: skip


def mutated(originals: list[tuple[str, bytes]], number: int, seed: int) -> tuple[str, bytes]:
    """Ending and content of one damaged file; the same number and seed give the same."""
    rng = np.random.default_rng((seed, number))
    name, content = originals[int(rng.integers(len(originals)))]
    if rng.random() < 0.05:
        other = originals[int(rng.integers(len(originals)))][1]
        return name, content[: rng.integers(len(content))] + other[rng.integers(len(other)) :]
    damaged = bytearray(content)
    for _ in range(1 + int(rng.integers(3))):
        damaged = DAMAGES[int(rng.integers(len(DAMAGES)))](damaged, rng)
        if not damaged:
            break
    return name, bytes(damaged)


def run(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Send all of them through one worker."""
    originals = [*made_pictures().items(), *made_sounds(scratch).items()]
    sounds = {".wav", ".flac", ".ogg", ".mp3", ".m4a"}
    paths: dict[int, Path] = {}

    def jobs() -> Iterator[Job]:
        for number in range(-len(originals), args.files):  # first those that are sound: libraries are loaded then
            name, content = mutated(originals, number, args.seed) if number >= 0 else originals[number]
            paths[number] = scratch / f"{number:06d}{Path(name).suffix}"
            paths[number].write_bytes(content)
            modality: Modality = "audio" if paths[number].suffix in sounds else "image"
            encoder = f"builtin-{modality}"
            yield Job(number, os.fsencode(paths[number]), modality, (encoder,))

    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    bad: list[str] = []
    held: list[float] = []
    longest = (0.0, "")
    last = time.monotonic()
    with closing(describe_all(jobs(), 1)) as answers:
        for count, answer in enumerate(answers, 1):
            path = paths.pop(answer.number)
            took, last = time.monotonic() - last, time.monotonic()
            if answer.number < 0:
                path.unlink()
                if answer.stage:
                    sys.exit(f"{path.name}, which is sound, failed: {answer.reason}")
                continue
            longest = max(longest, (took, path.name))
            outcomes[answer.stage or "described"] += 1
            if answer.stage:
                reasons[answer.reason.partition(":")[0][:60]] += 1
                if "\n" in answer.reason or not answer.reason or answer.reason.startswith("unexpected "):
                    bad.append(f"{path.name}: {answer.reason[:200]!r}")
            if answer.stage == "worker":
                bad.append(f"{path.name}: {answer.reason}")
                if args.keep:
                    args.keep.mkdir(parents=True, exist_ok=True)
                    (args.keep / path.name).write_bytes(path.read_bytes())
            path.unlink()
            if count % EVERY == 0:
                held.append(max(memory(pid).own for pid in family(os.getpid())[1:]) / 1e6)
    quarters = [round(float(np.median(part)), 1) for part in np.array_split(np.asarray(held), 4) if len(part)]
    flat = len(quarters) < 4 or quarters[3] <= GROWTH * quarters[1] + SLACK_MB
    return {
        "files": args.files,
        "seed": args.seed,
        "outcomes": dict(outcomes.most_common()),
        "reasons": dict(reasons.most_common(12)),
        "not_plain": bad[:20],
        "longest_s": round(longest[0], 2),
        "longest_file": longest[1],
        "worker_mb_by_quarter": quarters,
        "good": sum(outcomes.values()) == args.files and not bad and longest[0] <= args.longest and flat,
    }


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=20.0, help="seconds that one file may take")
    parser.add_argument("--keep", type=Path, help="folder for files at which a worker died")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutated-") as scratch:
        result = run(args, Path(scratch))
    print(json.dumps(result) if args.json else json.dumps(result, indent=1))
    sys.exit(0 if result["good"] else 1)


if __name__ == "__main__":
    main()
