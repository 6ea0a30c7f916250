"""Styles of the demo's songs: who plays what, when, and how loud.

A pattern has one sign per sixteenth of a bar, 16 signs in common time and 12 in three-four; ``.`` is a rest.
"""

from __future__ import annotations

from dataclasses import dataclass

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
"""Semitones above the tonic of the seven degrees."""

CHORDS: dict[str, tuple[tuple[int, ...], ...]] = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 0, 4), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 0, 4), (0, 6, 5, 6), (0, 3, 6, 2)),
}
"""Progressions: degrees that the chord of each bar stands on, 0 the tonic."""


@dataclass(frozen=True, slots=True)
class Style:
    """A way of playing.

    Attributes:
        ensemble: Name of its players, to which a number is added.
        tempi: Slowest and fastest, beats per minute.
        minor: Share of songs in a minor key.
        leads: Instruments of the melody, one for each of two ensembles.
        lead_rhythms: Bars of melody, ``x`` where a note begins.
        lead_waits: Bars before the melody sets in.
        chord_pattern: ``c`` for the whole chord, ``0`` to ``3`` for one of its tones from below.
        bass_pattern: ``1`` for the root of the chord, ``5`` for its fifth, ``8`` for the octave, and so on.
        drums: Stroke, gain, pan (-1..1) and pattern, ``x`` strong and ``o`` soft.
        drums_wait: Whether the first bar is without drums.
        swing: How late off-beat eighths come, in sixteenths.
        room: Strength of the reflections.
        repeats: Strength of the echo after each beat, 0 for none.
    """

    name: str
    ensemble: str
    tempi: tuple[int, int]
    minor: float
    leads: tuple[str, str]
    lead_rhythms: tuple[str, ...]
    chord: str
    chord_pattern: str
    bass: str
    bass_pattern: str
    drums: tuple[tuple[str, float, float, str], ...] = ()
    steps: int = 16
    lead_gain: float = 0.5
    lead_octave: int = 5
    lead_hold: int = 8
    lead_waits: int = 0
    chord_gain: float = 0.22
    chord_octave: int = 4
    chord_hold: int = 16
    bass_gain: float = 0.5
    bass_hold: int = 8
    drums_wait: bool = False
    swing: float = 0.0
    room: float = 1.0
    repeats: float = 0.0


