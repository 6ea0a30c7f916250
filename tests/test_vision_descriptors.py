"""The descriptors hold to scikit-image's numbers, and find what was drawn.

What is compiled is held to the same in NumPy, below, and that to scikit-image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.feature import hog, local_binary_pattern

from vision import kernel
from vision.color import BINS, CHROMA_RANGE, COLOR_DIM, _axes, color_vector, rgb_to_lab
from vision.foreground import CANVAS, find_foreground
from vision.shape import SHAPE_DIM, _windows, halved, shape_vector
from vision.texture import PATTERNS, TEXTURE_DIM, _labels, texture_vector

AROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""Row and column steps to the neighbours of a pixel, bit 0 first."""


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


def direction_maps(lightness: NDArray[np.float32], directions: int) -> NDArray[np.float64]:
    """Gradient magnitude of every pixel, shared between the two nearest directions: ``(directions, n, n)``."""
    across, down = np.zeros(lightness.shape), np.zeros(lightness.shape)
    across[:, 1:-1] = lightness[:, 2:] - lightness[:, :-2]
    down[1:-1] = lightness[2:] - lightness[:-2]
    magnitude = np.hypot(across, down).ravel()
    position = np.arctan2(down, across).ravel() * (directions / (2 * np.pi)) + directions
    lower = position.astype(int)
    maps = np.zeros((directions, magnitude.size))
    maps[lower % directions, np.arange(magnitude.size)] = magnitude * (1 - (position - lower))
    maps[(lower + 1) % directions, np.arange(magnitude.size)] += magnitude * (position - lower)
    return maps.reshape(directions, *lightness.shape)


def shifted(values: NDArray[np.float32], radius: int, down: int, across: int) -> NDArray[np.float32]:
    """The inner part of a picture, moved by so many times the radius."""
    rows, columns = values.shape
    top, left = radius * (1 + down), radius * (1 + across)
    return values[top : top + rows - 2 * radius, left : left + columns - 2 * radius]


def binary_patterns(lightness: NDArray[np.float32], radius: int, least_step: float) -> NDArray[np.uint8]:
    """Bit ``k`` is set where neighbour ``k`` is lighter by so much."""
    threshold = lightness[radius:-radius, radius:-radius] + np.float32(least_step)
    patterns = np.zeros(threshold.shape, np.uint8)
    for bit, (down, across) in enumerate(AROUND):
        patterns |= (shifted(lightness, radius, down, across) >= threshold).astype(np.uint8) << np.uint8(bit)
    return patterns


@pytest.mark.parametrize(("side", "cells"), [(64, 8), (32, 4), (10, 3), (2, 1)])
def test_gradients_are_gathered_as_numpy_says(side: int, cells: int) -> None:
    """Flat pixels and the picture's rim among them."""
    lightness = smooth_noise(1)[:side, :side].copy()
    lightness[side // 2 :, : side // 2] = 30
    window, found = _windows(cells, side), np.empty((16, cells, cells), np.float32)
    kernel.oriented(lightness, window, found)
    expected = window @ direction_maps(lightness, 16) @ window.T
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1.0, expected.max()))


def test_gradients_are_right_all_around_the_circle() -> None:
    """The angle is a polynomial of our own: slopes in every direction, one after another."""
    window = np.ones((1, 3), np.float32)
    for degree in np.arange(0, 360, 0.5):
        across, down = np.cos(np.radians(degree)), np.sin(np.radians(degree))
        slope = np.add.outer(down * np.arange(3), across * np.arange(3)).astype(np.float32)
        found = np.empty((16, 1, 1), np.float32)
        kernel.oriented(slope, window, found)
        np.testing.assert_allclose(found[:, 0, 0], direction_maps(slope, 16).sum(axis=(1, 2)), atol=2e-5)


@pytest.mark.parametrize("radius", [1, 2, 5])
def test_patterns_are_counted_as_numpy_says(radius: int) -> None:
    """By contrast and weight; a picture smaller than the radius has none."""
    lightness, weight = smooth_noise(6)[:40, :51].copy(), np.random.default_rng(6).random((40, 51), np.float32)
    counts = np.empty(PATTERNS)
    kernel.patterns(lightness, weight, _labels(), counts, radius, 1.0)
    contrast = sum(
        np.abs(shifted(lightness, radius, down, across) - shifted(lightness, radius, -down, -across))
        for down, across in AROUND[:4]
    )
    inner = slice(radius, -radius)
    counted = (weight[inner, inner] + 1e-6) * np.sqrt(contrast / 4 + 1e-6)
    labels = _labels()[binary_patterns(lightness, radius, 1.0)]
    np.testing.assert_allclose(counts, np.bincount(labels.ravel(), counted.ravel(), PATTERNS), rtol=1e-5, atol=1e-5)
    kernel.patterns(lightness[:4, :4].copy(), weight[:4, :4].copy(), _labels(), counts, radius + 2, 1.0)
    assert not counts.any()


def test_colours_are_shared_out_as_numpy_says() -> None:
    """Between the eight bins around each, or the outermost."""
    rng = np.random.default_rng(9)
    lab = rng.uniform((-20, -80, -80), (120, 80, 80), (300, 3)).astype(np.float32)
    weight, found = rng.random(300, np.float32), np.empty((BINS, BINS, BINS))
    kernel.soft_histogram(lab, weight, *_axes(), found)
    position = np.clip((lab - _axes()[0]) * _axes()[1] - 0.5, 0, BINS - 1)
    near = np.maximum(1 - np.abs(position[:, :, None] - np.arange(BINS)), 0)
    expected = np.einsum("n,ni,nj,nk->ijk", weight, near[:, 0], near[:, 1], near[:, 2])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_halves_are_means_of_four() -> None:
    """An odd last row or column is left out."""
    values = smooth_noise(7)[:21, :14].copy()
    np.testing.assert_allclose(halved(values), values[:20].reshape(10, 2, 7, 2).mean(axis=(1, 3)), rtol=1e-6)


