"""Runs and events as JSON lines, read page by page: no memory that grows, no snapshot that is held for long."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import msgspec
from msgspec import Raw

from holdfast.protocol.rfc3339 import format_rfc3339
from holdfast.server.model.span import decode_span
from holdfast.server.model.status import RunStatus
from holdfast.server.store.sqlite.queries import named

#: Rows of a page, and bytes after which it ends earlier: an event may have megabytes, a run with steps tens of them.
PAGE = 200
PAGE_BYTES = 256 * 1024
#: Later than any time (ms).
FOREVER = 2**62

Place = tuple[str, int]
"""Where a page ended: the id of its last row, and of events the number of the copy."""
START: Place = ("", -1)

_encode = msgspec.json.encode
_NULL = Raw(b"null")


class Wanted(msgspec.Struct, frozen=True):
    """What is exported. Times in ms since the epoch, `until` excluded; empty tuples mean any."""

    since: int = 0
    until: int = FOREVER
    functions: tuple[str, ...] = ()  # slugs; of events: those that started a run of one
    statuses: tuple[RunStatus, ...] = ()  # of runs
    names: tuple[str, ...] = ()  # of events
    internal: bool = False  # whether the server's own events are exported too
    with_steps: bool = False


ReadPage = Callable[[sqlite3.Connection, Wanted, Place], tuple[bytes, Place | None]]


class _Step(msgspec.Struct):
    id: str  # hashed
    name: str
    op: str
    started_at: str
    ended_at: str
    output: Raw


class _Run(msgspec.Struct, omit_defaults=True):
    id: str
    function: str
    function_id: str
    app: str
    status: str
    scheduled_at: str
    started_at: str | None
    ended_at: str | None
    event_name: str
    event_ids: Raw
    output: Raw
    cron: str = ""
    batch_id: str = ""
    original_run_id: str = ""
    steps: list[_Step] | None = None


class _Event(msgspec.Struct):
    id: str  # internal
    received_at: str
    event: Raw


def runs(db: sqlite3.Connection, wanted: Wanted) -> Iterator[bytes]:
    """Lines of runs, oldest first, with their newlines; each element is a page of them."""
    return _pages(run_page, db, wanted)


def events(db: sqlite3.Connection, wanted: Wanted) -> Iterator[bytes]:
    """Lines of events, oldest first, as `runs`."""
    return _pages(event_page, db, wanted)


def _pages(page: ReadPage, db: sqlite3.Connection, wanted: Wanted) -> Iterator[bytes]:
    place: Place | None = START
    while place is not None:
        lines, place = page(db, wanted, place)
        yield lines


def run_page(db: sqlite3.Connection, wanted: Wanted, after: Place) -> tuple[bytes, Place | None]:
    """The next lines of runs, and the place of the last of them; None if that was all."""
    given: dict[str, Any] = {
        "since": wanted.since, "until": wanted.until, "functions": _json(wanted.functions),
        "statuses": _json([int(status) for status in wanted.statuses]), "most": PAGE, "after": after[0],
    }  # fmt: skip
    with closing(db.execute(named("export.runs"), given)) as rows:
        return _page(((row[0], 0), _run(row, _steps(db, row[0]) if wanted.with_steps else None)) for row in rows)


def event_page(db: sqlite3.Connection, wanted: Wanted, after: Place) -> tuple[bytes, Place | None]:
    """The next lines of events, as `run_page`."""
    given: dict[str, Any] = {
        "since": wanted.since, "until": wanted.until, "functions": _json(wanted.functions),
        "names": _json(wanted.names), "internal": wanted.internal, "most": PAGE, "after": after[0], "n": after[1],
    }  # fmt: skip
    with closing(db.execute(named("export.events"), given)) as rows:
        return _page(((id, n), _Event(id, _time(received_at), _raw(json))) for id, n, _, received_at, json in rows)


def _page(rows: Iterator[tuple[Place, msgspec.Struct]]) -> tuple[bytes, Place | None]:
    """Lines of rows until there are enough of them, and the place of the last one if there may be more."""
    lines = bytearray()
    for number, (place, row) in enumerate(rows, 1):
        lines += _encode(row) + b"\n"
        if number == PAGE or len(lines) >= PAGE_BYTES:
            return bytes(lines), place
    return bytes(lines), None


def _run(row: tuple[Any, ...], steps: list[_Step] | None) -> _Run:
    (
        id,
        slug,
        function_id,
        app,
        status,
        scheduled_at,
        started_at,
        ended_at,
        name,
        event_ids,
        cron,
        batch,
        original,
        output,
    ) = row
    return _Run(
        id, slug, function_id, app, RunStatus(status).name.lower(), _time(scheduled_at),
        _time(started_at) if started_at is not None else None, _time(ended_at) if ended_at is not None else None, name,
        _raw(event_ids), _raw(output), cron, batch, original, steps,
    )  # fmt: skip


def _steps(db: sqlite3.Connection, run_id: str) -> list[_Step]:
    found: list[_Step] = []
    for step_id, output, text in db.execute(named("export.steps"), (run_id,)):
        span = decode_span(text)
        found.append(_Step(step_id, span.name, span.op, _time(span.started_at), _time(span.ended_at), _raw(output)))
    return found


def _raw(text: str | bytes | None) -> Raw:
    return Raw(text.encode() if isinstance(text, str) else text) if text else _NULL


def _json(values: object) -> str:
    return _encode(values).decode()


def _time(ms: int) -> str:
    return format_rfc3339(ms, fraction=True)
