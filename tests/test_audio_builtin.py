"""The built-in sound encoder: its contract, and that each facet hears what it is named after."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from audio.builtin import BuiltinSongEncoder, describe_windows
from audio.cards import CARD
from audio.mel import RATE
from index.errors import MediaError


def song(
    *, beats: float = 120.0, key: float = 0.0, bright: float = 1.0, seconds: float = 12.0, seed: int = 0
) -> NDArray[np.float32]:
    """Four chords and a drum, mono at ``RATE``: beats a minute, key in semitones, strength of overtones."""
    samples = round(seconds * RATE)
    t = np.arange(samples) / RATE
    sound = np.zeros(samples)
    chords = [(0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14)]
    turn = (t // 3.0).astype(int) % len(chords)
    for i, chord in enumerate(chords):
        for note in chord:
            base = 220.0 * 2 ** ((note + key) / 12)
            for overtone in range(1, 6):
                wave = np.sin(2 * np.pi * base * overtone * t) * bright ** (overtone - 1) / overtone
                sound += 0.05 * wave * (turn == i)
    since = t % (60.0 / beats)
    drum = np.random.default_rng(seed).normal(0, 0.5, samples) * np.exp(-since / 0.03)
    return (sound * np.exp(-since) + 0.3 * drum).astype(np.float32)


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> dict[str, float]:
    """Cosine per facet of two mono sounds."""
    a, b = describe_windows([one]), describe_windows([other])
    return {facet.name: float(a[facet.start : facet.stop] @ b[facet.start : facet.stop]) for facet in CARD.facets}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    soundfile.write(path, song(), RATE)
    return path


def test_a_vector_is_whole_and_each_facet_has_unit_length(clip: Path) -> None:
    vector = BuiltinSongEncoder().describe(clip)
    assert vector.shape == (CARD.dim,)
    assert vector.dtype == np.float32
    for facet in CARD.facets:
        assert np.linalg.norm(vector[facet.start : facet.stop]) == pytest.approx(1.0, abs=1e-5)


def test_the_card_leaves_no_gaps() -> None:
    assert CARD.facets[0].start == 0
    assert all(a.stop == b.start for a, b in zip(CARD.facets, CARD.facets[1:], strict=False))
    assert [facet.name for facet in CARD.facets] == ["timbre", "rhythm", "harmony"]
    assert all(0 < facet.kept <= min(96, facet.dim) and 0 <= facet.whitening <= 0.5 for facet in CARD.facets)


def test_the_same_file_gives_the_same_numbers_whatever_came_before(clip: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "other.wav", song(beats=90, seed=4), RATE)
    first = BuiltinSongEncoder().describe(clip)
    encoder = BuiltinSongEncoder()
    encoder.describe(tmp_path / "other.wav")
    np.testing.assert_array_equal(encoder.describe(clip), first)


def test_another_tempo_moves_rhythm_but_not_harmony() -> None:
    found = likeness(song(beats=120), song(beats=95))
    assert found["rhythm"] < 0.9
    assert found["harmony"] > 0.99
    assert likeness(song(beats=120), song(beats=120, seed=9))["rhythm"] > 0.97


@pytest.mark.parametrize("semitones", [1.0, 3.0, 5.5, -2.0])
def test_transposition_hardly_moves_harmony(semitones: float) -> None:
    assert likeness(song(), song(key=semitones))["harmony"] > 0.98


def test_other_intervals_move_harmony_more_than_another_key() -> None:
    t = np.arange(6 * RATE) / RATE
    notes = {"minor": (0, 3, 7), "major up": (2, 6, 9), "major": (0, 4, 7), "cluster": (0, 1, 2)}
    chord = {
        name: sum(0.1 * np.sin(2 * np.pi * 261.6 * 2 ** (note / 12) * t) for note in chosen).astype(np.float32)
        for name, chosen in notes.items()
    }
    assert likeness(chord["major"], chord["major up"])["harmony"] > 0.99
    assert likeness(chord["major"], chord["cluster"])["harmony"] < 0.8


def test_another_sound_moves_timbre_more_than_another_tempo() -> None:
    muffled = np.convolve(song(), np.hanning(16) / 8, mode="same").astype(np.float32)
    assert likeness(song(), muffled)["timbre"] < 0.98 < likeness(song(), song(beats=95, seed=3))["timbre"]


@pytest.mark.parametrize("gain", [0.05, 0.5, 2.0])
def test_gain_hardly_moves_anything(gain: float) -> None:
    assert min(likeness(song(), song() * np.float32(gain)).values()) > 0.9999


def test_stereo_equals_its_mono_mix(tmp_path: Path) -> None:
    mono = song(seconds=6.0)
    soundfile.write(tmp_path / "mono.wav", mono, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "stereo.wav", np.stack([mono * 2, mono * 0], axis=1), RATE, subtype="FLOAT")
    encoder = BuiltinSongEncoder()
    one, other = encoder.describe(tmp_path / "mono.wav"), encoder.describe(tmp_path / "stereo.wav")
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(("name", "form"), [("copy.mp3", "MP3"), ("copy.ogg", "OGG"), ("copy.flac", "FLAC")])
def test_a_compressed_copy_stays_close(name: str, form: str, clip: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / name, song(), RATE, format=form)
    encoder = BuiltinSongEncoder()
    original, copy = encoder.describe(clip), encoder.describe(tmp_path / name)
    for facet in CARD.facets:
        assert original[facet.start : facet.stop] @ copy[facet.start : facet.stop] > 0.95, facet.name


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.45])
def test_a_sound_that_is_too_short_fails_plainly(seconds: float, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", song(seconds=1.0)[: round(seconds * RATE)], RATE)
    with pytest.raises(MediaError) as caught:
        BuiltinSongEncoder().describe(tmp_path / "short.wav")
    assert caught.value.stage == ("encode" if seconds else "decode")


@pytest.mark.parametrize("level", [0.0, 1 / 32768])
@pytest.mark.parametrize("seconds", [2.0, 100.0])
def test_a_silent_track_fails_plainly(level: float, seconds: float, tmp_path: Path) -> None:
    dither = np.random.default_rng(0).choice([-level, level], round(seconds * 8000)).astype(np.float32)
    soundfile.write(tmp_path / "silent.wav", dither, 8000)
    with pytest.raises(MediaError, match="silent") as caught:
        BuiltinSongEncoder().describe(tmp_path / "silent.wav")
    assert caught.value.stage == "encode"


def test_samples_that_are_no_numbers_fail_plainly(tmp_path: Path) -> None:
    sound = song(seconds=2.0)
    sound[100] = np.nan
    soundfile.write(tmp_path / "nan.wav", sound, RATE, subtype="FLOAT")
    with pytest.raises(MediaError, match="not finite"):
        BuiltinSongEncoder().describe(tmp_path / "nan.wav")


@pytest.mark.parametrize("kind", ["tone", "noise", "clicks", "half second", "half silent", "very loud"])
def test_odd_sounds_still_give_finite_vectors(kind: str, tmp_path: Path) -> None:
    t = np.arange(RATE * 4) / RATE
    sound = {
        "tone": np.sin(2 * np.pi * 440 * t),
        "noise": np.random.default_rng(1).normal(0, 0.1, len(t)),
        "clicks": (np.arange(len(t)) % RATE == 0).astype(float),
        "half second": np.sin(2 * np.pi * 440 * t[: RATE // 2]),
        "half silent": np.concatenate([np.zeros(RATE * 30), song(seconds=10.0)]),
        "very loud": 1e6 * np.sin(2 * np.pi * 440 * t),
    }[kind]
    soundfile.write(tmp_path / "odd.wav", sound.astype(np.float32), RATE, subtype="FLOAT")
    vector = BuiltinSongEncoder().describe(tmp_path / "odd.wav")
    assert np.isfinite(vector).all()
    for facet in CARD.facets:
        length = np.linalg.norm(vector[facet.start : facet.stop])
        assert length == 0 or length == pytest.approx(1.0, abs=1e-5)


def test_a_long_recording_costs_as_much_as_a_song(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "long.wav", "w", 8000, 1) as file:
        minute = np.tile(song(seconds=2.0), 11)[: 8000 * 60]
        for _ in range(180):
            file.write(minute)
    encoder = BuiltinSongEncoder()
    encoder.describe(tmp_path / "long.wav")
    started = time.process_time()
    encoder.describe(tmp_path / "long.wav")
    assert time.process_time() - started < 1.0


def test_listing_the_card_loads_nothing() -> None:
    code = (
        "import sys, audio, audio.cards, audio.windows;"
        "heavy = {'librosa', 'numba', 'scipy', 'soundfile', 'soxr', 'av', 'mutagen'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
