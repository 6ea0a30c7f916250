"""Maps that are kept: computed once for each generation, beside its files, and restricted where a filter asks."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np

from index.answering.places import Places, places_of
from index.errors import InputError
from index.lists.map import Drawn, StyleMap, draw, dress
from index.lists.map_layout import Method, OnProgress, choose_method
from index.recommender import Recommender
from index.trouble import StorageTrouble

FOLDER = "maps"
"""In a generation's folder, with which kept maps are deleted."""

FORMAT = 1
"""Raised when maps come out otherwise."""

CLUSTERS = 12


def kept_map(
    recommender: Recommender,
    relation: str = "similar",
    *,
    method: Method = "auto",
    where: str = "",
    modality: str = "",
    on_progress: OnProgress = lambda *_: None,
) -> StyleMap:
    """The map of a relation's space, computed once for each generation.

    The map is that of all items (``map_items`` with its defaults, seed 0); a filter leaves out what does not pass
    and moves nothing. Items removed since it was computed are left out, too; items added since come with the next
    generation. It lies in the generation's folder, where every process finds it and where it ends with the
    generation; where that folder cannot be written it is computed anew each time. Two processes that compute it at
    once write the same bytes.

    Args:
        recommender: Of an opened catalog.
        relation, method, where, modality, on_progress: See ``map_items``.

    Raises:
        As ``map_items``.
    """
    with StorageTrouble(recommender.catalog.folder):
        matching = recommender.catalog.matching(where) if where else None  # before anything is computed
        places = places_of(recommender, relation, modality=modality)
        generation = recommender.generation
        drawn = draw_or_read(places, generation.folder / FOLDER, method, on_progress)
        if matching is not None:
            drawn = drawn.only(np.isin(drawn.keys, matching))
            if not len(drawn.keys):
                raise InputError(f"no item on the map of relation {relation!r} passes the filter; loosen it")
        kept = dress(recommender.catalog, drawn, relation, places.space.modality, generation.manifest.number)
        if not len(kept):
            raise InputError(f"every item on the map of relation {relation!r} was removed; index again")
        return kept


def draw_or_read(places: Places, folder: Path, method: Method, on_progress: OnProgress) -> Drawn:
    """Read a map that was kept, or compute and keep it."""
    chosen = places.select()
    named = choose_method(method, len(chosen))
    weights = dict(sorted(places.relation.weights.items()))
    key = json.dumps([FORMAT, places.relation.name, places.space.name, weights, named, CLUSTERS])
    file = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    drawn = _read(file)
    if drawn is None:
        drawn = draw(chosen, named, CLUSTERS, 0, on_progress)  # type: ignore[arg-type]
        _keep(drawn, file)
    return drawn


def _read(file: Path) -> Drawn | None:
    """A kept map; ``None`` where there is none, or a damaged one."""
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as held:
            told = json.loads(str(held["told"]))
            return Drawn(
                held["keys"],
                held["at"],
                held["labels"],
                tuple(tuple(keys) for keys in told["central"]),
                told["method"],
                told["fitted_on"],
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _keep(drawn: Drawn, file: Path) -> None:
    told = {"central": drawn.central, "method": drawn.method, "fitted_on": drawn.fitted_on}
    content = io.BytesIO()
    np.savez(content, keys=drawn.keys, at=drawn.at, labels=drawn.labels, told=np.asarray(json.dumps(told)))
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content.getvalue())
        beside.replace(file)
    except OSError:  # read-only, full, or the generation was replaced a moment ago: a map need not be kept
        beside.unlink(missing_ok=True)
