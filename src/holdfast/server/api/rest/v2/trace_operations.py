"""The trace of a run: the tree of the UI, with shorter names (`protocol/http-apis.md` §10.4)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from holdfast.server.api.rest.v2.envelope import Answer, Sent, Shown, not_found, show_duration, show_moment, show_time
from holdfast.server.api.rest.v2.fields import IncludeOutput, RunId
from holdfast.server.api.rest.v2.operation import Operation, runner
from holdfast.server.api.rest.v2.output_object import as_object
from holdfast.server.api.rest.v2.run_operations import checked_run_id
from holdfast.server.api.traces import OutputRef, SpanOutput, build_trace, read_output, read_result
from holdfast.server.api.traces.span_output import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.server.api.common.backend import Backend
    from holdfast.server.api.traces import StepError, TraceNode
    from holdfast.server.api.traces.span_metadata import Metadata
    from holdfast.server.store.history import RunTrace, StoredEvent

_Object = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]
_QUEUED: Final = "QUEUED"


class GetTrace(Sent):
    """The trace of a run."""

    run_id: RunId
    include_output: IncludeOutput = False


class SpanMetadata(Shown, kw_only=True):
    """What was measured or reported of a span; values are texts of JSON."""

    scope: str
    kind: str
    values: dict[str, str] = {}
    updated_at: str


class TraceSpan(Shown, kw_only=True):
    """A span: a queue item, a step, an attempt or an answer of the function."""

    id: str
    name: str
    status: str
    step_op: str = ""
    step_id: str = ""
    duration_ms: str = ""
    queued_at: str
    started_at: str = ""
    ended_at: str = ""
    input: _Object | None = None
    output: _Object | None = None
    metadata: list[SpanMetadata] = []
    children: list[TraceSpan] = []


class Trace(Shown):
    """The whole tree."""

    run_id: str
    root_span: TraceSpan


async def _trace(backend: Backend, given: GetTrace) -> Answer:
    run_id = checked_run_id(given.run_id)
    stored = (await backend.history.traces([run_id])).get(run_id)
    if stored is None:
        raise not_found("Trace not found")
    read: Callable[[str], SpanOutput] | None = None
    if given.include_output:
        events = await backend.history.events_by_id(stored.run.event_ids)
        output = (await backend.history.outputs([run_id])).get(run_id)
        read = _reader(stored, output, [events[id] for id in stored.run.event_ids if id in events])
    # A thousand steps take 50 ms: not on the engine's loop.
    root = await asyncio.to_thread(lambda: _span(build_trace(stored, backend.now_ms()), read))
    return Answer(Trace(run_id=run_id, root_span=root))


def _reader(stored: RunTrace, output: bytes | None, events: Sequence[StoredEvent]) -> Callable[[str], SpanOutput]:
    rows = {row.seq: row for row in stored.rows}

    def read(output_id: str) -> SpanOutput:
        seq = OutputRef.decode(output_id).seq
        if seq == ROOT:
            return read_result(stored.run, output, events)
        return read_output(rows[seq]) if seq in rows else SpanOutput()

    return read


def _span(node: TraceNode, read: Callable[[str], SpanOutput] | None) -> TraceSpan:
    shown = read(node.output_id) if read is not None and node.output_id else SpanOutput()
    return TraceSpan(
        id=node.span_id, name=node.name, status="WAITING" if node.status == _QUEUED else node.status,
        step_op=node.step_op or "", step_id=node.step_id or "",
        duration_ms=show_duration(node.started_at, node.ended_at), queued_at=show_time(node.queued_at),
        started_at=show_moment(node.started_at), ended_at=show_moment(node.ended_at),
        input=as_object(shown.input.encode()) if shown.input is not None else None, output=_output(shown),
        metadata=[_metadata(entry) for entry in node.metadata],
        children=[_span(child, read) for child in node.children_spans],
    )  # fmt: skip


def _output(shown: SpanOutput) -> msgspec.Raw | None:
    if shown.error is not None:
        return msgspec.Raw(msgspec.json.encode(_error(shown.error)))
    return as_object(shown.data.encode()) if shown.data is not None else None


def _error(error: StepError) -> dict[str, object]:
    members = {"name": error.name, "message": error.message or None, "stack": error.stack, "cause": error.cause}
    return {"error": {name: value for name, value in members.items() if value is not None}}


def _metadata(entry: Metadata) -> SpanMetadata:
    values = {name: msgspec.json.encode(value).decode() for name, value in entry.values.items()}
    return SpanMetadata(scope=entry.scope, kind=entry.kind, values=values, updated_at=show_time(entry.updated_at))


OPERATIONS: Final = (
    Operation(
        id="GetFunctionTrace", method="GET", path="/runs/{run_id}/trace", summary="Get function trace",
        description="Get the trace of a run, as a tree of spans.",
        request=GetTrace, run=runner(GetTrace, _trace), answer=Trace, errors=(404,),
        tool="get_run_trace", command="get-function-trace",
    ),
)  # fmt: skip
