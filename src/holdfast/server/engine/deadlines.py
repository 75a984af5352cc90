"""Deadlines of flow control: what becomes of a throttle's queue, a debounce, a batch or a timeout that may be due."""

from __future__ import annotations

from holdfast.server.engine import admission
from holdfast.server.engine.core import Cancellation, Core
from holdfast.server.engine.flow import batch, debounce, throttle, timeouts
from holdfast.server.engine.queue import Deadline


def ring(core: Core, item: Deadline) -> None:
    """Act on a deadline, unless its record was looked at since."""
    alarms = core.alarms(item.kind)
    if alarms is None:
        _time_out(core, item)
    elif alarms.rings(item):
        if item.kind == throttle.KIND:
            _let_pass(core, item.key)
        elif item.kind == debounce.KIND:
            admission.fire_debounce(core, item.key)
        elif item.kind == batch.KIND:
            admission.fire_batch(core, item.key)


def _let_pass(core: Core, bucket: str) -> None:
    while (entry := core.throttles.pop(bucket, core.now)) is not None:
        if core.current(entry.job):
            core.enqueue(entry)
    core.throttles.settle(bucket, core.queue.timers, core.now)


def _time_out(core: Core, item: Deadline) -> None:
    """A start or finish timeout is due; the config is read again, since it may have changed."""
    run = core.runs.get(item.key)
    function = core.function(run) if run is not None else None
    if run is None or function is None:
        return
    due = timeouts.due(item.kind, function.config, run)
    if due is not None and due > core.now:
        timeouts.arm(item.kind, function.config, run, core.queue.timers)
    elif due is not None:
        core.cancellations.append(Cancellation(run.id, item.kind))
