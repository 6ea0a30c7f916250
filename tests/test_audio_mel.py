"""Our spectra are librosa's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from audio.filterbanks import chroma_filters, mel_filters
from audio.mel import CHROMA_FFT_SIZE, CHROMA_HOP, RATE, chroma_power, levels, mel_power
from audio.rhythm import onset_strength


@pytest.fixture
def sound() -> NDArray[np.float32]:
    """Three seconds of partials, pulse and noise at ``RATE``."""
    t = np.arange(3 * RATE) / RATE
    tone = sum(np.sin(2 * np.pi * f * t) / (i + 1) for i, f in enumerate((110.0, 277.2, 440.0, 1661.2)))
    noise = np.random.default_rng(5).normal(0, 0.02, len(t))
    return (0.2 * tone * (1.2 + np.sign(np.sin(2 * np.pi * 2.5 * t))) + noise).astype(np.float32)


@pytest.mark.slow  # librosa.feature compiles at first use
def test_log_mel_is_that_of_librosa(sound: NDArray[np.float32]) -> None:
    import librosa

    expected = librosa.feature.melspectrogram(y=sound, sr=RATE)
    np.testing.assert_allclose(np.log10(mel_power(sound)), np.log10(expected.T), atol=6e-5)


@pytest.mark.slow
def test_chroma_is_that_of_librosa(sound: NDArray[np.float32]) -> None:
    import librosa

    expected = librosa.feature.chroma_stft(
        y=sound, sr=RATE, n_fft=CHROMA_FFT_SIZE, hop_length=CHROMA_HOP, tuning=0.0, norm=None
    )
    np.testing.assert_allclose(chroma_power(sound, 12), expected.T, rtol=1e-3, atol=1e-3 * expected.max())


@pytest.mark.slow
def test_onset_strength_is_that_of_librosa(sound: NDArray[np.float32]) -> None:
    import librosa

    power = mel_power(sound)
    expected = librosa.onset.onset_strength(S=librosa.power_to_db(power.T, ref=np.max, top_db=80), center=False)
    np.testing.assert_allclose(onset_strength(levels([power], 80.0)[0]), expected[1:], atol=1e-3)


def test_filterbanks_have_a_column_per_band() -> None:
    assert mel_filters(RATE, 2048, 128, RATE / 2).shape == (1025, 128)
    assert chroma_filters(RATE, 8192, 36).shape == (4097, 36)


def test_a_tone_lies_in_its_pitch_class() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    assert set(chroma_power(tone, 12)[2:-2].argmax(axis=1)) == {9}  # A, counted from C


def test_levels_do_not_depend_on_gain(sound: NDArray[np.float32]) -> None:
    loud, quiet = levels([mel_power(sound)], 60.0)[0], levels([mel_power(sound * np.float32(0.01))], 60.0)[0]
    np.testing.assert_allclose(loud, quiet, atol=1e-3)
    assert loud.min() == 0
    assert loud.max() == pytest.approx(60.0, abs=1e-3)


def test_a_sound_shorter_than_a_frame_has_frames() -> None:
    assert mel_power(np.ones(100, np.float32)).shape == (1, 128)
