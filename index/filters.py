"""Filters: ``category=Shoes and price<50`` parsed by a small grammar into parameterised SQL.

    filter  = term { "or" term }
    term    = factor { "and" factor }
    factor  = "not" factor | "(" filter ")" | test
    test    = name ( "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" ) value
            | name "in" "(" value { "," value } ")"
            | name "is" [ "not" ] "null"
    name    = attribute name, or id; `back quotes` around names with spaces
    value   = number | word | 'quoted' | "quoted"

``~`` asks whether a text contains another, whatever its case. A number typed without quotes equals the
number and the text written the same way; ``true`` and ``false`` equal truth values and texts. An item
without the attribute passes no test but ``is null``. Names and values reach SQL as parameters only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from index.errors import InputError
from index.types import Attribute

_TOKEN = re.compile(
    r"""\s*(?:(?P<op><=|>=|!=|=|<|>|~)|(?P<mark>[(),])|(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*")"""
    r"""|`(?P<name>[^`]+)`|(?P<word>[^\s()<>=!~,'"`]+))"""
)
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")
_WORDS = {"and", "or", "not", "in", "is", "null"}
_DEPTH = 12
"""Nested brackets allowed: beyond any filter a person writes, within the 100 entries of SQLite's parser stack."""

_JOINED = 16
"""Conditions joined side by side; more are joined in groups, since SQLite refuses expressions 1,000 deep."""

_TESTS = 5000
"""Tests allowed in one filter, each of up to five parameters: within SQLite's limit of 32,766."""

_LARGEST = 2**63 - 1
"""SQLite's largest integer; numbers beyond are compared as floating point."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter, or part of one: an SQL condition over ``items i`` with its parameters, in order.

    ``names`` are the attributes that it asks about.
    """

    sql: str
    parameters: tuple[Attribute, ...]
    names: frozenset[str] = frozenset()


class Dialect(Protocol):
    """How one database asks what tests ask, over ``items i``. An absent attribute passes nothing but ``is null``."""

    def absent(self, name: str, negated: bool) -> Filter:
        """Whether an attribute is null, or is not."""

    def contains(self, name: str, part: str) -> Filter:
        """Whether a text holds another, whatever its case."""

    def compare(self, name: str, operator: str, value: Attribute, typed: str) -> Filter:
        """Compare with a value, a number where it is written as one, and as it was typed."""

    def negated(self, inner: Filter, negated: bool) -> Filter:
        """Whether something is not true, or, not negated, is true."""


class Sqlite:
    """The filter as SQLite asks it; ``contains`` below must be offered to it."""

    def absent(self, name: str, negated: bool) -> Filter:
        column = self._column(name)
        return Filter(f"{column.sql} IS {'NOT ' if negated else ''}NULL", column.parameters, column.names)

    def contains(self, name: str, part: str) -> Filter:
        column = self._column(name)
        return Filter(f"contains(CAST({column.sql} AS TEXT), ?)", (*column.parameters, part), column.names)

    def negated(self, inner: Filter, negated: bool) -> Filter:
        return Filter(f"({inner.sql} IS {'NOT ' if negated else ''}TRUE)", inner.parameters, inner.names)

    def compare(self, name: str, operator: str, value: Attribute, typed: str) -> Filter:
        column = self._column(name)
        text = Filter(f"CAST({column.sql} AS TEXT)", column.parameters)
        if typed in ("true", "false") and column.parameters:
            kind = (
                f"CASE json_type(i.attributes, ?) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE {text.sql} END"
            )
            return Filter(f"({kind}) {operator} ?", (*column.parameters, *text.parameters, typed), column.names)
        if isinstance(value, str) or not column.parameters:
            return Filter(f"{text.sql} {operator} ?", (*text.parameters, typed), column.names)
        if operator in ("=", "!="):
            word = "OR" if operator == "=" else "AND"
            return Filter(
                f"({column.sql} {operator} ? {word} {text.sql} {operator} ?)",
                (*column.parameters, value, *text.parameters, typed),
                column.names,
            )
        numeric = "json_type(i.attributes, ?) IN ('integer', 'real')"  # SQLite puts every text above every number
        return Filter(
            f"({numeric} AND {column.sql} {operator} ?)", (*column.parameters, *column.parameters, value), column.names
        )

    def _column(self, name: str) -> Filter:
        if name == "id":
            return Filter("i.id", ())
        return Filter("json_extract(i.attributes, ?)", (f'$."{name}"',), frozenset((name,)))


def parse_filter(text: str, dialect: Dialect | None = None) -> Filter:
    """Parse a filter.

    Args:
        dialect: Of the database that is asked; ``None`` for SQLite.

    Raises:
        InputError: It is not of the grammar; the message points at the place.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"filter {text!r} is not valid text") from None
    parser = _Parser(text, dialect or Sqlite())
    found = parser.either(0)
    parser.end()
    return found


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if not match:
            place = len(text) - len(text[at:].lstrip())
            raise InputError(f"filter {text!r}: cannot read {text[place : place + 20]!r} at character {place + 1}")
        kind = match.lastgroup or ""
        value, start = match[kind], match.start(kind)
        if kind == "quoted":
            value = value[1:-1].replace(value[0] * 2, value[0])
        elif kind == "word" and value.lower() in _WORDS:
            kind, value = "key", value.lower()
        yield _Token(kind, value, start)
        at = match.end()


class _Parser:
    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text = text
        self.dialect = dialect
        self.tokens = list(_tokens(text))
        self.place = 0
        self.tests = 0

    def either(self, depth: int) -> Filter:
        if depth > _DEPTH:
            raise InputError(f"filter nests more than {_DEPTH} brackets deep")
        parts = [self.both(depth)]
        while self.take("key", "or"):
            parts.append(self.both(depth))
        return _joined(parts, " OR ")

    def both(self, depth: int) -> Filter:
        parts = [self.factor(depth)]
        while self.take("key", "and"):
            parts.append(self.factor(depth))
        return _joined(parts, " AND ")

    def factor(self, depth: int) -> Filter:
        if self.take("key", "not"):
            negated = True
            while self.take("key", "not"):
                negated = not negated
            inner = self.factor(depth)
            return self.dialect.negated(inner, negated)
        if self.take("mark", "("):
            inner = self.either(depth + 1)
            if not self.take("mark", ")"):
                raise self.error("')'")
            return inner
        return self.test()

    def test(self) -> Filter:
        token = self.next("a name")
        if token.kind not in ("word", "name", "quoted"):
            raise self.error("a name", token)
        name = token.text
        if self.take("key", "is"):
            negated = self.take("key", "not")
            if not self.take("key", "null"):
                raise self.error("'null'")
            return self.dialect.absent(self.named(name), negated)
        if self.take("key", "in"):
            return self.membership(name)
        token = self.next("=, !=, <, <=, >, >=, ~, in or is")
        if token.kind != "op":
            raise self.error("=, !=, <, <=, >, >=, ~, in or is", token)
        return self.comparison(name, token.text)

    def membership(self, name: str) -> Filter:
        if not self.take("mark", "("):
            raise self.error("'('")
        tests = [self.comparison(name, "=")]
        while self.take("mark", ","):
            tests.append(self.comparison(name, "="))
        if not self.take("mark", ")"):
            raise self.error("',' or ')'")
        return _joined(tests, " OR ")

    def comparison(self, name: str, operator: str) -> Filter:
        self.tests += 1
        if self.tests > _TESTS:
            raise InputError(f"filter has more than {_TESTS} tests; write the attribute into the table instead")
        value, typed = self.value()
        if operator == "~":
            return self.dialect.contains(self.named(name), typed)
        return self.dialect.compare(self.named(name), operator, value, typed)

    def named(self, name: str) -> str:
        if name != "id" and any(c in '"\\' or not c.isprintable() for c in name):
            raise InputError(f"filter {self.text!r}: a name cannot have quotes or control characters in it")
        return name

    def value(self) -> tuple[Attribute, str]:
        """A value, as a number where it is written as one, and as it was typed."""
        token = self.next("a value")
        if token.kind == "word" and _NUMBER.fullmatch(token.text):
            whole = not any(c in token.text for c in ".eE")
            if whole and len(token.text) < 20 and abs(int(token.text)) <= _LARGEST:
                return int(token.text), token.text
            return float(token.text), token.text
        if token.kind in ("word", "quoted"):
            return token.text, token.text
        raise self.error("a value", token)

    def take(self, kind: str, text: str) -> bool:
        if self.place < len(self.tokens):
            token = self.tokens[self.place]
            if token.kind == kind and token.text == text:
                self.place += 1
                return True
        return False

    def next(self, wanted: str) -> _Token:
        if self.place >= len(self.tokens):
            raise self.error(wanted)
        self.place += 1
        return self.tokens[self.place - 1]

    def end(self) -> None:
        if self.place < len(self.tokens):
            raise self.error("'and', 'or' or the end (quote values of several words)", self.tokens[self.place])

    def error(self, wanted: str, token: _Token | None = None) -> InputError:
        if token is None and self.place < len(self.tokens):
            token = self.tokens[self.place]
        found = f"{token.text!r} at character {token.at + 1}" if token else "the end"
        return InputError(
            f"filter {self.text!r}: expected {wanted}, found {found}; an example: category=Shoes and price<50"
        )


def _joined(parts: list[Filter], word: str) -> Filter:
    while len(parts) > 1:
        groups = [parts[at : at + _JOINED] for at in range(0, len(parts), _JOINED)]
        parts = [group[0] if len(group) == 1 else _together(group, word) for group in groups]
    return parts[0]


def _together(parts: list[Filter], word: str) -> Filter:
    return Filter(
        "(" + word.join(part.sql for part in parts) + ")",
        tuple(parameter for part in parts for parameter in part.parameters),
        frozenset().union(*(part.names for part in parts)),
    )


def contains(text: str | None, part: str) -> bool | None:
    """What ``~`` means: case is ignored in every script; offered to SQLite under this name."""
    return None if text is None else part.casefold() in text.casefold()
