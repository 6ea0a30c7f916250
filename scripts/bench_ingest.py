#!/usr/bin/env python3
"""Files to committed vectors, beside the loops one would otherwise write and beside what bounds any of them.

Usage: scripts/bench_ingest.py [--only PART]... [--rounds 5] [--pictures 240] [--songs 60] [--model FILE.onnx] [--json]
                               [--quick]

Parts, each with contenders that take turns, so that what else the machine does meanwhile hits all alike:

  pictures   JPEG files of one megapixel, of 224 pixels a side, and drawings of `simkin demo`, by the built-in encoder
  songs      320 kbit/s MP3 files of three minutes, and tunes of `simkin demo`, by the built-in encoder
  network    the megapixel files by a picture network (timm's ResNet50 and MobileNetV3 with random weights, converted
             at the start, or --model FILE)
  rescan     `simkin index` again of 100,000 files of which none changed, beside a bare walk (bench_rescan.py)
  memory     highest memory of an index run of 10,000 and of 50,000 pictures, all processes (bench_memory.py)

Contenders, on one core and on all of them (a process each):

  simkin     `index.ingesting.ingest` into a new catalog: scan, plan, workers, commits; counted from the first tenth
             of the files to the last, so that starting processes, a second, is left out. The index is not built.
             Its processor time is that of the run itself and of its workers.
  describe   the encoder alone, in the same number of processes: nothing is planned or stored
  decode     what bounds it: Pillow decoding the same pictures in full; libsndfile reading the same windows, mixed
             down and brought to the encoder's rate
  scaled     pictures: Pillow decoding JPEGs at the scale that the encoder asks for, and shrinking
  session    networks: bare onnxruntime sessions, one thread each, on a ready tensor
  loop       what a user would write: pictures, Pillow with scikit-image's descriptors; songs, `librosa.load`,
             `melspectrogram`, `mfcc` and `chroma_stft`; networks, timm's transform in a torch DataLoader, torch eager

On one core a rate is files for each second of processor time, which other programs disturb least; on all cores, for
each second on the clock. Medians over the rounds, with the lowest and highest; ratios are taken within each round.
All data are made.
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
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy is imported: the processes are the parallelism

import bench_memory  # noqa: E402
import bench_rescan  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402
from process_figures import cpu_seconds, family  # noqa: E402

CORES = len(os.sched_getaffinity(0))
PARTS = ("pictures", "songs", "network", "rescan", "memory")
NETWORKS = ("resnet50", "mobilenetv3_small_100")
SIDE = 128


# ---- Data that is made -------------------------------------------------------------------------------


def photos(folder: Path, count: int) -> None:
    """JPEG files of one megapixel, as detailed as photos: 200 to 400 kB."""
    from bench_encode import made_photos

    folder.mkdir()
    for number, path in enumerate(made_photos(folder, min(24, count))):
        for copy in range(number + 24, count, 24):
            (folder / f"{copy:04d}.jpg").write_bytes(path.read_bytes() + copy.to_bytes(4, "little"))


def thumbnails(folder: Path, count: int) -> None:
    """The same, shrunk to 224 pixels a side, as data sets of products have them."""
    photos(folder, count)
    for path in folder.iterdir():
        with Image.open(path) as picture:
            picture.convert("RGB").resize((224, 224), Image.Resampling.BOX).save(path, quality=90)


def drawings(folder: Path, count: int) -> None:
    """Products as `simkin demo` draws them."""
    from simkin.demo.pictures import make_pictures

    make_pictures(folder)
    for path in sorted(folder.rglob("*.jpg"))[count:]:
        path.unlink()


def write_song(path: Path, seconds: float, seed: int) -> None:
    """Write a stereo 320 kbit/s MP3 at 44.1 kHz: changing chords with overtones, a drum, some noise."""
    import soundfile

    random = np.random.default_rng(seed)
    beat = 60 / random.uniform(80, 160)
    with soundfile.SoundFile(
        path, "w", 44_100, 2, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=0.0
    ) as file:
        for start in np.arange(0, seconds, 4 * beat):
            t = start + np.arange(round(min(4 * beat, seconds - start) * 44_100)) / 44_100
            sides = random.normal(0, 0.02, (len(t), 2))
            for note in random.choice(24, 4, replace=False):
                for overtone in range(1, 8):
                    wave = np.sin(2 * np.pi * 110 * 2 ** (note / 12) * overtone * t) / overtone
                    sides += 0.05 * wave[:, None] * random.uniform(0.5, 1, 2)
            sides += (0.4 * np.exp(-(t % beat) / 0.05) * random.normal(0, 0.5, len(t)))[:, None]
            file.write(np.clip(sides, -1, 1).astype(np.float32))


def recordings(folder: Path, count: int) -> None:
    """Songs of three minutes: four are composed, the others are copies with bytes of their own at the end."""
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:03d}.mp3"
        if number < 4:
            write_song(path, 180.0, number)
        else:
            path.write_bytes((folder / f"{number % 4:03d}.mp3").read_bytes() + bytes([number]))


def tunes(folder: Path, count: int) -> None:
    """Songs as `simkin demo` plays them, of up to twenty seconds, WAV and FLAC."""
    from simkin.demo.songs import make_songs

    make_songs(folder)
    for path in sorted((folder / "songs").iterdir())[count:]:
        path.unlink()


# ---- Contenders --------------------------------------------------------------------------------------


def decode_picture_bare(path: Path) -> None:
    """Read and decode; nothing else."""
    with Image.open(path) as picture:
        picture.convert("RGB")


def decode_picture_scaled(path: Path) -> None:
    """Read and decode as small as the built-in encoder needs it."""
    from vision.builtin import MIN_SIDE
    from vision.decode import decode_picture

    decode_picture(path, MIN_SIDE)


def decode_song(path: Path) -> None:
    """The encoder's windows decoded, mixed and resampled."""
    from audio.decode import read_windows
    from audio.mel import RATE
    from audio.windows import plan_windows

    read_windows(path, RATE, plan_windows)


