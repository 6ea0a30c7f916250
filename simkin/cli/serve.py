"""``simkin serve``: the HTTP API and the gallery."""

from __future__ import annotations

import click

from index.address import Place
from simkin.cli.options import catalog_option


@click.command("serve")
@catalog_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0 is everywhere.")
@click.option("--port", type=click.IntRange(0, 65535), default=8008, show_default=True, help="0 takes any.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Server processes.")
@click.option("--api-key", envvar="SIMKIN_API_KEY", default="", help="Ask for this key (or SIMKIN_API_KEY).")
@click.option("--write", is_flag=True, help="Let holders of the key add, change and remove items.")
@click.option(
    "--allow-host", "hosts", metavar="NAME", multiple=True, help="Answer to this name, too, as of a proxy before it."
)
def command(
    catalog: Place, host: str, port: int, workers: int, api_key: str, write: bool, hosts: tuple[str, ...]
) -> None:
    """Serve a catalog: the gallery at /, JSON below /api, a list of endpoints at /docs.

    It only reads, and only this machine reaches it, unless told otherwise. It follows the catalog: what `simkin
    index` changes meanwhile is seen at once.
    """
    from index.address import name_of
    from index.opening import open_catalog
    from simkin.server.run import address_of, is_loopback, listen, serve
    from simkin.server.settings import Settings

    if write and not api_key:
        raise click.UsageError("--write needs a key: --api-key or SIMKIN_API_KEY")
    open_catalog(catalog).close()
    with listen(host, port) as listener:
        click.echo(f"{name_of(catalog)} at {address_of(listener)} (Ctrl-C ends)")
        local = is_loopback(host)
        if not local and not api_key:
            click.echo("warning: whoever reaches this address can see the catalog; --api-key asks for a key", err=True)
        known = ("localhost", "127.0.0.1", "[::1]", host.lower(), *(name.lower() for name in hosts))
        names = known if local and not api_key else ()  # a key keeps others out by itself
        place = catalog if isinstance(catalog, str) else catalog.absolute()
        serve(Settings(place, api_key=api_key, write=write, hosts=names, workers=workers), listener)
