"""Networks of timm and torchvision: how they are named, and how they become ONNX files."""

from __future__ import annotations

import importlib.util
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from index.errors import InputError, MissingExtraError, UnknownNameError
from vision.network_names import parse_name
from vision.samples import made_pictures

HAS_TORCH = all(importlib.util.find_spec(name) for name in ("torch", "torchvision", "timm", "onnx", "onnxscript"))

TINY = "timm:test_vit?untrained"


def needs_torch(function: Any) -> Any:
    """Mark a test that runs torch."""
    skipping = pytest.mark.skipif(not HAS_TORCH, reason="needs torch: pip install 'simkin[torch]'")
    quiet = pytest.mark.filterwarnings("ignore")  # torch's own deprecations are not ours to fix
    return pytest.mark.torch(quiet(skipping(function)))


# ---- Names: no torch needed --------------------------------------------------------------------------


def test_names_are_taken_apart(tmp_path: Path) -> None:
    tagged = parse_name("timm:mobilenetv3_small_100.lamb_in1k")
    assert (tagged.arch, tagged.weights, tagged.short) == (
        "mobilenetv3_small_100",
        "lamb_in1k",
        "mobilenetv3_small_100",
    )
    named = parse_name("torchvision:resnet50/IMAGENET1K_V2")
    assert (named.library, named.arch, named.weights) == ("torchvision", "resnet50", "IMAGENET1K_V2")
    (tmp_path / "w.pth").touch()
    local = parse_name(f"timm:resnet18?checkpoint={tmp_path / 'w.pth'}")
    assert (local.checkpoint, local.untrained) == (tmp_path / "w.pth", False)
    assert parse_name("torchvision:resnet18?untrained").untrained
    assert parse_name("timm:hf_hub:somebody/vit_small.sound").short == "vit_small.sound"


@pytest.mark.parametrize(
    "name", ["resnet50", "timm:", "keras:resnet50", "timm:x?random", "timm:x?checkpoint=", "timm:x?untrained=1"]
)
def test_a_name_of_no_known_form_says_which_there_are(name: str) -> None:
    with pytest.raises(InputError, match="checkpoint=FILE"):
        parse_name(name)


def test_a_checkpoint_that_does_not_exist() -> None:
    with pytest.raises(InputError, match=r"nowhere\.pth does not exist"):
        parse_name("timm:resnet18?checkpoint=/nowhere.pth")


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from vision import torch_models

    def missing(name: str, package: str | None = None) -> None:
        raise ImportError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(torch_models.importlib, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'simkin\[torch\]'"):
        torch_models.load_torch(TINY)


def test_made_pictures_are_the_same_every_time_and_no_two_alike() -> None:
    one, other = made_pictures(4), made_pictures(4)
    assert all((a == b).all() for a, b in zip(one, other, strict=True))
    assert all((a != b).any() for a, b in itertools.pairwise(one))


# ---- Loading -----------------------------------------------------------------------------------------


@needs_torch
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:mobilenetv3_smal", "did you mean 'mobilenetv3_small_100'"),
        ("timm:mobilenetv3_small_100.lamb", "did you mean 'mobilenetv3_small_100.lamb_in1k'"),
        ("torchvision:resnet51", "did you mean 'resnet50'"),
        ("torchvision:resnet50/IMAGENET1K_V3", "did you mean 'IMAGENET1K_V2'"),
    ],
)
def test_unknown_names_suggest_near_ones(name: str, said: str) -> None:
    from vision.torch_models import load_torch

    with pytest.raises(UnknownNameError) as caught:
        load_torch(name)
    assert said in str(caught.value) or "IMAGENET1K_V2" in str(caught.value)


@needs_torch
def test_a_network_without_pooled_output_is_refused() -> None:
    from vision.torch_models import load_torch

    with pytest.raises(InputError, match="no pooled output"):
        load_torch("torchvision:squeezenet1_1?untrained")


@needs_torch
def test_weights_out_of_reach_are_named_with_where_to_put_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from vision import timm_models
    from vision.torch_models import load_torch

    monkeypatch.setattr(timm_models, "_at_hand", lambda repository: False)
    with pytest.raises(InputError) as caught:
        load_torch("timm:test_vit.r160_in1k")
    assert "https://huggingface.co/timm/test_vit.r160_in1k" in str(caught.value)
    assert "?checkpoint=model.safetensors" in str(caught.value)


@needs_torch
def test_torchvision_weights_out_of_reach_are_named_with_their_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import torch

    from vision.torch_models import load_torch

    def unreachable(url: str, path: str, progress: bool) -> None:
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(InputError) as caught:
        load_torch("torchvision:mobilenet_v3_small/IMAGENET1K_V1")
    assert "https://download.pytorch.org/models/mobilenet_v3_small" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@needs_torch
def test_random_weights_say_so_and_are_the_same_every_time() -> None:
    from vision.torch_models import load_torch

    one, other = load_torch(TINY), load_torch(TINY)
    assert "UNTRAINED random weights" in one.card.source
    assert one.card.fingerprint == other.card.fingerprint
    assert [facet.kind for facet in one.card.facets] == ["content", "style"]


@needs_torch
def test_a_local_checkpoint_is_loaded_whatever_its_classes(tmp_path: Path) -> None:
    import timm
    import torch

    from vision.torch_models import load_torch

    trained = timm.create_model("test_vit", num_classes=7)
    path = tmp_path / "w.pth"
    torch.save({"state_dict": trained.state_dict()}, path)
    network = load_torch(f"timm:test_vit?checkpoint={path}")
    assert network.card.sha256 != load_torch(TINY).card.sha256
    assert "UNTRAINED" not in network.card.source
    pixels = torch.rand(1, 3, 160, 160)
    with torch.inference_mode():
        expected = trained.eval().forward_head(trained.forward_features(pixels), pre_logits=True)
        np.testing.assert_allclose(network.module(pixels)[0], expected, atol=1e-5)


