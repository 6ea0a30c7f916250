"""Tables of behaviour data: what they hold, and what is left out of them."""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import InputError
from index.learning.edges import Edge, Event, Reading, read_events, read_pairs, table_kind

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(name: str, content: str) -> Path:
        path = tmp_path / name
        path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
        return path

    return to_file


def write_parquet(path: Path, columns: dict[str, list[Any]]) -> Path:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


EDGES = [Edge("a", "b", 2.5, "style", "ann"), Edge("b", "c", 1.0, "substitute", ""), Edge("ä,1", "b", 1.0, "", "")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.csv", 'source,target,weight,relation,user\na,b,2.5,style,ann\nb,c,,substitute,\n"ä,1",b,1,,\n'),
        (
            "e.csv",
            'User,Relation,Target,Source,Weight,note\r\nann,style,b,a,2.5,x\r\n,substitute,c,b\r\n,,b,"ä,1",1,\r\n',
        ),
        (
            "e.tsv",
            "\ufeffsource\ttarget\tweight\trelation\tuser\n a\tb \t2.5\tstyle\tann\nb\tc\t\tsubstitute\nä,1\tb\n",
        ),
        ("e.csv.gz", 'source,target,weight,relation,user\na,b,2.5,style,ann\n\nb,c,,substitute,\n"ä,1",b,1,,\n'),
        (
            "e.jsonl",
            '{"source": "a", "target": "b", "weight": 2.5, "relation": "style", "user": "ann"}\n\n'
            '{"source": "b", "target": "c", "relation": "substitute"}\n'
            '{"source": "ä,1", "target": "b", "user": null}\n',
        ),
    ],
)
def test_pairs_read_alike_from_each_kind_of_text(write: Write, name: str, content: str) -> None:
    """Columns go by name in any order and case; what is absent has its default."""
    path, reading = write(name, content), Reading()
    assert table_kind(path) == "pairs"
    assert list(read_pairs(path, reading)) == EDGES
    assert (reading.rows, reading.bad) == (3, 0)


def test_pairs_read_from_parquet(tmp_path: Path) -> None:
    """Numbers as ids become text; absent columns and nulls have their defaults."""
    path = write_parquet(tmp_path / "e.parquet", {"Source": [1, 2], "target": ["x", "y"], "weight": [0.5, None]})
    assert table_kind(path) == "pairs"
    assert list(read_pairs(path, Reading())) == [Edge("1", "x", 0.5), Edge("2", "y", 1.0)]


