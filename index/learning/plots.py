"""Plots: lines, grouped bars and columns as SVG, coloured by the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 40
LINE = "{0:.1f},{1:.1f}"

Bar = tuple[float, float, float]
"""A share from 0 to 1, and the bounds of its interval."""


def lines(title: str, ticks: Sequence[str], series: Sequence[tuple[str, Sequence[float]]]) -> str:
    """One line for each series over evenly spaced ticks.

    Args:
        title: What the plot shows, read out by screen readers.
        ticks: Names along the horizontal axis.
        series: Name and a share from 0 to 1 for each tick; drawn in the classes ``s0``, ``s1``, … of the style
            sheet, the first on top.
    """
    top = min(1.0, _round_up(max((value for _, values in series for value in values), default=0.0)))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(ticks) - 1)
    body = [_axes(top)]
    for at, tick in enumerate(ticks):
        body.append(_text(LEFT + at * step, HEIGHT - BOTTOM + 18, tick, "middle"))
    for number, (name, values) in reversed(list(enumerate(series))):
        points = [(LEFT + at * step, _height(value, top)) for at, value in enumerate(values)]
        path = " ".join(LINE.format(*point) for point in points)
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points)
        body.append(f'<g class="s{number}"><title>{escape(name)}</title><polyline points="{path}"/>{dots}</g>')
    return _svg(title, body)


def bars(title: str, groups: Sequence[str], series: Sequence[tuple[str, Sequence[Bar | None]]]) -> str:
    """For each group one bar of each series, with its interval; None leaves a gap.

    Args:
        title: What the plot shows.
        groups: Names along the horizontal axis.
        series: Name and a bar for each group.
    """
    top = min(1.0, _round_up(max((bar[2] for _, found in series for bar in found if bar), default=0.0)))
    room = (WIDTH - LEFT - RIGHT) / max(1, len(groups))
    width = room * 0.8 / max(1, len(series))
    base = _height(0, top)
    body = [_axes(top)]
    for at, group in enumerate(groups):
        body.append(_text(LEFT + (at + 0.5) * room, HEIGHT - BOTTOM + 18, group, "middle"))
    for number, (name, found) in enumerate(series):
        marks = []
        for at, bar in enumerate(found):
            if bar:
                x = LEFT + at * room + 0.1 * room + number * width
                value, low, high = (_height(one, top) for one in bar)
                marks.append(
                    f'<rect x="{x:.1f}" y="{value:.1f}" width="{width * 0.9:.1f}" height="{base - value:.1f}"/>'
                    f'<path class="error" d="M{x + width * 0.45:.1f},{low:.1f}V{high:.1f}"/>'
                )
        body.append(f'<g class="s{number}"><title>{escape(name)}</title>{"".join(marks)}</g>')
    return _svg(title, body)


def columns(title: str, names: Sequence[str], counts: Sequence[int]) -> str:
    """A histogram: one column for each name, its count above it."""
    top = _round_up(float(max(counts, default=0)))
    room = (WIDTH - LEFT - RIGHT) / max(1, len(names))
    body = [_axes(top)]
    for at, (name, count) in enumerate(zip(names, counts, strict=True)):
        x, y = LEFT + at * room, _height(count, top)
        body.append(
            f'<rect class="s0" x="{x + 0.1 * room:.1f}" y="{y:.1f}" width="{0.8 * room:.1f}" '
            f'height="{_height(0, top) - y:.1f}"/>'
        )
        body.append(_text(x + room / 2, y - 4, f"{count:,}", "middle"))
        body.append(_text(x + room / 2, HEIGHT - BOTTOM + 18, name, "middle"))
    return _svg(title, body)


def _height(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value / top, 1.0)


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 4, 5 or 10 times a power of ten that leaves a little room above."""
    if value <= 0:
        return 1.0
    power = 10.0 ** (len(f"{int(value)}") - 1) if value >= 1 else 1.0
    while power > value:
        power /= 10
    return next(step * power for step in (1, 2, 2.5, 4, 5, 8, 10, 20) if step * power >= value * 1.06)


def _axes(top: float) -> str:
    marks = []
    for part in range(5):
        y = _height(top * part / 4, top)
        marks.append(f'<path class="grid" d="M{LEFT},{y:.1f}H{WIDTH - RIGHT}"/>')
        marks.append(_text(LEFT - 6, y + 4, f"{top * part / 4:,.4g}", "end"))
    return "".join(marks)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, body: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(body)}</svg>"
    )
