"""Writes docs/reference/cli.md from the command line itself; with --check, fails if the page is out of date."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from holdfast.server.cli import main as cli

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "cli.md"
HEAD = """\
# Command line

<!-- Made by scripts/cli_reference.py; `make format` renews it. -->

A value comes from its flag, else from the first of its environment variables that is set, else from its default.
Lists (`--sdk-url`, `--event-key`) are separated by commas in the environment.
"""
TAIL = """
## Exit codes

| code | when |
|---|---|
| 0 | stopped by SIGTERM, SIGINT or SIGQUIT, after an orderly end |
| 1 | could not start: a missing or malformed key, a port in use, a database of a newer version |
| 2 | the command line was not understood |

Logs and the banner go to stderr; stdout has only what was asked for.
"""


def main() -> int:
    text = "\n".join(page())
    if "--check" not in sys.argv:
        PAGE.write_text(text)
    elif PAGE.read_text() != text:
        print(f"{PAGE.name} is out of date: run `make format`")
        return 1
    return 0


def page() -> Iterator[str]:
    yield HEAD
    for name, command in sorted(cli.commands.items()):
        yield f"## `holdfast {name}`\n\n{(command.help or '').strip()}\n"
        options = [option for option in command.params if isinstance(option, click.Option)]
        if options:
            yield "| flag | environment | default | |\n|---|---|---|---|"
            yield from map(row, options)
            yield ""
    yield TAIL.lstrip()


def row(option: click.Option) -> str:
    flags = ", ".join(f"`{flag}`" for flag in option.opts)
    names = [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()
    plain = not option.is_flag and isinstance(option.default, (str, int, Path))
    default = f"`{option.default}`" if plain and option.default != "" else ""
    values = f"One of {', '.join(option.type.choices)}. " if isinstance(option.type, click.Choice) else ""
    about = (values + (option.help or "")).strip()
    return f"| {flags} | {', '.join(f'`{name}`' for name in names)} | {default} | {about} |"


if __name__ == "__main__":
    sys.exit(main())
