"""The command line: `holdfast dev`, `holdfast start`, `holdfast version`.

A value comes from its flag, else from `HOLDFAST_<FLAG>`, else from `INNGEST_<FLAG>`, else from its default.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import click

from holdfast import __version__
from holdfast.server.config import DEFAULT_DIR, DEFAULT_GATEWAY_PORT, DEFAULT_PORT, Config

Command = Callable[..., Any]
_PORT = click.IntRange(0, 65_535)
_FOLDER = click.Path(path_type=Path)
_LEVELS = click.Choice(["trace", "debug", "info", "warn", "error"])


def _option(name: str, *more: str, env: str = "", **attributes: Any) -> Callable[[Command], Command]:
    variable = env or name.removeprefix("--").replace("-", "_").upper()
    attributes.setdefault("envvar", [f"HOLDFAST_{variable}", f"INNGEST_{variable}"])
    return click.option(name, *more, **attributes)


def _check_catch_up(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    from holdfast.protocol.function_checks import CATCH_UP  # noqa: PLC0415 - `--help` is quick without the server

    values = _listed(given)
    for value in values:
        if value.rpartition("=")[2] not in CATCH_UP:
            raise click.BadParameter(f"'{value}': a policy is one of {', '.join(CATCH_UP)}")
    return values


_COMMON = [
    _option("--host", default="0.0.0.0", show_default=True, help="Address to listen on."),  # noqa: S104 - containers
    _option("--port", "-p", type=_PORT, default=DEFAULT_PORT, show_default=True, help="Port of the API."),
    _option("--sdk-url", "-u", multiple=True, help="URL of an app to sync (repeatable)."),
    _option("--poll-interval", type=click.IntRange(0), default=5, show_default=True, help="Seconds between pings."),
    _option("--retry-interval", type=click.IntRange(0), default=0, help="Seconds between retries; 0: back-off."),
    _option("--queue-workers", type=click.IntRange(1), default=100, show_default=True, help="Calls in flight at once."),
    _option("--tick", type=click.IntRange(1), default=150, help="Accepted for compatibility: nothing is polled here."),
    _option("--cron-catch-up", multiple=True, metavar="[FUNCTION=]POLICY", callback=_check_catch_up,
            help="Missed cron ticks to make up for: none, latest (the default) or all; of one function by its slug."),
    _option("--connect-gateway-port", type=_PORT, default=DEFAULT_GATEWAY_PORT, help="Port of the Connect gateway."),
    _option("--sqlite-dir", type=_FOLDER, default=Path(DEFAULT_DIR), show_default=True, help="Folder of the database."),
    _option("--log-level", "-l", envvar=["LOG_LEVEL", "HOLDFAST_LOG_LEVEL"], type=_LEVELS, default="info"),
    click.option("--verbose", "-v", is_flag=True, help="Log everything."),
    click.option("--json", "json_logs", is_flag=True, help="Log JSON lines (as is done when stderr is no terminal)."),
]  # fmt: skip


def _common(command: Command) -> Command:
    for option in reversed(_COMMON):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="holdfast")
def main() -> None:
    """Durable functions for Python, wire-compatible with Inngest."""


@main.command()
@_common
@_option("--no-discovery", is_flag=True, help="Don't look for apps on this machine.")
@_option("--no-poll", is_flag=True, help="Don't ping healthy apps again.")
@_option("--persist", is_flag=True, help="Keep the database between starts.")
def dev(no_discovery: bool, no_poll: bool, persist: bool, **options: Any) -> None:
    """Run the dev server: no keys, apps are found by themselves, state is gone at the end unless --persist."""
    _serve(options, kind="dev", discovery=not no_discovery, poll=not no_poll, persist=persist)


@main.command()
@_common
@_option("--signing-key", default="", help="Key that signs calls and guards the API (required; hex).")
@_option("--event-key", multiple=True, help="Key for sending events (required, repeatable).")
@_option("--no-ui", is_flag=True, help="No UI and no GraphQL.")
def start(signing_key: str, event_key: tuple[str, ...], no_ui: bool, **options: Any) -> None:
    """Run the self-hosted server: keys required, everything durable in a SQLite file."""
    from holdfast.protocol.signing import check_signing_key  # noqa: PLC0415 - `dev` starts without it

    try:
        check_signing_key(signing_key)
    except ValueError as error:
        _die(str(error))
    keys = _listed(event_key)
    if not keys:
        _die("at least one event-key is required")
    _serve(
        options, kind="cloud", persist=True, discovery=False, poll=False, signing_key=signing_key, event_keys=keys,
        ui=not no_ui,
    )  # fmt: skip


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


def _serve(options: dict[str, Any], **settings: Any) -> None:
    from holdfast.server import logs, serve  # noqa: PLC0415 - `--help` is quick without the server
    from holdfast.server.store.store import SchemaError, StoreError  # noqa: PLC0415 - as above

    level = "debug" if options["verbose"] else options["log_level"]
    logs.set_up(level, as_json=options["json_logs"] or not sys.stderr.isatty())
    config = Config(
        host=options["host"],
        port=options["port"],
        sdk_urls=_listed(options["sdk_url"]),
        poll_interval=float(options["poll_interval"] or 5),
        retry_interval=options["retry_interval"],
        workers=options["queue_workers"],
        cron_catch_up=next((value for value in reversed(options["cron_catch_up"]) if "=" not in value), "latest"),
        cron_catch_ups=_pairs(options["cron_catch_up"]),
        tick=options["tick"],
        directory=options["sqlite_dir"],
        gateway_port=options["connect_gateway_port"],
        test_mode=os.environ.get("TEST_MODE") == "true",
        **settings,
    )
    try:
        serve.run(config)
    except (serve.PortError, SchemaError, StoreError) as error:
        _die(str(error))


def _listed(given: Iterable[str]) -> tuple[str, ...]:
    """The values of a repeatable option, each of which may hold several with commas."""
    return tuple(part.strip() for text in given for part in text.split(",") if part.strip())


def _pairs(given: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The values of the form `name=value`."""
    return tuple((name, value) for name, equals, value in (text.partition("=") for text in given) if equals)


def _die(text: str) -> NoReturn:
    click.echo(f"Error: {text}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
