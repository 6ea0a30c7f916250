"""``simkin map``: a relation's space in two dimensions, to look at."""

from __future__ import annotations

from pathlib import Path

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, json_option

ENDINGS = (".html", ".png", ".json")


@click.command("map")
@catalog_option
@click.option("--relation", default="similar", show_default=True, help="See: simkin relations.")
@click.option(
    "--method",
    type=click.Choice(["auto", "umap", "pca"]),
    default="auto",
    show_default=True,
    help="umap needs: pip install 'simkin[map]'; auto takes it where it is there and the catalog is not too large.",
)
@click.option("--where", default="", metavar="FILTER", help="Such as 'category=Shoes and price<50'.")
@click.option("--modality", type=click.Choice(["image", "audio"]), help="Where the relation compares both.")
@click.option("--clusters", type=int, default=12, show_default=True, help="How many at most; 0 for none.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same map.")
@click.option("--size", type=int, default=2400, show_default=True, help="Pixels a side of a PNG.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("map.html"),
    show_default=True,
    help="A page (.html), a picture (.png) or the numbers (.json).",
)
@json_option
def command(
    catalog: Place,
    relation: str,
    method: str,
    where: str,
    modality: str | None,
    clusters: int,
    seed: int,
    size: int,
    out: Path,
    as_json: bool,
) -> None:
    """Draw the map of a relation's space: what it finds alike lies together."""
    if out.suffix.lower() not in ENDINGS:
        raise click.UsageError(f"--out ends in .html, .png or .json, not {out.name!r}")
    from index.lists.map import map_items
    from index.lists.map_files import write_map
    from simkin.cli.progress import ProgressBar
    from simkin.library import open

    bar = ProgressBar()
    try:
        found = map_items(
            open(catalog),
            relation,
            method=method,  # type: ignore[arg-type]
            where=where,
            modality=modality or "",
            clusters=clusters,
            seed=seed,
            on_progress=bar.show,
        )
    finally:
        bar.close()
    write_map(found, out, size)
    if as_json:
        echo_json(
            {
                "relation": found.relation,
                "modality": found.modality,
                "method": found.method,
                "items": len(found),
                "fitted_on": found.fitted_on,
                "clusters": [{"label": one.label, "size": one.size} for one in found.clusters],
                "out": str(out),
            }
        )
        return
    kind = f"{len(found)} {found.modality} items · {found.relation} · {found.method}"
    click.echo(f"{kind} · {len(found.clusters)} clusters → {out}")
