"""Tables of items: the formats, the ways to name media, what becomes an attribute, what is refused."""

from __future__ import annotations

import datetime
import json
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import InputError
from index.ingesting.scan import REPEATED, Entry
from index.ingesting.tables import read_attributes, scan_table


def scan(folder: Path, name: str, content: str | bytes, **options: bool) -> list[Entry]:
    table = folder / name
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(scan_table(table, **options))


def attributes(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(entry.attributes)
    return found


@pytest.fixture
def media(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "c.wav", "sub/d.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


ROWS = [{"id": "1", "path": "a.jpg", "price": 9.5, "title": "Ünder"}, {"id": "2", "path": "c.wav", "price": 10}]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "ndjson", "parquet", "pq", "CSV"])
def test_every_format_gives_the_same_entries(media: Path, suffix: str) -> None:
    table = media / f"items.{suffix}"
    if suffix in ("parquet", "pq"):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), table)
    elif suffix in ("jsonl", "ndjson"):
        table.write_text("\n\n".join(json.dumps(row) for row in ROWS))
    else:
        mark = "\t" if suffix == "tsv" else ","
        lines = [["id", "path", "price", "title"], ["1", "a.jpg", "9.5", "Ünder"], ["2", "c.wav", "10", ""]]
        table.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(mark.join(line) for line in lines).encode())
    first, second = scan_table(table)
    assert (first.item_id, first.path, first.modality, first.size) == ("1", b"a.jpg", "image", 5)
    assert attributes(first) == {"price": 9.5, "title": "Ünder"}
    assert (second.item_id, second.modality, attributes(second)) == ("2", "audio", {"price": 10})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "id,path\n1,a.jpg| b.jpg|sub/d.jpg\n"),
        ("t.csv", "id,path,path,path\n1,a.jpg,b.jpg,sub/d.jpg\n"),
        ("t.csv", "id,path,image\n1,a.jpg,b.jpg|sub/d.jpg\n"),
        ("t.jsonl", '{"id": 1, "path": ["a.jpg", "b.jpg", "sub/d.jpg"]}'),
        ("t.jsonl", '{"id": "1", "path": "a.jpg|b.jpg", "image": ["sub/d.jpg"]}'),
    ],
)
def test_an_item_may_have_several_files(media: Path, name: str, content: str) -> None:
    entries = scan(media, name, content)
    assert [(e.item_id, e.position, e.path) for e in entries] == [
        ("1", 0, b"a.jpg"),
        ("1", 1, b"b.jpg"),
        ("1", 2, b"sub/d.jpg"),
    ]
    assert not any(e.problem for e in entries)


def test_columns_named_for_a_modality_need_no_ending(media: Path) -> None:
    (media / "1234").write_bytes(b"x")
    entries = scan(media, "t.csv", "id,image,audio\n1,1234,1234\n")
    assert [(e.modality, e.problem) for e in entries] == [("image", ""), ("audio", "")]


def test_a_missing_file_is_a_problem_of_its_row(media: Path) -> None:
    entries = scan(media, "t.csv", "id,path\n1,gone.jpg\n2,a.jpg\n")
    assert [(e.size, e.problem) for e in entries] == [(-1, "no such file or directory"), (5, "")]


@pytest.mark.parametrize("path", ["../secret.jpg", "sub/../../secret.jpg", "./../secret.jpg"])
def test_a_path_that_climbs_out_is_refused_unless_allowed(media: Path, path: str) -> None:
    inner = media / "inner"
    inner.mkdir()
    (inner / "sub").mkdir()
    (media / "secret.jpg").write_bytes(b"x")
    (entry,) = scan(inner, "t.csv", f"id,path\n1,{path}\n")
    assert "climbs out of the table's folder; allow it with --allow-outside" in entry.problem
    (entry,) = scan(inner, "t.csv", f"id,path\n1,{path}\n", allow_outside=True)
    assert (entry.problem, entry.size) == ("", 1)


def test_dots_inside_the_folder_and_absolute_paths_are_accepted(media: Path) -> None:
    entries = scan(media, "t.csv", f"id,path\n1,sub/../a.jpg\n2,{media / 'b.jpg'}\n")
    assert [e.problem for e in entries] == ["", ""]


def test_a_repeated_id_is_listed_and_the_first_row_kept(media: Path) -> None:
    first, again = scan(media, "t.csv", "id,path\n1,a.jpg\n1,b.jpg\n")
    assert (first.position, first.problem) == (0, "")
    assert again.position > REPEATED
    assert again.problem == "id '1' stands again in row 3; the first row is kept"


def test_rows_without_id_file_or_known_ending_are_problems(media: Path) -> None:
    content = "id,path\n,a.jpg\n2,\n3,notes.txt\n4,https://example.org/a.jpg\n"
    problems = [e.problem for e in scan(media, "t.csv", content)]
    assert problems[:2] == ["row 2 has no id", "row 3 names no file"]
    assert "tells neither picture nor sound" in problems[2]
    assert "is an address; give a local file" in problems[3]


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "a\\u0000b.jpg", "\\ud800.jpg", "x/" * 3000 + "a.jpg"])
def test_names_that_no_file_can_have_are_problems(media: Path, name: str) -> None:
    (entry,) = scan(media, "t.jsonl", f'{{"id": "1", "path": "{name}"}}')
    assert entry.size == -1
    assert entry.problem


