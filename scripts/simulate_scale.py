#!/usr/bin/env python3
"""What an embed job of any size takes: machine-hours, storage, memory, network, money, and what breaks first.

Usage: scripts/simulate_scale.py [--items 1000000,10000000,100000000] [--cores 64] [--check] [--write] [--json]
       [--picture-rate 324] [--song-rate 9.3] [--efficiency 0.7] [--gigabits 10] [--core-price 0.04] …

Arithmetic from figures that other scripts measure; docs/scale.md shows the formulas, and its tables are what this
prints. --write puts them there, --check tells whether they are up to date.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "scale.md"
TABLES = re.compile(r"(<!-- tables: scripts/simulate_scale.py -->\n).*?(<!-- end of tables -->)", re.DOTALL)


@dataclass(frozen=True)
class Kind:
    """One kind of item.

    Attributes:
        name: In the plural.
        rate: Files that one core describes in a second.
        media_bytes: Of one file.
        dim: Numbers of a vector.
        row_bytes: Of one row in a shard.
        kept: Numbers of a projected row in a catalog.
    """

    name: str
    rate: float
    media_bytes: float
    dim: int
    row_bytes: float
    kept: int


@dataclass(frozen=True)
class Setting:
    """The cluster and its prices.

    Attributes:
        cores: Of all hosts together.
        efficiency: Share of the bare rate that a cluster keeps.
        gigabits: A second, from where the media lie to all hosts together.
        shard_size: Files in a shard.
        plan_rate: Files that the driver lists and plans in a second.
        plan_bytes: Of one file in the plan.
        save_rate: Shards in a manifest that are saved in a second.
        hash_rate: Bytes of finished shards that a resumed run checks in a second.
        actor_bytes: Memory of one actor and its worker process, without its shard.
        partition_rows: Rows of a partition, when all items are asked about.
        build_seconds: Of a core, to project and index a row.
        ask_seconds: Of a core, to ask one partition about one item.
        core_price: Of one core for an hour.
        storage_price: Of a gigabyte for a month.
    """

    cores: int = 64
    efficiency: float = 0.7
    gigabits: float = 10.0
    shard_size: int = 5000
    plan_rate: float = 33_000
    plan_bytes: float = 234
    save_rate: float = 85_000
    hash_rate: float = 1.3e9
    actor_bytes: float = 350e6
    partition_rows: int = 1_000_000
    build_seconds: float = 60e-6
    ask_seconds: float = 100e-6
    core_price: float = 0.04
    storage_price: float = 0.023


PICTURES = Kind("pictures", 324, 100e3, 1292, 3_100, 240)
SONGS = Kind("songs", 9.3, 7.2e6, 289, 1_300, 169)


def simulate(items: int, kind: Kind, setting: Setting) -> dict[str, float | str]:
    """All figures of one job; see docs/scale.md for the formulas."""
    encode = setting.cores * kind.rate * setting.efficiency
    network = setting.gigabits * 1e9 / 8 / kind.media_bytes
    rates = {"encoding": encode, "network": network}
    limit = min(rates, key=lambda stage: rates[stage])
    rate = rates[limit]
    shards = -(-items // setting.shard_size)
    planning = items / setting.plan_rate
    hours = (planning + items / rate) / 3600
    shard_bytes = items * kind.row_bytes
    partitions = -(-items // setting.partition_rows)
    asking = items * (setting.build_seconds + partitions * setting.ask_seconds) / 3600
    return {
        "kind": kind.name,
        "items": items,
        "core_hours": items / (kind.rate * setting.efficiency) / 3600,
        "hours": hours,
        "planning_hours": planning / 3600,
        "limit": limit,
        "items_per_s": rate,
        "network_gigabits": rate * kind.media_bytes * 8 / 1e9,
        "cores_for_network": network / (kind.rate * setting.efficiency),
        "media_tb": items * kind.media_bytes / 1e12,
        "shards_gb": shard_bytes / 1e9,
        "shards": shards,
        "plan_gb": items * setting.plan_bytes / 1e9,
        "actor_gb": (setting.actor_bytes + 4 * setting.shard_size * kind.dim * 4) / 1e9,
        "resume_minutes": shard_bytes / setting.hash_rate / 60,
        "save_seconds": shards / setting.save_rate,
        "rows_gb": items * kind.kept * 4 / 1e9,
        "partitions": partitions,
        "asking_hours": asking,
        "cost_asking": asking * setting.core_price,
        "cost_cores": hours * setting.cores * setting.core_price,
        "cost_storage_month": shard_bytes / 1e9 * setting.storage_price,
    }


def tables(items: list[int], setting: Setting, kinds: tuple[Kind, ...] = (PICTURES, SONGS)) -> str:
    """The tables of docs/scale.md."""
    jobs = [simulate(count, kind, setting) for kind in kinds for count in items]
    heads = " | ".join(f"{job['items']:,} {job['kind']}" for job in jobs)
    lines = [
        f"{setting.cores} cores, {setting.gigabits:g} Gbit/s:",
        "",
        f"| | {heads} |",
        "|---" * (len(jobs) + 1) + "|",
    ]
    for label, name, form in _ROWS:
        shown = [job[name] if isinstance(job[name], str) else form.format(_short(job[name])) for job in jobs]
        lines.append(f"| {label} | {' | '.join(map(str, shown))} |")
    return "\n".join(lines) + "\n"


def _short(value: float | str) -> str:
    assert isinstance(value, int | float)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


_ROWS = (
    ("core-hours of encoding", "core_hours", "{}"),
    ("hours, planning and encoding", "hours", "{}"),
    ("of them planning, one process", "planning_hours", "{}"),
    ("limited by", "limit", "{}"),
    ("items a second", "items_per_s", "{}"),
    ("network, media in", "network_gigabits", "{} Gbit/s"),
    ("cores at which the network is full", "cores_for_network", "{}"),
    ("media", "media_tb", "{} TB"),
    ("shards", "shards_gb", "{} GB"),
    ("files of shards", "shards", "{}"),
    ("plan (`job.db`)", "plan_gb", "{} GB"),
    ("memory of each actor", "actor_gb", "{} GB"),
    ("checking shards when resumed", "resume_minutes", "{} min"),
    ("saving the manifest once", "save_seconds", "{} s"),
    ("projected rows of a catalog", "rows_gb", "{} GB"),
    ("cost of cores", "cost_cores", "${}"),
    ("everybody's neighbours, partitions", "partitions", "{}"),
    ("everybody's neighbours, core-hours", "asking_hours", "{}"),
    ("everybody's neighbours, cost of cores", "cost_asking", "${}"),
    ("cost of shards a month", "cost_storage_month", "${}"),
)


def main() -> None:
    """Print, write or check the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", default="1000000,10000000,100000000")
    for name, default in vars(Setting()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--picture-rate", type=float, default=PICTURES.rate)
    parser.add_argument("--song-rate", type=float, default=SONGS.rate)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = vars(parser.parse_args())
    setting = Setting(**{name: args[name] for name in vars(Setting())})
    pictures = Kind(**vars(PICTURES) | {"rate": args["picture_rate"]})
    songs = Kind(**vars(SONGS) | {"rate": args["song_rate"]})
    items = [int(count) for count in args["items"].split(",")]
    text = tables(items, setting, (pictures, songs))
    if args["json"]:
        for kind in (pictures, songs):
            for count in items:
                print(json.dumps(simulate(count, kind, setting)))
    elif args["write"] or args["check"]:
        before = DOCUMENT.read_text()
        after = TABLES.sub(lambda found: found[1] + text + found[2], before)
        if args["write"]:
            DOCUMENT.write_text(after)
        elif after != before:
            sys.exit(f"{DOCUMENT} is not what scripts/simulate_scale.py says; run it with --write")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
