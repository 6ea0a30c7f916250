"""``simkin clusters``: the kinds of items that a relation sees in a catalog."""

from __future__ import annotations

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, json_option


@click.command("clusters")
@catalog_option
@click.option("--relation", default="similar", show_default=True, help="See: simkin relations.")
@click.option("-n", "count", type=int, default=12, show_default=True, help="How many clusters.")
@click.option("--where", default="", metavar="FILTER", help="Such as 'category=Shoes and price<50'.")
@click.option("--modality", type=click.Choice(["image", "audio"]), help="Where the relation compares both.")
@click.option("--central", type=int, default=5, show_default=True, help="Central items shown of each.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same clusters.")
@json_option
def command(
    catalog: Place,
    relation: str,
    count: int,
    where: str,
    modality: str | None,
    central: int,
    seed: int,
    as_json: bool,
) -> None:
    """Part the catalog into clusters, each with its size and its most central items, largest first."""
    from index.lists.clusters import find_clusters
    from simkin.library import open

    found = find_clusters(
        open(catalog), relation, count, where=where, modality=modality or "", central=central, seed=seed
    )
    if not as_json:
        click.echo(f"{found.items} {found.modality} items · {found.relation} · {len(found.clusters)} clusters")
    for number, cluster in enumerate(found.clusters, 1):
        if as_json:
            echo_json(
                {
                    "cluster": number,
                    "relation": found.relation,
                    "size": cluster.size,
                    "share": round(cluster.share, 6),
                    "central": list(cluster.central),
                    "categories": dict(cluster.categories),
                }
            )
            continue
        kinds = ", ".join(f"{name} {counted}" for name, counted in cluster.categories)
        click.echo(f"{number:4d}  {cluster.size:6d}  {100 * cluster.share:4.1f} %  {kinds}")
        click.echo(f"      {' · '.join(cluster.central)}")
