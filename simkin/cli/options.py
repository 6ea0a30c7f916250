"""Options that several verbs share, and how they print."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])

RERANKS = ("none", "neighbours", "local-scale", "both")
"""As in ``index.relations``, which loads nothing before it is needed."""


def catalog_option(function: _F) -> _F:
    """``--catalog DIR``, or ``SIMKIN_CATALOG``, or ``catalog.simkin`` here."""
    return click.option(
        "--catalog",
        type=click.Path(path_type=Path),
        envvar="SIMKIN_CATALOG",
        default=Path("catalog.simkin"),
        show_default=True,
        help="The catalog's folder (or SIMKIN_CATALOG).",
    )(function)


def json_option(function: _F) -> _F:
    """``--json``: one object per line."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")(function)


def echo_json(content: Mapping[str, Any]) -> None:
    """Print one object on one line, keys as they come."""
    click.echo(json.dumps(content, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace"))
