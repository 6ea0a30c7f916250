"""``simkin encoders``: which encoders there are, and what each facet is."""

from __future__ import annotations

import click

from simkin.cli.options import echo_json, json_option


@click.command("encoders")
@json_option
def command(as_json: bool) -> None:
    """List encoders with their facets, dimensions, licences and sources."""
    from index.encoders import ENCODERS, card_of

    for name in ENCODERS:
        card = card_of(name)
        if as_json:
            echo_json(
                {
                    "name": card.name,
                    "revision": card.revision,
                    "fingerprint": card.fingerprint,
                    "modality": card.modality,
                    "dim": card.dim,
                    "facets": {facet.name: {"dim": facet.dim, "source": facet.source} for facet in card.facets},
                    "preprocessing": dict(card.preprocessing),
                    "licence": card.licence,
                    "source": card.source,
                }
            )
        else:
            click.echo(f"{card.name}@{card.revision}  {card.modality}, {card.dim} dimensions, {card.licence}")
            for facet in card.facets:
                click.echo(f"    {facet.name:<10} {facet.dim:4d}  {facet.source}")
    if not as_json:
        click.echo(
            "networks: onnx:FILE, hf:<owner>/<repository>/<file.onnx>, timm:<arch.tag>, torchvision:<arch>/<weights>"
        )
