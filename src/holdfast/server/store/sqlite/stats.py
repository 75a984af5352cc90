"""What is in a database, and how much room it takes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from holdfast.server.model.status import RunStatus
from holdfast.server.store.sqlite.faults import fault
from holdfast.server.store.sqlite.migrate import newest
from holdfast.server.store.sqlite.queries import named


class Table(msgspec.Struct):
    """A table with its indexes. `bytes` is None where this SQLite can't tell."""

    name: str
    rows: int
    bytes: int | None


class FunctionStats(msgspec.Struct):
    """The runs of a function. Times are ms since the epoch."""

    function: str
    runs: int
    live: int
    oldest: int
    newest: int


class Stats(msgspec.Struct):
    """A database in figures. Sizes in bytes, times in ms since the epoch."""

    path: str
    schema: int
    schema_known: int  # the newest that this program knows
    bytes: int
    wal_bytes: int
    free_bytes: int  # in the file, for new rows
    shrinks: bool  # whether free pages can be given back while a server runs
    tables: list[Table]
    runs: dict[str, int]  # by status
    functions: list[FunctionStats]
    oldest_event: int | None
    newest_event: int | None
    oldest_run: int | None
    newest_run: int | None


def stats(db: sqlite3.Connection, path: Path) -> Stats:
    """Reads everything once; that takes a while for a large file. Raises StoreError."""
    try:
        db.execute("BEGIN")
        found = _stats(db, path)
        db.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise fault(path, error) from error
    return found


def _stats(db: sqlite3.Connection, path: Path) -> Stats:
    pragma = {
        name: int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("user_version", "page_size", "page_count", "freelist_count", "auto_vacuum")
    }
    wal = Path(f"{path}-wal")
    return Stats(
        str(path), pragma["user_version"], newest(), pragma["page_size"] * pragma["page_count"],
        wal.stat().st_size if wal.exists() else 0, pragma["page_size"] * pragma["freelist_count"],
        pragma["auto_vacuum"] == 2, _tables(db),
        {RunStatus(status).name.lower(): count for status, count in db.execute(named("stats.statuses"))},
        [FunctionStats(*row) for row in db.execute(named("stats.functions"))],
        *db.execute(named("stats.spans")).fetchone(),
    )  # fmt: skip


def _tables(db: sqlite3.Connection) -> list[Table]:
    try:
        sizes: dict[str, int] = {name: int(size) for name, size in db.execute(named("stats.sizes"))}
    except sqlite3.OperationalError:  # an SQLite without dbstat
        sizes = {}
    names: list[str] = [name for (name,) in db.execute(named("stats.tables"))]
    counted = [Table(n, db.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0], sizes.get(n)) for n in names]  # noqa: S608 - names of our own tables
    return sorted(counted, key=lambda table: (-(table.bytes or 0), table.name))
