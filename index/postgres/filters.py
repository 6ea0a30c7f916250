"""Filters as PostgreSQL asks them: the grammar of ``index.filters``, names and values as parameters only."""

from __future__ import annotations

from index.errors import InputError
from index.filters import Filter
from index.types import Attribute

LARGEST = 10**18
"""Whole numbers up to this are compared as they are, others as floating point."""


class Postgres:
    """The filter over ``items i``, whose attributes are jsonb.

    Args:
        collation: For ``~``: one that knows the cases of every script, as ``collation_of`` finds it; empty for the
            database's own.
        folds: Whether the server has ``casefold()``; else small letters are compared.
    """

    def __init__(self, collation: str = "", folds: bool = False) -> None:
        self.collation = f' COLLATE "{collation}"' if collation else ""
        self.fold = "casefold" if folds else "lower"

    def absent(self, name: str, negated: bool) -> Filter:
        text, known = self._text(name)
        return Filter(f"({text.sql}) IS {'NOT ' if negated else ''}NULL", text.parameters, known)

    def contains(self, name: str, part: str) -> Filter:
        text, known = self._text(name)
        fold, collation = self.fold, self.collation
        sql = f"position({fold}((%s::text){collation}) in {fold}(({text.sql}){collation})) > 0"
        return Filter(sql, (_storable(part), *text.parameters), known)

    def negated(self, inner: Filter, negated: bool) -> Filter:
        return Filter(f"(({inner.sql}) IS {'NOT ' if negated else ''}TRUE)", inner.parameters, inner.names)

    def compare(self, name: str, operator: str, value: Attribute, typed: str) -> Filter:
        sign = "<>" if operator == "!=" else operator
        typed = _storable(typed)
        if typed in ("true", "false") and name != "id":
            return Filter(f'(i.attributes ->> %s) {sign} (%s::text) COLLATE "C"', (name, typed), frozenset((name,)))
        text, known = self._text(name)
        by_text = Filter(f'({text.sql}) {sign} (%s::text) COLLATE "C"', (*text.parameters, typed))
        if isinstance(value, str) or name == "id" or value is None:
            return Filter(by_text.sql, by_text.parameters, known)
        kind = "numeric" if isinstance(value, int) and abs(value) <= LARGEST else "float8"
        given = value if kind == "numeric" else float(value)
        column = f"(i.attributes -> %s)::{kind}"
        if operator not in ("=", "!="):  # a text is neither above nor below a number
            sql = f"CASE jsonb_typeof(i.attributes -> %s) WHEN 'number' THEN {column} {sign} %s::{kind} END"
            return Filter(sql, (name, name, given), known)
        number = Filter(
            f"CASE jsonb_typeof(i.attributes -> %s) WHEN 'number' THEN {column} "
            f"WHEN 'boolean' THEN (i.attributes -> %s)::boolean::int::{kind} END",
            (name, name, name),
        )
        if operator == "=":
            sql = f"(({number.sql}) = %s::{kind} OR {by_text.sql})"
        else:
            sql = f"(({number.sql}) IS DISTINCT FROM %s::{kind} AND {by_text.sql})"
        return Filter(sql, (*number.parameters, given, *by_text.parameters), known)

    def _text(self, name: str) -> tuple[Filter, frozenset[str]]:
        """An attribute as text, truth values as 1 and 0."""
        if name == "id":
            return Filter("i.id", ()), frozenset()
        sql = (
            "CASE jsonb_typeof(i.attributes -> %s) WHEN 'boolean' THEN (i.attributes -> %s)::boolean::int::text "
            "ELSE i.attributes ->> %s END"
        )
        return Filter(sql, (name, name, name)), frozenset((name,))


COLLATIONS = ("pg_unicode_fast", "pg_c_utf8", "und-x-icu", "C.UTF-8", "C.utf8", "en_US.utf8")
"""Those that know the cases of every script, best first; which there are depends on how PostgreSQL was built."""


def dialect_of(collations: list[str], server: int) -> Postgres:
    """The dialect of a server.

    Args:
        collations: Those of ``COLLATIONS`` that it has.
        server: Its version, as 180004 for 18.4.
    """
    best = next((name for name in COLLATIONS if name in collations), "")
    return Postgres(best, folds=server >= 180000 and best == "pg_unicode_fast")


def _storable(text: str) -> str:
    if "\0" in text:
        raise InputError("a filter's value cannot hold a zero byte")
    return text
