"""Windows on a product, and pictures without one of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from index.errors import MediaError
from vision.builtin import BuiltinPictureEncoder, describe_picture
from vision.foreground import find_foreground
from vision.looking import Looking
from vision.windows import find_windows, random_boxes


@pytest.fixture
def shirt(tmp_path: Path) -> Path:
    """A patterned thing in the left half of a white picture, 300 by 200 pixels."""
    image = Image.new("RGB", (300, 200), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 40, 139, 159), fill="#204080")
    for x in range(30, 130, 20):
        draw.line((x, 45, x, 155), fill="#e0c020", width=6)
    image.save(tmp_path / "shirt.png")
    return tmp_path / "shirt.png"


def pixels(path: Path) -> np.ndarray:
    return BuiltinPictureEncoder().decode(path)


def test_the_foreground_tells_where_it_lies(shirt: Path) -> None:
    """Its box, in pixels of the picture it was given, holds the product in its middle."""
    left, top, right, bottom = find_foreground(pixels(shirt)).box
    assert right - left == pytest.approx(bottom - top)
    assert (left + right) / 2 == pytest.approx(80, abs=4)
    assert (top + bottom) / 2 == pytest.approx(100, abs=4)


def test_windows_lie_on_the_product(shirt: Path) -> None:
    """In fractions of the picture, all of one size, none over the empty half."""
    found = find_windows(pixels(shirt))
    assert len(found) > 10
    right, bottom = (found.boxes[:, :2] + found.boxes[:, 2:]).T
    assert (found.boxes >= 0).all()
    assert right.max() < 0.55
    assert bottom.max() < 0.9
    assert np.ptp(found.boxes[:, 2:], axis=0).max() < 0.01
    for cells in found.cells.values():
        assert cells.shape[0] == len(found)
        assert np.linalg.norm(cells, axis=1) == pytest.approx(np.ones(len(found)), abs=1e-5)


def test_random_boxes_keep_to_the_product_as_windows_do(shirt: Path) -> None:
    """They are fair opponents: as large, over the product, the same for the same seed."""
    boxes, windows = random_boxes(pixels(shirt), 50, seed=1), find_windows(pixels(shirt)).boxes
    assert (boxes == random_boxes(pixels(shirt), 50, seed=1)).all()
    assert boxes[:, 2:] == pytest.approx(np.broadcast_to(windows[0, 2:], (50, 2)), abs=0.01)
    assert (boxes[:, 0] + boxes[:, 2]).max() < 0.55
    assert len(np.unique(boxes[:, 0])) > 20


@pytest.mark.parametrize("spread", [0.7, 0.15, None])
def test_only_the_region_is_changed(shirt: Path, spread: float | None) -> None:
    """Blurred or filled inside, untouched a little way off."""
    look = Looking([BuiltinPictureEncoder()], shirt)
    before, after = pixels(shirt).astype(int), look.without(0, (0.1, 0.3, 0.2, 0.3), spread).astype(int)
    apart = np.abs(after - before).max(axis=2)
    assert apart[70:110, 40:80].mean() > 10
    apart[50:130, 20:100] = 0
    assert not apart.any()


def test_looking_again_describes_what_is_left(shirt: Path) -> None:
    """By the same numbers as the encoder; a region off the product hardly matters."""
    look = Looking([BuiltinPictureEncoder()], shirt)
    whole = describe_picture(pixels(shirt))
    assert (look.describe(0) == whole).all()
    assert whole @ look.describe_without(0, (0.7, 0.3, 0.2, 0.3)) == pytest.approx(3, abs=0.01)
    assert whole @ look.describe_without(0, (0.1, 0.3, 0.2, 0.3)) < 2.95


def test_a_picture_of_which_nothing_is_left_is_all_zero(tmp_path: Path) -> None:
    """Blurring all that there is leaves nothing to describe, which is an answer."""
    image = Image.new("RGB", (100, 100), "white")
    image.paste((250, 250, 250), (40, 40, 60, 60))
    image.save(tmp_path / "faint.png")
    look = Looking([BuiltinPictureEncoder()], tmp_path / "faint.png")
    assert look.describe(0).any()
    assert not look.describe_without(0, (0, 0, 1, 1), None).any()


def test_a_picture_that_is_gone_says_so(tmp_path: Path) -> None:
    """As describing it would."""
    with pytest.raises(MediaError, match="cannot be read"):
        Looking([BuiltinPictureEncoder()], tmp_path / "gone.png")
