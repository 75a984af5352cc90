"""`holdfast db`: backups, restores, checks and figures of the database of `start` or `dev --persist`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.server.commands import die, is_there, told, with_options
from holdfast.server.commands.beside import warn_if_stale
from holdfast.server.config.sources import Settings
from holdfast.server.terminal import plain

if TYPE_CHECKING:
    from holdfast.server.store.sqlite.stats import Stats

_FILE = click.Path(path_type=Path)


@click.group()
def db() -> None:
    """Back up, restore, check and measure the database.

    `backup`, `check` and `stats` work beside a running server; `restore`, `compact` and `migrate` need it stopped.
    """


@db.command()
@click.argument("file", type=_FILE)
@with_options("sqlite-dir", "postgres-uri", "postgres-schema")
def backup(settings: Settings, file: Path) -> None:
    """Write a copy of the database to FILE.

    The copy holds everything committed so far; a running server is not interrupted.
    FILE must not exist; it appears only once it is complete.
    """
    from holdfast.server.store.sqlite import backup as copies  # noqa: PLC0415 - `--help` is quick without it

    if str(file) == "-":
        die("a backup needs a file: SQLite can't write a database to a pipe")
    with _telling(), _progress("Backing up") as progress:
        size = copies.back_up(database(settings), file, progress)
    click.echo(f"{file}: {_size(size)}")


@db.command()
@click.argument("file", type=_FILE)
@with_options("sqlite-dir", "postgres-uri", "postgres-schema")
def restore(settings: Settings, file: Path) -> None:
    """Replace the database with the backup FILE. The server must be stopped.

    The backup is verified first; the previous database is kept next to it.
    """
    from holdfast.server.store.sqlite import backup as copies  # noqa: PLC0415 - `--help` is quick without it

    path = database(settings)
    _given(file)
    with _telling(), _locked(path), _progress("Restoring") as progress:
        aside = copies.restore(file, path, progress)
    click.echo(f"{path}: restored from {file}")
    if aside is not None:
        click.echo(f"The previous database is now {aside}; delete it once the restored one is checked.")


@db.command()
@click.argument("file", type=_FILE, required=False)
@click.option("--full", is_flag=True, help="Also compare indexes with their tables and read all values; takes longer.")
@with_options("sqlite-dir", "postgres-uri", "postgres-schema")
def check(settings: Settings, file: Path | None, full: bool) -> None:
    """Check the integrity of the database or of the backup FILE.

    Checks pages and the consistency of rows. Exits with code 1 if it finds a problem.
    """
    from holdfast.server.store.sqlite import backup as copies  # noqa: PLC0415 - `--help` is quick without it
    from holdfast.server.store.sqlite import check as checks  # noqa: PLC0415 - as above

    path, wrong = _given(file) if file else database(settings), 0
    with _telling(), contextlib.closing(copies.open_read_only(path)) as connection:
        for finding in checks.check(connection, path, full=full):
            wrong += finding.count > 0
            click.echo(f"{'ok   ' if not finding.count else 'WRONG'}  {finding.invariant}")
            for what, where in finding.examples:
                click.echo(plain(f"         {what}: {where}"))
            if finding.count > len(finding.examples):
                click.echo(f"         and {finding.count - len(finding.examples)} more")
    if wrong:
        die(f"{path}: {wrong} {'invariants are' if wrong > 1 else 'invariant is'} broken; restore a backup with "
            "`holdfast db restore FILE`")  # fmt: skip
    click.echo(f"{path}: no problems found")


@db.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: sizes in bytes, times in ms since the epoch.")
@with_options("sqlite-dir", "port", "postgres-uri", "postgres-schema")
def stats(settings: Settings, as_json: bool) -> None:
    """Print what the database contains, and its size."""
    import msgspec  # noqa: PLC0415 - `--help` is quick without it

    from holdfast.server.store.sqlite import backup as copies  # noqa: PLC0415 - as above
    from holdfast.server.store.sqlite import stats as figures  # noqa: PLC0415 - as above

    path = database(settings)
    warn_if_stale(settings.config(), path)
    with _telling(), contextlib.closing(copies.open_read_only(path)) as connection:
        found = figures.stats(connection, path)
    click.echo(msgspec.json.encode(found).decode() if as_json else "\n".join(_report(found)))


@db.command()
@with_options("sqlite-dir", "postgres-uri", "postgres-schema")
def compact(settings: Settings) -> None:
    """Rewrite the database without its free pages. The server must be stopped; needs as much free disk space again."""
    from holdfast.server.store.sqlite import backup as copies  # noqa: PLC0415 - `--help` is quick without it

    path = _existing(settings)
    with _telling(), _locked(path):
        before, after = copies.compact(path)
    click.echo(f"{path}: {_size(before)} → {_size(after)}")


@db.command()
@with_options("sqlite-dir", "postgres-uri", "postgres-schema")
def migrate(settings: Settings) -> None:
    """Migrate the database to this version's schema, as a start does. The server must be stopped.

    With --postgres-uri: as a role that may create tables, for a server whose own role may not.
    """
    if settings.config().postgres_uri:
        _migrate_postgres(settings)
        return
    from holdfast.server.store.sqlite.backup import verify  # noqa: PLC0415 - `--help` is quick without it
    from holdfast.server.store.sqlite.migrate import newest  # noqa: PLC0415 - as above
    from holdfast.server.store.sqlite.store import SqliteStore  # noqa: PLC0415 - as above

    path = _existing(settings)
    with _telling(), _locked(path):
        before = verify(path)
        SqliteStore(path).close()
    what = "is up to date" if before == newest() else f"migrated from schema version {before}"
    click.echo(f"{path}: {what} (schema version {newest()})")


def _migrate_postgres(settings: Settings) -> None:
    from holdfast.server.store.postgres.settings import Settings as Place  # noqa: PLC0415 - as above
    from holdfast.server.store.postgres.settings import shown  # noqa: PLC0415 - as above
    from holdfast.server.store.postgres.store import migrate_database  # noqa: PLC0415 - as above

    config = settings.config()
    with _telling():
        version = asyncio.run(migrate_database(Place(config.postgres_uri, config.postgres_schema)))
    click.echo(
        f"{shown(config.postgres_uri)}, schema {config.postgres_schema}: is up to date (schema version {version})"
    )


def database(settings: Settings) -> Path:
    """Return the database file that the options name; end the process if the state is in PostgreSQL."""
    config = settings.config()
    if config.postgres_uri:
        schema = config.postgres_schema
        die(
            f"--postgres-uri is set, and this command is for files of SQLite: use PostgreSQL's own tools, such as "
            f"`pg_dump --schema={schema}` for a backup and `psql` for figures; unset it to work on --sqlite-dir"
        )
    return config.directory / "main.db"


def _given(file: Path) -> Path:
    if not is_there(file):
        die(f"there is no file {file}")
    return file


def _existing(settings: Settings) -> Path:
    path = database(settings)
    if not is_there(path):
        die(f"there is no database {path}: check --sqlite-dir")
    return path


@contextlib.contextmanager
def _telling() -> Generator[None]:
    """End the process with the error of a store or of the system."""
    from holdfast.server.store.store import SchemaError, StoreError  # noqa: PLC0415 - `--help` is quick without it

    try:
        yield
    except (StoreError, SchemaError, OSError) as error:
        die(told(error))


@contextlib.contextmanager
def _locked(path: Path) -> Generator[None]:
    from holdfast.server.store.sqlite import lock  # noqa: PLC0415 - `--help` is quick without it

    with lock.hold(path):
        yield


@contextlib.contextmanager
def _progress(label: str) -> Generator[Callable[[int, int], None]]:
    """Return a progress bar on a terminal, and one that prints nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    bar: Any
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def report(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield report


def _report(found: Stats) -> Generator[str]:
    known = "" if found.schema == found.schema_known else f" (this Holdfast works with {found.schema_known})"
    yield f"{found.path}: {_size(found.bytes)}, log {_size(found.wal_bytes)}, schema version {found.schema}{known}"
    shrinks = (
        "returned to the disk by retention" if found.shrinks else "returned to the disk by `holdfast db compact` only"
    )
    yield f"free in the file: {_size(found.free_bytes)} ({shrinks})"
    yield f"events from {_time(found.oldest_event)} to {_time(found.newest_event)}"
    yield f"runs   from {_time(found.oldest_run)} to {_time(found.newest_run)}"
    yield ""
    yield from _columns([("table", "rows", "size")] + [
        (t.name, f"{t.rows:,}", _size(t.bytes) if t.bytes is not None else "?") for t in found.tables if t.rows
    ])  # fmt: skip
    if found.runs:
        yield ""
        yield from _columns([("status", "runs")] + [(status, f"{count:,}") for status, count in found.runs.items()])
        yield ""
        yield from _columns([("function", "runs", "live", "oldest", "newest")] + [
            (f.function, f"{f.runs:,}", f"{f.live:,}", _time(f.oldest), _time(f.newest)) for f in found.functions
        ])  # fmt: skip


def _columns(rows: Sequence[tuple[str, ...]]) -> Generator[str]:
    shown = [tuple(map(plain, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for name, *values in shown:
        cells = [name.ljust(widths[0]), *(value.rjust(width) for value, width in zip(values, widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()


def _time(ms: int | None) -> str:
    from holdfast.protocol.rfc3339 import format_rfc3339  # noqa: PLC0415 - `--help` is quick without it

    return "-" if ms is None else format_rfc3339(ms, fraction=False)


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
