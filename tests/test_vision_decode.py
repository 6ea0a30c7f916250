"""Every kind of picture file becomes upright RGB; every bad one a MediaError with a plain sentence."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import vision.decode
from index.errors import MediaError
from vision.decode import decode_picture


def scene(width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """A smooth picture with another colour in each corner, so that every rotation shows; shape ``(h, w, 3)``."""
    across = np.linspace(30, 220, width)
    down = np.linspace(40, 200, height)[:, None]
    return np.stack([across + 0 * down, down + 0 * across, (across + down) / 2], axis=-1).astype(np.uint8)


def jpeg(picture: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def assert_close(actual: NDArray[np.uint8], expected: NDArray[np.uint8], worst: int = 6) -> None:
    assert actual.dtype == np.uint8
    assert actual.shape == expected.shape
    assert int(np.abs(actual.astype(int) - expected.astype(int)).max()) <= worst


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "tga", "webp", "gif", "jpg"])
def test_common_formats_give_the_same_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    options = {"webp": {"lossless": True}, "jpg": {"quality": 95, "subsampling": 0}}.get(suffix, {})
    Image.fromarray(scene()).save(path, **options)
    assert_close(decode_picture(path, 224), scene(), worst=40 if suffix == "gif" else 6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    as_stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](scene())
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name, options in (("a.jpg", {"quality": 95}), ("a.png", {}), ("a.tif", {}), ("a.webp", {"lossless": True})):
        Image.fromarray(np.ascontiguousarray(as_stored)).save(tmp_path / name, exif=exif, **options)
        assert_close(decode_picture(tmp_path / name, 224), scene())


def test_damaged_exif_counts_as_upright(tmp_path: Path) -> None:
    content = jpeg(Image.fromarray(scene()), exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff\x00")
    assert_close(decode_picture(written(tmp_path, "a.jpg", content), 224), scene())


def test_a_big_jpeg_is_scaled_to_the_working_size(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jpg", jpeg(Image.fromarray(scene(1600, 1200))))
    assert_close(decode_picture(path, 240), scene(320, 240))


def test_jpeg_draft_never_goes_below_the_working_size(tmp_path: Path) -> None:
    for side in (225, 447, 449, 900):
        path = written(tmp_path, "a.jpg", jpeg(Image.fromarray(scene(side + 60, side))))
        assert min(decode_picture(path, 224).shape[:2]) == 224


def test_a_small_picture_keeps_its_size(tmp_path: Path) -> None:
    Image.fromarray(scene(30, 20)).save(tmp_path / "a.png")
    assert decode_picture(tmp_path / "a.png", 224).shape == (20, 30, 3)


def test_a_long_banner_stays_bounded(tmp_path: Path) -> None:
    Image.fromarray(scene(4000, 40)).save(tmp_path / "a.png")
    height, width, _ = decode_picture(tmp_path / "a.png", 100).shape
    assert (height, width) == (8, 400)


def test_cmyk_is_converted(tmp_path: Path) -> None:
    red = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    path = written(tmp_path, "a.jpg", jpeg(red))
    assert_close(decode_picture(path, 224), np.full((32, 32, 3), (255, 0, 0), np.uint8))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_lies_over_white(tmp_path: Path, mode: str) -> None:
    alpha = Image.new("L", (32, 32), 0)
    alpha.paste(255, (0, 0, 16, 32))
    picture = Image.new("RGBA", (32, 32), (0, 0, 0, 255))
    picture.putalpha(alpha)
    if mode == "PA":
        picture.quantize(4).save(tmp_path / "a.png")
    else:
        picture.convert(mode).save(tmp_path / "a.png")
    decoded = decode_picture(tmp_path / "a.png", 224)
    assert np.all(decoded[:, :16] == 0)
    assert np.all(decoded[:, 16:] == 255)


def test_half_transparency_is_blended_also_when_scaled(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (255, 0, 0, 128)).save(tmp_path / "a.png")
    decoded = decode_picture(tmp_path / "a.png", 16)
    assert_close(decoded, np.full((16, 16, 3), (255, 127, 127), np.uint8), worst=2)


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (255, 0, 0)), ("L", 7)])
def test_a_transparent_key_colour_lies_over_white(tmp_path: Path, mode: str, colour: object) -> None:
    Image.new(mode, (32, 32), colour).save(tmp_path / "a.png", transparency=colour)  # type: ignore[arg-type]
    assert np.all(decode_picture(tmp_path / "a.png", 224) == 255)


def test_palette_with_transparency_bytes_warns_nobody(tmp_path: Path) -> None:
    picture = Image.fromarray(scene()).quantize(16)
    picture.save(tmp_path / "a.png", transparency=bytes([0] * 8 + [255] * 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_picture(tmp_path / "a.png", 224).shape == (48, 64, 3)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    grey = scene()[..., 0]
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / f"a.{suffix}")
    assert_close(decode_picture(tmp_path / f"a.{suffix}", 224), np.repeat(grey[..., None], 3, axis=2), worst=1)


@pytest.mark.parametrize("scale", [1 / 255, 1.0, 257.0, 1000.0])
def test_floating_point_grey_is_scaled_to_its_range(tmp_path: Path, scale: float) -> None:
    grey = np.linspace(0, 255, 32 * 32).reshape(32, 32)
    Image.fromarray((grey * scale).astype(np.float32)).save(tmp_path / "a.tif")
    decoded = decode_picture(tmp_path / "a.tif", 224)
    assert_close(decoded[..., 0], grey.astype(np.uint8), worst=1)


def test_bilevel_and_grey_pictures_are_read(tmp_path: Path) -> None:
    grey = Image.fromarray(scene()).convert("L")
    for mode in ("1", "L", "P"):
        grey.convert(mode).save(tmp_path / "a.png")
        assert decode_picture(tmp_path / "a.png", 224).shape == (48, 64, 3)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_an_animation_gives_its_first_frame(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "green")]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    assert_close(decode_picture(tmp_path / f"a.{suffix}", 224), np.full((32, 32, 3), (255, 0, 0), np.uint8), worst=2)


def test_a_name_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        Path(os.fsdecode(name)).write_bytes(b"")
    except OSError:
        pytest.skip("this file system only takes UTF-8 names")
    Image.fromarray(scene()).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(os.fsdecode(name))
    assert_close(decode_picture(Path(os.fsdecode(name)), 224), scene())


def failure(path: Path) -> MediaError:
    with pytest.raises(MediaError) as caught:
        decode_picture(path, 224)
    assert str(path) not in caught.value.reason
    return caught.value


def test_a_missing_file_is_a_read_failure(tmp_path: Path) -> None:
    assert failure(tmp_path / "none.jpg").stage == "read"


def test_a_folder_is_a_read_failure(tmp_path: Path) -> None:
    assert failure(tmp_path).stage == "read"


def test_a_null_byte_in_the_name_is_a_read_failure(tmp_path: Path) -> None:
    assert failure(tmp_path / "a\0b.jpg").stage == "read"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_a_read_failure_and_blocks_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert failure(tmp_path / "a.jpg").stage == "read"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_a_read_failure(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jpg", jpeg(Image.fromarray(scene())))
    path.chmod(0)
    assert failure(path).stage == "read"


def test_an_unreadable_device_is_a_read_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(name: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(vision.decode, "_open_at_once", refuse)
    error = failure(written(tmp_path, "a.jpg", b"x"))
    assert (error.stage, error.reason) == ("read", "the file cannot be read: Permission denied")


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"just some words\n" * 40, b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"%!PS-Adobe-3.0 EPSF"],
    ids=["empty", "zero", "text", "jpeg-start", "png-start", "gif-start", "postscript"],
)
def test_what_is_no_picture_is_a_decode_failure(tmp_path: Path, content: bytes) -> None:
    assert failure(written(tmp_path, "a.jpg", content)).stage == "decode"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "tif", "bmp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_a_decode_failure(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert failure(path).stage == "decode"


def test_random_damage_is_a_picture_or_a_media_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for suffix in ("jpg", "png", "gif", "tif", "webp"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(scene()).save(path)
        content = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(60):
            damaged = content.copy()
            damaged[rng.integers(0, len(damaged), 5)] = rng.integers(0, 256, 5)
            path.write_bytes(damaged.tobytes())
            with contextlib.suppress(MediaError):
                assert decode_picture(path, 224).ndim == 3


def png_of(width: int, height: int) -> bytes:
    """A PNG that promises this many pixels and holds none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    packed = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("size", [(15_000, 10_000), (30_000, 30_000)], ids=["above-our-limit", "above-pillows"])
def test_a_decompression_bomb_is_a_decode_failure(tmp_path: Path, size: tuple[int, int]) -> None:
    error = failure(written(tmp_path, "a.png", png_of(*size)))
    assert (error.stage, error.reason) == ("decode", "the picture has more than 100,000,000 pixels")


def test_too_many_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision.decode, "MAX_BYTES", 100)
    assert "larger than" in failure(written(tmp_path, "a.jpg", jpeg(Image.fromarray(scene())))).reason


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (300, 7)])
def test_a_tiny_picture_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    assert "at least 8 a side" in failure(tmp_path / "a.png").reason
