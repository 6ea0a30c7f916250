"""Windows of sound files: every format, the down-mix, and what is refused and why."""

from __future__ import annotations

import os
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from audio.decode import Limits, read_windows
from audio.signals import mix_down
from audio.windows import Span, plan_windows
from index.errors import MediaError

RATE = 22_050


def whole(seconds: float) -> tuple[Span, ...]:
    return (Span(0.0, seconds),)


def music(seconds: float, rate: int = 44_100, channels: int = 2) -> NDArray[np.float32]:
    """A few partials with a pulse, float32, shape ``(samples, channels)``; channels differ in level."""
    t = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * f * t) / (i + 1) for i, f in enumerate((220.0, 330.0, 440.0, 1234.5)))
    tone = 0.15 * tone * (0.6 + 0.4 * np.sign(np.sin(2 * np.pi * 2 * t)))
    return (tone[:, None] * np.linspace(1.0, 0.5, channels)).astype(np.float32)


def write_av(path: Path, sound: NDArray[np.float32], codec: str, rate: int = 44_100) -> None:
    """Write stereo sound through FFmpeg, in the container that the ending of the name asks for."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        stream.bit_rate = 128_000
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T), format="fltp", layout="stereo")
        frame.sample_rate = rate
        frame.pts = 0
        resampler = av.AudioResampler(format=stream.format.name, layout="stereo", rate=rate)
        fifo = av.AudioFifo()
        for piece in resampler.resample(frame):
            fifo.write(piece)
        size = stream.codec_context.frame_size or 1024
        while (piece := fifo.read(size, partial=True)) is not None:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


SNDFILE_FORMATS = {
    "song.wav": {"format": "WAV", "subtype": "PCM_16"},
    "song-24.wav": {"format": "WAV", "subtype": "PCM_24"},
    "song-float.wav": {"format": "WAV", "subtype": "FLOAT"},
    "song.aiff": {"format": "AIFF", "subtype": "PCM_16"},
    "song.flac": {"format": "FLAC", "subtype": "PCM_16"},
    "song.ogg": {"format": "OGG", "subtype": "VORBIS"},
    "song.mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III"},
}


def best_likeness(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Largest normalised cross-correlation over small shifts (encoder delays)."""
    size = min(len(found), len(expected))
    a, b = found[:size], expected[:size]
    spectrum = np.fft.rfft(a, 2 * size) * np.conj(np.fft.rfft(b, 2 * size))
    return float(np.fft.irfft(spectrum).max() / np.sqrt(np.dot(a, a) * np.dot(b, b)))


@pytest.mark.parametrize("name", SNDFILE_FORMATS)
def test_every_format_of_libsndfile_gives_the_same_sound(name: str, tmp_path: Path) -> None:
    sound = music(4.0)
    soundfile.write(tmp_path / name, sound, 44_100, **SNDFILE_FORMATS[name])
    recording = read_windows(tmp_path / name, 44_100, whole)
    assert recording.seconds == pytest.approx(4.0, abs=0.06)
    assert recording.windows[0].dtype == np.float32
    assert best_likeness(recording.windows[0], sound.mean(axis=1)) > 0.99


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("song.m4a", "aac", 44_100),
        ("song.aac", "aac", 44_100),
        ("song.opus", "libopus", 48_000),
        ("song.webm", "libopus", 48_000),
        ("song.mka", "pcm_s16le", 44_100),
        ("song.wma", "wmav2", 44_100),
    ],
)
def test_what_libsndfile_cannot_read_goes_through_ffmpeg(name: str, codec: str, rate: int, tmp_path: Path) -> None:
    sound = music(4.0, rate)
    write_av(tmp_path / name, sound, codec, rate)
    recording = read_windows(tmp_path / name, rate, whole)
    assert recording.seconds == pytest.approx(4.0, abs=0.1)
    assert best_likeness(recording.windows[0], sound.mean(axis=1)) > 0.97


