"""Networks as encoders of a catalog: beside the built-in ones, added later, moved away, misnamed, mirrored."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import simkin
from index.catalog import Catalog
from index.encoders import card_of, encoder_names, load_encoder
from index.errors import InputError, StaleIndexError, UnknownNameError

SIDE, DIM = 32, 6


def write_network(path: Path, seed: int = 0) -> Path:
    """A tiny picture network: random 4×4 patches of a 32-pixel picture, averaged and squashed, 6 numbers."""
    rng = np.random.default_rng(seed)
    kernel = numpy_helper.from_array(rng.normal(size=(DIM, 3, 4, 4)).astype(np.float32), "kernel")
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["patches"], strides=[4, 4]),
        helper.make_node("Relu", ["patches"], ["lit"]),
        helper.make_node("GlobalAveragePool", ["lit"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", DIM])],
        [kernel],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def paint(folder: Path, count: int, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        cells = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(cells).resize((96, 96), Image.Resampling.NEAREST).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture
def network(tmp_path: Path) -> str:
    return f"onnx:{write_network(tmp_path / 'tiny.onnx')}?preset=imagenet"


def test_built_in_and_network_stand_side_by_side(tmp_path: Path, network: str) -> None:
    """Each item holds all facets; hits tell the network's share by its name."""
    options = simkin.IndexOptions(encoders=("builtin", network))
    report = simkin.index([paint(tmp_path / "p", 12)], tmp_path / "c", options)
    assert (report.items, report.failed) == (12, 0)
    answer = simkin.open(tmp_path / "c").query("03.png", k=5, duplicates=True)
    assert len(answer) == 5
    for hit in answer.hits:
        assert set(hit.facets) == {"shape", "color", "texture", "content:tiny"}
        assert sum(hit.facets.values()) == pytest.approx(1, abs=0.001)


def test_a_network_alone_serves(tmp_path: Path, network: str) -> None:
    """Without the built-in facets relations weigh what there is, and say so of what there is not."""
    simkin.index([paint(tmp_path / "p", 8)], tmp_path / "c", simkin.IndexOptions(encoders=(network,)))
    recommender = simkin.open(tmp_path / "c")
    assert recommender.query("00.png", relation="similar", k=3).hits[0].facets == {"content:tiny": 1.0}
    with pytest.raises(InputError, match="compares color, style, texture, shape"):
        recommender.query("00.png", relation="style")


def test_an_encoder_added_later_describes_only_what_is_missing(tmp_path: Path, network: str) -> None:
    """Vectors that are there stay; answers then weigh both."""
    simkin.index([paint(tmp_path / "p", 6)], tmp_path / "c")
    with Catalog.open(tmp_path / "c") as catalog:
        before = catalog.connection.execute("SELECT vector FROM vectors ORDER BY media").fetchall()
    report = simkin.index([], tmp_path / "c", simkin.IndexOptions(encoders=(network,)))
    assert report.items == 6
    with Catalog.open(tmp_path / "c") as catalog:
        assert list(catalog.encoders()) == ["builtin-image", "builtin-audio", network]
        kept = catalog.connection.execute("SELECT vector FROM vectors WHERE encoder=1 ORDER BY media").fetchall()
        assert kept == before
        assert catalog.connection.execute("SELECT count(*) FROM vectors").fetchone()[0] == 12
    assert "content:tiny" in simkin.open(tmp_path / "c").query("00.png", k=1, duplicates=True).hits[0].facets


def test_asking_by_id_needs_no_model_file(tmp_path: Path, network: str) -> None:
    """The catalog keeps the card; only a picture from outside needs the network, and the message says so."""
    simkin.index([paint(tmp_path / "p", 6)], tmp_path / "c", simkin.IndexOptions(encoders=(network,)))
    (tmp_path / "tiny.onnx").unlink()
    recommender = simkin.open(tmp_path / "c")
    assert len(recommender.query("00.png", k=3, duplicates=True)) == 3
    other = paint(tmp_path / "q", 1, seed=5) / "00.png"
    with pytest.raises(InputError, match=r"tiny\.onnx does not exist"):
        recommender.query(other, k=3)


def test_another_network_under_the_same_name_is_refused(tmp_path: Path, network: str) -> None:
    """Its numbers differ; the message names the command that embeds again, and that works."""
    simkin.index([paint(tmp_path / "p", 6)], tmp_path / "c", simkin.IndexOptions(encoders=(network,)))
    write_network(tmp_path / "tiny.onnx", seed=1)
    with pytest.raises(StaleIndexError, match="simkin index --re-embed"):
        simkin.index([], tmp_path / "c")
    assert simkin.index([], tmp_path / "c", simkin.IndexOptions(re_embed=True)).failed == 0
    assert len(simkin.open(tmp_path / "c").query("00.png", k=3, duplicates=True)) == 3


