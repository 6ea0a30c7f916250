"""Learned relations in the database: kept with the head that was fitted and the report that judged it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.catalog import Catalog, chunks, marks
from index.engine.head import Head
from index.errors import UnknownNameError
from index.relations import Relation, Rerank


def hold_relation(catalog: Catalog, relation: Relation, encoders: Sequence[str], head: Head, report: str) -> None:
    """Keep a learned relation, in place of one of its name, inside the caller's transaction.

    Args:
        relation: Its ``head`` is that of ``head.digest``.
        encoders: Names of those it was fitted on, in order.
        report: JSON of how it was judged.
    """
    held = catalog.encoders()
    fingerprints = {name: held[name].card.fingerprint for name in encoders}
    catalog.connection.execute(
        "INSERT OR REPLACE INTO learned VALUES (?,?,?,?,?,?,?,?,datetime('now'))",
        (
            relation.name, relation.modalities[0], relation.rule, relation.why, relation.head,
            json.dumps(fingerprints), head.to_bytes(), report,
        ),
    )  # fmt: skip
    catalog.next_sequence()


def hold_rerank(catalog: Catalog, relation: str, how: Rerank) -> None:
    """Keep how a relation's answers are re-ranked, inside the caller's transaction; a build makes what that needs."""
    catalog.set_setting(f"rerank:{relation}", how)


def head_of(catalog: Catalog, name: str) -> tuple[tuple[str, ...], Head]:
    """The encoders and the fitted maps of a learned relation.

    Raises:
        UnknownNameError: No relation of this name was learned.
        StaleIndexError: It cannot be read.
    """
    row = catalog.connection.execute("SELECT encoders, head FROM learned WHERE name=?", (name,)).fetchone()
    if row is None:
        known = [found for (found,) in catalog.connection.execute("SELECT name FROM learned")]
        raise UnknownNameError.of("learned relation", name, known)
    names = tuple(json.loads(row[0]))
    held = catalog.encoders()
    return names, Head.load(bytes(row[1]), [held[encoder].card for encoder in names])


def links_of(
    catalog: Catalog, name: str, keys: Sequence[int] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Pairs of items that behaviour data links for a relation, whoever linked them, by database key.

    Args:
        keys: Only pairs with one of these items; ``None`` for all.

    Returns:
        int64, shape ``(m, 2)``, and the weights added over users, float32, shape ``(m,)``.
    """
    sql = "SELECT source, target, SUM(weight) FROM edges JOIN edge_relations USING (relation) WHERE name=?"
    found: dict[tuple[int, int], float] = {}
    if keys is None:
        found = {(row[0], row[1]): row[2] for row in catalog.connection.execute(f"{sql} GROUP BY 1, 2", (name,))}
    else:
        for some in chunks(list(keys)):
            for side in ("source", "target"):
                rows = catalog.connection.execute(f"{sql} AND {side} IN ({marks(some)}) GROUP BY 1, 2", (name, *some))
                found.update({(row[0], row[1]): row[2] for row in rows})
    pairs = np.asarray(list(found), np.int64).reshape(-1, 2)
    return pairs, np.asarray(list(found.values()), np.float32)
