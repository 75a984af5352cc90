"""The legacy run and its history (`protocol/graphql.md` §10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.protocol.ids import is_ulid, ulid_time
from holdfast.server.api.graphql.executable_schema import resolver
from holdfast.server.api.graphql.resolver_errors import fail
from holdfast.server.api.graphql.resolvers.run_fields import run_function
from holdfast.server.api.graphql.scalars import ulid_problem
from holdfast.server.api.traces import HistoryItem, answer_text, build_history, history_output_seq, span_text
from holdfast.server.model.status import RunStatus

if TYPE_CHECKING:
    from holdfast.server.api.graphql.loaders import Context
    from holdfast.server.model.app import FunctionRecord
    from holdfast.server.store.history import StoredEvent, StoredRun

_STATUSES = {
    RunStatus.COMPLETED: "COMPLETED",
    RunStatus.FAILED: "FAILED",
    RunStatus.CANCELLED: "CANCELLED",
    RunStatus.SKIPPED: "SKIPPED",
}


@resolver("Query.functionRun")
async def _function_run(_source: None, context: Context, query: dict[str, str]) -> StoredRun:
    run_id = query["function_run_id"]
    if not run_id:
        fail("function run id is required")
    if problem := ulid_problem(run_id):
        fail(f"invalid run ID: {problem}")
    return await context.runs.load(run_id.upper()) or fail("not found")


@resolver("FunctionRun.function")
async def _function(run: StoredRun, context: Context) -> FunctionRecord:
    return await run_function(run, context)


@resolver("FunctionRun.workspace")
@resolver("FunctionRun.waitingFor")
def _nothing(_run: StoredRun, _context: Context) -> None:
    return None


@resolver("FunctionRun.event")
async def _event(run: StoredRun, context: Context) -> StoredEvent | None:
    return await context.events.load(run.event_ids[0]) if run.event_ids else None


@resolver("FunctionRun.events")
async def _events(run: StoredRun, context: Context) -> list[StoredEvent]:
    futures = [context.events.load(event_id) for event_id in run.event_ids]
    found = [await future for future in futures]
    return [event for event in found if event is not None]


@resolver("FunctionRun.eventID")
def _event_id(run: StoredRun, _context: Context) -> str:
    return run.event_ids[0] if run.event_ids else ""


@resolver("FunctionRun.batchID")
def _batch_id(run: StoredRun, _context: Context) -> str | None:
    return run.batch_id or None


@resolver("FunctionRun.batchCreatedAt")
def _batch_created_at(run: StoredRun, _context: Context) -> int | None:
    return ulid_time(run.batch_id) if is_ulid(run.batch_id) else None


@resolver("FunctionRun.status")
def _status(run: StoredRun, _context: Context) -> str:
    return _STATUSES.get(run.status, "RUNNING")


@resolver("FunctionRun.startedAt")
def _started_at(run: StoredRun, _context: Context) -> int:
    return run.scheduled_at


@resolver("FunctionRun.finishedAt")
def _finished_at(run: StoredRun, _context: Context) -> int | None:
    return run.ended_at if run.status.ended else None


@resolver("FunctionRun.cron")
def _cron(run: StoredRun, _context: Context) -> str | None:
    return run.cron or None


@resolver("FunctionRun.output")
@resolver("FunctionRunV2.output")
async def _output(run: StoredRun, context: Context) -> str | None:
    output = await context.outputs.load(run.id)
    context.budget.weigh(output)
    if output is None:  # an answer without a body is a result, too
        return "null" if run.status is RunStatus.COMPLETED else None
    return answer_text(output, is_text=run.detail.text)


@resolver("FunctionRun.pendingSteps")
async def _pending_steps(run: StoredRun, context: Context) -> int:
    return 0 if run.status.ended else len(await context.jobs.load(run.id) or [])


@resolver("FunctionRun.history")
async def _history(run: StoredRun, context: Context) -> list[HistoryItem]:
    stored = await context.traces.load(run.id)
    return build_history(stored) if stored else []


@resolver("FunctionRun.historyItemOutput")
async def _history_item_output(run: StoredRun, context: Context, id: str) -> str:
    seq = history_output_seq(id)
    row = await context.history.trace_row(run.id, seq) if seq is not None else None
    text = span_text(row.output, row.span) if row is not None and row.output is not None else ""
    context.budget.spend(text)
    return text
