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


def apply(core: Core, before: Mapping[str, Function]) -> None:
    """Brings what waits in line with the functions as they are now."""
    for function in core.registry.functions.values():
        known = before.get(function.id)
        if known is None or known.config == function.config:
            continue
        old, new = known.config, function.config
        if (old.concurrency, old.throttle) != (new.concurrency, new.throttle):
            _renew(core, function.id)
        if old.timeouts != new.timeouts:
            _set_timeouts(core, function)


def _renew(core: Core, function_id: str) -> None:
    admitted, freed = core.queue.slots.withdraw(function_id), set[str]()
    for entry in admitted:
        core.queue.keys.release(entry)
        freed.update(limit.key for limit in entry.claims)
    waiting = core.queue.keys.withdraw(function_id) + core.throttles.withdraw(function_id, core.queue.timers)
    passed = {id(entry) for entry in admitted}
    for entry in sorted(admitted + waiting, key=lambda entry: (entry.score, entry.order)):
        if core.current(entry.job):
            core.enqueue(_renewed(core, entry, passed=id(entry) in passed))
    for key in freed:
        core.queue.wake(key)


def _renewed(core: Core, entry: Entry, *, passed: bool) -> Entry:
    renewed = core.entry(core.runs[entry.job.run_id], entry.job)
    renewed.order = entry.order
    if passed:  # it has paid for its throttle
        renewed.gate = None
    return renewed


def _set_timeouts(core: Core, function: Function) -> None:
    for run in core.runs.values():
        if run.function_id == function.id:
            for kind in (timeouts.START, timeouts.FINISH):
                timeouts.arm(kind, function.config, run, core.queue.timers)
