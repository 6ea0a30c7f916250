"""The built-in picture encoder: its contract, and what it finds alike."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from index.errors import MediaError
from index.types import Encoder, Facet, Vector
from vision.builtin import MIN_SIDE, BuiltinPictureEncoder, describe_picture
from vision.cards import CARD
from vision.color import COLOR_DIM
from vision.foreground import CANVAS, find_foreground
from vision.shape import SHAPE_DIM
from vision.texture import TEXTURE_DIM


def product(
    kind: str, colour: tuple[int, int, int], stripes: int = 0, background: tuple[int, int, int] = (255, 255, 255)
) -> Image.Image:
    """A shoe or a shirt, drawn on 300 × 260 pixels; ``stripes`` is their distance in pixels."""
    outlines = {
        "shoe": [(30, 190), (40, 110), (90, 105), (130, 140), (250, 165), (268, 205), (30, 205)],
        "shirt": [(60, 60), (120, 30), (180, 30), (240, 60), (220, 110), (195, 95), (195, 235), (105, 235), (105, 95)],
    }
    picture = Image.new("RGB", (300, 260), background)
    surface = Image.new("RGB", picture.size, colour)
    draw = ImageDraw.Draw(surface)
    for y in range(0, 260, stripes) if stripes else ():
        draw.rectangle((0, y, 300, y + stripes // 2 - 1), fill=tuple(v // 3 for v in colour))
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).polygon(outlines[kind], fill=255)
    picture.paste(surface, mask=mask)
    return picture


def vector(picture: Image.Image) -> Vector:
    return describe_picture(np.asarray(picture))


def facet(name: str) -> Facet:
    return next(f for f in CARD.facets if f.name == name)


def alike(name: str, a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    part = slice(facet(name).start, facet(name).stop)
    return float(a[part] @ b[part])


@pytest.fixture
def encoder() -> Encoder:
    return BuiltinPictureEncoder()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for n, (kind, colour) in enumerate([("shoe", (200, 30, 30)), ("shirt", (30, 60, 180)), ("shoe", (40, 40, 40))]):
        made.append(tmp_path / f"{n}.jpg")
        product(kind, colour, stripes=10 * n).save(made[-1], quality=90)
    return made


def test_the_card_has_no_gaps_and_says_the_true_sizes() -> None:
    assert [f.name for f in CARD.facets] == ["shape", "color", "texture"]
    assert [f.dim for f in CARD.facets] == [SHAPE_DIM, COLOR_DIM, TEXTURE_DIM]
    assert [f.start for f in CARD.facets] == [0, *(f.stop for f in CARD.facets[:-1])]
    assert all(f.kept <= f.dim and 0 <= f.whitening <= 0.5 for f in CARD.facets)
    assert dict(CARD.preprocessing) == {"min_side": MIN_SIDE, "canvas": CANVAS}
    assert (CARD.name, CARD.modality, CARD.licence) == ("builtin-image", "image", "Apache-2.0")


def test_reading_the_card_loads_no_image_library() -> None:
    code = "import sys, vision.cards; assert 'PIL' not in sys.modules; import vision.builtin"
    code += "; assert not {'skimage', 'scipy', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_vectors_have_the_stated_shape_and_length(encoder: Encoder, files: list[Path]) -> None:
    vectors = np.stack([encoder.describe(path) for path in files])
    assert (vectors.dtype, vectors.shape) == (np.float32, (3, CARD.dim))
    for f in encoder.card.facets:
        np.testing.assert_allclose(np.linalg.norm(vectors[:, f.start : f.stop], axis=1), 1, atol=1e-6)


def test_order_and_repetition_change_nothing(encoder: Encoder, files: list[Path]) -> None:
    forwards = [encoder.describe(path) for path in files]
    backwards = [BuiltinPictureEncoder().describe(path) for path in reversed(files)]
    np.testing.assert_array_equal(forwards, backwards[::-1])


def test_another_process_gives_the_same_numbers(encoder: Encoder, files: list[Path]) -> None:
    code = (
        "import sys; from pathlib import Path; from vision.builtin import BuiltinPictureEncoder\n"
        "sys.stdout.buffer.write(BuiltinPictureEncoder().describe(Path(sys.argv[1])).tobytes())"
    )
    command = [sys.executable, "-c", code, str(files[2])]
    content = subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[1]).stdout
    np.testing.assert_array_equal(np.frombuffer(content, np.float32), encoder.describe(files[2]))


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
def test_an_exif_rotated_picture_is_its_upright_twin(encoder: Encoder, tmp_path: Path, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    upright = product("shoe", (200, 30, 30), stripes=20)
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright.save(tmp_path / "a.jpg", quality=95)
    upright.transpose(undo).save(tmp_path / "b.jpg", quality=95, exif=exif)
    a, b = (encoder.describe(tmp_path / name) for name in ("a.jpg", "b.jpg"))
    assert min(alike(f.name, a, b) for f in CARD.facets) > 0.98


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (90, 120, 30)])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_blank_picture_is_an_encode_failure(
    encoder: Encoder, tmp_path: Path, colour: tuple[int, int, int], suffix: str
) -> None:
    Image.new("RGB", (64, 64), colour).save(tmp_path / f"a.{suffix}")
    with pytest.raises(MediaError, match="one flat colour") as caught:
        encoder.describe(tmp_path / f"a.{suffix}")
    assert caught.value.stage == "encode"


def test_the_smallest_picture_taken_is_described(encoder: Encoder, tmp_path: Path) -> None:
    for size in ((8, 8), (8, 200), (200, 8)):
        Image.effect_noise(size, 60).save(tmp_path / "a.png")
        assert np.isfinite(encoder.describe(tmp_path / "a.png")).all()


def test_a_line_on_white_and_pure_noise_have_finite_vectors() -> None:
    line = np.full((100, 100, 3), 255, np.uint8)
    line[50] = 0
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    for rgb in (line, noise, 255 - line):
        found = describe_picture(rgb)
        for f in CARD.facets:
            assert np.linalg.norm(found[f.start : f.stop]) == pytest.approx(1, abs=1e-5)


def test_each_facet_sees_its_own_side_of_a_product() -> None:
    red_shoe = vector(product("shoe", (200, 30, 30)))
    blue_shoe = vector(product("shoe", (30, 60, 180)))
    red_shirt = vector(product("shirt", (200, 30, 30)))
    striped = vector(product("shoe", (200, 30, 30), stripes=12))
    other_striped = vector(product("shirt", (190, 40, 40), stripes=12))
    assert alike("shape", red_shoe, blue_shoe) > alike("shape", red_shoe, red_shirt) + 0.1
    assert alike("color", red_shoe, red_shirt) > alike("color", red_shoe, blue_shoe) + 0.3
    assert alike("texture", striped, other_striped) > alike("texture", striped, red_shirt)


def test_the_background_hardly_matters() -> None:
    on_white = vector(product("shoe", (200, 30, 30)))
    on_grey = vector(product("shoe", (200, 30, 30), background=(225, 225, 225)))
    assert alike("color", on_white, on_grey) > 0.95


def test_a_mirrored_product_keeps_its_vector() -> None:
    shoe = product("shoe", (200, 30, 30), stripes=14)
    mirrored = shoe.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert min(alike(f.name, vector(shoe), vector(mirrored)) for f in CARD.facets) > 0.97


def noisy_rim(strength: int) -> Image.Image:
    """A shirt on cloth whose unevenness grows with ``strength``, as phone photos have it."""
    rng = np.random.default_rng(9)
    picture = np.asarray(product("shirt", (30, 60, 180), stripes=16, background=(170, 150, 130))).astype(int)
    folds = np.kron(rng.integers(-strength, strength + 1, (13, 15, 1)), np.ones((20, 20, 1), int))
    return Image.fromarray(np.clip(picture + folds, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("strength", [0, 20, 35, 45, 50, 55, 60, 90])
def test_saving_shrinking_and_trimming_a_picture_hardly_change_it(tmp_path: Path, strength: int) -> None:
    encoder = BuiltinPictureEncoder()
    picture = noisy_rim(strength)
    picture.save(tmp_path / "a.png")
    picture.crop((3, 3, 297, 257)).resize((206, 178), Image.Resampling.LANCZOS).save(tmp_path / "b.jpg", quality=70)
    a, b = (encoder.describe(tmp_path / name) for name in ("a.png", "b.jpg"))
    assert min(alike(f.name, a, b) for f in CARD.facets) > 0.9


def test_the_cut_widens_step_by_step_as_the_background_gets_uneven() -> None:
    coverage = [float(find_foreground(np.asarray(noisy_rim(s))).mask.mean()) for s in range(0, 91)]
    assert coverage[0] < 0.7
    assert coverage[-1] == 1.0
    assert max(abs(b - a) for a, b in pairwise(coverage)) < 0.3