def test_a_mask_is_filled_between_what_is_solid() -> None:
    """Pixels with something solid left, right, above and below; and nowhere less than the doubt."""
    mask = np.random.default_rng(3).random((30, 40), np.float32) ** 3
    solid = mask > 0.5
    seen = np.logical_or.accumulate
    enclosed = seen(solid, 1) & seen(solid[:, ::-1], 1)[:, ::-1] & seen(solid, 0) & seen(solid[::-1], 0)[::-1]
    columns, rows, found = np.empty(40, np.int64), np.empty(30, np.int64), np.empty((30, 40), np.uint8)
    kernel.filled(mask, columns, rows, found, 0.2)
    assert columns.tolist() == solid.sum(axis=0).tolist()
    assert rows.tolist() == solid.sum(axis=1).tolist()
    np.testing.assert_array_equal(found, (np.where(enclosed, 1, np.maximum(mask, np.float32(0.2))) * 255).astype(int))


def test_specks_are_blurred_away() -> None:
    """What lies near the background is none of the product; a single pixel is a speck."""
    difference = 20 * np.random.default_rng(5).random((17, 23), np.float32)
    found = np.empty_like(difference)
    kernel.despeckled(difference, found, 5.0)
    mask = np.pad(np.clip((difference - 5) / 4.5, 0, 1), 1, mode="edge")
    mean = sum(mask[down : down + 17, across : across + 23] for down in range(3) for across in range(3)) / 9
    np.testing.assert_allclose(found, np.clip(2 * mean - 0.5, 0, 1), atol=1e-5)


def test_distance_from_a_background_that_varies_across_the_picture() -> None:
    """The plane is 1, across and down times what was fitted."""
    lab, plane = smooth_noise(8)[:12, :27].reshape(12, 9, 3).copy(), np.float32([[50, 1, 2], [3, -4, 5], [6, 7, -8]])
    found = np.empty((12, 9), np.float32)
    kernel.apart(lab, plane, found)
    down, across = np.meshgrid(np.linspace(-1, 1, 12), np.linspace(-1, 1, 9), indexing="ij")
    background = np.stack([np.ones_like(down), across, down], axis=-1) @ plane
    np.testing.assert_allclose(found, np.linalg.norm(lab - background, axis=-1), rtol=1e-5)


@pytest.mark.parametrize("outside", [0, 1, 4, 9])
def test_the_usual_colour_around_is_the_median(outside: int) -> None:
    """White where there is nothing around."""
    rgb, mask = np.random.default_rng(2).integers(0, 256, (5, 4, 3), np.uint8), np.ones((5, 4), np.float32)
    mask.flat[:outside] = 0
    around = rgb.reshape(-1, 3)[:outside]
    expected = tuple(np.median(around, axis=0).astype(int)) if outside else (255, 255, 255)
    assert kernel.surroundings(rgb, mask) == expected


def test_one_flat_colour_is_told() -> None:
    """Within a range, channel by channel."""
    rgb = np.full((6, 7, 3), (10, 100, 200), np.uint8)
    rgb[2, 3] = (14, 96, 200)
    assert kernel.flat(rgb, 4)
    rgb[5, 6] = (10, 101, 200)
    assert not kernel.flat(rgb, 4)


@pytest.mark.parametrize(
    "call",
    [
        lambda f, u: kernel.lab(u(5, 3), f(255), f(3, 3), f(9), f(5, 3)),
        lambda f, u: kernel.lab(u(5, 3), f(256), f(3, 3), f(9), f(4, 3)),
        lambda f, u: kernel.soft_histogram(f(5, 3), f(4), f(3), f(3), np.zeros((8, 8, 8))),
        lambda f, u: kernel.soft_histogram(f(5, 3), f(5), f(3), f(3), np.zeros((8, 8, 7))),
        lambda f, u: kernel.oriented(f(8, 9), f(2, 8), f(16, 2, 2)),
        lambda f, u: kernel.oriented(f(8, 8), f(2, 8), f(16, 2, 3)),
        lambda f, u: kernel.oriented(f(8, 8), f(2, 8), f(99, 2, 2)),
        lambda f, u: kernel.halved(f(8, 8), f(4, 5)),
        lambda f, u: kernel.patterns(f(8, 8), f(8, 8), u(256) + 9, np.zeros(9), 1, 1.0),
        lambda f, u: kernel.patterns(f(8, 8), f(8, 7), u(256), np.zeros(9), 1, 1.0),
        lambda f, u: kernel.patterns(f(8, 8), f(8, 8), u(256), np.zeros(9), 0, 1.0),
        lambda f, u: kernel.patterns(f(8, 8), f(8, 8), u(256), np.zeros(9), -1, 1.0),
        lambda f, u: kernel.apart(f(8, 8, 3), f(3, 2), f(8, 8)),
        lambda f, u: kernel.despeckled(f(8, 8), f(8, 9), 1.0),
        lambda f, u: kernel.filled(f(8, 8), np.zeros(7, np.int64), np.zeros(8, np.int64), u(8, 8), 0.0),
        lambda f, u: kernel.surroundings(u(8, 8, 3), f(8, 9)),
        lambda f, u: kernel.flat(u(8, 8, 4), 3),
    ],
)
def test_arrays_that_do_not_fit_are_refused(call: Callable[..., None]) -> None:
    """Nothing beyond an array is read or written."""
    with pytest.raises(ValueError, match=r"fit|must"):
        call(lambda *shape: np.zeros(shape, np.float32), lambda *shape: np.zeros(shape, np.uint8))


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
