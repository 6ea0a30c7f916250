"""``simkin score``: how well a basket or an outfit goes together."""

from __future__ import annotations

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, json_option


@click.command("score")
@click.argument("names", metavar="ITEM ITEM...", nargs=-1)
@catalog_option
@click.option("--relation", default="style", show_default=True, help="See: simkin relations.")
@click.option("--suggest", is_flag=True, help="Find what would go better in the place of the weakest item.")
@json_option
def command(names: tuple[str, ...], catalog: Place, relation: str, suggest: bool, as_json: bool) -> None:
    """Score how well items go together: the mean over their pairs.

    Of a learned relation the log-likelihood of the pairs, at most 0; of a plain one their score.
    """
    from index.lists.outfits import score_outfit
    from simkin.library import open

    if len(names) < 2:
        raise click.UsageError("name at least two items")
    found = score_outfit(open(catalog), names, relation, suggest=suggest)
    better = found.suggestion
    if as_json:
        echo_json(
            {
                "relation": found.relation,
                "measure": found.measure,
                "score": round(found.score, 6),
                "pairs": [
                    {"left": pair.left, "right": pair.right, "score": round(pair.score, 6)} for pair in found.pairs
                ],
                "items": [{"id": item_id, "score": round(score, 6)} for item_id, score in found.items],
                "weakest": found.weakest,
                "suggestion": better
                and {"replaces": better.replaces, "id": better.item_id, "score": round(better.score, 6)},
            }
        )
        return
    click.echo(f"{found.score:.3f}  mean {found.measure} of {len(found.pairs)} pairs · {found.relation}")
    width = max(len(pair.left) for pair in found.pairs)
    for pair in found.pairs:
        click.echo(f"  {pair.score:7.3f}  {pair.left:<{width}}  {pair.right}")
    click.echo(f"weakest: {found.weakest}, {dict(found.items)[found.weakest]:.3f} with the others")
    if better:
        click.echo(f"better: {better.item_id} in its place raises the mean to {better.score:.3f}")
    elif suggest:
        click.echo(f"better: nothing of its category goes better than {found.weakest}")
