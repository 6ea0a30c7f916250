"""Thumbnails of pictures and sounds, and crops."""

from __future__ import annotations

import io

import numpy as np
import pytest
from mutagen.flac import FLAC, Picture
from PIL import Image

from index.errors import InputError, MediaError
from index.thumbnails import crop, thumbnail


def shown(content: bytes) -> Image.Image:
    """A thumbnail as its viewer sees it."""
    image = Image.open(io.BytesIO(content))
    assert image.format == "JPEG"
    return image.convert("RGB")


def test_pictures_stand_upright_over_white(tmp_path):
    """Turned by EXIF, transparent, in print colours."""
    image = Image.new("RGB", (80, 40), (200, 0, 0))
    image.paste((0, 0, 200), (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    turned = shown(thumbnail(tmp_path / "turned.jpg", "image", 160))
    assert turned.size == (40, 80)
    assert turned.getpixel((20, 10))[2] > 150
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert min(shown(thumbnail(tmp_path / "clear.png", "image", 160)).getpixel((20, 20))) > 250
    Image.new("CMYK", (400, 300), (0, 0, 0, 0)).save(tmp_path / "print.jpg")
    printed = shown(thumbnail(tmp_path / "print.jpg", "image", 160))
    assert printed.size == (160, 120)
    assert min(printed.getpixel((9, 9))) > 250


def test_sounds_show_their_cover_or_their_loudness(tmp_path, song):
    """A loud half is drawn higher than a silent one; a damaged cover is passed over."""
    import soundfile

    rng = np.random.default_rng(0)
    signal = np.concatenate([rng.normal(0, 0.2, 40_000), np.zeros(40_000)]).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", signal, 8000)
    drawn = np.asarray(shown(thumbnail(tmp_path / "a.flac", "audio", 160)), int)
    ink = (drawn[:, :, 0] < 160).sum(axis=0)
    assert ink[10:75].mean() > 3 * ink[90:150].mean()
    for content, covered in ((b"no picture", False), (_cover(), True)):
        opened = FLAC(tmp_path / "a.flac")
        opened.clear_pictures()
        picture = Picture()
        picture.type, picture.mime, picture.data = 3, "image/png", content
        opened.add_picture(picture)
        opened.save()
        image = shown(thumbnail(tmp_path / "a.flac", "audio", 160))
        assert (image.getpixel((20, 20))[1] > 180 and image.getpixel((20, 20))[0] < 60) == covered


def _cover() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (64, 64), (0, 220, 0)).save(content, "PNG")
    return content.getvalue()


def test_what_is_none_is_told(tmp_path):
    """A file that is no picture, no sound, or not there."""
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    for name, modality in (("a.jpg", "image"), ("a.jpg", "audio"), ("b.jpg", "image")):
        with pytest.raises(MediaError):
            thumbnail(tmp_path / name, modality, 160)


def test_a_crop_is_the_part_that_was_named(tmp_path):
    """By fractions of the upright picture."""
    image = Image.new("RGB", (100, 100), (255, 255, 255))
    image.paste((0, 0, 255), (50, 0, 100, 50))
    image.save(tmp_path / "a.png")
    crop(tmp_path / "a.png", (0.5, 0.0, 0.5, 0.5), tmp_path / "out.png")
    part = Image.open(tmp_path / "out.png")
    assert part.size == (50, 50)
    assert part.getcolors() == [(2500, (0, 0, 255))]
    nan = float("nan")
    for box in ((0, 0, 0, 0), (0, 0, 2, 1), (-0.1, 0, 0.5, 0.5), (nan, 0, 1, 1), (0, 0, nan, 1), (0, 0, 0.01, 1)):
        with pytest.raises(InputError):
            crop(tmp_path / "a.png", box, tmp_path / "out.png")
