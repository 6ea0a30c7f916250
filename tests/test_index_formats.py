"""Public data sets of behaviour, on small files made in the very formats."""

from __future__ import annotations

import contextlib
import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from index.errors import InputError, SimkinError, UnknownNameError
from index.learning.amazon import read_image_features, read_meta, read_reviews
from index.learning.edges import Edge, Event, Reading
from index.learning.formats import FORMATS, detect_format, read_edges
from index.learning.millionsong import read_taste_profile
from index.learning.movielens import read_ratings
from index.learning.pairing import Pairing
from index.learning.street2shop import read_street2shop, stream_list

USER = "b80344d063b5ccb3212f76538f3d9e43d87dca9e"
META = {
    "asin": "0000031852", "title": 'Girls "Ballet" Tutu \'Pink\'', "price": 3.17, "imUrl": "http://example.org/t.jpg",
    "related": {"also_bought": ["B00JHONN1S", "B002BZX8Z6"], "also_viewed": ["B002BZX8Z6"], "bought_together":
                ["B002BZX8Z6"], "buy_after_viewing": ["B00JHONN1S"], "unheard_of": ["B000000000"]},
    "categories": [["Sports", "Clothing"]],
}  # fmt: skip
LINKS = {
    Edge("0000031852", "B002BZX8Z6", 1.0, "substitute"), Edge("0000031852", "B00JHONN1S", 1.0, "substitute"),
    Edge("0000031852", "B00JHONN1S", 1.0, "style"), Edge("0000031852", "B002BZX8Z6", 1.0, "style"),
}  # fmt: skip
REVIEW = {
    "reviewerID": "A2SUAM1J3GNN3B", "asin": "0000013714", "reviewerName": "J. McDonald", "helpful": [2, 3],
    "reviewText": "I bought this for my 'husband'.", "overall": 5.0, "unixReviewTime": 1252800000,
}  # fmt: skip

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(name: str, content: str) -> Path:
        path = tmp_path / name
        path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
        return path

    return to_file


def features(count: int, dim: int, width: int = 10) -> tuple[list[str], np.ndarray, bytes]:
    ids = [f"B{number:0{width - 1}d}" for number in range(count)]
    vectors = np.random.default_rng(0).standard_normal((count, dim)).astype("<f4")
    return ids, vectors, b"".join(i.encode() + v.tobytes() for i, v in zip(ids, vectors, strict=True))


