"""The gates between an accepted event and a run, in their order (`protocol/flow-control.md` §2.1).

Duplicates, then the batch (which waits for its own time), rate limit, debounce (which waits as well), and singleton and
pause, which record a skipped run. Throttle and concurrency hold a run's first job back in the queue, they start nothing
less.
"""

from __future__ import annotations

import msgspec

from holdfast.protocol.events import Event
from holdfast.protocol.functions import Batch
from holdfast.server.engine import finish, lifecycle
from holdfast.server.engine.core import Core
from holdfast.server.engine.flow import keys
from holdfast.server.engine.flow.batch import Full
from holdfast.server.engine.registry import Function, Listener
from holdfast.server.engine.run import Run
from holdfast.server.engine.schedule import Request, dedupe_key, remember, schedule
from holdfast.server.expressions import Activation, ExpressionError, compile


def listen(core: Core, event: Event, listener: Listener, activation: Activation) -> Run | None:
    """Offer the event to a function if one of its triggers holds for it."""
    if _holds(listener, activation):
        return offer(core, for_event(listener.function, event), activation)
    return None


def for_event(function: Function, event: Event) -> Request:
    """Return the run that one event asks of a function; a future `ts` delays it."""
    invocation = event.invocation
    return Request(
        function, [event],
        key=event.external_id if event.deduplicated else "",
        due=0 if event.internal else event.ts,
        debug_run_id=invocation.debug_run_id if invocation else "",
        debug_session_id=invocation.debug_session_id if invocation else "",
    )  # fmt: skip


def offer(core: Core, request: Request, activation: Activation | None = None) -> Run | None:
    """Take a request through the gates. None if nothing starts now."""
    config, event = request.function.config, request.events[0]
    if config.batch is None and config.rate_limit is None and config.debounce is None:
        return schedule(core, request)
    if activation is None:
        activation = core.activation(event.json)
    if config.batch is not None and not request.cron and _batched(config.batch, activation):
        return _append(core, config.batch, request, activation)
    if request.key and core.seen.holds(dedupe_key(request), core.now):
        return None
    function_id = request.function.id
    if config.rate_limit is not None and not core.rate_limits.admit(
        config.rate_limit, function_id, activation, core.changes, core.now
    ):
        _tell_limited(core, event)
        return None
    if config.debounce is not None and config.debounce.period_ns:
        bucket = keys.bucket(function_id, config.debounce.key, activation)
        core.debounces.hold(
            config.debounce, bucket, function_id, event, request.cron, core.queue.timers, core.changes, core.now
        )  # fmt: skip
        return None
    return schedule(core, request)


def fire_debounce(core: Core, bucket: str) -> None:
    """A debounce may be due: its last event starts the run, past all gates but singleton and pause."""
    ended = core.debounces.take(bucket, core.queue.timers, core.changes, core.now)
    if ended is None:
        return
    pending, event = ended
    function = core.registry.functions.get(pending.function_id)
    if function is not None:
        request = for_event(function, event)
        schedule(core, msgspec.structs.replace(request, key="", due=0, cron=pending.cron))


def fire_batch(core: Core, bucket: str) -> None:
    """A batch may be due."""
    full = core.batches.take(bucket, core.queue.timers, core.changes, core.now)
    if full is not None:
        _start_batch(core, full)


def _append(core: Core, batch: Batch, request: Request, activation: Activation) -> Run | None:
    function, event = request.function, request.events[0]
    if request.key and not _first(core, f"{function.id}:batched:{event.id}"):
        return None
    full = core.batches.append(
        batch, keys.bucket(function.id, batch.key, activation), function.id, event, core.new_id, core.queue.timers,
        core.changes, core.now,
    )  # fmt: skip
    return _start_batch(core, full) if full is not None else None


def _first(core: Core, key: str) -> bool:
    """Whether an event comes to a batch for the first time: a request that is repeated with its seed has the same."""
    if core.seen.holds(key, core.now):
        return False
    remember(core, key)
    return True


def _start_batch(core: Core, full: Full) -> Run | None:
    function = core.registry.functions.get(full.function_id)
    if function is None:
        return None
    return schedule(core, Request(function, full.events, batch_id=full.batch_id))


def _batched(batch: Batch, activation: Activation) -> bool:
    """Return whether an event goes into a batch: one that the condition excludes, or breaks on, runs by itself."""
    if not batch.condition:
        return True
    try:
        return compile(batch.condition).is_true(activation)
    except ExpressionError:
        return False


def _tell_limited(core: Core, event: Event) -> None:
    """An invoker must not wait for a run that a rate limit prevented."""
    invocation = event.invocation
    if invocation is not None and invocation.correlation_id:
        data = lifecycle.unknown_function_data(invocation.correlation_id, "invoked function is rate limited")
        answer = finish.internal(core, lifecycle.FINISHED, data, correlation_id=invocation.correlation_id)
        core.inbox.append(answer)


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
