"""Picture networks in ONNX files: what they answer, and what is said of files that do not fit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from index.errors import InputError, MediaError, UnknownNameError
from index.types import EncoderCard, Facet
from vision.onnx_encoder import OnnxPictureEncoder
from vision.preprocess import Preprocessing
from vision.presets import preset

# ---- ONNX files written by hand, so that no test needs the onnx package -------------------------------
# Field numbers are those of onnx.proto.


def field(number: int, value: int | str | bytes) -> bytes:
    """One protobuf field: a varint, or bytes with their length before."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def value_info(name: str, shape: Sequence[int | str], elements: int = 1) -> bytes:
    dims = b"".join(field(1, field(1 if isinstance(size, int) else 2, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, elements) + field(2, dims)))


def tensor(name: str, array: np.ndarray, external: str = "") -> bytes:
    head = b"".join(field(1, size) for size in array.shape) + field(2, 1) + field(8, name)
    if external:
        return head + field(13, field(1, "location") + field(2, external)) + field(14, 1)
    return head + field(9, array.astype("<f4").tobytes())


def node(kind: str, given: Sequence[str], made: str, **attributes: int | list[int]) -> bytes:
    parts = b"".join(field(1, name) for name in given) + field(2, made) + field(4, kind)
    for name, value in attributes.items():
        ints = b"".join(field(8, number) for number in value) if isinstance(value, list) else field(3, value)
        parts += field(5, field(1, name) + ints + field(20, 7 if isinstance(value, list) else 2))
    return parts


Shape = Sequence[int | str]


def write_network(
    path: Path,
    shape: Shape = ("n", 3, 16, 16),
    *,
    metadata: dict[str, str] | None = None,
    bias: float = 0.0,
    external: str = "",
    more_inputs: tuple[str, ...] = (),
    elements: int = 1,
    outputs: dict[str, Shape] | None = None,
) -> Path:
    """A convolution of 5 filters, step 4, then the mean over the map: outputs ``map`` and ``embedding``."""
    rng = np.random.default_rng(3)
    weights = [tensor("w", rng.normal(size=(5, 3, 4, 4)).astype(np.float32), external)]
    weights.append(tensor("b", np.full(5, bias, np.float32)))
    nodes = [node("Conv", ["picture", "w", "b"], "map", strides=[4, 4], kernel_shape=[4, 4])]
    nodes += [node("GlobalAveragePool", ["map"], "mean"), node("Flatten", ["mean"], "embedding", axis=1)]
    nodes += [node("Identity", ["map"], "plain"), node("Sqrt", ["map"], "rooted")]
    outputs = {"map": ("n", 5, 4, 4), "embedding": ("n", 5)} if outputs is None else outputs
    graph = b"".join(field(1, made) for made in nodes) + field(2, "g") + b"".join(field(5, made) for made in weights)
    graph += field(11, value_info("picture", shape, elements))
    graph += b"".join(field(11, value_info(name, ("n", 3), 7)) for name in more_inputs)
    graph += b"".join(field(12, value_info(name, size)) for name, size in outputs.items())
    props = b"".join(field(14, field(1, key) + field(2, value)) for key, value in (metadata or {}).items())
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17)) + props)
    return path


