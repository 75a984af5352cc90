"""What each opcode does (`protocol/execution.md` §4.3)."""

from __future__ import annotations

from collections.abc import Callable
from sys import intern
from typing import TypeVar

import msgspec
from msgspec import Raw

from holdfast.protocol import limits
from holdfast.protocol.dates import sleep_until
from holdfast.protocol.durations import DurationError, parse_timeout
from holdfast.protocol.errors import server_error
from holdfast.protocol.events import Invocation, render_event, with_invocation
from holdfast.protocol.opcodes import Op, Opcode
from holdfast.protocol.sessions import merge_sessions
from holdfast.protocol.tracing import invoker
from holdfast.server.engine import defers, finish, lifecycle
from holdfast.server.engine.changes import Perform
from holdfast.server.engine.core import Core
from holdfast.server.engine.run import Run
from holdfast.server.engine.steps import (
    REDRIVE_MS,
    Answer,
    FailEarly,
    OpError,
    check_plans,
    discover,
    not_executed,
    retry_due,
    state_overflow,
)
from holdfast.server.expressions import ExpressionError, check_wait, interpolate
from holdfast.server.model.event import Event
from holdfast.server.model.job import JobKind, Pause, PauseKind
from holdfast.server.model.span import Span
from holdfast.server.model.status import RunStatus, SpanStatus

T = TypeVar("T")

#: How often in a row calls that were to execute a step may be answered with plans instead.
MAX_UNEXECUTED = 10


def apply(answer: Answer, op: Op) -> None:
    """Apply one op. Raises FailEarly or OpError."""
    _HANDLERS[op.op](answer, op)


def save(answer: Answer, op: Op, output: bytes, status: SpanStatus) -> bool:
    """Memoise what an op completed, after the size check. False: it was there already, and stays as it was."""
    run, limit = answer.run, answer.core.state_limit(answer.run)
    assert run.body is not None
    if op.id in run.body.steps:
        answer.repeated = True
        return False
    if run.state_size + len(output) > limit:
        raise FailEarly(state_overflow(limit))
    other = run.opened(op.id)
    if other is not None and other is not answer.job:  # planned for a call of its own, which must not be made any more
        answer.core.close(run, other)
    return answer.core.memoise(run, op.id, output, answer.span(op, status))


def _step_run(answer: Answer, op: Op) -> None:
    output = b'{"data":' + (op.data or b"null") + b"}"
    if save(answer, op, output, SpanStatus.COMPLETED):
        answer.complete(op)


def _step(answer: Answer, op: Op) -> None:
    if save(answer, op, op.data or b"null", SpanStatus.COMPLETED):
        answer.complete(op)


def _step_error(answer: Answer, op: Op) -> None:
    job, outcome = answer.job, answer.outcome
    if outcome.no_retry or job.attempt + 1 >= job.max_attempts:
        _step_failed(answer, op)
        return
    output = b'{"error":' + (op.error or b"{}") + b"}"
    answer.core.record(answer.run, answer.span(op, SpanStatus.ERRORED), output)
    answer.retry = outcome.retry_at or retry_due(answer.core, job.attempt)


def _step_failed(answer: Answer, op: Op) -> None:
    output = b'{"error":' + (op.error or b"{}") + b"}"
    if save(answer, op, output, SpanStatus.FAILED):
        answer.complete(op, failed=True)


def _step_planned(answer: Answer, op: Op) -> None:
    if _known(answer, op):
        return
    core, run, asked = answer.core, answer.run, answer.job
    unexecuted = asked.idle + 1 if op.id in answer.planned else 0
    if unexecuted > MAX_UNEXECUTED:
        raise FailEarly(not_executed(asked.name or asked.step))
    job = core.new_job(
        run, JobKind.EDGE, f"-{op.id}-plan", due=core.now + REDRIVE_MS if unexecuted > 1 else 0, step=op.id,
        outgoing=asked.outgoing, race=op.race, name=op.display, step_queued_at=core.now,
    )  # fmt: skip
    job.idle = unexecuted
    core.push(run, job)


