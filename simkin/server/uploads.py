"""Endpoints that take a file: a picture or sound from outside, asked about and forgotten."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from pydantic import ValidationError

from index.encoders import modality_of
from index.errors import InputError, MediaError
from index.live import LiveCatalog
from index.thumbnails import crop as cut
from index.types import Modality
from simkin.server.ask import query_of
from simkin.server.bodies import AnswerShape, Question
from simkin.server.errors import Refusal
from simkin.server.json import json_bytes
from simkin.server.service import json_text, service
from simkin.server.shapes import answer_json

router = APIRouter(tags=["questions"])


@router.post("/api/recommend/upload", summary="Ask about a file", response_model=AnswerShape)
async def recommend_upload(
    request: Request,
    file: Annotated[UploadFile, File(description="A picture or a sound.")],
    query: Annotated[str, Form(description="A question as JSON, as POST /api/recommend takes it.")] = "{}",
    crop: Annotated[str, Form(description="x,y,width,height as fractions of the upright picture.")] = "",
) -> Response:
    """The items closest to a picture or sound that the catalog need not have; it is not kept."""
    here = service(request)
    question = _question(query)
    box = _box(crop)
    ending, modality = ending_of(file)
    content = file.file

    def find(live: LiveCatalog) -> bytes:
        with kept_file(content, ending) as path:
            try:
                if box and modality == "image":
                    part = path.with_name("crop.png")
                    cut(path, box, part)
                    path = part
                return json_bytes(answer_json(live.recommender.ask(query_of(question, [path]))))
            except MediaError as error:
                reason = error.reason.removeprefix(f"{path}: ")
                raise Refusal(415, "MediaError", f"this file cannot be asked about: {reason}") from None

    return json_text(await here.slow.ask(find))


def ending_of(file: UploadFile) -> tuple[str, Modality]:
    """The ending of a file and what it is, by its name, or else by the type that the client says it has.

    Raises:
        Refusal: 415: it is neither picture nor sound.
    """
    name = file.filename or ""
    dot = name.rfind(".")
    modality = modality_of(name)
    if modality:
        return name[dot:].lower(), modality
    kind = (file.content_type or "").partition("/")[0].lower()
    if kind == "image":
        return ".png", "image"
    if kind == "audio":
        return ".wav", "audio"
    raise Refusal(415, "MediaError", f"expected a picture or a sound by its name's ending, not {name[-80:]!r}")


@contextmanager
def kept_file(content: BinaryIO, ending: str) -> Iterator[Path]:
    """A file on disk while the body runs; decoders go by its content, its name is ours."""
    folder = Path(tempfile.mkdtemp(prefix="simkin-upload-"))
    try:
        path = folder / f"upload{ending}"
        content.seek(0)
        with path.open("wb") as out:
            shutil.copyfileobj(content, out)
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _question(text: str) -> Question:
    try:
        return Question.model_validate_json(text or "{}")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("query", *first["loc"])))
        raise Refusal(422, "ValidationError", f"{place}: {first['msg']}") from None


def _box(text: str) -> tuple[float, float, float, float] | None:
    if not text.strip():
        return None
    try:
        left, top, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"a crop is x,y,width,height as fractions of the picture, not {text[:80]!r}") from None
    return left, top, width, height
