"""Pages of an export, read from an SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from holdfast.server.model.span import decode_span
from holdfast.server.model.status import RunStatus
from holdfast.server.store import export
from holdfast.server.store.export import (
    START,
    EventLine,
    Place,
    RunLine,
    StepLine,
    Wanted,
    page_of,
    raw,
    show_time,
    step_line,
)
from holdfast.server.store.sqlite.backup import open_read_only
from holdfast.server.store.sqlite.faults import fault
from holdfast.server.store.sqlite.queries import named
from holdfast.server.store.sqlite.readers import Readers

_ReadPage = Callable[[sqlite3.Connection, Wanted, Place], tuple[bytes, Place | None]]


class SqliteExport:
    """`holdfast.server.store.export.Export`: each page is a look of its own at the database."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def runs(self, wanted: Wanted, after: Place) -> tuple[bytes, Place | None]:
        """Return the next lines of runs."""
        return await self._readers.search(lambda db: run_page(db, wanted, after))

    async def events(self, wanted: Wanted, after: Place) -> tuple[bytes, Place | None]:
        """Return the next lines of events."""
        return await self._readers.search(lambda db: event_page(db, wanted, after))


@contextmanager
def open_pages(path: Path, what: Literal["runs", "events"], wanted: Wanted) -> Generator[Iterator[bytes]]:
    """Read a database without a server: pages of lines of `runs` or `events`. Raises StoreError."""
    page = run_page if what == "runs" else event_page
    try:
        with closing(open_read_only(path)) as db:
            yield pages(page, db, wanted)
    except sqlite3.Error as error:
        raise fault(path, error) from error


def pages(page: _ReadPage, db: sqlite3.Connection, wanted: Wanted) -> Iterator[bytes]:
    """Yield page after page."""
    place: Place | None = START
    while place is not None:
        lines, place = page(db, wanted, place)
        yield lines


def run_page(db: sqlite3.Connection, wanted: Wanted, after: Place) -> tuple[bytes, Place | None]:
    """Return the next lines of runs, and the place of the last of them; None if that was all."""
    given: dict[str, Any] = {
        "since": wanted.since, "until": wanted.until, "functions": _json(wanted.functions),
        "statuses": _json([int(status) for status in wanted.statuses]), "most": export.PAGE, "after": after[0],
    }  # fmt: skip
    with closing(db.execute(named("export.runs"), given)) as rows:
        return page_of(((row[0], 0), _run(row, _steps(db, row[0]) if wanted.with_steps else None)) for row in rows)


def event_page(db: sqlite3.Connection, wanted: Wanted, after: Place) -> tuple[bytes, Place | None]:
    """Return the next lines of events, as `run_page`."""
    given: dict[str, Any] = {
        "since": wanted.since, "until": wanted.until, "functions": _json(wanted.functions),
        "names": _json(wanted.names), "internal": wanted.internal, "most": export.PAGE, "after": after[0],
        "n": after[1],
    }  # fmt: skip
    with closing(db.execute(named("export.events"), given)) as rows:
        return page_of(
            ((id, n), EventLine(id, show_time(received_at), raw(json))) for id, n, _, received_at, json in rows
        )


def _run(row: tuple[Any, ...], steps: list[StepLine] | None) -> RunLine:
    (
        id, slug, function_id, app, status, scheduled_at, started_at, ended_at, name, event_ids, cron, batch, original,
        output,
    ) = row  # fmt: skip
    return RunLine(
        id, slug, function_id, app, RunStatus(status).name.lower(), show_time(scheduled_at),
        show_time(started_at) if started_at is not None else None,
        show_time(ended_at) if ended_at is not None else None, name,
        raw(event_ids), raw(output), cron, batch, original, steps,
    )  # fmt: skip


def _steps(db: sqlite3.Connection, run_id: str) -> list[StepLine]:
    rows = db.execute(named("export.steps"), (run_id,))
    return [step_line(step_id, output, decode_span(text)) for step_id, output, text in rows]


def _json(values: object) -> str:
    return msgspec.json.encode(values).decode()