def _sleep(answer: Answer, op: Op) -> None:
    if _known(answer, op):
        return
    core, run = answer.core, answer.run
    text = _opts(op, _SleepOpts).duration or op.name
    try:
        due = sleep_until(text, core.now) if text else core.now
    except ValueError as error:
        raise OpError(f"error handling generator response: {error}") from error
    if due - core.now > limits.MAX_WAIT_MS:
        raise FailEarly(_too_long("sleep"))
    job = core.new_job(
        run, JobKind.SLEEP, f"-{op.id}", due=due, step=op.id, outgoing=answer.job.outgoing, race=op.race,
        name=op.display, step_queued_at=core.now,
    )  # fmt: skip
    job.counted = sleep_until(text, core.now + 1) == due + 1
    core.queue.timers.add(due, job)


def _wait_for_event(answer: Answer, op: Op) -> None:
    if _known(answer, op):
        return
    core, run = answer.core, answer.run
    opts = _opts(op, _WaitOpts)
    name = opts.event or op.name
    if not name:
        raise OpError("error handling generator response: event name is required")
    source = opts.condition or ""
    pause = _pause(answer, op, PauseKind.EVENT, opts.timeout or "", 0)
    pause.event, pause.expression = intern(name), _interpolated(run, source)
    core.open_pause(run, pause)


def _wait_for_signal(answer: Answer, op: Op) -> None:
    if _known(answer, op):
        return
    core, run = answer.core, answer.run
    opts = _opts(op, _SignalOpts)
    if not opts.signal:
        raise OpError("error handling generator response: signal is required")
    holder = core.waits.signals.get(opts.signal)
    if holder is not None and holder.expires >= core.now and opts.conflict != "replace":
        message = "Signal conflict; signal wait already exists for another run"
        raise FailEarly(server_error("Error", message, f"Error: {message}"))
    pause = _pause(answer, op, PauseKind.SIGNAL, opts.timeout or "", limits.DEFAULT_WAIT_MS)
    pause.key = opts.signal
    if holder is not None:
        _displace(core, holder)
    core.open_pause(run, pause)


def _displace(core: Core, holder: Pause) -> None:
    """Take a signal away from a wait: it can only run into its timeout, after a restart too."""
    core.waits.remove(holder)
    holder.lost, holder.key = holder.key, ""
    core.changes.pauses[holder.run_id, holder.no] = holder


def _invoke(answer: Answer, op: Op) -> None:
    if _known(answer, op):
        return
    core, run = answer.core, answer.run
    opts = _opts(op, _InvokeOpts)
    if not opts.function_id:
        raise OpError("error handling generator response: function_id is required")
    payload = opts.payload or _Payload()
    try:
        sessions = merge_sessions(bytes(payload.meta))
    except ValueError as problem:
        _refuse_invoke(answer, op, str(problem))
        return
    pause = _pause(answer, op, PauseKind.INVOKE, opts.timeout or "", limits.DEFAULT_WAIT_MS)
    event = _invocation(core, run, op, opts, payload, sessions, pause.expires)
    pause.key, pause.function, pause.trigger = f"{run.id}.{op.id}", opts.function_id, event.id
    core.open_pause(run, pause)
    core.inbox.append(event)


def _refuse_invoke(answer: Answer, op: Op, problem: str) -> None:
    """Fail an invocation that no other attempt would mend; user code may catch it."""
    now = answer.core.now
    span = Span("step", SpanStatus.FAILED, now, now, now, op.display, op.id, op.op.value)
    answer.core.memoise(answer.run, op.id, server_error("Error", problem, problem), span)
    answer.complete(op, failed=True)


