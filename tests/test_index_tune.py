"""Tuning without torch: who is kin, what is held out, what is drawn, how it is judged, and what is refused."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.sparse import csr_array

from index.errors import InputError, MissingExtraError, StorageError, UnknownNameError
from index.learning import tune as tuning
from index.learning.intervals import Interval
from index.learning.kin import Kin, kin_of
from index.learning.kin_batches import KinBatches
from index.learning.kin_recall import first_kin, judge_networks
from index.learning.kin_split import split_kin
from index.learning.splits import TEST, TRAIN, VALIDATION
from index.learning.triplets import IN_CLASS
from index.learning.tune import TuneOptions, tune
from index.types import EncoderCard, Facet, Training
from simkin.cli import main

NETWORK = "timm:test_convnext?untrained"


def made_kin(classes: list[int], categories: list[int] | None = None, links: list[tuple[int, int]] = ()) -> Kin:  # type: ignore[assignment]
    """Pictures of these classes, each of an item of its own."""
    n = len(classes)
    count = max(classes) + 1
    ends = np.array([*links, *((b, a) for a, b in links)], np.int64).reshape(-1, 2)
    return Kin(
        kind="edges" if links else "label",
        paths=tuple(Path(f"{at}.jpg") for at in range(n)),
        items=np.arange(n),
        classes=np.array(classes),
        categories=np.array(categories if categories is not None else [-1] * n),
        duplicates=np.arange(n),
        linked=csr_array((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), shape=(count, count)),
        what="items of the same shape",
    )


# ---- Who is kin ---------------------------------------------------------------------------------------


def alone(items: np.ndarray) -> np.ndarray:
    """No item has near-duplicates."""
    return items


@pytest.fixture(scope="module")
def made(make_catalog: Callable[[], Any]) -> Any:
    """Sixty items of forty prices: those of the first twenty prices are two each."""
    found = make_catalog()
    vectors, _ = found.points(60, seed=3)
    prices = [at // 2 for at in range(40)] + list(range(20, 40))
    found.add([f"i{at:02d}" for at in range(60)], vectors, ["all"] * 60, prices)
    found.build()
    return found


def test_a_label_that_items_share_makes_kin_and_single_ones_are_left_out(made: Any) -> None:
    kin = kin_of(made.catalog, label="price", groups_of=alone)
    assert len(kin.paths) == 40
    assert len(np.unique(kin.classes)) == 20
    assert kin.paths[0].name == "i00.jpg"
    everything = np.arange(40)
    assert (kin.are_kin(everything, everything).sum(axis=1) == 1).all()
    assert not kin.are_kin(everything, everything).diagonal().any()


def test_linked_items_are_kin_and_the_ends_of_no_link_are_left_out(made: Any) -> None:
    from index.learning.edges import EdgeArrays

    keys = made.catalog.keys_of([f"i{at:02d}" for at in range(60)])
    pairs = np.array([[keys[0], keys[5]], [keys[5], keys[9]]])
    kin = kin_of(made.catalog, edges=EdgeArrays(pairs, np.ones(2), np.zeros(2), ()), groups_of=alone)
    assert [path.stem for path in kin.paths] == ["i00", "i05", "i09"]
    rows = np.arange(3)
    assert kin.are_kin(rows, rows).tolist() == [[False, True, False], [True, False, True], [False, True, False]]


def test_photos_of_one_item_are_kin_of_each_other_alone() -> None:
    kin = replace(made_kin([0, 0, 1, 1]), kind="items", items=np.array([7, 7, 8, 8]), duplicates=np.array([1, 1, 2, 2]))
    rows = np.arange(4)
    assert np.argwhere(kin.are_kin(rows, rows)).tolist() == [[0, 1], [1, 0], [2, 3], [3, 2]]
    assert np.array_equal(kin.are_the_same(rows, rows), np.eye(4, dtype=bool))


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("category", "all pictures are of one category"),
        ("", "0 of 60 items have two pictures"),
    ],
)
def test_nothing_to_tell_apart_is_told(made: Any, label: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        kin_of(made.catalog, label=label, groups_of=alone)


def test_a_label_that_nobody_shares_is_told(make_catalog: Callable[[], Any]) -> None:
    found = make_catalog()
    vectors, _ = found.points(5)
    found.add([f"i{at}" for at in range(5)], vectors, [None] * 5, range(5))
    with pytest.raises(InputError, match="no price has two items with pictures"):
        kin_of(found.catalog, label="price", groups_of=alone)
    with pytest.raises(UnknownNameError, match="attribute 'prize'; did you mean 'price'"):
        kin_of(found.catalog, label="prize", groups_of=alone)


def test_a_catalog_without_picture_files_and_edges_between_sounds_are_told(
    tmp_path: Path, songs: Callable[..., list[Path]], pictures: Callable[..., list[Path]], run_index: Callable[..., Any]
) -> None:
    from index.catalog import Catalog
    from index.learning.edges import EdgeArrays

    songs(tmp_path / "songs", 3)
    run_index(tmp_path / "s.simkin", tmp_path / "songs")
    with Catalog.open(tmp_path / "s.simkin") as opened, pytest.raises(InputError, match="holds no pictures"):
        kin_of(opened, groups_of=alone)
    pictures(tmp_path / "photos", 1)
    run_index(tmp_path / "s.simkin", tmp_path / "photos")
    with Catalog.open(tmp_path / "s.simkin") as opened:
        keys = opened.keys_of(["000.wav", "001.wav"])
        edges = EdgeArrays(np.array([keys]), np.ones(1), np.zeros(1), ())
        with pytest.raises(InputError, match="none of 1 edges joins two items with pictures"):
            kin_of(opened, edges=edges, groups_of=alone)


# ---- What is held out ---------------------------------------------------------------------------------


def test_classes_are_held_out_whole_and_near_duplicates_with_them() -> None:
    classes = [at // 4 for at in range(200)]
    kin = made_kin(classes)
    duplicates = np.arange(200)
    duplicates[4] = duplicates[0]  # a photo of class 1 is one of class 0
    split = split_kin(replace(kin, duplicates=duplicates), seed=5)
    assert split.held == "classes"
    assert split.units == 49
    for one in range(50):
        assert len(set(split.parts[kin.classes == one])) == 1
    assert split.parts[0] == split.parts[4]
    assert [len(split.rows(part)) for part in (VALIDATION, TEST)] == pytest.approx([28, 48], abs=5)
    assert np.array_equal(split.parts, split_kin(replace(kin, duplicates=duplicates), seed=5).parts)


def test_with_few_classes_items_are_held_out() -> None:
    kin = made_kin([at % 5 for at in range(100)])
    split = split_kin(kin, seed=0)
    assert split.held == "items"
    assert all(set(split.parts[kin.classes == one]) == {TRAIN, VALIDATION, TEST} for one in range(5))


def test_what_is_linked_lies_on_one_side_unless_all_is_linked() -> None:
    pairs = made_kin(list(range(120)), links=[(at, at + 1) for at in range(0, 120, 2)])
    split = split_kin(pairs, seed=1)
    assert split.held == "classes"
    assert all(split.parts[at] == split.parts[at + 1] for at in range(0, 120, 2))
    chain = made_kin(list(range(300)), links=[(at, (at + step) % 300) for at in range(300) for step in range(1, 9)])
    assert split_kin(chain, seed=1).held == "items"


def test_too_few_pictures_say_so() -> None:
    with pytest.raises(InputError, match="are too few"):
        split_kin(made_kin([0, 0, 1, 1, 2, 2]), seed=0)


# ---- What is drawn ------------------------------------------------------------------------------------


def test_a_batch_holds_kin_together_and_never_against_each_other() -> None:
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(60), 5)
    kin = made_kin(classes.tolist(), (classes % 12).tolist())
    batches = KinBatches(kin, np.arange(0, 300, dtype=np.int64), 64)
    within = []
    for _ in range(40):
        batch = batches.draw(rng)
        assert 60 <= len(batch.rows) <= 68
        assert len(set(batch.rows.tolist())) == len(batch.rows)
        same = kin.classes[batch.rows][:, None] == kin.classes[batch.rows][None]
        assert np.array_equal(same, batch.labels[:, None] == batch.labels[None])
        assert not (same & batch.negatives).any()
        assert batch.negatives.any(axis=1).all()
        inside = kin.categories[batch.rows][:, None] == kin.categories[batch.rows][None]
        mixed = (batch.negatives & inside).any(axis=1) & (batch.negatives & ~inside).any(axis=1)
        assert not mixed.any()
        within.append((batch.negatives & inside).any(axis=1).mean())
    assert np.mean(within) == pytest.approx(IN_CLASS, abs=0.05)


def test_linked_pictures_are_drawn_together_and_neighbours_are_no_negatives() -> None:
    kin = made_kin(list(range(40)), links=[(at, at + 1) for at in range(39)])
    batch = KinBatches(kin, np.arange(40, dtype=np.int64), 20).draw(np.random.default_rng(0))
    for label in np.unique(batch.labels):
        first, second = batch.rows[batch.labels == label]
        assert abs(first - second) == 1
    assert not (batch.negatives & kin.are_kin(batch.rows, batch.rows)).any()


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(InputError, match="1 groups of items"):
        KinBatches(made_kin([0] * 10), np.arange(10, dtype=np.int64), 8)


# ---- How it is judged ---------------------------------------------------------------------------------


def test_ranks_are_those_of_the_first_kin_and_equal_scores_are_no_gift() -> None:
    kin = made_kin([0, 0, 1, 1, 2, 2])
    rows = np.arange(6)
    perfect = np.eye(3, dtype=np.float32)[kin.classes]
    assert first_kin(kin, rows, perfect, seed=0, by_item=False).ranks.tolist() == [1.0] * 6
    nothing = np.ones((6, 2), np.float32)
    assert first_kin(kin, rows, nothing, seed=0, by_item=False).ranks.tolist() == [3.0] * 6
    beside = np.array([[1, 0], [0, 1], [0.9, 0.1], [0.1, 0.9], [1, 0.05], [0.05, 1]], np.float32)
    assert first_kin(kin, rows, beside, seed=0, by_item=False).ranks.tolist() == [5, 5, 3, 3, 4, 4]


def test_near_duplicates_neither_answer_nor_count() -> None:
    kin = replace(made_kin([0, 0, 0, 1]), duplicates=np.array([0, 0, 1, 2]))
    vectors = np.array([[1, 0], [1, 0], [0.6, 0.8], [0.8, 0.6]], np.float32)
    found = first_kin(kin, np.arange(4), vectors, seed=0, by_item=False)
    assert found.asked.tolist() == [0, 1, 2]
    assert found.ranks.tolist() == [2.0, 2.0, 2.0]


def test_better_means_better_beyond_chance() -> None:
    rng = np.random.default_rng(0)
    kin = made_kin(np.repeat(np.arange(30), 4).tolist())
    rows = np.arange(120)
    noise = rng.normal(size=(120, 40)).astype(np.float32)
    good = noise + 3 * rng.normal(size=(30, 40)).astype(np.float32)[kin.classes]
    ranks = {
        name: first_kin(kin, rows, own / np.linalg.norm(own, axis=1, keepdims=True), seed=0, by_item=False)
        for name, own in (("noise", noise), ("good", good), ("again", noise[:, :39]))
    }
    assert judge_networks({"untouched": ranks["noise"], "tuned": ranks["good"]}, seed=0).decision == "better"
    assert judge_networks({"untouched": ranks["good"], "tuned": ranks["noise"]}, seed=0).decision == "not better"
    assert judge_networks({"untouched": ranks["noise"], "tuned": ranks["again"]}, seed=0).decision == "not better"
    few = {
        name: replace(one, asked=one.asked[:8], ranks=one.ranks[:8], clusters=one.clusters[:8])
        for name, one in ranks.items()
    }
    verdict = judge_networks({"untouched": few["noise"], "tuned": few["good"]}, seed=0)
    assert verdict.decision == "cannot tell"
    assert isinstance(verdict.gain, Interval)
    assert "recall@20" in verdict.table()


# ---- The whole of it, with a network that stands in ---------------------------------------------------


class StandIn:
    """A tuner whose network sees noise, and whose tuned network sees ``sharpness`` times the truth besides."""

    def __init__(self, truth: np.ndarray, sharpness: float, interrupted: bool = False) -> None:
        self.truth, self.sharpness, self.interrupted = truth, sharpness, interrupted
        self.noise = np.random.default_rng(1).normal(size=(len(truth), 16)).astype(np.float32)
        facet = Facet("content:x", 0, 16, 0.0, 16, 0.97, "")
        self.card = EncoderCard("timm:x", 1, "image", (facet,), {}, "MIT", "somebody", "abc")
        self.unreadable: list[int] = []
        self.facts: dict[str, Any] = {}

    def read(self, pictures: Any, folder: Path, on_progress: Any) -> Any:
        readable = np.ones(len(pictures), bool)
        readable[self.unreadable] = False
        return self._unit(self.noise), readable

    def train(self, draw: Any, steps: int, rows: Any, judged: Any, judge: Any, folder: Path, on_epoch: Any) -> Training:
        batch = draw(np.random.default_rng(0))
        assert set(batch.rows.tolist()) <= set(rows.tolist())
        assert not set(rows.tolist()) & set(judged.tolist())
        assert not (set(rows.tolist()) | set(judged.tolist())) & set(self.unreadable)
        score = judge(self.embed(judged))
        return Training(3, 2, 0.1, score, self.interrupted)

    def embed(self, rows: np.ndarray) -> np.ndarray:
        return self._unit(self.noise[rows] + self.sharpness * self.truth[rows])

    def export(self, out: Path, pictures: Any, facts: Any) -> dict[str, object]:
        self.facts = dict(facts)
        out.write_bytes(b"onnx")
        return {"minimum": 1.0}

    @staticmethod
    def _unit(rows: np.ndarray) -> np.ndarray:
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def shop(make_catalog: Callable[[], Any]) -> Any:
    """Fifty products of four photos each, told by their price."""
    found = make_catalog()
    vectors, _ = found.points(200, seed=4)
    ids, kinds = [f"p{at:03d}" for at in range(200)], [f"kind-{at % 5}" for at in range(200)]
    found.add(ids, vectors, kinds, [at // 4 for at in range(200)])
    found.build()
    found.truth = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32)[np.arange(200) // 4]
    return found


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own."""
    monkeypatch.setenv("SIMKIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def stand_in(monkeypatch: pytest.MonkeyPatch, tuner: StandIn) -> StandIn:
    monkeypatch.setattr(tuning, "open_tuner", lambda name, **_: tuner)
    return tuner


def test_a_better_network_is_written_with_its_figures_and_leaves_no_work_behind(
    shop: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuner = stand_in(monkeypatch, StandIn(shop.truth, 3.0))
    tuner.unreadable = [3, 77]
    report = tune(shop.catalog, None, TuneOptions(NETWORK, tmp_path / "t.onnx", label="price"))
    assert (report.saved, report.forced, report.unreadable, report.pictures) == (True, False, 2, 198)
    assert (tmp_path / "t.onnx").is_file()
    told = json.loads(json.dumps(tuner.facts))["tuning"]
    assert told["from"] == NETWORK
    assert told["verdict"]["recalls"]["tuned"]["recall@20"]["value"] > 0.9
    assert told["forced"] is False
    assert not list((cache / "tuning").iterdir())


def test_a_network_that_is_no_better_is_not_written_unless_forced(
    shop: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuner = stand_in(monkeypatch, StandIn(shop.truth, 0.0))
    options = TuneOptions(NETWORK, tmp_path / "t.onnx", label="price")
    report = tune(shop.catalog, None, options)
    assert (report.saved, report.verdict.decision) == (False, "not better")
    assert not (tmp_path / "t.onnx").exists()
    assert report.folder is not None
    assert report.folder.is_dir()  # so that --force need not train again
    forced = tune(shop.catalog, None, replace(options, force=True))
    assert (forced.saved, forced.forced) == (True, True)
    assert tuner.facts["tuning"]["forced"] is True


def test_an_interrupted_run_keeps_its_work(
    shop: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, StandIn(shop.truth, 3.0, interrupted=True))
    report = tune(shop.catalog, None, TuneOptions(NETWORK, tmp_path / "t.onnx", label="price"))
    assert report.saved
    assert report.folder is not None
    assert report.folder.is_dir()


def test_edges_of_a_file_make_kin(shop: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, StandIn(shop.truth, 3.0))
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        pairs = [(f"p{at:03d}", f"p{at + 1:03d}") for at in range(199) if at % 4 < 3]
        csv.writer(file).writerows([("source", "target"), ("p000", "gone"), *pairs])
    report = tune(shop.catalog, tmp_path / "pairs.csv", TuneOptions(NETWORK, tmp_path / "t.onnx"))
    assert report.saved
    assert report.what == "linked items"
    assert report.resolved is not None
    assert report.resolved.unknown == 1


def test_the_command_tells_the_figures_and_fails_where_nothing_was_gained(
    shop: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["tune", "--label", "price", "--catalog", shop.folder, "--encoder", NETWORK, "--out", tmp_path / "t.onnx"]
    stand_in(monkeypatch, StandIn(shop.truth, 0.0))
    done = CliRunner().invoke(main, [*map(str, command)])
    assert done.exit_code == 1, done.output
    assert "untouched" in done.output
    assert "not written; --force" in done.output
    stand_in(monkeypatch, StandIn(shop.truth, 3.0))
    done = CliRunner().invoke(main, [*map(str, command), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["event"] == "tuned"
    stand_in(monkeypatch, StandIn(shop.truth, 3.0, interrupted=True))
    done = CliRunner().invoke(main, [*map(str, command)])
    assert done.exit_code == 130, done.output
    assert "the same command goes on" in done.output


# ---- What is refused before anything is read ----------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"train": "all"}, InputError, "expected head, or blocks:N"),
        ({"train": "blocks:0"}, InputError, "expected head, or blocks:N"),
        ({"loss": "tripplet"}, UnknownNameError, "did you mean 'triplet'"),
        ({"head": "deep"}, UnknownNameError, "expected one of|linear"),
        ({"dim": 1}, InputError, "two dimensions at least"),
        ({"out": Path("tuned.pt")}, InputError, r"must be the name of an \.onnx file"),
        ({"out": Path("/proc/nowhere/tuned.onnx")}, StorageError, "cannot be written: /proc"),
        ({"encoder": "builtin-image"}, InputError, "cannot be trained further"),
        ({"encoder": "onnx:model.onnx"}, InputError, "cannot be trained further"),
        ({"encoder": "timm:vit_base?frontend=audiomae"}, InputError, "only networks of pictures"),
        ({"encoder": "timm:resnet18?checkpoint=/nowhere.pth"}, InputError, "does not exist"),
        ({"label": "prize"}, UnknownNameError, "did you mean 'price'"),
    ],
)
def test_what_cannot_end_well_is_refused_at_once(
    shop: Any, tmp_path: Path, changed: dict[str, Any], error: Any, said: str
) -> None:
    options = replace(TuneOptions(NETWORK, tmp_path / "t.onnx", label="price"), **changed)
    with pytest.raises(error, match=said):
        tune(shop.catalog, None, options)
    assert not list(tmp_path.iterdir())


def test_edges_and_a_label_together_are_refused(shop: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of the two"):
        tune(shop.catalog, tmp_path / "pairs.csv", TuneOptions(NETWORK, tmp_path / "t.onnx", label="price"))


@pytest.mark.parametrize("missing", ["torch", "pytorch_metric_learning"])
def test_without_the_extra_it_is_named(
    shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(("vision.finetune", "vision.tuning", missing))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    if missing != "torch":
        pytest.importorskip("torch", reason="needs torch: pip install 'simkin[torch]'")
    with pytest.raises(MissingExtraError, match=r"pip install 'simkin\[torch\]'"):
        tune(shop.catalog, None, TuneOptions(NETWORK, tmp_path / "t.onnx", label="price"))
