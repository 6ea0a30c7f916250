"""Text of a behaviour file, plain or gzipped, with every way of failing told as one plain sentence."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TextIO, cast

from index.errors import InputError

_GZIP = b"\x1f\x8b"


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, gunzipped when its first bytes say that it is gzipped, whatever its name.

    Raises:
        OSError: It cannot be opened; see ``reading_errors``.
    """
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP
    return cast("IO[bytes]", gzip.open(path, "rb")) if zipped else path.open("rb")


def open_text(path: Path) -> TextIO:
    """Open a file as UTF-8 text with line ends kept, gunzipped when it is gzipped; a byte order mark is dropped.

    Raises:
        OSError: It cannot be opened; see ``reading_errors``.
    """
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP
    if zipped:
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Tell what goes wrong while a file is read as an ``InputError`` that names the file and the remedy.

    Raises:
        InputError: The file cannot be opened, is cut off or damaged, or is not UTF-8 text.
    """
    try:
        yield
    except EOFError:
        raise InputError(f"{path} is cut off: its gzip data ends too early; fetch the file again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is damaged gzip data ({error}); fetch the file again") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path} is not a readable table: {error}; check its quotes and separators") from None


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1, without surrounding white space.

    Raises:
        InputError: The file cannot be read.
    """
    with reading_errors(path), open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if text:
                yield number, text
