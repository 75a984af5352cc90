"""`holdfast apps`: which apps a running server knows, and removing one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from holdfast.server.commands import die
from holdfast.server.commands.asking import Server, asking
from holdfast.server.commands.tables import as_json, table


@click.group(invoke_without_command=True)
@click.pass_context
def apps(ctx: click.Context) -> None:
    """List apps, or remove one."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_apps)


@apps.command(name="list")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@asking
def list_apps(server: Server, json: bool) -> None:
    """List apps: where they are, how many functions they have, and what is wrong with them."""
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

    Its functions start no more runs; it is back when it registers again. Needs the role admin in `start`.
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
