"""What a network wants done to a picture before it looks: scale, crop or pad, normalise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from index.errors import InputError
from index.types import Attribute

Fit: TypeAlias = Literal["crop", "squash", "pad", "border"]
"""How a picture of any shape fills the network's: see ``Preprocessing.fit``."""

FITS: tuple[Fit, ...] = ("crop", "squash", "pad", "border")

Colour: TypeAlias = tuple[float, float, float]
"""One number for red, green and blue each, where 0 is black and 1 is full."""

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """From decoded pixels to a network's input.

    Attributes:
        height: Rows of the network's input.
        width: Columns of the network's input.
        scaled_height: Rows that the picture is scaled to; of these the middle ``height`` are the input.
        scaled_width: Columns likewise.
        fit: ``crop`` keeps the picture's shape, so that the shorter side fills the scaled size; ``squash``
            forgets it; ``pad`` makes the picture square with ``fill``, then scales; ``border`` scales until
            the longer side fills, then surrounds with ``fill``.
        interpolation: A key of ``RESAMPLING``; all but nearest average over what they leave out.
        mean: Subtracted from each channel, of pixels 0 to 1.
        std: Each channel is divided by it afterwards.
        fill: Colour of the padding.
    """

    height: int
    width: int
    scaled_height: int
    scaled_width: int
    fit: Fit
    interpolation: str
    mean: Colour
    std: Colour
    fill: Colour = (1.0, 1.0, 1.0)

    @property
    def min_side(self) -> int:
        """Pixels wanted on the shorter side of the decoded picture, half as many again as it is scaled to.

        JPEGs are decoded at a half, a quarter or an eighth if that leaves so many. Asking for no more than
        is needed left MobileNetV2 a cosine of 0.987 to the picture decoded in full; this leaves 0.999.
        """
        return math.ceil(1.5 * max(self.scaled_height, self.scaled_width))

    def apply(self, picture: Image.Image | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Make one picture the network's input.

        Args:
            picture: sRGB, mode ``RGB``, of any size; or the same as uint8, shape ``(h, w, 3)``.

        Returns:
            float32, shape ``(1, 3, height, width)``, channels red, green, blue, the bytes that torch computes.
        """
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        fitted = np.asarray(_FITTED[self.fit](self, image))
        out = fitted.transpose(2, 0, 1)[None].astype(np.float32, order="C")
        out /= np.float32(255)
        out -= np.asarray(self.mean, np.float32)[:, None, None]
        out /= np.asarray(self.std, np.float32)[:, None, None]
        return out

    def seen(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Which part of a picture becomes the input: left, top, right and bottom in fractions of the picture.

        Padding lies below 0 or above 1.
        """
        across, down = self.width / self.scaled_width, self.height / self.scaled_height
        if self.fit == "crop":
            scale = max(self.scaled_height / height, self.scaled_width / width)
            across, down = self.width / (scale * width), self.height / (scale * height)
        elif self.fit == "pad":
            across, down = across * max(width, height) / width, down * max(width, height) / height
        elif self.fit == "border":
            scale = min(self.scaled_height / height, self.scaled_width / width)
            across, down = self.width / (scale * width), self.height / (scale * height)
        return 0.5 - across / 2, 0.5 - down / 2, 0.5 + across / 2, 0.5 + down / 2

    def attributes(self) -> dict[str, Attribute]:
        """The same as flat values, for a card's fingerprint."""
        return {
            name: ",".join(f"{number:.8g}" for number in value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, for a model file's metadata."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Preprocessing:
        """Read what ``to_json`` wrote, or somebody wrote by hand.

        Raises:
            InputError: Something is missing, unknown or out of range; the message says what.
        """
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        try:
            read = cls(**values)
            read.check()
        except (TypeError, ValueError) as error:
            raise InputError(f"the preprocessing of the network's card is wrong: {error}") from None
        return read

    def check(self) -> None:
        """Refuse values that make no picture.

        Raises:
            InputError: One is out of range; the message says which.
        """
        for side, scaled in ((self.height, self.scaled_height), (self.width, self.scaled_width)):
            if not (isinstance(side, int) and isinstance(scaled, int) and 1 <= side <= scaled <= 4096):
                raise InputError(f"sides must be 1 to 4096 pixels, scaled ones no smaller, not {side!r} and {scaled!r}")
        if self.fit not in FITS:
            raise InputError(f"fit must be one of {', '.join(FITS)}, not {self.fit!r}")
        if self.interpolation not in RESAMPLING:
            raise InputError(f"interpolation must be one of {', '.join(RESAMPLING)}, not {self.interpolation!r}")
        if not all(len(colour) == 3 for colour in (self.mean, self.std, self.fill)) or 0 in self.std:
            raise InputError("mean, std and fill must have three numbers each, and std no zero")


def _cropped(how: Preprocessing, picture: Image.Image) -> Image.Image:
    rows, columns = how.scaled_height, how.scaled_width
    scale = max(rows / picture.height, columns / picture.width)
    if rows == columns:  # torchvision's rule: the shorter side exactly, the longer one rounded down
        short = min(picture.size)
        target = (int(rows * picture.width / short), int(rows * picture.height / short))
    else:
        target = (max(columns, round(picture.width * scale)), max(rows, round(picture.height * scale)))
    return _middle(how, picture, target)


def _squashed(how: Preprocessing, picture: Image.Image) -> Image.Image:
    return _middle(how, picture, (how.scaled_width, how.scaled_height))


def _middle(how: Preprocessing, picture: Image.Image, target: tuple[int, int]) -> Image.Image:
    """Scale to ``target`` (columns, rows) and cut the middle out.

    Pillow could scale the middle alone, but then rounds otherwise than timm and torchvision.
    """
    scaled = picture if picture.size == target else picture.resize(target, RESAMPLING[how.interpolation])
    left, top = round((target[0] - how.width) / 2), round((target[1] - how.height) / 2)
    return scaled.crop((left, top, left + how.width, top + how.height))


def _padded(how: Preprocessing, picture: Image.Image) -> Image.Image:
    side = max(picture.size)
    if picture.size != (side, side):
        square = Image.new("RGB", (side, side), _eight_bit(how.fill))
        square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        picture = square
    return _squashed(how, picture)


def _bordered(how: Preprocessing, picture: Image.Image) -> Image.Image:
    shrink = max(picture.height / how.scaled_height, picture.width / how.scaled_width)
    target = (round(picture.width / shrink), round(picture.height / shrink))
    scaled = picture.resize(target, RESAMPLING[how.interpolation])
    framed = Image.new("RGB", (how.width, how.height), _eight_bit(how.fill))
    framed.paste(scaled, (math.floor((how.width - target[0]) / 2), math.floor((how.height - target[1]) / 2)))
    return framed


_FITTED: dict[Fit, Callable[[Preprocessing, Image.Image], Image.Image]] = {
    "crop": _cropped,
    "squash": _squashed,
    "pad": _padded,
    "border": _bordered,
}


def _eight_bit(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (min(max(round(255 * part), 0), 255) for part in colour)
    return red, green, blue
