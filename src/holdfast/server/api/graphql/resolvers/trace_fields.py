"""Traces of runs: trees, outputs and triggers (`protocol/graphql.md` §12 to §15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from holdfast.protocol.ids import ulid_time
from holdfast.server.api.common.event_document import event_document
from holdfast.server.api.graphql.executable_schema import resolver
from holdfast.server.api.graphql.resolver_errors import NO_ROWS, fail
from holdfast.server.api.graphql.resolvers.run_fields import checked_run_id
from holdfast.server.api.traces import OutputRef, SpanOutput, TraceNode, build_trace, read_output, read_result
from holdfast.server.api.traces.span_output import ROOT, OutputError

if TYPE_CHECKING:
    from holdfast.server.api.graphql.loaders import Context
    from holdfast.server.store.history import StoredEvent, StoredRun

_NO_OUTPUT = "no output found"


class _Trigger(msgspec.Struct, frozen=True):
    event_name: str | None
    ids: list[str]
    payloads: list[str]
    timestamp: int
    is_batch: bool
    batch_id: str | None
    cron: str | None


@resolver("Query.runTrace")
async def _run_trace(_source: None, context: Context, run_id: str) -> TraceNode:
    stored = await context.traces.load(checked_run_id(run_id))
    if stored is None:
        fail(f"error retrieving trace: no root span found for run {'0' * 26}")
    return build_trace(stored, context.now)


@resolver("RunTraceSpan.run")
async def _span_run(span: TraceNode, context: Context) -> StoredRun | None:
    return await context.runs.load(span.run_id)


@resolver("Query.runTraceSpanOutputByID")
async def _output(_source: None, context: Context, output_id: str) -> SpanOutput:
    try:
        ref = OutputRef.decode(output_id)
    except OutputError as error:
        fail(str(error))
    if ref.seq == ROOT:
        run = await context.runs.load(ref.run_id) or fail(_NO_OUTPUT)
        return read_result(run, await context.outputs.load(run.id), await _events_of(run, context))
    row = await context.history.trace_row(ref.run_id, ref.seq) if ref.seq is not None else None
    if row is None:
        fail(_NO_OUTPUT)
    return read_output(row, legacy=not ref.preview)


@resolver("Query.runTrigger")
async def _run_trigger(_source: None, context: Context, run_id: str) -> _Trigger:
    run = await context.runs.load(checked_run_id(run_id)) or fail(f"error retrieving run: {NO_ROWS}")
    events = await _events_of(run, context)
    names = {event.name for event in events}
    for event in events:
        context.budget.spend(event.json)
    return _Trigger(
        event_name=events[0].name if len(names) == 1 and not run.cron else None,
        ids=run.event_ids,
        payloads=[event_document(event).text() for event in events],
        timestamp=min(map(ulid_time, run.event_ids), default=run.scheduled_at),
        is_batch=bool(run.batch_id),
        batch_id=run.batch_id or None,
        cron=run.cron or None,
    )


async def _events_of(run: StoredRun, context: Context) -> list[StoredEvent]:
    futures = [context.events.load(event_id) for event_id in run.event_ids]
    found = [await future for future in futures]
    return [event for event in found if event is not None]