def test_two_networks_of_one_name_are_told_apart_or_refused(tmp_path: Path) -> None:
    """Facets are named after the file; equal names would mix."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_network(tmp_path / folder / "net.onnx", seed=ord(folder))
    both = tuple(f"onnx:{tmp_path / folder / 'net.onnx'}?preset=imagenet" for folder in ("a", "b"))
    with pytest.raises(InputError, match="both have a facet 'content:net'"):
        simkin.index([paint(tmp_path / "p", 3)], tmp_path / "c", simkin.IndexOptions(encoders=both))


def test_vectors_do_not_depend_on_workers(tmp_path: Path, network: str) -> None:
    """Byte for byte, whoever described them, in whatever order."""
    paint(tmp_path / "p", 9)
    found = []
    for workers in (1, 3):
        folder = tmp_path / f"c{workers}"
        simkin.index([tmp_path / "p"], folder, simkin.IndexOptions(encoders=("builtin", network), workers=workers))
        with Catalog.open(folder) as catalog:
            rows = catalog.connection.execute(
                "SELECT m.id, v.encoder, v.vector FROM vectors v JOIN media m USING (media) ORDER BY 1, 2"
            )
            found.append(rows.fetchall())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("onnx:/no/such/file.onnx", "does not exist"),
        ("onnx:{tiny}", "does not say what it takes"),
        ("onnx:{tiny}?preset=imagnet", "did you mean 'imagenet'"),
        ("onnx:{tiny}?present=imagenet", "did you mean 'preset'"),
        ("onnx:{text}?preset=imagenet", "truncated or no ONNX file"),
        ("hf:just-a-name.onnx", "expected hf:<owner>/<repository>/<file.onnx>"),
        ("tim:resnet50", "unknown encoder"),
    ],
)
def test_what_is_no_network_is_told_plainly(tmp_path: Path, name: str, told: str) -> None:
    """One sentence with the next step."""
    write_network(tmp_path / "tiny.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    name = name.format(tiny=tmp_path / "tiny.onnx", text=tmp_path / "text.onnx")
    with pytest.raises((InputError, UnknownNameError), match=told):
        card_of(encoder_names((name,))[0])


def test_converting_without_torch_says_what_to_install(tmp_path: Path) -> None:
    """Torch is needed once; the everyday install has none."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from index.encoders import card_of\nfrom index.errors import MissingExtraError\n"
        "try: card_of('timm:resnet18?untrained')\nexcept MissingExtraError as e: print(e)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"SIMKIN_CACHE": str(tmp_path), "PATH": ""}
    )
    assert "pip install 'simkin[torch]'" in done.stdout, done.stderr


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A model hub on loopback that has one repository with one file; yields the requests it got."""
    content = write_network(tmp_path / "served.onnx").read_bytes()
    asked: list[str] = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(False)

        def do_GET(self) -> None:
            self.answer(True)

        def answer(self, whole: bool) -> None:
            asked.append(f"{self.command} {self.path}")
            known = self.path == "/owner/repo/resolve/main/tiny.onnx"
            self.send_response(200 if known else 404)
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("ETag", '"etag"')
            if not known:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", str(len(content) if known else 0))
            self.end_headers()
            if whole and known:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("SIMKIN_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        for name in (
            "huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE",
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        ):
            monkeypatch.setattr(
                name,
                f"http://127.0.0.1:{server.server_port}" + "/{repo_id}/resolve/{revision}/{filename}",
                raising=False,
            )
        yield asked
        server.shutdown()


def test_a_file_of_the_hub_is_downloaded_once(mirror: list[str]) -> None:
    """A mirror on loopback serves it; the second time nothing is fetched."""
    name = "hf:owner/repo/tiny.onnx?preset=imagenet"
    assert card_of(name).dim == DIM
    assert "GET /owner/repo/resolve/main/tiny.onnx" in mirror
    fetched = sum(request.startswith("GET") for request in mirror)
    assert card_of(name).dim == DIM
    assert sum(request.startswith("GET") for request in mirror) == fetched


def test_a_file_that_cannot_be_downloaded_is_taken_when_laid_by_hand(mirror: list[str], tmp_path: Path) -> None:
    """The error names the file to fetch elsewhere, and the place; laid there it is used."""
    name = "hf:owner/repo/other.onnx?preset=imagenet"
    with pytest.raises(InputError, match="elsewhere and put it at") as told:
        card_of(name)
    place = Path(str(told.value).rpartition("put it at ")[2])
    place.parent.mkdir(parents=True)
    write_network(place)
    assert card_of(name).dim == DIM


def test_the_card_travels_in_a_sidecar(tmp_path: Path) -> None:
    """A file from elsewhere is a complete encoder with JSON beside it."""
    path = write_network(tmp_path / "tiny.onnx")
    (tmp_path / "tiny.onnx.json").write_text(json.dumps({"preset": "clip"}))
    encoder = load_encoder(f"onnx:{path}")
    assert encoder.card.facets[0].name == "content:tiny"
    vector = encoder.describe(paint(tmp_path / "p", 1) / "00.png")
    assert vector.shape == (DIM,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