def test_a_name_that_is_not_utf8_can_stand_in_json(media: Path) -> None:
    Path(str(media / "caf\udce9.jpg")).write_bytes(b"x")
    (entry,) = scan(media, "t.jsonl", '{"id": "1", "path": "caf\\udce9.jpg"}')
    assert (entry.path, entry.problem) == (b"caf\xe9.jpg", "")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "path\na.jpg\n", "has no column 'id'; found: path"),
        (
            "t.csv",
            "id,file\n1,a.jpg\n",
            "expected a column 'path', 'image' or 'audio'; found: id, file",
        ),
        ("t.csv", "", "has no column 'id'; found: none"),
        ("t.csv", b"id,path\n\xff\xfe,a.jpg\n", "is not UTF-8 text"),
        ("t.jsonl", '{"id": 1}\n', "names no files"),
        ("t.jsonl", "{oops", "line 1 is no JSON object"),
        ("t.jsonl", "[1, 2]\n", "line 1 is no JSON object \\(found list\\)"),
        ("t.parquet", b"PAR1 nothing", "is not a readable Parquet file"),
        ("t.parquet", b"", "is not a readable Parquet file"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(media: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        scan(media, name, content)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?i)cannot read .*no such file"):
        list(scan_table(tmp_path / "t.csv"))


def test_a_damaged_parquet_file_is_refused(media: Path) -> None:
    table = media / "t.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS * 1000), table)
    content = bytearray(table.read_bytes())
    content[10:200] = b"\xff" * 190
    with pytest.raises(InputError):
        scan(media, "t.parquet", bytes(content))


def test_dates_that_python_cannot_hold_are_refused_plainly(media: Path) -> None:
    far = pyarrow.array([2**62], pyarrow.timestamp("us"))
    pyarrow.parquet.write_table(
        pyarrow.table({"id": ["1"], "path": ["a.jpg"], "day": far}), media / "t.parquet", version="2.6"
    )
    with pytest.raises(InputError, match="not a readable Parquet"):
        list(scan_table(media / "t.parquet"))


def test_values_become_numbers_only_when_nothing_is_lost(media: Path) -> None:
    cells = {"a": "12", "b": "-0.5", "c": "007", "d": "1e5", "e": " x ", "f": "1234567890123456", "g": "1,5"}
    (entry,) = scan(media, "t.csv", "id;path".replace(";", ",") + "," + ",".join(cells) + "\n1,a.jpg,"
                    + ",".join(f'"{cell}"' for cell in cells.values()) + "\n")  # fmt: skip
    assert attributes(entry) == {
        "a": 12, "b": -0.5, "c": "007", "d": "1e5", "e": "x", "f": "1234567890123456", "g": "1,5",
    }  # fmt: skip


def test_parquet_values_of_other_types_become_text_or_numbers(media: Path) -> None:
    row = {"id": 7, "path": "a.jpg", "day": datetime.date(2024, 2, 29), "raw": b"\xff", "on": True, "tags": ["x", "y"]}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), media / "t.parquet")
    (entry,) = scan_table(media / "t.parquet")
    assert entry.item_id == "7"
    assert attributes(entry) == {"day": "2024-02-29", "raw": "\\xff", "on": True, "tags": "x, y"}


def test_empty_cells_say_nothing(media: Path) -> None:
    content = '{"id": 1, "path": "a.jpg", "title": "", "artist": " ", "price": NaN, "album": null, "year": []}'
    (entry,) = scan(media, "t.jsonl", content)
    assert attributes(entry) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(st.characters(), min_size=1), JSON, max_size=4))
def test_whatever_a_row_holds_the_database_takes_it(tmp_path_factory: pytest.TempPathFactory, row: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    content = json.dumps({**row, "id": row.get("id", "x"), "path": "none.jpg"})
    for entry in scan(folder, "any.jsonl", content):
        connection = sqlite3.connect(":memory:")
        connection.execute(
            "SELECT json_patch('{}', ?), ?, ?, ?", (entry.attributes, entry.item_id, entry.path, entry.problem)
        ).fetchone()
        connection.close()


def test_metadata_is_read_by_id_or_path(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,color\na.jpg,red\n b/c.jpg ,blue\n")
    assert {k: json.loads(v) for k, v in read_attributes(tmp_path / "m.csv").items()} == {
        "a.jpg": {"color": "red"},
        "b/c.jpg": {"color": "blue"},
    }


def test_metadata_without_id_and_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("name\na.jpg\n")
    with pytest.raises(InputError, match="neither a column 'id' nor 'path'"):
        read_attributes(tmp_path / "m.csv")


def test_a_bad_line_or_cell_is_one_failure(media: Path) -> None:
    """The lines around it are read."""
    lines = [
        '{"id": 1, "path": "a.jpg"}',
        "{oops",
        "[1, 2]",
        '{"id": 4, "path": {"a": 1}}',
        '{"id": 5, "path": "b.jpg"}',
    ]
    entries = scan(media, "t.jsonl", "\n".join(lines))
    assert [(entry.item_id, bool(entry.problem)) for entry in entries] == [
        ("1", False), ("row 2 of t.jsonl", True), ("row 3 of t.jsonl", True), ("4", True), ("5", False)
    ]  # fmt: skip
    assert "expected a path, found dict" in entries[3].problem
