"""``simkin evaluate``: how good answers are, beside every baseline, with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, json_option

if TYPE_CHECKING:
    from index.learning.evaluate import Evaluation

SHOWN = ("recall@1", "recall@10", "precision@1", "precision@5", "precision@10", "ndcg@10", "mrr@20", "map", "auc")


@click.command("evaluate")
@catalog_option
@click.option("--relation", default="similar", show_default=True, help="See: simkin relations.")
@click.option("--label", default="", help="Right answers share this attribute with the query.")
@click.option("--edges", type=click.Path(path_type=Path), help="Right answers are the targets of these edges.")
@click.option("--group", default="", help="Items that share this attribute, such as artist, do not answer each other.")
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="Length of lists.")
@click.option(
    "--vectors", type=click.Path(path_type=Path), help="Vectors from elsewhere: .npy with ids beside it, or Parquet."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write a page here (.html), and its figures beside it (.json)."
)
@click.option("--rerank", is_flag=True, help="Show each way of re-ranking beside the plain answers.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of samples and intervals.")
@json_option
def command(
    catalog: Place,
    relation: str,
    label: str,
    edges: Path | None,
    group: str,
    k: int,
    vectors: Path | None,
    out: Path | None,
    rerank: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Measure a relation's answers against a label or edges, beside random, popular, same-category, colour and
    raw-cosine answers.
    """
    from index.catalog import Catalog
    from index.learning.measure import MeasureOptions, measure
    from index.learning.report import write_report

    if bool(label) == (edges is not None):
        raise click.UsageError("measure by --label or by --edges, one of the two")
    if out is not None and (out.suffix.lower() not in (".html", ".htm") or not out.absolute().parent.is_dir()):
        raise click.UsageError(f"--out {out} must be an .html file in a folder that exists")
    with Catalog.open(catalog) as opened:
        found = measure(opened, MeasureOptions(relation, label, edges, group, k, vectors, rerank, seed))
    if out is not None:
        write_report(found, out, out.with_suffix(".json"))
    if as_json:
        echo_json(found.to_json())
    else:
        _print(found, k)
        if out is not None:
            click.echo(f"{out}: the whole report; its figures in {out.with_suffix('.json')}")


def _print(found: Evaluation, k: int) -> None:
    shown = (*SHOWN, f"recall@{k}", f"precision@{k}")
    names = [name for name in found.contenders[0].metrics if name.lower() in shown]
    width = max(len(one.name) for one in found.contenders)
    click.echo(f"{found.relation}: {found.what}; {found.queries:,} queries, {found.items:,} items")
    click.echo(" " * width + "".join(f"{name:>24}" for name in names) + f"{'hubness':>10}{'never':>8}")
    for one in found.contenders:
        cells = []
        for name in names:
            figure = one.metrics.get(name)
            cells.append(f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]" if figure else "")
        spread = f"{one.exposure.skewness:>10.2f}{100 * one.exposure.never:>6.1f} %"
        click.echo(f"{one.name:<{width}}" + "".join(f"{cell:>24}" for cell in cells) + spread)
    for note in found.notes:
        click.echo(note)
