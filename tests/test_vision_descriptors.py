"""The descriptors hold to scikit-image's numbers, and find what was drawn."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.feature import hog, local_binary_pattern

from vision.color import BINS, CHROMA_RANGE, COLOR_DIM, color_vector, rgb_to_lab
from vision.foreground import CANVAS, find_foreground
from vision.shape import SHAPE_DIM, direction_maps, shape_vector
from vision.texture import PATTERNS, TEXTURE_DIM, _labels, binary_patterns, texture_vector


def smooth_noise(seed: int, side: int = CANVAS) -> NDArray[np.float32]:
    """Lightness 0..100 with structure at several scales, float32, shape ``(side, side)``."""
    rng = np.random.default_rng(seed)
    total = sum(
        np.kron(rng.standard_normal((side // step, side // step)), np.ones((step, step))) for step in (1, 2, 4, 16)
    )
    low, high = np.min(total), np.max(total)
    return np.asarray((total - low) * (100 / (high - low)), dtype=np.float32)


def disc(radius: int, colour: tuple[int, int, int], background: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A disc left of the middle of a 120 × 160 picture."""
    y, x = np.mgrid[:120, :160]
    picture = np.empty((120, 160, 3), np.uint8)
    picture[:] = background
    picture[(y - 60) ** 2 + (x - 60) ** 2 < radius**2] = colour
    return picture


def test_lab_agrees_with_scikit_image() -> None:
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    rgb = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 1, 3)
    # 0.1 is the resolution of the cube root table, a twentieth of what an eye can tell apart
    np.testing.assert_allclose(rgb_to_lab(rgb), rgb2lab(rgb), atol=0.1)


def test_histograms_of_gradients_agree_with_scikit_image() -> None:
    """skimage bins hard; with 360 bins that is fine enough to be shared out softly afterwards, as ours is."""
    lightness = smooth_noise(2, 64)
    fine = hog(
        lightness,
        orientations=360,
        pixels_per_cell=(8, 8),
        cells_per_block=(8, 8),
        block_norm="L1",
        feature_vector=False,
    ).reshape(8, 8, 360)
    centres = (np.arange(360) + 0.5) * (np.pi / 360)
    distance = np.abs((centres[:, None] - np.arange(8) * (np.pi / 8) + np.pi / 2) % np.pi - np.pi / 2) * (8 / np.pi)
    expected = fine @ np.maximum(0, 1 - distance)
    maps = direction_maps(lightness, 16)
    unsigned = (maps[:8] + maps[8:]).reshape(8, 8, 8, 8, 8).sum(axis=(2, 4)).transpose(1, 2, 0)
    np.testing.assert_allclose(unsigned / unsigned.sum(), expected, atol=0.02 * expected.max())


@pytest.mark.parametrize("radius", [1, 2, 4])
def test_binary_patterns_agree_with_scikit_image(radius: int) -> None:
    """skimage samples a circle; its 4 straight neighbours lie on pixels, and its diagonals do at radius √2 r."""
    whole = np.rint(smooth_noise(3, 64)).astype(np.float32)
    inner = slice(2 * radius, -2 * radius)
    straight = local_binary_pattern(whole.astype(np.uint8), 4, radius)[inner, inner].astype(int)
    diagonal = local_binary_pattern(whole.astype(np.uint8), 8, radius * np.sqrt(2))[inner, inner].astype(int)
    ours = binary_patterns(whole, radius, 0.0)[radius:-radius, radius:-radius]
    for bit in range(4):
        np.testing.assert_array_equal(ours >> (2 * bit) & 1, straight >> bit & 1)
        np.testing.assert_array_equal(ours >> (2 * bit + 1) & 1, diagonal >> (2 * bit + 1) & 1)


def test_uniform_patterns_are_those_of_scikit_image() -> None:
    noise = np.random.default_rng(8).integers(0, 256, (400, 400), dtype=np.uint8)
    codes = local_binary_pattern(noise, 8, 1).astype(int)
    names = local_binary_pattern(noise, 8, 1, "nri_uniform").astype(int)
    assert len(np.unique(codes)) == 256
    np.testing.assert_array_equal(_labels()[codes] == PATTERNS - 1, names == names.max())
    assert len(np.unique(_labels())) == PATTERNS


def test_each_descriptor_has_unit_length_and_its_own_size() -> None:
    lightness = smooth_noise(4)
    mask = np.ones_like(lightness)
    lab = np.stack([lightness, lightness - 50, 50 - lightness], axis=-1)
    for vector, dim in (
        (shape_vector(lightness), SHAPE_DIM),
        (color_vector(lab, mask), COLOR_DIM),
        (texture_vector(lightness, mask), TEXTURE_DIM),
    ):
        assert (vector.dtype, vector.shape) == (np.float32, (dim,))
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_a_mirror_image_has_the_same_shape_and_texture() -> None:
    lightness = smooth_noise(5)
    mirrored = np.ascontiguousarray(lightness[:, ::-1])
    mask = np.ones_like(lightness)
    np.testing.assert_allclose(shape_vector(mirrored), shape_vector(lightness), atol=1e-5)
    np.testing.assert_allclose(texture_vector(mirrored, mask), texture_vector(lightness, mask), atol=1e-5)


