"""What a job may be given: tars, tables of addresses, URLs, and what is refused."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pyarrow.parquet
import pytest

import index.embedding.local
from index.embedding import http as fetching
from index.embedding.job import EmbedOptions, EmbedReport, embed
from index.embedding.sources import Access
from index.embedding.tars import key_of, scan_tar
from index.errors import InputError, MediaError

Run = Callable[..., EmbedReport]


@pytest.fixture
def run(run_index: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Embed in this process: ``run(out, *sources, **EmbedOptions)``."""
    monkeypatch.setattr(index.embedding.local, "describe_all", run_index.describe_all)
    return lambda out, *sources, **options: embed(list(sources), out, EmbedOptions(**options))


def rows_of(out: Path, encoder: str = "builtin-image") -> dict[str, dict[str, Any]]:
    """Each row by id."""
    table = pyarrow.concat_tables(map(pyarrow.parquet.read_table, sorted((out / encoder).glob("shard-*.parquet"))))
    return {row["id"]: row for row in table.to_pylist()}


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    """Write a tar of these files, in this order."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


# ---- Tars --------------------------------------------------------------------------------------------


def test_a_tar_gives_the_vectors_of_its_files(
    run: Run, pictures: Callable[..., list[Path]], song: Callable[..., Path], tmp_path: Path
) -> None:
    """Webdataset naming: a key's media are one item, its json and txt attributes; nothing is left behind."""
    a, b, c = pictures(tmp_path / "photos", 3)
    sound = song(tmp_path / "s.wav", 1)
    tar = write_tar(
        tmp_path / "00000.tar",
        {
            "x/0001.jpg": a.read_bytes(), "x/0001.json": b'{"price": 3, "tags": ["a"]}', "x/0001.txt": b"a shoe\n",
            "0002.front.jpg": b.read_bytes(), "0002.back.jpg": c.read_bytes(), "0003.wav": sound.read_bytes(),
            "__meta__.json": b"{}", "0004.jpg": b"not a picture",
        },
    )  # fmt: skip
    report = run(tmp_path / "out", tar)
    assert (report.files, report.failed) == (5, 1)
    run(tmp_path / "plain", tmp_path / "photos")
    plain = rows_of(tmp_path / "plain")
    table = pyarrow.parquet.read_table(tmp_path / "out" / "builtin-image" / "shard-000000.parquet").to_pylist()
    assert [(row["id"], row["position"]) for row in table] == [("x/0001", 0), ("0002", 0), ("0002", 1), ("0004", 0)]
    assert [row["vector"] for row in table[:3]] == [plain[f"{n:03d}.jpg"]["vector"] for n in range(3)]
    assert json.loads(table[0]["attributes"]) == {"price": 3, "caption": "a shoe"}
    assert table[0]["path"] == f"{tar}/x/0001.jpg"
    assert rows_of(tmp_path / "out", "builtin-audio")["0003"]["status"] == "ok"
    assert not (tmp_path / "out" / ".spool").exists()


def test_keys_end_at_the_first_dot() -> None:
    """As webdataset cuts names."""
    assert key_of("a.b/0001.seg.PNG") == ("a.b/0001", "seg.png")
    assert key_of("./0001.jpg") == ("0001", "jpg")


def test_a_key_that_comes_again_is_a_failure(picture: Callable[..., Path], tmp_path: Path) -> None:
    """The first is kept."""
    content = picture(tmp_path / "a.jpg", 1).read_bytes()
    tar = write_tar(tmp_path / "t.tar", {"1.jpg": content, "2.jpg": content, "./1.png": content})
    with tar.open("rb") as file:
        members = list(scan_tar(file, "t.tar"))
    assert [member.item_id for member in members] == ["1", "2", "1"]
    assert [bool(member.problem) for member in members] == [False, False, True]


