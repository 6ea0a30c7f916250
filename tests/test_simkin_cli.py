"""The command line as a person or a script uses it: verbs, JSON, exit statuses, messages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from index.catalog import Catalog
from index.relations import RELATIONS

JSON_KEYS = ["query", "relation", "method", "recall", "generation", "hits", "notes", "rerank"]
HIT_KEYS = ["rank", "id", "score", "closer_than", "path", "attributes", "facets", "duplicates"]


def simkin(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simkin", *map(str, words)], capture_output=True, text=True, cwd=cwd, timeout=300
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `simkin demo` made, with what it printed beside it."""
    folder = tmp_path_factory.mktemp("demo") / "made"
    done = simkin("demo", "--folder", folder)
    assert done.returncode == 0, done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def catalog(demo: Path) -> Path:
    return demo / "demo.simkin"


def test_the_demo_asks_every_relation_and_says_what_to_try(demo: Path) -> None:
    """Answers are readable, with facet shares, and the next commands are named."""
    printed = (demo / "printed.txt").read_text()
    for relation in RELATIONS:
        assert f"· {relation} · exact, recall 1.000" in printed
    assert "303 items" in printed
    assert "0 failed" in printed
    assert "color 8" in printed
    assert "%" in printed
    assert "simkin query --all --relation substitute" in printed


def test_the_commands_that_the_demo_proposes_work(demo: Path) -> None:
    """Each line after "next, try" runs as it stands."""
    printed = (demo / "printed.txt").read_text()
    lines = [line.strip() for line in printed.split("next, try:")[1].splitlines() if line.strip()]
    catalog = lines[0].removeprefix("export SIMKIN_CATALOG=")
    for line in lines[1:-1]:
        done = subprocess.run(
            line.replace("simkin ", f"{sys.executable} -m simkin ", 1),
            shell=True,
            capture_output=True,
            text=True,
            cwd=demo,
            env={"SIMKIN_CATALOG": catalog, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout


def test_the_demo_refuses_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    """Nothing of a person's is deleted."""
    (tmp_path / "thesis.txt").write_text("years of work")
    done = simkin("demo", "--folder", tmp_path)
    assert done.returncode == 1
    assert "holds other files" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_json_answers_have_stable_keys(catalog: Path) -> None:
    """One object for each query, on one line."""
    done = simkin("query", "mug-red-stripes-01", "mug-red-zigzag-19", "--each", "--json", "--catalog", catalog, "-k", 3)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    answer = json.loads(lines[0])
    assert list(answer) == JSON_KEYS
    assert answer["query"] == "mug-red-stripes-01"
    assert answer["method"] == "exact"
    assert answer["recall"] == 1.0
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]
    for hit in answer["hits"]:
        assert list(hit) == HIT_KEYS
        assert Path(hit["path"]).is_file()
        assert sum(hit["facets"].values()) == pytest.approx(1, abs=0.001)
        assert hit["id"] != "mug-red-stripes-01"


def test_rules_filters_and_negatives_hold(catalog: Path) -> None:
    """Substitutes stay inside the category, style goes outside, filters and --not are kept to."""

    def hits(*words: object) -> list[dict[str, object]]:
        done = simkin("query", *words, "--json", "--catalog", catalog)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, object]] = json.loads(done.stdout)["hits"]
        return found

    inside = hits("mug-red-stripes-01", "--relation", "substitute")
    assert {hit["attributes"]["category"] for hit in inside} == {"mug"}
    outside = hits("mug-red-stripes-01", "--relation", "style")
    assert "mug" not in {hit["attributes"]["category"] for hit in outside}
    cheap = hits("mug-red-stripes-01", "--where", "price<30 and not color=red")
    assert cheap
    assert all(hit["attributes"]["price"] < 30 and hit["attributes"]["color"] != "red" for hit in cheap)
    first = inside[0]["id"]
    without = hits("mug-red-stripes-01", "--relation", "substitute", "--not", first)
    assert first not in {hit["id"] for hit in without}
    assert len(hits("mug-red-stripes-01", "-k", 1000)) > 230


