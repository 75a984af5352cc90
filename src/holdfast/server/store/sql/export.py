"""Pages of an export, each a look of its own at the database."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from holdfast.server.model.span import decode_span
from holdfast.server.model.status import RunStatus
from holdfast.server.store import export
from holdfast.server.store.export import (
    EventLine,
    Page,
    Place,
    RunLine,
    StepLine,
    Wanted,
    raw,
    show_time,
    step_line,
)
from holdfast.server.store.sql.reader import Reader, Readers


class SqlExport:
    """`holdfast.server.store.export.Export`: each page is a look of its own at the database."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def runs(self, wanted: Wanted, after: Place) -> tuple[bytes, Place | None]:
        """Return the next lines of runs."""
        return await self._readers.search(lambda db: run_page(db, wanted, after))

    async def events(self, wanted: Wanted, after: Place) -> tuple[bytes, Place | None]:
        """Return the next lines of events."""
        return await self._readers.search(lambda db: event_page(db, wanted, after))


async def run_page(db: Reader, wanted: Wanted, after: Place) -> tuple[bytes, Place | None]:
    """Return the next lines of runs, and the place of the last of them; None if that was all."""
    given: dict[str, Any] = {
        "since": wanted.since, "until": wanted.until, "functions": wanted.functions,
        "statuses": [int(status) for status in wanted.statuses], "most": export.PAGE, "after": after[0],
    }  # fmt: skip
    page = Page()
    async with aclosing(db.each("export.runs", given)) as rows:
        async for row in rows:
            steps = await _steps(db, row[0]) if wanted.with_steps else None
            if page.full((row[0], 0), _run(row, steps)):
                break
    return page.lines, page.place


async def event_page(db: Reader, wanted: Wanted, after: Place) -> tuple[bytes, Place | None]:
    """Return the next lines of events, as `run_page`."""
    given: dict[str, Any] = {
        "since": wanted.since, "until": wanted.until, "functions": wanted.functions,
        "names": wanted.names, "internal": wanted.internal, "most": export.PAGE, "after": after[0],
        "n": after[1],
    }  # fmt: skip
    page = Page()
    async with aclosing(db.each("export.events", given)) as rows:
        async for id, n, _, received_at, json in rows:
            if page.full((id, n), EventLine(id, show_time(received_at), raw(json))):
                break
    return page.lines, page.place


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


async def _steps(db: Reader, run_id: str) -> list[StepLine]:
    rows = await db.select("export.steps", (run_id,))
    return [step_line(step_id, output, decode_span(text)) for step_id, output, text in rows]
