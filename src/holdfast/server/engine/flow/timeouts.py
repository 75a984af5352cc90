"""Start and finish timeouts (`protocol/flow-control.md` §4.10): they cancel, they never fail a run.

Nothing is stored: what is due follows from the run's row and the function's config, which is read again when it is due.
"""

from __future__ import annotations

from holdfast.protocol.functions import FunctionConfig
from holdfast.server.engine.flow.gcra import NS_PER_MS
from holdfast.server.engine.queue import Deadline, Timers
from holdfast.server.engine.run import Run

START = "start-timeout"
FINISH = "finish-timeout"


def due(kind: str, config: FunctionConfig, run: Run) -> int | None:
    """Return when a run's timeout is due (ms), if it still has one."""
    timeouts = config.timeouts
    if timeouts is None:
        return None
    if kind == START:
        started = run.started_at is not None
        return None if started or timeouts.start_ns is None else run.scheduled_at + timeouts.start_ns // NS_PER_MS
    if run.started_at is None or timeouts.finish_ns is None:
        return None
    return run.started_at + timeouts.finish_ns // NS_PER_MS


def arm(kind: str, config: FunctionConfig, run: Run, timers: Timers) -> None:
    """Set the timer of a run's timeout, if it has one."""
    at = due(kind, config, run)
    if at is not None:
        timers.add(at, Deadline(kind, run.id, at))