def test_facets_are_weighed_on_the_command_line(catalog: Path) -> None:
    """What weighs 0 has no share; a weight that is none is wrong usage; an unknown facet is told."""

    def asked(*words: object) -> subprocess.CompletedProcess[str]:
        return simkin("query", "mug-red-stripes-01", "--catalog", catalog, *words)

    done = asked("--facet", "color=2", "--facet", "shape=0", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["method"] == "exact"
    assert {name for hit in answer["hits"] for name in hit["facets"]} == {"color", "texture"}
    assert asked("--facet", "color").returncode == 2
    assert asked("--facet", "color=much").returncode == 2
    assert asked("--facet", "color=1", "--facet", "color=2").returncode == 2
    unknown = asked("--facet", "colour=1")
    assert unknown.returncode == 1
    assert "did you mean 'color'" in unknown.stderr


def test_re_ranking_is_switched_for_a_relation_and_for_a_question(catalog: Path) -> None:
    """What was switched on is shown, answers say so, and one question may do without."""
    on = simkin("relations", "--catalog", catalog, "--set", "style", "--rerank", "neighbours")
    assert on.returncode == 0, on.stderr
    listed = simkin("relations", "--catalog", catalog, "--json").stdout.splitlines()
    assert {row["name"]: row["rerank"] for row in map(json.loads, listed)} == {
        **dict.fromkeys(RELATIONS, "none"),
        "style": "neighbours",
    }
    assert "re-ranked by neighbours" in simkin("info", "--catalog", catalog).stdout
    query = ("query", "mug-red-stripes-01", "--relation", "style", "--catalog", catalog, "--json")
    ranked, plain = (json.loads(simkin(*query, *words).stdout) for words in ((), ("--rerank", "none")))
    assert (ranked["rerank"], plain["rerank"]) == ("neighbours", "none")
    assert "neighbours" in ranked["notes"][0]
    assert [hit["id"] for hit in ranked["hits"]] != [hit["id"] for hit in plain["hits"]]
    off = simkin("relations", "--catalog", catalog, "--set", "style", "--rerank", "none")
    assert off.returncode == 0, off.stderr
    assert json.loads(simkin(*query).stdout) == plain
    assert simkin("relations", "--set", "style").returncode == 2
    assert simkin("relations", "--catalog", catalog, "--set", "stile", "--rerank", "both").returncode == 1


def test_a_file_is_found_by_its_path_or_described(catalog: Path, demo: Path, tmp_path: Path) -> None:
    """A file of the catalog is its item; a copy outside is described, and finds the original."""
    inside = next((demo / "products" / "pictures").glob("mug-red-stripes-01*"))
    done = simkin("query", inside, "--json", "--catalog", catalog)
    assert json.loads(done.stdout)["query"] == "mug-red-stripes-01"
    outside = tmp_path / "mine.jpg"
    outside.write_bytes(inside.read_bytes())
    done = simkin("query", outside, "--json", "--duplicates", "-k", 1, "--catalog", catalog)
    assert json.loads(done.stdout)["hits"][0]["id"] == "mug-red-stripes-01"
    done = simkin("query", outside, "--relation", "style", "--catalog", catalog)
    assert "note: the query has no category" in done.stdout
    done = simkin("query", outside, "--relation", "style", "--category", "mug", "--json", "--catalog", catalog)
    assert "mug" not in {hit["attributes"]["category"] for hit in json.loads(done.stdout)["hits"]}


def test_every_item_is_asked_into_a_file(catalog: Path, tmp_path: Path) -> None:
    """Parquet and JSON lines hold the same rows, with the columns that were promised."""
    for name in ("recs.parquet", "recs.jsonl"):
        done = simkin(
            "query", "--all", "--relation", "style", "-k", 2, "--out", tmp_path / name, "--catalog", catalog, "--json"
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["queries"] == 243
    table = pyarrow.parquet.read_table(tmp_path / "recs.parquet")
    assert table.column_names == ["query", "rank", "id", "score"]
    lines = [json.loads(line) for line in (tmp_path / "recs.jsonl").read_text().splitlines()]
    assert [row["id"] for row in table.to_pylist()] == [row["id"] for row in lines]
    assert len(lines) == 2 * 243


def test_index_ends_with_one_object(tmp_path: Path, demo: Path) -> None:
    """And with status 3 when a file failed, 0 when none did."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for source in sorted((demo / "products" / "pictures").glob("mug-*"))[:4]:
        (folder / source.name).write_bytes(source.read_bytes())
    (folder / "broken.jpg").write_text("no picture")
    done = simkin("index", folder, "--catalog", tmp_path / "c", "--json")
    assert done.returncode == 3
    report = json.loads(done.stdout)
    assert list(report) == [
        "event", "added", "changed", "removed", "renamed", "unchanged", "retried", "failed", "items", "seconds",
        "generation",
    ]  # fmt: skip
    assert (report["event"], report["added"], report["failed"], report["items"]) == ("indexed", 5, 1, 4)
    listed = simkin("failures", "--catalog", tmp_path / "c", "--json")
    assert [json.loads(line)["id"] for line in listed.stdout.splitlines()] == ["broken.jpg"]
    assert "broken.jpg" in simkin("failures", "--catalog", tmp_path / "c").stdout
    (folder / "broken.jpg").unlink()
    done = simkin("index", "--catalog", tmp_path / "c")
    assert done.returncode == 0
    assert "4 items (1 removed, 4 unchanged)" in done.stdout


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["query", "x", "--catalog", "nowhere"], 1, "make one with: simkin index"),
        (["query"], 2, "name an item or a file"),
        (["query", "--all"], 2, "--all and --out go together"),
        (["query", "mug-red-stripe-01"], 1, "did you mean 'mug-red-stripes-01'"),
        (["query", "mug-red-stripes-01", "--relation", "styl"], 1, "did you mean 'style'"),
        (["query", "mug-red-stripes-01", "--where", "price <"], 1, "expected a value"),
        (["query", "mug-red-stripes-01", "--where", "prise<5"], 1, "did you mean 'price'"),
        (["query", "mug-red-stripes-01", "-k", "0"], 1, "k must be at least 1"),
        (["query", "mug-red-stripes-01", "--relation", "similar-track"], 1, "cannot answer this"),
        (["qurey"], 2, "did you mean 'query'"),
        (["index", "/no/such/folder", "--catalog", "c"], 1, "does not exist"),
        (["index", ".", "--encoder", "bulitin", "--catalog", "c"], 1, "did you mean 'builtin"),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, list) else None,
)
def test_errors_are_one_line_that_says_what_to_do(
    words: list[str], status: int, told: str, catalog: Path, tmp_path: Path
) -> None:
    """No traceback, the status that was promised, nothing on stdout."""
    extra = [] if "--catalog" in words or words == ["qurey"] else ["--catalog", str(catalog)]
    done = simkin(*words, *extra, cwd=tmp_path)
    assert done.returncode == status
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_info_and_verify_tell_the_state(catalog: Path) -> None:
    """Items, recall and soundness, for people and for programs."""
    told = json.loads(simkin("info", "--json", "--catalog", catalog).stdout)
    assert told["items"] == {"audio": 60, "image": 243}
    assert told["failures"] == 0
    assert {(state["relation"], state["modality"]) for state in told["relations"]} == {
        ("similar", "image"), ("similar", "audio"), ("substitute", "image"), ("style", "image"),
        ("similar-track", "audio"),
    }  # fmt: skip
    assert "asked recall 0.99" in simkin("info", "--catalog", catalog).stdout
    done = simkin("verify", "--catalog", catalog)
    assert (done.returncode, done.stdout) == (0, f"{catalog} is sound\n")


def test_info_tells_no_recall_where_nothing_was_built(tmp_path: Path) -> None:
    """As after the first run was stopped."""
    Catalog.create(tmp_path / "new.simkin").close()
    told = simkin("info", "--catalog", tmp_path / "new.simkin").stdout
    assert "no built generation" in told
    assert "asked recall" not in told


def test_encoders_and_relations_are_listed_for_people_and_programs() -> None:
    """Every facet names its source, every relation says why."""
    for line in simkin("encoders", "--json").stdout.splitlines():
        card = json.loads(line)
        assert card["licence"]
        assert all(facet["source"] for facet in card["facets"].values())
    assert {json.loads(line)["name"] for line in simkin("relations", "--json").stdout.splitlines()} == set(RELATIONS)
    assert all(relation.why in simkin("relations").stdout for relation in RELATIONS.values())


def test_from_python_the_same_answers_come(catalog: Path) -> None:
    """The library answers as the command line does, and shows itself in a notebook."""
    import simkin as library

    answer = library.open(catalog).query("mug-red-stripes-01", relation="style", k=3)
    printed = json.loads(
        simkin("query", "mug-red-stripes-01", "--relation", "style", "-k", 3, "--json", "--catalog", catalog).stdout
    )
    assert [hit.item_id for hit in answer.hits] == [hit["id"] for hit in printed["hits"]]
    assert answer._repr_html_().count("<img") == 3
    songs = library.open(catalog).query("waltz-01", relation="similar-track", k=2)
    assert songs._repr_html_().count("<audio") == 2


def test_each_goes_on_after_an_unknown_item(catalog: Path) -> None:
    """The others are answered, and the exit status tells."""
    done = simkin(
        "query", "--each", "mug-red-stripes-01", "nosuch", "bottle-red-zigzag-01", "-k", 1, "--catalog", catalog
    )
    assert done.returncode == 3
    assert "nosuch" in done.stderr
    assert "bottle-red-zigzag-01 ·" in done.stdout


def test_wrong_use_of_learning_and_measuring(catalog: Path) -> None:
    """Told as usage, before anything is done."""
    here = ("--catalog", catalog)
    assert simkin("learn", "x.csv", "--relation", "style", "--forget", *here).returncode == 2
    assert simkin("evaluate", *here).returncode == 2
    assert simkin("evaluate", "--label", "category", "--out", "x.txt", *here).returncode == 2
    assert simkin("evaluate", "--label", "category", "--seed", "-1", *here).returncode == 2
