"""``simkin relations``: which questions can be asked, with their weights and rules."""

from __future__ import annotations

import click

from simkin.cli.options import echo_json, json_option


@click.command("relations")
@json_option
def command(as_json: bool) -> None:
    """List relations: facet weights, who may answer, and why."""
    from index.relations import RELATIONS

    for relation in RELATIONS.values():
        if as_json:
            echo_json(
                {
                    "name": relation.name,
                    "weights": dict(relation.weights),
                    "rule": relation.rule,
                    "modalities": list(relation.modalities),
                    "why": relation.why,
                }
            )
        else:
            weights = ", ".join(f"{name} {weight:g}" for name, weight in relation.weights.items())
            click.echo(f"{relation.name:<14} {relation.rule:<15} {weights}\n{'':15}{relation.why}")
