"""The HTTP API against its own description: schemathesis asks a running server what OpenAPI says it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks as conformance

from index.ingesting.ingest import IndexOptions
from simkin.library import index as index_sources
from simkin.server.settings import Settings

pytestmark = pytest.mark.slow

KEY = "key"

HELD = [
    not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
    conformance.negative_data_rejection,
    conformance.missing_required_header,
    conformance.unsupported_method,
    conformance.ignored_auth,
]
"""Not held: that whatever fits the schema is answered. No schema says which ids exist and which texts are filters."""

BOUNDED = settings(
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def catalog(tmp_path: Path, picture: Callable[..., Path], song: Callable[..., Path]) -> Path:
    """Eight pictures, too few for UMAP and its minute of compiling, and four songs."""
    for number in range(8):
        picture(tmp_path / "media" / ("hats" if number % 2 else "shoes") / f"{number}.jpg", number)
    for number in range(4):
        song(tmp_path / "media" / "songs" / f"{number}.wav", number, seconds=2.0)
    index_sources([tmp_path / "media"], tmp_path / "c.simkin", IndexOptions(workers=1))
    return tmp_path / "c.simkin"


def failures(client: Any, operations: str, examples: int, known: Sequence[str] = ()) -> dict[str, str]:
    """What went wrong with each operation whose method and path match.

    Args:
        client: Of the server.
        operations: A pattern.
        examples: How often each is asked as it should be, and as often as it should not.
        known: Items that exist: with them, only questions that can be answered are asked.
    """
    headers = {"X-API-Key": KEY}
    described = schemathesis.openapi.from_url(str(client.base_url.join("/openapi.json")), headers=headers)
    found: dict[str, str] = {}
    for result in described.get_all_operations():
        operation = result.ok()
        if not re.search(operations, operation.label):
            continue
        for mode in [GenerationMode.POSITIVE] if known else [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]:

            @seed(0)
            @settings(BOUNDED, max_examples=examples)
            @given(operation.as_strategy(generation_mode=mode), st.randoms(use_true_random=False))
            def ask(case: schemathesis.Case, random: Random) -> None:
                if known:
                    for content in (case.query, case.body):
                        if isinstance(content, dict):
                            name_known(content, known, random)
                case.call_and_validate(checks=HELD, headers=headers)

            try:
                ask()
            except Unsatisfiable:  # nothing that this operation must refuse can be written
                continue
            except BaseExceptionGroup as group:
                found[f"{operation.label} {mode.value}"] = "\n".join(str(error) for error in group.exceptions)
            except Exception as error:
                found[f"{operation.label} {mode.value}"] = str(error)
    return found


def name_known(content: dict[str, Any], known: Sequence[str], random: Random) -> None:
    """Have a question name items, a relation and a filter that exist."""
    for name in ("id", "a", "b", "startSongId", "endSongId", "source", "target"):
        if name in content:
            content[name] = random.choice(known)
    for name in ("items", "seeds", "negatives"):
        if isinstance(content.get(name), list):
            some = random.sample(known, min(len(content[name]) + 1, 3))
            plain = all(isinstance(one, str) for one in content[name]) and name != "negatives"
            content[name] = some if plain and content[name] else [{"id": one} for one in some]
    for name, value in (("relation", "similar"), ("where", "category!=none"), ("text", "hats"), ("category", "hats")):
        if name in content:
            content[name] = value


def told(wrong: dict[str, str]) -> str:
    """What went wrong, to read."""
    return "\n\n".join(f"{name}\n{text}" for name, text in wrong.items())


def test_whatever_is_asked_is_answered_as_described(catalog: Path, serve: Callable[[Settings], Any]) -> None:
    """No operation fails, answers with a status or a shape that it does not tell of, or takes what it must refuse."""
    wrong = failures(serve(Settings(catalog)), "", 12)
    assert not wrong, told(wrong)


def test_what_exists_is_answered_as_described(catalog: Path, serve: Callable[[Settings], Any]) -> None:
    """The same of questions about items, relations and filters that are there."""
    names = [f"{kind}/{number}.jpg" for number in range(8) for kind in ["hats" if number % 2 else "shoes"]]
    wrong = failures(serve(Settings(catalog)), "", 12, [*names, *(f"songs/{number}.wav" for number in range(4))])
    assert not wrong, told(wrong)


def test_a_server_that_writes_answers_as_described(catalog: Path, serve: Callable[[Settings], Any]) -> None:
    """Its key is asked for, and what is written is bounded and told of, whatever it is."""
    wrong = failures(serve(Settings(catalog, api_key=KEY, write=True)), "/api/(item|feedback|recommend)", 12)
    assert not wrong, told(wrong)
