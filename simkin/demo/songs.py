"""Little tunes for ``simkin demo``: composed, played and written as WAV and FLAC with a table.

Nothing here is random beyond the seed: the same seed gives the same files.
Artists are ensembles named after what they play; no person is made up.
"""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from simkin.demo.styles import CHORDS, SCALES, STYLES, Style
from simkin.demo.synth import Sound, Synth

COUNT = 60
"""Songs in the table, the repeated one included."""
COLUMNS = ("id", "path", "title", "artist", "album", "style", "tempo", "key")
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

_PEAK = 0.8
_GAIN_AGAIN = 0.89  # about -1 dB
_LONGEST_S = 17.6  # of music; with the tail no song passes 20 s
_TAIL_S = 1.4
# Sample rate, channels and suffix, dealt in turn. Few are large, so that all songs stay below 60 MB.
_FORMATS = (
    (22_050, 1, "wav"), (22_050, 2, "flac"), (22_050, 1, "flac"), (44_100, 1, "flac"), (22_050, 2, "wav"),
    (22_050, 1, "wav"), (44_100, 2, "flac"), (22_050, 1, "flac"), (22_050, 2, "flac"), (44_100, 1, "wav"),
    (22_050, 1, "flac"), (22_050, 2, "wav"), (22_050, 1, "wav"),
)  # fmt: skip
_FIRST = "Amber Quiet Northern Paper Silver Hollow Early Painted Long Copper Distant Green".split()
_SECOND = "Harbour Window Lantern Field Stairs Orchard River Signal Garden Bridge Winter".split()


@dataclass(frozen=True, slots=True)
class Song:
    """One row of the table, and the format of its file."""

    item_id: str
    title: str
    artist: str
    album: str
    style: Style
    tempo: int
    tonic: int
    mode: str
    rate: int
    channels: int
    suffix: str

    @property
    def path(self) -> str:
        """Of the file, relative to the table."""
        return f"songs/{self.item_id}.{self.suffix}"


def make_songs(folder: Path, seed: int = 7) -> Path:
    """Write songs and their table.

    Args:
        folder: Where to; created if need be. Songs go to ``folder/songs``.
        seed: Same seed, same bytes.

    Returns:
        The table, ``folder/songs.csv``, with columns `COLUMNS`; paths are relative to it, ``tempo`` is in
        beats per minute. Its last row is a recording that occurs before, under another id:
        in another file format and about 1 dB softer.
    """
    (folder / "songs").mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    songs = _programme(rng)
    again = rng.choice([song for song in songs if song.suffix == "wav"])
    synths = {rate: Synth(rate) for rate, _, _ in _FORMATS}
    repeat = replace(again, item_id=f"{again.item_id}-again", suffix="flac")
    for song in songs:
        sound = _play(song, synths[song.rate], random.Random(f"{seed} {song.item_id}"))
        _write(folder, song, sound)
        if song is again:
            _write(folder, repeat, sound * np.float32(_GAIN_AGAIN))
    table = folder / "songs.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for s in [*songs, repeat]:
            key = f"{TONICS[s.tonic]} {s.mode}"
            rows.writerow((s.item_id, s.path, s.title, s.artist, s.album, s.style.name, s.tempo, key))
    return table


def _write(folder: Path, song: Song, sound: Sound) -> None:
    with soundfile.SoundFile(
        folder / song.path, "w", samplerate=song.rate, channels=song.channels, subtype="PCM_16"
    ) as file:
        file.title, file.artist, file.album = song.title, song.artist, song.album
        file.write(sound.T)


