"""``simkin export``: convert a network to one ONNX file that is a complete encoder."""

from __future__ import annotations

from pathlib import Path

import click

from simkin.cli.options import echo_json, json_option


@click.command("export")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .onnx file to write.")
@click.option("--catalog", type=click.Path(path_type=Path), help="Compare on this catalog's own pictures or sounds.")
@click.option("--int8", is_flag=True, help="Try 8-bit numbers; kept only where nearly as good, and faster.")
@json_option
def command(name: str, out: Path, catalog: Path | None, int8: bool, as_json: bool) -> None:
    """Convert NAME (timm:…, torchvision:…) to an ONNX file; needs pip install 'simkin[torch]'.

    The file carries its card, so that it alone is an encoder: simkin index --encoder onnx:FILE. What torch
    and onnxruntime answer is compared on pictures or sounds, stored in the file, and refused below 0.9999.
    """
    from index.catalog import Catalog
    from index.encoders import export_network
    from index.samples import sample_paths

    samples: list[Path] = []
    if catalog is not None:
        with Catalog.open(catalog) as opened:
            samples = sample_paths(opened)
    parity = export_network(name, out, samples, int8=int8)
    if as_json:
        echo_json({"event": "exported", "name": name, "out": str(out), "bytes": out.stat().st_size, "parity": parity})
        return
    told = ", ".join(f"{key} {value}" for key, value in parity.items() if value not in ("", None))
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB; against torch: {told}")
    click.echo(f"use it with: simkin index SOURCE --encoder builtin --encoder onnx:{out}")
