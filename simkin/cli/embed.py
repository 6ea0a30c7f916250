"""``simkin embed``: vectors of files anywhere as Parquet shards, without a catalog."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from simkin.cli.options import echo_json, json_option


@click.command("embed")
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The folder of shards: a new one, or one to go on with.",
)
@click.option("--encoder", "encoders", multiple=True, help="See: simkin encoders. Default: builtin.")
@click.option("--shard-size", type=click.IntRange(min=1), default=5000, show_default=True, help="Files in a shard.")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes; default: one for each core.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Processes of this machine, or a Ray cluster: pip install 'simkin[ray]'.",
)
@click.option(
    "--address", default="", help="With --engine ray: the cluster, such as auto; default: this machine alone."
)
@click.option(
    "--provider", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="What networks run on."
)
@click.option("--retry-failed", is_flag=True, help="Try every failed file again.")
@click.option("--allow-outside", is_flag=True, help="Let a table name files outside its folder with '..'.")
@click.option("--allow-http", is_flag=True, help="Fetch http:// and https:// addresses.")
@click.option("--npy", is_flag=True, help="Also write vectors.npy (float16) and metadata.parquet.")
@json_option
def command(
    sources: tuple[str, ...],
    out: Path,
    encoders: tuple[str, ...],
    shard_size: int,
    workers: int,
    engine: Literal["local", "ray"],
    address: str,
    provider: Literal["cpu", "cuda"],
    retry_failed: bool,
    allow_outside: bool,
    allow_http: bool,
    npy: bool,
    as_json: bool,
) -> None:
    """Write the vectors of folders, tables (CSV, TSV, JSONL, Parquet), tar files (webdataset) or single files
    as Parquet shards, one folder for each encoder: OUT/builtin-image/shard-000000.parquet.

    SOURCES may be URLs: s3://bucket/photos, gs://bucket/shards/*.tar, with pip install 'simkin[remote]' and the
    package of that scheme. Interrupted at any moment, the same command goes on; files that appeared since are
    appended. Take the vectors in with: simkin index --embeddings OUT

    With --engine ray, sources and OUT must be seen by all hosts under the same path, or be URLs (sources).
    """
    from index.embedding.job import EmbedOptions, embed
    from index.embedding.sources import Access
    from simkin.cli.progress import ProgressBar

    if address and engine == "local":
        raise click.UsageError("--address names a cluster; it goes with --engine ray")
    access = Access(allow_outside, allow_http)
    options = EmbedOptions(encoders, shard_size, workers, retry_failed, access, npy, engine, address, provider)
    bar = ProgressBar()
    try:
        report = embed(sources, out, options, bar.show, bar.show_rates)
    finally:
        bar.close()
    for problem in report.unlisted:
        click.echo(problem, err=True)
    if report.gone:
        click.echo(f"{report.gone} files are gone from their sources; their rows stay", err=True)
    if report.unencoded:
        click.echo(f"{report.unencoded} files are of a kind that no --encoder named here describes", err=True)
    if as_json:
        echo_json({"event": "embedded", **asdict(report)})
    else:
        click.echo(
            f"{out}: {report.files} files, {report.described} described now; {report.shards} shards written, "
            f"{report.finished} were finished, in {report.seconds:.1f} s"
        )
    if report.failed:
        click.echo(f"{report.failed} files failed, see the column error; try them again with --retry-failed", err=True)
    if report.failed or report.unlisted:
        sys.exit(3)
