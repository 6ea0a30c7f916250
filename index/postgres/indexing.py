"""Indexing there: an HNSW index for each relation, searched as broadly as the recall asked for takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from index.engine.calibrate import ROUNDING
from index.engine.rows import SearchPlan, Space
from index.engine.search import CALIBRATED_K, SPARE
from index.postgres.maps import ColumnMap
from index.postgres.search import MOST, Limits, TableSearcher
from index.postgres.session import Session
from index.postgres.source import Source
from index.relations import Relation
from index.types import Vectors

if TYPE_CHECKING:
    import psycopg

SMALLEST = 1000
"""Rows below which every one is compared, and no index is made."""

GRAPHS = ((8, 32), (16, 64))
"""``m`` and ``ef_construction`` of HNSW, tried in turn: of 100,000 rows the first is built in half the time of
pgvector's own 16 and 64, and reaches recall .99 with more candidates, which full rows decide between anyway."""

BREADTHS = (40, 64, 100, 160, 250, 400, 640, MOST)
"""How broadly the index is searched, tried in turn; so many candidates are compared in full."""

CHOOSING = 64
"""Queries on which the breadth is chosen."""

TELLING = 320
"""Others, on which the recall that is told is measured."""

MARGIN = 0.6
"""Share of the allowed misses that the breadth chosen may use on the queries it was chosen on."""

TIMED = 5
"""Questions by which comparing every row is timed."""

ROW_BYTES = 600
"""Memory that building the graph takes for each row, beside its numbers."""

MOST_MEMORY = 2 << 30


@dataclass(frozen=True, slots=True)
class _Probe:
    """Queries with their true answers.

    Attributes:
        keys: int64, shape ``(n,)``.
        rows: float32, shape ``(n, dim)``.
        categories: Of each.
        last: Product of each one's last true answer; infinite when it has none. float32, shape ``(n,)``.
        answers: How many true answers each has, at most ``CALIBRATED_K``. int64, shape ``(n,)``.
    """

    keys: NDArray[np.int64]
    rows: Vectors
    categories: list[str | None]
    last: NDArray[np.float32]
    answers: NDArray[np.int64]


def prepare(
    source: Source,
    session: Session,
    space: Space,
    table: str,
    maps: dict[str, ColumnMap],
    on_stage: Callable[[str, int, int], None],
) -> dict[str, SearchPlan]:
    """Index a table that is filled, and choose how each relation is searched. Relation → its plan."""
    from psycopg import sql

    connection = session.connection
    codes = dict(connection.execute("SELECT name, code FROM categories").fetchall())
    plans: dict[str, SearchPlan] = {}
    total = len(source.keys(space))
    by_category = sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} (category)")
    connection.execute(by_category.format(sql.Identifier(f"{table}_category"), sql.Identifier(table)))
    connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))
    connection.execute("ANALYZE items, media")
    probes = _probes(source, space, [source.catalog.relation(name) for name in maps]) if total >= SMALLEST else {}
    for done, (name, column) in enumerate(maps.items()):
        on_stage(f"indexes of {space.name}", done, len(maps))
        relation = source.catalog.relation(name)
        built = space.record.relations[name]
        plan = replace(built, method="exact", recall=1.0, measured_on=0, cells=0, probes=0, groups=0, search_k=0,
                       candidates=0, dim=column.dim, by_category=False, seconds_per_query=0.0,
                       surroundings=False)  # fmt: skip
        plans[name] = plan
        if total < SMALLEST:
            continue
        own = TableSearcher(session, table, space, relation, column, plan)
        for graph in GRAPHS:
            _build_index(connection, table, column, graph, total)
            chosen = _calibrate(own, probes[name], codes, source.generation.manifest.asked_recall, total)
            if chosen is not None:
                plans[name] = chosen
                break
    on_stage(f"indexes of {space.name}", len(maps), len(maps))
    return plans


def _build_index(
    connection: psycopg.Connection[Any], table: str, column: ColumnMap, graph: tuple[int, int], rows: int
) -> None:
    """Make the index of one relation, unless it is there as it should be."""
    from psycopg import sql

    name = f"{table}_{column.column}"
    options = [f"m={graph[0]}", f"ef_construction={graph[1]}"]
    row = connection.execute("SELECT reloptions FROM pg_class WHERE oid = to_regclass(%s)", (name,)).fetchone()
    if row and (row[0] or []) == options:
        return
    memory = min(MOST_MEMORY, max(64 << 20, rows * (ROW_BYTES + 4 * column.dim)))
    with connection.transaction():
        connection.execute(
            "SELECT set_config('maintenance_work_mem', %s, true), set_config('max_parallel_maintenance_workers', "
            "least(8, current_setting('max_parallel_workers')::int)::text, true)",
            (f"{memory >> 10}kB",),
        )
        if row:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        made = sql.SQL("CREATE INDEX {} ON {} USING hnsw ({} {}) WITH (m = {}, ef_construction = {})")
        connection.execute(
            made.format(
                sql.Identifier(name), sql.Identifier(table), sql.Identifier(column.column),
                sql.SQL(column.operators), *map(sql.Literal, graph),
            )
        )  # fmt: skip


