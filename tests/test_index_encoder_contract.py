"""What every encoder must keep; a new one is tested by being registered."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from PIL import Image

from index.encoders import ENCODERS, card_of, encoder_names, load_encoder
from index.errors import MediaError, UnknownNameError

FINGERPRINTS = {"builtin-image": "73f8f195ffcdc4a8", "builtin-audio": "23113abbaec4afb6"}
"""Fingerprints that catalogs in the world hold: a change here makes people embed again."""


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """Three files of each modality that differ plainly, and a broken one."""
    folder = tmp_path_factory.mktemp("media")
    rng = np.random.default_rng(2)
    files: dict[str, list] = {"image": [], "audio": []}
    for number in range(3):
        blocks = rng.integers(0, 255, (5 + number, 6, 3), np.uint8)
        picture = folder / f"{number}.png"
        Image.fromarray(blocks).resize((120, 100), Image.Resampling.NEAREST).save(picture)
        files["image"].append(picture)
        seconds = np.arange(22050 * 4) / 22050
        pulse = (np.sin(2 * np.pi * (1 + number) * seconds) > 0) * 0.5
        tone = sum(np.sin(2 * np.pi * 220 * (number + 1) * part * seconds) / part for part in (1, 2, 3))
        soundfile.write(folder / f"{number}.wav", 0.3 * tone * pulse + 0.01 * rng.normal(size=len(seconds)), 22050)
        files["audio"].append(folder / f"{number}.wav")
    for name in ("broken.png", "broken.wav"):
        (folder / name).write_bytes(b"nothing of the kind")
    files["broken"] = [folder / "broken.png", folder / "broken.wav"]
    return files


@pytest.fixture(scope="module", params=sorted(ENCODERS))
def encoder(request):
    """Each registered encoder."""
    return load_encoder(request.param)


@pytest.fixture(scope="module")
def vectors(encoder, media):
    """Its vectors of the three files."""
    return np.stack([encoder.describe(path) for path in media[encoder.card.modality]])


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_facets_lie_side_by_side(name):
    """Contiguous from zero, named once, with sound settings; the card names licence and source."""
    card = card_of(name)
    starts = [0, *(facet.stop for facet in card.facets)]
    assert [facet.start for facet in card.facets] == starts[:-1]
    assert card.dim == starts[-1]
    assert len({facet.name for facet in card.facets}) == len(card.facets)
    for facet in card.facets:
        assert 0 < facet.kept <= facet.dim
        assert 0 <= facet.whitening <= 0.5
        assert 0 < facet.same <= 1
        assert facet.source
    assert card.name == name
    assert card.licence
    assert card.source


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_the_fingerprint_follows_what_changes_numbers(name):
    """Revision and preprocessing change it; licence, source and comparing do not."""
    card = card_of(name)
    known = FINGERPRINTS.get(name)
    assert known is None or card.fingerprint == known
    assert card_of(name).fingerprint == card.fingerprint
    assert replace(card, revision=card.revision + 1).fingerprint != card.fingerprint
    assert replace(card, preprocessing={**card.preprocessing, "x": 1}).fingerprint != card.fingerprint
    assert replace(card, sha256="0").fingerprint != card.fingerprint
    assert replace(card, licence="other", source="other").fingerprint == card.fingerprint
    softer = tuple(replace(facet, whitening=0.0, kept=1) for facet in card.facets)
    assert replace(card, facets=softer).fingerprint == card.fingerprint


def test_facet_names_are_unique_within_a_modality():
    """Built-in encoders of one modality can stand side by side."""
    for modality in ("image", "audio"):
        cards = [card_of(name) for name in ENCODERS if card_of(name).modality == modality]
        names = [facet.name for card in cards for facet in card.facets]
        assert len(names) == len(set(names))


def test_vectors_have_the_stated_shape_and_length(encoder, vectors):
    """float32, each facet of unit length, numbers all, unlike files apart."""
    assert vectors.shape == (3, encoder.card.dim)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    for facet in encoder.card.facets:
        np.testing.assert_allclose(np.linalg.norm(vectors[:, facet.start : facet.stop], axis=1), 1, atol=1e-4)
    cosines = vectors @ vectors.T / len(encoder.card.facets)
    assert cosines[np.triu_indices(3, 1)].max() < 0.995


def test_describing_is_deterministic_and_does_not_depend_on_the_order(encoder, vectors, media):
    """The same file again, after others, gives the same bytes."""
    again = [encoder.describe(path) for path in reversed(media[encoder.card.modality])][::-1]
    np.testing.assert_array_equal(again, vectors)


@pytest.mark.parametrize("which", [0, 1])
def test_a_broken_file_is_a_media_error(encoder, media, which):
    """With a stage and a sentence without the path."""
    path = media["broken"][which]
    with pytest.raises(MediaError) as error:
        encoder.describe(path)
    assert error.value.stage in ("read", "decode", "encode")
    assert str(path) not in error.value.reason


def test_a_missing_file_is_a_media_error(encoder, tmp_path):
    """It could not be read."""
    with pytest.raises(MediaError) as error:
        encoder.describe(tmp_path / "nothing.png")
    assert error.value.stage == "read"


def test_listing_cards_loads_nothing_heavy():
    """Cards are data: in a fresh process no codec and no numerical library beyond numpy is loaded."""
    code = (
        "import sys\nfrom index.encoders import ENCODERS\n"
        "for entry in ENCODERS.values(): entry.card().fingerprint\n"
        "heavy = {'annoy', 'librosa', 'PIL', 'pyarrow', 'soundfile', 'scipy', 'torch', 'onnxruntime', 'numba', 'av'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_names_expand_and_misspelt_ones_are_told():
    """An alias stands for one of each modality; repeats are dropped."""
    assert encoder_names(("builtin", "builtin-image")) == ("builtin-image", "builtin-audio")
    with pytest.raises(UnknownNameError, match="did you mean 'builtin-image'"):
        encoder_names(("builtin-imagee",))
    for call in (card_of, load_encoder):
        with pytest.raises(UnknownNameError, match="unknown encoder"):
            call("nonsense")
