"""The report: an evaluation as one HTML page that asks nobody for anything, and as one JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

from index.errors import InputError, StorageError
from index.learning.evaluate import CUTS, ContenderFigures, Evaluation
from index.learning.plots import bars, columns, lines

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --faint: #5d6470; --paper: #fff; --rule: #dfe2e7; --ours: #eef4ff;
  --s0: #1f5fd0; --s1: #8a8f98; --s2: #c77700; --s3: #2d8a4e; --s4: #7c4dbd; --s5: #c2417c; --s6: #00838f;
  --s7: #8d6e00; --s8: #a33d1c; --s9: #4a6572; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --faint: #9aa2ae; --paper: #15171a; --rule: #33383f;
  --ours: #1b2740; --s0: #74a5ff; --s1: #8f96a1; --s2: #f0a63c; --s3: #6ecb8d; --s4: #b79bef; --s5: #f08cbb;
  --s6: #55c6d2; --s7: #d8c05a; --s8: #f29877; --s9: #a7bfca; } }
* { box-sizing: border-box; }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p, figcaption, dt { color: var(--faint); margin: .25rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dd { margin: .25rem 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th:first-child { text-align: left; }
thead th { vertical-align: bottom; white-space: normal; }
td.best { font-weight: 700; }
td:nth-child(2), thead th:nth-child(2) { background: var(--ours); }
small { display: block; color: var(--faint); font-size: .75rem; font-weight: 400; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); gap: 1.5rem;
  margin-top: 1rem; }
figure { margin: 0; min-width: 0; }
svg { width: 100%; height: auto; }
svg text { fill: var(--faint); font: 12px system-ui, sans-serif; }
svg .grid { stroke: var(--rule); } svg .error { stroke: var(--ink); stroke-width: 1.5; }
polyline { fill: none; stroke: currentColor; stroke-width: 2; }
circle, rect { fill: currentColor; }
.s0 polyline { stroke-width: 3.5; }
.s0 { color: var(--s0); } .s1 { color: var(--s1); } .s2 { color: var(--s2); } .s3 { color: var(--s3); }
.s4 { color: var(--s4); } .s5 { color: var(--s5); } .s6 { color: var(--s6); } .s7 { color: var(--s7); }
.s8 { color: var(--s8); } .s9 { color: var(--s9); }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; padding: 0; margin: .25rem 0;
  font-size: .85rem; }
.key i { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; background: currentColor; }
.key span { color: var(--ink); }
"""

COLORS = 10
"""Contenders that can be told apart by colour; later ones stand in the tables alone."""

SMALLER_IS_BETTER = ("rank percentile", "skewness", "never", "gini")
"""Figures of the tables where the least is best."""


def write_report(evaluation: Evaluation, html: Path, json_file: Path) -> None:
    """Write both files, each whole or not at all: beside its place first, then renamed.

    Args:
        evaluation: What was measured.
        html: The page; an existing file is replaced.
        json_file: The same figures for programs.

    Raises:
        InputError: Both paths are the same.
        StorageError: A file cannot be written.
    """
    if html.absolute() == json_file.absolute():
        raise InputError(f"the page and the JSON need different files, found {html} for both")
    texts = {html: page(evaluation), json_file: json.dumps(evaluation.to_json(), ensure_ascii=False, indent=1) + "\n"}
    beside = {path: path.with_name(f"{path.name}.{os.getpid()}.part") for path in texts}
    try:
        for path, text in texts.items():
            beside[path].write_text(text, encoding="utf-8", errors="backslashreplace")
        for path, part in beside.items():
            part.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {error.filename}: {error.strerror or error}") from None
    finally:
        for part in beside.values():
            part.unlink(missing_ok=True)