def _calibrate(
    searcher: TableSearcher, probe: _Probe, codes: dict[str | None, int], asked: float, total: int
) -> SearchPlan | None:
    """The plan that keeps the recall asked for, by the index or, where that is as fast, without; ``None`` when no
    breadth of the index keeps it."""
    some = min(CHOOSING, len(probe.keys) // 4)
    wanted = 1 - (1 - asked) * MARGIN
    exact = searcher.plan
    slow = _seconds_of_scan(searcher, probe, codes)
    first = replace(exact, method="hnsw")
    for breadth in BREADTHS:
        searcher.plan = replace(first, search_k=breadth, candidates=breadth)
        recall, seconds = _measure(searcher, probe, slice(0, some), codes)
        if recall < wanted:
            continue
        recall, seconds = _measure(searcher, probe, slice(some, None), codes)
        if recall >= asked:
            chosen = replace(
                searcher.plan,
                recall=round(recall, 4),
                measured_on=len(probe.keys) - some,
                seconds_per_query=seconds,
                seconds_per_row=slow / total,
            )
            searcher.plan = exact
            return chosen if seconds < slow else exact
    searcher.plan = exact
    return None


def _seconds_of_scan(searcher: TableSearcher, probe: _Probe, codes: dict[str | None, int]) -> float:
    """Median seconds in which every row is compared."""
    return _measure(searcher, probe, slice(0, TIMED), codes)[1]


def _measure(
    searcher: TableSearcher, probe: _Probe, places: slice, codes: dict[str | None, int]
) -> tuple[float, float]:
    """Mean recall and median seconds of some of the queries, each under the relation's own rule."""
    recalls: list[float] = []
    seconds: list[float] = []
    for at in range(*places.indices(len(probe.keys))):
        limits = limits_by_rule(searcher.space, searcher.relation, probe.categories[at], codes, int(probe.keys[at]))
        started = time.perf_counter()
        found = searcher.search(probe.rows[at], CALIBRATED_K + SPARE, limits)
        seconds.append(time.perf_counter() - started)
        if not probe.answers[at]:
            continue
        last = float(probe.last[at])
        reached = int(np.count_nonzero(found.products[:CALIBRATED_K] >= last - ROUNDING * max(1.0, abs(last))))
        recalls.append(min(reached, int(probe.answers[at])) / int(probe.answers[at]))
    return (float(np.mean(recalls)) if recalls else 1.0), float(np.median(seconds))


def limits_by_rule(
    space: Space, relation: Relation, category: str | None, codes: dict[str | None, int], key: int
) -> Limits:
    """Who may answer an item of a category by the relation's rule."""
    if relation.rule == "any" or category is None:
        return Limits(own=(key,))
    inside = relation.rule == "same category"
    return Limits((codes[category],), inside, None, share_of(space, {category}, inside=inside), (key,))


def share_of(space: Space, categories: set[str], *, inside: bool) -> float:
    """Which share of a space's rows is of some categories, or is not."""
    own = sum(
        stop - start
        for name, start, stop in zip(
            space.record.categories, space.record.offsets[:-1], space.record.offsets[1:], strict=True
        )
        if name in categories
    )
    share = own / max(1, space.record.count)
    return share if inside else 1 - share


def _probes(source: Source, space: Space, relations: Sequence[Relation]) -> dict[str, _Probe]:
    """Draw queries, and find their true answers in each relation: every row compared, block by block."""
    rng = np.random.default_rng(0)
    keys = np.sort(rng.permutation(source.keys(space))[: CHOOSING + TELLING])
    rows = source.rows_of(space, keys)
    categories: list[str | None] = source.categories(keys.tolist())
    names: dict[str | None, int] = {}
    own = np.array([names.setdefault(name, len(names)) for name in categories])
    best = {one.name: np.full((len(keys), CALIBRATED_K), -np.inf, np.float32) for one in relations}
    for block in source.blocks(space):
        same = own[:, None] == np.array([names.setdefault(name, len(names)) for name in block.categories])
        for one in relations:
            products = space.question(one, rows) @ block.vectors.T
            products[keys[:, None] == block.keys] = -np.inf
            if one.rule != "any":
                looks = np.array([name is not None for name in categories])[:, None]
                products[looks & (~same if one.rule == "same category" else same)] = -np.inf
            both = np.hstack([best[one.name], products])
            best[one.name] = np.partition(both, both.shape[1] - CALIBRATED_K, axis=1)[:, -CALIBRATED_K:]
    order = rng.permutation(len(keys))  # else those that settings are chosen on are the oldest
    shuffled = [categories[at] for at in order.tolist()]
    found: dict[str, _Probe] = {}
    for name, top in best.items():
        last = np.where(np.isfinite(top), top, np.inf).min(axis=1)
        answers = np.isfinite(top).sum(axis=1)
        found[name] = _Probe(keys[order], rows[order], shuffled, last[order], answers[order])
    return found
