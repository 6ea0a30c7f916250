"""The endpoint shaped like OpenAI's, so that its clients can ask for vectors."""

from __future__ import annotations

import base64
import binascii
import io
import re
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from index.answering.embeddings import file_vector, stored_vector
from index.encoders import AUDIO_SUFFIXES, IMAGE_SUFFIXES
from index.errors import InputError, MediaError, UnknownNameError
from index.live import LiveCatalog
from index.types import Vector
from simkin.server.bodies import EmbeddingRequest
from simkin.server.errors import Refusal
from simkin.server.json import json_bytes
from simkin.server.service import json_response, json_text, service
from simkin.server.uploads import kept_file

router = APIRouter(tags=["vectors"])

MOST_INPUTS = 256

_DATA = re.compile(r"data:(image|audio)/([a-z0-9.+-]{1,40})((?:;[^;,]{0,100}){0,4}),", re.ASCII)
_ENDINGS = {"mpeg": ".mp3", "mp4": ".m4a", "x-wav": ".wav", "wave": ".wav", "svg+xml": ".svg"}


@router.post("/v1/embeddings", summary="Vectors, as OpenAI's API gives them")
async def embeddings(request: Request, asked: EmbeddingRequest) -> Response:
    """One vector for each input: an item's id, a data URL, or base64 of a picture or sound."""
    inputs = [asked.input] if isinstance(asked.input, str) else asked.input
    if not 1 <= len(inputs) <= MOST_INPUTS:
        raise InputError(f"1 to {MOST_INPUTS} inputs are taken at once, not {len(inputs)}")
    here = service(request)
    held = await here.questions.ask(lambda live: list(live.catalog.encoders()))
    if asked.model not in held:
        told = UnknownNameError.of("model", asked.model, held)
        error = {"message": str(told), "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
        return json_response({"error": error}, 404)
    found: list[dict[str, Any]] = []
    for number, text in enumerate(inputs):  # one by one, so that others' requests come in between
        vector = await here.slow.ask(lambda live, text=text: _vector(live, asked.model, text))  # type: ignore[misc]
        shown = (
            base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()
            if asked.encoding_format == "base64"
            else vector.tolist()
        )
        found.append({"object": "embedding", "index": number, "embedding": shown})
    usage = {"prompt_tokens": len(inputs), "total_tokens": len(inputs)}
    return json_text(json_bytes({"object": "list", "data": found, "model": asked.model, "usage": usage}))


def _vector(live: LiveCatalog, model: str, text: str) -> Vector:
    catalog = live.catalog
    modality = catalog.encoders()[model].card.modality
    told = _DATA.match(text[:600])
    if told is None:
        try:
            return stored_vector(catalog, model, text)
        except UnknownNameError:
            content = _decoded(text)
            if content is None:
                raise
            ending = ".png" if modality == "image" else ".wav"
    else:
        if told[1] != modality:
            raise InputError(f"{model} describes {modality} files, not {told[1]}")
        content = _decoded(text[told.end() :]) if ";base64" in told[3] else None
        if content is None:
            raise InputError("a data URL must carry base64: data:image/jpeg;base64,…")
        ending = _ENDINGS.get(told[2], f".{told[2]}")
        if ending not in IMAGE_SUFFIXES | AUDIO_SUFFIXES:
            ending = ".png" if modality == "image" else ".wav"
    with kept_file(io.BytesIO(content), ending) as path:
        try:
            return file_vector(catalog, model, path, live.recommender.encoders)
        except MediaError as error:
            raise Refusal(415, "MediaError", f"this input cannot be described: {error.reason}") from None


def _decoded(text: str) -> bytes | None:
    """What base64 holds, when it is that and long enough to be a file."""
    if len(text) < 64:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
