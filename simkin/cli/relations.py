"""``simkin relations``: which questions can be asked, with their weights and rules."""

from __future__ import annotations

from pathlib import Path

import click

from simkin.cli.options import echo_json, json_option


@click.command("relations")
@click.option(
    "--catalog", type=click.Path(path_type=Path), envvar="SIMKIN_CATALOG", help="Show what was learned there, too."
)
@json_option
def command(catalog: Path | None, as_json: bool) -> None:
    """List relations: facet weights, who may answer, and why."""
    from index.relations import RELATIONS

    relations = RELATIONS
    if catalog is not None:
        from index.catalog import Catalog

        with Catalog.open(catalog) as opened:
            relations = opened.relations()
    for relation in relations.values():
        if as_json:
            echo_json(
                {
                    "name": relation.name,
                    "weights": dict(relation.weights),
                    "learned": bool(relation.head),
                    "rule": relation.rule,
                    "modalities": list(relation.modalities),
                    "why": relation.why,
                }
            )
        else:
            weights = ", ".join(f"{name} {weight:g}" for name, weight in relation.weights.items())
            click.echo(f"{relation.name:<14} {relation.rule:<15} {weights or 'learned'}\n{'':15}{relation.why}")
