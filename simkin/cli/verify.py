"""``simkin verify``: read everything a catalog stores, and mend what can be mended."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from simkin.cli.options import catalog_option, echo_json, json_option


@click.command("verify")
@catalog_option
@click.option("--repair", "mend", is_flag=True, help="Drop unusable vectors and rebuild the index.")
@json_option
def command(catalog: Path, mend: bool, as_json: bool) -> None:
    """Check the database, every vector and every built file."""
    from index.catalog import Catalog
    from index.verify import repair, verify

    with Catalog.open(catalog) as opened:
        problems = repair(opened) if mend else verify(opened)
        left = verify(opened) if mend else problems
    for problem in problems:
        if as_json:
            echo_json({**asdict(problem), "mended": problem not in left})
        else:
            done = " (mended)" if problem not in left else f" (--repair {problem.repair})" if problem.repair else ""
            click.echo(f"{problem.where}: {problem.what}{done}")
    if as_json:
        echo_json({"event": "verified", "problems": len(problems), "left": len(left)})
    elif not problems:
        click.echo(f"{catalog} is sound")
    if mend and problems and not left:
        click.echo(
            f"mended; files whose vectors were dropped come back with: simkin index --catalog {catalog}", err=True
        )
    sys.exit(1 if left else 0)