STYLES: tuple[Style, ...] = (
    Style(
        "folk", "Plucked strings", (88, 112), 0.3,
        leads=("steel", "flute"), lead_rhythms=("x...x.x.x...x...", "x.....x.x.x.x...", "x...x...x.x.x..."),
        chord="nylon", chord_pattern="0.2.1.3.0.2.1.3.", bass="upright", bass_pattern="1.......5.......",
        chord_gain=0.34, lead_octave=4, lead_gain=0.6, room=0.8,
    ),
    Style(
        "house", "Dance machines", (120, 128), 0.7,
        leads=("square", "lead"), lead_rhythms=("x..x..x...x..x..", "x..x....x..x..x."),
        chord="stab", chord_pattern="..c...c...c...c.", bass="acid", bass_pattern="..1...1...1...8.",
        drums=(
            ("kick", 1.0, 0.0, "x...x...x...x..."), ("clap", 0.4, 0.0, "....x.......x..."),
            ("hat", 0.22, 0.3, "x.o.x.o.x.o.x.oo"), ("open", 0.26, 0.3, "..x...x...x...x."),
        ),
        lead_gain=0.4, lead_hold=2, lead_waits=2, bass_hold=2, chord_hold=2, repeats=0.4,
    ),
    Style(
        "ambient", "Slow pads", (72, 80), 0.5,
        leads=("glass", "choir"), lead_rhythms=("x.......x.......", "x...........x...", "....x.......x..."),
        chord="pad", chord_pattern="c...............", bass="sub", bass_pattern="1...............",
        lead_gain=0.42, lead_hold=16, chord_gain=0.32, bass_gain=0.4, bass_hold=16, room=1.6, repeats=0.5,
    ),
    Style(
        "waltz", "Waltz band", (138, 168), 0.4,
        leads=("accordion", "flute"), lead_rhythms=("x.......x...", "x...x.x.x...", "x.....x.x.x."),
        chord="accordion", chord_pattern="....c...c...", bass="upright", bass_pattern="1...........",
        drums=(("brush", 0.35, 0.2, "....x...o..."),),
        steps=12, chord_gain=0.24, chord_hold=2, lead_gain=0.5, bass_gain=0.7,
    ),
    Style(
        "rock", "Electric guitars", (132, 152), 0.6,
        leads=("solo", "organ"), lead_rhythms=("x...x.x.x.....x.", "x.x.x...x.x.x..."),
        chord="power", chord_pattern="c.c.c.c.c.c.c.cc", bass="round", bass_pattern="1.1.1.1.1.1.1.1.",
        drums=(
            ("kick", 0.9, 0.0, "x.....x.x.x....."), ("snare", 0.75, 0.0, "....x.......x..."),
            ("hat", 0.3, 0.4, "x.o.x.o.x.o.x.o."),
        ),
        lead_gain=0.6, chord_gain=0.62, chord_octave=2, lead_octave=4, lead_waits=2, bass_gain=0.45, room=0.6,
    ),
    Style(
        "bells", "Bell choir", (84, 104), 0.3,
        leads=("bell", "glass"), lead_rhythms=("x...x...x.x.x...", "x.....x.x...x...", "x.x.x.x.x......."),
        chord="glass", chord_pattern="0...1...2...1...", bass="bell", bass_pattern="1.......5.......",
        lead_hold=16, chord_gain=0.3, bass_gain=0.28, bass_hold=16, room=1.5, repeats=0.3,
    ),
    Style(
        "dub", "Echo chamber", (72, 82), 0.8,
        leads=("organ", "flute"), lead_rhythms=("......x.x...x...", "x.x...........x."),
        chord="organ", chord_pattern="....c.......c...", bass="sub", bass_pattern="1..1..5...1.8...",
        drums=(
            ("kick", 0.9, 0.0, "........x......."), ("stick", 0.4, 0.2, "........x......o"),
            ("hat", 0.25, 0.4, "x.o.x.o.x.o.x.oo"),
        ),
        lead_gain=0.4, lead_octave=4, lead_hold=3, chord_hold=2, chord_gain=0.3, bass_gain=0.7, bass_hold=3,
        swing=0.4, repeats=0.6,
    ),
    Style(
        "swing", "Swing trio", (132, 164), 0.3,
        leads=("epiano", "nylon"), lead_rhythms=("x...x.x...x.x...", "..x.x.x.x.....x.", "x.x...x.x.x....."),
        chord="epiano", chord_pattern="......c.......c.", bass="upright",
        bass_pattern="1...3...5...6...",
        drums=(
            ("ride", 0.3, 0.4, "x...x.x.x...x.x."), ("brush", 0.22, -0.2, "....x.......x..."),
            ("thump", 0.35, 0.0, "x.......o......."),
        ),
        chord_hold=2, chord_gain=0.28, bass_gain=0.55, bass_hold=4, swing=0.66, room=0.7,
    ),
    Style(
        "synthwave", "Night synthesisers", (100, 116), 0.8,
        leads=("lead", "square"), lead_rhythms=("x.....x.....x...", "x.......x...x...", "x...x...x......."),
        chord="pad", chord_pattern="c...............", bass="acid", bass_pattern="1.1.8.1.1.1.8.1.",
        drums=(
            ("kick", 0.9, 0.0, "x.......x......."), ("snare", 0.7, 0.0, "....x.......x..."),
            ("hat", 0.2, 0.4, "x.x.x.x.x.x.x.x."),
        ),
        lead_gain=0.5, chord_gain=0.2, bass_gain=0.5, bass_hold=2, room=1.2, repeats=0.45,
    ),
    Style(
        "breakbeat", "Fast drums", (160, 168), 0.7,
        leads=("stab", "epiano"), lead_rhythms=("x..x..x.........", "x.....x..x......"),
        chord="choir", chord_pattern="c...............", bass="sub", bass_pattern="1.........5.....",
        drums=(
            ("kick", 0.95, 0.0, "x.x.......xx...."), ("snare", 0.8, 0.0, "....x..o.o..x..o"),
            ("ride", 0.22, 0.4, "x.x.x.x.x.x.x.x."), ("hat", 0.2, -0.3, "xoxoxoxoxoxoxoxo"),
        ),
        lead_gain=0.5, lead_waits=2, chord_gain=0.26, bass_gain=0.6, repeats=0.35,
    ),
)  # fmt: skip
"""Every style, in the order in which they are dealt."""
