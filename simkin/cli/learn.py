"""``simkin learn``: fit a relation to behaviour data, and keep it if it is better than what was there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from index.address import Place
from simkin.cli.options import RERANKS, catalog_option, echo_json, json_option

if TYPE_CHECKING:
    from index.catalog import Catalog
    from index.learning.learn import LearnOptions, LearnReport

METHODS = ("low-rank", "asymmetric", "triplets", "regression", "neighbours")
TARGETS = ("cooccurrence", "als", "bpr", "item2vec")
RULES = ("any", "same category", "other category")


@click.command("learn")
@click.argument("edges", required=False, type=click.Path(path_type=Path))
@click.option(
    "--relation", required=True, help="What is learned: style, substitute, similar-track or a name of your own."
)
@catalog_option
@click.option(
    "--embeddings",
    type=click.Path(path_type=Path),
    help="Before learning, take the items that EDGES name from these shards, the --out of simkin embed, into the "
    "catalog.",
)
@click.option(
    "--others",
    type=click.IntRange(min=0),
    help="With --embeddings: about how many items to take beside those named; default: 20,000.",
)
@click.option("--format", "format_", default="", help="Of EDGES, when it cannot be told from the file.")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="low-rank",
    show_default=True,
    help="asymmetric: a case goes with a camera, but not the other way round.",
)
@click.option(
    "--targets",
    default="cooccurrence",
    show_default=True,
    metavar="NAME|FILE",
    help=f"With regression, the vectors that content is to predict: {', '.join(TARGETS)}, or a file (.npy, .npz, "
    ".parquet).",
)
@click.option("--rule", type=click.Choice(RULES), help="Which items may answer. Default: as the edges run.")
@click.option(
    "--window",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="In sessions and playlists, items so far apart are linked.",
)
@click.option(
    "--cap",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Strongest partners kept for each item of baskets, sessions and playlists.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of splits and fits.")
@click.option("--rerank", type=click.Choice(RERANKS), help="Order its closest answers by what surrounds them, too.")
@click.option("--personal", is_flag=True, help="Weights of each user's own, where edges have a column user.")
@click.option("--force", is_flag=True, help="Save it even if it is not better; recorded with it.")
@click.option("--forget", is_flag=True, help="Drop what was learned under this name.")
@json_option
def command(
    edges: Path | None,
    relation: str,
    catalog: Place,
    embeddings: Path | None,
    others: int | None,
    format_: str,
    method: str,
    targets: str,
    rule: str | None,
    window: int,
    cap: int,
    seed: int,
    rerank: str | None,
    personal: bool,
    force: bool,
    forget: bool,
    as_json: bool,
) -> None:
    """Learn a relation from EDGES: pairs (source,target[,weight][,relation]), or baskets, sessions and playlists
    (group,item[,time]), as CSV, TSV, JSONL or Parquet, M3U folders, or files of public data sets.

    It is saved only if it beats the unlearned relation and the same category on edges held out; exit status 1 when
    it does not. Without EDGES it is learned anew from those that the catalog keeps.
    """
    from index.catalog import Catalog
    from index.learning import learn as learning
    from index.learning.pairing import Pairing

    if forget and (edges or force):
        raise click.UsageError("--forget takes neither EDGES nor --force")
    if embeddings and not edges:
        raise click.UsageError("--embeddings takes the items that EDGES name; name a file of them")
    if others is not None and not embeddings:
        raise click.UsageError("--others tells how many items to take beside those named; it needs --embeddings")
    with Catalog.create(catalog) if embeddings else Catalog.open(catalog) as opened:
        if forget:
            learning.forget(opened, relation)
            click.echo(f"{relation}: forgotten; its edges are kept")
            return
        options = learning.LearnOptions(
            relation=relation,
            format=format_,
            method=method,
            targets=targets,
            rule=rule,  # type: ignore[arg-type]  # click has checked it
            pairing=Pairing(window=window, cap=cap),
            personal=personal,
            force=force,
            rerank=rerank,  # type: ignore[arg-type]
            seed=seed,
        )
        if embeddings and edges:
            _take(opened, embeddings, edges, options, others)
        report = learning.learn(opened, edges, options, lambda stage: click.echo(f"{stage} …", err=True))
    if as_json:
        echo_json(report.to_json())
    else:
        _print(report)
    if not report.saved:
        sys.exit(1)


def _take(catalog: Catalog, embeddings: Path, edges: Path, options: LearnOptions, others: int | None) -> None:
    from index.learning.picking import OTHERS, take_named
    from simkin.cli.progress import ProgressBar

    bar = ProgressBar()
    try:
        named, report = take_named(catalog, embeddings, edges, options, OTHERS if others is None else others, bar)
    finally:
        bar.close()
    failed = f"; {report.failed} of their files failed" if report.failed else ""
    click.echo(
        f"{embeddings}: edges name {named:,} items of it; {report.added:,} files taken, {report.items:,} items in "
        f"{catalog.folder}{failed}", err=True,
    )  # fmt: skip


def _print(report: LearnReport) -> None:
    if report.read and report.read.bad:
        click.echo(f"{report.read.bad} rows could not be used, such as {report.read.examples[0]}", err=True)
    if report.resolved and report.resolved.unknown_ids:
        some = ", ".join(report.resolved.unknown_examples[:3])
        click.echo(
            f"{report.resolved.unknown_ids} ids are not in the catalog, such as {some}; {report.resolved.unknown} "
            "edges left out", err=True,
        )  # fmt: skip
    if report.resolved and report.resolved.by_name:
        given, found = report.resolved.by_name_examples[0]
        click.echo(f"{report.resolved.by_name} ids were found by file name, such as {given} as {found}", err=True)
    click.echo(report.gate.table())
    if report.people:
        click.echo(report.people.sentence)
    kept = "saved, though it did not pass" if report.forced else "saved" if report.saved else "not saved"
    if report.known:
        click.echo(
            f"{report.known:,} of {report.items:,} items stand where their own behaviour puts them, the others where "
            "their content predicts"
        )
    click.echo(
        f"{report.relation}: {kept}; {report.edges:,} links, {report.rank} dimensions, answers from {report.rule} "
        f"({report.seconds:.1f} s)"
    )
