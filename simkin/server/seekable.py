"""Files that can be read from any place on: ranges of bytes as RFC 9110 has them."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from simkin.server.errors import error_response

MOST_RANGES = 100
"""Parts asked for at once; of more the whole file is sent, which is less."""

_PART = re.compile(r"([0-9]*)-([0-9]*)")


class SeekableFile(FileResponse):
    """A file whose ``stat_result`` is given.

    A ``Range`` that is malformed, of another unit, of too many parts, or of a method other than GET is ignored, as
    RFC 9110 (14.2) allows and partly asks for: the whole file is sent. Of several parts those beyond the end are left
    out, and where all are, 416 says how long the file is.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked = Headers(scope=scope)
        given = asked.get("range")
        if given is not None:
            assert self.stat_result is not None
            size = self.stat_result.st_size
            parts = satisfiable(given, size) if self._applies(scope, asked) else None
            if parts == []:
                message = f"the file has {size} bytes; expected a range within them, not {given[:100]!r}"
                beyond = error_response(416, "RangeError", message, {"Content-Range": f"bytes */{size}"})
                await beyond(scope, receive, send)
                return
            headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
            if parts:
                told = ", ".join(f"{first}-{last}" for first, last in parts)
                headers.append((b"range", f"bytes={told}".encode()))
            scope = {**scope, "headers": headers}
        await super().__call__(scope, receive, send)

    def _applies(self, scope: Scope, asked: Headers) -> bool:
        """Whether ranges are looked at: for GET, and as long as the file is the one that ``If-Range`` means."""
        known = (None, self.headers["etag"], self.headers["last-modified"])
        return scope["method"] == "GET" and asked.get("if-range") in known


def satisfiable(given: str, size: int) -> list[tuple[int, int]] | None:
    """Read a ``Range`` (RFC 9110, 14.1.2) of a file.

    Args:
        given: The header's value, such as ``bytes=0-99, -100``.
        size: Bytes of the file.

    Returns:
        First and last place of each part that begins within the file, in order, cut at its end; ``None`` where the
        header is to be ignored.
    """
    unit, equals, ranges = given.partition("=")
    parts = [part.strip() for part in ranges.split(",") if part.strip()]
    if unit.strip().lower() != "bytes" or not equals or not 1 <= len(parts) <= MOST_RANGES:
        return None
    found = []
    for part in parts:
        match = _PART.fullmatch(part)
        if not match or match[0] == "-":
            return None
        first, last = (_place(digits, size) for digits in match.groups())
        if match[1] and match[2] and _later(match[1], match[2]):
            return None
        if not match[1]:
            first, last = max(0, size - last), size if last else 0
        elif not match[2]:
            last = size
        if first < size and last >= first:
            found.append((first, min(last, size - 1)))
    return found


def _place(digits: str, size: int) -> int:
    """A number, or the file's end where it lies beyond; of any length."""
    return int(digits) if len(digits) < 19 and digits else size


def _later(one: str, other: str) -> bool:
    """Whether a number is larger than another, both of any length."""
    one, other = one.lstrip("0"), other.lstrip("0")
    return (len(one), one) > (len(other), other)