def _gateway(answer: Answer, op: Op) -> None:
    """The server makes the HTTP exchange itself, as a job of its own, so that siblings go on and a crash repeats it."""
    core, run, job = answer.core, answer.run, answer.job
    assert run.body is not None
    if op.id in run.body.steps:
        return
    known = run.opened(op.id)
    if known is None:
        check_plans(core, run)
    if known is None and answer.alone:
        held = core.new_job(
            run, JobKind.EDGE, f"-{op.id}-plan", no=job.no, attempt=job.attempt, attempts=job.max_attempts, step=op.id,
            outgoing=job.outgoing, race=op.race, name=op.display, step_queued_at=core.now, op=op.op.value,
        )  # fmt: skip
        core.hand_over(job, held)
    elif known is job:
        held = job if core.leased(job) else core.reopen(run, job)
    elif known is None:
        held = core.new_job(
            run, JobKind.EDGE, f"-{op.id}-plan", step=op.id, outgoing=job.outgoing, race=op.race, name=op.display,
            step_queued_at=core.now, op=op.op.value,
        )  # fmt: skip
    else:
        return
    answer.kept = answer.kept or held.no == job.no
    core.changes.effects.append(Perform(run, held, op))


def _run_complete(answer: Answer, op: Op) -> None:
    run = answer.run
    run.detail.op = op.id
    output = op.data or b"null"
    answer.core.record(run, _completion(answer, op, SpanStatus.COMPLETED), output)
    finish.finish(answer.core, run, RunStatus.COMPLETED, output)


def _sync_run_complete(answer: Answer, op: Op) -> None:
    run = answer.run
    run.detail.op = op.id
    output = op.data or b"null"
    try:
        result = msgspec.json.decode(output, type=_SyncResult)
    except msgspec.ValidationError as error:
        raise OpError(f"error handling generator response: {error}") from error
    result = result.data or result
    failed = result.status >= 500
    status = RunStatus.FAILED if failed else RunStatus.COMPLETED
    answer.core.record(run, _completion(answer, op, SpanStatus.FAILED if failed else SpanStatus.COMPLETED), output)
    finish.finish(answer.core, run, status, output, "" if not failed else f"invalid status code: {result.status}")


def _discovery_request(answer: Answer, op: Op) -> None:
    check_plans(answer.core, answer.run)
    discover(answer.core, answer.run, op.id, race=True)


def _none(answer: Answer, op: Op) -> None:
    """Nothing to do: the end of this thread of the run."""


def _completion(answer: Answer, op: Op, status: SpanStatus) -> Span:
    span = answer.span(op, status)
    return msgspec.structs.replace(span, kind="function", call=answer.call)


# --- helpers ----------------------------------------------------------------------------------------------------------


_NONE = Raw(b"null")


class _SleepOpts(msgspec.Struct):
    duration: str | None = None


class _WaitOpts(msgspec.Struct):
    event: str | None = None
    timeout: str | None = None
    condition: str | None = msgspec.field(name="if", default=None)


class _SignalOpts(msgspec.Struct):
    signal: str | None = None
    timeout: str | None = None
    conflict: str | None = None


class _Payload(msgspec.Struct):
    data: Raw = _NONE
    user: Raw = _NONE
    v: str | None = None
    id: str | None = None
    ts: int | None = None
    meta: Raw = _NONE


class _InvokeOpts(msgspec.Struct):
    function_id: str | None = None
    payload: _Payload | None = None
    timeout: str | None = None


class _SyncResult(msgspec.Struct):
    status: int = 200
    data: _SyncResult | None = None


