"""Why an event has started nothing (yet): what is pending, and what can be told of the functions that listen.

An event that was refused by a rate limit leaves no trace, so that limits stay cheap: this can only name it as possible.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from holdfast.server.engine.core import Core
from holdfast.server.engine.registry import Function, Listener
from holdfast.server.engine.why import when
from holdfast.server.expressions import Activation, ExpressionError, compile
from holdfast.server.model.reason import Reason, ReasonKind


class Asked(msgspec.Struct, frozen=True):
    """An event as it was stored."""

    id: str
    name: str
    external_id: str
    json: bytes


def why_event(core: Core, event: Asked, started: Collection[str], now: int) -> list[Reason]:
    """What holds an event back, and why listeners that are not among `started` (function ids) have not started."""
    held = [*_debounced(core, event), *_batched(core, event)]
    slugs = {reason.function for reason in held}
    listeners = core.registry.listeners(event.name)
    if not listeners and not held and not started:
        return [Reason(kind=ReasonKind.NOBODY, text=f"no function listens to {event.name}")]
    idle = [item for item in listeners if item.function.slug not in slugs and item.function.id not in started]
    return held + [_unstarted(core, event, listener, now) for listener in idle]


def _slug(core: Core, function_id: str) -> str:
    function = core.registry.functions.get(function_id)
    return function.slug if function is not None else function_id


def _debounced(core: Core, event: Asked) -> Iterator[Reason]:
    for pending in core.debounces.pending.values():
        if pending.event_id != event.id:
            continue
        slug = _slug(core, pending.function_id)
        latest = f", at the latest at {when(pending.limit)}" if pending.limit else ""
        text = f"{slug} is debounced: it starts at {when(pending.due)}, later if another event comes{latest}"
        yield Reason(kind=ReasonKind.DEBOUNCE, text=text, until=pending.due, function=slug)


def _batched(core: Core, event: Asked) -> Iterator[Reason]:
    for bucket in core.batches.holding(event.id):
        filling, held = core.batches.filling[bucket], core.batches.size(bucket)
        function = core.registry.functions.get(filling.function_id)
        batch = function.config.batch if function is not None else None
        limit, slug = batch.max_size if batch is not None else held, _slug(core, filling.function_id)
        text = f"{slug} gathers a batch: {held} of {limit} events; it starts when full, or at {when(filling.due)}"
        yield Reason(kind=ReasonKind.BATCH, text=text, until=filling.due, held=held, limit=limit, function=slug)


def _unstarted(core: Core, event: Asked, listener: Listener, now: int) -> Reason:
    function = listener.function
    slug = function.slug
    if not _wanted(listener, event, now):
        text = f"{slug} did not start: its trigger's condition is not true for this event"
        return Reason(kind=ReasonKind.CONDITION, text=text, function=slug)
    if event.external_id != event.id and core.seen.holds(f"{function.id}:{event.external_id}", now):
        text = f"{slug} did not start: an event with the id {event.external_id} started it in the last 24 hours"
        return Reason(kind=ReasonKind.DUPLICATE, text=text, function=slug, key=event.external_id)
    text = f"{slug} did not start; the reason was not recorded. Possible: {' or '.join(_possible(function))}"
    return Reason(kind=ReasonKind.UNRECORDED, text=text, function=slug)


def _possible(function: Function) -> Iterator[str]:
    config = function.config
    if config.rate_limit is not None:
        rate = config.rate_limit
        key = f" for each {rate.key}" if rate.key else ""
        yield f"its rate limit ({rate.limit} per {rate.period}{key}) was used up"
    if config.debounce is not None:
        yield "a later event took its place in the debounce"
    yield "the function was registered, or changed its trigger, after the event came"


def _wanted(listener: Listener, event: Asked, now: int) -> bool:
    activation = Activation(event.json, None, now_ms=now)
    return any(_true(condition, activation) for condition in listener.conditions)


def _true(condition: str, activation: Activation) -> bool:
    try:
        return not condition or compile(condition).is_true(activation)
    except ExpressionError:
        return False
