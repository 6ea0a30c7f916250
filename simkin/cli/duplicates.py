"""``simkin duplicates``: near-duplicate pictures and recordings of a catalog."""

from __future__ import annotations

from typing import Literal

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, json_option


@click.command("duplicates")
@catalog_option
@click.option("--modality", type=click.Choice(["image", "audio"]), help="Only pictures, or only recordings.")
@json_option
def command(catalog: Place, modality: Literal["image", "audio"] | None, as_json: bool) -> None:
    """Find the same picture or recording again, in groups; nothing is changed or deleted.

    Each item of a group agrees with the first in all facets, and of recordings in length.
    """
    from index.lists.repeats import copy_text, find_duplicates
    from simkin.cli.progress import ProgressBar
    from simkin.library import open

    bar = ProgressBar()
    try:
        found = find_duplicates(open(catalog), modality or "", lambda done, total: bar.show("comparing", done, total))
    finally:
        bar.close()
    if as_json:
        echo_json(found.to_json())
        return
    copies = sum(len(group.copies) for group in found.groups)
    click.echo(f"{len(found.groups)} groups of near-duplicates, {copies} of {found.compared} items")
    width = max((len(copy.item.item_id) for group in found.groups for copy in group.copies), default=0)
    for at, group in enumerate(found.groups, 1):
        told = [copy_text(copy) for copy in group.copies]
        space = max(map(len, told))
        why = [""]
        for one in group.evidence:
            told_of = {**one.cosines, **({} if one.overlay is None else {"overlay": one.overlay})}
            why.append(" · ".join(f"{name} {value:.3f}" for name, value in told_of.items()))
        for place, (copy, text, cosines) in enumerate(zip(group.copies, told, why, strict=True)):
            number = f"{at:4d}" if place == 0 else "    "
            click.echo(f"{number}  {copy.item.item_id:<{width}}  {text:<{space}}  {cosines}".rstrip())
