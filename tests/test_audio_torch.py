"""Sound networks in torch: the trainable ones learn, and what is exported answers as torch does."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio.frontends import FRONTENDS
from audio.onnx_encoder import OnnxSongEncoder
from index.errors import InputError, UnknownNameError
from index.onnx_model import CARD_KEY, OnnxModel

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")]

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
timm = pytest.importorskip("timm", reason="timm is not installed")

from audio.export import Embedding, SoundNetwork, embed_patches, export_sound  # noqa: E402
from audio.slice_cnn import SliceCnn  # noqa: E402
from audio.sound_names import parse_sound_name  # noqa: E402
from audio.temporal_cnn import TemporalCnn  # noqa: E402
from audio.timm_cards import TIMM_SOUNDS  # noqa: E402
from audio.timm_sounds import UNTRAINED, load_timm_sound  # noqa: E402


@pytest.fixture
def tune(tmp_path: Path) -> Path:
    time = np.arange(22_050 * 6) / 22_050
    soundfile.write(tmp_path / "tune.wav", (0.3 * np.sin(2 * np.pi * (200 + 90 * time) * time)).astype("f4"), 22_050)
    return tmp_path / "tune.wav"


def small_temporal() -> TemporalCnn:
    torch.manual_seed(0)
    return TemporalCnn(8, channels=(16, 16, 32), hidden=(32, 32), dropout=0.1)


def small_slices() -> SliceCnn:
    torch.manual_seed(0)
    return SliceCnn(8, channels=(4, 8, 8, 16), hidden=32, dropout=0.1)


def load(name: str) -> SoundNetwork:
    return load_timm_sound(parse_sound_name(name))


def ours(network: Any, name: str) -> SoundNetwork:
    return SoundNetwork(name, name, Embedding(network), FRONTENDS[name], "Apache-2.0", "UNTRAINED, in a test")


# ---- The architectures ------------------------------------------------------------------------------------------


def test_the_temporal_network_is_the_published_one() -> None:
    network = TemporalCnn()
    patches = torch.zeros(2, *FRONTENDS["dieleman"].shape)
    assert patches.shape == (2, 128, 599)
    widths = [patches]
    for layer in network.over_time:
        widths.append(layer(widths[-1]))
    assert [tuple(w.shape[1:]) for w in widths[3::3]] == [(256, 149), (256, 73), (512, 35)]
    assert network.dense[0].in_features == 3 * 512  # mean, maximum, L2 norm
    assert network.embed(patches).shape == (2, 2048)
    assert network(patches).shape == (2, 40)
    assert [layer.kernel_size for layer in network.over_time[::3]] == [(4,)] * 3


def test_the_temporal_network_pools_mean_maximum_and_norm_over_time() -> None:
    network = small_temporal().eval()
    network.dense = torch.nn.Identity()
    patches = torch.randn(1, 128, 599)
    found = network.over_time(patches)[0].detach().double().numpy()
    wanted = np.concatenate([found.mean(1), found.max(1), np.linalg.norm(found, axis=1)])
    np.testing.assert_allclose(network.embed(patches)[0].detach().numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_the_temporal_network_hears_what_not_when() -> None:
    """Sixteen frames later, all poolings being in step, is the same sound."""
    network = small_temporal().eval()
    sound = torch.zeros(1, 128, 599)
    sound[:, 20:60, 100:200] = 1.0
    later = torch.roll(sound, 16, dims=2)
    torch.testing.assert_close(network.embed(sound), network.embed(later), rtol=1e-4, atol=1e-5)


def test_a_song_is_the_mean_of_the_penultimate_layer_over_slices() -> None:
    network = small_slices().eval()
    slices = torch.randn(5, *FRONTENDS["slices"].shape)
    assert slices.shape == (5, 1, 128, 128)
    assert network(slices).shape == (5, 8)
    torch.testing.assert_close(network.embed_song(slices), network.embed(slices).mean(0))
    assert SliceCnn(10).embed(slices[:1]).shape == (1, 1024)


@pytest.mark.parametrize(("make", "front"), [(small_temporal, "dieleman"), (small_slices, "slices")])
def test_training_makes_the_loss_fall(make: Any, front: str) -> None:
    network = make().train()
    generator = torch.Generator().manual_seed(1)
    patches = torch.rand(16, *FRONTENDS[front].shape, generator=generator)
    labels = torch.arange(16) % 8
    for row, label in enumerate(labels):
        patches[row].movedim(-2, 0)[16 * int(label) : 16 * int(label) + 16] += 2.0  # its own sixteen bands
    optimiser = torch.optim.Adam(network.parameters(), lr=4e-3)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(patches), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < 0.6 * losses[0]


def test_silence_has_a_gradient() -> None:
    network = small_temporal()
    patches = torch.zeros(1, 128, 599, requires_grad=True)
    network(patches).sum().backward()
    assert patches.grad is not None
    assert torch.isfinite(patches.grad).all()


# ---- Exporting --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "front"), [(small_temporal, "dieleman"), (small_slices, "slices")])
def test_an_exported_network_of_ours_is_a_complete_encoder(tmp_path: Path, tune: Path, make: Any, front: str) -> None:
    out = tmp_path / "out" / "model.onnx"
    network = ours(make(), front)
    parity = export_sound(network, out, [tune])
    assert parity.minimum >= 0.9999
    assert not parity.made
    assert sorted(path.name for path in out.parent.iterdir()) == ["model.onnx"]
    encoder = OnnxSongEncoder(out)
    assert encoder.card.name == front
    assert encoder.card.facets[0].name == f"content:{front}"
    assert encoder.frontend == FRONTENDS[front]
    assert encoder.describe(tune).shape == (32,)
    batch = np.random.default_rng(0).random((3, *FRONTENDS[front].shape), np.float32)
    (found,) = OnnxModel(out).run(batch, ["embedding"])
    np.testing.assert_allclose(found, embed_patches(network.module, batch), rtol=1e-3, atol=1e-4)


def test_the_file_stores_its_parity(tmp_path: Path) -> None:
    parity = export_sound(ours(small_slices(), "slices"), tmp_path / "model.onnx")
    assert parity.made
    stored = OnnxModel(tmp_path / "model.onnx").metadata()["parity"]
    assert stored == asdict(parity)


def test_an_export_that_answers_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = ours(small_slices(), "slices")
    monkeypatch.setattr("audio.export.embed_patches", lambda module, patches: np.ones((len(patches), 32), "f4"))
    (tmp_path / "model.onnx").write_bytes(b"what was there before")
    with pytest.raises(InputError, match="answers otherwise than in torch"):
        export_sound(network, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == b"what was there before"
    assert len(list(tmp_path.iterdir())) == 1


# ---- timm -------------------------------------------------------------------------------------------------------


def test_a_transformer_of_timm_hears_ten_seconds(tmp_path: Path, tune: Path) -> None:
    network = load("timm:test_vit?frontend=audiomae&untrained")
    assert network.source.startswith(UNTRAINED)
    assert network.frontend.shape == (1, 1024, 128)
    parity = export_sound(network, tmp_path / "vit.onnx", [tune])
    assert parity.minimum >= 0.9999
    encoder = OnnxSongEncoder(tmp_path / "vit.onnx")
    assert encoder.card.name == "timm:test_vit?frontend=audiomae&untrained"
    assert encoder.card.source.startswith(UNTRAINED)
    assert encoder.describe(tune).shape == (64,)


def test_random_weights_are_the_same_every_time() -> None:
    one, other = (load("timm:test_vit?frontend=audiomae&untrained").module.state_dict() for _ in range(2))
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("front", ["efficientat", "musicnn", "yamnet", "dieleman"])
def test_a_convolutional_network_of_timm_takes_any_front_end(front: str) -> None:
    network = load(f"timm:test_resnet?frontend={front}&untrained")
    assert network.frontend.shape == (1, *FRONTENDS[front].shape[-2:])
    assert embed_patches(network.module, np.zeros((2, *network.frontend.shape), "f4")).shape[0] == 2


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_checkpoint_is_loaded_whichever_side_of_the_mean_it_normalises(tmp_path: Path, norm_first: bool) -> None:
    torch.manual_seed(3)
    options = {"fc_norm": False} if norm_first else {}
    made = timm.create_model("test_vit", in_chans=1, num_classes=0, global_pool="avg", img_size=(1024, 128), **options)
    torch.save(made.state_dict(), tmp_path / "weights.pth")
    network = load(f"timm:test_vit?frontend=audiomae&checkpoint={tmp_path / 'weights.pth'}")
    assert network.name == "timm:test_vit?frontend=audiomae&checkpoint=weights.pth"
    patches = np.random.default_rng(0).standard_normal((1, 1, 1024, 128)).astype("f4")
    np.testing.assert_allclose(embed_patches(network.module, patches), embed_patches(made, patches), atol=1e-5)


def test_checkpoints_of_other_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load(f"timm:test_vit?frontend=audiomae&checkpoint={tmp_path / 'none.pth'}")
    (tmp_path / "noise.pth").write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="no checkpoint that can be read"):
        load(f"timm:test_vit?frontend=audiomae&checkpoint={tmp_path / 'noise.pth'}")
    other = timm.create_model("test_vit", num_classes=0, global_pool="avg")
    torch.save(other.state_dict(), tmp_path / "pictures.pth")
    with pytest.raises(InputError, match=r"has shape .*name the architecture"):
        load(f"timm:test_vit?frontend=audiomae&checkpoint={tmp_path / 'pictures.pth'}")


def test_names_that_are_not_there_say_what_is() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'test_vit"):
        load("timm:test_vitt?frontend=audiomae")
    with pytest.raises(InputError, match="name its front-end"):
        load("timm:test_vit")
    with pytest.raises(UnknownNameError, match="front-end"):
        load("timm:test_vit?frontend=audiomay")


def test_without_a_network_the_file_to_fetch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio.timm_sounds._at_hand", lambda repository: False)
    (name, *_) = TIMM_SOUNDS
    with pytest.raises(InputError, match=r"model\.safetensors of https://huggingface\.co/gaunernst/.* by hand"):
        load(f"timm:{name}")


def test_published_sound_networks_are_described_as_timm_builds_them() -> None:
    for card in TIMM_SOUNDS.values():
        assert timm.is_model(card.arch)
        assert FRONTENDS[card.frontend].shape == (1, 1024, 128)


def test_metadata_is_plain_json(tmp_path: Path) -> None:
    export_sound(ours(small_slices(), "slices"), tmp_path / "model.onnx")
    import onnx

    (entry,) = [e for e in onnx.load(str(tmp_path / "model.onnx")).metadata_props if e.key == CARD_KEY]
    assert set(json.loads(entry.value)) == {"card", "outputs", "frontend", "parity"}
