"""Writes docs/reference/cli.md from the command line itself; with --check, fails if the page is out of date."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from page import keep

from holdfast.server.cli import main as cli
from holdfast.server.commands import OptionType, default_text
from holdfast.server.config.kinds import Choice

HEAD = """\
# Command line

<!-- Made by scripts/cli_reference.py; `make format` renews it. -->

A value comes from its flag, else from the first of its environment variables that is set, else from the
[configuration file](configuration.md), else from its default. Lists are separated by commas in the environment.
"""
TAIL = """
## Exit codes

| code | when |
|---|---|
| 0 | stopped by SIGTERM, SIGINT, SIGQUIT or SIGHUP, after an orderly end |
| 1 | could not start, or do what was asked: a missing or malformed key, a port in use, a database of a newer version |
| 2 | the command line, a variable or the configuration file was not understood |

Logs and the banner go to stderr; stdout has only what was asked for.
"""


def main() -> int:
    return keep("cli.md", "\n".join(page()))


def page() -> Iterator[str]:
    yield HEAD
    yield from commands("holdfast", cli)
    yield TAIL.lstrip()


def commands(path: str, group: click.Group) -> Iterator[str]:
    context = click.Context(group)
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        if isinstance(command, click.Group):
            if command.params:
                about = inspect.cleandoc(command.help or "")
                yield f"## `{path} {name} … COMMAND`\n\n{about} For all of its commands:\n"
                yield from table([option for option in command.params if isinstance(option, click.Option)])
            yield from commands(f"{path} {name}", command)
            continue
        arguments = [a.make_metavar(context) for a in command.params if isinstance(a, click.Argument)]
        yield f"## `{' '.join([path, name, *arguments])}`\n\n{inspect.cleandoc(command.help or '')}\n"
        options = [option for option in command.params if isinstance(option, click.Option)]
        if name == "show":  # its flags are those of `dev` and `start`
            options = [option for option in options if not isinstance(option.type, OptionType)]
        yield from table(options)


def table(options: list[click.Option]) -> Iterator[str]:
    if options:
        yield "| flag | environment | default | |\n|---|---|---|---|"
        yield from map(row, options)
        yield ""


def row(option: click.Option) -> str:
    flags = ", ".join(f"`{flag}`" for flag in option.opts)
    default, values, about, names = "", "", option.help or "", option.envvar or ()
    if isinstance(option.type, OptionType):
        known = option.type.option
        default, about, names = default_text(known), known.help, known.variables
        values = f"One of {', '.join(known.kind.words)}. " if isinstance(known.kind, Choice) else ""
    elif isinstance(option.default, (str, int, float, Path)) and not option.is_flag:
        default = str(option.default)
    if option.name == "config_file":
        names = ("HOLDFAST_CONFIG", "INNGEST_CONFIG")
    variables = [names] if isinstance(names, str) else names
    environment = ", ".join(f"`{name}`" for name in variables)
    return f"| {flags} | {environment} | {f'`{default}`' if default else ''} | {values}{about} |"


if __name__ == "__main__":
    sys.exit(main())
