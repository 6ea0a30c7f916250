"""The tables of ``catalog.db``, the only truth of a catalog.

Other programs may read it. Vectors are little-endian float32, ``np.frombuffer(vector, "<f4")``; paths
are bytes as the file system gives them, ``CAST(path AS TEXT)`` reads them; attributes are JSON objects.
"""

from __future__ import annotations

DATABASE = "catalog.db"
"""File name of the database inside a catalog folder."""

FORMAT_VERSION = 4
"""Raised when an older program could not read what a newer one writes."""

BEHAVIOUR = """
-- Where items stand in a learned relation by what people did with them, not where content predicts.
CREATE TABLE behaviour (
    relation TEXT NOT NULL REFERENCES learned ON DELETE CASCADE,
    item     INTEGER NOT NULL REFERENCES items ON DELETE CASCADE,
    vector   BLOB NOT NULL,                -- on the sphere of the head (index.engine.sphere), little-endian float32
    PRIMARY KEY (relation, item)
);
CREATE INDEX behaviour_by_item ON behaviour (item);
"""

PERSONAL = """
-- How much each person cares about each dimension of a learned relation.
CREATE TABLE personal (
    relation TEXT NOT NULL REFERENCES learned ON DELETE CASCADE,
    user     TEXT NOT NULL,
    weights  BLOB NOT NULL,                -- D(u), then what is added to the head's shift, little-endian float32
    PRIMARY KEY (relation, user)
) WITHOUT ROWID;
"""

UPGRADES = {2: BEHAVIOUR, 3: PERSONAL}
"""Format version → the statements that make the next one of it; older ones are refused."""

SCHEMA = (
    """
CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- What was indexed: a folder, a table, one file, or a folder of ready-made vectors, by absolute location.
CREATE TABLE sources (
    source   INTEGER PRIMARY KEY,
    location BLOB NOT NULL UNIQUE,
    kind     TEXT NOT NULL CHECK (kind IN ('folder', 'table', 'file', 'embeddings')),
    metadata BLOB                          -- location of a table that adds attributes by id
);

-- Encoders that this catalog speaks, one space for each; vectors of another fingerprint are refused.
CREATE TABLE encoders (
    encoder     INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    modality    TEXT NOT NULL CHECK (modality IN ('image', 'audio')),
    fingerprint TEXT NOT NULL,
    card        TEXT NOT NULL              -- JSON: facets, preprocessing, licence, source
);

CREATE TABLE items (
    item       INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used again after removal
    id         TEXT NOT NULL UNIQUE,
    source     INTEGER NOT NULL REFERENCES sources,
    category   TEXT,
    attributes TEXT NOT NULL,
    given      BLOB NOT NULL,              -- digest of what the source said, to see a change
    changed    INTEGER NOT NULL            -- sequence number of the last change that matters to answers
);
CREATE INDEX items_by_change ON items (changed);
CREATE INDEX items_by_category ON items (category, item);

-- One row for each file that was ever tried, good or bad, with what stat() said then.
CREATE TABLE media (
    media    INTEGER PRIMARY KEY AUTOINCREMENT,
    source   INTEGER NOT NULL REFERENCES sources,
    id       TEXT NOT NULL,                -- of the item it belongs to, or would belong to
    position INTEGER NOT NULL,
    item     INTEGER REFERENCES items ON DELETE SET NULL,
    path     BLOB NOT NULL,                -- relative to the source, or absolute
    modality TEXT NOT NULL,
    size     INTEGER NOT NULL,             -- bytes; -1 when there was no such file; of ready-made vectors, their bytes
    mtime_ns INTEGER NOT NULL,             -- of ready-made vectors, a hash of them
    digest   BLOB,
    tags     TEXT,                         -- what the file says of itself, JSON
    UNIQUE (source, id, position)
);
CREATE INDEX media_by_item ON media (item);

CREATE TABLE vectors (
    media   INTEGER NOT NULL REFERENCES media ON DELETE CASCADE,
    encoder INTEGER NOT NULL REFERENCES encoders,
    vector  BLOB NOT NULL,
    UNIQUE (media, encoder)
);

CREATE TABLE failures (
    media    INTEGER PRIMARY KEY REFERENCES media ON DELETE CASCADE,
    stage    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    at       TEXT NOT NULL
);

-- Items that a generation may still hold: masked in answers until the next build.
CREATE TABLE removed (
    item    INTEGER PRIMARY KEY,
    changed INTEGER NOT NULL
);

-- Relations that were learned; one takes the place of the built-in relation of its name.
CREATE TABLE learned (
    name     TEXT PRIMARY KEY,
    modality TEXT NOT NULL CHECK (modality IN ('image', 'audio')),
    rule     TEXT NOT NULL,
    why      TEXT NOT NULL,
    digest   TEXT NOT NULL,                -- of the head
    encoders TEXT NOT NULL,                -- JSON: name → fingerprint of those it was fitted on, in order
    head     BLOB NOT NULL,                -- the fitted maps, as index.engine.head.Head.to_bytes gives them
    report   TEXT NOT NULL,                -- JSON: how it was judged
    created  TEXT NOT NULL
) WITHOUT ROWID;

-- What goes with what, as the owner's behaviour data says; all edges of a relation are replaced at once.
CREATE TABLE edge_relations (
    relation INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE
);

CREATE TABLE edge_users (
    relation INTEGER NOT NULL REFERENCES edge_relations ON DELETE CASCADE,
    user     INTEGER NOT NULL,             -- 0, 1, … within a relation
    name     TEXT NOT NULL,
    PRIMARY KEY (relation, user)
) WITHOUT ROWID;

CREATE TABLE edges (
    relation INTEGER NOT NULL REFERENCES edge_relations ON DELETE CASCADE,
    source   INTEGER NOT NULL REFERENCES items ON DELETE CASCADE,
    target   INTEGER NOT NULL REFERENCES items ON DELETE CASCADE,
    user     INTEGER NOT NULL,             -- of edge_users; -1 where nobody is named
    weight   REAL NOT NULL CHECK (weight > 0),
    PRIMARY KEY (relation, source, target, user)
) WITHOUT ROWID;
CREATE INDEX edges_by_source ON edges (source);
CREATE INDEX edges_by_target ON edges (target);
"""
    + BEHAVIOUR
    + PERSONAL
)

ADDED = """
-- What was said of items one by one, over what their sources say.
CREATE TABLE IF NOT EXISTS edits (
    item       INTEGER PRIMARY KEY REFERENCES items ON DELETE CASCADE,
    attributes TEXT NOT NULL               -- JSON; null takes an attribute away
);

-- Items chosen of sources of ready-made vectors that were not taken in as a whole.
CREATE TABLE IF NOT EXISTS parts (
    source INTEGER NOT NULL REFERENCES sources ON DELETE CASCADE,
    id     TEXT NOT NULL,
    PRIMARY KEY (source, id)
) WITHOUT ROWID;

-- CRC-32 of vectors as they were written, to find bytes that the disk has changed since.
CREATE TABLE IF NOT EXISTS checksums (
    media   INTEGER NOT NULL REFERENCES media ON DELETE CASCADE,
    encoder INTEGER NOT NULL,
    crc     INTEGER NOT NULL,
    PRIMARY KEY (media, encoder)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS checksums_follow AFTER DELETE ON vectors BEGIN
    DELETE FROM checksums WHERE media=old.media AND encoder=old.encoder;
END;
"""
"""Tables that older catalogs lack: made when one is written to; readers do without."""
