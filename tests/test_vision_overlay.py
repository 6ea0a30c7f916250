"""Laying one picture over another: copies agree in every detail, pictures that only resemble each other do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from vision.header import picture_size
from vision.overlay import overlay


def bag(seed: int, size: tuple[int, int] = (300, 240)) -> Image.Image:
    """A dark bag on white: outlines alike, seams, buckles and grain another for each seed."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((60, 80, 240, 200), fill=(40, 38, 36))
    draw.arc((110, 30, 190, 130), 180, 360, fill=(40, 38, 36), width=8)
    for _ in range(12):
        x, y = rng.uniform(65, 200), rng.uniform(85, 180)
        draw.line((x, y, x + rng.uniform(10, 40), y + rng.uniform(-10, 18)), fill=(110, 100, 90), width=3)
    grain = rng.normal(0, 3, (size[1], size[0], 1))
    return Image.fromarray((np.asarray(image, float) + grain).clip(0, 255).astype(np.uint8))


def saved(image: Image.Image, path: Path, **options: int) -> Path:
    image.save(path, **options)
    return path


def test_copies_agree_in_detail(tmp_path: Path) -> None:
    """Saved again, scaled, mirrored, cropped on all sides or on two, brightened."""
    image = bag(0)
    wide, high = image.size
    original = saved(image, tmp_path / "original.png")
    copies = {
        "jpeg": saved(image, tmp_path / "jpeg.jpg", quality=50),
        "half": saved(image.resize((wide // 2, high // 2)), tmp_path / "half.png"),
        "mirror": saved(ImageOps.mirror(image), tmp_path / "mirror.png"),
        "crop": saved(image.crop((15, 12, wide - 15, high - 12)), tmp_path / "crop.png"),
        "corner": saved(image.crop((15, 12, wide, high)), tmp_path / "corner.png"),
        "bright": saved(image.point(lambda value: min(255, value + 12)), tmp_path / "bright.png"),
    }
    for name, copy in copies.items():
        assert overlay(original, copy) > 0.98, name
        assert overlay(copy, original) > 0.98, name


@pytest.mark.parametrize("seed", range(1, 6))
def test_pictures_that_resemble_each_other_do_not(tmp_path: Path, seed: int) -> None:
    """The same outline and the same darkness, other seams."""
    one, other = saved(bag(0), tmp_path / "one.png"), saved(bag(seed), tmp_path / "other.png")
    assert overlay(one, other) < 0.95


def test_plain_pictures_have_no_detail_to_differ_in(tmp_path: Path) -> None:
    """Two white ones are the same; a white one and a bag are not."""
    white = saved(Image.new("RGB", (100, 100), "white"), tmp_path / "white.png")
    again = saved(Image.new("RGB", (80, 90), "white"), tmp_path / "again.png")
    assert overlay(white, again) == 1.0
    assert overlay(white, saved(bag(0), tmp_path / "bag.png")) < 0.5


def test_what_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    """Missing and damaged files."""
    good = saved(bag(0), tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    assert overlay(good, tmp_path / "none.png") is None
    assert overlay(tmp_path / "bad.png", good) is None
    assert picture_size(tmp_path / "bad.png") is None
    assert picture_size(tmp_path / "none.png") is None


def test_sizes_are_those_of_the_upright_picture(tmp_path: Path) -> None:
    """A phone that was turned writes so in the header."""
    image = bag(0)
    exif = Image.Exif()
    exif[274] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert picture_size(saved(image, tmp_path / "plain.png")) == (300, 240)
    assert picture_size(tmp_path / "turned.jpg") == (240, 300)
