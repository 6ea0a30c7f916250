"""Keys of songs that a table or a file's tags tell: read from text, and named as musicians say them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from index.types import Attribute

NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
"""Of the twelve tones, from C upwards."""

LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SIGNS = {"": 0, "#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}

_KEY = re.compile(r"([A-Ga-g])[ -]?(#|♯|sharp|b|♭|flat)?[ -]?(major|maj|minor|min|m|M|)")


@dataclass(frozen=True, slots=True)
class SongKey:
    """A key.

    Attributes:
        tonic: 0 for C to 11 for B.
        minor: Else major.
        told: Whether a table or a tag says so; else it was estimated from the sound.
    """

    tonic: int
    minor: bool
    told: bool

    @property
    def name(self) -> str:
        """As musicians say it: ``F♯ minor``."""
        return f"{NAMES[self.tonic]} {'minor' if self.minor else 'major'}"

    @property
    def relative(self) -> SongKey:
        """The key of the other mode that has the same notes."""
        return SongKey((self.tonic + (3 if self.minor else -3)) % 12, not self.minor, self.told)


def read_key(value: Attribute) -> SongKey | None:
    """Read a key as tables and tags write it, ``A major``, ``F#m``, ``Eb min``; ``None`` for anything else."""
    match = _KEY.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    letter, sign, mode = match.groups()
    tonic = (LETTERS[letter.upper()] + SIGNS[sign or ""]) % 12
    return SongKey(tonic, mode in ("minor", "min", "m"), told=True)
