"""``simkin complete``: the items that complete an outfit, chosen together."""

from __future__ import annotations

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, json_option


@click.command("complete")
@click.argument("names", metavar="ITEM...", nargs=-1, required=True)
@click.option(
    "--slots", required=True, multiple=True, metavar="CATEGORY,...", help="What to fill; named twice, two items."
)
@catalog_option
@click.option("--relation", default="style", show_default=True, help="See: simkin relations.")
@click.option("--alternatives", type=int, default=1, show_default=True, help="How many outfits.")
@click.option(
    "--diversity", type=click.FloatRange(0, 1), default=0.0, help="Share of the slots in which alternatives differ."
)
@click.option("--max-price", type=float, help="Highest sum of the prices of the items chosen.")
@click.option("--where", default="", metavar="FILTER", help="On the items chosen, such as 'gender=Women'.")
@json_option
def command(
    names: tuple[str, ...],
    slots: tuple[str, ...],
    catalog: Place,
    relation: str,
    alternatives: int,
    diversity: float,
    max_price: float | None,
    where: str,
    as_json: bool,
) -> None:
    """Find the best item for each slot, so that all of them go together with ITEMs.

    \b
      simkin complete shirt-12 --slots Jeans,Belts,Shoes --alternatives 3 --max-price 120
    """
    from index.lists.complete import complete_outfit
    from simkin.cli.printing import about
    from simkin.library import open

    found = complete_outfit(
        open(catalog),
        names,
        [slot.strip() for some in slots for slot in some.split(",") if slot.strip()],
        relation,
        alternatives=alternatives,
        diversity=diversity,
        max_price=max_price,
        where=where,
    )
    if as_json:
        echo_json(found.to_json())
        return
    given = " + ".join(item.item_id for item in found.given)
    click.echo(f"{given} · {found.relation} · mean {found.measure} of all pairs")
    for note in found.notes:
        click.echo(f"  note: {note}")
    choices = [choice for one in found.alternatives for choice in one.items]
    slot_width = max(len(choice.slot) for choice in choices)
    id_width = max(len(choice.item.item_id) for choice in choices)
    for at, one in enumerate(found.alternatives, 1):
        price = "" if one.price is None else f"  price {one.price:g}"
        click.echo(f"{at:4d}  {one.score:6.3f}{price}")
        for choice in one.items:
            told = about(choice.item.attributes)
            line = f"{choice.slot:<{slot_width}}  {choice.item.item_id:<{id_width}}  {told}"
            click.echo(f"      {choice.score:6.3f}  {line}".rstrip())
