"""`holdfast apps`: which apps a running server knows, and removing one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from holdfast.server.commands import die
from holdfast.server.commands.asking import Server, asking
from holdfast.server.commands.tables import as_json, table


class _ListsByDefault(click.Group):
    """A group that lists when no subcommand is named, with the options of `list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `list` before options that belong to it."""
        of_group = bool(args) and (not args[0].startswith("-") or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if of_group else ["list", *args])


@click.group(cls=_ListsByDefault)
def apps() -> None:
    """List apps, or remove one."""


@apps.command(name="list")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@asking
def list_apps(server: Server, json: bool) -> None:
    """List apps: their URLs, their number of functions and their errors."""
    found = server.list("/v2/apps", limit=100)
    if json:
        as_json(found)
    elif not found:
        click.echo("No apps yet: name one with `holdfast dev -u URL`, or let it register itself.")
    else:
        table(("APP", "STATUS", "FUNCTIONS", "URL", ""), [_row(app) for app in found])


def _row(app: dict[str, Any]) -> tuple[str, ...]:
    sync: dict[str, Any] = app.get("latestSync") or {}
    error = str(sync.get("error") or "")
    count = str(app.get("functionCount", 0))
    return (app["name"] or "-", "error" if error else "ok", count, sync.get("url", ""), error)


@apps.command()
@click.argument("app")
@asking
def remove(server: Server, app: str) -> None:
    """Remove APP: its name, its URL or its UUID.

    Its functions start no more runs. Registering again brings it back. Requires the role admin in `start`.
    """
    known = server.list("/v2/apps", limit=100)
    found = [each for each in known if app in {each["name"], each["id"]} or _same_url(app, each)]
    if not found:
        names = ", ".join(each["name"] or each["latestSync"]["url"] for each in known) or "none"
        die(f"there is no app {app}; known: {names}")
    for each in found:
        server.delete(f"/v2/apps/{quote(each['id'], safe='')}")
        click.echo(f"Removed {each['name'] or each['latestSync']['url']}")


def _same_url(given: str, app: dict[str, Any]) -> bool:
    from holdfast.protocol.urls import normalize_url, with_scheme  # noqa: PLC0415 - `--help` is quick without it

    sync: dict[str, Any] = app.get("latestSync") or {}
    return "/" in given and normalize_url(with_scheme(given)) == sync.get("url")
