"""Building a generation: project every item, lay rows out by category and in cells, measure recall."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.catalog import Catalog, HeldEncoder, chunks, marks
from index.engine.ann import build_trees
from index.engine.calibrate import calibrate, exact_plan, random_quantiles, rows_that_meet_cells
from index.engine.cells import fit_cells, half_squares
from index.engine.coarse import abreast, in_steps, scales_of
from index.engine.generations import (
    FORMAT_VERSION,
    MANIFEST,
    RANDOM_LEVELS,
    Manifest,
    current_number,
    damage,
    disagreement,
    file_record,
    new_generation,
    read_manifest,
)
from index.engine.ids import write_ids
from index.engine.mapping import mapped
from index.engine.projection import Projection, fit_projection
from index.engine.rows import (
    BIASES,
    CELLS,
    CENTRES,
    COARSE,
    FACETS,
    GROUPS,
    LAYOUT,
    PROJECTION,
    REDUCED,
    REDUCER,
    SCALES,
    STARTS,
    UNITS,
    VECTORS,
    LearnedSpace,
    SearchPlan,
    Space,
    SpaceRecord,
)
from index.engine.spaces import FIT_ITEMS
from index.engine.surroundings import find_surroundings
from index.errors import NotBuiltError, StaleIndexError
from index.learned import head_of, links_of, rows_of_items
from index.reading import columns_of
from index.relations import Relation
from index.types import EncoderCard, Modality, Vectors

UNSORTED = "unsorted.f32"
"""The reduced copy in the order of rows, until it is laid out by cells."""

LEARNED = "learned-"
"""What the folders of learned relations begin with."""

DEFAULT_RECALL = 0.99
BLOCK = 4096  # a multiple of ``ABREAST``
"""Items projected at once: memory stays flat however many there are."""

ALWAYS_REBUILD = 20_000
"""Catalogs up to this size are rebuilt whenever something changed: it takes seconds."""

REBUILD_SHARE = 0.05
"""Larger ones when this share of the items changed; until then changes are searched beside the trees."""

EXACT_ROWS = 5000
"""Up to so many rows are scanned: it takes a third of a millisecond, and there is nothing to measure."""

REDUCED_DIM, REDUCED_STEP, HELD = 64, 4, 0.97
"""Dimensions of the reduced copy, which proposes; the full vectors decide. Measured on 100,000 rows of
240 dimensions: 64 reached recall 0.99 in a quarter of the time of 240, 32 needed twice the candidates. Fewer, in steps
of 4, where they hold that share of the squares."""


def cards(catalog: Catalog) -> dict[str, EncoderCard]:
    """Encoder name → card, as the catalog holds them."""
    return {name: held.card for name, held in catalog.encoders().items()}


def pending(catalog: Catalog, sequence: int) -> int:
    """Number of items changed or removed since a generation of this sequence was built."""
    row = catalog.connection.execute(
        "SELECT (SELECT count(*) FROM items WHERE changed > ?1) + (SELECT count(*) FROM removed WHERE changed > ?1)",
        (sequence,),
    ).fetchone()
    return int(row[0])


def build_if_needed(catalog: Catalog, *, force: bool = False) -> int:
    """Build a generation when there is none that fits, or enough has changed; return the number in use.

    The caller holds the writer lock.

    Raises:
        StorageError: The disk is full; the generation in use stays.
    """
    number = current_number(catalog.folder)
    recall = float(catalog.setting("recall", str(DEFAULT_RECALL)))
    if not force:
        try:
            manifest = read_manifest(catalog.folder, number)
        except (NotBuiltError, StaleIndexError):
            manifest = None
        if (
            manifest
            and manifest.asked_recall == recall
            and not disagreement(manifest, cards(catalog), catalog.relations())
            and not damage(catalog.folder, manifest, thorough=False)
        ):
            count = catalog.count()
            changes = pending(catalog, manifest.sequence)
            if not changes or (count > ALWAYS_REBUILD and changes < REBUILD_SHARE * count):
                return number
    return build(catalog, recall)


def build(catalog: Catalog, recall: float) -> int:
    """Build a generation from the database and put it in use; return its number."""
    sequence = catalog.sequence
    with new_generation(catalog.folder) as (number, folder):
        spaces: dict[str, SpaceRecord] = {}
        encoders = catalog.encoders()
        relations = catalog.relations()
        modalities: dict[Modality, list[str]] = {}
        for name, held in encoders.items():
            modalities.setdefault(held.card.modality, []).append(name)
        for modality, names in modalities.items():
            own = {name: encoders[name] for name in names}
            plain = [relation for relation in relations.values() if not relation.head]
            spaces[modality] = _build_facets(catalog, folder / modality, own, plain, recall)
        for relation in relations.values():
            if relation.head:
                place = f"{LEARNED}{relation.name}"
                spaces[place] = _build_learned(catalog, folder / place, relation, recall)
        files = {
            str(path.relative_to(folder)): file_record(path) for path in sorted(folder.rglob("*")) if path.is_file()
        }
        fingerprints = {name: held.card.fingerprint for name, held in encoders.items()}
        created = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        manifest = Manifest(FORMAT_VERSION, number, created, sequence, recall, fingerprints, spaces, files)
        (folder / MANIFEST).write_text(manifest.to_json())
    with catalog.connection:
        catalog.connection.execute("DELETE FROM removed WHERE changed <= ?", (sequence,))
        catalog.set_setting("generation", str(number))  # who asks sees by the database that something changed
    return number


def raw_vectors(catalog: Catalog, keys: Sequence[int], encoders: Iterable[HeldEncoder]) -> Vectors:
    """Read items' vectors, those of several media pooled by their mean.

    Args:
        keys: Database keys of items, n of them.
        encoders: All of one modality.

    Returns:
        float32, shape ``(n, raw_dim)``: the encoders' vectors side by side, zero where an item has none.
    """
    places, width = columns_of(encoders)
    raw = np.zeros((len(keys), width), np.float32)
    row_of = {key: row for row, key in enumerate(keys)}
    for some in chunks(list(keys)):
        found = catalog.connection.execute(
            "SELECT m.item, v.encoder, v.vector FROM media m JOIN vectors v USING (media) "
            f"WHERE m.item IN ({marks(some)}) ORDER BY m.item, m.position",
            some,
        )
        rows: dict[int, list[int]] = {encoder: [] for encoder in places}
        blobs: dict[int, list[bytes]] = {encoder: [] for encoder in places}
        for item, encoder, vector in found:
            if encoder in places:
                rows[encoder].append(row_of[item])
                blobs[encoder].append(vector)
        for encoder, place in places.items():
            block = np.frombuffer(b"".join(blobs[encoder]), "<f4").reshape(-1, place.stop - place.start)
            if len(set(rows[encoder])) == len(block):
                raw[rows[encoder], place] = block
            else:
                np.add.at(raw[:, place], rows[encoder], block)
    return raw  # facets are scaled to unit length when projected, so the sum serves as the mean


def _build_facets(
    catalog: Catalog, folder: Path, encoders: Mapping[str, HeldEncoder], relations: Sequence[Relation], recall: float
) -> SpaceRecord:
    """Fit each facet's space, lay the rows of one modality out, and prepare the relations that weigh facets."""
    folder.mkdir()
    keys, categories, offsets = _ordered(catalog, [held.key for held in encoders.values()], folder)
    own = [held.card for held in encoders.values()]
    step = max(1, -(-len(keys) // FIT_ITEMS))
    projection = fit_projection(own, raw_vectors(catalog, keys[::step].tolist(), encoders.values()))
    projection.save(folder / PROJECTION)
    files: dict[str, Callable[[Sequence[int], Vectors], NDArray[np.floating]]] = {
        VECTORS: lambda _keys, raw: projection.project(raw).astype("<f4", copy=False),
        UNITS: lambda _keys, raw: projection.units(raw),
    }
    _write_rows(catalog, folder, keys, encoders, files)
    record = SpaceRecord(len(keys), projection.dim, tuple(encoders), tuple(categories), tuple(offsets), {})
    space = Space(folder, own[0].modality, record, own)
    for relation in relations:
        if space.compares(relation):
            _prepare(catalog, space, relation, recall)
    return record


def _build_learned(catalog: Catalog, folder: Path, relation: Relation, recall: float) -> SpaceRecord:
    """Lay the rows of one learned relation out."""
    folder.mkdir()
    names, head = head_of(catalog, relation.name)
    held = catalog.encoders()
    encoders = {name: held[name] for name in names}
    keys, categories, offsets = _ordered(catalog, [each.key for each in encoders.values()], folder)
    (folder / PROJECTION).write_bytes(head.to_bytes())
    files: dict[str, Callable[[Sequence[int], Vectors], NDArray[np.floating]]] = {
        VECTORS: lambda keys, raw: rows_of_items(catalog, relation.name, head, keys, raw).astype("<f4", copy=False)
    }
    modality = next(iter(encoders.values())).card.modality
    every = {name: each.card for name, each in held.items() if each.card.modality == modality}
    beside = Projection.load(folder.parent / modality / PROJECTION, list(every.values()))
    if tuple(every) != names or not head.projection.equals(beside):  # else facets stand in the modality's own rows
        files[FACETS] = lambda _keys, raw: head.projection.project(raw).astype("<f4", copy=False)
    _write_rows(catalog, folder, keys, encoders, files)
    record = SpaceRecord(len(keys), head.width, names, tuple(categories), tuple(offsets), {}, relation.name)
    own = [each.card for each in encoders.values()]
    _prepare(catalog, LearnedSpace(folder, own[0].modality, record, own), relation, recall)
    return record


def _write_rows(
    catalog: Catalog,
    folder: Path,
    keys: NDArray[np.int64],
    encoders: Mapping[str, HeldEncoder],
    files: Mapping[str, Callable[[Sequence[int], Vectors], NDArray[np.floating]]],
) -> None:
    """Write the keys of rows and, file by file, what becomes of their keys and vectors."""
    with (folder / "keys.i64").open("wb") as file:
        file.write(keys.astype("<i8").tobytes())
    with ExitStack() as stack:
        opened = {name: stack.enter_context((folder / name).open("wb")) for name in files}
        for start in range(0, len(keys), BLOCK):
            some = keys[start : start + BLOCK].tolist()
            raw = raw_vectors(catalog, some, encoders.values())
            for name, project in files.items():
                opened[name].write(project(some, raw).tobytes())


def _prepare(catalog: Catalog, space: Space, relation: Relation, recall: float) -> None:
    plan = build_relation(space, relation, recall)
    quantiles = random_quantiles(space.record.count, partial(space.pair_scores, relation), RANDOM_LEVELS)
    space.record.relations[relation.name] = replace(plan, random=quantiles)
    if relation.rerank != "none":
        pairs, weights = links_of(catalog, relation.name)
        rows = space.rows_of(pairs.reshape(-1)).reshape(pairs.shape)
        both = (rows >= 0).all(axis=1)
        find_surroundings(space, relation, (rows[both], weights[both])).write(space.folder / relation.name)
        space.record.relations[relation.name] = replace(plan, random=quantiles, surroundings=True)
    space.release()


def _ordered(
    catalog: Catalog, encoders: Sequence[int], folder: Path
) -> tuple[NDArray[np.int64], list[str | None], list[int]]:
    """Keys of items that have vectors, by (category, id), with the categories and their first rows; their ids are
    written."""
    cursor = catalog.connection.execute(
        "SELECT i.item, i.category, i.id FROM items i WHERE EXISTS (SELECT 1 FROM media m JOIN vectors v USING (media) "
        f"WHERE m.item=i.item AND v.encoder IN ({marks(encoders)})) ORDER BY i.category, i.id",
        list(encoders),
    )
    keys: list[int] = []
    categories: list[str | None] = []
    offsets: list[int] = []

    def ids() -> Iterator[str]:
        for key, category, item_id in cursor:
            if not categories or categories[-1] != category:
                categories.append(category)
                offsets.append(len(keys))
            keys.append(key)
            yield item_id

    write_ids(folder, ids())
    return np.asarray(keys, np.int64), categories or [None], [*(offsets or [0]), len(keys)]


def build_relation(space: Space, relation: Relation, recall: float) -> SearchPlan:
    """Index rows for one relation, and put how they are searched into their record."""
    if space.record.count <= EXACT_ROWS or not rows_that_meet_cells(space, relation).any():
        return exact_plan(space, relation)
    folder = space.folder / relation.name
    folder.mkdir()
    by_category = relation.rule != "any" and len(space.record.categories) > 1
    dim = _reduce(space, relation, folder)
    plan = SearchPlan(
        digest=relation.digest, method="cells", recall=0.0, measured_on=0, cells=0, probes=0, groups=0, search_k=0,
        candidates=0, dim=dim, by_category=by_category, seconds_per_query=0.0, seconds_per_row=0.0, random=(),
    )  # fmt: skip
    space.record.relations[relation.name] = plan
    space.record.relations[relation.name] = replace(plan, cells=_lay_out(space, relation, folder, plan))
    for segment in space.segments(relation.name).walk():
        if segment.has_trees:
            centres = space.cells(relation.name).centres
            build_trees(folder / segment.name, centres[segment.start : segment.stop])
    plan = calibrate(space, relation, recall)
    if plan.method == "exact":
        shutil.rmtree(folder)
    elif not plan.search_k:
        for path in folder.glob("*.ann"):
            path.unlink()
    return plan


def _reduce(space: Space, relation: Relation, folder: Path) -> int:
    """Fit the map to the reduced copy, and return its dimensions; a learned relation has its own."""
    if isinstance(space, LearnedSpace):
        return space.head.rank
    reducer = fit_reducer(space.vectors, np.sqrt(space.facet_weights(relation)))
    (folder / REDUCER).write_bytes(reducer.astype("<f4").tobytes())
    return int(reducer.shape[1])


def _lay_out(space: Space, relation: Relation, folder: Path, plan: SearchPlan) -> int:
    """Divide the reduced copy of all rows into cells, write it in their order, and return how many they are."""
    of_rows, _ = space.reducers(relation)
    count, unsorted = space.record.count, folder / UNSORTED
    largest = np.zeros(plan.dim, np.float32)
    with unsorted.open("wb") as file:
        for start in range(0, count, BLOCK):
            some = (space.vectors[start : start + BLOCK] @ of_rows).astype("<f4", copy=False)
            largest = np.maximum(largest, np.abs(some).max(axis=0))
            file.write(some.tobytes())
            space.release()
    scales = scales_of(largest)
    rows: Vectors = mapped(unsorted, "<f4", (count, plan.dim))
    cells = fit_cells(rows, space.offsets if plan.by_category else np.asarray([0, count]))
    with (folder / REDUCED).open("wb") as file, (folder / BIASES).open("wb") as biases:
        for start in range(0, count, BLOCK):
            some = rows[cells.rows[start : start + BLOCK]]
            file.write(abreast(in_steps(some, scales)).tobytes())
            if space.by_distance:
                biases.write((-half_squares(some)).astype("<f4", copy=False).tobytes())
    if not space.by_distance:
        (folder / BIASES).unlink()
    del rows
    unsorted.unlink()
    (folder / SCALES).write_bytes(scales.astype("<f4").tobytes())
    (folder / COARSE).write_bytes(abreast(in_steps(cells.centres, scales)).tobytes())
    (folder / CENTRES).write_bytes(cells.centres.astype("<f4").tobytes())
    (folder / STARTS).write_bytes(cells.starts.astype("<i8").tobytes())
    (folder / LAYOUT).write_bytes(cells.rows.astype("<i4").tobytes())
    (folder / CELLS).write_bytes(cells.offsets.astype("<i8").tobytes())
    (folder / GROUPS).write_bytes(cells.groups.astype("<i8").tobytes())
    return len(cells.centres)


def fit_reducer(vectors: Vectors, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Principal axes of the weighted rows (second moment about zero: cosines are kept, not offsets), as many as hold
    nearly all of it."""
    step = max(1, -(-len(vectors) // FIT_ITEMS))
    sample = vectors[::step].astype(np.float64) * weights
    moments, axes = np.linalg.eigh(sample.T @ sample)
    held = np.cumsum(moments[::-1])
    enough = int(np.searchsorted(held, HELD * held[-1])) + 1
    dim = min(-(-enough // REDUCED_STEP) * REDUCED_STEP, REDUCED_DIM, int(np.count_nonzero(weights)))
    return np.ascontiguousarray(axes[:, ::-1][:, :dim], np.float32)
