"""Subcommands, one module per topic, and how they get options of the table.

A module has a click command or group and imports what is heavy inside its functions: all modules are read for
`holdfast --help`. One line in `cli.COMMANDS` registers it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from holdfast.server.config import sources
from holdfast.server.config.file import ConfigError, checked, parse_many
from holdfast.server.config.kinds import Switch
from holdfast.server.config.options import BY_NAME, FOREIGN, OPTIONS, START, Option
from holdfast.server.config.sources import Given, Settings
from holdfast.server.terminal import plain_lines

Command = Callable[..., Any]
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_CONFIG_HELP: Final = (
    "Configuration file (else holdfast.toml, .yaml or .json here, above, in ~/.config/holdfast or in /etc/holdfast)."
)


class ServerCommand(click.Command):
    """`dev` or `start`: explains why an option of the reference has no effect here, instead of guessing another."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line. Raises UsageError."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            why = FOREIGN.get(error.option_name.lstrip("-"))
            if why is None:
                raise
            raise click.UsageError(f"{error.option_name} has no effect here: {why}", ctx) from error


class OptionType(click.ParamType[Any]):
    """A kind of option value, for click."""

    def __init__(self, option: Option) -> None:
        self.name = option.kind.metavar.lower() or "flag"
        self.option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a text as the option's kind does."""
        if not isinstance(value, str):
            return value
        try:
            option = self.option
            return parse_many(option, [value]) if option.many else checked(option, option.kind.parse(value))
        except ValueError as error:
            self.fail(f"'{value}' must be {error}." if not self.option.secret else f"must be {error}.", param, ctx)


def options_of(command: str) -> Callable[[Command], Command]:
    """Add all options of `dev` or `start` and --config to a click command, which gets them as `settings`."""
    return with_options(*(option.name for option in OPTIONS if command in option.commands), command=command)


def with_options(*names: str, command: str = START) -> Callable[[Command], Command]:
    """Add some options and --config to a click command, which is called with `settings`, a `sources.Settings`.

    `settings.config()` has their values, and defaults for all others. An invalid value ends the process with code 2.
    """
    options = [BY_NAME[name] for name in names]

    def decorate(function: Command) -> Command:
        def called(config: Path | None, /, **given: Any) -> Any:
            flags = {option.name: given.pop(parameter(option)) for option in options if option.flag}
            return function(settings=_gather(command, options, flags, config), **given)

        def entry(**given: Any) -> Any:
            return called(given.pop("config_file"), **given)

        entry.__doc__, entry.__name__ = function.__doc__, function.__name__
        entry.__click_params__ = list(getattr(function, "__click_params__", ()))  # type: ignore[attr-defined]
        return add_flags(entry, options)

    return decorate


def add_flags(function: Command, options: Iterable[Option]) -> Command:
    """Add --config and the flags of some options, each None or empty if not given."""
    for option in reversed([option for option in options if option.flag]):
        function = click.option(
            f"--{option.name}", *([f"-{option.short}"] if option.short else []), parameter(option),
            **_attributes(option),
        )(function)  # fmt: skip
    return click.option("--config", "config_file", type=click.Path(path_type=Path), help=_CONFIG_HELP)(function)


def chosen(flags: dict[str, Any]) -> dict[str, Given]:
    """Return the flags that were given, from click's values of all flags."""
    flat = {name: sum(value, ()) if BY_NAME[name].many else value for name, value in flags.items() if value is not None}
    return {name: value for name, value in flat.items() if value != ()}


def _gather(command: str, options: list[Option], flags: dict[str, Any], config: Path | None) -> Settings:
    try:
        return sources.gather(command, options, chosen(flags), os.environ, config)
    except ConfigError as error:
        refuse(*error.problems)


def refuse(*problems: str) -> NoReturn:
    """End the process: the configuration or the command line is invalid."""
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    sys.exit(2)


def die(text: str, code: int = 1) -> NoReturn:
    """End the process: the command failed."""
    click.echo(f"Error: {plain_lines(text)}", err=True)
    sys.exit(code)


def keep_home(url: str) -> None:
    """End the process if a secret would go to another host in clear text."""
    from urllib.parse import urlsplit  # noqa: PLC0415 - `--help` is quick without it

    if url.startswith("http://") and urlsplit(url).hostname not in _LOCAL:
        die(f"keys are not sent over plain HTTP to another host ({url}): use https://")


def parameter(option: Option) -> str:
    """Return the name of an option's parameter in a click command."""
    return f"option_{option.name.replace('-', '_')}"


def _attributes(option: Option) -> dict[str, Any]:
    shown = default_text(option)
    told = f"{option.help}  [default: {shown}]" if shown else option.help
    attributes: dict[str, Any] = {"type": OptionType(option), "default": None, "help": told}
    if isinstance(option.kind, Switch):
        # Not click's own flag: `--persist=false` takes back what a file says.
        return attributes | {"is_flag": False, "flag_value": "true", "metavar": "[=false]"}
    return attributes | {"metavar": option.kind.metavar, "multiple": option.many}


def default_text(option: Option) -> str:
    """Return an option's default as text; empty if it has none."""
    default = option.default
    if isinstance(default, tuple):
        return ",".join(option.kind.show(value) for value in default)
    return "" if default == "" or default is False else option.kind.show(default)


def told(error: Exception) -> str:
    """Return an error's text: for an OSError, the file and the reason."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def is_there(path: Path) -> bool:
    """Return whether a file exists; end the process if this user may not look."""
    try:
        return path.exists()
    except OSError as error:
        die(f"can't look for {path}: {error.strerror}; run this as the server's user")
