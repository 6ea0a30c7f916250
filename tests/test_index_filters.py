"""Filters: what passes, and errors that point at the place."""

from __future__ import annotations

import json
import sqlite3
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import InputError, UnknownNameError
from index.filters import contains, parse_filter

ITEMS = {
    "a": {"category": "Shoes", "price": 40, "title": "Red Shoe", "size": "42", "new": True},
    "b": {"category": "Shoes", "price": 60.5, "title": "BJÖRK Boot", "size": 42},
    "c": {"category": "Hats", "price": 40, "title": "O'Brien's \"best\"", "new": False},
    "d": {"category": "Bags", "price": "cheap", "title": "100%_wool", "my name": "x"},
    "007": {"category": None, "price": -5, "title": "Ärmel", "größe": "L"},
}


@pytest.fixture(scope="module")
def passing():
    """Items that pass a filter, by id."""
    with sqlite3.connect(":memory:") as sql:
        sql.create_function("contains", 2, contains, deterministic=True)
        sql.execute("CREATE TABLE items (item INTEGER PRIMARY KEY, id TEXT, attributes TEXT)")
        sql.executemany(
            "INSERT INTO items (id, attributes) VALUES (?, ?)",
            [(key, json.dumps(item, ensure_ascii=False)) for key, item in ITEMS.items()],
        )

        def ask(text: str) -> set[str]:
            condition = parse_filter(text)
            rows = sql.execute(f"SELECT id FROM items i WHERE {condition.sql}", condition.parameters)
            return {row[0] for row in rows}

        yield ask
    sql.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("category=Shoes", "ab"),
        ("category!=Shoes", "cd"),
        ("not category=Shoes", "cd7"),
        ("category is null", "7"),
        ("size is not null", "ab"),
        ("price<50", "ac7"),
        ("price<=40 and price>-5", "ac"),
        ("price>=60.5", "b"),
        ("price<9e2", "abc7"),
        ("price>-1e999", "abc7"),
        ("price=cheap", "d"),
        ("price=40", "ac"),
        ("price='40'", "ac"),
        ("price!=40", "bd7"),
        ("size=42", "ab"),
        ("size!=42", ""),
        ("id=007", "7"),
        ("id in (a, 'b', \"c\")", "abc"),
        ("new=true", "a"),
        ("new=false", "c"),
        ("new!=true", "c"),
        ("category=Shoes or category=Hats and price<50", "abc"),
        ("(category=Shoes or category=Hats) and price<50", "ac"),
        ("not (category=Shoes or category=Hats)", "d7"),
        ("not not category=Shoes", "ab"),
        ("NOT category=Shoes AND price IS NOT NULL", "cd7"),
        ("category in (Shoes, Hats) and not price in (40)", "b"),
        ("title~shoe", "a"),
        ("title~björk", "b"),
        ("title~ärm", "7"),
        ("title~'100%_'", "d"),
        ("title~'%'", "d"),
        ("title='O''Brien''s \"best\"'", "c"),
        ("`my name`=x", "d"),
        ("größe=L", "7"),
        ("title<B", "d"),
        ("title='x'' OR 1=1 --'", ""),
        ("category='Shoes\"; DROP TABLE items; --'", ""),
        ("price<99999999999999999999999999", "abc7"),
        ("price>-99999999999999999999", "abc7"),
    ],
)
def test_filters_pass_what_they_say(passing, text, expected):
    """Precedence, quotes, numbers and texts, truth values, missing attributes."""
    assert passing(text) == {{"7": "007"}.get(letter, letter) for letter in expected}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected a name, found the end"),
        ("category", "expected =, !="),
        ("category=", "expected a value, found the end"),
        ("category=Shoes and", "expected a name, found the end"),
        ("category=red shoes", "found 'shoes' at character 14"),
        ("(category=Shoes", "expected ')'"),
        ("category=Shoes)", "found ')' at character 15"),
        ("category in Shoes", "expected '('"),
        ("category in ()", "expected a value"),
        ("category is Shoes", "expected 'null'"),
        ("price < 'abc", 'cannot read "\'abc" at character 9'),
        ("a=1 and   ~", "'~' at character 11"),
        ('`a"b`=1', "cannot have quotes"),
        ("name=\ud800", "not valid text"),
    ],
)
def test_errors_point_at_the_place(text, told):
    """Each message says what was expected and where."""
    with pytest.raises(InputError) as error:
        parse_filter(text)
    assert told in str(error.value)


@pytest.mark.parametrize("text", ["(" * 60 + "a=1" + ")" * 60, "not (" * 60 + "a=1" + ")" * 60])
def test_deep_nesting_is_refused_in_words(text):
    """No recursion error, no SQLite error."""
    with pytest.raises(InputError, match="deep"):
        parse_filter(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 12 + "id=a" + ")" * 12,
        "not " * 1000 + "id=a",
        "not (id=z and " * 12 + "id=z" + ")" * 12 + " and id=a",
        "not (new!=true and not (" * 6 + f"price in ({','.join('1' * 300)})" + "))" * 6 + " and id=a",
        "(id=a and (new=false or " * 6 + "new=true" + "))" * 6,
    ],
)
def test_nesting_that_is_allowed_runs(passing, text):
    """Whatever the parser lets through, SQLite takes."""
    assert passing(text) == {"a"}


@pytest.mark.parametrize("text", ["id in ({})", "{}"])
def test_thousands_of_tests_run(passing, text):
    """Long lists are no trouble for SQLite's expression depth or its number of parameters."""
    names = [f"x{row}" for row in range(4999)]
    inside = ",".join(["a", *names]) if "in" in text else " or ".join(f"id={name}" for name in ["a", *names])
    assert passing(text.format(inside)) == {"a"}
    numbers = " or ".join(f"price={row}" for row in range(5000))
    assert passing(numbers) == {"a", "c"}


def test_too_many_tests_are_refused_in_words():
    """Beyond SQLite's limits the message is ours."""
    with pytest.raises(InputError, match="5000 tests"):
        parse_filter(f"id in ({','.join('x' for _ in range(5001))})")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab ()=<>!~,'\"`%_\\;-.1e$[]#*?äß\x00andornotinisnull", max_size=40))
def test_any_text_is_a_filter_or_an_input_error(passing, text):
    """No other exception escapes, in the parser or in SQLite."""
    with suppress(InputError):
        passing(text)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_quoted_values_are_taken_literally(passing, text):
    """Quotes, percent signs and any script mean themselves."""
    doubled = text.replace("'", "''")
    assert passing(f"title='{doubled}'") == {key for key, item in ITEMS.items() if item["title"] == text}


def test_unknown_attributes_suggest_a_name(make_catalog):
    """A filter that nothing passes because of a typo says so; one that nothing passes is no error."""
    made = make_catalog()
    made.fill(30)
    made.build()
    recommender = made.open()
    with pytest.raises(UnknownNameError, match="did you mean 'price'"):
        recommender.query("item-0-00001", where="prize<5 and category=kind-01")
    assert not recommender.query("item-0-00001", where="price<0").hits
