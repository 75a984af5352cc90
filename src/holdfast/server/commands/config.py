"""`holdfast config`: what a server would be told, and by whom."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from holdfast.server.commands import add_flags, chosen, default_text, parameter, refuse
from holdfast.server.config import sources
from holdfast.server.config.file import ConfigError
from holdfast.server.config.fit import misfits
from holdfast.server.config.kinds import Switch
from holdfast.server.config.options import BOTH, OPTIONS, START
from holdfast.server.config.sources import Setting, Settings

_FLAGS = [option for option in OPTIONS if option.flag and option.name != "json"]  # --json is this command's own

#: What `start` does not do without; it may come from a variable that only the server gets, so this is no error.
_REQUIRED = {"signing-key", "event-key"}


@click.group()
def config() -> None:
    """Show the configuration."""


def _flags(function: Any) -> Any:
    return add_flags(function, _FLAGS)


@config.command()
@click.argument("command", type=click.Choice(BOTH), default=START)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_flags
def show(command: str, as_json: bool, config_file: Path | None, **given: Any) -> None:
    """Print the configuration that `dev` or `start` (the default) would use, and where each value comes from.

    Accepts the flags of `dev` and `start`. Exits with code 2 if a value is invalid. Secrets are masked.
    """
    flags = chosen({option.name: given[parameter(option)] for option in _FLAGS})
    if wrong := [f"`holdfast {command}` has no flag --{o.name}" for o in _FLAGS
                 if o.name in flags and command not in o.commands]:  # fmt: skip
        refuse(*wrong)
    try:
        settings = sources.load(command, flags, os.environ, config_file)
    except ConfigError as error:
        refuse(*error.problems)
    for warning in settings.warnings:
        click.echo(f"Warning: {warning}", err=True)
    click.echo(_as_json(settings) if as_json else _as_table(settings))
    if command == START and (wrong := list(misfits(settings.config()))):
        refuse(*wrong)


@config.command()
def example() -> None:
    """Print a configuration file in TOML with every option at its default."""
    lines = ["# Keys are the flags' names. Sections [dev] and [start] hold options of that command only."]
    for option in (option for option in OPTIONS if option.in_files):
        default = default_text(option)
        value = _list(default) if option.many else default if default.isdecimal() else json.dumps(default)
        lines += ["", f"# {option.help}"]
        lines += [f"# {option.name} = {(default or 'false') if isinstance(option.kind, Switch) else value}"]
    click.echo("\n".join(lines))


def _list(text: str) -> str:
    return json.dumps(text.split(",") if text else [])


def _as_json(settings: Settings) -> str:
    values = [
        {"name": s.option.name, "value": _plain(s), "source": s.source, "from": s.name or None}
        for s in settings.settings
    ]
    file = str(settings.file) if settings.file else None
    return json.dumps({"command": settings.command, "file": file, "options": values}, indent=2)


def _plain(setting: Setting) -> object:
    value = setting.value
    return value if not setting.option.secret and isinstance(value, (bool, int, float)) else setting.shown


def _as_table(settings: Settings) -> str:
    rows = [(s.option.name, _text(s), s.origin) for s in settings.settings]
    names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{name:<{names}}  {value:<{values}}  {origin}" for name, value, origin in rows)


def _text(setting: Setting) -> str:
    shown = setting.shown
    nothing = "missing, but required" if setting.option.name in _REQUIRED else "-"
    return (", ".join(shown) if isinstance(shown, list) else shown) or nothing
