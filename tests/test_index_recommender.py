"""The recommender: items, files, weights, near-duplicates, diversity, and a catalog that changes underneath."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from index.answers import Query
from index.engine.generations import generation_folder
from index.errors import InputError, MediaError, NotBuiltError, UnknownNameError
from index.ingesting.ingest import IndexOptions
from simkin.library import index as index_sources


@pytest.fixture(scope="module")
def made(make_catalog):
    """Four hundred items in ten categories, ten of them without."""
    made = make_catalog()
    made.fill(400)
    vectors, _ = made.points(10, seed=8)
    made.add([f"stray-{row}" for row in range(10)], vectors, [None] * 10)
    made.build()
    made.recommender = made.open()
    return made


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Real small JPEGs in two folders, indexed; one file outside, one that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(4)
    for kind in ("hats", "shoes"):
        (folder / "in" / kind).mkdir(parents=True)
        for number in range(6):
            blocks = rng.integers(0, 255, (6, 6, 3), np.uint8)
            image = Image.fromarray(blocks).resize((96, 96), Image.Resampling.NEAREST)
            image.save(folder / "in" / kind / f"{number}.jpg")
    shutil.copy(folder / "in" / "hats" / "0.jpg", folder / "outside.jpg")
    (folder / "broken.jpg").write_bytes(b"no picture")
    index_sources([folder / "in"], folder / "c.simkin", IndexOptions(encoders=("builtin-image",), workers=1))
    return folder


@pytest.fixture
def asked(pictures):
    """A recommender on the pictures."""
    import simkin

    return simkin.open(pictures / "c.simkin")


def test_score_is_the_weighted_mean_of_facet_cosines(made):
    """Computed here from the database; shares sum to one; closer scores are rarer."""
    for relation in ("similar", "substitute", "style"):
        answer = made.recommender.query("item-0-00007", relation=relation, k=50)
        truth = made.seen(made.recommender, relation).truth("item-0-00007")
        assert len(answer) == len(answer.hits) > 10
        assert [hit.rank for hit in answer.hits] == list(range(1, len(answer) + 1))
        for hit in answer.hits:
            assert hit.score == pytest.approx(truth[hit.item_id], abs=1e-5)
            assert sum(hit.facets.values()) == pytest.approx(1 if any(hit.facets.values()) else 0, abs=5e-4)
            assert any(hit.facets.values()) or hit.score <= 0
            assert set(hit.facets) == {"shape", "color", "texture"}
            assert 0 <= hit.closer_than <= 1
        for one, other in pairwise(answer.hits):
            assert one.score >= other.score
            assert one.closer_than >= other.closer_than


def test_several_items_are_one_question(made):
    """The answer to a weighted sum lies between; the heavier item pulls harder; none of them answers."""
    truth = [made.seen(made.recommender, "similar").truth(name) for name in ("item-0-00001", "item-0-00002")]

    def pull(first: float) -> float:
        answer = made.recommender.query("item-0-00001", "item-0-00002", weights=(first, 1.0), k=10)
        assert not {"item-0-00001", "item-0-00002"} & {hit.item_id for hit in answer.hits}
        return float(np.mean([truth[0][hit.item_id] - truth[1][hit.item_id] for hit in answer.hits]))

    assert pull(0.05) < pull(1.0) < pull(20.0)
    one = made.recommender.query("item-0-00001", "item-0-00001", k=5)
    assert [hit.item_id for hit in one.hits] == [h.item_id for h in made.recommender.query("item-0-00001", k=5).hits]


def test_negatives_push_away_and_never_answer(made):
    """The nearest answer as a negative leaves, and takes its like along."""
    plain = made.recommender.query("item-0-00003", k=20)
    worst = plain.hits[0].item_id
    pushed = made.recommender.query("item-0-00003", negatives=[worst], k=20)
    truth = made.seen(made.recommender, "similar").truth(worst)
    assert worst not in {hit.item_id for hit in pushed.hits}
    assert np.mean([truth[h.item_id] for h in pushed.hits]) < np.mean([truth[h.item_id] for h in plain.hits[1:]])


def test_diversity_trades_closeness_for_variety(made):
    """The first answer stays, the others become less alike."""
    seen = made.seen(made.recommender, "similar")

    def alike(diversity: float) -> float:
        answer = made.recommender.query("item-0-00005", diversity=diversity, k=8)
        assert len(answer.hits) == 8
        assert answer.hits[0].item_id == made.recommender.query("item-0-00005", k=1).hits[0].item_id
        rows = seen.rows[[seen.ids.index(hit.item_id) for hit in answer.hits]]
        return float((rows @ rows.T)[np.triu_indices(8, 1)].mean())

    assert alike(0.0) > alike(0.5) > alike(1.0)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (Query(), "at least one item"),
        (Query(items=(("item-0-00001", 1.0),), k=0), "k must be at least 1"),
        (Query(items=(("item-0-00001", 1.0),), diversity=1.5), "between 0 and 1"),
        (Query(items=(("item-0-00001", 1.0),), diversity=float("nan")), "between 0 and 1"),
        (Query(items=(("item-0-00001", float("nan")),)), "finite"),
        (Query(items=(("item-0-00001", float("inf")),)), "finite"),
        (Query(items=(("item-0-00001", 1.0),), negatives=(("item-0-00001", 1.0),)), "cancel each other"),
        (Query(items=(("item-0-00001", 0.0),)), "cancel each other"),
        (Query(items=(("item-0-00001", 1.0),), relation="similar-track"), "not of image items"),
    ],
)
def test_questions_without_sense_are_refused(made, query, told):
    """One sentence that says what to mend."""
    with pytest.raises(InputError, match=told):
        made.recommender.ask(query)


@pytest.mark.parametrize("name", ["item-0-0000l", "x" * 5000, "nul\0byte", "", "\udcff"])
def test_unknown_names_are_told(made, name):
    """Whatever was typed, and with the nearest name when one is near."""
    with pytest.raises(UnknownNameError, match="did you mean" if name.startswith("item") else "unknown item"):
        made.recommender.query(name)


def test_as_many_weights_as_names(made):
    """Otherwise nobody knows which is whose."""
    with pytest.raises(InputError, match="2 items need as many weights"):
        made.recommender.query("item-0-00001", "item-0-00002", weights=[1.0])


def test_unknown_category_of_the_query_is_noted(made):
    """An item without a category is compared with everything, and the answer says so."""
    answer = made.recommender.query("stray-1", relation="substitute")
    assert len(answer.hits) == 10
    assert "no category" in answer.notes[0]
    assert not made.recommender.query("stray-1", relation="similar").notes


def test_rules_follow_the_categories_of_all_items(made):
    """Two categories in, both in the answer of one rule, none in that of the other."""
    categories = {made.catalog.item(name).category for name in ("item-0-00001", "item-0-00002")}
    inside = made.recommender.query("item-0-00001", "item-0-00002", relation="substitute", k=60)
    outside = made.recommender.query("item-0-00001", "item-0-00002", relation="style", k=300)
    assert {hit.attributes["category"] for hit in inside.hits} == categories
    assert not {hit.attributes.get("category") for hit in outside.hits} & categories
    assert any("category" not in hit.attributes for hit in outside.hits)


def test_near_duplicates_are_collapsed_and_named(make_catalog):
    """Copies of the query vanish, copies of an answer are named by it; duplicates=True shows all."""
    made = make_catalog()
    made.fill(200)
    vectors, clusters = made.points(200)
    noise = 0.02 * np.random.default_rng(0).normal(size=(1292,)) / np.sqrt(1292)
    hit = made.open
    made.build()
    nearest = made.open().query("item-0-00000", k=1).hits[0].item_id
    row = int(nearest[-5:])
    copies = np.stack([vectors[0], vectors[0] + noise, vectors[row], vectors[row] + noise]).astype(np.float32)
    made.add(["own-1", "own-2", "hit-1", "hit-2"], copies, [f"kind-{clusters[r] % 10:02d}" for r in (0, 0, row, row)])
    for _ in range(2):  # beside the generation, then inside it
        recommender = hit()
        answer = recommender.query("item-0-00000", k=12)
        assert len(answer.hits) == 12
        first = answer.hits[0]
        assert {first.item_id, *first.duplicates} == {nearest, "hit-1", "hit-2"}
        shown = {h.item_id for h in answer.hits}
        assert not shown & {"own-1", "own-2"}
        assert not any(h.duplicates for h in answer.hits[1:])
        every = recommender.query("item-0-00000", k=12, duplicates=True)
        assert {"own-1", "own-2", "hit-1", "hit-2", nearest} <= {h.item_id for h in every.hits}
        assert not any(h.duplicates for h in every.hits)
        made.build()


def test_k_answers_come_although_most_are_copies(make_catalog):
    """A hundred copies of the nearest do not use up the places of the others."""
    made = make_catalog()
    made.fill(100)
    vectors, _ = made.points(100)
    made.add([f"copy-{row}" for row in range(100)], np.repeat(vectors[:1], 100, axis=0), ["kind-00"] * 100)
    made.build()
    answer = made.open().query("item-0-00001", k=30)
    assert len(answer.hits) == 30
    assert sum(len(hit.duplicates) for hit in answer.hits) in (0, 100)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tiny_catalogs_answer(make_catalog, count):
    """Nothing, one and two items."""
    made = make_catalog()
    made.fill(count)
    made.build()
    recommender = made.open()
    if not count:
        with pytest.raises(UnknownNameError):
            recommender.query("item-0-00000")
    else:
        assert len(recommender.query("item-0-00000").hits) == count - 1


def test_items_that_lack_a_facet_are_compared_by_the_others(make_catalog):
    """A missing facet counts as no likeness, never as a number that is none."""
    made = make_catalog()
    made.fill(50)
    vectors, _ = made.points(3, seed=2)
    vectors[0, 640:1152] = 0
    made.add(["no-color", "b", "c"], vectors, ["kind-00"] * 3)
    made.build()
    answer = made.open().query("no-color", relation="style", k=60)
    assert all(np.isfinite(hit.score) and hit.facets["color"] == 0 for hit in answer.hits)


def test_a_catalog_that_was_never_built_says_so(make_catalog):
    """With the command that builds it."""
    made = make_catalog()
    made.fill(3)
    with pytest.raises(NotBuiltError, match="simkin index --rebuild"):
        made.open().query("item-0-00000")


# Files


def test_a_file_inside_is_the_item_a_file_outside_is_itself(asked, pictures):
    """By path or id the same answer; a copy from outside finds the original when duplicates are shown."""
    inside = asked.query(pictures / "in" / "hats" / "0.jpg", k=3)
    assert inside.query.items == (("hats/0.jpg", 1.0),)
    assert inside.hits == asked.query("hats/0.jpg", k=3).hits
    outside = asked.query(pictures / "outside.jpg", k=3, duplicates=True)
    assert outside.query.files == ((pictures / "outside.jpg", 1.0),)
    assert outside.hits[0].item_id == "hats/0.jpg"
    assert outside.hits[0].score == pytest.approx(1, abs=1e-5)
    collapsed = asked.query(pictures / "outside.jpg", k=3)
    assert [hit.item_id for hit in collapsed.hits] == [hit.item_id for hit in inside.hits]


def test_a_file_has_the_category_it_is_given(asked, pictures):
    """Without one everything answers, with a note; an unknown one is noted with the nearest."""
    told = asked.query(pictures / "outside.jpg", relation="substitute", category="shoes")
    assert {hit.attributes["category"] for hit in told.hits} == {"shoes"}
    assert not told.notes
    untold = asked.query(pictures / "outside.jpg", relation="substitute", k=20)
    assert {hit.attributes["category"] for hit in untold.hits} == {"hats", "shoes"}
    assert "--category" in untold.notes[0]
    wrong = asked.query(pictures / "outside.jpg", relation="substitute", category="shoe")
    assert not wrong.hits
    assert "did you mean 'shoes'" in wrong.notes[0]


def test_files_and_items_mix(asked, pictures):
    """A file and an item, and a negative."""
    answer = asked.query(pictures / "outside.jpg", "shoes/1.jpg", negatives=["shoes/2.jpg"], k=20)
    assert not {"shoes/1.jpg", "shoes/2.jpg", "hats/0.jpg"} & {hit.item_id for hit in answer.hits}
    assert len(answer.hits) == 9


def test_a_broken_or_foreign_file_is_told(asked, pictures, tmp_path):
    """The path is in the message."""
    with pytest.raises(MediaError, match=r"broken\.jpg"):
        asked.query(pictures / "broken.jpg")
    (tmp_path / "song.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"song\.wav is no image"):
        asked.query(tmp_path / "song.wav")


# A catalog that changes


def test_changes_are_followed_without_a_rebuild(make_catalog):
    """Added, changed and removed items are seen by the next question of an open recommender."""
    made = make_catalog()
    made.fill(300)
    made.build()
    recommender = made.open()
    before = recommender.query("item-0-00000", k=5)
    vectors, _ = made.points(300)
    mixed = (0.9 * vectors[0] + 0.45 * vectors[150]).astype(np.float32)
    made.add(["twin"], mixed[None], ["new kind"], prices=[12345])
    answer = recommender.query("item-0-00000", k=5, duplicates=True)
    assert answer.hits[0].item_id == "twin"
    assert answer.generation == before.generation
    assert [h.item_id for h in recommender.query("item-0-00000", where="price>12000").hits] == ["twin"]
    assert recommender.query("twin").hits[0].item_id == "item-0-00000"
    made.remove([before.hits[0].item_id, "twin"])
    left = {hit.item_id for hit in recommender.query("item-0-00000", k=300, duplicates=True).hits}
    assert len(left) == 298
    assert not left & {"twin", before.hits[0].item_id}
    made.add([before.hits[1].item_id], -vectors[:1], ["kind-00"])
    assert recommender.query("item-0-00000", k=300, duplicates=True).hits[-1].item_id == before.hits[1].item_id


def test_new_generations_are_followed_and_old_ones_may_vanish(make_catalog, searching_by):
    """Answers go on without a failure, also when the folder in use is deleted behind a reader's back."""
    with searching_by("annoy"):
        made = make_catalog()
        made.fill(600)
        made.build()
        recommender, idle = made.open(), made.open()
        assert recommender.query("item-0-00001").generation == 1
        assert idle.generation.manifest.number == 1  # opened, its trees are not
        for number in (2, 3):
            vectors, _ = made.points(1, seed=number)
            made.add([f"new-{number}"], vectors, ["kind-00"])
            assert made.build() == number
            assert recommender.query("item-0-00001", k=700, duplicates=True).generation == number
        assert not generation_folder(made.folder, 1).exists()
        shutil.rmtree(generation_folder(made.folder, 2))
        assert len(idle.query("new-3").hits) == 10


def test_a_generation_replaced_while_a_question_runs_is_no_failure(make_catalog, searching_by, monkeypatch):
    """Trees deleted before they were opened: the question is asked again of the newer generation."""
    with searching_by("annoy"):
        made = make_catalog()
        made.fill(600)
        made.build()
        recommender = made.open()
        generation = recommender.generation
        made.build()
        made.build()
        numbers = iter([1])
        real = type(recommender).generation
        monkeypatch.setattr(
            type(recommender),
            "generation",
            property(lambda self: generation if next(numbers, None) else real.fget(self)),
        )
        answer = recommender.query("item-0-00001")
        assert answer.generation == 3
        assert len(answer.hits) == 10


def test_importing_loads_no_heavy_library():
    """No codec, no annoy, no Arrow; a query by item needs Annoy at most."""
    code = (
        "import sys, pkgutil, importlib, index\n"
        "for m in pkgutil.iter_modules(index.__path__): importlib.import_module('index.' + m.name)\n"
        "heavy = {'annoy', 'librosa', 'PIL', 'pyarrow', 'soundfile', 'scipy', 'torch', 'onnxruntime', 'numba'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent)
    assert done.returncode == 0, done.stderr
