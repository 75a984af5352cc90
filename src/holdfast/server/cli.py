"""The command line: `holdfast dev`, `holdfast start` and what else is in `commands`.

Each option is a row of `options.OPTIONS`; where its value comes from is told in `sources`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from holdfast import __version__
from holdfast.server.commands import ServerCommand, die, options_of
from holdfast.server.config import Config
from holdfast.server.config.options import DEV, START
from holdfast.server.config.sources import Settings

#: Subcommands by name: module in `commands`, and its click command.
COMMANDS: Final = {
    "api": ("api", "api"),
    "apps": ("apps", "apps"),
    "audit": ("access", "audit"),
    "check": ("check", "check"),
    "config": ("config", "config"),
    "db": ("db", "db"),
    "events": ("look", "events"),
    "export": ("export", "export"),
    "healthcheck": ("health", "healthcheck"),
    "keys": ("access", "keys"),
    "run": ("look", "run"),
    "runs": ("look", "runs"),
    "tail": ("tail", "tail"),
    "tokens": ("access", "tokens"),
    "users": ("access", "users"),
    "why": ("look", "why"),
    "worker": ("worker", "worker"),
    "workers": ("workers", "workers"),
}


_MAKE_KEY: Final = "; generate one with `openssl rand -hex 32`, and set it with --{0}, a variable or a file"


class _Group(click.Group):
    """Imports a subcommand only when it is used: `dev` and `start` don't wait for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"holdfast.server.commands.{module}"), name)
        return command


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="holdfast")
def main() -> None:
    """Durable functions for Python, wire-compatible with Inngest."""


@main.command(cls=ServerCommand)
@options_of(DEV)
def dev(settings: Settings) -> None:
    """Run the dev server: no keys, apps are found automatically.

    Its state is deleted at the end, unless --persist is set.
    """
    _serve(settings, settings.config())


@main.command(cls=ServerCommand)
@options_of(START)
def start(settings: Settings) -> None:
    """Run the self-hosted server: keys are required, everything is durable.

    All data is in one SQLite file in --sqlite-dir. With --host 127.0.0.1 and no keys, a pair is generated there.
    """
    from holdfast.protocol.signing import is_hex  # noqa: PLC0415 - `dev` starts without it
    from holdfast.server.config.fit import WEAK_KEY, misfits  # noqa: PLC0415 - as above

    config = _with_keys(settings.config())
    if not config.signing_key:
        die(f"signing-key is required{_MAKE_KEY.format('signing-key')}")
    if misfit := next(misfits(config), ""):
        die(misfit)
    if not config.event_keys:
        die(f"at least one event-key is required{_MAKE_KEY.format('event-key')}")
    weak = () if is_hex(config.signing_key) else (WEAK_KEY,)
    _serve(settings, config, weak)


def _with_keys(config: Config) -> Config:
    """Return the configuration, with the keys of its folder if it has none and is for this machine only."""
    from holdfast.server.commands.local_keys import with_local_keys  # noqa: PLC0415 - `dev` starts without it
    from holdfast.server.config.fit import on_loopback  # noqa: PLC0415 - as above

    if config.signing_key or config.event_keys or not on_loopback(config):
        return config
    try:
        return with_local_keys(config)
    except OSError as error:
        die(f"no keys were given, and none can be kept in {config.directory}: {error.strerror or error}")


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


def _serve(settings: Settings, config: Config, warnings: tuple[str, ...] = ()) -> None:
    from holdfast.server import logs, serve  # noqa: PLC0415 - `--help` is quick without the server
    from holdfast.server.store.store import SchemaError, StoreError  # noqa: PLC0415 - as above
    from holdfast.server.telemetry.settings import TelemetryError  # noqa: PLC0415 - as above

    logs.set_up(config)
    logs.tell(settings.file, (*settings.warnings, *warnings))
    try:
        serve.run(config)
    except (serve.PortError, SchemaError, StoreError, TelemetryError) as error:
        die(str(error))


if __name__ == "__main__":
    main()
