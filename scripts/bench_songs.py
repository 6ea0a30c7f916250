#!/usr/bin/env python3
"""Songs per second and core: the built-in encoder, the loop one would write with librosa, and bare decoding.

Usage: scripts/bench_songs.py [--folder DIR] [--songs 4] [--seconds 180] [--rounds 5] [--quick] [--json]

Three contenders take turns on the same files, in one process and one thread:

* encoder  ``BuiltinSongEncoder.describe``: windows decoded, timbre, rhythm and harmony described.
* librosa  ``librosa.load`` of the whole song, then ``melspectrogram``, ``mfcc`` and ``chroma_stft``, averaged.
* decode   the encoder's windows decoded, mixed and resampled, nothing else: a bound no encoder can pass.

Without --folder, seeded synthetic songs are written as 320 kbit/s stereo MP3. What is compiled or built once
(numba, filterbanks) is excluded by an unmeasured first turn. Figures are medians over rounds, with their range.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy is imported: per core means one thread
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402
import soundfile  # noqa: E402

from audio.builtin import BuiltinSongEncoder  # noqa: E402
from audio.decode import read_windows  # noqa: E402
from audio.mel import RATE  # noqa: E402
from audio.windows import plan_windows  # noqa: E402

ENDINGS = frozenset({".mp3", ".flac", ".wav", ".ogg", ".opus", ".m4a", ".aac", ".wma"})


def write_song(path: Path, seconds: float, seed: int) -> None:
    """Write a stereo 320 kbit/s MP3 at 44.1 kHz: changing chords with overtones, a drum, some noise."""
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


def encode(path: Path) -> None:
    """One song as the built-in encoder does it."""
    BuiltinSongEncoder().describe(path)


def librosa_loop(path: Path) -> None:
    """One song as a first script does it."""
    import librosa

    sound, rate = librosa.load(path)
    mel = librosa.feature.melspectrogram(y=sound, sr=rate)
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=20)
    chroma = librosa.feature.chroma_stft(y=sound, sr=rate)
    np.concatenate([mfcc.mean(axis=1), mfcc.std(axis=1), chroma.mean(axis=1), chroma.std(axis=1)])


def decode(path: Path) -> None:
    """One song's windows, decoded."""
    read_windows(path, RATE, plan_windows)


CONTENDERS: dict[str, Callable[[Path], None]] = {"encoder": encode, "librosa": librosa_loop, "decode": decode}


def measure(songs: list[Path], rounds: int) -> dict[str, dict[str, float]]:
    """Songs per CPU second per contender: median, lowest and highest of the rounds, turns interleaved."""
    for contender in CONTENDERS.values():
        contender(songs[0])
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, contender in CONTENDERS.items():
            started = time.process_time()
            for song in songs:
                contender(song)
            rates[name].append(len(songs) / (time.process_time() - started))
    return {
        name: {"songs_per_second": statistics.median(found), "lowest": min(found), "highest": max(found)}
        for name, found in rates.items()
    }


def main() -> int:
    """Run the benchmark and print its figures; exit status."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n", 1)[0], epilog="Figures are per core: songs per second of CPU time."
    )
    parser.add_argument("--folder", type=Path, help="measure the sound files in this folder instead of synthetic ones")
    parser.add_argument("--songs", type=int, default=4, help="songs per round (default 4)")
    parser.add_argument("--seconds", type=float, default=180.0, help="length of a synthetic song (default 180)")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default 5)")
    parser.add_argument("--quick", action="store_true", help="two songs of one minute, two rounds")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.quick:
        options.songs, options.seconds, options.rounds = 2, 60.0, 2
    if min(options.songs, options.rounds) < 1 or options.seconds < 1:
        parser.error("--songs, --rounds and --seconds must be at least 1")
    warnings.simplefilter("ignore")  # librosa's, about files with silent frames
    with tempfile.TemporaryDirectory() as temporary:
        if options.folder:
            found = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in ENDINGS)
            songs = found[: options.songs]
            if not songs:
                parser.error(f"no sound files in {options.folder}")
        else:
            songs = [Path(temporary) / f"{seed}.mp3" for seed in range(options.songs)]
            for seed, path in enumerate(songs):
                write_song(path, options.seconds, seed)
        figures = measure(songs, options.rounds)
    rate = {name: figure["songs_per_second"] for name, figure in figures.items()}
    ratios = {
        "encoder_over_librosa": rate["encoder"] / rate["librosa"],
        "encoder_over_decode": rate["encoder"] / rate["decode"],
    }
    if options.json:
        print(json.dumps({"songs": len(songs), "rounds": options.rounds, "figures": figures, "ratios": ratios}))
        return 0
    print(f"{len(songs)} songs, {options.rounds} rounds, songs per second and core: median (lowest to highest)")
    for name, figure in figures.items():
        print(f"{name:8s} {figure['songs_per_second']:7.2f}  ({figure['lowest']:.2f} to {figure['highest']:.2f})")
    print(
        f"encoder / librosa {ratios['encoder_over_librosa']:.1f}, encoder / decode {ratios['encoder_over_decode']:.2f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
