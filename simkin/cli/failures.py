"""``simkin failures``: which files could not be indexed, and why."""

from __future__ import annotations

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, json_option


@click.command("failures")
@catalog_option
@json_option
def command(catalog: Place, as_json: bool) -> None:
    """List the files that could not be indexed, with stage, reason and attempts."""
    from index.catalog import Catalog

    with Catalog.open(catalog) as opened:
        count = 0
        for failure in opened.failures():
            count += 1
            if as_json:
                echo_json(
                    {
                        "id": failure.item_id,
                        "path": str(failure.path),
                        "stage": failure.stage,
                        "reason": failure.reason,
                        "attempts": failure.attempts,
                        "at": failure.at,
                    }
                )
            else:
                line = f"{failure.item_id}  [{failure.stage}] {failure.reason} (tried {failure.attempts} ×)"
                click.echo(line.encode("utf-8", "backslashreplace"))
        if not as_json:
            advice = f"; mend them and run: simkin index --catalog {catalog}" if count else ""
            click.echo(f"{count} failures{advice}", err=True)
