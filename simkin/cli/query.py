"""``simkin query``: ask a relation about items, files, or every item."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from index.address import Place
from simkin.cli.options import RERANKS, catalog_option, echo_json, facet_option, facet_weights, json_option

if TYPE_CHECKING:
    from index.recommender import Recommender


@click.command("query")
@click.argument("names", metavar="[ITEM|FILE]...", nargs=-1)
@catalog_option
@click.option("--relation", default="similar", show_default=True, help="See: simkin relations.")
@click.option("-k", type=int, default=10, show_default=True, help="How many answers.")
@click.option("--weight", "weights", multiple=True, type=float, help="One for each ITEM, in order.")
@click.option("--not", "negatives", metavar="ITEM", multiple=True, help="Move away from this item.")
@click.option("--where", default="", metavar="FILTER", help="Such as 'category=Shoes and price<50'.")
@click.option("--category", help="The category of a FILE that is not in the catalog.")
@facet_option
@click.option("--rerank", type=click.Choice(RERANKS), help="Order the closest by what surrounds them, too.")
@click.option("--user", help="In the order of this person's taste; see: simkin learn --personal.")
@click.option("--diversity", type=click.FloatRange(0, 1), default=0.0, help="0 closest, 1 most unlike each other.")
@click.option("--duplicates", is_flag=True, help="Show near-duplicates instead of collapsing them.")
@click.option("--each", is_flag=True, help="Ask about each ITEM by itself instead of all together.")
@click.option("--all", "every", is_flag=True, help="Ask about every item; needs --out.")
@click.option(
    "--embeddings",
    type=click.Path(path_type=Path),
    help="With --all: every item in these shards, the --out of simkin embed, in place of the catalog's.",
)
@click.option(
    "--partition-size",
    type=click.IntRange(min=1),
    help="With --embeddings: files that are indexed as one; default: a million.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="With --all: a .parquet or .jsonl file; with --embeddings: a folder."
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="With --all: this process, or a Ray cluster.",
)
@click.option(
    "--address", default="", help="With --engine ray: the cluster, such as auto; default: this machine alone."
)
@json_option
def command(
    names: tuple[str, ...],
    catalog: Place,
    relation: str,
    k: int,
    weights: tuple[float, ...],
    negatives: tuple[str, ...],
    where: str,
    category: str | None,
    facets: tuple[str, ...],
    rerank: str | None,
    user: str | None,
    diversity: float,
    duplicates: bool,
    each: bool,
    every: bool,
    embeddings: Path | None,
    partition_size: int | None,
    out: Path | None,
    engine: str,
    address: str,
    as_json: bool,
) -> None:
    """Ask what is similar, a substitute, a style match or a similar track.

    Several ITEMs or FILEs are combined into one question.

    With --all --embeddings VECTORS the catalog tells the spaces and relations, learned ones included, and every item in
    the shards is asked about, among these items; more of them than one machine could index, for shards are indexed
    some at a time. --out, which all hosts of a cluster must see, is then a folder of Parquet files.
    """
    from index.answers import Query
    from index.errors import MediaError, UnknownNameError
    from simkin.library import open

    if every != (out is not None):
        raise click.UsageError("--all and --out go together")
    if (engine == "ray" and not every) or (address and engine != "ray"):
        raise click.UsageError("--engine ray goes with --all, and --address with --engine ray")
    if every == bool(names):
        raise click.UsageError("name an item or a file, or ask about --all with --out")
    if (embeddings and not every) or (partition_size and not embeddings):
        raise click.UsageError("--embeddings goes with --all, and --partition-size with --embeddings")
    if embeddings and (where or facets or rerank or user or diversity or weights or negatives or category):
        raise click.UsageError("with --embeddings only --relation and -k say what is asked")
    weighed = facet_weights(facets)
    recommender = open(catalog)
    if embeddings is not None and out is not None:
        _ask_shards(recommender, embeddings, relation, out, (k, partition_size), as_json, (engine, address))
        return
    if out is not None:
        _ask_all(
            recommender,
            Query(
                relation=relation,
                k=k,
                where=where,
                diversity=diversity,
                duplicates=duplicates,
                weights=tuple(weighed.items()),
                rerank=rerank,  # type: ignore[arg-type]  # click has checked it
                user=user,
            ),
            out,
            as_json,
            (engine, address),
        )
        return
    failed = 0
    for group in [(name,) for name in names] if each else [names]:
        try:
            answer = recommender.query(
                *group,
                relation=relation,
                k=k,
                weights=weights if not each else (),
                negatives=negatives,
                where=where,
                diversity=diversity,
                duplicates=duplicates,
                category=category,
                facet_weights=weighed,
                rerank=rerank,  # type: ignore[arg-type]
                user=user,
            )
        except (UnknownNameError, MediaError) as error:
            if not each:
                raise
            click.echo(f"{group[0]}: {error}", err=True)
            failed += 1
            continue
        if as_json:
            from simkin.cli.printing import answer_json

            echo_json(answer_json(answer))
        else:
            from simkin.cli.printing import answer_text

            click.echo(answer_text(answer))
    if failed:
        sys.exit(3)


def _ask_shards(
    recommender: Recommender,
    embeddings: Path,
    relation: str,
    out: Path,
    sizes: tuple[int, int | None],
    as_json: bool,
    engine: tuple[str, str],
) -> None:
    from dataclasses import asdict

    from index.partitioned.job import PARTITION_SIZE, PartitionedOptions, answer_everybody
    from simkin.cli.progress import ProgressBar

    options = PartitionedOptions(
        sizes[0],
        sizes[1] or PARTITION_SIZE,
        "ray" if engine[0] == "ray" else "local",
        engine[1],
    )
    bar = ProgressBar()
    try:
        report = answer_everybody(recommender, embeddings, relation, out, options, bar.show)
    finally:
        bar.close()
    if as_json:
        echo_json({"event": "asked", "out": str(out), **asdict(report)})
    else:
        over = f"{report.partitions} partition{'s' if report.partitions > 1 else ''}"
        click.echo(
            f"{out}: {relation} of {report.items} items over {over} in {report.seconds:.1f} s, "
            f"recall {report.recall:.3f} measured on {report.measured_on} items"
        )


def _ask_all(recommender: Recommender, query: object, out: Path, as_json: bool, engine: tuple[str, str]) -> None:
    import time

    from index.answering.batch import write_all
    from index.answering.batch_workers import Answering, answer_parts
    from index.answers import Query
    from index.cores import usable_cores
    from simkin.cli.progress import ProgressBar

    assert isinstance(query, Query)
    answer: Answering = answer_parts
    if engine[0] == "ray":
        from index.answering.batch_ray import answering_on

        answer = answering_on(engine[1], recommender)
    bar = ProgressBar()
    started = time.monotonic()
    try:
        asked = write_all(
            recommender,
            query,
            out,
            lambda done, total: bar.show("asking", done, total),
            max(1 + (engine[0] == "ray"), usable_cores()),
            answer,
        )
    finally:
        bar.close()
    seconds = round(time.monotonic() - started, 3)
    if as_json:
        echo_json({"event": "asked", "queries": asked, "out": str(out), "seconds": seconds})
    else:
        click.echo(f"{out}: {query.relation} of {asked} items in {seconds:.1f} s")
