"""Learned relations in the database: kept with the head that was fitted, behaviour vectors, and how it was judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.catalog import Catalog, chunks, marks
from index.engine.head import Head
from index.errors import InputError, UnknownNameError
from index.relations import Relation, Rerank
from index.types import Vectors


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Where items stand by what people did with them.

    Attributes:
        keys: Database keys of the items, int64, shape ``(m,)``.
        places: On the head's sphere, float32, shape ``(m, K)``.
    """

    keys: NDArray[np.int64]
    places: Vectors


def hold_relation(
    catalog: Catalog,
    relation: Relation,
    encoders: Sequence[str],
    head: Head,
    report: str,
    behaviour: Behaviour | None = None,
    personal: tuple[Sequence[str], NDArray[np.float32]] | None = None,
) -> None:
    """Keep a learned relation, in place of one of its name, inside the caller's transaction.

    Args:
        relation: Its ``head`` is that of ``head.digest``.
        encoders: Names of those it was fitted on, in order.
        report: JSON of how it was judged.
        behaviour: Of the items that have any, where the head has a sphere; each goes with its item.
        personal: Names of people; their weights of the head's dimensions, then what is added to its shift, float32,
            shape ``(people, K + 1)``.
    """
    held = catalog.encoders()
    fingerprints = {name: held[name].card.fingerprint for name in encoders}
    catalog.connection.execute("DELETE FROM learned WHERE name=?", (relation.name,))
    catalog.connection.execute(
        "INSERT INTO learned VALUES (?,?,?,?,?,?,?,?,datetime('now'))",
        (
            relation.name, relation.modalities[0], relation.rule, relation.why, relation.head,
            json.dumps(fingerprints), head.to_bytes(), report,
        ),
    )  # fmt: skip
    if behaviour is not None:
        catalog.connection.executemany(
            "INSERT INTO behaviour VALUES (?, ?, ?)",
            (
                (relation.name, key, place.astype("<f4").tobytes())
                for key, place in zip(behaviour.keys.tolist(), behaviour.places, strict=True)
            ),
        )
    if personal is not None:
        catalog.connection.executemany(
            "INSERT INTO personal VALUES (?, ?, ?)",
            ((relation.name, name, own.astype("<f4").tobytes()) for name, own in zip(*personal, strict=True)),
        )
    catalog.next_sequence()


def weights_of_person(catalog: Catalog, relation: Relation, name: str) -> NDArray[np.float32]:
    """How much one person cares about each dimension of a learned relation, and what is added to its shift.

    Returns:
        float32, shape ``(K + 1,)``.

    Raises:
        InputError: Nobody's weights were learned for the relation.
        UnknownNameError: This person's were not; the message names the nearest.
    """
    execute = catalog.connection.execute
    found = execute("SELECT weights FROM personal WHERE relation=? AND user=?", (relation.name, name)).fetchone()
    if found is not None and relation.head:
        return np.frombuffer(found[0], "<f4")
    stem = name[:2].replace("%", "").replace("_", "")
    sql = "SELECT user FROM personal WHERE relation=? ORDER BY user LIKE ? DESC, user LIMIT 500"
    near = execute(sql, (relation.name, f"{stem}%")).fetchall()
    raise nobody(relation, name, [user for (user,) in near])


def nobody(relation: Relation, name: str, near: Sequence[str]) -> InputError | UnknownNameError:
    """The error of whoever asks for a person of whom nothing was learned; ``near`` are some of whom something was."""
    if not near or not relation.head:
        return InputError(
            f"relation {relation.name!r} has no weights of people; learn them, from edges with a column 'user', with: "
            f"simkin learn EDGES --relation {relation.name} --personal"
        )
    return UnknownNameError.of("user", name, near)


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


def behaviour_of(catalog: Catalog, name: str, head: Head) -> tuple[list[str], Vectors]:
    """Items that stand in a learned relation by their own behaviour, and where.

    Args:
        name: Of the relation; behaviour kept with another head than this one is not looked at.

    Returns:
        Ids, ascending, and places on the head's sphere, float32, shape ``(m, K)``.
    """
    found = catalog.connection.execute(
        "SELECT i.id, b.vector FROM behaviour b JOIN items i USING (item) JOIN learned l ON l.name=b.relation "
        "WHERE b.relation=? AND l.digest=? ORDER BY i.id",
        (name, head.digest),
    ).fetchall()
    places = np.frombuffer(b"".join(vector for _, vector in found), "<f4").reshape(-1, head.rank)
    return [item_id for item_id, _ in found], places


def rows_of_items(catalog: Catalog, name: str, head: Head, keys: Sequence[int], raw: Vectors) -> Vectors:
    """Rows of items in a learned relation: by their own behaviour where it is known, else by their content.

    Args:
        name: Of the relation; behaviour kept with another head than this one is not looked at.
        keys: Database keys of items, n of them.
        raw: Their encoders' vectors side by side, float32, shape ``(n, raw_dim)``.

    Returns:
        float32, shape ``(n, width)``.
    """
    rows = head.project(raw)
    if head.sphere is None:
        return rows
    digest = head.digest
    place_of = {key: place for place, key in enumerate(keys)}
    for some in chunks(list(keys)):
        found = catalog.connection.execute(
            "SELECT b.item, b.vector FROM behaviour b JOIN learned l ON l.name=b.relation "
            f"WHERE b.relation=? AND l.digest=? AND b.item IN ({marks(some)})",
            (name, digest, *some),
        ).fetchall()
        if found:
            places = np.frombuffer(b"".join(vector for _, vector in found), "<f4").reshape(-1, head.rank)
            rows[[place_of[item] for item, _ in found]] = head.rows_at(places)
    return rows
