"""Fine-tuning with torch, on drawn stripes whose colours mislead: what is trained, kept, written, and gone on with."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from index.errors import InputError, StorageError
from index.types import Batch

HAS_TORCH = all(importlib.util.find_spec(name) for name in ("torch", "torchvision", "timm", "pytorch_metric_learning"))

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore"),  # torch's own deprecations are not ours to fix
    pytest.mark.skipif(not HAS_TORCH, reason="needs torch: pip install 'simkin[torch]'"),
]

SMALL = "timm:simkin_test_small?untrained"
CLASSES, EACH = 72, 4


def draw_stripes(path: Path, kind: int, rng: np.random.Generator) -> None:
    """Stripes of one width and direction, which the kind tells; colours and place are chance."""
    turn = math.pi * (kind % 12) / 12 + rng.normal(0, 0.02)
    width = (5, 7, 10, 14, 20, 28)[kind // 12] * rng.uniform(0.97, 1.03)
    down, across = np.mgrid[0:96, 0:96]
    wave = (across * math.cos(turn) + down * math.sin(turn)) / width + rng.uniform()
    ground, colour = rng.integers(0, 256, (2, 3))
    pixels = np.where((wave % 1 < 0.5)[..., None], ground, colour)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture(scope="module", autouse=True)
def small_network() -> None:
    """Make ``SMALL`` known to timm: three convolutions, whose random features see stripes and colours mixed."""
    import timm
    import torch
    from torch import nn

    class Small(nn.Module):
        """What ``vision.timm_models`` asks of a network."""

        def __init__(self) -> None:
            super().__init__()
            sides = ((3, 64, 9, 3), (64, 96, 3, 1), (96, 128, 3, 1))
            stages = [
                nn.Sequential(nn.Sequential(nn.Conv2d(a, b, k, step, k // 2), nn.BatchNorm2d(b), nn.ReLU()))
                for a, b, k, step in sides
            ]
            self.blocks = nn.Sequential(*(nn.Sequential(stage) for stage in stages))
            self.classifier = nn.Linear(128, 10)
            self.feature_info = [
                {"num_chs": b, "reduction": 3, "module": f"blocks.{n}"} for n, (_, b, *_) in enumerate(sides)
            ]
            self.pretrained_cfg = {"input_size": (3, 64, 64), "crop_pct": 1.0, "classifier": "classifier"}

        def forward_features(self, picture: torch.Tensor) -> torch.Tensor:
            return self.blocks(picture)

        def forward_head(self, final: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
            return final.mean(dim=(2, 3))

    if not timm.is_model("simkin_test_small"):

        def simkin_test_small(pretrained: bool = False, **_: Any) -> Small:
            return Small()

        simkin_test_small.__module__ = "timm.models.resnet"  # whose list of names it joins
        timm.models.register_model(simkin_test_small)


@pytest.fixture(scope="module")
def striped(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Drawn stripes, those of one kind next to each other."""
    folder, rng = tmp_path_factory.mktemp("striped"), np.random.default_rng(0)
    paths = []
    for kind in range(CLASSES):
        for number in range(EACH):
            paths.append(folder / f"kind-{kind:02d}-{number}.png")
            draw_stripes(paths[-1], kind, rng)
    return paths


def tuner_of(blocks: int = 0, epochs: int = 3, **changed: Any) -> Any:
    """A tuner of a tiny network with random weights."""
    from index.encoders import open_tuner

    options: dict[str, Any] = {"loss": "multi-similarity", "hidden": 0, "dim": 16, "seed": 0, **changed}
    return open_tuner(SMALL, blocks=blocks, epochs=epochs, **options)


def draw(rng: np.random.Generator) -> Batch:
    """Two pictures of each of eight kinds, all others of the batch being negatives."""
    kinds = np.sort(rng.choice(20, 8, replace=False))
    rows = np.concatenate([EACH * kind + np.sort(rng.choice(EACH, 2, replace=False)) for kind in kinds])
    labels = np.repeat(kinds, 2)
    return Batch(rows, labels, labels[:, None] != labels[None])


