"""`holdfast export`: runs and events as JSON lines, from the database file, beside a running server."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import click

from holdfast.server.commands import die, refuse, told, with_options
from holdfast.server.commands.beside import warn_if_stale
from holdfast.server.config.sources import Settings

if TYPE_CHECKING:
    from holdfast.server.store.export import Wanted

_STATUSES = ("running", "completed", "failed", "cancelled", "scheduled", "skipped")
_WHEN = "A time (2026-01-31, 2026-01-31T12:00:00Z) or an age (7d, 12h)."


def _shared(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--output", "-o", type=click.Path(path_type=Path), help="New file to write (default: stdout)."),
        click.option("--function", "functions", multiple=True, metavar="SLUG", help="Only of a function (repeatable)."),
        click.option("--until", default="", metavar="WHEN", help="Only older than this."),
        click.option("--since", default="", metavar="WHEN", help=f"Only newer than this. {_WHEN}"),
    ):  # fmt: skip
        function = option(function)
    return function


@click.group()
def export() -> None:
    """Write runs or events as JSON lines, oldest first."""


@export.command()
@_shared
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(_STATUSES, case_sensitive=False),
    help="Only in this status (repeatable).",
)
@click.option("--with-steps", is_flag=True, help="Include the results of each run's steps.")
@with_options("sqlite-dir", "port", "postgres-uri")
def runs(settings: Settings, output: Path | None, statuses: tuple[str, ...], with_steps: bool, **when: Any) -> None:
    """Export runs, ordered by their scheduling time."""
    from holdfast.server.model.status import RunStatus  # noqa: PLC0415 - `--help` is quick without it
    from holdfast.server.store.export import Wanted  # noqa: PLC0415 - as above

    wanted = Wanted(
        **_span(**when), statuses=tuple(RunStatus[status.upper()] for status in statuses), with_steps=with_steps
    )
    _write(settings, output, "runs", wanted)


@export.command()
@_shared
@click.option("--name", "names", multiple=True, help="Only events of this name (repeatable).")
@click.option("--internal", is_flag=True, help="Include the server's own events (inngest/…).")
@with_options("sqlite-dir", "port", "postgres-uri")
def events(settings: Settings, output: Path | None, names: tuple[str, ...], internal: bool, **when: Any) -> None:
    """Export events, ordered by their time of reception."""
    from holdfast.server.store.export import Wanted  # noqa: PLC0415 - `--help` is quick without it

    wanted = Wanted(**_span(**when), names=names, internal=internal or any(n.startswith("inngest/") for n in names))
    _write(settings, output, "events", wanted)


def _span(since: str, until: str, functions: tuple[str, ...]) -> dict[str, Any]:
    times = {name: _moment(text, f"--{name}") for name, text in (("since", since), ("until", until)) if text}
    return {**times, "functions": functions}


def _moment(text: str, flag: str) -> int:
    """Return a time or an age as ms since the epoch; end the process if it is neither."""
    from holdfast.server.api.common.parameters import read_moment  # noqa: PLC0415 - `--help` is quick without it

    found = read_moment(text, int(time.time() * 1_000))
    if found is None:
        refuse(f"{flag}: '{text}' is neither a time such as 2026-01-31T12:00:00Z nor an age such as 7d")
    return found


def _write(settings: Settings, output: Path | None, what: Literal["runs", "events"], wanted: Wanted) -> None:
    from holdfast.server.store.sqlite.export import open_pages  # noqa: PLC0415 - `--help` is quick without it
    from holdfast.server.store.store import StoreError  # noqa: PLC0415 - as above

    config = settings.config()
    if config.postgres_uri:
        die(
            "--postgres-uri is set, and this command reads files of SQLite: "
            f"ask a running server for /v1/export/{what}, or unset it to read --sqlite-dir"
        )
    path = config.directory / "main.db"
    warn_if_stale(config, path)
    try:
        with open_pages(path, what, wanted) as pages, _target(output) as file:
            for page in pages:
                file.write(page)
            file.flush()
    except BrokenPipeError:  # `| head` has enough
        sys.stderr.close()
    except FileExistsError:
        die(f"{output} already exists; choose another name")
    except (StoreError, OSError) as error:
        die(told(error))


@contextlib.contextmanager
def _target(output: Path | None) -> Generator[IO[bytes]]:
    if output is None or str(output) == "-":
        yield sys.stdout.buffer
        return
    from holdfast.server.store.sqlite.files import open_private  # noqa: PLC0415 - as above

    with os.fdopen(open_private(output, os.O_EXCL), "wb") as file:
        yield file
