"""How OpenSubsonic answers are written: one envelope, as JSON or as XML, for what was found and for what went wrong."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from fastapi import Response

import simkin
from simkin.server.json import json_bytes

VERSION = "1.16.1"
"""Of the Subsonic protocol."""

GENERIC, MISSING, CLIENT_OLD, SERVER_OLD = 0, 10, 20, 30
WRONG_PASSWORD, NO_MECHANISM, CONFLICTING, WRONG_KEY, NOT_FOUND = 40, 42, 43, 44, 70
"""Error codes of the protocol."""

NAMESPACE = "http://subsonic.org/restapi"

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped (section 2.2)."""


class SubsonicError(Exception):
    """A request that fails in the protocol's own way: HTTP 200, an envelope with a code.

    Args:
        code: One of the protocol's.
        message: What was expected and what was found.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def envelope(content: dict[str, Any], form: str, *, ok: bool = True) -> Response:
    """An answer as the protocol has it.

    Args:
        content: Plain data. In XML scalars become attributes, objects and the members of lists elements, scalars in
            lists the text of elements.
        form: ``"json"``; anything else is XML, which is the protocol's default.
        ok: Whether it went well.
    """
    whole: dict[str, Any] = {
        "status": "ok" if ok else "failed",
        "version": VERSION,
        "type": "simkin",
        "serverVersion": simkin.__version__,
        "openSubsonic": True,
        **content,
    }
    if form == "json":
        return Response(json_bytes({"subsonic-response": whole}), media_type="application/json")
    root = ElementTree.Element("subsonic-response", {"xmlns": NAMESPACE})
    _fill(root, whole)
    text = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return Response(text, media_type="application/xml")


def failure(error: SubsonicError, form: str) -> Response:
    """An error as the protocol has it."""
    return envelope({"error": {"code": error.code, "message": error.message}}, form, ok=False)


def _fill(element: ElementTree.Element, content: dict[str, Any]) -> None:
    for name, value in content.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                _fill(ElementTree.SubElement(element, name), one)
            elif isinstance(value, list):
                ElementTree.SubElement(element, name).text = _text(one)
            elif one is not None:
                element.set(name, _text(one))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _FORBIDDEN.sub("\ufffd", str(value))
