"""The compiled loops: the same as NumPy says, and no memory but the arrays' own is read or written."""

import importlib.machinery
import importlib.util
import shutil
import subprocess
import sysconfig
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.engine import kernel
from index.engine.coarse import abreast, in_steps, scales_of

RNG = np.random.default_rng(4)


def laid_out(rows: int, dim: int, width: int, cells: int) -> dict[str, Any]:
    """Arrays of a made-up layout: cells of unequal sizes, some of them empty."""
    vectors = RNG.normal(size=(rows, dim)).astype(np.float32)
    reduced = vectors[:, :width]
    scales = scales_of(np.abs(reduced).max(axis=0))
    layout = RNG.permutation(rows).astype(np.int32)
    cuts = np.sort(RNG.integers(0, rows + 1, cells - 1))
    return {
        "scales": scales,
        "starts": np.concatenate([[0], cuts, [rows]]).astype(np.int64),
        "layout": layout,
        "reduced": in_steps(reduced[layout], scales),
        "vectors": vectors,
    }


def look(made: dict[str, Any], of: Any = kernel, **changed: Any) -> list[tuple[int, float]]:
    """Ask a kernel about row 7, with some arguments changed."""
    query = made["vectors"][7]
    arguments = {
        "point": query[: len(made["scales"])] * made["scales"],
        "weighted": query,
        "cells": np.arange(len(made["starts"]) - 1),
        "starts": made["starts"],
        "reduced": abreast(made["reduced"]),
        "biases": None,
        "layout": made["layout"],
        "vectors": made["vectors"],
        "passing": None,
        "excluded": np.zeros(0, np.int64),
        "rows": np.empty(10, np.int64),
        "scores": np.empty(10, np.float32),
        "candidates": len(made["vectors"]),
        "file": -1,
    }
    arguments.update(changed)
    written = of.look(*arguments.values())
    return list(zip(arguments["rows"][:written].tolist(), arguments["scores"][:written].tolist(), strict=True))


@pytest.mark.parametrize("width", [3, 16, 37])
def test_with_every_row_proposed_the_closest_are_found(width: int) -> None:
    """In their order, equals by row, whatever the dimensions."""
    made = laid_out(500, 45, width, 12)
    made["vectors"][[3, 90, 400]] = made["vectors"][7]
    found = look(made)
    products = made["vectors"] @ made["vectors"][7]
    assert [row for row, _ in found] == np.lexsort((np.arange(500), -products.round(3)))[:10].tolist()
    assert [row for row, _ in found[:4]] == [3, 7, 90, 400]
    assert [score for _, score in found] == pytest.approx(products[[row for row, _ in found]], rel=1e-5)


def test_the_reduced_copy_proposes() -> None:
    """Those of few candidates are the ones that the steps say, biases among them."""
    made = laid_out(300, 20, 8, 5)
    biases = RNG.normal(size=300).astype(np.float32)
    steps = made["reduced"].astype(np.float32) @ (made["vectors"][7][:8] * made["scales"]) + biases
    proposed = set(made["layout"][np.argsort(-steps)[:25]].tolist())
    found = look(made, biases=biases, candidates=25, rows=np.empty(300, np.int64), scores=np.empty(300, np.float32))
    assert {row for row, _ in found} == proposed


@pytest.mark.parametrize("candidates", [1, 20, 64, 65, 299])
def test_many_candidates_are_chosen_as_few_are(candidates: int) -> None:
    """Both ways of choosing."""
    made = laid_out(300, 16, 16, 7)
    found = look(made, candidates=candidates, rows=np.empty(300, np.int64), scores=np.empty(300, np.float32))
    steps = made["reduced"].astype(np.float32) @ (made["vectors"][7] * made["scales"])
    assert {row for row, _ in found} == set(made["layout"][np.argsort(-steps)[:candidates]].tolist())
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)


