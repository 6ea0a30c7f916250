"""``simkin relations``: which questions can be asked, with their weights and rules."""

from __future__ import annotations

import click

from index.address import Place, place_of
from simkin.cli.options import RERANKS, echo_json, json_option


@click.command("relations")
@click.option(
    "--catalog",
    callback=lambda _context, _option, value: value and place_of(value),
    envvar="SIMKIN_CATALOG",
    help="Show what was learned there, too.",
)
@click.option("--set", "changed", metavar="NAME", help="Change how this relation of the catalog is answered.")
@click.option(
    "--rerank",
    type=click.Choice(RERANKS),
    help="With --set: neighbours prefers answers that share their neighbours with the query, local-scale keeps items "
    "that are near to very many from standing everywhere.",
)
@json_option
def command(catalog: Place | None, changed: str | None, rerank: str | None, as_json: bool) -> None:
    """List relations: facet weights, who may answer, and why."""
    from index.relations import RELATIONS

    if (changed is None) != (rerank is None):
        raise click.UsageError("--set NAME and --rerank HOW go together")
    if changed is not None and rerank is not None:
        if catalog is None:
            raise click.UsageError("--set changes a catalog; name it with --catalog")
        _set(catalog, changed, rerank, as_json)
        return
    relations = RELATIONS
    if catalog is not None:
        from contextlib import closing

        from index.opening import open_catalog

        with closing(open_catalog(catalog)) as opened:
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
                    "rerank": relation.rerank,
                }
            )
        else:
            weights = ", ".join(f"{name} {weight:g}" for name, weight in relation.weights.items())
            how = "" if relation.rerank == "none" else f"; re-ranked by {relation.rerank}"
            click.echo(f"{relation.name:<14} {relation.rule:<15} {weights or 'learned'}{how}\n{'':15}{relation.why}")


def _set(folder: Place, name: str, how: str, as_json: bool) -> None:
    from index.answering.reranking import set_rerank
    from index.catalog import Catalog

    with Catalog.open(folder) as opened:
        set_rerank(opened, name, how)  # type: ignore[arg-type]  # click has checked it
    if as_json:
        echo_json({"event": "set", "relation": name, "rerank": how})
    else:
        click.echo(f"{name}: {'answers by score alone' if how == 'none' else f'the closest are re-ranked by {how}'}")