def _programme(rng: random.Random) -> list[Song]:
    """What is played: all styles in turn, two ensembles each, every tonic equally often."""
    count = COUNT - 1
    tonics = [tonic for _ in range(-(-count // 12)) for tonic in rng.sample(range(12), 12)]
    titles = rng.sample([f"{first} {second}" for first in _FIRST for second in _SECOND], count)
    songs = []
    for number in range(count):
        style = STYLES[number % len(STYLES)]
        round_ = number // len(STYLES)
        ensemble = f"{style.ensemble} no. {1 + round_ % 2}"
        rate, channels, suffix = _FORMATS[number % len(_FORMATS)]
        songs.append(
            Song(
                item_id=f"{style.name}-{round_ + 1:02d}",
                title=titles[number],
                artist=ensemble,
                album=f"{ensemble}: {'Studies' if round_ % 2 else 'Sketches'}",
                style=style,
                tempo=rng.randrange(style.tempi[0], style.tempi[1] + 1, 2),
                tonic=tonics[number],
                mode="minor" if rng.random() < style.minor else "major",
                rate=rate,
                channels=channels,
                suffix=suffix,
            )
        )
    return songs


class _Score:
    """A song being mixed: shape ``(channels, samples)``, float32."""

    def __init__(self, song: Song, synth: Synth, bars: int) -> None:
        self.synth = synth
        self.step_s = 60 / song.tempo / 4
        self.swing_s = song.style.swing * self.step_s
        samples = round((bars * song.style.steps * self.step_s + _TAIL_S) * song.rate)
        self.sound = np.zeros((song.channels, samples), dtype=np.float32)

    def add(self, sound: Sound, step: int, gain: float, pan: float = 0.0) -> None:
        """Mix in a note; ``step`` counts sixteenths from the start, ``pan`` runs from -1 left to 1 right."""
        late = self.swing_s if step % 4 == 2 else 0.0
        start = round((step * self.step_s + late) * self.synth.rate)
        end = min(start + sound.size, self.sound.shape[1])
        sides = (1.0,) if len(self.sound) == 1 else (1 - 0.6 * max(pan, 0.0), 1 + 0.6 * min(pan, 0.0))
        for channel, side in zip(self.sound, sides, strict=True):
            channel[start:end] += np.float32(gain * side) * sound[: end - start]

    def note(self, voice: str, pitch: int, step: int, steps: float, gain: float, pan: float = 0.0) -> None:
        """Play a note for so many steps and a little longer."""
        self.add(self.synth.note(voice, pitch, steps * self.step_s + 0.04), step, gain, pan)


def _play(song: Song, synth: Synth, rng: random.Random) -> Sound:
    """The whole song: shape ``(channels, samples)``, peak `_PEAK`."""
    style = song.style
    bar_s = style.steps * 60 / song.tempo / 4
    bars = max(4, int(_LONGEST_S / bar_s) // 2 * 2)
    if bars > 4 and (bars - 2) * bar_s + _TAIL_S > 12.5 and rng.random() < 0.5:
        bars -= 2
    score = _Score(song, synth, bars)
    chords = rng.choice(CHORDS[song.mode])
    second = song.artist.endswith("2")  # the second ensemble has another lead instrument
    tune = _tune(style, chords, bars, rng)
    for bar in range(bars):
        degree, at = chords[bar % len(chords)], bar * style.steps
        _accompany(score, song, degree, at, last=bar == bars - 1)
        if bar > 0 or not style.drums_wait:
            _drum(score, style, at)
    for step, steps, degree in tune:
        pitch = _pitch(song, degree, style.lead_octave)
        score.note(style.leads[second], pitch, step, steps, style.lead_gain * rng.uniform(0.85, 1.0), 0.35)
    _echo(score.sound, style, song.rate, score.step_s)
    return score.sound * np.float32(_PEAK / np.abs(score.sound).max())


def _pitch(song: Song, degree: int, octave: int) -> int:
    """MIDI pitch of a scale degree (0 is the tonic, 7 the one above); tonics lie within F#..F around C."""
    tonic = song.tonic if song.tonic < 6 else song.tonic - 12
    return 12 * (octave + 1 + degree // 7) + tonic + SCALES[song.mode][degree % 7]


def _accompany(score: _Score, song: Song, degree: int, at: int, *, last: bool) -> None:
    """Chord and bass of one bar: see `Style` for the patterns."""
    style = song.style
    low = degree if degree < 4 else degree - 7
    voicing = [degree + add - (7 if degree + add > 7 else 0) for add in (0, 2, 4)]
    voicing = [*sorted(voicing), min(voicing) + 7]
    for step, steps, sign in _strokes(style.chord_pattern, style.chord_hold):
        if sign == "c":
            tones = [low] if style.chord == "power" else voicing[:3]  # a power chord has its fifth built in
            for spread, tone in zip((-0.6, -0.2, -0.4), tones, strict=False):
                pitch = _pitch(song, tone, style.chord_octave)
                score.note(style.chord, pitch, at + step, steps, style.chord_gain, spread)
        else:
            pitch = _pitch(song, voicing[int(sign)], style.chord_octave)
            score.note(style.chord, pitch, at + step, steps, style.chord_gain * 1.3, -0.4)
    pattern = "1" + "." * (style.steps - 1) if last else style.bass_pattern
    for step, steps, sign in _strokes(pattern, style.bass_hold):
        score.note(style.bass, _pitch(song, low + int(sign) - 1, 2), at + step, steps, style.bass_gain)


def _strokes(pattern: str, longest: int) -> list[tuple[int, int, str]]:
    """``(step, steps held, sign)`` for all signs of a pattern but ``.``; a note is held until the next."""
    starts = [step for step, sign in enumerate(pattern) if sign != "."]
    ends = [*starts[1:], len(pattern)]
    return [(start, min(end - start, longest), pattern[start]) for start, end in zip(starts, ends, strict=True)]


def _drum(score: _Score, style: Style, at: int) -> None:
    for name, gain, pan, pattern in style.drums:
        for step, sign in enumerate(pattern):
            if sign != ".":
                score.add(score.synth.drum(name), at + step, gain * (1.0 if sign == "x" else 0.5), pan)


def _tune(style: Style, chords: tuple[int, ...], bars: int, rng: random.Random) -> list[tuple[int, int, int]]:
    """A melody as ``(step, steps held, degree)``: two motifs of a bar, repeated as a a b a over the chords."""
    rhythms = rng.sample(style.lead_rhythms, 2) if len(style.lead_rhythms) > 1 else [*style.lead_rhythms] * 2
    motifs = []
    for rhythm in rhythms:
        strokes = _strokes(rhythm, style.lead_hold)
        at, moves = rng.choice((0, 2, 4)), []
        for _ in strokes:
            moves.append(at)
            at = min(8, max(-2, at + rng.choice((-2, -1, -1, 1, 1, 2))))
        motifs.append((strokes, moves))
    tune = []
    first = 0 if bars <= 4 else style.lead_waits
    for bar in range(first, bars - 1):
        strokes, moves = motifs[bar % 4 == 2]
        chord = chords[bar % len(chords)]
        for n, ((step, steps, _), move) in enumerate(zip(strokes, moves, strict=True)):
            degree = _nearest(chord, move) if n == 0 or step % 8 == 0 else move
            tune.append((bar * style.steps + step, steps, degree))
    tune.append(((bars - 1) * style.steps, style.steps, _nearest(chords[(bars - 1) % len(chords)], 2)))
    return tune


def _nearest(chord: int, degree: int) -> int:
    """The degree closest to the given one that belongs to the triad on ``chord``."""
    return min(range(degree - 3, degree + 4), key=lambda d: ((d - chord) % 7 not in (0, 2, 4), abs(d - degree)))


def _echo(sound: Sound, style: Style, rate: int, step_s: float) -> None:
    """A room of a few reflections and, where the style asks for it, repeats a beat apart; in place."""
    dry = sound.copy()
    taps = [(0.031, 0.22), (0.047, 0.18), (0.071, 0.15), (0.113, 0.11), (0.167, 0.08)]
    taps += [(4 * n * step_s, style.repeats**n) for n in (1, 2, 3) if style.repeats]
    for n, (delay_s, gain) in enumerate(taps):
        delay = round(delay_s * rate)
        source = dry[::-1] if n % 2 else dry  # every other reflection comes from the other side
        sound[:, delay:] += np.float32(gain * style.room) * source[:, :-delay]
    fade = round(0.4 * rate)
    sound[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
