"""Options that several verbs share, and how they print."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from index.address import place_of

_F = TypeVar("_F", bound=Callable[..., Any])

RERANKS = ("none", "neighbours", "local-scale", "both")
"""As in ``index.relations``, which loads nothing before it is needed."""


def catalog_option(function: _F) -> _F:
    """``--catalog DIR``, or ``SIMKIN_CATALOG``, or ``catalog.simkin`` here."""
    return click.option(
        "--catalog",
        callback=lambda _context, _option, value: place_of(value),
        envvar="SIMKIN_CATALOG",
        default="catalog.simkin",
        show_default=True,
        help="The catalog's folder, or postgresql://… (or SIMKIN_CATALOG).",
    )(function)


def facet_option(function: _F) -> _F:
    """``--facet NAME=WEIGHT``, as often as one likes."""
    return click.option(
        "--facet",
        "facets",
        metavar="NAME=WEIGHT",
        multiple=True,
        help="Weigh a facet otherwise, such as color=2 or shape=0.",
    )(function)


def facet_weights(given: tuple[str, ...]) -> dict[str, float]:
    """``NAME=WEIGHT`` → weight by name; a facet's name may hold any character."""
    weights: dict[str, float] = {}
    for one in given:
        name, _, weight = one.rpartition("=")
        try:
            number = float(weight)
        except ValueError:
            number = None
        if not name or number is None:
            raise click.UsageError(f"--facet {one} must be a facet's name and a number, such as color=2")
        if name in weights:
            raise click.UsageError(f"--facet {name} is given twice")
        weights[name] = number
    return weights


def json_option(function: _F) -> _F:
    """``--json``: one object per line."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")(function)


def echo_json(content: Mapping[str, Any]) -> None:
    """Print one object on one line, keys as they come."""
    click.echo(json.dumps(content, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace"))
