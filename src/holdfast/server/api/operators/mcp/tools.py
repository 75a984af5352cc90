"""Tools that are no operation of REST v2: sending an event and seeing what came of it in one call; documentation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from holdfast.protocol.events import read_events
from holdfast.protocol.rawjson import json_or_text
from holdfast.protocol.rfc3339 import format_rfc3339
from holdfast.server.api.common.parameters import read_ulid
from holdfast.server.api.common.statuses import RUN_STATUSES
from holdfast.server.api.operators.mcp import docs
from holdfast.server.api.operators.mcp.tool import Tool, ToolError, tool
from holdfast.server.api.traces import StepError, read_output
from holdfast.server.model.status import RunStatus, SpanStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.protocol.events import Event
    from holdfast.server.api.common.backend import Backend
    from holdfast.server.model.app import FunctionRecord
    from holdfast.server.store.history import RunTrace, StoredRun, TraceRow

_LONGEST_S: Final = 300
_MOST_RUNS: Final = 100
_Anything = Annotated[Raw, Meta(description="Any JSON.")]


class SendEvent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """An event."""

    name: Annotated[str, Meta(description="The event's name, such as `test/hello.world`.")]
    data: _Anything | UnsetType = UNSET
    user: _Anything | UnsetType = UNSET
    event_id_seed: Annotated[
        str, Meta(description="To choose the event's id in advance: `<ms>,<base64 of 10 bytes>`.")
    ] = ""


class GetRunStatus(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One run."""

    run_id: str


