"""Filters: ``category=Shoes and price<50`` parsed by a small grammar into parameterised SQL.

    filter  = term { "or" term }
    term    = factor { "and" factor }
    factor  = "not" factor | "(" filter ")" | test
    test    = name ( "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" ) value
            | name "in" "(" value { "," value } ")"
            | name "is" [ "not" ] "null"
    name    = attribute name, or id; `back quotes` around names with spaces
    value   = number | word | 'quoted' | "quoted"

``~`` asks whether a text contains another, whatever its case. Names and values reach SQL as
parameters only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from index.errors import InputError
from index.types import Attribute

_TOKEN = re.compile(
    r"""\s*(?:(?P<op><=|>=|!=|=|<|>|~)|(?P<mark>[(),])|(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*")"""
    r"""|`(?P<name>[^`]+)`|(?P<word>[^\s()<>=!~,'"`]+))"""
)
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")
_WORDS = {"and", "or", "not", "in", "is", "null"}
_DEPTH = 50
"""Nested brackets allowed: beyond any filter a person writes, within SQLite's own limit."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter, or part of one: an SQL condition over ``items i`` with its parameters, in order.

    ``names`` are the attributes that it asks about.
    """

    sql: str
    parameters: tuple[Attribute, ...]
    names: frozenset[str] = frozenset()


def parse_filter(text: str) -> Filter:
    """Parse a filter.

    Raises:
        InputError: It is not of the grammar; the message points at the place.
    """
    parser = _Parser(text)
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
            raise InputError(f"filter {text!r}: cannot read {text[at:].strip()[:20]!r}")
        kind = match.lastgroup or ""
        value, start = match[kind], match.start(kind)
        if kind == "quoted":
            value = value[1:-1].replace(value[0] * 2, value[0])
        elif kind == "word" and value.lower() in _WORDS:
            kind, value = "key", value.lower()
        yield _Token(kind, value, start)
        at = match.end()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.place = 0

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
            if depth > _DEPTH:
                raise InputError(f"filter nests more than {_DEPTH} brackets deep")
            inner = self.factor(depth + 1)
            return Filter(f"NOT coalesce({inner.sql}, 0)", inner.parameters, inner.names)
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
            column = self.column(name)
            return Filter(f"{column.sql} IS {'NOT ' if negated else ''}NULL", column.parameters, column.names)
        if self.take("key", "in"):
            return self.membership(name)
        token = self.next("=, !=, <, <=, >, >=, ~, in or is")
        if token.kind != "op":
            raise self.error("=, !=, <, <=, >, >=, ~, in or is", token)
        return self.comparison(name, token.text, self.value())

    def membership(self, name: str) -> Filter:
        if not self.take("mark", "("):
            raise self.error("'('")
        tests = [self.comparison(name, "=", self.value())]
        while self.take("mark", ","):
            tests.append(self.comparison(name, "=", self.value()))
        if not self.take("mark", ")"):
            raise self.error("',' or ')'")
        return _joined(tests, " OR ")

    def comparison(self, name: str, operator: str, value: Attribute) -> Filter:
        column = self.column(name)
        if operator == "~":
            text = str(value).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            return Filter(
                f"CAST({column.sql} AS TEXT) LIKE ? ESCAPE '\\'", (*column.parameters, f"%{text}%"), column.names
            )
        if isinstance(value, str):
            return Filter(f"CAST({column.sql} AS TEXT) {operator} ?", (*column.parameters, value), column.names)
        if operator in ("=", "!=") or not column.parameters:
            return Filter(f"{column.sql} {operator} ?", (*column.parameters, value), column.names)
        numeric = "json_type(i.attributes, ?) IN ('integer', 'real')"  # SQLite puts every text above every number
        return Filter(
            f"({numeric} AND {column.sql} {operator} ?)", (*column.parameters, *column.parameters, value), column.names
        )

    def column(self, name: str) -> Filter:
        if name == "id":
            return Filter("i.id", ())
        if '"' in name or "\\" in name:
            raise InputError(f"filter {self.text!r}: a name cannot have quotes in it")
        return Filter("json_extract(i.attributes, ?)", (f'$."{name}"',), frozenset((name,)))

    def value(self) -> Attribute:
        token = self.next("a value")
        if token.kind == "word" and _NUMBER.fullmatch(token.text):
            return float(token.text) if any(c in token.text for c in ".eE") else int(token.text)
        if token.kind in ("word", "quoted"):
            return token.text
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
    if len(parts) == 1:
        return parts[0]
    return Filter(
        "(" + word.join(part.sql for part in parts) + ")",
        tuple(parameter for part in parts for parameter in part.parameters),
        frozenset().union(*(part.names for part in parts)),
    )
