"""A few of a catalog's own files, spread over it, to try networks on."""

from __future__ import annotations

from pathlib import Path

from index.catalog import Catalog, absolute
from index.types import Modality

MOST = 64
"""Files returned at most."""


def sample_paths(catalog: Catalog, modality: Modality = "image") -> list[Path]:
    """Paths of at most ``MOST`` usable files of one modality, evenly spread in id order."""
    rows = catalog.connection.execute(
        "SELECT s.location, s.kind, m.path FROM media m JOIN sources s USING (source) "
        "WHERE m.item IS NOT NULL AND m.modality=? ORDER BY m.id, m.position",
        (modality,),
    ).fetchall()
    step = max(1, -(-len(rows) // MOST))
    return [absolute(location, kind, path) for location, kind, path in rows[::step]]
