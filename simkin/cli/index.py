"""``simkin index``: bring a catalog in line with folders and tables."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, json_option


@click.command("index")
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path))
@catalog_option
@click.option(
    "--embeddings",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Take vectors in without opening files: the --out of simkin embed, or .npy files with .parquet tables.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    help="Take about so many items of --embeddings, evenly spread, instead of all.",
)
@click.option("--metadata", type=click.Path(path_type=Path), help="A table that adds attributes by id.")
@click.option("--encoder", "encoders", multiple=True, help="See: simkin encoders. Default: builtin.")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes; default: one for each core.")
@click.option(
    "--recall",
    type=click.FloatRange(0.5, 1.0, min_open=True),
    help="Recall at 10 that the index must reach; default 0.99.",
)
@click.option("--retry-failed", is_flag=True, help="Try every known failure again.")
@click.option("--rebuild", is_flag=True, help="Build the index even when nothing changed.")
@click.option("--re-embed", is_flag=True, help="Describe every file again, as after an encoder's new revision.")
@click.option("--allow-outside", is_flag=True, help="Let a table name files outside its folder with '..'.")
@click.option("--allow-empty", is_flag=True, help="Let a source that holds nothing now remove its items.")
@json_option
def command(
    sources: tuple[Path, ...],
    catalog: Place,
    embeddings: tuple[Path, ...],
    sample: int | None,
    metadata: Path | None,
    encoders: tuple[str, ...],
    workers: int,
    recall: float | None,
    retry_failed: bool,
    rebuild: bool,
    re_embed: bool,
    allow_outside: bool,
    allow_empty: bool,
    as_json: bool,
) -> None:
    """Index folders, tables (CSV, TSV, JSONL, Parquet) or single files.

    Only what is new or changed is read. Without SOURCES, those indexed before are looked at again.
    """
    from index.ingesting.ingest import IndexOptions
    from simkin.cli.progress import ProgressBar
    from simkin.library import index

    if sample and not embeddings:
        raise click.UsageError("--sample takes some of the items of --embeddings; files are indexed as a whole")
    options = IndexOptions(
        encoders=encoders,
        workers=workers,
        recall=recall or 0.0,
        embeddings=embeddings,
        sample=sample or 0,
        metadata=metadata,
        allow_outside=allow_outside,
        allow_empty=allow_empty,
        retry_failed=retry_failed,
        rebuild=rebuild,
        re_embed=re_embed,
    )
    bar = ProgressBar()
    try:
        report = index(sources, catalog, options, bar)
    finally:
        bar.close()
    if as_json:
        echo_json({"event": "indexed", **asdict(report)})
    else:
        told = [
            f"{getattr(report, name)} {name}"
            for name in ("added", "changed", "renamed", "removed", "retried", "unchanged")
            if getattr(report, name)
        ]
        failed = f"; {report.failed} of these files failed" if report.failed else ""
        click.echo(f"{catalog}: {report.items} items ({', '.join(told)}{failed}) in {report.seconds:.1f} s")
    if report.failed:
        click.echo(f"{report.failed} files failed; see: simkin failures --catalog {catalog}", err=True)
        sys.exit(3)
