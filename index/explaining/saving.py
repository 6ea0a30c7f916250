"""Saving an explanation as a picture or a page."""

from __future__ import annotations

from pathlib import Path

from index.errors import InputError, StorageError
from index.explaining.explanation import Explanation

ENDINGS = (".png", ".html", ".htm")


def check_ending(path: Path) -> None:
    """Refuse a file that is neither a picture nor a page, before anything is worked out.

    Raises:
        InputError: Its name ends otherwise.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path} must end in .png or .html, which says what to draw")


def save(explanation: Explanation, path: Path) -> None:
    """Write an explanation; the name's ending says as what.

    Raises:
        InputError: The ending says nothing.
        StorageError: The file cannot be written.
    """
    check_ending(path)
    content = explanation.png() if path.suffix.lower() == ".png" else explanation.html().encode("utf-8")
    try:
        path.write_bytes(content)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None