def picture_loop(path: Path) -> None:
    """Shrink to a square, then three descriptors by scikit-image with its usual settings."""
    from skimage.color import rgb2lab
    from skimage.feature import hog, local_binary_pattern

    with Image.open(path) as picture:
        rgb = np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))
    light = np.asarray(Image.fromarray(rgb).convert("L"))
    hog(light, orientations=9, pixels_per_cell=(16, 16), cells_per_block=(2, 2))
    np.histogramdd(rgb2lab(rgb).reshape(-1, 3), bins=8, range=((0, 100), (-50, 50), (-50, 50)))
    for radius in (1, 2, 4, 8):
        local_binary_pattern(light, 8, radius, "nri_uniform")  # type: ignore[no-untyped-call]


def song_loop(path: Path) -> None:
    """The whole song, as a first script describes it."""
    import librosa

    sound, rate = librosa.load(path)
    mel = librosa.feature.melspectrogram(y=sound, sr=rate)
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=20)
    chroma = librosa.feature.chroma_stft(y=sound, sr=rate)
    np.concatenate([each.mean(axis=1) for each in (mfcc, chroma)])


def described_by(name: str) -> Callable[[Path], object]:
    """One file by an encoder of that name."""
    from index.encoders import load_encoder

    encoder = load_encoder(name)
    return encoder.describe


def session_of(name: str) -> Callable[[Path], object]:
    """A network on a ready tensor, whatever the file."""
    from index.encoders import load_encoder

    encoder: Any = load_encoder(name)
    how = encoder.preprocessing
    ready: NDArray[np.float32] = np.random.default_rng(0).normal(size=(1, 3, how.height, how.width)).astype(np.float32)
    outputs = [output for output in ("pooled", "style", "map") if output in encoder.model.outputs]
    return lambda _: encoder.model.run(ready, outputs)


def task_named(name: str) -> Callable[[Path], object]:
    """What a process is asked to do with each file."""
    kind, _, about = name.partition(" ")
    if kind in ("describe", "session"):
        return {"describe": described_by, "session": session_of}[kind](about)
    return {
        "decode-picture": decode_picture_bare,
        "scaled-picture": decode_picture_scaled,
        "decode-song": decode_song,
        "loop-picture": picture_loop,
        "loop-song": song_loop,
    }[kind]


