"""Exports of an SQLite file that no server has."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from holdfast.server.store.export import START, Place, Wanted
from holdfast.server.store.sql.export import event_page, run_page
from holdfast.server.store.sqlite.backup import open_read_only
from holdfast.server.store.sqlite.faults import fault
from holdfast.server.store.sqlite.readers import SqliteReader, finish


@contextmanager
def open_pages(path: Path, what: Literal["runs", "events"], wanted: Wanted) -> Generator[Iterator[bytes]]:
    """Read a database without a server: pages of lines of `runs` or `events`. Raises StoreError."""
    try:
        with closing(open_read_only(path)) as db:
            yield _pages(SqliteReader(db), what, wanted)
    except sqlite3.Error as error:
        raise fault(path, error) from error


def _pages(db: SqliteReader, what: Literal["runs", "events"], wanted: Wanted) -> Iterator[bytes]:
    page = run_page if what == "runs" else event_page
    place: Place | None = START
    while place is not None:
        lines, place = finish(page(db, wanted, place))
        yield lines