class PollRunStatus(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Runs whose end is waited for."""

    run_ids: list[str]
    timeout: Annotated[int, Meta(description="Maximum time to wait, in seconds.")] = 30
    poll_interval: Annotated[int, Meta(description="Time between two checks, in milliseconds.")] = 1_000


class InvokeSync(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A function whose result is waited for."""

    function_id: Annotated[str, Meta(description="The function's slug, id or name.")]
    data: _Anything | UnsetType = UNSET
    user: _Anything | UnsetType = UNSET
    timeout: Annotated[int, Meta(description="Maximum time to wait, in seconds.")] = 30


async def _send(backend: Backend, given: SendEvent) -> object:
    event = _event(backend, given.name, given.data, given.user, given.event_id_seed)
    await backend.accept_all([event])
    runs = (await backend.history.runs_of_events([event.id])).get(event.id, [])
    started = f"{len(runs)} run{'' if len(runs) == 1 else 's'}"
    result: dict[str, object] = {
        "eventId": event.id, "status": "accepted", "message": f"The event {given.name} started {started}"
    }  # fmt: skip
    return {**result, "runIds": [run.id for run in runs]} if runs else result


def _event(backend: Backend, name: str, data: Raw | UnsetType, user: Raw | UnsetType, seed: str = "") -> Event:
    members: dict[str, object] = {"name": name, "data": _wrapped(data, "value"), "user": _wrapped(user, "id")}
    body = msgspec.json.encode({key: value for key, value in members.items() if value is not None})
    intake = read_events(
        body, content_type="application/json", now_ms=backend.now_ms(), new_id=lambda _: backend.new_id(), seed=seed
    )
    if intake.error:
        raise ToolError(intake.error)
    return intake.events[0]


def _wrapped(given: Raw | UnsetType, name: str) -> Raw | dict[str, Raw] | None:
    """An object as it is, any other value under a name."""
    if given is UNSET or bytes(given).strip() == b"null":
        return None
    return given if bytes(given).lstrip()[:1] == b"{" else {name: given}


async def _status(backend: Backend, given: GetRunStatus) -> object:
    return (await _statuses(backend, [_run_id(given.run_id)], with_steps=True))[0]


async def _poll(backend: Backend, given: PollRunStatus) -> object:
    ids = [_run_id(id) for id in given.run_ids]
    if not 1 <= len(ids) <= _MOST_RUNS:
        raise ToolError(f"runIds must have 1 to {_MOST_RUNS} items")
    await _until_ended(backend, ids, given.timeout, given.poll_interval)
    found = await _statuses(backend, ids, with_steps=False)
    states = [str(run["status"]) for run in found]
    return {
        "runs": found, "completed": states.count("COMPLETED"),
        "running": sum(state in {"QUEUED", "RUNNING"} for state in states),
        "failed": sum(state in {"FAILED", "CANCELLED"} for state in states),
    }  # fmt: skip


async def _invoke(backend: Backend, given: InvokeSync) -> object:
    function = await _function(backend, given.function_id)
    began = backend.now_ms()
    data, user = _wrapped(given.data, "value"), _wrapped(given.user, "id")
    event_id = await backend.invoke(function.slug, data=_json(data), user=_json(user), sessions=None)
    runs = (await backend.history.runs_of_events([event_id])).get(event_id, [])
    if not runs:
        raise ToolError(
            "The function was invoked, but no run has started: it waits for a batch, debounce or rate limit"
        )
    await _until_ended(backend, [runs[0].id], given.timeout, 100)
    status = (await _statuses(backend, [runs[0].id], with_steps=False))[0]
    kept: dict[str, object] = {
        name: status[name] for name in ("runId", "functionName", "status", "output", "error") if name in status
    }
    return {**kept, "duration": backend.now_ms() - began, "eventId": event_id}


def _json(value: object) -> bytes | None:
    return msgspec.json.encode(value) if value is not None else None


async def _function(backend: Backend, given: str) -> FunctionRecord:
    for function in await backend.history.functions():
        if given in {function.slug, function.id, function.name}:
            return function
    raise ToolError(f"Function not found: {given}. Use list_functions to list them")


async def _until_ended(backend: Backend, ids: Sequence[str], timeout_s: int, interval_ms: int) -> None:
    """Wait until all runs have ended, or for as long as the caller will."""
    pause = min(max(interval_ms, 50), 10_000) / 1_000
    try:
        async with asyncio.timeout(min(max(timeout_s, 0), _LONGEST_S)):
            while True:
                runs = await backend.history.runs_by_id(ids)
                if all(runs[id].status.ended for id in ids if id in runs):
                    return
                await asyncio.sleep(pause)
    except TimeoutError:
        return


async def _statuses(backend: Backend, ids: Sequence[str], *, with_steps: bool) -> list[dict[str, object]]:
    traces = await backend.history.traces(ids)
    if missing := [id for id in ids if id not in traces]:
        raise ToolError(f"Run not found: {', '.join(missing)}")
    functions = await backend.history.functions_by_id({trace.run.function_id for trace in traces.values()})
    outputs = await backend.history.outputs(ids)
    found: list[dict[str, object]] = []
    for id in ids:
        function = functions.get(traces[id].run.function_id)
        name = function.name if function is not None else ""
        found.append(_document(traces[id], outputs.get(id), name, with_steps))
    return found


def _document(trace: RunTrace, output: bytes | None, name: str, with_steps: bool) -> dict[str, object]:
    run = trace.run
    document: dict[str, object] = {
        "runId": run.id, "functionName": name, "status": RUN_STATUSES[run.status],
        "startedAt": _time(run.started_at or run.scheduled_at), "eventId": run.event_ids[0] if run.event_ids else "",
        "eventName": run.event_name,
    }  # fmt: skip
    if run.status.ended and run.ended_at is not None:
        document["endedAt"] = _time(run.ended_at)
    if with_steps:
        document["steps"] = [_step(row) for row in trace.rows if row.span.kind in {"step", "attempt"}]
    document.update(_result(run, output))
    return document


def _step(row: TraceRow) -> dict[str, object]:
    span = row.span
    failed = span.status in {SpanStatus.FAILED, SpanStatus.ERRORED}
    step: dict[str, object] = {
        "stepName": span.name, "stepId": span.step_id, "status": "failed" if failed else "completed",
        "startedAt": _time(span.started_at), "attempt": span.attempt,
    }  # fmt: skip
    error = read_output(row).error
    return {**step, "error": _text(error)} if error is not None else step


def _text(error: StepError) -> str:
    return f"{error.name}: {error.message}" if error.name else error.message or error.stack or ""


def _result(run: StoredRun, output: bytes | None) -> dict[str, object]:
    if output is None:
        return {}
    return {"error" if run.status is RunStatus.FAILED else "output": json_or_text(output)}


def _run_id(given: str) -> str:
    found = read_ulid(given)
    if found is None:
        raise ToolError(f"{given} is not a run id: run ids are ULIDs, such as 01ARZ3NDEKTSV4RRFFQ69G5FAV")
    return found


def _time(ms: int) -> str:
    return format_rfc3339(ms, fraction=True)


TOOLS: Final = (
    Tool(
        "send_event", "Send event", "Send an event; return its id and the runs that it started.",
        SendEvent, tool(SendEvent, _send), reads=False,
    ),
    Tool(
        "get_run_status", "Get run status", "Return the state of a run, with its steps, errors and output.",
        GetRunStatus, tool(GetRunStatus, _status), reads=True,
    ),
    Tool(
        "poll_run_status", "Poll run status", "Wait until runs have ended or time is up; return their states.",
        PollRunStatus, tool(PollRunStatus, _poll), reads=True,
    ),
    Tool(
        "invoke_function_sync", "Invoke function and wait", "Run a function and return its output or error.",
        InvokeSync, tool(InvokeSync, _invoke), reads=False,
    ),
    *docs.TOOLS,
)  # fmt: skip
