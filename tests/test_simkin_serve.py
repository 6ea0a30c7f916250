"""``simkin serve`` as a process, and a catalog that changes, goes and comes back under a server."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
import uvicorn

from index.catalog import Catalog
from index.engine.build import build
from simkin.server import worker
from simkin.server.settings import Settings


@pytest.fixture
def made(make_catalog):
    """Three hundred items, built."""
    made = make_catalog()
    made.fill(300)
    made.build()
    return made


class Process:
    """A server process and where it listens."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "simkin", "serve", "--port", "0", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        self.address = next((word for word in self.said.split() if word.startswith("http://")), "")

    def end(self, number: int = signal.SIGINT) -> tuple[int, float, str]:
        """Interrupt it: exit status, seconds that took, what it wrote on stderr."""
        started = time.monotonic()
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=20)
        return self.process.returncode, time.monotonic() - started, err


@pytest.fixture
def start() -> Iterator[object]:
    """Start server processes that end with the test."""
    started: list[Process] = []

    def begin(*arguments: object) -> Process:
        started.append(Process(*arguments))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGTERM)
        for stream in (one.process.stdout, one.process.stderr):
            assert stream is not None
            stream.close()


def test_serve_says_where_and_ends_when_interrupted(made, start):
    """The address is real; Ctrl-C is no error."""
    server = start("--catalog", made.folder)
    assert httpx2.get(f"{server.address}/health", timeout=60).json()["status"] == "ok"
    status, _, err = server.end()
    assert (status, err) == (0, "")


def test_serve_warns_where_others_could_look(made, start, run_simkin):
    """On every address without a key; and refuses to write without one, or to serve nothing."""
    server = start("--catalog", made.folder, "--host", "0.0.0.0")
    assert httpx2.get(server.address.replace("0.0.0.0", "127.0.0.1") + "/health", timeout=60).status_code == 200
    assert "warning" in server.end()[2]
    assert run_simkin("serve", "--catalog", made.folder, "--write").returncode == 2
    nothing = run_simkin("serve", "--catalog", made.folder / "nothing")
    assert (nothing.returncode, nothing.stderr.count("\n")) == (1, 1)
    busy = run_simkin("serve", "--catalog", made.folder, "--port", "1", "--host", "203.0.113.1")
    assert (busy.returncode, busy.stderr.count("\n")) == (1, 1)


@pytest.mark.slow
def test_silent_and_trickling_connections_are_closed(made, start):
    """So that whoever opens thousands does not have them all."""
    server = start("--catalog", made.folder)
    httpx2.get(f"{server.address}/health", timeout=60)
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as silent, socket.create_connection((host, int(port))) as slow:
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: ")
        for connection in (silent, slow):
            connection.settimeout(30)
            assert not _received(connection)
    assert httpx2.get(f"{server.address}/health", timeout=60).status_code == 200


@pytest.mark.slow
def test_several_workers_count_together_and_are_replaced(made, start):
    """Whichever is asked, /metrics tells of all; one that is killed comes back; all end together."""
    server = start("--catalog", made.folder, "--workers", 2)
    with httpx2.Client(base_url=server.address, timeout=60) as api:
        for _ in range(20):
            assert httpx2.get(f"{server.address}/api/relations", timeout=60).status_code == 200
        line = 'simkin_requests_total{method="GET",route="/api/relations",status="200"} 20.0'
        assert line in api.get("/metrics").text
    children = _children(server.process.pid)
    assert len(children) == 2
    os.kill(children[0], signal.SIGKILL)
    _until(lambda: len(set(_children(server.process.pid)) - {children[0]}) == 2)
    assert httpx2.get(f"{server.address}/health", timeout=60).status_code == 200
    left = _children(server.process.pid)
    assert server.end()[0] == 0
    assert not [pid for pid in left if Path(f"/proc/{pid}").exists()]


@pytest.mark.slow
def test_workers_share_connections_that_come_together(made, start):
    """Sixteen clients, as of a load balancer: no process sits idle."""
    server = start("--catalog", made.folder, "--workers", 2)
    _until(lambda: len(_children(server.process.pid)) == 2)
    children = _children(server.process.pid)

    def taken() -> list[int]:
        before = [_sockets(child) for child in children]
        clients = [http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=60) for _ in range(16)]
        for client in clients:
            client.connect()
        for client in clients:
            client.request("GET", "/api/relations")
            assert client.getresponse().read()
        after = [_sockets(child) for child in children]
        for client in clients:
            client.close()
        time.sleep(0.5)  # until they are gone there, too
        return [now - then for now, then in zip(after, before, strict=True)]

    _until(lambda: min(taken()) > 0)  # both have started
    _until(lambda: sum(min(taken()) for _ in range(6)) >= 36)  # of 48; where each takes all that wait, less than 20


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(made, start):
    """Nobody is left listening."""
    server = start("--catalog", made.folder, "--workers", 2)
    httpx2.get(f"{server.address}/health", timeout=60)
    children = _children(server.process.pid)
    server.process.kill()
    server.process.wait()
    _until(lambda: not [pid for pid in children if Path(f"/proc/{pid}").exists()])


def test_new_generations_are_taken_up_without_a_failed_request(made, serve):
    """While items come and generations are built, every question is answered."""
    api = serve(Settings(made.folder))
    failures: list[str] = []
    generations: set[int] = set()
    ended = threading.Event()

    def ask() -> None:
        with httpx2.Client(base_url=api.base_url, timeout=30) as client:
            while not ended.is_set():
                response = client.get("/api/recommend", params={"id": "item-0-00007"})
                if response.status_code != 200:
                    failures.append(response.text)
                else:
                    generations.add(response.json()["generation"])

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        _until(lambda: bool(failures) or 1 in generations)
        for number in range(5):
            vectors, _ = made.points(20, seed=50 + number)
            made.add([f"new-{number}-{row}" for row in range(20)], vectors, ["kind-00"] * 20)
            last = made.build()
            assert api.get("/api/info").json()["items"] == 300 + 20 * (number + 1)
    finally:
        _until(lambda: bool(failures) or last in generations)
        ended.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert {1, last} <= generations


