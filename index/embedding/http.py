"""Fetching over HTTP with limits: bytes, seconds, redirects, and no way from outside into a private network."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from email.message import Message
from pathlib import Path
from typing import IO, Any

from index.errors import MediaError

SILENT_SECONDS = 10.0
"""A server that says nothing for so long is given up."""

SECONDS = 60.0
"""Longest time for one file."""

REDIRECTS = 5

ATTEMPTS = 3
"""Servers that are busy or break off are asked so often, a second apart, then two."""

_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers that may be another one in a second."""

_BLOCK = 1 << 16
_SAFE = "/%:@!$&'()*+,;=~-._"


def fetch(url: str, target: Path, largest: int, seconds: float = SECONDS) -> None:
    """Write what an address holds to a file.

    A redirect to another server is followed only to a public address, whatever its name resolves to: the
    address is checked on the open connection. ``HTTP_PROXY`` and its kin are respected.

    Args:
        url: ``http://`` or ``https://``.
        target: Written anew.
        largest: Bytes allowed.
        seconds: For all of it, attempts included.

    Raises:
        MediaError: Stage ``"read"``; it cannot be had, is too large, or takes too long.
    """
    deadline = time.monotonic() + seconds
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _fetch_once(url, target, largest, deadline)
            return
        except urllib.error.HTTPError as error:
            told = str(error.reason).partition("\n")[0]
            reason, again = f"the server answers {error.code} {told}", error.code in _PASSING
        except _RefusedError as error:
            reason, again = str(error), False
        except (OSError, http.client.HTTPException, ValueError) as error:
            cause = getattr(error, "reason", error)
            if isinstance(cause, _RefusedError):
                raise MediaError("read", str(cause)) from None
            text = str(getattr(cause, "strerror", None) or cause or type(cause).__name__).lower()
            reason, again = f"it cannot be fetched: {text}", not isinstance(error, ValueError)
        if not again or attempt == ATTEMPTS or time.monotonic() + attempt > deadline:
            raise MediaError("read", reason)
        time.sleep(attempt)


class _RefusedError(Exception):
    """Not to be fetched, however often it is tried."""


def _fetch_once(url: str, target: Path, largest: int, deadline: float) -> None:
    request = _request(url)
    request.first = request.last = _origin(url)
    with _opener().open(request, timeout=SILENT_SECONDS) as answer, target.open("wb") as file:
        told = answer.headers.get("Content-Length", "")
        expected = int(told) if told.isdigit() else -1
        if expected > largest:
            raise _RefusedError(f"it has {expected:,} bytes, more than the {largest:,} allowed")
        packed = answer.headers.get("Content-Encoding", "").lower() in ("gzip", "deflate")
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if packed else None
        length = written = 0
        while block := answer.read1(_BLOCK):
            length += len(block)
            content = unpack.decompress(block, largest + 1 - written) if unpack else block
            written += len(content)
            if written > largest:
                raise _RefusedError(f"it has more than the {largest:,} bytes allowed")
            if time.monotonic() > deadline:
                raise _RefusedError("it took too long and was given up")
            file.write(content)
    if 0 <= length < expected:
        raise OSError(f"the connection ended after {length:,} of {expected:,} bytes")


def _request(url: str) -> _Request:
    """A request for an address as people write it: with spaces, other scripts, or a name and password."""
    parts = urllib.parse.urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode() if not (parts.hostname or "").isascii() else parts.hostname
    place = f"[{host}]" if host and ":" in host else host or ""
    place += f":{parts.port}" if parts.port else ""
    path = urllib.parse.quote(parts.path, safe=_SAFE)
    query = urllib.parse.quote(parts.query, safe=_SAFE + "?")
    headers = {"User-Agent": "simkin"}
    if parts.username is not None:
        secret = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
    return _Request(urllib.parse.urlunsplit((parts.scheme, place, path, query, "")), headers=headers)


class _Request(urllib.request.Request):
    """Remembers the server that was named first, and the one asked now."""

    first = last = ("", "", 0)

    @property
    def strayed(self) -> bool:
        """Whether a redirect led to another server."""
        return self.last != self.first


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = REDIRECTS

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message[str, str], newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            raise _RefusedError(f"the server redirects to {newurl[:200]}, which is no http address")
        follow = _request(newurl)
        follow.first, follow.last = getattr(req, "first", _Request.first), _origin(newurl)
        return follow


class _Plain(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_guard(req, http.client.HTTPConnection), req)


class _Encrypted(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_guard(req, http.client.HTTPSConnection), req)


def _opener() -> urllib.request.OpenerDirector:
    """Only http and https: no files, no ftp, no data addresses."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(), _Plain(), _Encrypted(), _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(), urllib.request.HTTPErrorProcessor(),
    ):  # fmt: skip
        opener.add_handler(handler)
    return opener


def _guard(req: urllib.request.Request, kind: type[http.client.HTTPConnection]) -> Any:
    """The connection class to use: one that looks at whom it reached, once a redirect led elsewhere."""
    if not isinstance(req, _Request) or not req.strayed:
        return kind
    if req.has_proxy():  # the proxy resolves the name; ask for ourselves what it means
        for *_, address in socket.getaddrinfo(req.last[1], req.last[2], type=socket.SOCK_STREAM):
            _check_public(str(address[0]))
        return kind

    class Guarded(kind):  # type: ignore[valid-type, misc]
        def connect(self) -> None:
            super().connect()
            try:
                _check_public(self.sock.getpeername()[0])
            except _RefusedError:
                self.close()
                raise

    return Guarded


def _check_public(address: str) -> None:
    ip = ipaddress.ip_address(address.partition("%")[0])
    plain = getattr(ip, "ipv4_mapped", None) or ip
    if not plain.is_global or plain.is_multicast:
        raise _RefusedError(f"the server redirects into a private network ({plain}), which is not followed")


def _origin(url: str) -> tuple[str, str, int]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
