"""What can be said of a recording: tempo, key, hits; and what each of its stretches sounds like."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio import hearing, player
from audio.hearing import hear, plan_pieces
from audio.key import find_key, tuned
from audio.mel import RATE, chroma_power, mel_power
from audio.player import data_address
from audio.portrait import percussive_share, portray
from audio.tempo import find_tempo
from index.errors import MediaError

CLASSES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")


def clicks(tempo: float, seconds: float = 12.0, seed: int = 0) -> np.ndarray:
    """Short bursts of noise, so many a minute. float32."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * RATE), np.float32)
    burst = (rng.normal(size=RATE // 20) * np.exp(-np.arange(RATE // 20) / 200)).astype(np.float32)
    for at in np.arange(0, seconds - 0.1, 60 / tempo):
        start = round(at * RATE)
        sound[start : start + len(burst)] += 0.3 * burst
    return sound


def chord(notes: list[int], seconds: float, tuning: float = 0.0) -> np.ndarray:
    """Tones of MIDI numbers with two overtones. float32."""
    time = np.arange(round(seconds * RATE)) / RATE
    tones = [
        np.sin(2 * np.pi * 440 * 2 ** ((note + tuning - 69) / 12) * part * time) / part
        for note in notes
        for part in (1, 2, 3)
    ]
    return (0.1 * np.sum(tones, axis=0)).astype(np.float32)


def cadence(tonic: int, minor: bool, tuning: float = 0.0) -> np.ndarray:
    """Tonic, subdominant, dominant, tonic."""
    third = 3 if minor else 4
    first, fourth = [0, third, 7, 12], [5, 5 + third, 12]
    return np.concatenate(
        [chord([60 + tonic + n for n in c], 1.0, tuning) for c in (first, fourth, [7, 11, 14], first)]
    )


@pytest.mark.parametrize("tempo", [72.0, 100.0, 127.0, 160.0])
def test_a_steady_beat_is_counted(tempo: float) -> None:
    """To within one beat a minute, or twice or half of it."""
    found = find_tempo([mel_power(clicks(tempo))])
    assert found is not None
    assert any(found == pytest.approx(tempo * factor, abs=1.0 * factor) for factor in (0.5, 1, 2))


def test_noise_has_no_beat_and_no_key() -> None:
    """What was not found is not told."""
    noise = (0.1 * np.random.default_rng(3).normal(size=15 * RATE)).astype(np.float32)
    found = portray([mel_power(noise)], [chroma_power(noise, 36)])
    assert found.tempo is None
    assert found.key is None


@pytest.mark.parametrize("tuning", [0.0, -0.3, 0.4])
@pytest.mark.parametrize(("tonic", "minor"), [(0, False), (9, True), (6, False), (2, True)])
def test_the_key_of_a_cadence_is_found_in_any_tuning(tonic: int, minor: bool, tuning: float) -> None:
    """By its tones alone."""
    key = find_key([chroma_power(cadence(tonic, minor, tuning), 36)])
    assert key is not None
    assert key.name == f"{CLASSES[tonic]} {'minor' if minor else 'major'}"
    assert key.correlation > 0.7


def test_thirds_of_semitones_are_joined_around_what_sounds() -> None:
    """A tuning a third of a semitone sharp or flat moves nothing to a neighbour."""
    for shift in (-1, 0, 1):
        classes = np.zeros(36)
        classes[[shift % 36, (21 + shift) % 36]] = (2, 1)
        assert tuned(classes).tolist() == [2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]


def test_hits_and_tones_are_told_apart() -> None:
    """Clicks are mostly hits, a chord is mostly tones."""
    assert percussive_share([mel_power(clicks(120))]) > 0.8
    assert percussive_share([mel_power(chord([60, 64, 67], 8.0))]) < 0.1


def test_brightness_and_motion_are_in_their_units(tmp_path: Path) -> None:
    """A high tone's middle lies higher; sound that comes and goes moves by many decibels."""
    low, high = chord([48], 6.0), chord([96], 6.0)
    steady, low_found, high_found = (
        portray([mel_power(sound)], [chroma_power(sound, 36)])
        for sound in (low, low, high)
    )  # fmt: skip
    assert high_found.brightness > 2 * low_found.brightness
    assert high_found.brightness == pytest.approx(2093, rel=0.5)
    swelling = low * np.where(np.arange(len(low)) // RATE % 2, 1.0, 0.1).astype(np.float32)
    assert portray([mel_power(swelling)], [chroma_power(swelling, 36)]).motion > steady.motion + 5


def test_stretches_follow_each_other_and_silence_is_left_out(tmp_path: Path) -> None:
    """Each has a row like a song's, and frames to line it up by."""
    sound = np.concatenate([clicks(120, 8.0), np.zeros(8 * RATE, np.float32), clicks(90, 8.0)])
    soundfile.write(tmp_path / "a.wav", sound, RATE)
    found = hear(tmp_path / "a.wav")
    assert found.seconds == pytest.approx(24)
    assert found.starts.tolist() == [*range(0, 8), *range(12, 20)]
    assert found.rows.shape == (16, 289)
    frames = found.frames(2.0, 5.0)
    assert frames is not None
    assert frames.mean(axis=0) == pytest.approx(np.zeros(frames.shape[1]), abs=1e-3)
    assert found.frames(21.0, 5.0) is None


def test_a_short_sound_is_one_stretch(tmp_path: Path) -> None:
    """However short."""
    soundfile.write(tmp_path / "a.wav", clicks(120, 2.0), RATE)
    found = hear(tmp_path / "a.wav")
    assert found.starts.tolist() == [0]
    assert found.length == pytest.approx(2)


def test_of_a_long_recording_pieces_are_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spread evenly over it, never more than so many seconds."""
    for seconds in (241.0, 600.0, 7200.0):
        spans = plan_pieces(seconds)
        assert sum(span.seconds for span in spans) == pytest.approx(hearing.MOST)
        assert spans[0].start < seconds / 10
        assert spans[-1].start + spans[-1].seconds > 0.9 * seconds
    monkeypatch.setattr(hearing, "MOST", 72.0)
    soundfile.write(tmp_path / "a.wav", clicks(120, 120.0), RATE)
    found = hear(tmp_path / "a.wav")
    assert found.listened == pytest.approx(72, abs=0.5)
    assert found.seconds == pytest.approx(120)
    assert found.starts.max() > 110


def test_a_silent_or_missing_recording_says_so(tmp_path: Path) -> None:
    """As describing it would."""
    soundfile.write(tmp_path / "a.wav", np.zeros(5 * RATE), RATE)
    with pytest.raises(MediaError, match="silent"):
        hear(tmp_path / "a.wav")
    with pytest.raises(MediaError, match="no such file"):
        hear(tmp_path / "gone.wav")


def test_players_take_small_files_as_they_are_and_copies_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy is a mono MP3, much smaller."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([clicks(120), clicks(90)], axis=1), RATE)
    assert data_address(path) == f"data:audio/wav;base64,{base64.b64encode(path.read_bytes()).decode()}"
    monkeypatch.setattr(player, "WHOLE_BYTES", 1000)
    address = data_address(path)
    assert address.startswith("data:audio/mpeg;base64,")
    (tmp_path / "b.mp3").write_bytes(base64.b64decode(address.partition(",")[2]))
    copied, rate = soundfile.read(tmp_path / "b.mp3")
    assert copied.ndim == 1
    assert len(copied) / rate == pytest.approx(12, abs=0.2)
    with pytest.raises(MediaError, match="cannot be read"):
        data_address(tmp_path / "gone.mp3")
