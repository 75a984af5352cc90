"""New limits take effect for what waits already (`protocol/flow-control.md` §4.1).

An entry of the queue carries the limits that it was made with. When a sync changes them, the entries of that function
that wait are made anew, in their order; what runs keeps what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.server.engine.core import Core
from holdfast.server.engine.flow import timeouts
from holdfast.server.engine.queue import Entry
from holdfast.server.engine.registry import Function
from holdfast.server.engine.run import Run


def apply(core: Core, before: Mapping[str, Function | None]) -> None:
    """Bring what waits in line with functions that may have changed: `before` is what was known of each, by id."""
    for id, known in before.items():
        function = core.registry.functions.get(id)
        if function is None or known is None or known.config == function.config:
            continue
        old, new = known.config, function.config
        if (old.concurrency, old.throttle) != (new.concurrency, new.throttle):
            _renew(core, function.id)
        if old.timeouts != new.timeouts:
            _set_timeouts(core, function)


def set_capacity(core: Core, app_id: str, units: int | None) -> None:
    """How many calls at once the workers of an app take: 0 while none is connected, None for an app without workers."""
    if units is None:
        core.capacities.pop(app_id, None)
    else:
        core.capacities[app_id] = units
    for function in core.registry.functions.values():
        if function.app_id == app_id:
            _renew(core, function.id)


def _renew(core: Core, function_id: str) -> None:
    keys = core.queue.keys
    admitted = core.queue.slots.withdraw(function_id)
    for entry in admitted:
        keys.release(entry)
    freed = {limit.key for entry in admitted for limit in entry.claims} | _recount(core, function_id)
    waiting = keys.withdraw(function_id) + core.throttles.withdraw(function_id, core.queue.timers)
    for entry in sorted(admitted + waiting, key=lambda entry: (entry.score, entry.order)):
        if core.current(entry.job):
            core.enqueue(renewed(core, entry))
    core.queue.wake(*freed)


def _recount(core: Core, function_id: str) -> set[str]:
    """Counts what runs under the new keys, over their limits if need be; returns the keys that it held."""
    keys, freed = core.queue.keys, set[str]()
    for entry in [e for e in core.queue.leases.values() if e.function_id == function_id]:
        freed.update(limit.key for limit in entry.limits)
        keys.release(entry)
        entry.limits = core.claims(core.runs[entry.job.run_id], entry.job)
        for limit in entry.limits:
            keys.hold(limit.key)
    for run in core.runs.values():
        if run.function_id == function_id and run.started_at is not None:
            freed.update(run.state.holds or ())
            _recount_whole(core, run)
    return freed


def _recount_whole(core: Core, run: Run) -> None:
    held, wanted = run.state.holds or [], [limit.key for limit in core.whole(run)]
    if held == wanted:
        return
    for key in held:
        core.queue.keys.drop(key)
    for key in wanted:
        core.queue.keys.hold(key)
    run.state.holds = wanted or None
    core.changes.touch(run)


def renewed(core: Core, entry: Entry) -> Entry:
    """Return an entry with the limits that hold now, at its old place among equals."""
    anew = core.entry(core.runs[entry.job.run_id], entry.job)
    anew.order = entry.order
    return anew


def _set_timeouts(core: Core, function: Function) -> None:
    for run in core.runs.values():
        if run.function_id == function.id:
            for kind in (timeouts.START, timeouts.FINISH):
                timeouts.arm(kind, function.config, run, core.queue.timers)