@pytest.mark.parametrize("name", ["song.wav", "song.mp3", "song.m4a"])
def test_a_window_starts_where_it_should(name: str, tmp_path: Path) -> None:
    sound = np.zeros((44_100 * 20, 2), np.float32)
    sound[44_100 * 12 : 44_100 * 12 + 200] = 0.5
    sound += np.random.default_rng(1).normal(0, 1e-3, sound.shape).astype(np.float32)
    if name.endswith("m4a"):
        write_av(tmp_path / name, sound, "aac")
    else:
        soundfile.write(tmp_path / name, sound, 44_100, **SNDFILE_FORMATS[name])
    window = read_windows(tmp_path / name, 44_100, lambda _: [Span(10.0, 5.0)]).windows[0]
    assert len(window) == 44_100 * 5
    assert np.abs(window).argmax() / 44_100 == pytest.approx(2.0, abs=0.06)


def test_the_down_mix_is_the_mean_of_channels() -> None:
    channels = np.array([[1.0, 0.0], [0.5, -0.5], [0.25, 0.75]], np.float32)
    np.testing.assert_array_equal(mix_down(channels), np.array([0.5, 0.0, 0.5], np.float32))
    np.testing.assert_allclose(mix_down(np.ones((2, 6), np.float32)), [1.0, 1.0], rtol=1e-6)


@pytest.mark.parametrize("name", ["left.wav", "left.mka"])
def test_a_sound_on_the_left_alone_comes_out_at_half_level(name: str, tmp_path: Path) -> None:
    sound = music(2.0)
    sound[:, 1] = 0
    if name.endswith("mka"):
        write_av(tmp_path / name, sound, "pcm_s16le")
    else:
        soundfile.write(tmp_path / name, sound, 44_100)
    window = read_windows(tmp_path / name, 44_100, whole).windows[0]
    np.testing.assert_allclose(window, sound[:, 0] / 2, atol=2e-4)  # 16 bits


def test_rates_are_converted(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "low.wav", music(3.0, 8_000, 1), 8_000)
    assert len(read_windows(tmp_path / "low.wav", RATE, whole).windows[0]) == 3 * RATE


def test_names_that_are_not_text_are_read(tmp_path: Path) -> None:
    for ending, codec in ((b".wav", ""), (b".m4a", "aac")):
        plain = tmp_path / f"song{ending.decode()}"
        if codec:
            write_av(plain, music(1.0), codec)
        else:
            soundfile.write(plain, music(1.0), 44_100)
        odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9" + ending))
        try:
            plain.rename(odd)
        except OSError:
            pytest.skip("this file system takes text names only")
        assert read_windows(odd, RATE, whole).seconds == pytest.approx(1.0, abs=0.1)


