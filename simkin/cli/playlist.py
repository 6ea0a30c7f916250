"""``simkin playlist``: tracks that go well one after another."""

from __future__ import annotations

from pathlib import Path

import click

from index.address import Place
from simkin.cli.options import catalog_option, echo_json, json_option

MODES = ("radius", "chain", "path")
TRENDS = ("tempo up", "tempo down", "energy up", "energy down")


@click.command("playlist")
@click.argument("seeds", metavar="SEED...", nargs=-1, required=True)
@catalog_option
@click.option(
    "--mode",
    type=click.Choice(MODES),
    help="Closest to the SEEDs; each closest to the one before; in small steps --to a track.  [default: radius]",
)
@click.option("--to", metavar="TRACK", help="Where a path ends.")
@click.option("--relation", help="See: simkin relations.  [default: similar-track]")
@click.option("--length", type=int, help="How many tracks.  [default: 20]")
@click.option("--minutes", type=float, help="How long it may last.")
@click.option("--artist-gap", type=int, default=3, show_default=True, help="Other tracks between two of one artist.")
@click.option("--trend", type=click.Choice(TRENDS), help="What rises or falls.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another list for each number; 0 is the closest.")
@click.option("--where", default="", metavar="FILTER", help="On the tracks found, such as 'genre=jazz'.")
@click.option(
    "--m3u", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write it here, for music players."
)
@json_option
def command(
    seeds: tuple[str, ...],
    catalog: Place,
    mode: str | None,
    to: str | None,
    relation: str | None,
    length: int | None,
    minutes: float | None,
    artist_gap: int,
    trend: str | None,
    seed: int,
    where: str,
    file: Path | None,
    as_json: bool,
) -> None:
    """Choose tracks around SEEDs, and an order in which to play them.

    \b
      simkin playlist song-7                          what sounds like it, closest first
      simkin playlist song-7 --mode chain             each close to the one before
      simkin playlist song-7 --to song-90 --m3u way.m3u8
    """
    from index.lists.playlist import make_playlist
    from simkin.library import open

    found = make_playlist(
        open(catalog),
        seeds,
        mode=mode,  # type: ignore[arg-type]
        to=to,
        relation=relation,
        length=length,
        minutes=minutes,
        artist_gap=artist_gap,
        trend=trend,  # type: ignore[arg-type]
        seed=seed,
        where=where,
    )
    if file is not None:
        found.save(file)
    if as_json:
        echo_json(found.to_json())
        return
    lasts = "" if found.seconds is None else f" · {clock(found.seconds)}"
    click.echo(f"{found.mode} · {found.relation} · {len(found.tracks)} tracks{lasts}")
    for note in found.notes:
        click.echo(f"  note: {note}")
    values = found.values or (None,) * len(found.tracks)
    width = max(len(track.item.item_id) for track in found.tracks)
    for at, (track, score, value) in enumerate(zip(found.tracks, found.scores, values, strict=True), 1):
        closeness = "" if score is None else f"{score:.3f}"
        risen = "" if value is None else f"{value:6.1f}  " if "tempo" in str(found.trend) else f"{value:6.2f}  "
        seconds = "" if track.seconds is None else clock(track.seconds)
        told = track.title if track.artist is None else f"{track.artist} - {track.title}"
        click.echo(f"{at:4d}  {closeness:>6}  {risen}{seconds:>6}  {track.item.item_id:<{width}}  {told}".rstrip())
    if file is not None:
        click.echo(f"written: {file}", err=True)


def clock(seconds: float) -> str:
    """A length as a clock has it: ``3:25``, or ``1:02:03``."""
    whole = round(seconds)
    hours = f"{whole // 3600}:{whole // 60 % 60:02d}" if whole >= 3600 else f"{whole // 60}"
    return f"{hours}:{whole % 60:02d}"
