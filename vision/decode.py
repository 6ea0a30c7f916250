"""Decode a picture file of any common kind into upright 8-bit RGB of bounded size."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import threading
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from index.errors import MediaError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM", "ICO", "TGA")
"""What is opened, by Pillow's names. Formats that hand the file to another program (EPS) stay out."""

MAX_BYTES = 256 * 2**20
"""Largest file read, in bytes: four times the largest camera JPEG, and it is held in memory once."""

MAX_PIXELS = 100_000_000
"""Most pixels decoded (after JPEG scaling): 400 MB as RGBA, more than any phone or full-frame camera makes."""

MIN_PIXELS_PER_SIDE = 8
"""Below this many pixels a side there is no shape or texture left to describe."""

MAX_ASPECT = 4
"""Longest result side in multiples of ``min_side``; a banner of 40:1 must not cost 40 pictures."""

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class _Quietly:
    """While any thread is inside, decoders warn nobody: ``warnings.catch_warnings`` changes the whole process, so the
    first thread in enters it and the last one out leaves it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._caught = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._caught.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._caught.close()


_quietly = _Quietly()

LARGE = 16_000_000
"""Pictures of more pixels are unpacked one at a time, where threads of one process do so: memory stays bounded."""

_large_ones = threading.Lock()


def decode_picture(path: Path, min_side: int) -> NDArray[np.uint8]:
    """Read one picture: first frame, upright, over white, no larger than needed.

    Args:
        path: Any regular file; opened through Python, so that names need not be valid UTF-8.
        min_side: Pixels wanted on the shorter side. A larger picture is scaled down to exactly that
            (JPEGs by a power of two while decoding, then exactly), unless its longer side would still
            exceed ``MAX_ASPECT * min_side``, which then decides. A smaller picture keeps its size.

    Returns:
        sRGB values, uint8, shape ``(h, w, 3)``, both sides at least ``MIN_PIXELS_PER_SIDE``.

    Raises:
        MediaError: Stage ``"read"`` when the file cannot be opened, ``"decode"`` when its content is
            empty, damaged, too large, too small or not a picture.
    """
    return np.asarray(_decode_safely(_read(path), min_side, exactly=True), dtype=np.uint8)


def decode_image(path: Path, min_side: int) -> Image.Image:
    """Read one picture for a caller that scales it in a way of its own.

    Args:
        path: As ``decode_picture``.
        min_side: JPEGs are scaled by a power of two while decoding, as long as the shorter side keeps so many
            pixels; nothing else is scaled.

    Returns:
        Upright, over white, mode ``RGB``.

    Raises:
        MediaError: As ``decode_picture``.
    """
    return _decode_safely(_read(path), min_side, exactly=False)


def decode_content(content: bytes, min_side: int) -> Image.Image:
    """Read one picture that is in memory, as the cover inside a sound file is; else as ``decode_image``.

    Raises:
        MediaError: As ``decode_picture``.
    """
    if not 0 < len(content) <= MAX_BYTES:
        raise MediaError("decode", f"a picture has 1 to {MAX_BYTES:,} bytes, this one {len(content):,}")
    return _decode_safely(content, min_side, exactly=False)


def _decode_safely(content: bytes, min_side: int, exactly: bool) -> Image.Image:
    with _quietly:
        try:
            return _decode(content, min_side, exactly)
        except MediaError:
            raise
        except UnidentifiedImageError:
            raise MediaError("decode", "the file is not a picture of a kind that can be opened") from None
        except (Image.DecompressionBombError, MemoryError):
            raise MediaError("decode", f"the picture has more than {MAX_PIXELS:,} pixels") from None
        except Exception as error:  # damaged content makes codecs raise anything: OSError, SyntaxError, struct.error
            detail = str(error).partition("\n")[0] or type(error).__name__
            raise MediaError("decode", f"the picture is damaged or cut off: {detail}") from error


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise MediaError("read", "expected a regular file, found something else")
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError("read", f"the file cannot be read: {reason}") from error
    if not content:
        raise MediaError("decode", "the file is empty")
    if len(content) > MAX_BYTES:
        raise MediaError("decode", f"the file is larger than {MAX_BYTES:,} bytes")
    return content


def _open_at_once(name: str, flags: int) -> int:
    """Open without waiting for the writing end of a named pipe."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _decode(content: bytes, min_side: int, exactly: bool) -> Image.Image:
    with Image.open(io.BytesIO(content), formats=_known_formats()) as image:
        if min(image.size) < MIN_PIXELS_PER_SIDE:
            width, height = image.size
            raise MediaError(
                "decode", f"the picture is {width} × {height} pixels; at least {MIN_PIXELS_PER_SIDE} a side are needed"
            )
        image.draft(image.mode, _target(image.size, min_side))
        if image.width * image.height > MAX_PIXELS:
            raise MediaError("decode", f"the picture has more than {MAX_PIXELS:,} pixels")
        with _large_ones if image.width * image.height > LARGE else contextlib.nullcontext():
            image.load()
            orientation = _orientation(image)
            plain = _eight_bit(image)
            target = _target(plain.size, min_side) if exactly else plain.size
            if target != plain.size:
                plain = plain.resize(target, Image.Resampling.BOX, reducing_gap=2.0)
        if plain.mode == "RGBA":
            white = Image.new("RGBA", plain.size, (255, 255, 255, 255))
            plain = Image.alpha_composite(white, plain).convert("RGB")
        if orientation in _UPRIGHT:
            plain = plain.transpose(_UPRIGHT[orientation])
        return plain


@cache
def _known_formats() -> tuple[str, ...]:
    """Those of ``FORMATS`` that this Pillow knows; older ones have no AVIF."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _target(size: tuple[int, int], min_side: int) -> tuple[int, int]:
    """Width and height after scaling down; see ``decode_picture``."""
    scale = min(1.0, min_side / min(size), MAX_ASPECT * min_side / max(size))
    width, height = (max(min(side, MIN_PIXELS_PER_SIDE), round(side * scale)) for side in size)
    return width, height


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) to 8; damaged EXIF counts as upright."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:
        return 1


def _eight_bit(image: Image.Image) -> Image.Image:
    """RGB, or RGBA where the picture has transparency, of any mode."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_grey_of_deep(np.asarray(image), image.format)).convert("RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _grey_of_deep(values: NDArray[np.generic], format_name: str | None) -> NDArray[np.uint8]:
    """Scale grey values of more than 8 bits to 0..255 by their depth instead of clipping them.

    Sixteen-bit pictures are divided by 257. Signed 32-bit and floating-point ones do not say their range:
    the smallest of 0..1, 0..255, 0..65535 that holds the values is taken, else lowest to highest value.

    Args:
        values: Any number type, shape ``(h, w)``.
        format_name: Pillow's name of the file format; PNG values are 16-bit whatever type holds them.
    """
    numbers = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(numbers.min()), float(numbers.max())
    if values.dtype.kind == "u" or format_name == "PNG":
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 65535:
        limits = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
        low, high = 0.0, next(limit for limit in limits if high <= limit)
    scaled = (numbers - low) * (255.0 / max(high - low, 1e-12))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
