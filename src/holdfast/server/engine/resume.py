"""Ending a pause: by its event, its signal, its invoked function, or its time."""

from __future__ import annotations

import msgspec

from holdfast.protocol.events import Event
from holdfast.server.engine import lifecycle, waitinfo
from holdfast.server.engine.core import Cancellation, Core
from holdfast.server.engine.run import Run
from holdfast.server.engine.steps import discover, fail, state_overflow
from holdfast.server.model.job import Job, JobKind, Pause, PauseKind
from holdfast.server.model.span import Span
from holdfast.server.model.status import SpanStatus

NULL = b"null"
INVOKE_TIMEOUT = (
    b'{"error":{"error":"InngestInvokeTimeoutError: Timed out waiting for invoked function to complete",'
    b'"name":"InngestInvokeTimeoutError","message":"Timed out waiting for invoked function to complete"}}'
)


def by_event(core: Core, event: Event, pause: Pause) -> None:
    """End a wait that the event matches, or cancel the run that it cancels.

    The order of arrival decides, not the event's id: that may hold the time of a sender whose clock is behind.
    """
    run = core.runs.get(pause.run_id)
    if run is None or pause.expires < core.now or not run.holds(pause):
        return
    if pause.kind is PauseKind.CANCEL:
        if event.id != pause.trigger:
            core.cancellations.append(Cancellation(run.id, event.id))
    else:
        _end(core, run, pause, event.json, SpanStatus.COMPLETED, {**waitinfo.of_pause(pause), "found": event.id})


def by_finish(core: Core, event: Event) -> None:
    """End the invoke that an `inngest/function.finished` answers; `error` is looked at before `result`."""
    pause = core.waits.correlations.get(event.correlation_id)
    if pause is None:
        return
    run = core.runs[pause.run_id]
    output, failed = lifecycle.invoke_result(event.json)
    info = {**waitinfo.of_pause(pause), "return_event": event.id}
    _end(core, run, pause, output, SpanStatus.FAILED if failed else SpanStatus.COMPLETED, info)


def by_signal(core: Core, name: str, data: bytes) -> str | None:
    """End the wait for a signal. Returns the run's id, or None when none waits."""
    pause = core.waits.signals.get(name)
    if pause is None or pause.expires < core.now:
        return None
    output = b'{"data":{"data":%s,"signal":%s}}' % (data, msgspec.json.encode(name))
    _end(core, core.runs[pause.run_id], pause, output, SpanStatus.COMPLETED, waitinfo.of_pause(pause))
    return pause.run_id


def by_time(core: Core, pause: Pause) -> None:
    """End a pause whose time is over."""
    run = core.runs.get(pause.run_id)
    if run is None or not run.holds(pause):
        return
    output = INVOKE_TIMEOUT if pause.kind is PauseKind.INVOKE else NULL
    _end(core, run, pause, output, SpanStatus.TIMED_OUT, {**waitinfo.of_pause(pause), "timed_out": True})


def wake(core: Core, job: Job) -> None:
    """A timer of a job is due: a sleep ends, anything else goes to the queue."""
    run = core.runs.get(job.run_id)
    if run is None or not run.holds(job):
        return
    if job.kind is not JobKind.SLEEP or not job.step:
        core.enqueue(core.entry(run, job))
        return
    span = Span(
        "step", SpanStatus.COMPLETED, job.step_queued_at, job.step_queued_at, core.now, job.name, job.step, "Sleep",
        job=job.id, info={"until": job.due},
    )  # fmt: skip
    core.memoise(run, job.step, NULL, span)
    core.close(run, job)
    discover(core, run, job.step, race=job.race)


def _end(core: Core, run: Run, pause: Pause, output: bytes, status: SpanStatus, info: waitinfo.Info) -> None:
    core.close(run, pause)
    limit = core.state_limit(run)
    if run.state_size + len(output) > limit:
        fail(core, run, state_overflow(limit))
        return
    op = {PauseKind.EVENT: "WaitForEvent", PauseKind.INVOKE: "InvokeFunction"}.get(pause.kind, "WaitForSignal")
    span = Span(
        "step", status, pause.created_at, pause.created_at, core.now, pause.name, pause.step, op, info=info,
    )  # fmt: skip
    core.memoise(run, pause.step, output, span)
    suffix = "-timeout" if status is SpanStatus.TIMED_OUT else "-event"
    discover(core, run, pause.step, race=pause.race, suffix=suffix)
