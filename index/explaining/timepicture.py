"""The time-by-time picture: every moment of one song beside every moment of another."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from index.explaining.explanation import Explanation, Likeness
from index.explaining.lettering import COLOURS, INK, PALE, PAPER, fitted, font, tag, wrapped
from index.explaining.wording import clock

SIDE = 560
"""Pixels of the longer side of the map."""

LEAST_SIDE = 120
"""Pixels of its shorter side at least."""

LEFT, TOP, GAP = 84, 84, 18

LOW, HIGH = (246, 248, 251), (8, 48, 107)
"""Colours of the least and the most alike: on a light ground that is part of the picture, it reads in any theme."""

UNHEARD = (222, 222, 222)

STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)
"""Seconds that marks on an axis may be apart."""


def times_png(explanation: Explanation, likeness: Likeness, *, words: bool = True) -> bytes:
    """The map with its moments in numbered frames, axes in minutes and seconds, and the words below if wanted."""
    from PIL import Image, ImageDraw

    scale = SIDE / max(likeness.length_a, likeness.length_b)
    width = max(LEAST_SIDE, round(likeness.length_b * scale))
    height = max(LEAST_SIDE, round(likeness.length_a * scale))
    total = max(LEFT + width + 2 * GAP, 680)
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    text = (explanation.sentence, *explanation.words) if words else ()
    lines = [line for one in text for line in wrapped(ruler, one, 15, total - 2 * GAP)]
    sheet = Image.new("RGB", (total, TOP + height + 3 * GAP + 23 * len(lines) + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, GAP - 8), fitted(pen, f"down: {explanation.titles[0]}", 16, total - 2 * GAP), INK, font(16))
    pen.text((GAP, GAP + 14), fitted(pen, f"across: {explanation.titles[1]}", 16, total - 2 * GAP), INK, font(16))
    sheet.paste(Image.fromarray(_map(likeness, width, height)), (LEFT, TOP))
    pen.rectangle((LEFT - 1, TOP - 1, LEFT + width, TOP + height), outline=PALE)
    across, down = width / likeness.length_b, height / likeness.length_a
    for second in _marks(likeness.length_b, width):
        x = LEFT + second * across
        pen.line((x, TOP - 6, x, TOP - 1), PALE)
        pen.text((x, TOP - 8), clock(second), PALE, font(13), anchor="ms")
    for second in _marks(likeness.length_a, height):
        y = TOP + second * down
        pen.line((LEFT - 6, y, LEFT - 1, y), PALE)
        pen.text((LEFT - 10, y), clock(second), PALE, font(13), anchor="rm")
    for number, moment in reversed(list(enumerate(explanation.moments, 1))):
        colour = COLOURS[(number - 1) % len(COLOURS)]
        x, y = LEFT + moment.b * across, TOP + moment.a * down
        box = (x, y, x + max(moment.seconds * across, 8), y + max(moment.seconds * down, 8))
        pen.rectangle((box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2), outline=PAPER, width=6)
        pen.rectangle(box, outline=colour, width=3)
        tag(pen, (min(box[2] + 2, total - 2 * GAP), box[1]), str(number), colour, 13)
    top = TOP + height + 2 * GAP
    for at, line in enumerate(lines):
        pen.text((GAP, top + 23 * at), line, INK if at == 0 else PALE, font(15))
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    return out.getvalue()


def _map(likeness: Likeness, width: int, height: int) -> NDArray[np.uint8]:
    """Scores as colours: uint8, shape ``(height, width, 3)``. A pixel shows the stretch whose middle is nearest."""
    rows, far_a = _nearest(likeness.starts_a, likeness.seconds, likeness.length_a, height)
    columns, far_b = _nearest(likeness.starts_b, likeness.seconds, likeness.length_b, width)
    low, high = float(np.quantile(likeness.scores, 0.05)), float(likeness.scores.max())
    level = np.clip((likeness.scores - low) / max(high - low, 1e-9), 0, 1)[rows][:, columns, None]
    ground, peak = np.array(LOW, float), np.array(HIGH, float)
    colours = ground + level**1.5 * (peak - ground)
    colours[far_a] = UNHEARD
    colours[:, far_b] = UNHEARD
    return np.asarray(colours.round(), np.uint8)


def _nearest(
    starts: NDArray[np.float64], seconds: float, length: float, pixels: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each pixel the place of the nearest stretch, and whether none was heard there."""
    times = (np.arange(pixels) + 0.5) * length / pixels
    middles = starts + seconds / 2
    after = np.clip(np.searchsorted(middles, times), 0, len(middles) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(times - middles[before]) <= np.abs(middles[after] - times), before, after)
    return nearest, np.abs(times - middles[nearest]) > max(seconds / 2, 1) + 0.01


def _marks(length: float, pixels: int) -> list[float]:
    """Seconds at which an axis is marked, at least 48 pixels apart."""
    step = next((step for step in STEPS if step * pixels / length >= 48), STEPS[-1])
    return [float(second) for second in np.arange(0, length, step)]