def test_only_who_may_answers() -> None:
    """Rows outside of the cells, those that fail and those excluded are left out."""
    made = laid_out(200, 16, 16, 6)
    passing = RNG.random(200) < 0.5
    cells = np.asarray([1, 4], np.int64)
    found = look(made, cells=cells, passing=passing, excluded=np.asarray([7, 11]), rows=np.empty(200, np.int64),
                 scores=np.empty(200, np.float32))  # fmt: skip
    places = np.concatenate([np.arange(made["starts"][cell], made["starts"][cell + 1]) for cell in cells])
    wanted = set(made["layout"][places[passing[places]]].tolist()) - {7, 11}
    assert {row for row, _ in found} == wanted


def test_the_nearest_cells_of_some_ranges() -> None:
    """The closest first, and no more than there are."""
    centres = RNG.normal(size=(90, 24)).astype(np.float32)
    scales = scales_of(np.abs(centres).max(axis=0))
    halves = (np.square(centres).sum(axis=1) / 2).astype(np.float32)
    point = centres[50] * scales
    steps = in_steps(centres, scales)
    closeness = steps.astype(np.float32) @ point - halves
    ranges = np.asarray([(10, 40), (45, 80)], np.int64)
    allowed = np.concatenate([np.arange(10, 40), np.arange(45, 80)])
    for wanted in (1, 5, 64, 65, 100):
        cells = np.empty(wanted, np.int64)
        written = kernel.nearest(point, abreast(steps), -halves, ranges, None, None, None, cells, 0)
        best = allowed[np.argsort(-closeness[allowed])[:wanted]]
        assert cells[:written].tolist() == best.tolist()


def test_the_nearest_of_very_many_and_of_equals() -> None:
    """Most are not looked at twice; of those that score the same the first are taken."""
    centres = np.round(RNG.normal(size=(5001, 6))).astype(np.float32)
    steps, biases = centres.astype(np.int8), -(np.square(centres).sum(axis=1) / 2).astype(np.float32)
    point = np.asarray([1, -1, 0, 1, 0, 1], np.float32)  # in steps without rounding
    closeness = steps.astype(np.float32) @ point + biases
    for start, stop in ((0, 5001), (3, 4999), (4090, 4093)):
        for wanted in (1, 40, 70, 3000):
            cells = np.empty(wanted, np.int64)
            ranges = np.asarray([(start, stop)], np.int64)
            written = kernel.nearest(point, abreast(steps), biases, ranges, None, None, None, cells, 0)
            best = np.lexsort((np.arange(start, stop), -closeness[start:stop].round(2)))[:wanted] + start
            assert cells[:written].tolist() == best.tolist()


@pytest.mark.parametrize("ranges", [[(0, 700)], [(100, 400)], [(0, 130), (333, 700)], [(50, 51)], [(5, 5)]])
@pytest.mark.parametrize("most", [1, 4, 100])
def test_the_nearest_cells_in_the_nearest_groups(ranges: list[tuple[int, int]], most: int) -> None:
    """Of the groups that begin in the ranges; of all cells there, where these are no more groups than may be."""
    centres = RNG.normal(size=(700, 10)).astype(np.float32)
    groups = np.asarray([0, *np.sort(RNG.choice(np.arange(1, 700), 30, replace=False)), 700], np.int64)
    middles = np.stack([centres[a:b].mean(axis=0) for a, b in pairwise(groups.tolist())])
    scales = scales_of(np.abs(centres).max(axis=0))
    point = centres[123] * scales
    within = [at for start, stop in ranges for at in np.flatnonzero((groups[:-1] >= start) & (groups[:-1] < stop))]
    looked = [(start, stop) for start, stop in ranges]
    laid, biases = abreast(in_steps(middles, scales)), -(np.square(middles).sum(axis=1) / 2)
    if len(within) > most:
        closeness = in_steps(middles, scales).astype(np.float32) @ point + biases
        best = sorted(within, key=lambda at: -closeness[at])[:most]
        looked = [(int(groups[at]), int(groups[at + 1])) for at in best]
    halves = (np.square(centres).sum(axis=1) / 2).astype(np.float32)
    found, expected = np.empty(40, np.int64), np.empty(40, np.int64)
    asked = point, abreast(in_steps(centres, scales)), -halves
    count = kernel.nearest(*asked, np.asarray(ranges), laid, biases, groups, found, most)
    wanted = kernel.nearest(*asked, np.asarray(sorted(looked)), None, None, None, expected, 0)
    assert found[:count].tolist() == expected[:wanted].tolist()


