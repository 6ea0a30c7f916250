"""Rows of files: the same whether they are mapped or read one by one, and trouble is told."""

import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from index.engine import kernel
from index.engine.stored import StoredRows
from index.errors import StaleIndexError, StorageError
from index.memory import usable_memory

RNG = np.random.default_rng(8)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small files are, their rows are read one by one."""
    monkeypatch.setattr("index.engine.stored._most_mapped", lambda: 0)


def written(folder: Path, dtype: str = "<f4", count: int = 5000, width: int = 37) -> np.ndarray:
    rows = RNG.normal(size=(count, width)).astype(dtype)
    (folder / "rows").write_bytes(rows.tobytes())
    return rows


@pytest.mark.parametrize("dtype", ["<f4", "<f2"])
@pytest.mark.parametrize("forgotten", [False, True])
def test_rows_are_those_of_the_file(tmp_path: Path, read: None, dtype: str, forgotten: bool) -> None:
    """In any order, repeated, none at all; also those that the disk has to be asked for."""
    rows = written(tmp_path, dtype)
    stored = StoredRows(tmp_path / "rows", dtype, rows.shape)
    assert stored.file >= 0
    for some in (np.asarray([4999, 0, 17, 17]), np.zeros(0, np.int64), RNG.integers(0, 5000, 3000)[::2]):
        if forgotten:
            os.fsync(stored.file)
            os.posix_fadvise(stored.file, 0, 0, os.POSIX_FADV_DONTNEED)
        assert np.array_equal(stored.at(some), rows[some])
    assert np.array_equal(stored.everything, rows)


def test_rows_of_small_files_are_mapped(tmp_path: Path) -> None:
    """Which is quickest."""
    rows = written(tmp_path)
    stored = StoredRows(tmp_path / "rows", "<f4", rows.shape)
    assert stored.file == -1
    assert np.array_equal(stored.at(np.asarray([3, 1])), rows[[3, 1]])


def test_a_file_that_ends_too_early_is_trouble(tmp_path: Path, read: None) -> None:
    """Not the end of the process."""
    rows = written(tmp_path)
    stored = StoredRows(tmp_path / "rows", "<f4", rows.shape)
    stored.at(np.asarray([4000]))
    os.truncate(tmp_path / "rows", 37 * 4 * 3000 + 5)
    assert np.array_equal(stored.at(np.asarray([2999])), rows[[2999]])
    for row in (3000, 4000):
        with pytest.raises(StorageError, match="rebuild with: simkin index"):
            stored.at(np.asarray([7, row]))


def test_a_file_that_is_gone_is_told(tmp_path: Path, read: None) -> None:
    """As for every file of a generation."""
    with pytest.raises(StaleIndexError, match="rebuild with: simkin index"):
        StoredRows(tmp_path / "rows", "<f4", (3, 4)).at(np.asarray([0]))


def test_files_are_closed_with_their_last_reader(tmp_path: Path, read: None) -> None:
    """Generations come and go while a server runs."""
    rows = written(tmp_path)

    def opened() -> int:
        links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        return sum(link.is_symlink() and os.path.realpath(link) == str(tmp_path / "rows") for link in links)

    several = [StoredRows(tmp_path / "rows", "<f4", rows.shape) for _ in range(5)]
    for stored in several:
        stored.at(np.asarray([1]))
    assert opened() == 5
    del several, stored
    gc.collect()
    assert opened() == 0


def test_several_threads_read_one_file(tmp_path: Path, read: None) -> None:
    """None moves the other's place."""
    rows = written(tmp_path)
    stored = StoredRows(tmp_path / "rows", "<f4", rows.shape)
    wrong: list[int] = []

    def ask(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(50):
            some = rng.integers(0, 5000, 40)
            if not np.array_equal(stored.at(some), rows[some]):
                wrong.append(seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_cannot_be_gathered_is_refused(tmp_path: Path) -> None:
    """Never memory of somebody else's."""
    written(tmp_path)
    with (tmp_path / "rows").open("rb") as file:
        with pytest.raises(IndexError):
            kernel.gather(np.asarray([-1]), np.empty((1, 8), np.uint8), file.fileno())
        with pytest.raises(ValueError, match="as many rows"):
            kernel.gather(np.asarray([1, 2]), np.empty((1, 8), np.uint8), file.fileno())
        with pytest.raises(ValueError, match="as many rows"):
            kernel.gather(np.asarray([1]), np.empty((1, 8), np.uint8), -1)
    with pytest.raises(OSError, match="descriptor"):
        kernel.gather(np.asarray([1]), np.empty((1, 8), np.uint8), 10_000)


@pytest.mark.parametrize(
    ("lines", "limits", "least"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "5000000\n"}, 5_000_000),
        ("0::/\n", {"memory.max": "7000000\n"}, 7_000_000),
        ("4:cpu,memory:/x\n3:pids:/\n0::/\n", {"memory/x/memory.limit_in_bytes": "6000000\n"}, 6_000_000),
        ("4:memory:/gone\n", {"memory/memory.limit_in_bytes": "8000000\n"}, 8_000_000),
        ("0::/../../b\n", {"memory.max": "max\n"}, None),
        ("3:pids:/x\n", {"pids/x/memory.max": "9000000\n"}, None),
    ],
)
def test_limits_of_control_groups_count(tmp_path: Path, lines: str, limits: dict[str, str], least: int | None) -> None:
    """Those of groups above, of both kinds, and no others."""
    (tmp_path / "own").write_text(lines)
    for name, limit in limits.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(limit)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert usable_memory(tmp_path / "own", tmp_path / "groups") == (least or machine)
    assert usable_memory(tmp_path / "nowhere", tmp_path / "groups") == machine
