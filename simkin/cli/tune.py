"""``simkin tune``: train a picture network on what a catalog's owner says belongs together."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, json_option

if TYPE_CHECKING:
    from index.learning.tune import TuneReport
    from index.types import EpochReport

LOSSES = ("triplet", "multi-similarity", "ntxent")
HEADS = ("linear", "mlp")
INTERRUPTED = 130


@click.command("tune")
@click.argument("edges", required=False, type=click.Path(path_type=Path))
@catalog_option
@click.option(
    "--encoder", required=True, help="A picture network: timm:ARCH?checkpoint=FILE, torchvision:ARCH/WEIGHTS."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .onnx file to write.")
@click.option("--label", default="", help="Pictures of items that share this attribute belong together.")
@click.option("--relation", default="", help="Of EDGES, take those of this relation only.")
@click.option("--format", "format_", default="", help="Of EDGES, when it cannot be told from the file.")
@click.option("--train", default="head", show_default=True, help="head, or blocks:N for the last N blocks as well.")
@click.option("--head", type=click.Choice(HEADS), default="linear", show_default=True, help="Form of the head.")
@click.option("--loss", type=click.Choice(LOSSES), default="multi-similarity", show_default=True)
@click.option("--dim", type=click.IntRange(min=2), default=128, show_default=True, help="Dimensions of its vectors.")
@click.option("--epochs", type=click.IntRange(min=1), help="At most. Default: 30 for a head, 10 for blocks.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of splits and training.")
@click.option("--force", is_flag=True, help="Write it even if it is not better; recorded in its card.")
@json_option
def command(
    edges: Path | None,
    catalog: Place,
    encoder: str,
    out: Path,
    label: str,
    relation: str,
    format_: str,
    train: str,
    head: str,
    loss: str,
    dim: int,
    epochs: int | None,
    seed: int,
    force: bool,
    as_json: bool,
) -> None:
    """Train a picture network further, so that what belongs together lies together: pictures of linked items (EDGES, as
    for simkin learn), of items with the same --label, or else the photos of one item.

    It is judged by pictures held out and written only if it finds their kin better than the untouched network; exit
    status 1 when it does not. Ctrl-C ends training with the best epoch so far; the same command goes on. Needs
    pip install 'simkin[torch]'; the file itself does not: simkin index SOURCE --encoder onnx:FILE.
    """
    from index.catalog import Catalog
    from index.learning import tune as tuning
    from simkin.cli.progress import ProgressBar

    options = tuning.TuneOptions(
        encoder=encoder,
        out=out,
        label=label,
        relation=relation,
        format=format_,
        train=train,
        head=head,
        loss=loss,
        dim=dim,
        epochs=epochs or 0,
        seed=seed,
        force=force,
    )
    bar = ProgressBar()

    def on_epoch(report: EpochReport) -> None:
        bar.close()
        click.echo(
            f"epoch {report.epoch} of {report.total}: loss {report.loss:.4f}, unseen kin {report.score:.3f}, "
            f"{report.pictures_per_second:,.0f} pictures/s, {report.seconds_left:.0f} s left", err=True,
        )  # fmt: skip

    with Catalog.open(catalog) as opened:
        try:
            report = tuning.tune(opened, edges, options, bar.show, on_epoch)
        finally:
            bar.close()
    if as_json:
        echo_json(report.to_json())
    else:
        _print(report)
    if report.training.interrupted:
        sys.exit(INTERRUPTED)
    if not report.saved:
        sys.exit(1)


def _print(report: TuneReport) -> None:
    if report.read and report.read.bad:
        click.echo(f"{report.read.bad} rows could not be used, such as {report.read.examples[0]}", err=True)
    if report.resolved and report.resolved.unknown_ids:
        some = ", ".join(report.resolved.unknown_examples[:3])
        click.echo(f"{report.resolved.unknown_ids} ids are not in the catalog, such as {some}", err=True)
    if report.unreadable:
        click.echo(f"{report.unreadable} pictures could not be read and were left out", err=True)
    click.echo(
        f"{report.pictures:,} pictures, kin are {report.what}; {report.split.held} held out; epoch "
        f"{report.training.best} of {report.training.epochs} kept"
    )
    click.echo(report.verdict.table())
    if report.training.interrupted:
        click.echo(f"stopped after epoch {report.training.epochs}; the same command goes on", err=True)
    if not report.saved:
        click.echo(f"not written; --force writes it nevertheless ({report.seconds:.0f} s)")
        return
    kept = "written, though it is not better" if report.forced else "written"
    told = f"cosine to torch {report.parity['minimum']:.6f} at worst" if report.parity else ""
    click.echo(f"{report.out}: {kept}; {told} ({report.seconds:.0f} s)")
    click.echo(f"use it with: simkin index SOURCE --encoder builtin --encoder onnx:{report.out}")
