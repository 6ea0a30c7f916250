"""Questions about many items together: what each alone is answered, whatever is asked and whatever has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from index.answering.together import Together
from index.answers import Query
from index.engine.head import Head
from index.errors import InputError, UnknownNameError
from index.learned import hold_relation
from index.recommender import Recommender
from index.relations import Relation


@pytest.fixture(scope="module")
def made(make_catalog: Callable[[], Any], searching_by: Callable[[str], Any]) -> Any:
    """A catalog with cells, planted near-duplicates, items without a category and a learned relation."""
    with searching_by("cells"):
        made = make_catalog()
        made.fill(900, categories=3)
        vectors, _ = made.points(40, seed=9)
        made.add([f"loose {at}" for at in range(40)], vectors, [None] * 40)
        made.add([f"copy {at}" for at in range(4)], np.repeat(vectors[:1], 4, axis=0), ["kind-01"] * 4)
        made.build()
        space = made.open().generation.spaces["image"]
        matrix = np.ascontiguousarray(np.linalg.svd(np.asarray(space.vectors), full_matrices=False)[2][:20].T * 3)
        nothing = np.zeros(20, np.float32)
        head = Head(
            space.projection, matrix[:, ::-1].copy(), matrix, nothing, 1.0, nothing[: len(space.projection.parts)]
        )
        relation = Relation("bought", {}, "other category", ("image",), "Made for a test.", head.digest)
        with made.catalog.connection:
            hold_relation(made.catalog, relation, ["builtin-image"], head, "{}")
        made.build()
    return made


NAMES = [*(f"item-0-{row:05d}" for row in range(0, 900, 23)), *(f"loose {at}" for at in range(0, 40, 3)), "copy 1"]


def alone(recommender: Recommender, query: Query, names: list[str]) -> list[list[tuple[str, Any]]]:
    """What is answered one by one; scores to rounding."""
    each = [recommender.ask(replace(query, items=((name, 1.0),))).hits for name in names]
    return [[(hit.item_id, pytest.approx(hit.score, abs=1e-5)) for hit in found] for found in each]


@pytest.mark.parametrize("relation", ["similar", "substitute", "style", "bought"])
@pytest.mark.parametrize("duplicates", [False, True])
def test_each_is_answered_as_alone(made: Any, relation: str, duplicates: bool) -> None:
    """Under every rule, near-duplicates collapsed or not."""
    recommender = made.open()
    query = Query(relation=relation, k=7, duplicates=duplicates)
    assert recommender.scores_of_each(query, NAMES) == alone(recommender, query, NAMES)


def test_it_is_done_together(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nothing would be gained: few are asked about by themselves, those near the copies."""
    recommender, asked = made.open(), []
    scores = recommender._scores
    monkeypatch.setattr(recommender, "_scores", lambda query: asked.append(query.items[0][0]) or scores(query))
    recommender.scores_of_each(Query(k=3), NAMES)
    assert "copy 1" in asked
    assert len(asked) < len(NAMES) / 4


@pytest.mark.parametrize(
    "query",
    [
        Query(k=4, where="price<50"),
        Query(k=4, diversity=0.5),
        Query(k=4, rerank="neighbours"),
        Query(k=4, weights=(("color", 3.0),)),
        Query(k=4, negatives=(("loose 3", 1.0),)),
        Query(k=4, relation="style", category="kind-02"),
        Query(k=2000),
    ],
    ids=["where", "diversity", "rerank", "weights", "negatives", "category", "everything"],
)
def test_whatever_else_is_asked_is_asked_of_each(made: Any, query: Query) -> None:
    """Nothing that a question says is lost."""
    recommender = made.open()
    assert Together.answers_to(query) == (query.k == 2000)
    assert recommender.scores_of_each(query, NAMES[::9]) == alone(recommender, query, NAMES[::9])


@pytest.mark.parametrize("weight", [0.5, 1.0, 2.0])
def test_one_is_answered_as_one_of_many(made: Any, weight: float) -> None:
    """Whatever its weight, where nobody else is asked about."""
    recommender = made.open()
    query = Query(k=7, items=(("loose 3", weight),))
    assert [recommender.scores(query)] == alone(recommender, replace(query, items=()), ["loose 3"])


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_refused(made: Any, weight: float) -> None:
    """By the short way, too."""
    with pytest.raises(InputError, match="finite"):
        made.open().scores(Query(items=(("loose 3", weight),)))


def test_changes_since_the_build_are_seen(make_catalog: Callable[[], Any]) -> None:
    """Items that came, went or moved."""
    made = make_catalog()
    made.fill(120)
    made.build()
    recommender, query = made.open(), Query(k=5)
    names = [f"item-0-{row:05d}" for row in range(10)]
    before = recommender.scores_of_each(query, names)
    made.add(["new"], made.points(1, seed=4)[0], ["kind-00"])
    made.remove(["item-0-00011", before[0][0][0]] if before[0][0][0] not in names else ["item-0-00011"])
    after = recommender.scores_of_each(query, [*names, "new"])
    assert after == alone(recommender, query, [*names, "new"])
    assert after[:10] != before


def test_bad_questions_are_refused_and_nobody_asked_is_nobody_answered(made: Any) -> None:
    """As one by one."""
    recommender = made.open()
    with pytest.raises(UnknownNameError, match="nowhere"):
        recommender.scores_of_each(Query(k=3), ["loose 1", "nowhere"])
    with pytest.raises(UnknownNameError, match="relation"):
        recommender.scores_of_each(Query(k=3, relation="likes"), ["loose 1"])
    with pytest.raises(InputError, match="k must be"):
        recommender.scores_of_each(Query(k=0), ["loose 1"])
    assert recommender.scores_of_each(Query(k=3), []) == []
