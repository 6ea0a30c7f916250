"""Where the windows of a song lie."""

from __future__ import annotations

import pytest

from audio.windows import WINDOW_SECONDS, WINDOWS, Span, plan_windows


def test_a_song_has_three_windows_in_the_middles_of_its_thirds() -> None:
    assert plan_windows(180.0) == (Span(25.0, 10.0), Span(85.0, 10.0), Span(145.0, 10.0))


@pytest.mark.parametrize("seconds", [29.9, 30.0, 30.001])
def test_a_half_minute_clip_is_its_whole_self(seconds: float) -> None:
    spans = plan_windows(seconds)
    assert len(spans) == WINDOWS
    assert sum(span.seconds for span in spans) == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 5.0, 10.0])
def test_a_short_sound_is_one_window(seconds: float) -> None:
    assert plan_windows(seconds) == (Span(0.0, seconds),)


@pytest.mark.parametrize("seconds", [3.0, 10.1, 19.0, 20.5, 31.0, 250.0, 86_400.0])
def test_windows_stay_inside_apart_and_in_order(seconds: float) -> None:
    spans = plan_windows(seconds)
    ends = [0.0, *(span.start + span.seconds for span in spans)]
    assert all(span.start >= end - 1e-9 for span, end in zip(spans, ends, strict=False))
    assert ends[-1] <= seconds + 1e-9
    assert all(0 < span.seconds <= WINDOW_SECONDS for span in spans)
