"""``simkin verify``: read everything a catalog stores, and mend what can be mended."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, json_option


@click.command("verify")
@catalog_option
@click.option(
    "--repair", "mend", is_flag=True, help="Salvage a damaged database, drop unusable vectors, rebuild the index."
)
@json_option
def command(catalog: Place, mend: bool, as_json: bool) -> None:
    """Check the database, every vector and every built file."""
    from index.address import folder_of
    from index.verify import check

    problems, left = check(folder_of(catalog), mend=mend)
    for problem in problems:
        if as_json:
            echo_json({**asdict(problem), "mended": bool(problem.repair) and problem not in left})
        else:
            mended = " (mended)" if problem not in left else f" (--repair {problem.repair})"
            done = mended if problem.repair else ""
            click.echo(f"{problem.where}: {problem.what}{done}")
    if as_json:
        echo_json({"event": "verified", "problems": len(problems), "left": len(left)})
    elif not problems:
        click.echo(f"{catalog} is sound")
    if mend and problems and not left:
        click.echo(
            f"mended; what was dropped comes back from its files with: simkin index --catalog {catalog}", err=True
        )
    sys.exit(1 if left else 0)
