"""What two songs have in common, in words and real numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from index.explaining.explanation import Moment
from index.explaining.keys import SongKey, read_key
from index.explaining.wording import clock
from index.lists.tracks import TAGGED
from index.types import Attribute

if TYPE_CHECKING:
    from index.encoders import Heard

SAME_TEMPO = 0.04
"""Difference in tempo up to which two songs go at the same pace: what a DJ's pitch control makes up for."""

BRIGHTER = 1.2
"""Ratio of spectral middles from which one song is called brighter."""

STRUCK = 0.25
"""Share of the power in hits from which a song is called percussive."""

STEADIER = 1.5
"""Ratio of the deviations of loudness from which one song is called livelier."""


KEYS = ("key", "initialkey", "initial_key")
"""Attributes in which tables and tags tell a key."""

Known = Mapping[str, Attribute]
"""What a table or a file's tags say of a song."""


def song_words(one: Heard, other: Heard, facets: list[str], known: tuple[Known, Known] = ({}, {})) -> list[str]:
    """A sentence for each thing that is known or was estimated of both songs, of the facet that matters most first.

    Args:
        facets: Names, largest share first.
        known: Attributes of both; a tempo or key among them is told in place of the estimated one, as it stands
            beside the song everywhere else.
    """
    said = {
        "rhythm": [_tempo(_tempo_of(one, known[0]), _tempo_of(other, known[1]))],
        "harmony": [_key(_key_of(one, known[0]), _key_of(other, known[1]))],
        "timbre": _sound(one, other),
    }
    order = [name for name in facets if name in said] + [name for name in said if name not in facets]
    return [line for name in order for line in said[name]]


def moments_word(moments: tuple[Moment, ...]) -> str:
    """Where the two sound most alike."""
    first = moments[0]
    return (
        f"Most alike for {first.seconds:.0f} seconds from {clock(first.a)} of the first and {clock(first.b)} of the "
        f"second ({first.score:.2f})."
    )


def _tempo_of(heard: Heard, known: Known) -> float | None:
    for name in TAGGED["tempo"]:
        value = known.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
            return float(value)
    return heard.portrait.tempo


def _tempo(a: float | None, b: float | None) -> str:
    if a is None or b is None:
        lacking = "either" if a is None and b is None else "the first" if a is None else "the second"
        known = "" if a is None and b is None else f"; the other goes at about {(a or b or 0):.0f} BPM"
        return f"No steady beat was found in {lacking}{known}."
    octaves = math.log2(a / b)
    near = round(octaves)
    if abs(octaves - near) > math.log2(1 + SAME_TEMPO):
        return f"About {a:.0f} BPM against {b:.0f}."
    if near == 0:
        beats = f"{a:.0f}" if round(a) == round(b) else f"{a:.0f} and {b:.0f}"
        return f"Both go at about {beats} BPM."
    times = {1: "twice", 2: "four times"}.get(abs(near), f"{2 ** abs(near)} times")
    return f"About {a:.0f} and {b:.0f} BPM: the same pace, counted {times} as fast."


def _key_of(heard: Heard, known: Known) -> SongKey | None:
    told = next(filter(None, (read_key(known.get(name)) for name in KEYS)), None)
    found = heard.portrait.key
    return told or (SongKey(found.tonic, found.minor, told=False) if found else None)


def _key(a: SongKey | None, b: SongKey | None) -> str:
    if a is None or b is None:
        if a is None and b is None:
            return "Neither leans to a key."
        known = a or b
        assert known is not None
        which, lacking = ("first", "second") if a else ("second", "first")
        return f"The {which} {'is in' if known.told else 'leans to'} {known.name}, the {lacking} leans to no key."
    if a.name == b.name:
        verb = "are in" if a.told and b.told else "lean to"
        return f"Both {verb} {a.name} (the notes of {a.relative.name})."
    verbs = ["is in" if key.told else "leans to" for key in (a, b)]
    again = verbs[1].split()[-1] if verbs[0] == verbs[1] else verbs[1]
    told = f"The first {verbs[0]} {a.name}, the second {again} {b.name}"
    if a.relative.name == b.name:
        return f"{told}: the same notes."
    if a.minor == b.minor and (a.tonic - b.tonic) % 12 in (5, 7):
        return f"{told}, a fifth apart."
    return f"{told}; harmony is compared in whatever key."


def _sound(one: Heard, other: Heard) -> list[str]:
    a, b = one.portrait, other.portrait
    middles = f"the middle of the spectrum lies at {_hertz(a.brightness)} and {_hertz(b.brightness)} Hz"
    if max(a.brightness, b.brightness) < BRIGHTER * min(a.brightness, b.brightness):
        bright = f"About equally bright: {middles}."
    else:
        bright = f"The {'first' if a.brightness > b.brightness else 'second'} is brighter: {middles}."
    shares = f"({100 * a.percussive:.0f} % and {100 * b.percussive:.0f} % of the power)"
    hits = [a.percussive >= STRUCK, b.percussive >= STRUCK]
    if all(hits):
        struck = f"Hits carry much of both {shares}."
    elif not any(hits):
        struck = f"Tones carry both, more than hits do {shares}."
    else:
        struck = f"Hits carry more of the {'first' if hits[0] else 'second'} {shares}."
    moves = f"(± {a.motion:.1f} and ± {b.motion:.1f} dB)"
    if max(a.motion, b.motion) < STEADIER * max(min(a.motion, b.motion), 0.5):
        motion = f"Loudness moves about as much in both {moves}."
    else:
        motion = f"Loudness moves more in the {'first' if a.motion > b.motion else 'second'} {moves}."
    return [bright, struck, motion]


def _hertz(value: float) -> str:
    return f"{round(value, -2 if value >= 1000 else -1):,.0f}"