def test_an_upside_down_picture_has_another_shape() -> None:
    lightness = np.tile(np.linspace(0, 100, CANVAS, dtype=np.float32)[:, None], (1, CANVAS))
    lightness[: CANVAS // 2] = 50
    assert shape_vector(lightness) @ shape_vector(np.ascontiguousarray(lightness[::-1])) < 0.5


def test_no_edge_at_all_gives_no_shape() -> None:
    assert not shape_vector(np.full((CANVAS, CANVAS), 50, np.float32)).any()


def test_color_sits_in_the_bins_around_it() -> None:
    lab = np.empty((16, 16, 3), np.float32)
    lab[:] = (60, 20, -30)
    histogram = color_vector(lab, np.ones((16, 16), np.float32)).reshape(BINS, BINS, BINS) ** 2
    centres = (np.arange(BINS) + 0.5) / BINS
    assert histogram.sum(axis=(1, 2)) @ centres * 100 == pytest.approx(60, abs=0.01)
    assert (histogram.sum(axis=(0, 2)) @ centres * 2 - 1) * CHROMA_RANGE == pytest.approx(20, abs=0.01)
    assert (histogram.sum(axis=(0, 1)) @ centres * 2 - 1) * CHROMA_RANGE == pytest.approx(-30, abs=0.01)


def test_color_ignores_what_is_masked_out() -> None:
    lab = rgb_to_lab(disc(40, (200, 30, 30), (255, 255, 255))[:, :120])
    other = lab.copy()
    mask = np.zeros((120, 120), np.float32)
    mask[40:80, 40:80] = 1
    other[:20] = (20, 0, 0)
    assert color_vector(lab, mask) @ color_vector(other, mask) > 0.999


def test_texture_tells_stripes_from_checks() -> None:
    y, x = np.mgrid[:CANVAS, :CANVAS]
    mask = np.ones((CANVAS, CANVAS), np.float32)
    stripes, shifted, checks = (
        texture_vector((50 + 30 * pattern).astype(np.float32), mask)
        for pattern in ((x // 3) % 2, ((x + 4) // 3) % 2, ((x // 3) + (y // 3)) % 2)
    )
    assert stripes @ shifted > 0.95
    assert stripes @ checks < 0.8


@pytest.mark.parametrize("background", [(255, 255, 255), (10, 10, 10), (120, 160, 120)])
def test_a_disc_is_cut_out_of_a_plain_background(background: tuple[int, int, int]) -> None:
    found = find_foreground(disc(30, (180, 40, 90), background))
    assert found.plain
    assert found.rgb.shape == (CANVAS, CANVAS, 3)
    y, x = np.mgrid[:CANVAS, :CANVAS] - (CANVAS - 1) / 2
    # trimming takes a tenth of a disc's radius, the margin gives 8 % back
    assert np.mean((found.mask > 0.5) == (y**2 + x**2 < (CANVAS / 2 / 0.97) ** 2)) > 0.9


def test_light_that_falls_off_across_the_background_is_still_background() -> None:
    picture = disc(30, (180, 40, 90), (200, 200, 200)).astype(float)
    picture *= np.linspace(0.85, 1.1, 160)[:, None]
    found = find_foreground(picture.astype(np.uint8))
    assert found.plain
    assert 0.5 < found.mask.mean() < 0.9


def test_a_hole_of_background_colour_belongs_to_the_product() -> None:
    picture = disc(40, (180, 40, 90), (255, 255, 255))
    picture[50:70, 50:70] = 255
    found = find_foreground(picture)
    assert found.mask[CANVAS // 2, CANVAS // 2] == 1


def test_a_busy_rim_leaves_the_picture_whole() -> None:
    busy = np.random.default_rng(6).integers(0, 256, (100, 90, 3), dtype=np.uint8)
    busy = np.kron(busy[::10, ::10], np.ones((10, 10, 1), np.uint8))
    found = find_foreground(busy)
    assert not found.plain
    assert np.all(found.mask == 1)
    assert np.array_equal(found.rgb[0, 0], busy[0, 0])


def test_a_product_at_the_picture_edge_is_padded_with_the_background() -> None:
    picture = np.full((120, 60, 3), 255, np.uint8)
    picture[5:115, 20:40] = (20, 60, 160)
    found = find_foreground(picture)
    assert found.plain
    assert np.all(found.rgb[:, 2] == 255)
    assert found.mask[:, :30].max() < 0.1
