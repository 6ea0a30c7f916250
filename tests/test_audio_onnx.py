"""Sound networks in ONNX files: small ones, written here byte by byte, whose answers are known; torch is not needed."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio.decode import read_windows
from audio.frontends import frontend_named
from audio.network_card import network_card
from audio.onnx_encoder import OnnxSongEncoder
from audio.patches import patches_of, plan_patches
from audio.sound_names import SoundName, names_a_sound_network, parse_sound_name
from audio.timm_cards import TIMM_SOUNDS
from index.errors import InputError, MediaError, UnknownNameError
from index.onnx_model import CARD_KEY

# ---- A writer of ONNX files, as protobuf: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto ----------------


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def nested(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(data)) + data


def tensor_info(name: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(nested(1, number(1, d) if isinstance(d, int) else nested(2, d)) for d in shape)
    return nested(1, name) + nested(2, nested(1, number(1, 1) + nested(2, dims)))


def node(operator: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    content = b"".join(nested(1, name) for name in inputs) + nested(2, output) + nested(4, operator)
    for name, value in attributes.items():
        if isinstance(value, int):
            content += nested(5, nested(1, name) + number(3, value) + number(20, 2))
        else:
            content += nested(5, nested(1, name) + b"".join(number(8, one) for one in value) + number(20, 7))
    return content


def constant(name: str, value: float) -> bytes:
    return number(2, 1) + nested(8, name) + nested(9, struct.pack("<f", value))


def write_model(
    path: Path,
    shape: Sequence[int | str],
    nodes: Sequence[bytes],
    outputs: Mapping[str, Sequence[int | str]],
    metadata: Mapping[str, str] | None = None,
    inputs: Sequence[str] = ("patches",),
) -> Path:
    """Write a model with operators of opset 13 over float32 inputs of one shape."""
    graph = b"".join(nested(1, one) for one in nodes) + nested(2, "graph") + nested(5, constant("zero", 0.0))
    graph += b"".join(nested(11, tensor_info(name, shape)) for name in inputs)
    graph += b"".join(nested(12, tensor_info(name, dims)) for name, dims in outputs.items())
    model = number(1, 8) + nested(8, number(2, 13)) + nested(7, graph)
    for key, value in (metadata or {}).items():
        model += nested(14, nested(1, key) + nested(2, value))
    path.write_bytes(model)
    return path


MEAN = node("ReduceMean", ["patches"], "embedding", axes=[1], keepdims=0)
"""Over time, of patches (frames, bands): a network whose embedding is the mean spectrum."""


@pytest.fixture
def spectrum(tmp_path: Path) -> Path:
    return write_model(tmp_path / "mean.onnx", ["N", 187, 96], [MEAN], {"embedding": ["N", 96]})


@pytest.fixture
def tune(tmp_path: Path) -> Path:
    time = np.arange(22_050 * 8) / 22_050
    sound = 0.3 * np.sin(2 * np.pi * (300 + 200 * time) * time)
    soundfile.write(tmp_path / "tune.wav", sound.astype(np.float32), 22_050)
    return tmp_path / "tune.wav"


def content(dim: int = 96, facet: str = "content:mean", output: str = "embedding") -> dict[str, Any]:
    front = frontend_named("musicnn")
    card = network_card("mean", facet.partition(":")[2], dim, front, "Apache-2.0", "made here", "")
    return {"card": card.to_json(), "outputs": {facet: output}, "frontend": front.to_json()}


# ---- What works -------------------------------------------------------------------------------------------------


def test_a_song_is_the_mean_over_its_patches(spectrum: Path, tune: Path) -> None:
    encoder = OnnxSongEncoder(spectrum, "musicnn")
    vector = encoder.describe(tune)
    front = frontend_named("musicnn")
    patches = patches_of(read_windows(tune, 16_000, plan_patches(front)).windows, front, "time-mel")
    wanted = patches.astype(float).mean(axis=(0, 1))
    np.testing.assert_allclose(vector, wanted / np.linalg.norm(wanted), atol=1e-6)
    assert vector.dtype == np.float32
    assert len(patches) == 3


def test_a_named_front_end_makes_a_card(spectrum: Path) -> None:
    card = OnnxSongEncoder(spectrum, "musicnn").card
    assert card.name == "onnx:mean.onnx?frontend=musicnn"
    assert (card.modality, card.dim) == ("audio", 96)
    (facet,) = card.facets
    assert (facet.name, facet.kind, facet.whitening, facet.kept, facet.same) == (
        "content:mean",
        "content",
        0.0,
        96,
        0.97,
    )
    assert len(card.sha256) == 64
    assert card.preprocessing["frontend.gain"] == 10_000.0


def test_a_file_with_its_card_is_a_complete_encoder(tmp_path: Path, spectrum: Path, tune: Path) -> None:
    signed = {CARD_KEY: json.dumps(content())}
    whole = write_model(tmp_path / "whole.onnx", ["N", 187, 96], [MEAN], {"embedding": ["N", 96]}, signed)
    encoder = OnnxSongEncoder(whole)
    assert encoder.card.name == "mean"
    np.testing.assert_array_equal(encoder.describe(tune), OnnxSongEncoder(spectrum, "musicnn").describe(tune))
    with pytest.raises(InputError, match="says itself what it hears"):
        OnnxSongEncoder(whole, "panns")


@pytest.mark.parametrize(
    "sidecar", [content(), {"frontend": "musicnn"}, {"frontend": {"like": "musicnn", "name": "x"}}]
)
def test_a_sidecar_says_what_a_file_hears(spectrum: Path, tune: Path, sidecar: dict[str, Any]) -> None:
    spectrum.with_name("mean.onnx.json").write_text(json.dumps(sidecar))
    np.testing.assert_array_equal(
        OnnxSongEncoder(spectrum).describe(tune), OnnxSongEncoder(spectrum, "musicnn").describe(tune)
    )


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        (["N", 96, 187], [2]),
        (["N", 1, 187, 96], [1, 2]),
        ([1, 1, 96, 187], [1, 3]),
        (["N", "time", 96], [1]),
    ],
)
def test_axes_are_put_where_the_network_wants_them(
    tmp_path: Path, spectrum: Path, tune: Path, shape: list[int | str], axes: list[int]
) -> None:
    mean = node("ReduceMean", ["patches"], "embedding", axes=axes, keepdims=0)
    other = write_model(tmp_path / "other.onnx", shape, [mean], {"embedding": [shape[0], 96]})
    found = OnnxSongEncoder(other, "musicnn").describe(tune)
    np.testing.assert_allclose(found, OnnxSongEncoder(spectrum, "musicnn").describe(tune), atol=1e-6)


def test_several_outputs_may_be_several_facets_or_one_is_named(tmp_path: Path, tune: Path) -> None:
    peak = node("ReduceMax", ["patches"], "peak", axes=[1], keepdims=0)
    level = node("ReduceMean", ["patches"], "level", axes=[1], keepdims=0)
    both = write_model(tmp_path / "b.onnx", ["N", 187, 96], [level, peak], {"level": ["N", 96], "peak": ["N", 96]})
    with pytest.raises(InputError, match="several outputs: level, peak"):
        OnnxSongEncoder(both, "musicnn")
    with pytest.raises(UnknownNameError, match="did you mean 'level'"):
        OnnxSongEncoder(both, "musicnn", "levl")
    assert OnnxSongEncoder(both, "musicnn", "peak").card.name.endswith("?frontend=musicnn&output=peak")
    told = content()
    first = told["card"]["facets"][0]
    told["card"]["facets"] = (first, {**first, "name": "style:mean", "start": 96, "stop": 192})
    told["outputs"] = {"content:mean": "level", "style:mean": "peak"}
    both.with_name("b.onnx.json").write_text(json.dumps(told))
    vector = OnnxSongEncoder(both).describe(tune)
    assert vector.shape == (192,)
    np.testing.assert_allclose(np.linalg.norm(vector.reshape(2, 96), axis=1), 1.0, atol=1e-6)


def test_the_same_file_gives_the_same_fingerprint_wherever_it_lies(tmp_path: Path, spectrum: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "mean.onnx").write_bytes(spectrum.read_bytes())
    here, there = OnnxSongEncoder(spectrum, "musicnn").card, OnnxSongEncoder(folder / "mean.onnx", "musicnn").card
    assert here.fingerprint == there.fingerprint
    assert here.fingerprint != OnnxSongEncoder(spectrum, "musicnn", "embedding").card.fingerprint


def test_names_are_taken_apart() -> None:
    assert parse_sound_name("onnx:a/b.onnx?frontend=musicnn&output=embedding") == SoundName(
        "onnx:a/b.onnx?frontend=musicnn&output=embedding", "onnx", "a/b.onnx", "musicnn", "embedding"
    )
    (hub, *_) = TIMM_SOUNDS
    assert parse_sound_name(f"timm:{hub}?checkpoint=w.pth").checkpoint == Path("w.pth")
    assert parse_sound_name("timm:test_vit?frontend=ast&untrained").untrained
    for name in (f"timm:{hub}", "timm:resnet18?frontend=panns", "onnx:x.onnx?output=y&frontend=ast"):
        assert names_a_sound_network(name)
    for name in ("timm:resnet18", "onnx:x.onnx", "builtin-audio", "torchvision:resnet18?frontend=ast"):
        assert not names_a_sound_network(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf:x", "cannot read"),
        ("onnx:", "cannot read"),
        ("onnx:x?frontent=ast", "did you mean 'frontend'"),
        ("onnx:x?untrained", "unknown option"),
        ("onnx:x?frontend=", "cannot read 'frontend='"),
        ("timm:x?untrained=yes", "cannot read 'untrained=yes'"),
        ("timm:x?frontend=a&frontend=b", "cannot read 'frontend=b'"),
        ("timm:x?untrained&checkpoint=y", "leave one out"),
    ],
)
def test_names_that_cannot_be_read_show_the_forms(name: str, said: str) -> None:
    with pytest.raises((InputError, UnknownNameError), match=said):
        parse_sound_name(name)


# ---- What does not ----------------------------------------------------------------------------------------------


def test_nothing_is_heard_without_a_front_end(spectrum: Path) -> None:
    with pytest.raises(InputError, match=r"onnx:mean\.onnx\?frontend=musicnn"):
        OnnxSongEncoder(spectrum)
    with pytest.raises(UnknownNameError, match="did you mean 'musicnn'"):
        OnnxSongEncoder(spectrum, "musicn")


def test_a_front_end_that_does_not_fit_is_told_with_both_shapes(spectrum: Path) -> None:
    with pytest.raises(InputError, match=r"187, 96.* patches of 96 frames by 64 bands"):
        OnnxSongEncoder(spectrum, "yamnet")


def test_files_that_are_no_networks_of_one_input_are_refused(tmp_path: Path, spectrum: Path) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(spectrum.read_bytes()[:-40])
    with pytest.raises(InputError, match="truncated or no ONNX file"):
        OnnxSongEncoder(cut, "musicnn")
    with pytest.raises(InputError, match="does not exist"):
        OnnxSongEncoder(tmp_path / "none.onnx", "musicnn")
    add = node("Add", ["patches", "more"], "sum")
    two = write_model(tmp_path / "two.onnx", ["N", 187, 96], [add], {"sum": ["N", 187, 96]}, inputs=("patches", "more"))
    with pytest.raises(InputError, match="2 inputs"):
        OnnxSongEncoder(two, "musicnn")
    fixed = write_model(tmp_path / "fixed.onnx", [4, 187, 96], [MEAN], {"embedding": [4, 96]})
    with pytest.raises(InputError, match="exactly 4 patches"):
        OnnxSongEncoder(fixed, "musicnn")


def test_an_output_that_is_no_vector_is_refused(tmp_path: Path) -> None:
    keep = node("Relu", ["patches"], "map")
    path = write_model(tmp_path / "map.onnx", ["N", 187, 96], [keep], {"map": ["N", 187, 96]})
    with pytest.raises(InputError, match=r"expected \(1, n\), a vector per patch"):
        OnnxSongEncoder(path, "musicnn")


def test_a_network_of_no_numbers_is_refused_at_once(tmp_path: Path) -> None:
    over = [node("Div", ["patches", "zero"], "huge"), node("ReduceMean", ["huge"], "embedding", axes=[1], keepdims=0)]
    path = write_model(tmp_path / "nan.onnx", ["N", 187, 96], over, {"embedding": ["N", 96]})
    with pytest.raises(InputError, match="no numbers even of plain noise"):
        OnnxSongEncoder(path, "musicnn")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outputs": {"content:mean": "gone"}}, "unknown output"),
        ({"outputs": ["embedding"]}, "no object"),
        ({"card": content(95)["card"]}, "promises content:mean of 95"),
        ({"outputs": {"content:other": "embedding"}}, "gives content:other of 96"),
        ({"card": {"name": "x"}}, "incomplete"),
        ({"card": content()["card"] | {"modality": "image"}}, "modality 'image'"),
        ({"frontend": {"like": "musicnn", "hop": -1}}, "hop is -1"),
    ],
)
def test_a_card_that_is_not_of_its_file_is_refused(spectrum: Path, change: dict[str, Any], said: str) -> None:
    spectrum.with_name("mean.onnx.json").write_text(json.dumps(content() | change))
    with pytest.raises((InputError, UnknownNameError), match=said):
        OnnxSongEncoder(spectrum)


def test_a_network_that_answers_with_zeros_has_nothing_to_compare(tmp_path: Path, tune: Path) -> None:
    dead = [node("Mul", ["patches", "zero"], "none"), node("ReduceMean", ["none"], "embedding", axes=[1], keepdims=0)]
    path = write_model(tmp_path / "dead.onnx", ["N", 187, 96], dead, {"embedding": ["N", 96]})
    with pytest.raises(MediaError, match="zeros"):
        OnnxSongEncoder(path, "musicnn").describe(tune)


def test_importing_costs_nothing() -> None:
    code = (
        "import sys, audio.onnx_encoder, audio.sound_names; "
        "sys.exit(bool({'torch', 'timm', 'onnx', 'onnxruntime', 'librosa', 'scipy.signal'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_sounds_that_cannot_be_described_are_media_errors(tmp_path: Path, spectrum: Path) -> None:
    encoder = OnnxSongEncoder(spectrum, "musicnn")
    silent, short = tmp_path / "silent.wav", tmp_path / "short.wav"
    soundfile.write(silent, np.zeros(16_000 * 2), 16_000)
    soundfile.write(short, np.full(1600, 0.1), 16_000)
    with pytest.raises(MediaError, match="silent"):
        encoder.describe(silent)
    with pytest.raises(MediaError, match="at least"):
        encoder.describe(short)


def test_hours_take_as_many_patches_as_minutes(tmp_path: Path, spectrum: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = OnnxSongEncoder(spectrum, "musicnn")
    counts: list[int] = []
    describe_patches = encoder.describe_patches

    def counted(patches: Any) -> Any:
        counts.append(len(patches))
        return describe_patches(patches)

    monkeypatch.setattr(encoder, "describe_patches", counted)
    for minutes in (2, 60):
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(path, "w", 8000, 1, "PCM_U8") as file:
            for minute in range(minutes):
                file.write(0.2 * np.random.default_rng(minute).standard_normal(8000 * 60).clip(-4, 4))
        encoder.describe(path)
    assert counts[0] == counts[1] <= 12
