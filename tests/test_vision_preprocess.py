"""What happens to a picture before a network sees it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from index.errors import InputError, UnknownNameError
from vision.preprocess import Preprocessing
from vision.presets import PRESETS, preset

SIZES = [(640, 480), (300, 500), (97, 260), (256, 256), (224, 224), (33, 20)]


def made_picture(width: int, height: int) -> np.ndarray:
    """Return smooth shapes with edges and some grain, uint8."""
    rng = np.random.default_rng(width * height)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    return np.clip(smooth + rng.integers(-20, 20, smooth.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", SIZES)
def test_every_preset_makes_the_networks_input_of_any_picture(name: str, size: tuple[int, int]) -> None:
    made = preset(name, 160, 160).apply(made_picture(*size))
    assert made.shape == (1, 3, 160, 160)
    assert made.dtype == np.float32
    assert made.flags.c_contiguous
    assert np.isfinite(made).all()


def test_the_padded_preset_shows_the_whole_picture_on_white() -> None:
    rgb = made_picture(300, 500)
    square = Image.new("RGB", (500, 500), (255, 255, 255))
    square.paste(Image.fromarray(rgb), (100, 0))
    by_hand = np.asarray(square.resize((224, 224), Image.Resampling.BICUBIC), np.float32) / 127.5 - 1
    made = preset("inception-padded").apply(rgb)
    np.testing.assert_allclose(made[0].transpose(1, 2, 0), by_hand, atol=1e-6)  # float32 rounding


def test_a_crop_keeps_the_middle_and_the_shape() -> None:
    rgb = np.zeros((224, 448, 3), np.uint8)
    rgb[:, 112:336] = 255  # a white square in the middle
    assert (preset("clip").apply(rgb)[0, 0] > 1).all()


def test_a_squash_shows_the_whole_width() -> None:
    rgb = np.zeros((224, 448, 3), np.uint8)
    rgb[:, 224:] = 255
    row = preset("siglip").apply(rgb)[0, 0, 100]
    assert row[:100].max() < -0.9
    assert row[-100:].min() > 0.9


def test_presets_follow_the_networks_size() -> None:
    how = preset("imagenet", 299, 299)
    assert (how.scaled_height, how.scaled_width) == (341, 341)
    assert preset("imagenet").scaled_height == 256


def test_an_unknown_preset_suggests_a_near_one() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'imagenet'"):
        preset("imagnet")


def test_json_and_back_is_the_same() -> None:
    for how in PRESETS.values():
        assert Preprocessing.from_json(json.loads(json.dumps(how.to_json()))) == how


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fit": "stretch"}, "crop, squash"),
        ({"interpolation": "cubic"}, "bicubic"),
        ({"height": 0}, "1 to 4096"),
        ({"scaled_width": 100}, "no smaller"),
        ({"std": [1, 0, 1]}, "no zero"),
        ({"mean": [1, 0]}, "three numbers"),
        ({"mean": 1}, "wrong"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_preprocessing_is_refused_plainly(change: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Preprocessing.from_json(preset("imagenet").to_json() | change)


def test_what_changes_numbers_changes_the_attributes() -> None:
    how = preset("imagenet")
    others = [replace(how, fit="pad"), replace(how, scaled_height=240), replace(how, mean=(0.4, 0.4, 0.4))]
    assert all(other.attributes() != how.attributes() for other in others)
    assert all(isinstance(value, str | int | float) for value in how.attributes().values())


# ---- Held to the libraries that networks were trained with -------------------------------------------


def largest_difference(ours: np.ndarray, theirs: np.ndarray, std: tuple[float, ...]) -> float:
    """In steps of 8-bit pixels."""
    return float((np.abs(ours - theirs) * np.array(std)[:, None, None] * 255).max())


@pytest.mark.torch
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("mode", "share", "interpolation", "side"),
    [
        ("center", 0.875, "bicubic", (224, 224)),
        ("center", 0.95, "bilinear", (160, 160)),
        ("center", 1.0, "bicubic", (224, 224)),
        ("center", 0.9, "bicubic", (256, 192)),
        ("squash", 0.9, "bicubic", (224, 224)),
        ("border", 1.0, "bicubic", (224, 224)),
    ],
)
def test_pixels_agree_with_timms_transforms(
    size: tuple[int, int], mode: str, share: float, interpolation: str, side: tuple[int, int]
) -> None:
    pytest.importorskip("timm", reason="needs timm: pip install 'simkin[torch]'")
    from timm.data import create_transform

    from vision.timm_models import from_data_config

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    config = {"input_size": (3, *side), "interpolation": interpolation, "mean": mean, "std": std}
    config |= {"crop_pct": share, "crop_mode": mode}
    rgb = made_picture(*size)
    ours = from_data_config(config).apply(rgb)[0]
    theirs = create_transform(**config)(Image.fromarray(rgb)).numpy()
    assert largest_difference(ours, theirs, std) < 1e-3  # float32 rounding: the same 8-bit pixels


@pytest.mark.torch
def test_pixels_agree_with_torchvisions_transforms() -> None:
    pytest.importorskip("torchvision", reason="needs torchvision: pip install 'simkin[torch]'")
    from torchvision import models

    from vision.torchvision_models import from_transforms

    for weights in (models.ResNet50_Weights.IMAGENET1K_V2, models.EfficientNet_B1_Weights.IMAGENET1K_V2):
        transforms = weights.transforms()
        for size in SIZES:
            rgb = made_picture(*size)
            ours, theirs = from_transforms(transforms).apply(rgb)[0], transforms(Image.fromarray(rgb)).numpy()
            assert largest_difference(ours, theirs, transforms.std) < 1e-3


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", [(640, 480), (300, 500), (256, 256)])
def test_what_is_seen_of_a_picture_is_told_where_it_is(name: str, size: tuple[int, int]) -> None:
    """A bright square off the middle is found in the input where ``seen`` says."""
    how = preset(name, 160, 160)
    picture = Image.new("RGB", size, (90, 90, 90))
    centre = (0.45, 0.6)
    spot = [round(part * side) for part, side in zip(centre, size, strict=True)]
    picture.paste((255, 0, 255), (spot[0] - 12, spot[1] - 12, spot[0] + 12, spot[1] + 12))
    made = how.apply(picture)[0]
    purple = made[0] - made[1] + made[2]
    rows, columns = np.nonzero(purple > purple.min() + 0.8 * np.ptp(purple))
    left, top, right, bottom = how.seen(*size)
    found = left + (columns.mean() + 0.5) / 160 * (right - left), top + (rows.mean() + 0.5) / 160 * (bottom - top)
    background = (purple > purple.min() + 0.8 * np.ptp(purple)).mean()
    assert background < 0.05
    assert found == pytest.approx(centre, abs=0.02)
