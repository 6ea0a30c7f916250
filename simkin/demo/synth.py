"""Instruments of the demo's songs: single notes and drum strokes, rendered once and used again.

Sound is float32, mono, shape ``(samples,)``, within about -1..1. Pitches are MIDI note numbers (69 is A, 440 Hz).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Voice:
    """How one instrument sounds.

    Attributes:
        partials: Strength of the 1st, 2nd, ... harmonic.
        decay: Fall of the whole note per second, as in ``exp(-decay * t)``; 0 sustains.
        damping: Additional fall per second for each harmonic above the first: the note grows duller.
        attack_s: Seconds until the note is at full strength.
        tremolo: Depth 0..1 of a 5.5 Hz swell.
        detune: Frequencies sounded together, as factors.
        fm: Ratio, depth and fall per second of a modulator (bells, electric piano); replaces the partials.
        drive: Above 0, saturation, as of a guitar amplifier.
        length_s: Longest note.
    """

    partials: tuple[float, ...] = (1.0,)
    decay: float = 0.0
    damping: float = 0.0
    attack_s: float = 0.004
    tremolo: float = 0.0
    detune: tuple[float, ...] = (1.0,)
    fm: tuple[float, float, float] | None = None
    drive: float = 0.0
    length_s: float = 2.0


def _saw(count: int, slope: float = 1.0) -> tuple[float, ...]:
    return tuple(k**-slope for k in range(1, count + 1))


def _string(count: int, pluck: float, slope: float = 1.0) -> tuple[float, ...]:
    """Harmonics of a string plucked at a fraction ``pluck`` of its length."""
    return tuple(abs(float(np.sin(np.pi * k * pluck))) * k**-slope for k in range(1, count + 1))


VOICES: dict[str, Voice] = {
    "nylon": Voice(_string(10, 0.28, 1.1), decay=1.8, damping=1.3),
    "steel": Voice(_string(14, 0.13, 0.8), decay=1.5, damping=0.7, detune=(1.0, 1.002)),
    "upright": Voice(_string(8, 0.3, 1.2), decay=2.6, damping=1.6, attack_s=0.01),
    "organ": Voice((1.0, 0.8, 0.5, 0.35, 0.0, 0.25, 0.0, 0.15), attack_s=0.012, tremolo=0.18),
    "accordion": Voice((1, 0.5, 0.7, 0.3, 0.45, 0.2, 0.3, 0.1, 0.15), attack_s=0.03, detune=(0.9965, 1.0035)),
    "flute": Voice((1.0, 0.28, 0.08), attack_s=0.06, tremolo=0.22),
    "pad": Voice(_saw(7, 1.6), attack_s=0.7, tremolo=0.08, detune=(0.995, 1.0, 1.006), length_s=3.4),
    "choir": Voice(
        (0.6, 1.0, 0.9, 0.2, 0.1, 0.25, 0.1), attack_s=0.5, tremolo=0.15, detune=(0.996, 1.004), length_s=3.4
    ),
    "lead": Voice(_saw(14), decay=0.5, damping=0.25, attack_s=0.01, tremolo=0.1, detune=(1.0, 1.004)),
    "square": Voice(tuple(1 / k if k % 2 else 0.0 for k in range(1, 14)), decay=1.6, damping=0.3),
    "stab": Voice(_saw(12, 0.9), decay=5.0, damping=0.8, detune=(0.994, 1.006), length_s=0.8),
    "acid": Voice(_saw(14, 0.9), decay=2.2, damping=1.3, length_s=1.0),
    "round": Voice((1.0, 0.45, 0.12), decay=1.4, damping=1.0, attack_s=0.008),
    "sub": Voice((1.0, 0.15), decay=0.8, attack_s=0.012),
    "power": Voice(_saw(6, 1.2), decay=0.7, detune=(1.0, 1.498, 2.003), drive=4.0, attack_s=0.006),
    "solo": Voice(_saw(8), decay=0.4, tremolo=0.12, drive=2.5, attack_s=0.01),
    "bell": Voice(fm=(3.5, 2.6, 2.2), decay=1.5, length_s=3.0),
    "glass": Voice(fm=(7.0, 1.1, 4.0), decay=2.0, length_s=2.4),
    "epiano": Voice(fm=(1.0, 1.1, 2.5), decay=1.7, attack_s=0.006),
}
"""Every instrument with pitch."""

DRUMS = ("kick", "thump", "snare", "brush", "clap", "hat", "open", "ride", "stick")
"""Every drum stroke."""

_LEVEL = 0.3  # root mean square of a note's first 0.3 s at full strength: instruments are equally loud


class Synth:
    """Renders notes at one sample rate and keeps them.

    Args:
        rate: Samples per second.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._notes: dict[tuple[str, int], Sound] = {}
        self._drums: dict[str, Sound] = {}

    def note(self, voice: str, pitch: int, seconds: float) -> Sound:
        """One note, faded out at its end; a copy, at most as long as the voice allows."""
        key = voice, pitch
        if key not in self._notes:
            self._notes[key] = _render(VOICES[voice], pitch, self.rate)
        sound = self._notes[key][: max(1, round(seconds * self.rate))].copy()
        fade = min(sound.size, round(0.05 * self.rate))
        sound[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
        return sound

    def drum(self, name: str) -> Sound:
        """One stroke; not to be written to."""
        if name not in self._drums:
            self._drums[name] = _STROKES[name](self.rate)
        return self._drums[name]


def _render(voice: Voice, pitch: int, rate: int) -> Sound:
    hertz = 440.0 * 2 ** ((pitch - 69) / 12)
    t = _seconds(voice.length_s, rate)
    sound = np.zeros(t.size, dtype=np.float32)
    for factor in voice.detune:
        phase = np.float32(2 * np.pi * hertz * factor) * t
        sound += _bell(phase, voice.fm, t) if voice.fm else _harmonics(phase, voice, hertz * factor, t, rate)
    if voice.drive:
        sound = np.tanh(voice.drive * sound / max(float(np.abs(sound).max()), 1e-9))
    if voice.decay:
        sound *= np.exp(-voice.decay * t)
    if voice.tremolo:
        sound *= 1 - voice.tremolo * (0.5 - 0.5 * np.cos(np.float32(2 * np.pi * 5.5) * t))
    rise = max(2, round(voice.attack_s * rate))
    sound[:rise] *= np.sin(np.linspace(0, np.pi / 2, rise, dtype=np.float32)) ** 2
    first = sound[rise : rise + round(0.3 * rate)]
    return sound * np.float32(_LEVEL / np.sqrt(np.square(first).mean()))


def _harmonics(phase: Sound, voice: Voice, hertz: float, t: Sound, rate: int) -> Sound:
    """Sum of the partials below half the sample rate; sin(kx) follows from its two predecessors."""
    before, now = np.zeros_like(phase), np.sin(phase)
    twice = 2 * np.cos(phase)
    duller = np.exp(-voice.damping * t) if voice.damping else None
    fall: Sound | None = None
    total = np.zeros_like(phase)
    for k, strength in enumerate(voice.partials, start=1):
        if k * hertz > 0.45 * rate:
            break
        if strength:
            total += np.float32(strength) * (now if fall is None else now * fall)
        before, now = now, twice * now - before
        if duller is not None:
            fall = duller if fall is None else fall * duller
    return total


def _bell(phase: Sound, fm: tuple[float, float, float], t: Sound) -> Sound:
    ratio, depth, fall = fm
    sway = np.float32(depth) * np.exp(-fall * t) * np.sin(ratio * phase)
    return np.asarray(np.sin(phase + sway), dtype=np.float32)


def _seconds(length_s: float, rate: int) -> Sound:
    """Times of the samples in seconds."""
    return np.arange(round(length_s * rate), dtype=np.float32) / np.float32(rate)


def _full(sound: Sound) -> Sound:
    """The same sound with a peak of 1."""
    return np.asarray(sound / np.abs(sound).max(), dtype=np.float32)


def _noise(t: Sound, *, bright: int = 0) -> Sound:
    """White noise, the same each time; each step of ``bright`` takes away more of the low end."""
    noise = np.random.default_rng(t.size).standard_normal(t.size + bright).astype(np.float32)
    for _ in range(bright):
        noise = np.diff(noise)
    return _full(noise)


def _kick(length_s: float, high: float, low: float, fall: float) -> Callable[[int], Sound]:
    """A drum head whose pitch drops from ``high`` to ``low`` Hz."""

    def stroke(rate: int) -> Sound:
        t = _seconds(length_s, rate)
        cycles = low * t + (high - low) / 28 * (1 - np.exp(-28 * t))
        return _full(np.sin(2 * np.pi * cycles) * np.exp(-fall * t))

    return stroke


def _rattle(
    length_s: float, fall: float, *, bright: int, tone_hz: float = 0.0, hands: int = 1
) -> Callable[[int], Sound]:
    """A burst of noise, with a tone below it, struck by several hands 12 ms apart."""

    def stroke(rate: int) -> Sound:
        t = _seconds(length_s, rate)
        sound = _noise(t, bright=bright) * np.exp(-fall * t)
        if tone_hz:
            sound = 0.7 * sound + 0.5 * np.sin(np.float32(2 * np.pi * tone_hz) * t) * np.exp(-1.6 * fall * t)
        total = np.zeros_like(sound)
        for hand in range(hands):
            start = round(0.012 * hand * rate)
            total[start:] += sound[: sound.size - start]
        return _full(total)

    return stroke


def _ride(rate: int) -> Sound:
    """A cymbal: bright noise with a few partials that belong to no harmonic series."""
    t = _seconds(0.6, rate)
    ping = sum(np.sin(np.float32(2 * np.pi * hertz) * t) for hertz in (2470.0, 3530.0, 4790.0, 6110.0))
    sound = (0.6 * _noise(t, bright=2) + 0.12 * ping) * np.exp(-7 * t)
    return _full(sound)


_STROKES: dict[str, Callable[[int], Sound]] = {
    "kick": _kick(0.35, 150, 48, 9),
    "thump": _kick(0.45, 90, 52, 8),
    "snare": _rattle(0.25, 17, bright=0, tone_hz=190),
    "brush": _rattle(0.2, 14, bright=1),
    "clap": _rattle(0.22, 22, bright=1, hands=3),
    "hat": _rattle(0.07, 60, bright=2),
    "open": _rattle(0.3, 12, bright=2),
    "ride": _ride,
    "stick": _rattle(0.05, 90, bright=1, tone_hz=1700),
}
