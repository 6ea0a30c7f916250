"""Front-ends: their numbers are those of the published code, rewritten here plainly, frame by frame in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from audio.frontend_json import frontend_from
from audio.frontends import FRONTENDS, FrontEnd, frontend_named
from audio.logmel import log_mel, normalised
from audio.melbanks import mel_bank
from audio.patches import patches_of, plan_patches
from index.errors import InputError, UnknownNameError

F64 = NDArray[np.float64]


def noise(rate: int, seconds: float = 1.0) -> NDArray[np.float32]:
    """Noise with a tone in it, mono."""
    time = np.arange(round(rate * seconds)) / rate
    hiss = np.random.default_rng(7).normal(0, 0.1, len(time))
    return (hiss + 0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def spectra(frames: list[F64], window: F64, fft: int) -> F64:
    """Magnitudes, shape ``(frames, fft // 2 + 1)``."""
    return np.array([np.abs(np.fft.rfft(frame * window, fft)) for frame in frames])


def hann(size: int, symmetric: bool = False) -> F64:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / (size - 1 if symmetric else size))


def natural_mel(hertz: float) -> float:
    """Mel as Kaldi, HTK's book and VGGish's ``mel_features.py`` write it."""
    return float(1127.0 * np.log(1.0 + hertz / 700.0))


