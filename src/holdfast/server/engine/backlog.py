"""The queue of one function: what waits for which limit, and what flow control holds. A query, for people.

It looks through what waits, without sorting it, and through the keys that are in use; runs are not searched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from holdfast.protocol.events import Event
from holdfast.protocol.functions import ConcurrencyLimit, Scope
from holdfast.server.engine.core import APP_KEY, DEFAULT_CONCURRENCY, Core
from holdfast.server.engine.flow import keys, throttle
from holdfast.server.engine.flow.gcra import NS_PER_MS, Rate, smoothed
from holdfast.server.engine.queue import Entry
from holdfast.server.engine.registry import Function
from holdfast.server.engine.why import holders_of
from holdfast.server.model.backlog import (
    MOST,
    Backlog,
    BatchUse,
    DebounceUse,
    KeyUse,
    RateUse,
    SingletonUse,
    ThrottleUse,
)


class _Scheme(msgspec.Struct, frozen=True):
    """One concurrency limit: how its keys begin, or the only one that it has."""

    kind: str
    limit: int
    prefix: str
    expression: str | None = None

    def covers(self, key: str) -> bool:
        return key.startswith(self.prefix) if self.expression else key == self.prefix


def backlog(core: Core, function: Function, now: int) -> Backlog:
    """Return what waits of a function, and how far its limits are used up."""
    uses, throttles = _keys(core, function), _throttles(core, function, now)
    rates, debounces = _rate_limits(core, function, now), _debounces(core, function)
    batches, singletons = _batches(core, function), _singletons(core, function)
    mode = core.pausing.modes.get(function.id)
    return Backlog(
        running=sum(entry.function_id == function.id for entry in core.queue.leases.values()),
        waiting_for_keys=sum(use.waiting for use in uses), waiting_for_throttle=sum(use.waiting for use in throttles),
        waiting_for_workers=core.queue.slots.waiting(function.id), workers=core.settings.workers,
        free=core.queue.slots.free, paused=mode.value if mode is not None else None,
        held_by_pause=len(core.pausing.held.get(function.id, ())), keys=_with_holders(core, uses[:MOST]),
        key_count=len(uses), throttles=throttles[:MOST], throttle_count=len(throttles), rate_limits=rates[:MOST],
        rate_limit_count=len(rates), debounces=debounces[:MOST], debounce_count=len(debounces),
        batches=batches[:MOST], batch_count=len(batches), singletons=singletons[:MOST],
        singleton_count=len(singletons),
    )  # fmt: skip


# --- concurrency ------------------------------------------------------------------------------------------------------


class _Use(msgspec.Struct):
    key: str
    scheme: _Scheme
    held: int
    waiting: int


def _keys(core: Core, function: Function) -> list[_Use]:
    """Return the keys of a function that are held or waited for, those with the most waiting first."""
    held = core.queue.keys.held
    waiting = Counter[str]()
    for key, entry in core.queue.keys.entries():
        if entry.function_id == function.id and core.current(entry.job):
            waiting[key] += 1
    schemes = list(_schemes(core, function))
    found = [
        _Use(key, scheme, held.get(key, 0), waiting[key])
        for key in held.keys() | waiting.keys()
        if (scheme := next((each for each in schemes if each.covers(key)), None)) is not None
    ]
    return sorted(found, key=lambda use: (-use.waiting, -use.held, use.key))


def _schemes(core: Core, function: Function) -> Iterator[_Scheme]:
    concurrency = function.config.concurrency
    for item in concurrency.steps:
        yield _scheme(function, item, "step", "")
    for item in concurrency.runs[:1]:
        yield _scheme(function, item, "run", "run:")
    if (capacity := core.capacities.get(function.app_id)) is not None:
        yield _Scheme("app", capacity, f"{APP_KEY}{function.app_id}")


def _scheme(function: Function, item: ConcurrencyLimit, kind: str, prefix: str) -> _Scheme:
    limit = item.limit if item.limit > 0 else DEFAULT_CONCURRENCY
    if not item.key:
        return _Scheme(kind, limit, prefix + function.id)
    scope = f"run-{item.scope}" if kind == "run" else item.scope
    owner = function.id if item.scope == Scope.FUNCTION else ""
    return _Scheme(kind, limit, f"{prefix}{scope}:{item.hash}:{owner}:", item.key)


def _with_holders(core: Core, uses: list[_Use]) -> list[KeyUse]:
    holders = holders_of(core, {use.key for use in uses})
    return [
        KeyUse(
            kind=use.scheme.kind, expression=use.scheme.expression,
            value=use.key.removeprefix(use.scheme.prefix) if use.scheme.expression else None, limit=use.scheme.limit,
            held=use.held, waiting=use.waiting, holders=tuple(holders.get(use.key, ())),
        )
        for use in uses
    ]  # fmt: skip


# --- clocks -----------------------------------------------------------------------------------------------------------


def _throttles(core: Core, function: Function, now: int) -> list[ThrottleUse]:
    config = function.config.throttle
    if config is None:
        return []
    prefix = throttle.throttle_prefix(config) + function.id
    rate = throttle.gate(config, "").rate
    waiting = {bucket: _standing(core, entries) for bucket, entries in core.throttles.waiting_for(prefix)}
    moments = dict(_moments(core.throttles.clocks.tats(prefix), rate, now))
    found = [
        ThrottleUse(moments.get(bucket, now), len(entries), entries[0].job.run_id if entries else None)
        for bucket in moments.keys() | waiting.keys()
        if (entries := waiting.get(bucket, [])) or moments[bucket] > now
    ]
    return sorted(found, key=lambda use: (-use.waiting, use.next_at))


def _standing(core: Core, entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if core.current(entry.job)]


def _rate_limits(core: Core, function: Function, now: int) -> list[RateUse]:
    """Return the buckets of a rate limit that take no event now, the one that is free last first."""
    config = function.config.rate_limit
    if config is None or not config.period_ns:
        return []
    rate = smoothed(config.limit, config.period_ns)
    moments = _moments(core.rate_limits.clocks.tats(function.id), rate, now)
    return [RateUse(at) for at in sorted((at for _, at in moments if at > now), reverse=True)]


def _moments(tats: Iterator[tuple[str, int]], rate: Rate, now: int) -> Iterator[tuple[str, int]]:
    """Yield when each bucket lets the next one through (ms)."""
    for bucket, tat in tats:
        yield bucket, -(-rate.free_at(tat, now * NS_PER_MS) // NS_PER_MS)


# --- what is gathered -------------------------------------------------------------------------------------------------


def _debounces(core: Core, function: Function) -> list[DebounceUse]:
    key = function.config.debounce.key if function.config.debounce is not None else ""
    found = [
        DebounceUse(_value(core, key, core.debounces.event(bucket)), item.event_id, item.due, item.limit or None)
        for bucket, item in core.debounces.pending.items()
        if item.function_id == function.id
    ]
    return sorted(found, key=lambda use: use.due)


def _batches(core: Core, function: Function) -> list[BatchUse]:
    batch = function.config.batch
    found = [
        BatchUse(
            _value(core, batch.key if batch is not None else "", core.batches.first(bucket)), size,
            batch.max_size if batch is not None else size, item.due,
        )
        for bucket, item in core.batches.filling.items()
        if item.function_id == function.id and (size := core.batches.size(bucket))
    ]  # fmt: skip
    return sorted(found, key=lambda use: use.due)


def _value(core: Core, expression: str, event: Event) -> str | None:
    return keys.value(expression, core.activation(event.json)) if expression else None


def _singletons(core: Core, function: Function) -> list[SingletonUse]:
    if function.config.singleton is None:
        return []
    holders = core.singletons.holders
    return [SingletonUse(run_id) for bucket, run_id in holders.items() if bucket.startswith(function.id)]