def half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_a_missing_file_fails_at_reading(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file") as caught:
        read_windows(tmp_path / "none.mp3", RATE, whole)
    assert caught.value.stage == "read"


def test_a_folder_fails_at_reading(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        read_windows(tmp_path, RATE, whole)
    assert caught.value.stage == "read"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_fails_at_reading(tmp_path: Path) -> None:
    path = tmp_path / "mine.wav"
    soundfile.write(path, music(1.0), 44_100)
    path.chmod(0)
    with pytest.raises(MediaError, match="permission") as caught:
        read_windows(path, RATE, whole)
    assert caught.value.stage == "read"


@pytest.mark.parametrize(
    "content", [b"", b"this is a text, not a song\n" * 400, bytes(5000)], ids=["empty", "text", "zeros"]
)
@pytest.mark.parametrize("ending", [".mp3", ".wav", ".flac", ".ogg", ".m4a", ".raw"])
def test_what_is_no_sound_fails_at_decoding(
    content: bytes, ending: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"bad{ending}"
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        read_windows(path, RATE, whole)
    assert caught.value.stage == "decode"
    assert str(path) not in caught.value.reason
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("seconds", [12.0, 40.0])
@pytest.mark.parametrize("name", ["song.mp3", "song.flac", "song.m4a", "song.wav"])
def test_a_truncated_file_fails_at_decoding(
    name: str, seconds: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    sound = music(seconds) + np.random.default_rng(2).normal(0, 0.02, (round(44_100 * seconds), 2)).astype(np.float32)
    if name.endswith("m4a"):
        write_av(path, sound, "aac")
    else:
        soundfile.write(path, sound, 44_100, **SNDFILE_FORMATS[name])
    half(path)
    with pytest.raises(MediaError) as caught:
        read_windows(path, RATE, plan_windows)
    assert caught.value.stage == "decode"
    assert capfd.readouterr().err == ""


def test_a_little_damage_inside_an_mp3_is_passed_over_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "song.mp3"
    soundfile.write(path, music(40.0), 44_100, **SNDFILE_FORMATS["song.mp3"])
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(3).bytes(3000)
    path.write_bytes(bytes(data))
    assert len(read_windows(path, RATE, plan_windows).windows) == 3
    assert capfd.readouterr().err == ""


def test_a_sound_that_nobody_can_decode_fails_at_decoding(tmp_path: Path) -> None:
    """A WAV file of a kind that no decoder knows: FFmpeg then has a stream without a codec, or a rate."""
    path = tmp_path / "strange.wav"
    soundfile.write(path, np.sin(np.arange(22_050) * 0.1), 22_050)
    content = bytearray(path.read_bytes())
    content[20:22] = b"\x34\x12"
    path.write_bytes(content)
    with pytest.raises(MediaError, match="no decoder for its sound") as caught:
        read_windows(path, 22_050, plan_windows)
    assert caught.value.stage == "decode"


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    write_av(tmp_path / "song.aac", music(2.0), "aac")
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsong.aac\n#EXT-X-ENDLIST\n")
    with pytest.raises(MediaError) as caught:
        read_windows(path, RATE, whole)
    assert caught.value.stage == "decode"


def test_a_relative_name_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_av(tmp_path / "song.m4a", music(1.0), "aac")
    (tmp_path / "song.m4a").rename("http:song.m4a")
    assert read_windows(Path("http:song.m4a"), RATE, whole).seconds == pytest.approx(1.0, abs=0.1)


def test_limits_hold(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, music(3.0), 44_100)
    with pytest.raises(MediaError, match="bytes") as too_large:
        read_windows(path, RATE, whole, Limits(bytes=1000))
    assert too_large.value.stage == "read"
    with pytest.raises(MediaError, match="limit of 2 s") as too_long:
        read_windows(path, RATE, whole, Limits(seconds=2.0))
    assert too_long.value.stage == "decode"
    with pytest.raises(MediaError, match="takes too long") as too_slow:
        read_windows(path, RATE, whole, Limits(decode_seconds=-1.0))
    assert too_slow.value.stage == "decode"


def test_three_hours_take_no_longer_than_three_minutes(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 8_000, 1, format="FLAC", subtype="PCM_16") as file:
        minute = music(60.0, 8_000, 1)
        for _ in range(180):
            file.write(minute)
    started = time.process_time()
    recording = read_windows(path, RATE, plan_windows)
    assert time.process_time() - started < 1.0
    assert recording.seconds == pytest.approx(3 * 3600)
    assert [len(window) for window in recording.windows] == [10 * RATE] * 3


def test_lengths_that_do_not_divide_into_windows_are_not_taken_for_truncated(tmp_path: Path) -> None:
    """The ends of spans are rounded to samples; half a sample less is no damage."""
    path = tmp_path / "odd.wav"
    for frames in (351_597, 604_509, 791_671):
        soundfile.write(path, np.zeros(frames, np.float32) + 0.1, 44_100)
        assert len(read_windows(path, 22_050, plan_windows).windows) >= 1