@pytest.fixture
def tokyo() -> Iterator[None]:
    """A clock that is nine hours ahead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_groups_are_baskets_without_time_and_sequences_with_it(write: Write) -> None:
    """Times are numbers or dates; dates without zone are UTC, wherever they are read."""
    baskets = write("b.csv", "group,item\ng,a\ng,b\n")
    assert table_kind(baskets) == "baskets"
    assert list(read_events(baskets, Reading())) == [Event("g", "a"), Event("g", "b")]
    timed = write("t.csv", "group,item,time\ng,a,12.5\ng,b,1970-01-02\ng,c,1970-01-01T01:00:00+01:00\n")
    assert table_kind(timed) == "sequences"
    assert [event.time for event in read_events(timed, Reading())] == [12.5, 86400.0, 0.0]


def test_times_of_parquet_may_be_dates(tmp_path: Path) -> None:
    """Both timestamps and plain dates sort as seconds."""
    import datetime

    moments = [datetime.datetime(1970, 1, 1, 0, 1), datetime.datetime(1970, 1, 1, 0, 2)]
    path = write_parquet(tmp_path / "t.pq", {"group": ["g", "g"], "item": [1, 2], "time": moments})
    assert list(read_events(path, Reading())) == [Event("g", "1", 60.0), Event("g", "2", 120.0)]
    days = [datetime.date(1970, 1, 1), datetime.date(1970, 1, 2)]
    path = write_parquet(tmp_path / "d.pq", {"group": ["g", "g"], "item": [1, 2], "time": days})
    assert [event.time for event in read_events(path, Reading())] == [0.0, 86400.0]


@pytest.mark.parametrize("weight", ["nan", "-1", "0", "inf", "heavy"])
def test_weights_that_are_no_weights_are_left_out(write: Write, weight: str) -> None:
    """The row is counted and told with its line; the others stay."""
    path, reading = write("e.csv", f"source,target,weight\na,b,1\nb,c,{weight}\nc,d,2\n"), Reading()
    assert [edge.source for edge in read_pairs(path, reading)] == ["a", "c"]
    assert reading.bad == 1
    assert reading.examples == [
        f"line 3: a weight, rating or count must be a number above 0, found {weight!r}",
    ]


def test_json_may_hold_nan_and_other_surprises(write: Write) -> None:
    """NaN, lists and half characters neither stop nor pass."""
    lines = [
        '{"source": "a", "target": "b", "weight": NaN}',
        '{"source": ["a"], "target": "b"}',
        '{"source": "a\\ud800", "target": 7}',
        '{"source": "a", "target": "b"}',
        "[1, 2]",
        '{"source": "a", "target"',
        *['{"source": "c", "target": "d"}'] * 4,
    ]
    path, reading = write("e.jsonl", "\n".join(lines)), Reading()
    assert list(read_pairs(path, reading)) == [Edge("a\\ud800", "7"), Edge("a", "b"), *[Edge("c", "d")] * 4]
    assert [example.split(":")[0] for example in reading.examples] == ["line 1", "line 2", "line 5", "line 6"]
    assert reading.rows == 10


def test_more_bad_rows_than_good_ones_are_fatal(write: Write) -> None:
    """Half may be bad, not more; the message names one."""
    half = write("half.csv", "source,target\na,b\n,b\n")
    assert len(list(read_pairs(half, Reading()))) == 1
    most = write("most.csv", "source,target\na,b\n,b\na,\n")
    with pytest.raises(InputError, match=r"2 of 3 rows .* such as line 3: no source is given"):
        list(read_pairs(most, Reading()))


def test_only_the_first_bad_rows_are_listed(write: Write) -> None:
    """The count goes on."""
    path, reading = write("e.csv", "source,target\n" + "a,b\n" * 30 + "a,\n" * 30), Reading()
    assert len(list(read_pairs(path, reading))) == 30
    assert (reading.bad, len(reading.examples)) == (30, 20)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", "", "is empty"),
        ("e.jsonl", "", "is empty"),
        ("e.csv", "source,target\n", "holds no rows"),
        (
            "e.csv",
            "item_a,item_b\n1,2\n",
            "needs columns 'source' and 'target', or 'group' and 'item'; found: item_a, ",
        ),
        ("e.jsonl", "nonsense\n", "holds no JSON object with columns, first line 1"),
        ("e.csv", "group,item\na,b\n", "holds baskets, but pairs were asked for"),
        ("e.txt", "source,target\na,b\n", "is no table that can be read"),
        ("e.parquet", "PAR1", "is not a readable Parquet file"),
        ("missing/e.csv", "", "cannot read"),
    ],
)
def test_what_is_no_table_of_pairs_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    """Each with what was expected and what was found."""
    path = tmp_path / name
    if path.parent.exists():
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        list(read_pairs(path, Reading()))


def test_cut_off_and_damaged_gzip_and_other_text_are_refused(tmp_path: Path) -> None:
    """No traceback of a codec reaches the user."""
    whole = gzip.compress(b"source,target\n" + b"".join(b"%d,b\n" % i for i in range(10_000)))
    path = tmp_path / "e.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is cut off: its gzip data ends too early"):
        list(read_pairs(path, Reading()))
    path.write_bytes(whole[:200] + bytes(100) + whole[300:])
    with pytest.raises(InputError, match="is damaged gzip data"):
        list(read_pairs(path, Reading()))
    (tmp_path / "latin.csv").write_bytes("source,target\nä,b\n".encode("latin-1"))
    with pytest.raises(InputError, match="is not UTF-8 text"):
        list(read_pairs(tmp_path / "latin.csv", Reading()))


def test_rows_are_read_as_they_are_asked_for(write: Write) -> None:
    """A long file is not held: the first edge comes before its broken end is met."""
    path = write("e.jsonl", '{"source": "a", "target": "b"}\n' * 50_000 + "broken\n" * 60_000)
    reading = Reading()
    edges = read_pairs(path, reading)
    assert next(edges) == Edge("a", "b")
    assert reading.rows == 1


ids = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1)
weights = st.floats(min_value=1e-300, max_value=1e300)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.builds(Edge, ids, ids, weights, ids, ids), min_size=1, max_size=5))
def test_whatever_is_written_comes_back(edges: list[Edge]) -> None:
    """Through JSON lines and CSV, with quotes, separators and any script."""
    import csv

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "e.jsonl"
        path.write_text("\n".join(json.dumps(edge._asdict()) for edge in edges))
        assert list(read_pairs(path, Reading())) == edges
        path = Path(folder) / "e.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([Edge._fields, *edges])
        assert list(read_pairs(path, Reading())) == edges
