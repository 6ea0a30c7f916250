"""``simkin path``: small steps from one item to another."""

from __future__ import annotations

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, json_option


@click.command("path")
@click.argument("start", metavar="A")
@click.argument("goal", metavar="B")
@catalog_option
@click.option("--relation", default="similar", show_default=True, help="See: simkin relations.")
@click.option("--steps", type=int, help="Exactly so many items between; without it, as many as it takes.")
@json_option
def command(start: str, goal: str, catalog: Place, relation: str, steps: int | None, as_json: bool) -> None:
    """Find items that lead from A to B, each close to the one before."""
    from index.lists.paths import find_path
    from simkin.cli.printing import about
    from simkin.library import open

    recommender = open(catalog)
    found = find_path(recommender, start, goal, relation, steps)
    if as_json:
        echo_json(
            {
                "relation": found.relation,
                "steps": [
                    {"id": step.item_id, "score": None if step.score is None else round(step.score, 6)}
                    for step in found.steps
                ],
                "lowest": round(found.lowest, 6),
                "direct": round(found.direct, 6),
            }
        )
        return
    between = len(found.steps) - 2
    closeness = f"every step at least {found.lowest:.3f}, at once {found.direct:.3f}"
    click.echo(f"{found.relation} · {between} items between · {closeness}")
    width = max(len(step.item_id) for step in found.steps)
    for step in found.steps:
        score = "" if step.score is None else f"{step.score:.3f}"
        known = recommender.catalog.item(step.item_id).attributes
        click.echo(f"  {score:>6}  {step.item_id:<{width}}  {about(known)}".rstrip())
