"""Where a catalog is: a folder, or a schema of a PostgreSQL database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from index.errors import InputError

Place: TypeAlias = str | Path
"""A folder, or ``postgresql://…``, which stays a text: a ``Path`` would lose one of its slashes."""

SCHEMES = ("postgresql://", "postgres://")

SCHEMA = "simkin"
"""Where a catalog lies in a database when its address names no schema."""


def is_postgres(place: Place) -> bool:
    """Whether a place is a database, not a folder."""
    return isinstance(place, str) and place.startswith(SCHEMES)


def place_of(text: str) -> Place:
    """What was typed: an address as it is, anything else as a path."""
    return text if is_postgres(text) else Path(text)


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A catalog in PostgreSQL.

    Attributes:
        connection: What libpq takes, without ``schema``.
        schema: Of the database, in which the catalog's tables lie.
        shown: The address without its password, for people.
        text: As it was given.
    """

    connection: str
    schema: str
    shown: str
    text: str

    @classmethod
    def parse(cls, text: str) -> PostgresAddress:
        """Read ``postgresql://user:password@host:port/database?schema=NAME&…``; other parameters are libpq's.

        Raises:
            InputError: It is no such address, or the schema's name is not plain.
        """
        try:
            parts = urlsplit(text)
            given = parse_qsl(parts.query, keep_blank_values=True)
            netloc = parts.netloc
            if parts.password is not None:
                host = netloc.rpartition("@")[2]
                netloc = f"{quote(unquote(parts.username or ''), safe='')}@{host}"
        except ValueError:
            raise InputError(
                "the address of the catalog cannot be read; expected postgresql://USER@HOST/DATABASE?schema=NAME"
            ) from None
        schemas = [value for name, value in given if name == "schema"]
        schema = schemas[-1] if schemas else SCHEMA
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema) or schema.startswith("pg_"):
            raise InputError(
                f"schema {schema!r} must be small letters, digits and _, begin with a letter, and not with pg_"
            )
        others = [(name, value) for name, value in given if name != "schema"]
        told = [(name, value) for name, value in given if name not in ("password", "sslpassword")]
        query = urlencode(others, quote_via=quote)
        connection = urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
        return cls(connection, schema, urlunsplit((parts.scheme, netloc, parts.path, urlencode(told), "")), text)


def shown(place: Place) -> str:
    """A place for people: an address without its password."""
    return PostgresAddress.parse(place).shown if isinstance(place, str) and is_postgres(place) else str(place)


def name_of(place: Place) -> str:
    """What a catalog is called: its folder's or its schema's name."""
    if isinstance(place, str) and is_postgres(place):
        return PostgresAddress.parse(place).schema
    return Path(place).absolute().name


def folder_of(place: Place) -> Path:
    """A place that is a folder.

    Raises:
        InputError: It is a database.
    """
    if is_postgres(place):
        raise needs_folder(place)
    return Path(place)


def needs_folder(place: Place) -> InputError:
    """The error of whatever changes or rebuilds a catalog when it is given a database."""
    shown = PostgresAddress.parse(str(place)).shown
    return InputError(
        f"{shown} is only read; this needs the folder of the catalog: run it there, and bring the result here with: "
        "simkin push ADDRESS --catalog FOLDER"
    )