def _opts(op: Op, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(op.opts or b"{}", type=shape)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise OpError(f"error handling generator response: invalid opts of {op.op}: {error}") from error


def _known(answer: Answer, op: Op) -> bool:
    """Return whether the step was reported before: SDKs repeat unfinished siblings on later discoveries."""
    run = answer.run
    assert run.body is not None
    if op.id in run.body.steps or run.opened(op.id) is not None:
        return True
    check_plans(answer.core, run)
    return False


def _pause(answer: Answer, op: Op, kind: PauseKind, timeout: str, default: int) -> Pause:
    """Make a wait; `default` (ms) is how long it lasts without a timeout."""
    run, now = answer.run, answer.core.now
    expires = _expiry(now, timeout, default)
    if kind is not PauseKind.INVOKE and expires - now > limits.MAX_WAIT_MS:
        raise FailEarly(_too_long("wait"))
    return Pause(
        run.id, run.number(), kind, expires, now, intern(op.id), intern(op.display), race=op.race,
        counted=_expiry(now + 1, timeout, default) == expires + 1,
    )  # fmt: skip


def _expiry(now: int, timeout: str, default: int) -> int:
    if not timeout:
        return now + default
    try:
        return parse_timeout(timeout, now)
    except DurationError as error:
        raise OpError(f"error handling generator response: {error}") from error


def _too_long(what: str) -> bytes:
    name = "InngestErrTimeoutTooLong"
    message = f"The {what} is longer than the maximum of 366 days."
    return server_error(name, message, f"{name}: {message}")


def _interpolated(run: Run, source: str) -> str:
    """Return the wait's expression with the trigger event's values put in."""
    if not source:
        return ""
    problem = check_wait(source)
    if problem is not None:
        message = "Wait for event If expression failed to compile"
        raise FailEarly(server_error("InvalidExpression", message, f"InvalidExpression: {message}", problem))
    if "event." not in source:
        return source
    assert run.body is not None
    try:
        return interpolate(source, run.body.events[0]).text
    except ExpressionError as error:
        raise FailEarly(server_error("CompileError", str(error), f"CompileError: {error}")) from error


def _invocation(
    core: Core, run: Run, op: Op, opts: _InvokeOpts, payload: _Payload, sessions: bytes, expires: int
) -> Event:
    function = core.function(run)
    link = Invocation(
        fn_id=opts.function_id or "", correlation_id=f"{run.id}.{op.id}", expire=expires, name=op.display,
        source_app_id=run.app_id, source_fn_id=run.function_id, source_fn_v=function.version if function else 0,
        debug_session_id=run.detail.debug_session_id, debug_run_id=run.detail.debug_run_id,
    )  # fmt: skip
    data = with_invocation(_object(payload.data), link)
    id = core.new_id(core.now)
    json = render_event(
        lifecycle.INVOKED, payload.id or id, core.now, data, user=_object(payload.user),
        v=msgspec.json.encode(payload.v) if payload.v else b"", sessions=sessions,
    )  # fmt: skip
    return Event(
        id, lifecycle.INVOKED, payload.id or id, core.now, core.now, json, deduplicated=bool(payload.id),
        invocation=link, sessions=sessions,
        trace=invoker(run.id, op.id, run.detail.trace),
    )  # fmt: skip


def _object(raw: Raw) -> bytes:
    """Return an object as sent; anything else becomes an empty one."""
    sent = bytes(raw).strip()
    return sent if sent[:1] == b"{" else b"{}"


_HANDLERS: dict[Opcode, Callable[[Answer, Op], None]] = {
    Opcode.NONE: _none,
    Opcode.STEP: _step,
    Opcode.STEP_RUN: _step_run,
    Opcode.STEP_ERROR: _step_error,
    Opcode.STEP_FAILED: _step_failed,
    Opcode.STEP_PLANNED: _step_planned,
    Opcode.SLEEP: _sleep,
    Opcode.WAIT_FOR_EVENT: _wait_for_event,
    Opcode.WAIT_FOR_SIGNAL: _wait_for_signal,
    Opcode.INVOKE: _invoke,
    Opcode.AI_GATEWAY: _gateway,
    Opcode.GATEWAY: _gateway,
    Opcode.RUN_COMPLETE: _run_complete,
    Opcode.SYNC_RUN_COMPLETE: _sync_run_complete,
    Opcode.DISCOVERY_REQUEST: _discovery_request,
    Opcode.DEFER_ADD: defers.add,
    Opcode.DEFER_ABORT: defers.abort,
}
