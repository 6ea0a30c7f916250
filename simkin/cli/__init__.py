"""The command line: each verb parses, calls the library and prints."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from index.errors import SimkinError

VERBS = {
    "demo": "demo",
    "index": "index",
    "query": "query",
    "serve": "serve",
    "push": "push",
    "embed": "embed",
    "explain": "explain",
    "score": "score",
    "complete": "complete",
    "playlist": "playlist",
    "path": "path",
    "clusters": "clusters",
    "map": "map",
    "duplicates": "duplicates",
    "learn": "learn",
    "tune": "tune",
    "evaluate": "evaluate",
    "info": "info",
    "failures": "failures",
    "verify": "verify",
    "encoders": "encoders",
    "export": "export",
    "relations": "relations",
}
"""Verb → module in this package, in the order of ``--help``."""

INTERRUPTED = 130


class _Verbs(click.Group):
    """Loads a verb's module when it is asked for, and turns our errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"simkin.cli.{VERBS[cmd_name]}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; expected one of {', '.join(VERBS)}"
            ctx.fail(f"no such verb {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SimkinError as error:
            if ctx.params.get("traceback"):
                raise
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("stopped; what was committed is kept: run the same command to go on", err=True)
            sys.exit(INTERRUPTED)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="simkin")
@click.option("--traceback", is_flag=True, help="Show where an error comes from.")
def main(traceback: bool) -> None:
    """Substitutes, style matches and similar tracks from the content of pictures and songs.

    \b
      simkin index photos/                       bring a catalog up to date
      simkin query photos/shoe-17.jpg            what is like it
      simkin query ID --relation substitute      what could be taken instead
      simkin query ID --relation style           what goes with it
      simkin query ID --relation similar-track   what sounds like it

    Exit status: 0 done; 1 an error, told in one line; 2 wrong usage; 3 done, but some files failed.
    """