def test_groups_that_do_not_fit_are_refused() -> None:
    """Damaged files among them."""
    centres = RNG.normal(size=(60, 8)).astype(np.float32)
    laid, biases = abreast(in_steps(centres, scales_of(np.abs(centres).max(axis=0)))), np.zeros(60, np.float32)
    asked = np.ones(8, np.float32), laid, biases, np.asarray([(0, 60)])
    cells, few = np.empty(5, np.int64), abreast(np.ones((3, 8), np.int8))
    for groups in ([0, 20, 40, 99], [0, 20, 40, 30]):
        with pytest.raises(IndexError):
            kernel.nearest(*asked, few, np.asarray([0, 0, 1], np.float32), np.asarray(groups), cells, 1)
    for wrong in (
        (None, np.zeros(3, np.float32), np.asarray([0, 20, 40, 60])),
        (few, None, np.asarray([0, 20, 40, 60])),
        (few, np.zeros(3, np.float32), None),
        (few, np.zeros(2, np.float32), np.asarray([0, 20, 40, 60])),
        (few, np.zeros(3, np.float32), np.asarray([0])),
    ):
        with pytest.raises(ValueError, match="do not fit"):
            kernel.nearest(*asked, *wrong, cells, 2)
    with pytest.raises(ValueError, match="do not fit"):
        kernel.nearest(*asked, None, None, None, cells, -1)


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a compiler")
def test_processors_without_the_instructions_find_the_same(tmp_path: Path) -> None:
    """The loops as they are compiled where there are no better ones."""
    built, source = tmp_path / "kernel.so", Path(__file__).parent.parent / "index/engine/kernel.c"
    words = ["cc", "-O2", "-w", "-shared", "-fPIC", "-DPLAIN", f"-I{sysconfig.get_path('include')}", str(source)]
    subprocess.run([*words, "-o", str(built), "-lm"], check=True)
    loader = importlib.machinery.ExtensionFileLoader("kernel", str(built))
    spec = importlib.util.spec_from_loader("kernel", loader)
    assert spec
    plain = importlib.util.module_from_spec(spec)
    loader.exec_module(plain)
    made = laid_out(900, 40, 37, 30)
    biases = RNG.normal(size=900).astype(np.float32)
    found = look(made, biases=biases, candidates=60)
    assert look(made, of=plain, biases=biases, candidates=60) == found


def test_texts_that_lie_one_after_another() -> None:
    """Any of them, in any order; none from elsewhere."""
    texts = ["eins", "", "zwei", "🎵"]
    content = np.frombuffer("".join(texts).encode(), np.uint8)
    ends = np.asarray([0, *np.cumsum([len(text.encode()) for text in texts])], np.int64)
    assert kernel.texts(content, ends, np.asarray([3, 0, 0, 1])) == ["🎵", "eins", "eins", ""]
    for numbers in ([4], [0, -1]):
        with pytest.raises(IndexError):
            kernel.texts(content, ends, np.asarray(numbers))
    for wrong in ([0, 5, 4, 8, 12], [0, 4, 4, 8, 13], [-1, 4, 4, 8, 12]):
        with pytest.raises(IndexError):
            kernel.texts(content, np.asarray(wrong), np.arange(4))
    with pytest.raises(UnicodeDecodeError):
        kernel.texts(content, np.asarray([0, 9]), np.asarray([0]))


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"cells": np.asarray([99])}, IndexError),
        ({"cells": np.asarray([-1])}, IndexError),
        ({"starts": np.asarray([0, 900, 200], np.int64), "cells": np.asarray([0])}, IndexError),
        ({"starts": np.asarray([5, 0], np.int64), "cells": np.asarray([0])}, IndexError),
        ({"layout": np.full(200, 200, np.int32)}, IndexError),
        ({"layout": np.full(200, -1, np.int32)}, IndexError),
        ({"layout": np.zeros(199, np.int32)}, ValueError),
        ({"biases": np.zeros(3, np.float32)}, ValueError),
        ({"passing": np.zeros(3, bool)}, ValueError),
        ({"point": np.zeros(5, np.float32)}, ValueError),
        ({"weighted": np.zeros(5, np.float32)}, ValueError),
        ({"scores": np.zeros(5, np.float32)}, ValueError),
        ({"candidates": 0}, ValueError),
        ({"weighted": np.zeros(16, np.float64)}, TypeError),
        ({"cells": np.zeros(2, np.int32)}, TypeError),
        ({"vectors": np.zeros((200, 32), np.float32)[:, ::2]}, (ValueError, BufferError)),
        ({"candidates": "many"}, TypeError),
    ],
    ids=str,
)
def test_arrays_that_do_not_fit_are_refused(changed: dict[str, Any], error: Any) -> None:
    """Damaged files among them: an error, never memory of somebody else's."""
    made = laid_out(200, 16, 16, 6)
    with pytest.raises(error):
        look(made, **changed)