def bank_over_mel(rate: int, fft: int, bands: int, lowest: float, highest: float) -> F64:
    """Kaldi's ``MelBanks`` and VGGish's ``spectrogram_to_mel_matrix``, bin by bin: ``(fft // 2 + 1, bands)``."""
    low, step = natural_mel(lowest), (natural_mel(highest) - natural_mel(lowest)) / (bands + 1)
    bank = np.zeros((fft // 2 + 1, bands))
    for band in range(bands):
        left, centre, right = low + band * step, low + (band + 1) * step, low + (band + 2) * step
        for bin_ in range(1, fft // 2):
            mel = natural_mel(bin_ * rate / fft)
            if left < mel < right:
                bank[bin_, band] = (mel - left) / (centre - left) if mel <= centre else (right - mel) / (right - centre)
    return bank


def vggish_reference(signal: NDArray[np.float32], offset: float) -> F64:
    count = 1 + (len(signal) - 400) // 160
    frames = [signal[i * 160 : i * 160 + 400].astype(float) for i in range(count)]
    return np.log(spectra(frames, hann(400), 512) @ bank_over_mel(16_000, 512, 64, 125, 7500) + offset)


def centred(signal: NDArray[np.float32], window: int, hop: int) -> list[F64]:
    padded = np.pad(signal.astype(float), window // 2, mode="reflect")
    return [padded[i * hop : i * hop + window] for i in range(1 + len(signal) // hop)]


def librosa_bank(rate: int, fft: int, bands: int, lowest: float, highest: float) -> F64:
    import librosa.filters

    bank: F64 = librosa.filters.mel(sr=rate, n_fft=fft, n_mels=bands, fmin=lowest, fmax=highest, dtype=np.float64)
    return bank.T


def musicnn_reference(signal: NDArray[np.float32]) -> F64:
    power = spectra(centred(signal, 512, 256), hann(512), 512) ** 2
    return np.log10(10_000 * (power @ librosa_bank(16_000, 512, 96, 0, 8000)) + 1)


def panns_reference(signal: NDArray[np.float32]) -> F64:
    power = spectra(centred(signal, 1024, 320), hann(1024), 1024) ** 2
    return 10 * np.log10(np.maximum(power @ librosa_bank(32_000, 1024, 64, 50, 14_000), 1e-10))


def efficientat_reference(signal: NDArray[np.float32]) -> F64:
    """torch.stft puts a window of 800 into the middle of 1024 samples, around each centre."""
    emphasised = signal[1:].astype(float) - 0.97 * signal[:-1]
    padded = np.pad(emphasised, 512, mode="reflect")
    window = np.pad(hann(800, symmetric=True), 112)
    frames = [padded[i * 320 : i * 320 + 1024] for i in range(1 + len(emphasised) // 320)]
    power = spectra(frames, window, 1024) ** 2
    return (np.log(power @ bank_over_mel(32_000, 1024, 128, 0, 15_000) + 1e-5) + 4.5) / 5


def kaldi_reference(signal: NDArray[np.float32]) -> F64:
    """``torchaudio.compliance.kaldi.fbank`` as AST calls it, then AST's normalisation."""
    frames = []
    for start in range(0, len(signal) - 400 + 1, 160):
        frame = signal[start : start + 400].astype(float)
        frame = frame - frame.mean()
        frames.append(frame - 0.97 * np.concatenate([frame[:1], frame[:-1]]))
    power = spectra(frames, hann(400, symmetric=True), 512) ** 2
    mel = power @ bank_over_mel(16_000, 512, 128, 20, 8000)
    return (np.log(np.maximum(mel, np.finfo(np.float32).eps)) + 4.2677393) / (2 * 4.5689974)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("vggish", lambda signal: vggish_reference(signal, 0.01)),
        ("yamnet", lambda signal: vggish_reference(signal, 0.001)),
        ("musicnn", musicnn_reference),
        ("panns", panns_reference),
        ("efficientat", efficientat_reference),
        ("ast", kaldi_reference),
        ("audiomae", kaldi_reference),
    ],
)
def test_spectrograms_are_those_of_the_published_code(name: str, reference: object) -> None:
    front = frontend_named(name)
    signal = noise(front.rate)
    assert callable(reference)
    wanted = reference(signal)
    found = normalised(log_mel(signal, front), front)
    assert found.dtype == np.float32
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 2e-3  # float32 spectra: logarithms of faint bands


@pytest.mark.parametrize(("scale", "area"), [("slaney", True), ("htk", True), ("htk", False), ("slaney", False)])
def test_filters_over_hertz_are_those_of_librosa(scale: str, area: bool) -> None:
    import librosa.filters

    front = frontend_from({"like": "musicnn", "scale": scale, "area": area, "lowest": 30.0})
    wanted = librosa.filters.mel(
        sr=16_000, n_fft=512, n_mels=96, fmin=30.0, fmax=8000.0, htk=scale == "htk", norm="slaney" if area else None
    )
    np.testing.assert_allclose(mel_bank(front), wanted.T, atol=1e-7)


def test_slaneys_scale_over_mel_has_librosas_band_centres() -> None:
    import librosa

    front = replace(FRONTENDS["vggish"], scale="slaney", fft=16_384, window=16_384, lowest=0.0, highest=8000.0)
    centres = librosa.mel_frequencies(n_mels=66, fmin=0.0, fmax=8000.0)[1:-1]
    found = mel_bank(front).argmax(axis=0) * 16_000 / 16_384
    np.testing.assert_allclose(found, centres, atol=1.0)
    unit = mel_bank(replace(front, area=True)).sum(axis=0) * 16_000 / 16_384
    np.testing.assert_allclose(unit, 1.0, atol=0.05)


@pytest.mark.parametrize("name", sorted(FRONTENDS))
def test_a_front_end_survives_json_and_makes_patches_of_its_shape(name: str) -> None:
    front = FRONTENDS[name]
    assert front.name == name
    assert frontend_from(front.to_json()) == front
    patches = patches_of([noise(front.rate, 0.6)], front, front.layout)
    assert patches.shape == (1, *front.shape)
    assert np.isfinite(patches).all()
    exact = noise(front.rate, front.seconds + 0.001)
    assert len(patches_of([exact], front, front.layout)) == 1


def test_patches_cover_a_sound_evenly() -> None:
    front = frontend_named("musicnn")
    frames = log_mel(noise(16_000, 30.0), front)
    patches = patches_of([noise(16_000, 30.0)], front, "time-mel")
    assert 10 <= len(patches) <= 11
    np.testing.assert_array_equal(patches[0], frames[: front.frames])
    np.testing.assert_array_equal(patches[-1], frames[-front.frames :])


def test_a_layout_moves_axes_and_nothing_else() -> None:
    front = frontend_named("vggish")
    signal = [noise(16_000, 2.0)]
    plain = patches_of(signal, front, "time-mel")
    np.testing.assert_array_equal(patches_of(signal, front, "channel-mel-time"), plain.transpose(0, 2, 1)[:, None])


def test_a_short_sound_is_filled_up_as_the_network_was_trained() -> None:
    ast, musicnn = frontend_named("ast"), frontend_named("musicnn")
    padded = patches_of([noise(16_000, 1.0)], ast, "time-mel")[0]
    np.testing.assert_allclose(padded[200:], 4.2677393 / (2 * 4.5689974), rtol=1e-6)
    silent = patches_of([noise(16_000, 1.0)], musicnn, "time-mel")[0]
    np.testing.assert_allclose(silent[100:], 0.0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(FRONTENDS))
def test_hours_cost_what_a_song_costs(name: str) -> None:
    front = frontend_named(name)
    spans = plan_patches(front)(3 * 3600.0)
    assert sum(span.seconds for span in spans) <= max(30.0, 3 * front.seconds + 0.1)
    assert all(span.seconds >= front.seconds for span in spans)
    assert spans[0].start > 0
    assert spans[-1].start + spans[-1].seconds < 3 * 3600.0
    (whole,) = plan_patches(front)(30.0)
    assert (whole.start, whole.seconds) == (0.0, 30.0)
    assert plan_patches(front)(0.7)[0].seconds == 0.7


def test_an_unknown_front_end_names_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'musicnn'"):
        frontend_named("musicn")
    with pytest.raises(UnknownNameError, match="did you mean 'hop'"):
        frontend_from({"like": "vggish", "hopp": 1})


def test_a_front_end_can_be_told_by_what_differs() -> None:
    front = frontend_from({"like": "vggish", "name": "mine", "offset": 1, "lowest": 0})
    assert front == replace(FRONTENDS["vggish"], name="mine", offset=1.0, lowest=0.0)
    assert isinstance(front.lowest, float)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"name": "mine"}, "incomplete"),
        (["vggish"], "a name or an object"),
        ({"like": "vggish", "hop": 0}, "hop is 0"),
        ({"like": "vggish", "hop": 1.5}, "whole number"),
        ({"like": "vggish", "mels": 10**9}, "expected a whole number from 1 to 1024"),
        ({"like": "vggish", "window": 600}, "shorter than window"),
        ({"like": "vggish", "highest": 9000}, "half the rate"),
        ({"like": "vggish", "scale": "bark"}, "expected one of"),
        ({"like": "vggish", "offset": 0}, "logarithm of silence"),
        ({"like": "vggish", "deviation": 0}, "above 0"),
        ({"like": "vggish", "gain": float("nan")}, "expected a number"),
        ({"like": "vggish", "name": ["x"]}, "are text"),
        ({"like": "vggish", "frames": 60_000}, "longer than 300 s"),
    ],
)
def test_a_front_end_that_cannot_be_is_refused(content: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        frontend_from(content)


def test_silence_is_finite_in_every_front_end() -> None:
    for front in FRONTENDS.values():
        assert isinstance(front, FrontEnd)
        assert np.isfinite(log_mel(np.zeros(front.rate, np.float32), front)).all()
