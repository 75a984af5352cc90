"""`holdfast tail`: follows what happens on a running server."""

from __future__ import annotations

import contextlib
import sys

import click

from holdfast.server.commands.asking import Server, asking


@click.command()
@click.option("--json", "json", is_flag=True, help="Print JSON lines; times are ms since the epoch.")
@asking
def tail(server: Server, json: bool) -> None:
    """Follow events, runs, failed attempts and apps of a running server, until Ctrl-C."""
    import msgspec  # noqa: PLC0415 - `--help` is quick without it

    from holdfast.server.activity import text  # noqa: PLC0415 - as above
    from holdfast.server.activity.happening import Happening  # noqa: PLC0415 - as above

    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        for line in server.lines("/v0/activity"):
            if not line:
                continue  # a sign of life
            shown = line if json else text.line(msgspec.json.decode(line, type=Happening), color=sys.stdout.isatty())
            click.echo(shown)