def page(evaluation: Evaluation) -> str:
    """The report as HTML: tables with bootstrap intervals, plots as inline SVG, light or dark as the reader prefers.

    It loads nothing from anywhere, runs no script, and every text in it is escaped.
    """
    found = evaluation.contenders
    names = list(dict.fromkeys(name for one in found for name in one.metrics))
    title = f"Evaluation of {evaluation.relation}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _facts(evaluation),
        "<h2>How well it answers</h2>",
        "<p>Mean with its 95 % bootstrap interval, queries resampled. The best of each row is bold.",
        "Rank percentile: share of candidates before the right answers; 0 is best, 0.5 is random.</p>"
        if "rank percentile" in names
        else "</p>",
        _table(found, [(name, [_cell(one, name) for one in found]) for name in names]),
        '<div class="plots">',
        _figure(f"{evaluation.curve.capitalize()} at k, over the length of the list", _curve(evaluation), found),
        _support(evaluation),
        "</div>",
        "<h2>What it shows</h2>",
        f"<p>Lists of {evaluation.k} for each of {found[0].exposure.lists:,} queries.</p>",
        _table(found, _exposure_rows(found)),
        '<div class="plots">',
        *(_histogram(one, evaluation.k) for one in (found[0], *found[1:][-1:])),
        "</div>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _facts(evaluation: Evaluation) -> str:
    facts = {
        "Right answers": evaluation.what,
        "Asked": f"{evaluation.queries:,} queries, {evaluation.items:,} items",
        "Equal scores": {
            "expected": "count as the mean over all their orders",
            "median": "right answers in the middle of wrong ones",
            "conservative": "right answers behind wrong ones",
        }[evaluation.ties],
        "Seed": str(evaluation.seed),
        "Data": evaluation.data_hash,
        "Date": evaluation.date,
    }
    told = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    return f"<dl>{told}</dl>" + "".join(f"<p>Note: {escape(note)}.</p>" for note in evaluation.notes)


Cell = tuple[float, str] | None
"""A value and what stands in small print below it; None where there is none."""


def _cell(one: ContenderFigures, name: str) -> Cell:
    figure = one.metrics.get(name)
    return (figure.value, f"{figure.low:.3f} to {figure.high:.3f}") if figure else None


def _exposure_rows(found: Sequence[ContenderFigures]) -> list[tuple[str, list[Cell]]]:
    shown = [one.exposure for one in found]
    return [
        ("Hubness: skewness of k-occurrence", [(one.skewness, "") for one in shown]),
        ("Items never shown", [(one.never, "") for one in shown]),
        ("Catalog covered", [(one.coverage, "") for one in shown]),
        ("Gini of exposure", [(one.gini, "") for one in shown]),
    ]


def _table(found: Sequence[ContenderFigures], rows: Iterable[tuple[str, Sequence[Cell]]]) -> str:
    head = "".join(f'<th scope="col">{escape(one.name)}</th>' for one in found)
    body = []
    for name, cells in rows:
        values = [round(cell[0], 3) for cell in cells if cell]
        least = any(word in name.lower() for word in SMALLER_IS_BETTER)
        best = (min if least else max)(values, default=None)
        told = "".join(_td(cell, best) for cell in cells)
        body.append(f'<tr><th scope="row">{escape(name)}</th>{told}</tr>')
    return (
        f'<div class="wide"><table><thead><tr><th scope="col"></th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _td(cell: Cell, best: float | None) -> str:
    if cell is None:
        return "<td>–</td>"
    value, small = cell
    below = f"<small>{escape(small)}</small>" if small else ""
    mark = ' class="best"' if round(value, 3) == best else ""
    return f"<td{mark}>{value:.3f}{below}</td>"


def _curve(evaluation: Evaluation) -> str:
    cuts = [cut for cut in CUTS if f"{evaluation.curve}@{cut}" in evaluation.contenders[0].metrics]
    series = [
        (one.name, [one.metrics[f"{evaluation.curve}@{cut}"].value for cut in cuts])
        for one in evaluation.contenders[:COLORS]
    ]
    return lines(f"{evaluation.curve} at k", [str(cut) for cut in cuts], series)


def _support(evaluation: Evaluation) -> str:
    found = evaluation.contenders
    groups = list(found[0].support)
    if not groups:
        return ""
    shown = [
        (one.name, [(bar.value, bar.low, bar.high) if (bar := one.support.get(name)) else None for name in groups])
        for one in found[:COLORS]
    ]
    counts = [f"{name} ({found[0].support[name].n:,})" for name in groups]
    text = f"Recall at {evaluation.k}, by how many training edges the right answer had (how many right answers)"
    return _figure(text, bars(text, counts, shown), found)


def _histogram(one: ContenderFigures, k: int) -> str:
    bounds = [bound for bound, _ in one.exposure.histogram]
    names = [
        str(low) if high == low + 1 else f"{low}–{high - 1}" for low, high in pairwise([*bounds, bounds[-1] * 2 or 1])
    ]
    text = f"{one.name}: in how many lists of {k} an item stands"
    return _figure(text, columns(text, names, [count for _, count in one.exposure.histogram]), [])


def _figure(caption: str, plot: str, found: Sequence[ContenderFigures]) -> str:
    entries = "".join(
        f'<li class="s{number}"><i></i><span>{escape(one.name)}</span></li>'
        for number, one in enumerate(found[:COLORS])
    )
    key = f'<ul class="key">{entries}</ul>' if found else ""
    return f"<figure><figcaption>{escape(caption)}</figcaption>{plot}{key}</figure>"
