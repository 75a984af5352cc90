"""Between the engine's values and SQLite's rows. JSON is kept as text: binding bytes is slow."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.run import Run

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
