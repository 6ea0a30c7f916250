"""JSON as bytes, fast, of whatever a catalog's attributes may hold."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson


def json_bytes(content: Any) -> bytes:
    """Write plain data as JSON; numbers that are none become null, halves of characters are replaced."""
    try:
        return orjson.dumps(content)
    except TypeError:  # whole numbers beyond 64 bits, or text with halves of characters
        return json.dumps(_plain(content), allow_nan=False).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value
