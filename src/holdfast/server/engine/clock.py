"""A clock that was ahead and went back: no stored moment may lie later than the configuration can explain.

Moments that were written while the clock was wrong are brought back when it is seen to go back, and when they are read
from the store. What user code gave as a date stays: the end of a sleep, the timeout of a wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from holdfast.protocol.limits import IDEMPOTENCY_MS
from holdfast.server.engine.flow import batch, debounce, timeouts
from holdfast.server.model.job import Job, JobKind, Pause

if TYPE_CHECKING:
    from holdfast.server.engine.core import Core
    from holdfast.server.engine.run import Run

#: A clock that goes back by less (ms) is being adjusted.
BACK_MS = 2_000


def went_back(core: Core) -> None:
    """Bring back what was put off by a clock that was ahead. `core.now` is the right time."""
    core.seen.clamp(core.now + IDEMPOTENCY_MS)
    for run in core.runs.values():
        mend_run(core, run)
        _arm_timeouts(core, run)
    for item in core.queue.timers.items():
        if isinstance(item, Job) and core.current(item):
            _mend_job(core, item)
        elif isinstance(item, Pause) and core.current(item):
            mend_pause(core, item)
    _mend_debounces(core)
    _mend_batches(core)
    core.throttles.settle_all(core.queue.timers, core.now)


def mend_run(core: Core, run: Run) -> None:
    """Let no run have been scheduled or started in the future."""
    run.scheduled_at = min(run.scheduled_at, core.now)
    if run.started_at is not None and run.started_at > core.now:
        run.started_at = core.now
        core.changes.touch(run)


def due(job: Job, now: int) -> int:
    """Return when a job is due (ms) that was queued at a moment that lies in the future: after the same delay."""
    delay = max(0, job.due - job.queued_at)
    return job.due if job.queued_at <= now or _is_date(job, delay) else now + delay


def _is_date(job: Job, delay: int) -> bool:
    """Whether user code or a sender may have given the moment as a date."""
    if job.kind is JobKind.SLEEP and job.step:
        return not job.counted
    return job.kind is JobKind.START and not job.attempt and delay > 0


def mend_pause(core: Core, pause: Pause) -> None:
    """Let a wait that was made in the future last as long as it was to last, from now on; not one until a date."""
    if pause.created_at <= core.now or not pause.counted:
        return
    pause.expires += core.now - pause.created_at
    pause.created_at = core.now
    core.changes.pauses[pause.run_id, pause.no] = pause
    core.queue.timers.add(pause.expires, pause)


def pending(core: Core, record: debounce.Pending) -> debounce.Pending:
    """Return a debounce, due no later than its function has it wait."""
    function = core.registry.functions.get(record.function_id)
    if function is None or function.config.debounce is None:
        return record
    config, now = function.config.debounce, core.now
    latest = now + debounce.period_ms(config)
    limit = min(record.limit, now + debounce.timeout_ms(config)) if record.limit else 0
    return msgspec.structs.replace(record, due=min(record.due, latest), limit=limit, ts=min(record.ts, now))


def filling(core: Core, record: batch.Filling) -> batch.Filling:
    """Return a batch, due no later than its function has it wait."""
    function = core.registry.functions.get(record.function_id)
    if function is None or function.config.batch is None:
        return record
    return msgspec.structs.replace(record, due=min(record.due, core.now + batch.timeout_ms(function.config.batch)))


def _mend_job(core: Core, job: Job) -> None:
    moment = due(job, core.now)
    if moment < job.due:
        run = core.runs[job.run_id]
        sooner = msgspec.structs.replace(job, due=moment, queued_at=core.now)
        core.open_job(run, sooner)
        if job.kind is JobKind.SLEEP and job.step:
            core.queue.timers.add(moment, sooner)
        else:
            core.push(run, sooner)


def _arm_timeouts(core: Core, run: Run) -> None:
    function = core.function(run)
    if function is not None and function.config.timeouts is not None:
        for kind in (timeouts.START, timeouts.FINISH):
            timeouts.arm(kind, function.config, run, core.queue.timers)


def _mend_debounces(core: Core) -> None:
    for bucket, record in list(core.debounces.pending.items()):
        core.debounces.bring_back(bucket, pending(core, record), core.queue.timers, core.changes)


def _mend_batches(core: Core) -> None:
    for bucket, record in list(core.batches.filling.items()):
        core.batches.bring_back(bucket, filling(core, record), core.queue.timers, core.changes)