def test_numbers_that_are_none_harm_nothing() -> None:
    """NaN, infinities and a question of zeros: whatever comes, it ends, with rows that exist."""
    made = laid_out(400, 16, 16, 6)
    made["vectors"][::3] = np.nan
    for query in (np.full(16, np.nan, np.float32), np.full(16, np.inf, np.float32), np.zeros(16, np.float32)):
        found = look(made, weighted=query, point=query, candidates=100)
        assert len(found) == 10
        assert all(0 <= row < 400 for row, _ in found)


def test_long_looks_let_other_threads_run() -> None:
    """Half a million numbers and more are read without the interpreter's lock, by several at once."""
    made = laid_out(40_000, 16, 16, 30)
    expected = look(made, candidates=50)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(look(made, candidates=50))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_pairs_that_are_alike_in_every_part() -> None:
    """The later of the two from some row on; absent parts are like nothing."""
    rows = RNG.normal(size=(60, 40)).astype(np.float32)
    rows[30:] = rows[:30] + 0.3 * RNG.normal(size=(30, 40)).astype(np.float32)
    rows[5, 7:19] = 0
    bounds = np.asarray([0, 7, 19, 40], np.int64)
    expected = np.ones((60, 60), bool)
    least = np.asarray([1.5, 2.5, 3.5], np.float32)
    for start, stop, reached in zip((0, 7, 19), (7, 19, 40), least, strict=True):
        expected &= rows[:, start:stop] @ rows[:, start:stop].T >= reached
    expected = np.triu(expected, 1)
    for first in (0, 1, 33, 60):
        found = np.zeros((60, 60), bool)
        expected[:, :first] = False
        assert kernel.alike(rows, bounds, least, found, first) == expected.sum()
        assert (found == expected).all()


@pytest.mark.parametrize("bounds", [[0, 41], [-1, 5], [5, 3], []])
def test_bounds_outside_of_rows_are_refused(bounds: list[int]) -> None:
    """Nothing beyond a row is read."""
    least = np.zeros(max(len(bounds) - 1, 0), np.float32)
    with pytest.raises((IndexError, ValueError)):
        kernel.alike(np.zeros((3, 40), np.float32), np.asarray(bounds, np.int64), least, np.zeros((3, 3), bool), 0)


def test_pairs_that_agree_in_every_part() -> None:
    """Only those that were asked about are kept; sizes do not matter, the smallest of half precision among them."""
    rows = RNG.normal(size=(40, 40)).astype(np.float32)
    rows[20:] = 0.001 * (rows[:20] + 0.4 * RNG.normal(size=(20, 40)))
    rows[3, 7:19] = 0
    rows[4, :7] *= 2e-5  # below 6e-5 numbers of half precision are no longer normal
    halves = rows.astype(np.float16)
    asked = RNG.random((40, 40)) < 0.7
    least, expected = np.asarray([0.5, 0.6, 0.7], np.float32), asked.copy()
    for start, stop, reached in zip((0, 7, 19), (7, 19, 40), least, strict=True):
        part = halves[:, start:stop].astype(np.float64)
        lengths = np.linalg.norm(part, axis=1)
        lengths[lengths == 0] = np.inf
        expected &= (part / lengths[:, None]) @ (part / lengths[:, None]).T >= reached
    kernel.agreed(halves, np.asarray([0, 7, 19, 40], np.int64), least, asked)
    assert (asked == expected).all()
    assert 20 < expected.sum() < 100
