"""``simkin push``: bring a catalog to PostgreSQL."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from simkin.cli.options import catalog_option, echo_json, json_option


@click.command("push")
@click.argument("address", metavar="ADDRESS")
@catalog_option
@click.option("--replace", is_flag=True, help="Put this catalog in the place of another that was pushed there.")
@click.option("--partitions", type=click.IntRange(0, 1024), default=0, help="Parts that new rows are divided into.")
@click.option("--use", type=click.IntRange(1), metavar="N", help="Only put generation N, which stands there, in use.")
@json_option
def command(address: str, catalog: Path, replace: bool, partitions: int, use: int | None, as_json: bool) -> None:
    """Bring a catalog to PostgreSQL with pgvector, or what changed since the last time.

    ADDRESS is postgresql://USER@HOST/DATABASE, with ?schema=NAME where one database holds several catalogs. After any
    trouble the same command goes on where it stopped. Then every command that only asks takes --catalog ADDRESS.
    """
    from index.address import PostgresAddress, is_postgres

    if not is_postgres(address):
        raise click.UsageError(f"ADDRESS must begin with postgresql://, not be {address}")
    there = PostgresAddress.parse(address)
    from index.catalog import Catalog
    from index.postgres.push import PushOptions, push, use_generation
    from simkin.cli.progress import ProgressBar

    if use is not None:
        use_generation(there, use)
        if as_json:
            echo_json({"event": "switched", "generation": use})
        else:
            click.echo(f"{there.shown} answers from generation {use}")
        return
    bar = ProgressBar()
    try:
        with Catalog.open(catalog) as opened:
            report = push(opened, there, PushOptions(replace, partitions), bar.show)
    finally:
        bar.close()
    if as_json:
        echo_json({"event": "pushed", **asdict(report)})
        return
    click.echo(
        f"{there.shown}: {report.items} items, {report.put} put, {report.removed} removed, {report.rows} rows; "
        f"generation {report.generation} in {report.seconds:.1f} s"
    )
    for space, relation, method, recall in report.relations:
        click.echo(f"relation    {relation:<14} {space:<6} {method:<6} {recall:.4f}")