SEEN, JUDGED = np.arange(20 * EACH), np.arange(20 * EACH, 30 * EACH)


def judge(vectors: np.ndarray) -> float:
    """How often the nearest is of the same kind."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    kinds = np.arange(len(vectors)) // EACH
    return float((kinds[scores.argmax(axis=1)] == kinds).mean())


def trained(tuner: Any, striped: list[Path], folder: Path, on_epoch: Callable[[Any], None] = lambda _: None) -> Any:
    """Read all pictures and train on the first twenty kinds."""
    tuner.read(striped, folder, lambda *_: None)
    return tuner.train(draw, 4, SEEN, JUDGED, judge, folder / "own", on_epoch)


# ---- What is trained ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("timm:test_efficientnet?untrained", 5),
        ("timm:test_vit?untrained", 6),
        ("timm:test_convnext?untrained", 4),
        ("timm:resnet10t?untrained", 4),
        ("timm:mobilenetv3_small_050?untrained", 6),
        ("torchvision:resnet18?untrained", 4),
        ("torchvision:mobilenet_v3_small?untrained", 11),
    ],
)
def test_blocks_are_found_whatever_the_architecture(name: str, count: int) -> None:
    from vision.stages import stages, unfreeze
    from vision.torch_models import load_torch

    body = load_torch(name).module.body
    found, _ = stages(body)
    assert len(found) == count
    unfreeze(body, 1, name)
    trained = {key for key, value in body.named_parameters() if value.requires_grad}
    assert trained
    assert {id(p) for p in found[-1].parameters()} <= {id(p) for p in body.parameters() if p.requires_grad}
    assert not {id(p) for p in found[-2].parameters()} & {id(p) for p in body.parameters() if p.requires_grad}
    with pytest.raises(InputError, match=f"has {count} blocks"):
        unfreeze(body, count + 1, name)


def test_only_the_last_blocks_and_the_head_change_and_statistics_stay(striped: list[Path], tmp_path: Path) -> None:
    tuner = tuner_of(blocks=1, epochs=1)
    before = {name: value.clone() for name, value in tuner.network.module.state_dict().items()}
    tuner.read(striped[: 30 * EACH], tmp_path, lambda *_: None)
    liking = iter(range(10))  # the judge likes every epoch better than the one before
    tuner.train(draw, 4, SEEN, JUDGED, lambda _: next(liking), tmp_path / "own", lambda _: None)
    changed = {name for name, value in tuner.network.module.state_dict().items() if not (value == before[name]).all()}
    assert tuner_best(tmp_path) == 1
    assert {name.removeprefix("body.blocks.2.0.0.") for name in changed} == {"0.weight", "0.bias", "1.weight", "1.bias"}


def tuner_best(folder: Path) -> int:
    """The epoch that was kept."""
    import torch

    return int(torch.load(folder / "own" / "training.pt", weights_only=True)["best"])


def test_a_head_begins_whitened_and_a_perceptron_adds_nothing_at_first() -> None:
    import torch

    from vision.tuning_head import whitened_head

    torch.manual_seed(0)
    features = torch.nn.functional.normalize(torch.rand(300, 12) * torch.linspace(0.1, 3, 12), dim=1)
    head = whitened_head(features, 4).eval()
    spread = ((features - head.mean) @ head.basis)[:, :4].std(dim=0)
    before = torch.linalg.svdvals(features - features.mean(dim=0))[:4]
    assert 1 < float(spread.max() / spread.min()) < float(before[0] / before[3])
    made = head(features)
    np.testing.assert_allclose(made.detach().norm(dim=1), 1, atol=1e-5)
    both = whitened_head(features, 4, hidden=8).eval()
    np.testing.assert_allclose(both(features).detach(), made.detach(), atol=1e-6)


@pytest.mark.parametrize("name", ["triplet", "multi-similarity", "ntxent"])
def test_a_loss_looks_only_at_allowed_negatives(name: str) -> None:
    import torch

    from vision.tuning_loss import MetricLoss, unit

    torch.manual_seed(1)
    points = unit(torch.randn(12, 5)).requires_grad_()
    labels = torch.arange(12) // 2
    negatives = labels[:, None] != labels[None]
    loss = MetricLoss(name)
    assert float(loss(points, labels, negatives).detach()) > 0
    without = negatives.clone()
    without[:, 10:] = without[10:] = False  # the last label is held against nobody
    outside = loss(points, labels, without)
    outside.backward()
    assert points.grad is not None
    if name != "multi-similarity":  # which pulls kin together whether there are negatives or not
        assert float(points.grad[10:].abs().sum()) < 1e-6
    nothing = loss(points, labels, torch.zeros_like(negatives))
    assert torch.isfinite(nothing)


def test_losses_and_heads_are_those_of_the_command_line() -> None:
    from index.learning import tune
    from simkin.cli import tune as verb
    from vision.tuning_loss import LOSSES

    assert tuple(LOSSES) == tune.LOSSES == verb.LOSSES
    assert tuple(tune.HEADS) == verb.HEADS


def test_pictures_are_mirrored_and_cropped_a_little_but_never_recoloured() -> None:
    from vision.tuning_pictures import varied

    left = np.zeros((100, 100, 3), np.uint8)
    left[:, :50] = (255, 0, 0)
    rng, mirrored = np.random.default_rng(0), 0
    for _ in range(60):
        made = varied(left, rng)
        assert min(made.size) >= 80
        colours = {colour for _, colour in made.getcolors() or []}
        assert colours == {(0, 0, 0), (255, 0, 0)}
        mirrored += made.getpixel((0, 0)) == (0, 0, 0)
    assert 15 <= mirrored <= 45


# ---- Features ------------------------------------------------------------------------------------------


def test_features_are_computed_once_and_unreadable_pictures_counted(striped: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    given = [*striped[:3], tmp_path / "bad.png", tmp_path / "gone.png", striped[3]]
    told: list[tuple[int, int, int]] = []
    tuner = tuner_of()
    features, readable = tuner.read(given, tmp_path / "work", lambda *done: told.append(done))
    assert readable.tolist() == [True, True, True, False, False, True]
    assert told[-1] == (6, 6, 2)
    np.testing.assert_allclose(np.linalg.norm(features[readable], axis=1), 1, atol=1e-5)
    told.clear()
    again, _ = tuner_of().read(given, tmp_path / "work", lambda *done: told.append(done))
    assert not told
    assert np.array_equal(features, again)


# ---- Stopping and going on -----------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [0, 1])
def test_an_interrupted_run_goes_on_to_the_same_end(striped: list[Path], tmp_path: Path, blocks: int) -> None:
    some = striped[: 30 * EACH]
    whole = tuner_of(blocks, epochs=2)
    trained(whole, some, tmp_path / "whole")
    cut = tuner_of(blocks, epochs=2)

    def stop(report: Any) -> None:
        raise KeyboardInterrupt

    told = trained(cut, some, tmp_path / "cut", stop)
    assert (told.epochs, told.interrupted) == (1, True)
    seen: list[int] = []
    resumed = tuner_of(blocks, epochs=2)
    told = trained(resumed, some, tmp_path / "cut", lambda report: seen.append(report.epoch))
    assert (told.epochs, told.interrupted, seen) == (2, False, [2])
    np.testing.assert_allclose(resumed.embed(JUDGED), whole.embed(JUDGED), atol=1e-5)


def test_before_the_first_epoch_an_interrupt_goes_through(striped: list[Path], tmp_path: Path) -> None:
    tuner = tuner_of()
    tuner.read(striped, tmp_path, lambda *_: None)

    def stop(rng: np.random.Generator) -> Batch:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuner.train(stop, 4, SEEN, JUDGED, judge, tmp_path / "own", lambda _: None)


def test_a_damaged_record_of_training_says_what_to_remove(striped: list[Path], tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "training.pt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(StorageError, match=r"remove .*own to begin anew"):
        trained(tuner_of(), striped, tmp_path)


def test_the_style_of_a_network_stays_beside_its_tuned_content() -> None:
    import torch

    from vision.finetune import tuned_network
    from vision.torch_models import load_torch
    from vision.tuning_head import Tuned, whitened_head

    network = load_torch("timm:test_convnext?untrained")
    head = whitened_head(torch.rand(30, network.card.facets[0].dim), 8)
    tuned = tuned_network(network, Tuned(network.module, head), 8)
    content, style = tuned.card.facets
    assert (content.name, content.start, content.stop) == ("content:test_convnext-tuned", 0, 8)
    assert (style.name, style.start, style.dim) == ("style:test_convnext-tuned", 8, network.card.facets[1].dim)
    assert tuned.facets == {content.name: "pooled", style.name: "style"}
    pixels = torch.rand(1, 3, tuned.preprocessing.height, tuned.preprocessing.width)
    assert torch.equal(tuned.module(pixels)[1], network.module(pixels)[1])
    assert tuned.card.fingerprint != network.card.fingerprint


# ---- The whole of it -----------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path, striped: list[Path], run_index: Callable[..., Any]) -> Iterator[Any]:
    """A catalog of the stripes, the kind as an attribute."""
    from index.catalog import Catalog

    table = tmp_path / "striped.csv"
    rows = [f"{path.stem},{path},{path.stem[:7]},{'odd' if int(path.stem[5:7]) % 2 else 'even'}" for path in striped]
    table.write_text("\n".join(["id,path,kind,category", *rows]))
    run_index(tmp_path / "striped.simkin", table)
    with Catalog.open(tmp_path / "striped.simkin") as opened:
        yield opened


def test_a_tuned_head_finds_unseen_kinds_despite_their_colours_and_is_an_encoder(
    shop: Any, tmp_path: Path, striped: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from index.learning.tune import TuneOptions, tune
    from index.onnx_model import OnnxModel
    from vision.onnx_encoder import OnnxPictureEncoder

    monkeypatch.setenv("SIMKIN_CACHE", str(tmp_path / "cache"))
    report = tune(shop, None, TuneOptions(SMALL, tmp_path / "tuned.onnx", label="kind", dim=16, epochs=20))
    assert report.split.held == "classes"
    assert report.verdict.decision == "better", report.verdict.table()
    recall = {name: own["recall@10"].value for name, own in report.verdict.recalls.items()}
    assert recall["tuned"] > 0.15 + max(recall["untouched"], recall["whitened"]), report.verdict.table()
    assert report.parity is not None
    assert report.parity["minimum"] >= 0.9999
    encoder = OnnxPictureEncoder(tmp_path / "tuned.onnx")
    assert encoder.card.name == "timm:simkin_test_small-tuned?untrained"
    assert encoder.card.source.startswith("fine-tuned from UNTRAINED random weights")
    assert encoder.card.licence == "Apache-2.0"
    assert [(facet.name, facet.dim) for facet in encoder.card.facets] == [("content:simkin_test_small-tuned", 16)]
    assert encoder.describe(striped[0]).shape == (16,)
    told = OnnxModel(tmp_path / "tuned.onnx").metadata()["tuning"]
    assert told["verdict"]["decision"] == "better"
    assert json.dumps(told)


@pytest.mark.slow
def test_tuned_blocks_are_written_as_they_were_judged(
    shop: Any, tmp_path: Path, striped: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from index import encoders
    from index.learning import tune as tuning
    from vision.onnx_encoder import OnnxPictureEncoder

    kept: list[Any] = []

    def opened(*given: Any, **options: Any) -> Any:
        kept.append(encoders.open_tuner(*given, **options))
        return kept[0]

    monkeypatch.setenv("SIMKIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "open_tuner", opened)
    options = tuning.TuneOptions(
        SMALL, tmp_path / "t.onnx", label="kind", dim=16, epochs=2, train="blocks:2", force=True
    )
    report = tuning.tune(shop, None, options)
    assert report.saved
    vector = OnnxPictureEncoder(tmp_path / "t.onnx").describe(striped[0])[:16]
    np.testing.assert_allclose(vector, kept[0].embed(np.array([0]))[0], atol=1e-4)