INPUT = Preprocessing(16, 16, 20, 20, "crop", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def made_content(**changes: Any) -> dict[str, Any]:
    facets = (
        Facet("content:tiny", 0, 5, 0.0, 5, 0.97, "test"),
        Facet("style:tiny", 5, 10, 0.25, 5, 0.97, "test"),
    )
    card = EncoderCard("timm:tiny", 1, "image", facets, INPUT.attributes(), "CC0-1.0", "test", "ab" * 32)
    outputs = {"content:tiny": "embedding", "style:tiny": "embedding"}
    return {"card": card.to_json(), "outputs": outputs, "input": INPUT.to_json()} | changes


def by_hand(path: Path, rgb: np.ndarray, how: Preprocessing) -> np.ndarray:
    """What plain onnxruntime answers, of length 1."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(["embedding"], {"picture": how.apply(rgb)})
    return found[0] / np.linalg.norm(found[0])


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype=np.uint8)


@pytest.fixture
def picture(tmp_path: Path, rgb: np.ndarray) -> Path:
    path = tmp_path / "p.png"
    Image.fromarray(rgb).save(path)
    return path


# ---- What it answers ---------------------------------------------------------------------------------


def test_a_file_with_a_preset_answers_as_plain_onnxruntime_does(tmp_path: Path, rgb: np.ndarray, picture: Path) -> None:
    path = write_network(tmp_path / "tiny.onnx")
    encoder = OnnxPictureEncoder(path, "inception")
    vector = encoder.describe(picture)
    np.testing.assert_allclose(vector, by_hand(path, rgb, preset("inception", 16, 16)), atol=1e-6)
    assert vector.dtype == np.float32
    assert [facet.name for facet in encoder.card.facets] == ["content:tiny"]
    assert encoder.card.dim == 5
    assert len(encoder.card.sha256) == 64


def test_the_file_alone_is_a_complete_encoder(tmp_path: Path, rgb: np.ndarray, picture: Path) -> None:
    content = made_content()
    path = write_network(tmp_path / "x.onnx", metadata={"simkin.card": json.dumps(content)})
    encoder = OnnxPictureEncoder(path)
    assert encoder.card == EncoderCard.from_json(content["card"])
    assert encoder.preprocessing == INPUT
    vector = encoder.describe(picture)
    expected = by_hand(path, rgb, INPUT)
    np.testing.assert_allclose(vector, np.concatenate([expected, expected]), atol=1e-6)
    for facet in encoder.card.facets:
        assert np.linalg.norm(vector[facet.start : facet.stop]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("content", [made_content(), {"preset": "inception"}, {"input": INPUT.to_json()}])
def test_a_sidecar_says_what_the_file_does_not(tmp_path: Path, picture: Path, content: dict[str, Any]) -> None:
    path = write_network(tmp_path / "x.onnx")
    (tmp_path / "x.onnx.json").write_text(json.dumps(content))
    assert np.linalg.norm(OnnxPictureEncoder(path).describe(picture)[:5]) == pytest.approx(1, abs=1e-6)


def test_a_sidecar_names_the_output_to_use(tmp_path: Path) -> None:
    path = write_network(tmp_path / "x.onnx")
    (tmp_path / "x.onnx.json").write_text(json.dumps({"preset": "clip", "output": "map"}))
    assert OnnxPictureEncoder(path).card.preprocessing["output"] == "map"


def test_a_feature_map_is_averaged_when_there_is_nothing_else(tmp_path: Path, rgb: np.ndarray) -> None:
    whole = write_network(tmp_path / "a.onnx")
    only_map = write_network(tmp_path / "b.onnx", outputs={"plain": ("n", 5, 4, 4)})
    vector = OnnxPictureEncoder(only_map, "clip").describe_pixels(rgb)
    np.testing.assert_allclose(vector, by_hand(whole, rgb, preset("clip", 16, 16)), atol=1e-6)


def test_inputs_of_any_size_take_the_presets(tmp_path: Path, rgb: np.ndarray) -> None:
    encoder = OnnxPictureEncoder(write_network(tmp_path / "x.onnx", ("n", 3, "h", "w")), "clip")
    assert encoder.preprocessing.height == 224
    assert encoder.describe_pixels(rgb).shape == (5,)


def test_the_last_map_is_kept_for_explaining(tmp_path: Path, rgb: np.ndarray) -> None:
    found = OnnxPictureEncoder(write_network(tmp_path / "x.onnx"), "clip").feature_map(rgb)
    assert found is not None
    assert found.values.shape == (5, 4, 4)
    width, height = rgb.shape[1], rgb.shape[0]
    short = min(width, height)  # the preset crops to the middle square
    assert found.seen == pytest.approx(
        (0.5 - short / width / 2, 0.5 - short / height / 2, 0.5 + short / width / 2, 0.5 + short / height / 2), abs=0.01
    )
    without = write_network(tmp_path / "y.onnx", outputs={"embedding": ("n", 5)})
    assert OnnxPictureEncoder(without, "clip").feature_map(rgb) is None


def test_vectors_are_the_same_bytes_every_time(tmp_path: Path, picture: Path) -> None:
    path = write_network(tmp_path / "x.onnx")
    one, other = (OnnxPictureEncoder(path, "siglip").describe(picture) for _ in range(2))
    assert one.tobytes() == other.tobytes()


def test_another_preset_is_another_fingerprint(tmp_path: Path) -> None:
    path = write_network(tmp_path / "x.onnx")
    prints = {OnnxPictureEncoder(path, name).card.fingerprint for name in ("clip", "siglip", "imagenet")}
    assert len(prints) == 3


# ---- Files that do not fit ---------------------------------------------------------------------------


def refused(path: Path, preset: str = "clip") -> str:
    with pytest.raises(InputError) as caught:
        OnnxPictureEncoder(path, preset)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.onnx")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = write_network(tmp_path / "x.onnx")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "truncated" in refused(path)


@pytest.mark.parametrize("content", [b"", b"<html>404 not found</html>", b"version https://git-lfs.github.com/spec/v1"])
def test_a_file_that_is_no_network(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    assert "fetch it again" in refused(path)


def test_missing_external_data(tmp_path: Path) -> None:
    assert "fetch that too" in refused(write_network(tmp_path / "x.onnx", external="weights.bin"))


def test_several_inputs(tmp_path: Path) -> None:
    message = refused(write_network(tmp_path / "x.onnx", more_inputs=("input_ids",)))
    assert "2 inputs (picture, input_ids)" in message


@pytest.mark.parametrize(
    ("shape", "said"),
    [(("n", 3, 16), "no picture"), (("n", 1, 16, 16), "no picture"), ((8, 3, 16, 16), "exactly 8 pictures at once")],
)
def test_an_input_of_another_shape(tmp_path: Path, shape: Shape, said: str) -> None:
    outputs: dict[str, Shape] = {"map": ("n", "c", "h", "w")}
    if len(shape) == 3 or shape[1] == 1:  # onnxruntime itself refuses graphs whose shapes contradict each other
        path = tmp_path / "x.onnx"
        graph = field(1, node("Identity", ["picture"], "y")) + field(2, "g") + field(11, value_info("picture", shape))
        graph += field(12, value_info("y", shape))
        path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17)))
    else:
        path = write_network(tmp_path / "x.onnx", shape, outputs=outputs)
    assert said in refused(path)


def test_an_input_of_another_type(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    shape = ("n", 3, 16, 16)
    graph = field(1, node("Identity", ["picture"], "y")) + field(2, "g") + field(11, value_info("picture", shape, 2))
    graph += field(12, value_info("y", shape, 2))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17)))
    assert "uint8" in refused(path)


def test_a_network_that_makes_no_numbers_is_refused_before_the_first_picture(tmp_path: Path) -> None:
    assert "no numbers" in refused(write_network(tmp_path / "x.onnx", bias=float("nan")))


def test_a_network_that_makes_no_numbers_of_one_picture_fails_that_picture(tmp_path: Path, rgb: np.ndarray) -> None:
    content = made_content(outputs={"content:tiny": "embedding", "style:tiny": "embedding"})
    metadata = {"simkin.card": json.dumps(content)}
    path = write_network(tmp_path / "x.onnx", metadata=metadata, bias=float("nan"))
    with pytest.raises(MediaError, match="no numbers") as caught:
        OnnxPictureEncoder(path).describe_pixels(rgb)
    assert caught.value.stage == "encode"


def test_a_file_that_does_not_say_how_to_feed_it_lists_presets(tmp_path: Path) -> None:
    message = refused(write_network(tmp_path / "x.onnx"), "")
    assert "imagenet" in message
    assert "x.onnx.json" in message


def test_an_unknown_preset(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'clip'"):
        OnnxPictureEncoder(write_network(tmp_path / "x.onnx"), "clipp")


def test_a_preset_for_a_file_that_has_a_card(tmp_path: Path) -> None:
    path = write_network(tmp_path / "x.onnx", metadata={"simkin.card": json.dumps(made_content())})
    assert "leave the preset" in refused(path, "clip")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"card": {"name": "x"}}, "incomplete"),
        ({"outputs": {}}, "does not name"),
        ({"outputs": {"content:tiny": "embedding", "style:tiny": "nope"}}, "no output 'nope'"),
        ({"input": INPUT.to_json() | {"height": 8, "scaled_height": 8}}, "correct the card"),
    ],
)
def test_a_card_that_does_not_fit_its_file(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = write_network(tmp_path / "x.onnx", metadata={"simkin.card": json.dumps(made_content(**changes))})
    assert said in refused(path, "")


def test_a_card_that_is_not_json(tmp_path: Path) -> None:
    assert "not JSON" in refused(write_network(tmp_path / "x.onnx", metadata={"simkin.card": "{"}), "")


def test_a_card_of_other_dimensions(tmp_path: Path, rgb: np.ndarray) -> None:
    content = made_content()
    content["card"]["facets"][1]["stop"] = 12
    path = write_network(tmp_path / "x.onnx", metadata={"simkin.card": json.dumps(content)})
    with pytest.raises(InputError, match="has 5 numbers, its card says 7"):
        OnnxPictureEncoder(path).describe_pixels(rgb)


def test_a_picture_that_cannot_be_read_fails_by_itself(tmp_path: Path) -> None:
    (tmp_path / "p.jpg").write_bytes(b"no picture")
    with pytest.raises(MediaError) as caught:
        OnnxPictureEncoder(write_network(tmp_path / "x.onnx"), "clip").describe(tmp_path / "p.jpg")
    assert caught.value.stage == "decode"
