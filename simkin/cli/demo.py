"""``simkin demo``: make pictures and songs, index both, ask every relation."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import click

FOLDER = Path("simkin-demo")
MARKER = ".made-by-simkin-demo"


@click.command("demo")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=FOLDER, show_default=True, help="Where to put everything."
)
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed draws and plays other things.")
def command(folder: Path, seed: int) -> None:
    """Make a small catalog of pictures and songs on the spot, and ask it everything."""
    from index.errors import InputError
    from simkin.cli.printing import answer_text
    from simkin.cli.progress import ProgressBar
    from simkin.demo.pictures import make_pictures
    from simkin.demo.songs import make_songs
    from simkin.library import index, open

    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise InputError(f"{folder} holds other files; name another place with --folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()
    started = time.monotonic()
    click.echo("drawing products and playing songs …")
    tables = [make_pictures(folder / "products", seed), make_songs(folder / "songs", seed)]
    catalog = folder / "demo.simkin"
    click.echo(f"indexing them into {catalog} …")
    bar = ProgressBar()
    try:
        report = index(tables, catalog, None, bar)
    finally:
        bar.close()
    click.echo(f"{report.items} items in {report.seconds:.1f} s, {report.failed} failed\n")
    recommender = open(catalog)
    picture = recommender.item_ids("image")[40]
    song = recommender.item_ids("audio")[12]
    for relation, item_id in (
        ("similar", picture),
        ("substitute", picture),
        ("style", picture),
        ("similar-track", song),
    ):
        click.echo(answer_text(recommender.query(item_id, relation=relation, k=4)) + "\n")
    again = next((item for item in recommender.item_ids("image") if item.endswith("-again")), picture)
    original = again.removesuffix("-again")
    shown = recommender.query(original, relation="similar", k=1, duplicates=True).hits[0]
    click.echo(f"{original} was photographed twice: {shown.item_id} is collapsed, and shown with --duplicates\n")
    click.echo(f"all of it took {time.monotonic() - started:.1f} s; next, try:\n")
    click.echo(
        f"  export SIMKIN_CATALOG={catalog}\n"
        f"  simkin query {picture} --relation style --where 'price<40'\n"
        f"  simkin query {picture} --relation similar --diversity 0.5\n"
        f"  simkin query {folder}/songs/{_file_of(recommender, song)} --relation similar-track\n"
        "  simkin query --all --relation substitute -k 20 --out recs.parquet\n"
        "  simkin info\n"
        "  simkin index YOUR_PHOTOS/ --catalog my.simkin"
    )


def _file_of(recommender: object, item_id: str) -> str:
    from index.recommender import Recommender

    assert isinstance(recommender, Recommender)
    path = recommender.catalog.item(item_id).paths[0]
    return f"{path.parent.name}/{path.name}"
