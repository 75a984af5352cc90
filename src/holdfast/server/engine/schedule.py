"""Scheduling a run: from an event, a cron tick, an invocation or a rerun to a run with its first job."""

from __future__ import annotations

from sys import intern

import msgspec

from holdfast.protocol import limits
from holdfast.protocol.durations import DurationError, parse_timeout
from holdfast.protocol.events import Event
from holdfast.protocol.functions import Scope, SingletonMode
from holdfast.protocol.ids import shortened
from holdfast.server.engine import lifecycle
from holdfast.server.engine.core import Cancellation, Core
from holdfast.server.engine.flow import keys, timeouts
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.engine.flow.throttle import throttle_prefix
from holdfast.server.engine.registry import Function
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


def schedule(core: Core, request: Request) -> Run | None:
    """Create the run with its first job, its cancel pauses and its rows. None for a duplicate or a skipped run."""
    if request.key and core.seen.holds(dedupe_key(request), core.now):
        return None
    run = begin(core, request)
    return None if run.status is RunStatus.SKIPPED else run


def begin(core: Core, request: Request) -> Run:
    """Create the run, which may be a skipped one."""
    run = _create(core, request)
    if _skipped(core, run, request):
        return run
    if request.key:
        remember(core, dedupe_key(request), run.id)
    core.runs[run.id] = run
    core.changes.new_runs[run.id] = run
    core.changes.event_runs += [(event.id, run.id) for event in request.events]
    if not request.batch_id:
        _pause_for_cancels(core, run, request.function, request.events[0])
    _open_first_job(core, run, request)
    _link(core, run, request.events)
    if core.bulk.open:
        core.cancellations += [Cancellation(run.id, cause) for cause in core.bulk.meeting(run, core.now)]
    return run


def dedupe_key(request: Request) -> str:
    """Return the idempotency key of a request within all functions."""
    return f"{request.function.id}:{shortened(request.key)}"


def _open_first_job(core: Core, run: Run, request: Request) -> None:
    if request.endpoint is not None:
        run.status, run.started_at = RunStatus.RUNNING, core.now
        core.new_job(run, JobKind.SYNC, "")
        return
    core.push(run, core.new_job(run, JobKind.START, "", due=max(core.now, request.due)))
    if request.function.config.timeouts is not None:
        timeouts.arm(timeouts.START, request.function.config, run, core.queue.timers)


def _link(core: Core, run: Run, events: list[Event]) -> None:
    """Tie the run to the run that deferred it, and to those that invoked it."""
    if events[0].name == lifecycle.DEFERRED:
        run.detail.deferred_from = lifecycle.parent_of(events[0].json)
    for event in events:
        if event.invocation and event.invocation.correlation_id:
            _tell_invoker(core, run, event.invocation.correlation_id)


def _skipped(core: Core, run: Run, request: Request) -> bool:
    """Whether the run must not start: its function skips runs while paused, or another run holds its singleton."""
    function = request.function
    if core.pausing.modes.get(function.id) is Mode.SKIP:
        _skip(core, run, request, "FunctionPaused")
        return True
    singleton = function.config.singleton
    if singleton is None:
        return False
    activation = core.activation(request.events[0].json)
    key = core.singletons.key(singleton, function.id, activation)
    if not key:
        return False
    holder = core.singletons.holders.get(key)
    if holder is not None and holder in core.runs:
        if singleton.mode is SingletonMode.SKIP:
            _skip(core, run, request, "Singleton", holder)
            return True
        core.cancellations.append(Cancellation(holder, request.events[0].id))
    run.state.singleton = key
    core.singletons.holders[key] = run.id
    return False


def _skip(core: Core, run: Run, request: Request, reason: str, existing: str = "") -> None:
    """Record a run that never starts, and why."""
    run.status, run.ended_at = RunStatus.SKIPPED, core.now
    run.detail.skip_reason, run.detail.skip_existing_run = reason, existing
    core.changes.new_runs[run.id] = run
    core.changes.event_runs += [(event.id, run.id) for event in request.events]


def remember(core: Core, key: str, run_id: str = "") -> None:
    """Make the next one of the same key a duplicate, for a day; `run_id` is kept for who asks what was the first."""
    core.changes.forgotten += [(old,) for old in core.seen.forget(core.now, most=2)]
    expires = core.now + limits.IDEMPOTENCY_MS
    core.seen.add(key, expires)
    core.changes.idempotency.append((key, run_id, expires))


def _create(core: Core, request: Request) -> Run:
    function, events = request.function, request.events
    endpoint = request.endpoint
    run = Run(endpoint.run_id if endpoint else core.new_id(core.now), function.id, function.app_id, core.now)
    if endpoint is not None:
        run.state.sync_url, run.state.sync_method = endpoint.url, endpoint.method
        run.state.request_version = endpoint.request_version
    if function.max_attempts != limits.DEFAULT_RETRIES + 1:
        run.state.attempts = function.max_attempts
    run.event_name = intern(events[0].name)
    run.cron = request.cron
    run.batch_id = request.batch_id
    run.original_run_id = request.original_run_id
    run.body = Body([e.json for e in events], event_ids=tuple(e.id for e in events))
    run.state_size = sum(len(e.json) for e in events)
    run.detail = RunDetail(
        function_version=function.version, key=request.key or run.id, debug_run_id=request.debug_run_id,
        debug_session_id=request.debug_session_id, trace=events[0].trace,
    )  # fmt: skip
    _evaluate_keys(core, run, function, events[0])
    return run


def _evaluate_keys(core: Core, run: Run, function: Function, event: Event) -> None:
    """Evaluate concurrency keys, throttle key and priority once, from the first event."""
    config = function.config
    keyed = [("", item) for item in config.concurrency.steps if item.key]
    keyed += [("run-", item) for item in config.concurrency.runs if item.key]
    if not keyed and not config.priority and config.throttle is None:
        return
    activation = core.activation(event.json)
    if keyed:
        run.state.keys = [
            f"{prefix}{item.scope}:{item.hash}:{_owner(run, item.scope)}:{keys.value(item.key, activation)}"
            for prefix, item in keyed
        ]
    if config.throttle is not None:
        bucket = keys.bucket(function.id, config.throttle.key, activation)
        run.state.throttle = throttle_prefix(config.throttle) + bucket
    if config.priority:
        run.state.priority = _priority(config.priority, activation)


def _owner(run: Run, scope: Scope) -> str:
    return run.function_id if scope == Scope.FUNCTION else ""


def _priority(expression: str, activation: Activation) -> int:
    try:
        value = compile(expression).evaluate(activation)
    except ExpressionError:
        return 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # numbers of events are doubles: `event.data.priority` is meant as it is written
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
