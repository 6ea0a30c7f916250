"""Building there: the tables of a generation's rows, filled block by block, indexed, and told of in a manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.engine.generations import Manifest
from index.engine.rows import SearchPlan, Space, SpaceRecord
from index.postgres.changes import LAST, changes
from index.postgres.copying import copy_rows
from index.postgres.indexing import prepare
from index.postgres.maps import ColumnMap, fit_column
from index.postgres.mirror import clean
from index.postgres.schema import rows_table
from index.postgres.session import Session
from index.postgres.source import Source

if TYPE_CHECKING:
    import psycopg

OnStage: TypeAlias = Callable[[str, int, int], None]


def build_generation(source: Source, session: Session, partitions: int, on_stage: OnStage) -> tuple[Manifest, int]:
    """Bring the rows of the generation in use, in new tables unless it has some there.

    Returns:
        What is to be told of it, and the number of rows that were written or removed.
    """
    connection = session.connection
    number = _tables_of(source, connection, partitions)
    row = connection.execute("SELECT manifest FROM generations WHERE number=%s", (number,)).fetchone()
    held = Manifest.from_json(row[0]).spaces if row and row[0] else {}
    filler = _Filler(source, connection, on_stage)
    records: dict[str, SpaceRecord] = {}
    for place, space in enumerate(source.generation.every_space()):
        table = rows_table(number, place)
        maps = maps_of(connection, number, space.name, space.record)
        written = filler.fill(space, table, list(maps.values()))
        plans: dict[str, SearchPlan] = dict(held[space.name].relations) if space.name in held else {}
        if written or space.name not in held:
            plans = prepare(source, session, space, table, maps, on_stage)
        records[space.name] = _record(connection, space, table, plans)
    manifest = source.generation.manifest
    told = replace(manifest, number=number, sequence=source.sequence, spaces=records, files={})
    return told, filler.written


def maps_of(connection: psycopg.Connection[Any], number: int, name: str, record: SpaceRecord) -> dict[str, ColumnMap]:
    """The columns of a space by relation, in the order of the columns."""
    rows = connection.execute(
        "SELECT relation, col, reducer FROM maps WHERE generation=%s AND space=%s ORDER BY length(col), col",
        (number, name),
    )
    return {
        relation: ColumnMap.of_bytes(column, content, record.dim, bool(record.learned))
        for relation, column, content in rows
    }


def _tables_of(source: Source, connection: psycopg.Connection[Any], partitions: int) -> int:
    """Number of the tables that this generation has there; new ones are made as one transaction."""
    from psycopg import sql

    row = connection.execute("SELECT number FROM generations WHERE origin=%s", (source.origin,)).fetchone()
    if row:
        return int(row[0])
    (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM generations").fetchone() or (0,)
    number = int(last) + 1
    with connection.transaction():
        connection.execute("INSERT INTO generations VALUES (%s, %s, NULL)", (number, source.origin))
        for place, space in enumerate(source.generation.every_space()):
            content = (space.folder / "projection.npz").read_bytes()
            connection.execute("INSERT INTO spaces VALUES (%s,%s,%s,%s)", (number, space.name, place, content))
            columns = [sql.SQL("whole vector({})").format(sql.Literal(space.record.dim))]
            for at, name in enumerate(space.record.relations):
                own = fit_column(space, source.catalog.relation(name), f"r{at}")
                connection.execute(
                    "INSERT INTO maps VALUES (%s,%s,%s,%s,%s)", (number, space.name, name, own.column, own.to_bytes())
                )
                part = sql.SQL("{} vector({})").format(sql.Identifier(own.column), sql.Literal(own.dim))
                columns.append(part)
            _make_rows(connection, rows_table(number, place), columns, partitions)
    return number


def _make_rows(connection: psycopg.Connection[Any], table: str, columns: list[Any], partitions: int) -> None:
    from psycopg import sql

    name = sql.Identifier(table)
    form = sql.SQL("CREATE TABLE {} (item bigint PRIMARY KEY, stamp bigint NOT NULL, category integer NOT NULL, {})")
    made = form.format(name, sql.SQL(", ").join(columns))
    if not partitions:
        connection.execute(made)
        return
    connection.execute(made + sql.SQL(" PARTITION BY HASH (item)"))
    part = sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES WITH (MODULUS {}, REMAINDER {})")
    for at in range(partitions):
        connection.execute(part.format(sql.Identifier(f"{table}_{at}"), name, partitions, at))


class _Filler:
    """Brings rows; categories get their numbers on the way."""

    def __init__(self, source: Source, connection: psycopg.Connection[Any], on_stage: OnStage) -> None:
        self.source = source
        self.connection = connection
        self.on_stage = on_stage
        self.written = 0
        known = connection.execute("SELECT name, code FROM categories").fetchall()
        self.codes: dict[str | None, int] = dict(known)

    def fill(self, space: Space, table: str, maps: list[ColumnMap]) -> int:
        """Bring the rows of a space to their table, each block as one transaction; return how many were written."""
        from psycopg import sql

        columns = ["whole", *(own.column for own in maps)]
        drop = sql.SQL("DELETE FROM {} WHERE item = ANY(%s)").format(sql.Identifier(table))
        total, done, after, written = len(self.source.keys(space)), 0, -1, 0
        for block in (*self.source.blocks(space), self.source.nothing(space)):
            done += len(block.keys)
            upto = int(block.keys[-1]) if len(block.keys) else LAST
            found = changes(self.connection, table, block.keys, block.stamps, after, upto)
            if len(found.put) or found.drop:
                vectors = block.vectors[found.put]
                with self.connection.transaction():
                    codes = self._codes([block.categories[at] for at in found.put.tolist()])
                    if found.drop:
                        self.connection.execute(drop, (found.drop,))
                    every = [vectors, *(own.column_of(vectors) for own in maps)]
                    own = block.keys[found.put], block.stamps[found.put]
                    copy_rows(self.connection, table, columns, *own, codes, every)
                written += len(found.put) + found.gone
            after = upto
            self.on_stage(f"rows of {space.name}", done, total)
        self.written += written
        return written

    def _codes(self, categories: list[str | None]) -> NDArray[np.int64]:
        """Numbers of categories; new ones are kept, inside the caller's transaction."""
        for name in dict.fromkeys(categories):
            if name not in self.codes:
                code = len(self.codes)
                kept = None if name is None else clean(name)
                self.connection.execute("INSERT INTO categories VALUES (%s, %s)", (code, kept))
                self.codes[name] = code
        return np.array([self.codes[name] for name in categories], np.int64)


def _record(connection: psycopg.Connection[Any], space: Space, table: str, plans: dict[str, SearchPlan]) -> SpaceRecord:
    """What the manifest says of the rows that are there."""
    from psycopg import sql

    counted = sql.SQL(
        "SELECT c.name, r.n FROM (SELECT category, count(*) n FROM {} GROUP BY 1) r "
        "JOIN categories c ON c.code = r.category ORDER BY c.name NULLS FIRST"
    )
    counts = connection.execute(counted.format(sql.Identifier(table))).fetchall()
    offsets = np.concatenate([[0], np.cumsum([count for _, count in counts])]).astype(int).tolist()
    categories = tuple(name for name, _ in counts) or (None,)
    if not counts:
        offsets = [0, 0]
    return replace(space.record, count=offsets[-1], categories=categories, offsets=tuple(offsets), relations=plans)