def test_a_tar_that_is_cut_off_gives_what_is_there(
    run: Run, pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    """What cannot be listed is told; what can is described."""
    paths = pictures(tmp_path / "photos", 3)
    tar = write_tar(tmp_path / "t.tar", {path.name: path.read_bytes() for path in paths})
    whole = tar.read_bytes()
    with tar.open("rb") as file:
        last = list(scan_tar(file, "t"))[-1]
    tar.write_bytes(whole[: last.offset + 10])
    report = run(tmp_path / "out", tar)
    assert report.files >= 2
    assert sum(row["status"] == "ok" for row in rows_of(tmp_path / "out").values()) == 2
    assert report.failed or report.unlisted


def test_a_tar_that_is_damaged_in_the_middle_is_told(
    run: Run, pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    """A header that cannot be read is not taken for the end."""
    paths = pictures(tmp_path / "photos", 5)
    tar = write_tar(tmp_path / "t.tar", {path.name: path.read_bytes() for path in paths})
    with tar.open("rb") as file:
        third = list(scan_tar(file, "t"))[2]
    content = bytearray(tar.read_bytes())
    content[third.offset - 512 : third.offset] = bytes(range(256)) * 2
    tar.write_bytes(content)
    report = run(tmp_path / "out", tar)
    assert (report.files, len(report.unlisted)) == (2, 1)
    assert "no header at byte" in report.unlisted[0]


def test_links_in_a_tar_are_failures(run: Run, picture: Callable[..., Path], tmp_path: Path) -> None:
    """They are not followed, and not passed over without a word."""
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        tar.add(picture(tmp_path / "a.jpg", 1), "a.jpg")
        for name, kind in (("b.jpg", tarfile.SYMTYPE), ("c.jpg", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a.jpg"
            tar.addfile(info)
    assert run(tmp_path / "out", tmp_path / "t.tar").failed == 2
    assert "links in a tar are not followed" in rows_of(tmp_path / "out")["b"]["error"]


@pytest.mark.parametrize("name", ["t.tar.gz", "t.tgz", "t.tar.zst"])
def test_packed_tars_are_refused(run: Run, tmp_path: Path, name: str) -> None:
    """Members of a compressed tar cannot be reached one by one."""
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="unpack it"):
        run(tmp_path / "out", tmp_path / name)


# ---- fsspec ------------------------------------------------------------------------------------------


@pytest.fixture
def memory() -> Iterator[Any]:
    """An empty ``memory://`` file system."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


def test_a_folder_behind_a_url(
    run: Run, run_index: Any, memory: Any, pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    """The same vectors as from disk; a changed file is described again, the others are not fetched."""
    paths = pictures(tmp_path / "photos", 3)
    for path in paths:
        memory.pipe(f"/shop/shoes/{path.name}", path.read_bytes())
    memory.pipe("/shop/.hidden.jpg", b"")
    memory.pipe("/shop/notes.txt", b"")
    assert run(tmp_path / "out", "memory://shop").files == 3
    run(tmp_path / "plain", tmp_path / "photos")
    found, plain = rows_of(tmp_path / "out"), rows_of(tmp_path / "plain")
    assert {name: row["vector"] for name, row in found.items()} == {
        f"shoes/{name}": row["vector"] for name, row in plain.items()
    }
    assert found["shoes/000.jpg"]["path"] == "memory:///shop/shoes/000.jpg"
    assert json.loads(found["shoes/000.jpg"]["attributes"]) == {"category": "shoes"}
    memory.pipe("/shop/shoes/001.jpg", paths[0].read_bytes())
    run_index.opened = []
    assert run(tmp_path / "out", "memory://shop").described == 1
    assert rows_of(tmp_path / "out")["shoes/001.jpg"]["vector"] == plain["000.jpg"]["vector"]


def test_tars_and_tables_behind_a_url(
    run: Run, memory: Any, pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    """Members are fetched by their bytes; a table's paths are relative to where it came from."""
    paths = pictures(tmp_path / "photos", 2)
    for number, path in enumerate(paths):
        tar = write_tar(tmp_path / "t.tar", {f"k{number}.jpg": path.read_bytes()})
        memory.pipe(f"/sets/{number}.tar", tar.read_bytes())
        memory.pipe(f"/shop/img/{path.name}", path.read_bytes())
    memory.pipe("/shop/items.csv", b"id,image\na,img/000.jpg\nb,img/001.jpg\nc,../out.jpg\nd,/etc/passwd\n")
    assert run(tmp_path / "tars", "memory://sets/*.tar").failed == 0
    assert sorted(rows_of(tmp_path / "tars")) == ["k0", "k1"]
    assert run(tmp_path / "table", "memory://shop/items.csv").failed == 2
    found = rows_of(tmp_path / "table")
    assert found["a"]["vector"] == rows_of(tmp_path / "tars")["k0"]["vector"]
    assert "climbs out" in found["c"]["error"]
    assert "local path in a table from elsewhere" in found["d"]["error"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("memory://nothing-here", "does not exist"),
        ("memory://none/*.tar", "matches no file"),
        ("nosuchscheme://x/y", "cannot be reached"),
        ("simplecache::memory://x", "chains file systems"),
        ("http://127.0.0.1:9/a.jpg", "--allow-http"),
    ],
)
def test_urls_that_lead_nowhere(run: Run, memory: Any, tmp_path: Path, url: str, told: str) -> None:
    """One sentence each."""
    with pytest.raises(InputError, match=told):
        run(tmp_path / "out", url)


def test_a_table_may_not_reach_around_its_folder_by_address(
    run: Run, picture: Callable[..., Path], tmp_path: Path
) -> None:
    """Neither file:// nor chains."""
    secret = picture(tmp_path / "secret.jpg", 1)
    table = tmp_path / "shop" / "items.csv"
    table.parent.mkdir()
    table.write_text(f"id,image\na,file://{secret}\nb,simplecache::file://{secret}\nc,local://{secret}\n")
    report = run(tmp_path / "out", table, access=Access(http=True))
    assert (report.files, report.failed) == (3, 3)
    assert all("no address that a table may name" in row["error"] for row in rows_of(tmp_path / "out").values())


# ---- HTTP --------------------------------------------------------------------------------------------


REDIRECTS = {
    "to-self": "/ok.jpg",
    "to-file": "file:///etc/passwd",
    "to-ftp": "ftp://127.0.0.1/a.jpg",
    "to-loop": "/to-loop.jpg",
}


class Server(http.server.BaseHTTPRequestHandler):
    """Serves pictures, and all kinds of trouble."""

    content = b""
    elsewhere = ""
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/secret-place/") and self.headers["Authorization"] != "Basic bWU6YSBi":
            self.send_error(401)
            return
        kind = self.path.partition("?")[0].rpartition("/")[2].partition(".")[0]
        if kind.startswith("to-"):
            self.send_response(302)
            self.send_header("Location", REDIRECTS.get(kind, self.elsewhere))
            self.end_headers()
        elif kind == "busy" and self.asked.count(self.path) < 2:
            self.send_error(503)
        elif kind == "gone":
            self.send_error(404)
        else:
            self.send_response(200)
            length = 10**12 if kind == "huge" else len(self.content) + 5 * (kind == "short")
            if kind == "packed":
                self.send_header("Content-Encoding", "gzip")
            if kind not in ("endless", "drip", "packed"):
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(gzip.compress(self.content) if kind == "packed" else self.content)
            for _ in range(100 * (kind == "drip")):
                try:
                    self.wfile.write(b".")
                    threading.Event().wait(0.1)  # the tests take time.sleep away
                except OSError:
                    return
            while kind == "endless":
                try:
                    self.wfile.write(bytes(1 << 16))
                except OSError:
                    return

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server(picture: Callable[..., Path], tmp_path: Path) -> Iterator[str]:
    """A server on 127.0.0.1; ``to-other`` leads to another one, on another port."""
    Server.content = picture(tmp_path / "served" / "a.jpg", 1).read_bytes()
    Server.asked = []
    opened = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) for _ in range(2)]
    for each in opened:
        each.daemon_threads = True
        threading.Thread(target=each.serve_forever, args=(0.01,), daemon=True).start()
    Server.elsewhere = f"http://127.0.0.1:{opened[1].server_port}/secret.jpg"
    yield f"http://127.0.0.1:{opened[0].server_port}"
    for each in opened:
        each.shutdown()
        each.server_close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between attempts, and little patience."""
    monkeypatch.setattr(fetching.time, "sleep", lambda _: None)
    monkeypatch.setattr(fetching, "SILENT_SECONDS", 1.0)


@pytest.mark.usefixtures("quick")
def test_addresses_in_a_table_are_fetched_when_allowed(run: Run, server: str, tmp_path: Path) -> None:
    """Failures are rows with a reason; the others are described as from disk."""
    names = ["ok", "busy", "to-self", "gone", "to-other", "to-file", "to-ftp", "short", "huge"]
    table = tmp_path / "items.csv"
    table.write_text("id,image\n" + "".join(f"{name},{server}/{name}.jpg?size=l\n" for name in names))
    assert run(tmp_path / "off", table).failed == len(names)
    assert Server.asked == []
    assert "--allow-http" in rows_of(tmp_path / "off")["ok"]["error"]
    assert run(tmp_path / "out", table, access=Access(http=True)).failed == 6
    found = rows_of(tmp_path / "out")
    run(tmp_path / "plain", tmp_path / "served")
    for name in ("ok", "busy", "to-self"):
        assert found[name]["vector"] == rows_of(tmp_path / "plain")["a.jpg"]["vector"]
    assert found["ok"]["path"] == f"{server}/ok.jpg?size=l"
    assert "404" in found["gone"]["error"]
    assert "private network" in found["to-other"]["error"]
    assert "not allowed" in found["to-file"]["error"]
    assert "no http address" in found["to-ftp"]["error"]
    assert "the connection ended" in found["short"]["error"]
    assert "more than" in found["huge"]["error"]
    assert "/secret.jpg" not in Server.asked
    assert run(tmp_path / "off", table, access=Access(http=True)).failed == 6  # allowed now: described without --retry


@pytest.mark.usefixtures("quick")
def test_limits_of_fetching(server: str, tmp_path: Path) -> None:
    """Bytes that were not announced, and seconds."""
    with pytest.raises(MediaError, match="more than the 1,000,000 bytes"):
        fetching.fetch(f"{server}/endless.jpg", tmp_path / "x", 1_000_000)
    with pytest.raises(MediaError, match="too long"):
        fetching.fetch(f"{server}/endless.jpg", tmp_path / "x", 1 << 40, seconds=0.3)
    with pytest.raises(MediaError, match="too long"):
        fetching.fetch(f"{server}/drip.jpg", tmp_path / "x", 1 << 40, seconds=0.5)
    with pytest.raises(MediaError, match="redirect"):
        fetching.fetch(f"{server}/to-loop.jpg", tmp_path / "x", 1000)
    with pytest.raises(MediaError, match="refused"):
        fetching.fetch("http://127.0.0.1:9/x.jpg", tmp_path / "x", 1000)


@pytest.mark.usefixtures("quick")
def test_addresses_as_people_write_them(server: str, tmp_path: Path) -> None:
    """Spaces and other scripts, a name and password, content that the server packed."""
    for place in ("a b/ä/ok.jpg", "packed.jpg", "secret-place/ok.jpg"):
        named = server.replace("://", "://me:a%20b@") if place.startswith("secret") else server
        fetching.fetch(f"{named}/{place}", tmp_path / "x", 1_000_000)
        assert (tmp_path / "x").read_bytes() == Server.content
    assert Server.asked[0] == "/a%20b/%C3%A4/ok.jpg"
    with pytest.raises(MediaError, match="401"):
        fetching.fetch(f"{server}/secret-place/ok.jpg", tmp_path / "x", 1_000_000)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False), ("::1", False),
        ("169.254.169.254", False), ("::ffff:192.168.0.1", False), ("fe80::1%eth0", False), ("0.0.0.0", False),
        ("100.64.0.1", False), ("224.0.0.1", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, public: bool) -> None:
    """Mapped and scoped forms too."""
    if public:
        fetching._check_public(address)
    else:
        with pytest.raises(fetching._RefusedError):
            fetching._check_public(address)


def test_an_unlistable_folder_is_told(
    run: Run, pictures: Callable[..., list[Path]], as_nobody: Callable[..., Any], tmp_path: Path
) -> None:
    """The rest is described, and the report names it."""
    pictures(tmp_path / "photos", 1)
    pictures(tmp_path / "photos" / "closed", 1)
    (tmp_path / "photos" / "closed").chmod(0)
    (tmp_path / "out").mkdir(mode=0o777)
    (tmp_path / "out").chmod(0o777)
    job = functools.partial(run, tmp_path / "out", tmp_path / "photos")
    report = as_nobody(tmp_path, job)
    (tmp_path / "photos" / "closed").chmod(0o755)
    assert report.files == 1
    assert [os.path.basename(told.partition(":")[0]) for told in report.unlisted] == ["closed"]
