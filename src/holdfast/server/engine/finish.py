"""Ending a run: its last row, its open items, and the events that tell of it (`protocol/execution.md` §4.13)."""

from __future__ import annotations

import msgspec

from holdfast.protocol.errors import standard_error
from holdfast.protocol.events import Event, render_event
from holdfast.protocol.ids import ulid, ulid_time, xxh36
from holdfast.protocol.sessions import merge_sessions
from holdfast.server.engine import lifecycle, waitinfo
from holdfast.server.engine.core import Core
from holdfast.server.engine.run import Run
from holdfast.server.model.job import Job, JobKind, Pause, PauseKind
from holdfast.server.model.span import Span
from holdfast.server.model.status import RunStatus, SpanStatus

_STATUS_NAMES = {RunStatus.COMPLETED: "Completed", RunStatus.FAILED: "Failed", RunStatus.CANCELLED: "Cancelled"}
_OPS: dict[JobKind | PauseKind, str] = {
    JobKind.SLEEP: "Sleep",
    PauseKind.EVENT: "WaitForEvent",
    PauseKind.INVOKE: "InvokeFunction",
    PauseKind.SIGNAL: "WaitForSignal",
}


def finish(
    core: Core, run: Run, status: RunStatus, output: bytes | None, error: str = "", *, text: bool = False
) -> None:
    """End a run. Its row, its open items and its lifecycle events are one transition. Needs the run's body.

    `text` says that the output is an answer that was no JSON.
    """
    run.status, run.ended_at, run.output = status, core.now, output
    if run.started_at is None and status is not RunStatus.CANCELLED:
        run.started_at = core.now
    run.detail.error, run.detail.text = error, text
    core.changes.touch(run)
    core.changes.ended.append(run)
    del core.runs[run.id]
    for item in list(run.open):
        core.close(run, item)
    _release_keys(core, run)
    _announce(core, run, error)
    _release_defers(core, run)


def _release_keys(core: Core, run: Run) -> None:
    """Give back what the run held as a whole."""
    state, function = run.state, core.function(run)
    if function is not None and function.config.timeouts is not None:
        core.queue.timers.ended()
    if state.singleton:
        core.singletons.release(state.singleton, run.id)
    for key in state.holds or ():
        core.queue.drop(key)


def cancel(core: Core, run: Run, cause: str) -> None:
    """End a run as cancelled, and the steps that were open. The answer of a call in flight will be dropped."""
    run.detail.cancelled_by = cause
    for item in run.open:
        if item.step:
            core.record(run, _cancelled(core, item))
    finish(core, run, RunStatus.CANCELLED, None)


def _cancelled(core: Core, item: Job | Pause) -> Span:
    queued = item.step_queued_at or item.queued_at if isinstance(item, Job) else item.created_at
    op = _OPS.get(item.kind, "StepPlanned")
    info = waitinfo.of_job(item) if isinstance(item, Job) else waitinfo.of_pause(item)
    return Span("step", SpanStatus.CANCELLED, queued, queued, core.now, item.name, item.step, op, info=info)


def _announce(core: Core, run: Run, error: str) -> None:
    """Emit function.finished, and .failed or .cancelled, for the events of the run that want to know."""
    assert run.body is not None
    failed, cancelled = run.status is RunStatus.FAILED, run.status is RunStatus.CANCELLED
    function = core.function(run)
    failure = standard_error(run.output, error) if failed else None
    for index, event in enumerate(run.body.events):
        correlation = lifecycle.correlation(event)
        if (index and not correlation) or lifecycle.silent(event):
            continue
        data = lifecycle.finished_data(
            run_id=run.id, slug=function.slug if function else "", status=_STATUS_NAMES[run.status], event=event,
            events=run.body.events, correlation_id=correlation, error=failure, result=None if cancelled else run.output,
        )  # fmt: skip
        sessions = lifecycle.sessions(event)
        core.inbox.append(internal(core, lifecycle.FINISHED, data, sessions=sessions, correlation_id=correlation))
        if failed or cancelled:
            name = lifecycle.FAILED if failed else lifecycle.CANCELLED
            core.inbox.append(internal(core, name, data, external_id=run.id, sessions=sessions))


def internal(
    core: Core, name: str, data: bytes, *, external_id: str = "", sessions: bytes = b"", correlation_id: str = ""
) -> Event:
    """Return an event that the server itself sends. One with an id of its own starts a function once."""
    id = core.new_id(core.now)
    json = render_event(name, external_id or id, core.now, data, sessions=sessions)
    return Event(
        id, name, external_id or id, core.now, core.now, json, deduplicated=bool(external_id),
        correlation_id=correlation_id, sessions=sessions,
    )  # fmt: skip


def _release_defers(core: Core, run: Run) -> None:
    """Publish one `inngest/deferred.schedule` per defer that is still pending (`protocol/execution.md` §5.5)."""
    for hashed, defer in (run.state.defers or {}).items():
        if defer.status == "after_run":
            data = _deferred_data(core, run, defer.function_slug, bytes(defer.input))
            entropy = int(xxh36(f"defer-event:{run.id}:{hashed}"), 36)
            id = ulid(ulid_time(run.id), entropy)
            sessions = merge_sessions(bytes(defer.meta))
            core.inbox.append(internal(core, lifecycle.DEFERRED, data, external_id=id, sessions=sessions))


def _deferred_data(core: Core, run: Run, target: str, given: bytes) -> bytes:
    function = core.function(run)
    link = msgspec.json.encode({
        "fn_slug": target,
        "parent_app_id": run.app_id,
        "parent_fn_id": run.function_id,
        "parent_fn_slug": function.slug if function else "",
        "parent_run_id": run.id,
        "parent_defer_span": {},
    })  # fmt: skip
    inner = given.strip()[1:-1].strip()
    return b'{"_inngest":' + link + (b"," + inner if inner else b"") + b"}"
