"""Between the engine's values and rows. JSON is kept as text: SQLite is slow to bind bytes, and JSON has no bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.run import Run
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.model.job import Job, Pause
from holdfast.server.model.run import decode_detail, decode_state
from holdfast.server.model.status import RunStatus

_encode = msgspec.json.encode
Row = tuple[object, ...]


def event_rows(changes: Changes, copy: int) -> Iterator[Row]:
    """Rows of accepted events; `copy` is the number of the first."""
    for number, e in enumerate(changes.events, copy):
        yield e.id, number, e.name, e.external_id, e.ts, e.received_at, e.json.decode()


def new_run_rows(changes: Changes) -> Iterator[Row]:
    """Whole rows of runs that began in this turn."""
    for run in changes.new_runs.values():
        assert run.body is not None
        yield (
            run.id, run.function_id, run.app_id, int(run.status), run.scheduled_at, run.started_at, run.ended_at,
            _encode(run.body.event_ids).decode(), run.event_name, run.cron, run.batch_id, run.original_run_id,
            _output(run), _encode(run.detail).decode(), _encode(run.state).decode(),
        )  # fmt: skip


def run_rows(changes: Changes) -> Iterator[Row]:
    """The changing columns of runs, then the id."""
    for run in changes.runs.values():
        yield (
            int(run.status), run.started_at, run.ended_at, _output(run), _encode(run.detail).decode(),
            _encode(run.state).decode(), run.id,
        )  # fmt: skip


def step_rows(changes: Changes) -> Iterator[Row]:
    """Memoised steps."""
    for run_id, seq, step_id, output, span in changes.steps:
        yield run_id, seq, step_id, output.decode(), _encode(span).decode()


def span_rows(changes: Changes) -> Iterator[Row]:
    """Everything else that happened."""
    for run_id, seq, output, span in changes.spans:
        yield run_id, seq, output.decode() if output is not None else None, _encode(span).decode()


def _output(run: Run) -> str | None:
    return run.output.decode() if run.output is not None else None


def live_run(row: tuple[Any, ...]) -> Run:
    """Return a live run, without its body and its open items, of a row of `recovery.runs`."""
    run = Run(row[0], row[1], row[2], row[4])
    run.status, run.started_at = RunStatus(row[3]), row[5]
    run.event_name, run.cron, run.batch_id, run.original_run_id = row[6:10]
    run.detail, run.state = decode_detail(row[10]), decode_state(row[11])
    return run


def reopen(runs: Mapping[str, Run], item: Job | Pause) -> None:
    """Put an open item back to its run."""
    run = runs[item.run_id]
    run.open.put(item)
    run.next_no = max(run.next_no, item.no)


def record_row(record: AppRecord | FunctionRecord) -> tuple[Any, ...]:
    """Return the row of an app or a function: its fields in order."""
    values = (getattr(record, field) for field in record.__struct_fields__)
    return tuple(v.decode() if isinstance(v, bytes) else int(v) if isinstance(v, bool) else v for v in values)
