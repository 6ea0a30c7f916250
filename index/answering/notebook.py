"""How answers and lists show themselves in a notebook: grids of pictures, or players for sounds."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from index.answers import Answer, Hit
from index.encoders import modality_of
from index.items import Item

THUMBNAIL = 160
"""Pixels of the longer side."""

SOUND_BYTES = 12 << 20
"""Sounds up to this size are embedded whole; longer ones are named only."""


def answer_html(answer: Answer) -> str:
    """Draw an answer as HTML that stands alone; nothing in ids or attributes is taken as markup."""
    cells = "".join(
        _figure(hit.paths, f"{hit.rank}. {hit.item_id}", f"{hit.score:.3f} · {shares_text(hit)}") for hit in answer.hits
    )
    names = ", ".join([name for name, _ in answer.query.items] + [path.name for path, _ in answer.query.files])
    head = f"{answer.query.relation} of {names} ({answer.method}, recall {answer.recall:.3f})"
    return _page(head, f"<div>{cells}</div>", answer.notes)


def rows_html(head: str, rows: Sequence[tuple[str, Sequence[tuple[Item, str]]]], notes: Sequence[str] = ()) -> str:
    """Draw items in rows, each with a heading, as HTML that stands alone.

    Args:
        head: What all of it is.
        rows: Of each row the heading, and its items with what is said below each.
        notes: What could not be done as asked.
    """
    drawn = "".join(
        f"<div style='margin:8px 0 0'>{html.escape(heading)}</div><div>"
        + "".join(_figure(item.paths, item.item_id, caption) for item, caption in items)
        + "</div>"
        for heading, items in rows
    )
    return _page(head, drawn, notes)


def shares_text(hit: Hit) -> str:
    """The facets' shares in words: ``color 60 %, texture 40 %``."""
    ordered = sorted(hit.facets.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in ordered)


def _page(head: str, body: str, notes: Sequence[str]) -> str:
    told = "".join(f"<div><i>{html.escape(note)}</i></div>" for note in notes)
    return f"<div style='font:13px sans-serif'><b>{html.escape(head)}</b>{told}{body}</div>"


def _figure(paths: Sequence[Path], name: str, caption: str) -> str:
    return (
        f"<figure style='display:inline-block;width:{THUMBNAIL + 20}px;margin:6px;vertical-align:top'>"
        f"{_media(paths)}<figcaption style='font:12px sans-serif'><b>{html.escape(name)}</b><br>"
        f"{html.escape(caption)}</figcaption></figure>"
    )


def _media(paths: Sequence[Path]) -> str:
    if not paths:
        return ""
    path = paths[0]
    try:
        return _picture(path) if modality_of(path.name) == "image" else _player(path)
    except OSError:
        return f"<code>{html.escape(path.name)}</code>"


def _picture(path: Path) -> str:
    from PIL import Image, ImageOps

    content = io.BytesIO()
    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * THUMBNAIL, 2 * THUMBNAIL))
            small = ImageOps.exif_transpose(image).convert("RGB")
            small.thumbnail((THUMBNAIL, THUMBNAIL))
            small.save(content, "JPEG", quality=80)
    except (Image.DecompressionBombError, SyntaxError, ValueError) as error:  # what Pillow raises beside OSError
        raise OSError(str(error)) from None
    data = base64.b64encode(content.getvalue()).decode()
    return f"<img src='data:image/jpeg;base64,{data}' alt='{html.escape(path.name, quote=True)}'>"


def _player(path: Path) -> str:
    if path.stat().st_size > SOUND_BYTES:
        return f"<code>{html.escape(path.name)}</code>"
    kind = {".mp3": "mpeg", ".m4a": "mp4", ".oga": "ogg", ".opus": "ogg"}.get(path.suffix.lower(), path.suffix[1:])
    data = base64.b64encode(path.read_bytes()).decode()
    return f"<audio controls style='width:100%' src='data:audio/{html.escape(kind.lower())};base64,{data}'></audio>"
