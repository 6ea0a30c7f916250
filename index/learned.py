"""Learned relations in the database: kept with the head that was fitted and the report that judged it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from index.catalog import Catalog
from index.engine.head import Head
from index.errors import UnknownNameError
from index.relations import Relation


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
