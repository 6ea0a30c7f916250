"""The tables of a catalog in PostgreSQL.

Other programs may read them. ``items.attributes`` is what is known of each item; ``vectors.vector`` is little-endian
float32 as in ``catalog.db``; the rows of a generation lie in ``rows_<generation>_<space>``, a column of candidates for
each relation, ``r0``, ``r1``, … in the order of the manifest, and ``whole``, the full rows that decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from index.address import PostgresAddress
from index.errors import NotACatalogError

if TYPE_CHECKING:
    import psycopg

FORMAT_VERSION = 1
"""Raised when an older program could not read what a newer one writes."""

TABLES = """
CREATE TABLE IF NOT EXISTS settings (
    key   text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE IF NOT EXISTS encoders (
    encoder     integer PRIMARY KEY,
    name        text NOT NULL,
    fingerprint text NOT NULL,
    card        text NOT NULL              -- JSON: facets, preprocessing, licence, source
);

CREATE TABLE IF NOT EXISTS sources (
    location bytea NOT NULL,
    kind     text NOT NULL
);

CREATE TABLE IF NOT EXISTS items (
    item       bigint PRIMARY KEY,
    stamp      bigint NOT NULL,            -- of everything that is kept of it here, to see a change
    id         text COLLATE "C" NOT NULL,
    category   text COLLATE "C",
    attributes jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS items_by_id ON items (id);
CREATE INDEX IF NOT EXISTS items_by_category ON items (category);

CREATE TABLE IF NOT EXISTS media (
    item     bigint NOT NULL,
    position integer NOT NULL,
    location bytea NOT NULL,               -- absolute, as the file system of the machine that pushed gives it
    modality text NOT NULL,
    version  text NOT NULL,                -- changes with the content
    size     bigint NOT NULL,              -- bytes
    duration text,                         -- what a sound says of its own length
    PRIMARY KEY (item, position)
);
CREATE INDEX IF NOT EXISTS media_by_location ON media USING hash (location);

CREATE TABLE IF NOT EXISTS vectors (
    item     bigint NOT NULL,
    position integer NOT NULL,
    encoder  integer NOT NULL,
    vector   bytea NOT NULL,
    PRIMARY KEY (item, encoder, position)
);
ALTER TABLE vectors ALTER COLUMN vector SET STORAGE EXTERNAL;  -- numbers do not compress

-- Categories of rows by number; a number is never used again.
CREATE TABLE IF NOT EXISTS categories (
    code integer PRIMARY KEY,
    name text COLLATE "C"
);

CREATE TABLE IF NOT EXISTS learned (
    name     text PRIMARY KEY,
    modality text NOT NULL,
    rule     text NOT NULL,
    why      text NOT NULL,
    digest   text NOT NULL,
    encoders text NOT NULL                 -- JSON: name → fingerprint of those it was fitted on, in order
);

CREATE TABLE IF NOT EXISTS personal (
    relation text NOT NULL,
    person   text NOT NULL,
    weights  bytea NOT NULL,
    PRIMARY KEY (relation, person)
);

-- Sets of rows side by side; the setting 'generation' names the one in use.
CREATE TABLE IF NOT EXISTS generations (
    number   integer PRIMARY KEY,
    origin   text NOT NULL,                -- checksum of what was built in the catalog's folder
    manifest text                          -- JSON; null until it can answer
);

CREATE TABLE IF NOT EXISTS spaces (
    generation integer NOT NULL REFERENCES generations ON DELETE CASCADE,
    name       text NOT NULL,
    place      integer NOT NULL,           -- rows_<generation>_<place>
    projection bytea NOT NULL,             -- .npz: the fitted maps of facets, or the head
    PRIMARY KEY (generation, name)
);

CREATE TABLE IF NOT EXISTS maps (
    generation integer NOT NULL REFERENCES generations ON DELETE CASCADE,
    space      text NOT NULL,
    relation   text NOT NULL,
    col        text NOT NULL,              -- of the candidates of this relation
    reducer    bytea NOT NULL,             -- from a row, and from whoever is asked about: float32, 2 × (dim, reduced)
    PRIMARY KEY (generation, space, relation)
);
"""


def make_tables(connection: psycopg.Connection[Any], address: PostgresAddress) -> None:
    """Make the schema and the tables that are not there yet, as one transaction.

    Raises:
        NotACatalogError: They are of a newer format, or the schema holds tables of others.
    """
    from psycopg import sql

    with connection.transaction():
        there = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname=%s", (address.schema,)).fetchone()
        if there is None:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(address.schema)))
        tables = "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid=c.relnamespace WHERE n.nspname=%s"
        names = {name for (name,) in connection.execute(f"{tables} AND c.relkind IN ('r', 'p')", (address.schema,))}
        if names and "settings" not in names:
            raise NotACatalogError(
                f"schema {address.schema!r} of {address.shown} holds other tables ({min(names)}, …) and no catalog; "
                "name another one: …?schema=NAME"
            )
        if names:
            check_format(connection, address)
            return
        connection.execute(TABLES)
        connection.execute("INSERT INTO settings VALUES ('format_version', %s)", (str(FORMAT_VERSION),))


def check_format(connection: psycopg.Connection[Any], address: PostgresAddress) -> None:
    """Refuse tables of another format.

    Raises:
        NotACatalogError: With what to do.
    """
    from psycopg import sql

    table = sql.Identifier(address.schema, "settings")  # named in full, so that a lack of rights is told as such
    row = connection.execute(sql.SQL("SELECT value FROM {} WHERE key='format_version'").format(table)).fetchone()
    found = row[0] if row else "none"
    if found != str(FORMAT_VERSION):
        newer = found.isdecimal() and int(found) > FORMAT_VERSION
        mend = "use that version of simkin, or push" if newer else "push"
        raise NotACatalogError(
            f"{address.shown} has tables of format {found}{' of a newer simkin' if newer else ''}, this program reads "
            f"format {FORMAT_VERSION}; {mend} into another schema: …?schema=NAME"
        )


def setting(connection: psycopg.Connection[Any], key: str) -> str:
    """Read one setting; empty when there is none."""
    row = connection.execute("SELECT value FROM settings WHERE key=%s", (key,)).fetchone()
    return str(row[0]) if row else ""


def set_setting(connection: psycopg.Connection[Any], key: str, value: str) -> None:
    """Write one setting, inside the caller's transaction."""
    connection.execute(
        "INSERT INTO settings VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value=excluded.value", (key, value)
    )


def rows_table(generation: int, place: int) -> str:
    """Name of the table of a space's rows; numbers alone make it."""
    return f"rows_{int(generation)}_{int(place)}"
