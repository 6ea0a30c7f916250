"""Keys as OpenSubsonic clients bring them: an API key, or our key as a password, plain, in hex or as a salted hash."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from simkin.server.subsonic_envelope import CONFLICTING, MISSING, WRONG_KEY, WRONG_PASSWORD, SubsonicError


def check_credentials(key: str, given: Mapping[str, str]) -> None:
    """See that a request brings the key, where there is one.

    The server knows one key and no users: whoever brings it, as ``apiKey`` or as the password of any user name, may
    ask. Tokens are md5(password + salt), as the protocol has them since 1.13.0.

    Args:
        key: The server's; empty for none, and then whatever is brought is as good.
        given: Parameters of the request.

    Raises:
        SubsonicError: 44 for a wrong API key, 40 for a wrong password or token, 43 for both ways at once,
            10 for neither.
    """
    if not key:
        return
    if "apiKey" in given:
        if given.keys() & {"u", "p", "t", "s"}:
            raise SubsonicError(CONFLICTING, "bring either apiKey, or u with a password or token")
        if not _same(given["apiKey"], key):
            raise SubsonicError(WRONG_KEY, "Invalid API key")
        return
    if "u" not in given or not ("p" in given or {"t", "s"} <= given.keys()):
        raise SubsonicError(
            MISSING, "this server asks for a key: as apiKey, or as the password of any user u (p, or t and s)"
        )
    if "p" in given:
        right = _same(_password(given["p"]), key)
    else:
        token = hashlib.md5((key + given["s"]).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
        right = _same(given["t"].lower(), token)
    if not right:
        raise SubsonicError(WRONG_PASSWORD, "Wrong username or password")


def _password(text: str) -> str:
    """A password, which may be spelt in hex after ``enc:``."""
    if not text.startswith("enc:"):
        return text
    try:
        return bytes.fromhex(text[4:]).decode()
    except ValueError:
        return ""


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode("utf-8", "replace"), right.encode("utf-8", "replace"))
