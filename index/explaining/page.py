"""An explanation as HTML that stands alone: no outside requests, nothing in ids or titles taken as markup."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from pathlib import Path

from index.encoders import open_picture, player_source
from index.errors import MediaError
from index.explaining.drawing import legend_of
from index.explaining.explanation import Box, Dimension, Explanation
from index.explaining.lettering import COLOURS
from index.explaining.timepicture import times_png
from index.explaining.wording import clock, facet_word

PICTURE, THUMBNAIL = 640, 96
"""Pixels of the longer side, of the two pictures and of items at the ends of dimensions."""

POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

STYLE = """
.why { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; color: #1b1b1b;
  background: #fff; color-scheme: light dark; }
.why h1 { font-size: 1.15rem; margin: 0 0 .6rem; }
.why p { margin: .3rem 0; }
.why .pale, .why figcaption { color: #5c5c5c; }
.why .two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(16rem, 100%), 1fr)); gap: 1rem;
  margin: 1rem 0; }
.why figure { margin: 0; }
.why figcaption { overflow-wrap: anywhere; }
.why .frame { position: relative; line-height: 0; }
.why .frame img, .why .wide { width: 100%; height: auto; }
.why .box { position: absolute; box-sizing: border-box; border: 3px solid; outline: 1px solid #fff; }
.why .tag { color: #fff; font: bold 13px/1.4 system-ui, sans-serif; padding: 0 .4em; display: inline-block; }
.why table { border-collapse: collapse; margin: .8rem 0; }
.why td, .why th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: middle; font-weight: normal; }
.why .bar { height: .8em; background: #0072b2; border-radius: 2px; }
.why audio { width: 100%; }
.why button { font: inherit; padding: .25rem .6rem; cursor: pointer; }
.why .end img { height: 5rem; width: auto; margin: 0 .25rem .25rem 0; vertical-align: middle; }
@media (prefers-color-scheme: dark) {
  .why { color: #e8e8e8; background: #17181a; }
  .why .pale, .why figcaption { color: #a8a8a8; }
}
"""

SCRIPT = """
const players = document.querySelectorAll('.why audio');
let stop = null;
function play(which, start, seconds, after) {
  players.forEach(player => player.pause());
  const player = players[which], end = start + seconds;
  const watch = () => {
    if (player.currentTime < end) return;
    player.removeEventListener('timeupdate', watch);
    player.pause();
    if (after) after();
  };
  if (stop) stop();
  stop = () => player.removeEventListener('timeupdate', watch);
  const go = () => { player.currentTime = start; player.addEventListener('timeupdate', watch); player.play(); };
  if (player.readyState) go(); else { player.addEventListener('loadedmetadata', go, {once: true}); player.load(); }
}
document.querySelectorAll('.why button').forEach(button => button.addEventListener('click', () => {
  const {play: which, a, b, seconds} = button.dataset;
  const second = () => play(1, +b, +seconds);
  if (which === 'b') second(); else play(0, +a, +seconds, which === 'both' ? second : null);
}));
"""


def explanation_page(explanation: Explanation) -> str:
    """A whole page."""
    title = html.escape(f"{explanation.titles[0]} · {explanation.titles[1]}")
    script = f"<script>{SCRIPT}</script>" if explanation.moments else ""
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{title}</title><style>html {{ color-scheme: light dark; }} body {{ margin: 0; }}</style></head>"
        f"<body>{explanation_html(explanation, buttons=True)}{script}</body></html>\n"
    )


def explanation_html(explanation: Explanation, *, buttons: bool = False) -> str:
    """A part of a page, as a notebook shows it.

    Args:
        buttons: Whether to put buttons beside moments; they need the page's script.
    """
    one = explanation
    parts = [
        f"<style>{STYLE}</style><div class='why'><h1>{_text(one.sentence)}</h1>",
        *(f"<p>{_text(line)}</p>" for line in one.words),
        _pictures(one) if one.modality == "image" else _songs(one, buttons),
        _facets(one),
        _dimensions(one),
        *(f"<p class='pale'>{html.escape(note)}</p>" for note in one.notes),
        f"<p class='pale'>{html.escape(one.relation)}, score {one.score:.3f}</p></div>",
    ]
    return "".join(parts)


def _text(line: str) -> str:
    """Escaped, and never broken between a number and its sign."""
    return html.escape(line).replace(" %", "&nbsp;%")


def _pictures(one: Explanation) -> str:
    figures = "".join(
        f"<figure>{_frame(one.media[side], [(r.a, r.b)[side] for r in one.regions], one.titles[side])}"
        f"<figcaption>{html.escape(one.titles[side])}</figcaption></figure>"
        for side in (0, 1)
    )
    legend = " ".join(
        f"<span class='tag' style='background:{COLOURS[number % len(COLOURS)]}'>{html.escape(text)}</span>"
        for number, text in enumerate(legend_of(one))
    )
    return f"<div class='two'>{figures}</div><p>{legend}</p>"


def _frame(path: Path | None, boxes: Iterable[Box], title: str) -> str:
    try:
        source = _picture(path, PICTURE)
    except MediaError as error:
        return f"<p class='pale'>{html.escape(error.reason)}</p>"
    drawn = "".join(
        f"<div class='box' style='border-color:{(colour := COLOURS[number % len(COLOURS)])};left:{100 * x:.2f}%;"
        f"top:{100 * y:.2f}%;width:{100 * w:.2f}%;height:{100 * h:.2f}%'>"
        f"<span class='tag' style='background:{colour}'>{number + 1}</span></div>"
        for number, (x, y, w, h) in enumerate(boxes)
    )
    return f"<div class='frame'><img src='{source}' alt='{html.escape(title, quote=True)}'>{drawn}</div>"


def _songs(one: Explanation, buttons: bool) -> str:
    players = "".join(
        f"<figure>{_player(one.media[side])}<figcaption>{html.escape(one.titles[side])}</figcaption></figure>"
        for side in (0, 1)
    )
    rows = "".join(
        f"<tr><td>{clock(moment.a)}</td><td>{clock(moment.b)}</td><td>{moment.seconds:.0f} s</td>"
        f"<td>{moment.score:.2f}</td><td>{_buttons(moment.a, moment.b, moment.seconds) if buttons else ''}</td></tr>"
        for moment in one.moments
    )
    heads = "".join(f"<th scope='col' class='pale'>{word}</th>" for word in ("first", "second", "length", "alike"))
    table = f"<table><tr>{heads}<th></th></tr>{rows}</table>" if rows else ""
    drawn = ""
    if one.likeness is not None:
        data = base64.b64encode(times_png(one, one.likeness, words=False)).decode()
        drawn = (
            f"<p><img class='wide' src='data:image/png;base64,{data}' alt='Every moment of one beside the other'></p>"
        )
    return f"<div class='two'>{players}</div>{table}{drawn}"


def _buttons(a: float, b: float, seconds: float) -> str:
    data = f"data-a='{a:.2f}' data-b='{b:.2f}' data-seconds='{seconds:.2f}'"
    labels = (("a", f"first at {clock(a)}"), ("b", f"second at {clock(b)}"), ("both", "one after the other"))
    return " ".join(f"<button type='button' data-play='{which}' {data}>▶ {label}</button>" for which, label in labels)


def _player(path: Path | None) -> str:
    try:
        if path is None:
            raise MediaError("read", "there is no sound file on this machine")
        return f"<audio controls preload='metadata' src='{player_source(path)}'></audio>"
    except MediaError as error:
        return f"<audio controls></audio><p class='pale'>{html.escape(error.reason)}</p>"


def _facets(one: Explanation) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(facet_word(name, one.modality))}</td><td style='width:12rem'>"
        f"<div class='bar' style='width:{100 * share:.1f}%'></div></td><td>{100 * share:.0f} %</td>"
        f"<td class='pale'>{f'cosine {one.cosines[name]:.2f}' if name in one.cosines else ''}</td></tr>"
        for name, share in sorted(one.facets.items(), key=lambda pair: -pair[1])
    )
    return f"<table>{rows}</table>"


def _dimensions(one: Explanation) -> str:
    if not one.dimensions:
        return ""
    rows = "".join(
        f"<tr><td>{100 * each.share:.0f} %</td><td class='end'>{_ends(one, each.low)}</td>"
        f"<td class='pale'>{_standing(each)}</td><td class='end'>{_ends(one, each.high)}</td></tr>"
        for each in one.dimensions
    )
    return f"<p>Where the two stand close, between the items at both ends:</p><table>{rows}</table>"


def _standing(each: Dimension) -> str:
    return f"{100 * each.a:.0f} % and {100 * each.b:.0f} %<br>of the way"


def _ends(one: Explanation, ids: tuple[str, ...]) -> str:
    shown = []
    for item_id in ids:
        name = html.escape(item_id, quote=True)
        try:
            source = _picture(one.ends.get(item_id), THUMBNAIL)
            shown.append(f"<img src='{source}' alt='{name}' title='{name}'>")
        except MediaError:
            shown.append(f"<code>{name}</code>")
    return " ".join(shown)


def _picture(path: Path | None, side: int) -> str:
    if path is None:
        raise MediaError("read", "there is no picture on this machine")
    picture = open_picture(path, side)
    picture.thumbnail((side, side))
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
