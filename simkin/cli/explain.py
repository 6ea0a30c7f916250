"""``simkin explain``: why two items are alike."""

from __future__ import annotations

from pathlib import Path

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, facet_option, facet_weights, json_option


@click.command("explain")
@click.argument("a", metavar="ITEM|FILE")
@click.argument("b", metavar="ITEM|FILE")
@catalog_option
@click.option("--relation", default="similar", show_default=True, help="See: simkin relations.")
@facet_option
@click.option("--out", type=click.Path(path_type=Path), help="Draw it, as a .png or a .html that stands alone.")
@json_option
def command(
    a: str, b: str, catalog: Place, relation: str, facets: tuple[str, ...], out: Path | None, as_json: bool
) -> None:
    """Explain what makes two pictures or two songs alike: facets, regions, moments, in words and numbers."""
    from index.explaining import explain
    from index.explaining.saving import check_ending, save
    from simkin.cli.printing import explanation_text
    from simkin.library import open

    if out is not None:
        check_ending(out)
    weighed = facet_weights(facets)
    found = explain(open(catalog), a, b, relation, facet_weights=weighed)
    if out is not None:
        save(found, out)
    if as_json:
        echo_json(found.to_json())
        return
    click.echo(explanation_text(found))
    if out is not None:
        click.echo(f"drawn: {out}", err=True)