class Crew:
    """As many processes as cores, which do one thing to files; they end with this one."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.ends: list[Connection] = []
        for _ in range(CORES):
            ours, theirs = context.Pipe()
            context.Process(target=work, args=(theirs,), daemon=True).start()
            self.ends.append(ours)

    def rate(self, task: str, paths: Sequence[Path], processes: int) -> float:
        """Files a second: of processor time for one process, on the clock for several."""
        ends = self.ends[:processes]
        for end in ends:  # what is loaded, compiled or built once is not counted
            end.send((task, list(paths[:1])))
        for end in ends:
            end.recv()
        begun = time.perf_counter()
        for at, end in enumerate(ends):
            end.send((task, list(paths[at::processes])))
        used = [end.recv() for end in ends]
        return len(paths) / (used[0] if processes == 1 else time.perf_counter() - begun)


def work(end: Connection) -> None:
    """Do what is asked until nobody asks; runs in a process of its own."""
    warnings.simplefilter("ignore")  # librosa's, about silent frames
    known: dict[str, Callable[[Path], object]] = {}
    while True:
        try:
            task, paths = end.recv()
        except EOFError:
            return
        if task not in known:
            known[task] = task_named(task)
        begun = time.process_time()
        for path in paths:
            known[task](path)
        end.send(time.process_time() - begun)


def ingest_rate(folder: Path, encoder: str, workers: int) -> float:
    """Files a second of a run of indexing into a new catalog, from the first tenth of the files to the last.

    With one worker, of processor time; with several, on the clock.
    """
    from index.catalog import Catalog
    from index.ingesting.ingest import IndexOptions, Progress, ingest

    marks: list[tuple[float, int]] = []

    def now() -> float:
        if workers > 1:
            return time.perf_counter()
        children = [pid for pid in family(os.getpid())[1:] if pid not in others]
        return time.process_time() + sum(map(cpu_seconds, children))

    def note(progress: Progress) -> None:
        enough = progress.done >= progress.total / 10
        last = progress.done == progress.total and len(marks) == 1
        if progress.stage == "describe" and enough and (not marks or last):  # told once more when workers are gone
            marks.append((now(), progress.done))

    others = set(family(os.getpid()))
    with (
        tempfile.TemporaryDirectory() as scratch,
        Catalog.create(Path(scratch) / "c") as catalog,
        mock.patch("index.ingesting.ingest.build_if_needed", return_value=0),
    ):
        report = ingest(catalog, [folder], IndexOptions(encoders=(encoder,), workers=workers), note)
        if report.failed:
            sys.exit(f"{report.failed} files of {folder} failed")
    (first, before), (last, after) = marks[0], marks[-1]
    return (after - before) / (last - first)


def loader_rate(name: str, paths: Sequence[Path], processes: int) -> float:
    """Timm's transform in a torch DataLoader, pooled features by torch eager, batches of 8."""
    import timm
    import torch
    from bench_encode import BATCH, Files
    from timm.data import create_transform, resolve_model_data_config

    torch.set_num_threads(processes)
    model = timm.create_model(name, pretrained=False, num_classes=0).eval()
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    loader = torch.utils.data.DataLoader(Files(paths, transform), batch_size=BATCH, num_workers=processes)
    begun, used = time.perf_counter(), used_with_children()
    with torch.inference_mode():
        done = sum(len(model(batch)) for batch in loader)
    return done / (used_with_children() - used if processes == 1 else time.perf_counter() - begun)


def used_with_children() -> float:
    """Processor seconds of this process and of those it started that have ended."""
    return sum(os.times()[:4])


# ---- Parts -------------------------------------------------------------------------------------------