@needs_torch
@pytest.mark.parametrize(
    ("arch", "said"), [("test_vit2", "other shapes|another network"), ("resnet18", "another network")]
)
def test_a_checkpoint_of_other_shapes_is_refused(tmp_path: Path, arch: str, said: str) -> None:
    import timm
    import torch

    from vision.torch_models import load_torch

    path = tmp_path / "w.pth"
    torch.save(timm.create_model("test_vit").state_dict(), path)
    with pytest.raises(InputError, match=said):
        load_torch(f"timm:{arch}?checkpoint={path}")


@needs_torch
def test_a_checkpoint_that_is_none_is_refused(tmp_path: Path) -> None:
    from vision.torch_models import load_torch

    path = tmp_path / "w.pth"
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match="no checkpoint that can be read"):
        load_torch(f"timm:test_vit?checkpoint={path}")


@needs_torch
def test_style_is_the_mean_and_deviation_of_channels() -> None:
    import torch

    from vision.torch_taps import outputs

    maps = [torch.rand(2, 3, 8, 8), torch.rand(2, 5, 4, 4)]
    _, style = outputs(torch.rand(2, 4), maps, None)
    blocks = [torch.cat([m.mean((2, 3)), m.std((2, 3), correction=0)], 1) for m in maps]
    expected = torch.cat([block / block.norm(dim=1, keepdim=True) for block in blocks], 1)
    np.testing.assert_allclose(style, expected, atol=1e-4)  # the small number added to variances


# ---- Converting --------------------------------------------------------------------------------------


@needs_torch
@pytest.mark.slow
@pytest.mark.parametrize("name", [TINY, "timm:test_convnext?untrained", "torchvision:mobilenet_v3_small?untrained"])
def test_an_exported_network_answers_as_torch_does(tmp_path: Path, name: str) -> None:
    import torch

    from vision.export import export
    from vision.onnx_encoder import OnnxPictureEncoder
    from vision.torch_models import load_torch

    out = tmp_path / "model.onnx"
    parity = export(name, out)
    assert parity.minimum >= 0.9999
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx"]
    encoder = OnnxPictureEncoder(out)
    network = load_torch(name)
    assert encoder.card.to_json() == json.loads(json.dumps(network.card.to_json())) or encoder.card == network.card
    rgb = made_pictures(1, seed=99)[0]
    Image.fromarray(rgb).save(tmp_path / "p.png")
    vector = encoder.describe(tmp_path / "p.png")
    with torch.inference_mode():
        pooled = network.module(torch.from_numpy(network.preprocessing.apply(rgb)))[0][0].numpy()
    content = encoder.card.facets[0]
    np.testing.assert_allclose(vector[: content.stop], pooled / np.linalg.norm(pooled), atol=1e-4)
    found = encoder.feature_map(rgb)
    assert found is not None
    assert found.values.ndim == 3


@needs_torch
@pytest.mark.slow
def test_an_exported_network_takes_any_number_of_pictures(tmp_path: Path) -> None:
    from index.onnx_model import OnnxModel
    from vision.export import export

    export(TINY, tmp_path / "model.onnx")
    model = OnnxModel(tmp_path / "model.onnx")
    pixels = np.random.default_rng(0).normal(size=(5, 3, 160, 160)).astype(np.float32)
    (together,) = model.run(pixels, ["pooled"])
    alone = np.concatenate([model.run(one[None], ["pooled"])[0] for one in pixels])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@needs_torch
def test_a_conversion_that_answers_differently_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from index.onnx_export import Parity
    from vision import export as exporting

    parity = Parity(3, 0.99, 0.995, True)
    monkeypatch.setattr(exporting, "compare", lambda *_, made: parity)
    with pytest.raises(InputError, match=r"0\.990000 at worst"):
        exporting.export(TINY, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@needs_torch
@pytest.mark.slow
def test_int8_is_judged_and_the_verdict_stored(tmp_path: Path) -> None:
    from index.onnx_model import OnnxModel
    from vision.export import export

    for number, rgb in enumerate(made_pictures(50, seed=4)):
        Image.fromarray(rgb).resize((80, 80)).save(tmp_path / f"{number:02d}.png")
    samples = sorted(tmp_path.glob("*.png"))
    parity = export("timm:test_efficientnet?untrained", tmp_path / "model.onnx", samples, int8=True)
    assert parity.samples == 32
    assert not parity.made
    assert parity.int8.startswith(("kept static int8", "kept float32"))
    assert OnnxModel(tmp_path / "model.onnx").metadata()["parity"]["int8"] == parity.int8


@needs_torch
def test_int8_needs_pictures_to_judge_by(tmp_path: Path) -> None:
    from vision.export import export

    Image.fromarray(made_pictures(1)[0]).save(tmp_path / "p.png")
    with pytest.raises(InputError, match="at least 50 pictures"):
        export(TINY, tmp_path / "model.onnx", [tmp_path / "p.png"], int8=True)


@pytest.mark.parametrize(
    ("recall", "faster", "said"),
    [
        (0.99, 1.5, "kept static int8"),
        (0.95, 1.5, "recall 0.030 below 0.98"),
        (0.99, 0.8, "20% slower than float32"),
        (0.9, 0.8, " and "),
    ],
)
def test_int8_is_kept_only_where_it_answers_alike_and_faster(recall: float, faster: float, said: str) -> None:
    from vision.quantize import Int8Trial

    trial = Int8Trial("static", recall, faster)
    assert trial.kept == (recall >= 0.98 and faster > 1)
    assert said in trial.sentence
