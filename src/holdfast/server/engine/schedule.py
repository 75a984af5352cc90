"""Scheduling a run: from an event, a cron tick, an invocation or a rerun to a run with its first job."""

from __future__ import annotations

import msgspec

from holdfast.protocol import limits
from holdfast.protocol.durations import DurationError, parse_timeout
from holdfast.protocol.events import Event
from holdfast.protocol.functions import Scope
from holdfast.server.engine import lifecycle
from holdfast.server.engine.core import Core
from holdfast.server.engine.registry import Function, Listener
from holdfast.server.engine.run import Body, Run
from holdfast.server.expressions import Activation, ExpressionError, compile, interpolate
from holdfast.server.model.job import JobKind, Pause, PauseKind
from holdfast.server.model.run import RunDetail
from holdfast.server.model.status import RunStatus


class Request(msgspec.Struct, gc=False):
    """A run that is asked for."""

    function: Function
    events: list[Event]
    key: str = ""  # idempotency key; "" = never a duplicate
    cron: str = ""
    due: int = 0  # when the first call is due, ms; 0 = now
    original_run_id: str = ""
    batch_id: str = ""
    debug_run_id: str = ""
    debug_session_id: str = ""
    endpoint: Endpoint | None = None


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """A durable endpoint's own process drives the run, under an id that it chose (`protocol/execution.md` §5.3)."""

    run_id: str
    url: str  # with its query: where the run is taken up again, should its process let go of it
    method: str
    request_version: int


def by_event(core: Core, event: Event, listeners: tuple[Listener, ...], activation: Activation) -> list[Run]:
    """Starts each function whose first matching trigger holds for the event."""
    started: list[Run] = []
    for listener in listeners:
        if _holds(listener, activation):
            run = schedule(core, for_event(listener.function, event))
            if run is not None:
                started.append(run)
    return started


def for_event(function: Function, event: Event) -> Request:
    """The run that one event asks of a function; a future `ts` delays it."""
    invocation = event.invocation
    return Request(
        function, [event],
        key=event.external_id if event.deduplicated else "",
        due=0 if event.internal else event.ts,
        debug_run_id=invocation.debug_run_id if invocation else "",
        debug_session_id=invocation.debug_session_id if invocation else "",
    )  # fmt: skip


def schedule(core: Core, request: Request) -> Run | None:
    """Creates the run with its first job, its cancel pauses and its rows. None for a duplicate."""
    function, first = request.function, request.events[0]
    if request.key and not _first_time(core, f"{function.id}:{request.key}"):
        return None
    run = _create(core, request)
    core.runs[run.id] = run
    core.changes.new_runs[run.id] = run
    for event_id in run.event_ids:
        core.changes.event_runs.append((event_id, run.id))
    if not request.batch_id:
        _pause_for_cancels(core, run, function, first)
    if request.endpoint is None:
        core.push(run, core.new_job(run, JobKind.START, "", due=max(core.now, request.due)))
    else:
        run.status, run.started_at = RunStatus.RUNNING, core.now
        core.new_job(run, JobKind.SYNC, "")
    if first.name == lifecycle.DEFERRED:
        run.detail.deferred_from = lifecycle.parent_of(first.json)
    if first.invocation and first.invocation.correlation_id:
        _tell_invoker(core, run, first.invocation.correlation_id)
    return run


def _holds(listener: Listener, activation: Activation) -> bool:
    for condition in listener.conditions:
        if not condition:
            return True
        try:
            if compile(condition).is_true(activation):
                return True
        except ExpressionError:
            continue
    return False


def _first_time(core: Core, key: str) -> bool:
    if core.seen.holds(key, core.now):
        return False
    core.changes.forgotten += [(old,) for old in core.seen.forget(core.now, most=2)]
    expires = core.now + limits.IDEMPOTENCY_MS
    core.seen.add(key, expires)
    core.changes.idempotency.append((key, "", expires))
    return True


def _create(core: Core, request: Request) -> Run:
    function, events = request.function, request.events
    endpoint = request.endpoint
    run = Run(endpoint.run_id if endpoint else core.new_id(core.now), function.id, function.app_id, core.now)
    if endpoint is not None:
        run.state.sync_url, run.state.sync_method = endpoint.url, endpoint.method
        run.state.request_version = endpoint.request_version
    run.event_ids = tuple(e.id for e in events)
    run.event_name = events[0].name
    run.cron = request.cron
    run.batch_id = request.batch_id
    run.original_run_id = request.original_run_id
    run.body = Body([e.json for e in events])
    run.state_size = sum(len(e.json) for e in events)
    run.detail = RunDetail(
        function_version=function.version, key=request.key or run.id, debug_run_id=request.debug_run_id,
        debug_session_id=request.debug_session_id,
    )  # fmt: skip
    _evaluate_keys(run, function, events[0], core.now)
    return run


def _evaluate_keys(run: Run, function: Function, event: Event, now: int) -> None:
    """Evaluates concurrency keys and priority once, from the first event."""
    keyed = [item for item in function.config.concurrency.steps if item.key]
    priority = function.config.priority
    if not keyed and not priority:
        return
    activation = Activation(event.json, None, now_ms=now)
    if keyed:
        run.state.keys = [
            f"{item.scope}:{item.hash}:{_owner(run, item.scope)}:{_value(item.key, activation)}" for item in keyed
        ]
    if priority:
        run.state.priority = _priority(priority, activation)


def _owner(run: Run, scope: Scope) -> str:
    return run.function_id if scope == Scope.FUNCTION else ""


def _value(expression: str, activation: Activation) -> str:
    try:
        return compile(expression).key(activation)
    except ExpressionError:
        return ""


def _priority(expression: str, activation: Activation) -> int:
    try:
        value = compile(expression).evaluate(activation)
    except ExpressionError:
        return 0
    if type(value) is not int:
        return 0
    return max(-43_200, min(43_200, value))


def _pause_for_cancels(core: Core, run: Run, function: Function, event: Event) -> None:
    for cancel in function.config.cancel:
        text = cancel.condition
        never = False
        if "event." in text:
            try:
                folded = interpolate(text, event.json)
                text, never = folded.text, folded.never
            except ExpressionError:
                pass  # the original text is evaluated instead (flow-control.md §3.6)
        if not never:
            pause = Pause(
                run.id, run.number(), PauseKind.CANCEL, _lifetime(core, cancel.timeout), core.now, event=cancel.event,
                expression=text, trigger=event.id,
            )  # fmt: skip
            core.open_pause(run, pause)


def _lifetime(core: Core, timeout: str) -> int:
    if not timeout:
        return core.now + limits.DEFAULT_WAIT_MS
    try:
        return parse_timeout(timeout, core.now)
    except DurationError:
        return core.now + limits.DEFAULT_WAIT_MS


def _tell_invoker(core: Core, child: Run, correlation_id: str) -> None:
    child.detail.correlation_id = correlation_id
    pause = core.waits.correlations.get(correlation_id)
    if pause is not None and not pause.child:
        pause.child = child.id
        core.changes.pauses[pause.run_id, pause.no] = pause
