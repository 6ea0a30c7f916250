"""Every kind of bad file is one plain row in ``failures``; every kind of odd but good one is indexed."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
import wave
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from index.catalog import Catalog
from index.items import Failure
from index.recommender import Recommender

SOUND = (0.2 * np.sin(np.arange(16_000) * np.linspace(0.05, 0.5, 16_000))).astype(np.float32)

BAD = {
    "zero.jpg": ("read", "the file is empty (0 bytes)"),
    "zero.mp3": ("read", "the file is empty (0 bytes)"),
    "cut.jpg": ("decode", "the picture is damaged or cut off"),
    "cut.png": ("decode", "the picture is damaged or cut off"),
    "cut.mp3": ("decode", "truncated: sound ends before"),
    "cut.flac": ("decode", ""),
    "text.jpg": ("decode", "the file is not a picture"),
    "text.mp3": ("decode", "not a sound file"),
    "dot.png": ("decode", "the picture is 1 × 1 pixels"),
    "blank.png": ("encode", "the picture is one flat colour"),
    "silent.wav": ("encode", "silent"),
    "blip.wav": ("encode", "lasts 0.10 s; at least 0.5 s are needed"),
    "bomb.png": ("decode", "the picture has more than 100,000,000 pixels"),
    "pipe.jpg": ("read", "expected a regular file"),
    "folder.jpg-link.jpg": ("read", "no such file"),
    "self.png": ("read", "symbolic links"),
}
"""Name → stage, and how the reason begins or what stands in it."""

GOOD = {
    "deep.png", "cmyk.jpg", "palette.png", "alpha.png", "moving.gif", "upright.png", "rotated.jpg",
    "three-hours.wav", "caf\\xe9.jpg", "n" * 251 + ".jpg", "good.jpg", "good.wav",
}  # fmt: skip


def scene(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A picture of a few coloured boxes, without symmetry."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((size[1], size[0], 3), np.uint8) + rng.integers(60, 200, 3, np.uint8)
    for _ in range(6):
        x, y = rng.integers(0, size[0] - 20), rng.integers(0, size[1] - 20)
        pixels[y : y + rng.integers(8, 20), x : x + rng.integers(8, 20)] = rng.integers(0, 256, 3)
    return Image.fromarray(pixels)


def write_bad(folder: Path) -> None:
    for name in ("zero.jpg", "zero.mp3"):
        (folder / name).write_bytes(b"")
    for name in ("text.jpg", "text.mp3"):
        (folder / name).write_text("Dear diary,\n" * 50)
    for name in ("cut.jpg", "cut.png"):
        scene(1, (400, 300)).save(folder / name)
    for name in ("cut.mp3", "cut.flac"):
        soundfile.write(folder / name, np.tile(SOUND, 4), 16_000)
    for name in ("cut.jpg", "cut.png", "cut.mp3", "cut.flac"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("RGB", (64, 64), (10, 200, 30)).save(folder / "blank.png")
    soundfile.write(folder / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(folder / "blip.wav", SOUND[:1600], 16_000)
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100_000)), (b"IEND", b"")]
    bomb = b"".join(struct.pack(">I", len(c)) + t + c + struct.pack(">I", zlib.crc32(t + c)) for t, c in chunks)
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bomb)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.jpg-link.jpg").symlink_to("nowhere.jpg")
    (folder / "self.png").symlink_to("self.png")
    (folder / "loop").symlink_to(".")


def write_good(folder: Path) -> None:
    scene(2).save(folder / "good.jpg")
    soundfile.write(folder / "good.wav", SOUND, 16_000)
    Image.fromarray(np.asarray(scene(3).convert("L"), np.uint16) * 257).save(folder / "deep.png")
    scene(4).convert("CMYK").save(folder / "cmyk.jpg")
    scene(5).quantize(16).save(folder / "palette.png")
    alpha = scene(6).convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(alpha.size))
    alpha.save(folder / "alpha.png")
    scene(7).save(folder / "moving.gif", save_all=True, append_images=[scene(8)])
    scene(9).save(folder / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    scene(9).transpose(Image.Transpose.ROTATE_90).save(folder / "rotated.jpg", exif=exif, quality=95, subsampling=0)
    with wave.open(str(folder / "three-hours.wav"), "wb") as file:
        file.setparams((1, 1, 4000, 0, "NONE", ""))
        second = (128 + 100 * SOUND[:4000] / 0.2).astype(np.uint8).tobytes()
        for _ in range(3 * 3600):
            file.writeframesraw(second)
    scene(10).save(folder / ("n" * 251 + ".jpg"))
    scene(11).save(folder / "plain.jpg")
    (folder / "plain.jpg").rename(Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg")))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str], float]:
    """A catalog of all of them, indexed once with real workers; what the command printed; how long it took."""
    folder = tmp_path_factory.mktemp("mixed") / "files"
    folder.mkdir()
    write_bad(folder)
    write_good(folder)
    started = time.monotonic()
    command = [sys.executable, "-m", "simkin", "index", str(folder), "--catalog", str(folder.parent / "c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return folder.parent / "c", done, time.monotonic() - started


def failures(catalog: Path) -> dict[str, Failure]:
    with Catalog.open(catalog) as opened:
        return {failure.item_id: failure for failure in opened.failures()}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_a_failure_with_a_plain_reason(mixed: Any, name: str) -> None:
    stage, reason = BAD[name]
    failure = failures(mixed[0])[name]
    assert failure.stage == stage
    assert reason in failure.reason
    assert failure.path.name == name
    assert "Traceback" not in failure.reason
    assert "\n" not in failure.reason


@pytest.mark.parametrize("name", sorted(GOOD))
def test_an_odd_but_good_file_is_indexed(mixed: Any, name: str) -> None:
    with Catalog.open(mixed[0]) as catalog:
        (key,) = catalog.keys_of([name])
        held = catalog.connection.execute(
            "SELECT count(*) FROM media JOIN vectors USING (media) WHERE item=?", (key,)
        ).fetchone()
    assert held == (1,)


def test_nothing_else_was_found_and_the_exit_code_tells_of_failures(mixed: Any) -> None:
    catalog, done, _ = mixed
    assert failures(catalog).keys() == BAD.keys()
    with Catalog.open(catalog) as opened:
        assert opened.count() == len(GOOD)
    assert done.returncode == 3
    assert f"{len(BAD)} files failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_recording_of_three_hours_takes_bounded_time(mixed: Any) -> None:
    assert mixed[2] < 60


def test_a_rotated_picture_finds_its_upright_twin(mixed: Any) -> None:
    with Catalog.open(mixed[0]) as catalog:
        answer = Recommender(catalog).query("rotated.jpg", k=1, duplicates=True)
    assert answer.hits[0].item_id == "upright.png"
    assert answer.hits[0].score > 0.97


def test_failures_are_listed_by_the_command_line(mixed: Any, run_simkin: Callable[..., Any]) -> None:
    done = run_simkin("failures", "--catalog", mixed[0])
    assert done.returncode == 0
    assert "dot.png  [decode] the picture is 1 × 1 pixels" in done.stdout
    assert f"{len(BAD)} failures" in done.stderr


def test_a_name_that_is_not_utf8_can_be_asked_about(mixed: Any, run_simkin: Callable[..., Any]) -> None:
    done = run_simkin("query", "caf\\xe9.jpg", "--catalog", mixed[0], "-k", 2)
    assert done.returncode == 0, done.stderr
    done = run_simkin("query", "good.jpg", "--catalog", mixed[0], "-k", 20, "--json")
    assert "caf\\\\xe9.jpg" in done.stdout


def test_three_hours_take_bounded_memory(mixed: Any, tmp_path: Path) -> None:
    """In a process of its own, that of the worker; 43 MB of sound must not be held at once as float32."""
    script = (
        "import resource, sys; from pathlib import Path; from index.encoders import load_encoder\n"
        "encoder = load_encoder('builtin-audio'); encoder.describe(Path(sys.argv[1]))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "encoder.describe(Path(sys.argv[2]))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    files = mixed[0].parent / "files"
    soundfile.write(tmp_path / "half-minute.wav", np.tile(SOUND, 30)[: 30 * 4000], 4000)
    command = [sys.executable, "-c", script, str(tmp_path / "half-minute.wav"), str(files / "three-hours.wav")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) < 40_000, "kilobytes beyond what half a minute needs"
