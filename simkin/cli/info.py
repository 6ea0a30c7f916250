"""``simkin info``: what a catalog holds."""

from __future__ import annotations

from dataclasses import asdict

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, json_option


@click.command("info")
@catalog_option
@json_option
def command(catalog: Place, as_json: bool) -> None:
    """Show items, encoders, sources, failures, and the recall of each relation."""
    from contextlib import closing

    from index.address import shown
    from index.opening import open_catalog

    with closing(open_catalog(catalog)) as opened:
        told = opened.overview()
    if as_json:
        echo_json({"catalog": shown(catalog), **asdict(told)})
        return
    items = ", ".join(f"{count} {modality}" for modality, count in told.items.items()) or "none"
    click.echo(
        f"catalog     {shown(catalog)} ({_megabytes(told.database_bytes)} + {_megabytes(told.generation_bytes)} built)"
    )
    click.echo(f"items       {items}; {told.categories} categories; {told.failures} files failed")
    for location, kind in told.sources:
        click.echo(f"source      {location} ({kind})")
    for name, fingerprint in told.encoders.items():
        click.echo(f"encoder     {name} {fingerprint}")
    waiting = f", {told.pending} changes beside it" if told.pending else ""
    asked = f"; asked recall {told.asked_recall:g}" if told.generation else ""  # none was built to reach any
    click.echo(f"generation  {told.generation}, {told.state}{waiting}{asked}")
    for state in told.relations:
        how = f"measured on {state.measured_on} held-out queries" if state.measured_on else "every item is compared"
        how += "" if state.rerank == "none" else f"; the closest re-ranked by {state.rerank}"
        click.echo(f"relation    {state.relation:<14} {state.modality:<6} {state.method:<6} {state.recall:.4f}  {how}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
