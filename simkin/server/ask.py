"""Endpoints that ask relations: one question, or several at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from index import answers
from index.errors import InputError, SimkinError
from index.live import LiveCatalog
from index.trouble import StorageTrouble
from simkin.server.bodies import AnswerShape, AnswersShape, Question, Questions, WeightedItem
from simkin.server.cache import ByteCache
from simkin.server.errors import told
from simkin.server.json import json_bytes
from simkin.server.service import json_text, service
from simkin.server.shapes import answer_json

MOST_ANSWERS = 1000
"""Largest ``k``: more is what the command line writes to files."""

BRIEF_ANSWERS = 100
"""Largest ``k`` of a question that is answered among the brief ones."""

PATH = "/api/recommend"

router = APIRouter(tags=["questions"])


def query_of(question: Question, files: Sequence[Path] = ()) -> answers.Query:
    """A question as the library takes it.

    Raises:
        InputError: ``k`` is out of bounds.
    """
    if not 1 <= question.k <= MOST_ANSWERS:
        raise InputError(f"k must lie between 1 and {MOST_ANSWERS}, not {question.k}")
    return answers.Query(
        items=tuple((item.id, item.weight) for item in question.items),
        files=tuple((path, 1.0) for path in files),
        relation=question.relation,
        k=question.k,
        negatives=tuple((item.id, item.weight) for item in question.negatives),
        where=question.where,
        diversity=question.diversity,
        duplicates=question.duplicates,
        category=question.category,
        weights=tuple((question.weights or {}).items()),
        rerank=question.rerank,  # type: ignore[arg-type]  # the library checks it
    )


@router.get(PATH, summary="Ask about one item", response_model=AnswerShape)
async def recommend_one(
    request: Request,
    id: str,
    relation: str = "similar",
    k: Annotated[int, Query(description="How many answers, 1 to 1000.")] = 10,
    where: Annotated[str, Query(description="A filter, such as: category=Shoes and price<50")] = "",
    diversity: float = 0.0,
) -> Response:
    """The items closest to one, under a relation."""
    one = WeightedItem.model_construct(id=id)
    query = query_of(Question.model_construct(items=[one], relation=relation, k=k, where=where, diversity=diversity))
    here = service(request)
    pool = here.brief if k <= BRIEF_ANSWERS and not (where or diversity) else here.questions
    return json_text(await pool.ask(lambda live: answered(live, query, here.answers)))


@router.post(PATH, summary="Ask about several items, for and against", response_model=AnswerShape)
async def recommend(request: Request, question: Question) -> Response:
    """The items closest to the items given and far from the negatives, each with its weight."""
    query = query_of(question)
    here = service(request)
    return json_text(await here.questions.ask(lambda live: answered(live, query, here.answers)))


@router.post("/api/recommend/batch", summary="Ask several questions at once", response_model=AnswersShape)
async def recommend_batch(request: Request, questions: Questions) -> Response:
    """Each question is answered by itself, by an answer or by an error."""
    here = service(request)
    found: list[dict[str, Any]] = []
    for content in questions.queries:  # one by one, so that others' questions come in between
        found.append(await here.questions.ask(lambda live, content=content: _answer_or_error(live, content)))  # type: ignore[misc]
    return json_text(json_bytes({"answers": found}))


def answered(live: LiveCatalog, query: answers.Query, cache: ByteCache) -> bytes:
    """An answer as JSON; from the cache, when the same was asked since the catalog changed last."""
    recommender = live.recommender
    with StorageTrouble(live.folder):
        now = recommender.catalog.now()
    key = (recommender.catalog.identity, now.number, now.sequence, query)
    content = cache.get(key)
    if content is None:
        content = json_bytes(answer_json(recommender.ask(query)))
        cache.put(key, content)
    return content


def _answer_or_error(live: LiveCatalog, content: dict[str, Any]) -> dict[str, Any]:
    try:
        return answer_json(live.recommender.ask(query_of(Question.model_validate(content))))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return {"error": {"type": "ValidationError", "message": f"{place}: {first['msg']}"}}
    except SimkinError as error:
        live.doubt(error)
        return {"error": told(error, live.place)}