@pytest.mark.parametrize(("width", "dim", "block"), [(10, 4096, 512), (10, 4096, 2), (8, 5, 3)])
def test_image_features_come_back(tmp_path: Path, width: int, dim: int, block: int) -> None:
    """Ids and numbers, in blocks, plain or gzipped."""
    ids, vectors, content = features(5, dim, width)
    for name, packed in (("image_features_A.b", content), ("image_features_A.b.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(packed)
        blocks = list(read_image_features(tmp_path / name, id_width=width, dim=dim, block=block))
        assert [len(found) for found, _ in blocks] == [min(block, 5 - start) for start in range(0, 5, block)]
        assert [item for found, _ in blocks for item in found] == ids
        assert np.array_equal(np.concatenate([found for _, found in blocks]), vectors)


def test_cut_off_image_features_are_refused_with_what_is_whole(tmp_path: Path) -> None:
    """Before the first record where the size is known, and at the end where it is not."""
    _, _, content = features(5, 16)
    plain, zipped = tmp_path / "f.b", tmp_path / "f.b.gz"
    plain.write_bytes(content[:-7])
    with pytest.raises(InputError, match=r"holds 4 whole records of 74 bytes and 67 bytes more"):
        next(read_image_features(plain, dim=16))
    zipped.write_bytes(gzip.compress(content[:-7]))
    blocks = read_image_features(zipped, dim=16, block=2)
    assert [len(next(blocks)[0]), len(next(blocks)[0])] == [2, 2]
    with pytest.raises(InputError, match=r"holds 4 whole records"):
        next(blocks)


def test_image_features_of_another_shape_are_noticed(tmp_path: Path) -> None:
    """A wrong width or dimension that divides the size gives no ids; NaN is named with its record."""
    path = tmp_path / "f.b"
    path.write_bytes(features(40, 16)[2])
    with pytest.raises(InputError, match=r"record [12] of .* is not an id and finite numbers"):
        list(read_image_features(path, id_width=12, dim=34))
    _, vectors, _ = features(3, 16)
    vectors[1, 3] = np.nan
    path.write_bytes(b"".join(b"B000000000" + vector.tobytes() for vector in vectors))
    with pytest.raises(InputError, match=r"record 2 of .* is not an id and finite numbers"):
        list(read_image_features(path, dim=16))
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        list(read_image_features(path))


@pytest.mark.parametrize("name", ["meta_Clothing.json.gz", "meta_Clothing.json"])
@pytest.mark.parametrize("dump", [json.dumps, repr])
def test_amazon_links_read_from_json_and_python_literals(
    write: Write, name: str, dump: Callable[[object], str]
) -> None:
    """What is seen instead is a substitute, what is bought with it is style; other lists do not count."""
    path = write(name, dump(META) + "\n" + dump({"asin": "B1", "title": "no links"}) + "\n")
    reading = Reading()
    edges = list(read_meta(path, reading))
    assert set(edges) == LINKS
    assert len(edges) == 5
    assert (reading.rows, reading.bad) == (2, 0)
    assert detect_format(path) == "amazon-meta"
    assert set(read_edges(path)) == LINKS


def test_amazon_links_of_the_later_edition_and_chosen_lists(write: Write) -> None:
    """Lists may stand in the product itself; which list means what can be said."""
    path = write("meta_X.json", json.dumps({"asin": "B1", "main_cat": "x", "also_buy": ["B2"], "also_view": ["B3"]}))
    assert list(read_meta(path, Reading())) == [Edge("B1", "B3", 1.0, "substitute"), Edge("B1", "B2", 1.0, "style")]
    assert list(read_meta(path, Reading(), relations={"also_buy": "with"})) == [Edge("B1", "B2", 1.0, "with")]


def test_bad_literals_are_counted_with_their_lines(write: Write) -> None:
    """Code is not run, and broken lines do not stop the rest until they are the greater part."""
    bad = ["{'asin': __import__('os').getcwd()}", "{'asin': 'B1', 'related'", "{'title': 'no asin'}",
           "{'asin': 'B1', 'related': {'also_bought': 'B2'}}", "[1]"]  # fmt: skip
    reading = Reading()
    edges = list(read_meta(write("meta.json", "\n".join([*bad, *[repr(META)] * 5])), reading))
    assert len(edges) == 25
    assert [example.partition(":")[0] for example in reading.examples] == [f"line {n}" for n in range(1, 6)]
    with pytest.raises(InputError, match=r"5 of 9 rows .* such as line 1: neither JSON nor a Python literal"):
        list(read_meta(write("meta.json", "\n".join([*bad, *[repr(META)] * 4])), Reading()))


def test_deeply_nested_lines_are_bad_lines(write: Write) -> None:
    """A line cannot exhaust the parser."""
    path, reading = write("meta.json", "[" * 200_000 + "\n" + repr(META) + "\n" + repr(META)), Reading()
    assert len(list(read_meta(path, reading))) == 10
    assert reading.bad == 1


@pytest.mark.parametrize("dump", [json.dumps, repr])
def test_amazon_reviews_are_events(write: Write, dump: Callable[[object], str]) -> None:
    """Reviewer, product, time and rating."""
    path = write("reviews_Books.json.gz", dump(REVIEW) + "\n" + dump({**REVIEW, "asin": "B1", "overall": 2.0}) + "\n")
    assert list(read_reviews(path, Reading())) == [
        Event("A2SUAM1J3GNN3B", "0000013714", 1252800000.0, 5.0), Event("A2SUAM1J3GNN3B", "B1", 1252800000.0, 2.0),
    ]  # fmt: skip
    assert detect_format(path) == "amazon-reviews"
    assert list(read_edges(path)) == [Edge("0000013714", "B1", 1.0)]
    assert list(read_edges(path, pairing=Pairing(least=3.0))) == []


def test_cut_off_gzip_of_a_data_set_is_refused(tmp_path: Path) -> None:
    """Whatever the format."""
    rng = np.random.default_rng(0)
    lines = "".join(json.dumps({**REVIEW, "asin": str(rng.integers(1 << 60))}) + "\n" for _ in range(2000))
    whole = gzip.compress(lines.encode())
    path = tmp_path / "reviews_Books.json.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is cut off"):
        list(read_edges(path))


def street2shop(write: Write, shop: list[dict[str, int]]) -> Path:
    write("retrieval_dresses.json", json.dumps(shop))
    return write(
        "train_pairs_dresses.json",
        json.dumps([
            {"photo": 7, "product": 1, "bbox": {"width": 80, "top": 5, "height": 90, "left": 3}},
            {"photo": 8, "product": 2, "bbox": {"width": 80, "top": 5, "height": 90, "left": 3}},
        ]),
    )  # fmt: skip


def test_street_photos_link_to_shop_photos_of_their_product(write: Write) -> None:
    """Each street photo hands out 1."""
    shop = [{"photo": 100, "product": 1}, {"photo": 101, "product": 1}, {"photo": 102, "product": 2}]
    path = street2shop(write, shop)
    expected = [
        Edge("000000007", "000000100", 0.5, "substitute"), Edge("000000007", "000000101", 0.5, "substitute"),
        Edge("000000008", "000000102", 1.0, "substitute"),
    ]  # fmt: skip
    assert list(read_street2shop(path, Reading())) == expected
    assert detect_format(path) == "street2shop"
    assert list(read_edges(path)) == expected
    assert next(read_street2shop(path, Reading(), digits=1))[:2] == ("7", "100")


def test_street_photos_without_shop_photos_are_counted(write: Write) -> None:
    """One of two is bad and told; without the retrieval file nothing can be read."""
    path, reading = street2shop(write, [{"photo": 100, "product": 1}]), Reading()
    assert len(list(read_street2shop(path, reading))) == 1
    assert reading.examples == ["photo 8 of train_pairs_dresses.json: product 2 has no shop photo"]
    path.with_name("retrieval_dresses.json").unlink()
    with pytest.raises(InputError, match=r"put retrieval_dresses\.json"):
        list(read_street2shop(path, Reading()))
    with pytest.raises(InputError, match="rename it"):
        list(read_street2shop(path.rename(path.with_name("street.json")), Reading()))


def test_long_lists_are_read_block_by_block(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries may lie across blocks of any size; a list that ends too early is refused."""
    entries = [{"photo": n, "text": ']},{[\\" ä' * (n % 7)} for n in range(50)]
    for size in (1, 7, 64, 1 << 16):
        monkeypatch.setattr("index.learning.street2shop.BLOCK", size)
        assert list(stream_list(write("l.json", json.dumps(entries, indent=1)))) == entries
        assert list(stream_list(write("l.json", "[12, 345,6]"))) == [12, 345, 6]
        assert list(stream_list(write("l.json", "[]"))) == []
        for broken in (json.dumps(entries)[:-30], "[1, 2", '[1, nonsense, {"a": 1}]'):
            with pytest.raises(InputError, match="damaged or cut off"):
                list(stream_list(write("l.json", broken)))
    with pytest.raises(InputError, match="is no JSON list"):
        list(stream_list(write("l.json", '{"photo": 1}')))


def test_taste_profiles_are_baskets_with_counts(write: Write) -> None:
    """Listener, song, plays; bad lines are told."""
    lines = [f"{USER}\tSOAKIMP12A8C130995\t1", f"{USER}\tSOAPDEY12A81C210A9\t3", f"{USER} SOBBMDR12A8C13253B 2", ""]
    path, reading = write("train_triplets.txt", "\n".join(lines)), Reading()
    assert list(read_taste_profile(path, reading)) == [
        Event(USER, "SOAKIMP12A8C130995", None, 1.0), Event(USER, "SOAPDEY12A81C210A9", None, 3.0),
    ]  # fmt: skip
    assert (reading.rows, reading.bad) == (3, 1)
    assert detect_format(path) == "millionsong"
    assert list(read_edges(path)) == [Edge("SOAKIMP12A8C130995", "SOAPDEY12A81C210A9", 1.0)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ratings.dat", "1::1193::5::978300760\n1::661::3.5::978302109\n"),
        ("ratings.csv", "userId,movieId,rating,timestamp\n1,1193,5,978300760\n1,661,3.5,978302109\n"),
        ("ratings.csv.gz", "userId,movieId,rating,timestamp\r\n1,1193,5.0,978300760\r\n1,661,3.5,978302109\r\n"),
    ],
)
def test_movie_ratings_are_events(write: Write, name: str, content: str) -> None:
    """Both editions read alike."""
    path, reading = write(name, content), Reading()
    assert list(read_ratings(path, reading)) == [
        Event("1", "1193", 978300760.0, 5.0), Event("1", "661", 978302109.0, 3.5),
    ]  # fmt: skip
    assert reading.rows == 2
    assert detect_format(path) == "movielens"
    with pytest.raises(InputError, match=r"2 of 3 rows .* line \d"):
        list(read_ratings(write("r.dat", "1::2::3::4\n1::2::3\n1::2::bad::4\n"), Reading()))


def test_tables_and_playlists_are_told_apart(write: Write, tmp_path: Path) -> None:
    """Tables by their columns, folders and M3U files by their names."""
    assert detect_format(write("e.csv", "source,target\na,b\n")) == "pairs"
    assert detect_format(write("e.jsonl", '{"group": "g", "item": "a"}\n')) == "baskets"
    assert detect_format(write("e.tsv.gz", "time\tgroup\titem\n1\tg\ta\n")) == "sequences"
    assert detect_format(tmp_path) == detect_format(write("p.m3u8", "a.mp3\n")) == "playlists"


def test_a_format_may_be_named(write: Write) -> None:
    """Whole groups in spite of times, neighbours by row without them; a wrong name is told with its neighbours."""
    timed = write("t.csv", "group,item,time\ng,a,1\ng,b,2\ng,c,3\n")
    plain = write("p.csv", "group,item\ng,a\ng,b\ng,c\n")
    narrow = Pairing(window=1)
    assert len(list(read_edges(timed, pairing=narrow))) == 2
    assert len(list(read_edges(timed, format="baskets", pairing=narrow))) == 3
    assert len(list(read_edges(plain, pairing=narrow))) == 3
    assert len(list(read_edges(plain, format="sequences", pairing=narrow))) == 2
    with pytest.raises(UnknownNameError, match="did you mean 'movielens'"):
        list(read_edges(plain, format="movielense"))


def test_what_cannot_be_told_is_refused_with_the_choices(write: Write, tmp_path: Path) -> None:
    """Nothing is guessed."""
    with pytest.raises(InputError, match=r"cannot tell the format .* 'hello world'.*" + ", ".join(FORMATS)):
        list(read_edges(write("notes.txt", "hello world\n")))
    with pytest.raises(InputError, match="is empty"):
        detect_format(write("notes.txt", ""))
    with pytest.raises(InputError, match="cannot read"):
        detect_format(tmp_path / "nothing.txt")
    with pytest.raises(InputError, match="found: a, b"):
        detect_format(write("t.csv", "a,b\n1,2\n"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no playlists"):
        list(read_edges(tmp_path / "empty"))


NAMES = {
    "pairs": "e.csv", "baskets": "e.jsonl", "sequences": "e.parquet", "playlists": "e.m3u",
    "street2shop": "train_pairs_e.json",
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FORMATS), st.binary(max_size=80) | st.text(max_size=60).map(str.encode), st.booleans())
@example("pairs", b"source,target,weight\n\x00,\x00,1\n", False)
@example("baskets", b'{"group": "\\ud800", "item": {}}', True)
@example("movielens", b"1::2::3::1e400", False)
@example("amazon-meta", b"{'asin': 'x', 'related': 1}", False)
@example("street2shop", b'[{"photo": 1e400, "product": 1}]', False)
def test_no_content_breaks_a_reader(format: str, content: bytes, gzipped: bool) -> None:
    """Anything is either read or refused on purpose."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAMES.get(format, "e.txt")
        path.write_bytes(gzip.compress(content) if gzipped else content)
        (Path(folder) / "retrieval_e.json").write_bytes(content)
        for named in (format, ""):
            edges: list[Edge] = []
            with contextlib.suppress(SimkinError):
                edges = list(read_edges(path, format=named))
            assert all(edge.weight > 0 and edge.source and edge.target for edge in edges)
