"""Tempo and energy from descriptions: of clicks at a known rate, of dull and bright, still and moving sounds."""

from __future__ import annotations

import numpy as np
import pytest

from audio.builtin import describe_windows
from audio.cards import CARD
from audio.impression import energy, tempo
from audio.mel import RATE


def clicks(beats_a_minute: float, seconds: float = 10.0) -> np.ndarray:
    """Short bursts of noise, one for each beat."""
    sound = np.zeros(round(seconds * RATE), np.float32)
    burst = np.random.default_rng(0).normal(0, 0.3, 800) * np.exp(-np.arange(800) / 200)
    for at in np.arange(0, len(sound) - 800, 60 / beats_a_minute * RATE).astype(int):
        sound[at : at + 800] += burst.astype(np.float32)
    return sound


@pytest.mark.parametrize("rate", [75, 90, 105, 120, 140, 165])
def test_the_tempo_of_clicks_is_found(rate: float) -> None:
    """Within 3 %, between the delays that the beat spectrum has."""
    described = describe_windows([clicks(rate)])
    assert tempo(described[None])[0] == pytest.approx(rate, rel=0.03)


def test_what_has_no_rhythm_has_no_tempo() -> None:
    """A facet that is absent."""
    assert np.isnan(tempo(np.zeros((1, CARD.dim), np.float32))).all()


def test_bright_and_moving_sound_has_more_energy() -> None:
    """Noise in bursts, steady noise, and a steady low tone with a little noise."""
    time = np.arange(10 * RATE) / RATE
    noise = np.random.default_rng(1).normal(0, 0.1, len(time))
    low = 0.5 * np.sin(2 * np.pi * 110 * time) + 0.001 * noise
    sounds = [noise * (np.sin(2 * np.pi * 2 * time) > 0), noise, low]
    found = energy(np.stack([describe_windows([sound.astype(np.float32)]) for sound in sounds]))
    assert found[0] > found[1] > found[2]
