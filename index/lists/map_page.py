"""A map as one page that asks nobody for anything: items on a canvas to zoom, thumbnails, search, clusters' names."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import io
import json
from importlib.resources import files

import numpy as np
from PIL import Image

from index.encoders import cover_of
from index.errors import MediaError
from index.lists.map import StyleMap
from index.lists.map_colors import colorings
from index.lists.map_picture import caption
from index.thumbnails import thumbnail

THUMBNAILS = 400
"""Embedded at most: some 3 KB each."""

SIDE = 112
"""Pixels of a thumbnail's longer side."""

NAMED = 300
"""Sounds whose titles are written on the map where there is room."""


def map_page(style_map: StyleMap) -> str:
    """Write a map as one HTML file without outside requests.

    Items are packed (places in 16 bits, names as JSON, both gzipped), so that a page of 100,000 items stays within
    some megabytes. Ids, titles and labels are data throughout; a Content-Security-Policy names the hashes of the one
    script and the one style sheet that may run.
    """
    style, script = _part("page.css"), _part("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    data = json.dumps(_data(style_map), ensure_ascii=True, separators=(",", ":"))
    return _part("page.html") % {
        "policy": html.escape(policy, quote=False),
        "title": html.escape(caption(style_map)),
        "style": style,
        "data": data.replace("<", "\\u003c"),  # nothing in it ends the block
        "script": script,
    }


def _data(style_map: StyleMap) -> dict[str, object]:
    kinds = colorings(style_map)
    places = np.round(style_map.at * 65535).astype("<u2")
    thumbs = _thumbnails(style_map)
    return {
        "relation": style_map.relation,
        "told": caption(style_map).partition(" · ")[2],
        "count": len(style_map),
        "places": _packed(places.T.tobytes()),
        "names": _packed(json.dumps({"titles": style_map.titles, "ids": style_map.ids}).encode()),
        "codes": _packed(b"".join(kind.codes.tobytes() for kind in kinds)),
        "colorings": [{"name": kind.name, "values": kind.values, "colors": kind.colors} for kind in kinds],
        "clusters": [
            {"x": round(cluster.x, 5), "y": round(cluster.y, 5), "size": cluster.size, "label": cluster.label}
            for cluster in style_map.clusters
        ],
        "thumbs": thumbs,
        "titled": not thumbs,
        "named": [mark.row for mark in style_map.landmarks[:NAMED]],
    }


def _thumbnails(style_map: StyleMap) -> list[dict[str, object]]:
    """Small pictures of items that stand for regions, in that order; of sounds, covers only."""
    found: list[dict[str, object]] = []
    for mark in style_map.landmarks:
        if len(found) == THUMBNAILS:
            break
        try:
            if mark.modality == "audio" and cover_of(mark.path) is None:
                continue
            content = thumbnail(mark.path, mark.modality, SIDE)
            with Image.open(io.BytesIO(content)) as image:
                width, height = image.size
        except MediaError:
            continue
        uri = f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
        found.append({"row": mark.row, "width": width, "height": height, "uri": uri})
    return found


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()


def _part(name: str) -> str:
    return (files("index.lists") / "map_page_files" / name).read_text("utf-8").strip("\n")


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