def compared(
    folder: Path, encoder: str, tasks: dict[str, str], rounds: int, crew: Crew, network: str = ""
) -> dict[str, Any]:
    """Let simkin and other contenders take turns on one folder, on one core and on all."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".mp3", ".wav", ".flac"))
    told: dict[str, Any] = {"files": len(paths)}
    for processes in sorted({1, CORES}):
        contenders: dict[str, Callable[[], float]] = {
            "simkin": lambda p=processes: ingest_rate(folder, encoder, p),  # type: ignore[misc]
            **{
                name: lambda t=task, p=processes: crew.rate(t, paths, p)  # type: ignore[misc]
                for name, task in tasks.items()
            },
        }
        if network and find_spec("timm") and find_spec("torch"):
            contenders["loop"] = lambda p=processes: loader_rate(network, paths, p)  # type: ignore[misc]
        turns: list[dict[str, float]] = []
        for number in range(rounds):
            names = list(contenders)[number % 2 :] + list(contenders)[: number % 2]  # nobody is always first
            turns.append({name: contenders[name]() for name in names})
        told[f"{processes} core{'s' * (processes > 1)}"] = {
            "a second": {name: spread([turn[name] for turn in turns]) for name in contenders},
            "simkin is": {
                name: spread([turn["simkin"] / turn[name] for turn in turns]) for name in contenders if name != "simkin"
            },
        }
    return told


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {
        "median": round(statistics.median(values), 3), "low": round(min(values), 3), "high": round(max(values), 3)
    }  # fmt: skip


def pictures(scratch: Path, args: argparse.Namespace, crew: Crew) -> Iterator[tuple[str, Any]]:
    """The built-in encoder on three kinds of pictures."""
    for name, make in (("one megapixel", photos), ("224 pixels", thumbnails), ("drawn by simkin demo", drawings)):
        folder = scratch / name.replace(" ", "-")
        make(folder, args.pictures)
        tasks = {"describe": "describe builtin-image", "decode": "decode-picture", "scaled": "scaled-picture"}
        tasks |= {"loop": "loop-picture"} if find_spec("skimage") else {}
        yield name, compared(folder, "builtin-image", tasks, args.rounds, crew)


def songs(scratch: Path, args: argparse.Namespace, crew: Crew) -> Iterator[tuple[str, Any]]:
    """The built-in encoder on two kinds of songs."""
    for name, make in (("three minutes of MP3", recordings), ("played by simkin demo", tunes)):
        folder = scratch / name.replace(" ", "-")
        make(folder, args.songs)
        tasks = {"describe": "describe builtin-audio", "decode": "decode-song", "loop": "loop-song"}
        yield name, compared(folder, "builtin-audio", tasks, args.rounds, crew)


def network(scratch: Path, args: argparse.Namespace, crew: Crew) -> Iterator[tuple[str, Any]]:
    """Networks on pictures of one megapixel."""
    models = {args.model.stem: str(args.model)} if args.model else {}
    if not models and find_spec("timm") and find_spec("torch"):
        from bench_encode import converted

        models = {name: str(converted(name, scratch)) for name in NETWORKS[: 1 if args.quick else 2]}
    if not models:
        yield "left out", "needs --model FILE.onnx, or torch and timm: pip install 'simkin[torch]'"
    folder = scratch / "one-megapixel"
    if models and not folder.exists():
        photos(folder, args.pictures)
    for name, file in models.items():
        encoder = file if file.startswith("onnx:") else f"onnx:{file}"
        if args.model:
            encoder += "" if "?" in encoder else "?preset=imagenet"
        tasks = {"describe": f"describe {encoder}", "session": f"session {encoder}", "decode": "decode-picture"}
        yield name, compared(folder, encoder, tasks, args.rounds, crew, "" if args.model else name)


def rescan(scratch: Path, args: argparse.Namespace) -> dict[str, Any]:
    """A run in which nothing changed."""
    return bench_rescan.measure(scratch, 10_000 if args.quick else 100_000, args.rounds)


def memory(args: argparse.Namespace) -> dict[str, Any]:
    """How much memory runs of several sizes take."""
    sizes = (500,) if args.quick else (10_000, 50_000)
    return {f"{size} pictures": bench_memory.measure("index", size, 64) for size in sizes}


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this part only")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--pictures", type=int, default=240, help="pictures in each turn (default 240)")
    parser.add_argument("--songs", type=int, default=60, help="songs in each turn (default 60)")
    parser.add_argument("--model", type=Path, help="an ImageNet network to measure with instead of timm's")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="few files, two rounds")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.pictures, args.songs = 2, 40, 4
    result: dict[str, Any] = {"cores": CORES, "rounds": args.rounds}
    parts = args.only or PARTS
    if not args.json:
        print(f"{CORES} cores, medians of {args.rounds} interleaved rounds (lowest to highest)", flush=True)
    with tempfile.TemporaryDirectory(prefix="ingest-") as temporary:
        scratch = Path(temporary)
        crew = Crew()
        for part, measure in (("pictures", pictures), ("songs", songs), ("network", network)):
            for kind, told in measure(scratch, args, crew) if part in parts else ():
                result.setdefault(part, {})[kind] = told
                if not args.json:
                    show(part, kind, told)
        for part, once in (("rescan", lambda: rescan(scratch, args)), ("memory", lambda: memory(args))):
            if part in parts:
                result[part] = once()
                if not args.json:
                    print(f"\n{part}: {json.dumps(result[part])}", flush=True)
    if args.json:
        print(json.dumps(result))


def show(part: str, kind: str, told: Any) -> None:
    """Print for people, as soon as it is known."""
    if not isinstance(told, dict):
        print(f"\n{part}: {kind}: {told}", flush=True)
        return
    for cores in [key for key in told if key != "files"]:
        print(f"\n{part}, {kind}, {told['files']} files, {cores}")
        for name, rate in told[cores]["a second"].items():
            line = f"  {name:<10}{rate['median']:9.1f} a second ({rate['low']:.1f} to {rate['high']:.1f})"
            if share := told[cores]["simkin is"].get(name):
                line += f"   simkin is {share['median']:.2f} × ({share['low']:.2f} to {share['high']:.2f})"
            print(line, flush=True)


if __name__ == "__main__":
    main()