def test_health_tells_of_a_catalog_that_is_gone_and_of_its_return(made, serve, make_catalog):
    """Deleted, put back, replaced by another."""
    api = serve(Settings(made.folder))
    assert api.get("/health").status_code == 200
    made.catalog.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    away = made.folder.with_name("away.simkin")
    shutil.copytree(made.folder, away)
    shutil.rmtree(made.folder)
    told = api.get("/health")
    assert told.status_code == 503
    assert "holds no catalog" in told.json()["error"]["message"]
    assert str(made.folder) not in told.text
    assert api.get("/api/recommend", params={"id": "item-0-00007"}).status_code == 503
    assert api.get("/api/items").status_code == 503
    assert "simkin_catalog_up 0.0" in api.get("/metrics").text
    shutil.copytree(away, made.folder)
    assert api.get("/health").status_code == 200
    assert api.get("/api/items").json()["total"] == 300
    other = make_catalog()
    other.fill(40, seed=3)
    other.build()
    other.catalog.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.rmtree(made.folder)
    shutil.copytree(other.folder, made.folder)
    assert api.get("/api/items").json()["total"] == 40
    assert api.get("/api/recommend", params={"id": "item-3-00007"}).status_code == 200
    assert api.get("/api/recommend", params={"id": "item-0-00007"}).status_code == 404


def test_health_tells_of_damage_and_of_repair(made, serve):
    """A generation's file, and the database itself."""
    api = serve(Settings(made.folder))
    assert api.get("/health").status_code == 200
    rows = next((made.folder / "generations").rglob("vectors.f32"))
    content = rows.read_bytes()
    rows.write_bytes(content[:1000] + bytes(100) + content[1100:])
    told = api.get("/health")
    assert (told.status_code, told.json()["error"]["type"]) == (503, "StaleIndexError")
    with Catalog.open(made.folder) as catalog, catalog.writing():
        build(catalog, 0.99)
    assert api.get("/health").status_code == 200
    made.catalog.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database = made.folder / "catalog.db"
    good = database.read_bytes()
    for name in ("catalog.db-wal", "catalog.db-shm"):
        (made.folder / name).unlink(missing_ok=True)
    database.write_bytes(b"nothing" * 1000)
    told = api.get("/health")
    assert told.status_code == 503, told.text
    assert "damaged" in told.json()["error"]["message"]
    database.write_bytes(good)
    _until(lambda: api.get("/health").status_code == 200)


def test_a_catalog_that_was_not_built_yet_is_told(tmp_path, serve):
    """And answers as soon as it is."""
    Catalog.create(tmp_path / "new.simkin").close()
    api = serve(Settings(tmp_path / "new.simkin"))
    told = api.get("/health")
    assert (told.status_code, told.json()["error"]["type"]) == (503, "NotBuiltError")
    assert api.get("/api/items").json()["total"] == 0
    info = api.get("/api/info").json()
    assert (info["items"], info["generation"]) == (0, 0)
    assert info["state"] == "new.simkin holds no items yet; fill it with: simkin index SOURCE --catalog new.simkin"
    assert not any(relation["modalities"] for relation in api.get("/api/relations").json())


def test_items_that_nothing_is_built_of_yet_are_listed_with_what_to_run(make_catalog, serve):
    """Questions are refused until then."""
    made = make_catalog()
    made.fill(40)
    api = serve(Settings(made.folder))
    info = api.get("/api/info").json()
    assert (info["items"], info["generation"], info["categories"] != []) == (40, 0, True)
    assert info["state"].endswith(f"build one with: simkin index --rebuild --catalog {made.folder.name}")
    assert str(made.folder) not in info["state"]
    assert not any(relation["modalities"] for relation in api.get("/api/relations").json())
    assert api.get("/api/recommend", params={"id": "item-0-00007"}).status_code == 503
    made.build()
    info = api.get("/api/info").json()
    assert (info["generation"], info["state"]) == (1, "current")
    assert any(relation["modalities"] for relation in api.get("/api/relations").json())


def test_too_many_questions_are_sent_away_for_a_moment(made, serve):
    """A line of bounded length; who waits is answered."""
    api = serve(Settings(made.folder, threads=1, waiting=2))
    found: list[int] = []

    def ask() -> None:
        response = httpx2.get(f"{api.base_url}/api/recommend?id=item-0-00007&k=300&diversity=1", timeout=60)
        found.append(response.status_code)
        assert response.status_code == 200 or response.headers["retry-after"] == "1"

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {200, 503}
    assert api.get("/health").status_code == 200


def test_a_process_that_takes_no_more_connections_ends(monkeypatch, caplog):
    """It makes room for one that does, instead of sitting there deaf."""

    async def failing(*_: object, **__: object) -> None:
        raise RuntimeError("no more")

    async def application(scope: object, receive: object, send: object) -> None:
        raise AssertionError("nothing was asked")

    monkeypatch.setattr(worker, "accept", failing)
    server = worker._Server(uvicorn.Config(application, lifespan="off"), shared=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.run(sockets=[listener])
    assert server.failed
    assert "no more connections can be taken" in caplog.text


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(100)
    except ConnectionResetError:
        return b""


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


def _sockets(pid: int) -> int:
    kinds = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            kinds.append(str(link.readlink()))
    return sum(kind.startswith("socket:") for kind in kinds)


def _until(true) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)
