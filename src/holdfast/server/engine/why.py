"""Why a run is not running: a question to the engine's state, which costs the hot path nothing.

What waits is looked for where it waits, in one pass over the queues for all runs that are asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from holdfast.protocol.functions import ConcurrencyLimit
from holdfast.protocol.rfc3339 import format_rfc3339
from holdfast.server.engine.core import APP_KEY, DISCOVERY_KEY, Core
from holdfast.server.engine.flow.gcra import NS_PER_MS
from holdfast.server.engine.queue import Entry, share
from holdfast.server.engine.run import Run
from holdfast.server.model.job import Job, JobKind, Pause, PauseKind
from holdfast.server.model.reason import Reason, ReasonKind
from holdfast.server.model.run import RunDetail
from holdfast.server.model.status import RunStatus

#: How many holders of a key are named.
MOST_HOLDERS = 10

_Ref = tuple[str, int]

#: Of several things that a run does at once, the one that tells most.
_RANKS = {
    kind: rank
    for rank, kind in enumerate((ReasonKind.EXECUTING, ReasonKind.QUEUED, ReasonKind.RETRY, ReasonKind.SLEEP))
}


def why(core: Core, run: Run, now: int) -> list[Reason]:
    """What a live run is doing or waiting for: one reason per open job and wait."""
    return explain(core, [run], now)[run.id]


def explain(core: Core, runs: Iterable[Run], now: int) -> dict[str, list[Reason]]:
    """As `why`, for many runs by id."""
    asked = list(runs)
    wanted = {(run.id, item.no) for run in asked for item in run.open if _may_wait(core, run, item, now)}
    waiting = dict(_waiting(core, wanted, now)) if wanted else {}
    return {run.id: _reasons(core, run, waiting, now) for run in asked}


def glance(core: Core, run: Run, now: int) -> Reason | None:
    """Return what a live run does, or waits for first, at the cost of this run alone: queues are not searched.

    So a limit is named without who holds it and how many go first.
    """
    waiting = {
        (run.id, item.no): reason
        for item in run.open
        if isinstance(item, Job) and _may_wait(core, run, item, now) and (reason := _held_by(core, run, item, now))
    }
    found = [reason for item in run.open if (reason := _reason(core, run, item, waiting, now)) is not None]
    return min(found, key=lambda reason: _RANKS.get(reason.kind, len(_RANKS)), default=None)


def past(status: RunStatus, ended_at: int | None, detail: RunDetail) -> Reason:
    """Why a run that has ended will not run."""
    at = f" at {when(ended_at)}" if ended_at is not None else ""
    kind = ReasonKind(status.name.lower())
    if status is RunStatus.SKIPPED:
        text = _SKIPPED.get(detail.skip_reason, f"it was skipped: {detail.skip_reason}")
        other = detail.skip_existing_run or None
        return Reason(kind=kind, text=text + (f": run {other}" if other else ""), since=ended_at, run_id=other)
    if status is RunStatus.CANCELLED:
        return Reason(kind=kind, text=f"it was cancelled{at}{_cause(detail.cancelled_by)}", since=ended_at)
    return Reason(kind=kind, text=f"it has {status.name.lower()}{at}", since=ended_at)


def when(ms: int) -> str:
    """A moment as texts show it."""
    return format_rfc3339(ms, fraction=True)


_SKIPPED = {
    "Singleton": "it was skipped: another run holds its function's singleton key",
    "FunctionPaused": "it was skipped: its function was paused, and skips runs meanwhile",
}
_CAUSES = {
    "api": " by the API",
    "reset": " by a reset",
    "start-timeout": ": it did not start within its start timeout",
    "finish-timeout": ": it did not finish within its finish timeout",
}


def _cause(cause: str) -> str:
    if cause.startswith("cancellation:"):
        return f" by bulk cancellation {cause.removeprefix('cancellation:')}"
    return _CAUSES.get(cause, f" by event {cause}" if cause else "")


# --- one run ----------------------------------------------------------------------------------------------------------


def _may_wait(core: Core, run: Run, item: Job | Pause, now: int) -> bool:
    return isinstance(item, Job) and item.due <= now and (run.id, item.no) not in core.queue.leases


def _reasons(core: Core, run: Run, waiting: dict[_Ref, Reason], now: int) -> list[Reason]:
    found = [reason for item in run.open if (reason := _reason(core, run, item, waiting, now)) is not None]
    if core.function(run) is None:
        text = "its function is not registered any more: its next call fails"
        found.append(Reason(kind=ReasonKind.FUNCTION, text=text))
    return found


def _reason(core: Core, run: Run, item: Job | Pause, waiting: dict[_Ref, Reason], now: int) -> Reason | None:
    if isinstance(item, Pause):
        return _of_pause(item)
    lease = core.queue.leases.get((run.id, item.no))
    if lease is not None and lease.job is item:
        return _executing(item, lease.since)
    if item.kind is JobKind.SYNC:
        return Reason(kind=ReasonKind.EXTERNAL, text="its own process drives it", since=run.started_at)
    if item.due > now:
        return _due_later(item)
    queued = Reason(kind=ReasonKind.QUEUED, text="it is on its way to the queue", since=item.due, step=_step(item))
    return waiting.get((run.id, item.no), queued)


def _executing(job: Job, since: int) -> Reason:
    what = f"step {_step(job)} is" if job.step else "its function is"
    text = f"{what} executing since {when(since)} (attempt {job.attempt + 1} of {job.max_attempts})"
    return Reason(kind=ReasonKind.EXECUTING, text=text, since=since, step=_step(job), attempt=job.attempt + 1)


def _due_later(job: Job) -> Reason:
    until = when(job.due)
    step = _step(job)
    if job.kind is JobKind.SLEEP and job.step:
        return Reason(kind=ReasonKind.SLEEP, text=f"step {step} sleeps until {until}", until=job.due, step=step)
    if job.attempt:
        text = f"attempt {job.attempt} of {job.max_attempts} failed; the next one is at {until}"
        return Reason(kind=ReasonKind.RETRY, text=text, until=job.due, step=step, attempt=job.attempt + 1)
    return Reason(kind=ReasonKind.DELAYED, text=f"it is not due before {until}", until=job.due, step=step)


def _step(job: Job) -> str | None:
    return job.name or job.step or None


def _of_pause(pause: Pause) -> Reason | None:
    until = when(pause.expires)
    step = pause.name or pause.step
    if pause.kind is PauseKind.EVENT:
        condition = f" for which {pause.expression}" if pause.expression else ""
        text = f"step {step} waits for an event {pause.event}{condition}, until {until}"
        return Reason(kind=ReasonKind.EVENT, text=text, until=pause.expires, step=step, key=pause.event)
    if pause.kind is PauseKind.SIGNAL:
        name = pause.key or pause.lost
        lost = "" if pause.key else " (another run took it over: it can only time out)"
        text = f"step {step} waits for signal {name}, until {until}{lost}"
        return Reason(kind=ReasonKind.SIGNAL, text=text, until=pause.expires, step=step, key=name)
    if pause.kind is PauseKind.INVOKE:
        child = f"run {pause.child}" if pause.child else "a run (none has started yet)"
        text = f"step {step} waits for {child} of {pause.function}, until {until}"
        return Reason(
            kind=ReasonKind.INVOKE, text=text, until=pause.expires, step=step, run_id=pause.child or None,
            function=pause.function,
        )  # fmt: skip
    return None  # a cancel pause holds nothing up


# --- the queues -------------------------------------------------------------------------------------------------------


def _waiting(core: Core, wanted: set[_Ref], now: int) -> Iterator[tuple[_Ref, Reason]]:
    """The reasons of the jobs that wait in a queue, by run and number."""
    yield from _for_keys(core, wanted)
    yield from _for_throttles(core, wanted, now)
    yield from _for_slots(core, wanted)
    yield from _for_resumption(core, wanted)


def _places(core: Core, queue: list[Entry], wanted: set[_Ref]) -> Iterator[tuple[_Ref, int, Entry]]:
    """Those asked about that wait in a queue, and how many go first."""
    ahead = 0
    for entry in queue:
        if not core.current(entry.job):
            continue  # cancelled: it is dropped when it comes up
        ref = (entry.job.run_id, entry.job.no)
        if ref in wanted:
            yield ref, ahead, entry
        ahead += 1


def _for_keys(core: Core, wanted: set[_Ref]) -> Iterator[tuple[_Ref, Reason]]:
    blocked = [(key, *place) for key, queue in core.queue.keys.blocked() for place in _places(core, queue, wanted)]
    holders = holders_of(core, {key for key, *_ in blocked})
    for key, ref, ahead, entry in blocked:
        limit = next((limit.limit for limit in entry.claims if limit.key == key), 0)
        yield ref, _blocked(core, key, limit, ahead, core.runs[ref[0]], holders.get(key, []))


def holders_of(core: Core, keys: set[str]) -> dict[str, list[str]]:
    """Return the runs that hold each key, the first ten of them."""
    found: dict[str, list[str]] = {}
    if not keys:
        return found

    def add(key: str, run_id: str) -> None:
        runs = found.setdefault(key, [])
        if key in keys and run_id not in runs and len(runs) < MOST_HOLDERS:
            runs.append(run_id)

    for entry in chain(core.queue.leases.values(), *core.queue.slots.backlogs()):
        for limit in entry.claims:
            add(limit.key, entry.job.run_id)
    if any(key.startswith("run:") for key in keys):
        for run in core.runs.values():
            for key in run.state.holds or ():
                add(key, run.id)
    return found


class _Key(msgspec.Struct, frozen=True):
    """A concurrency key as people know it."""

    what: str
    expression: str | None = None
    value: str | None = None


def _blocked(core: Core, key: str, limit: int, ahead: int, run: Run, holders: list[str]) -> Reason:
    if key.startswith(APP_KEY) and not limit:
        return Reason(kind=ReasonKind.NO_WORKER, text="no worker of its app is connected", ahead=ahead)
    named = _named(core, key, run)
    held = core.queue.keys.held.get(key, 0)
    more = f" and {held - len(holders)} more" if held > len(holders) else ""
    text = f"it waits for {named.what}: {held} of {limit} taken"
    text += f" by {', '.join(holders)}{more}" if holders else ""
    text += f"; {ahead} go first" if ahead else "; it is next"
    return Reason(
        kind=ReasonKind.CONCURRENCY, text=text, key=named.expression, value=named.value, limit=limit, held=held,
        holders=tuple(holders), ahead=ahead,
    )  # fmt: skip


def _held_by(core: Core, run: Run, job: Job, now: int) -> Reason | None:
    """Return the limit that a due job waits for, if one is reached."""
    if run.started_at is None and run.function_id in core.pausing.modes:
        return Reason(
            kind=ReasonKind.PAUSED, text="its function is paused", mode=core.pausing.modes[run.function_id].value
        )
    entry = core.entry(run, job)
    for claim in entry.claims:
        held = core.queue.keys.held.get(claim.key, 0)
        if held >= claim.limit:
            named = _named(core, claim.key, run)
            text = f"it waits for {named.what}: {held} of {claim.limit} taken"
            return Reason(
                kind=ReasonKind.CONCURRENCY, text=text, key=named.expression, value=named.value, limit=claim.limit,
                held=held,
            )  # fmt: skip
    if entry.gate is not None and (until := core.throttles.free_at(entry.gate, now)) > now:
        return Reason(kind=ReasonKind.THROTTLE, text="it waits for its function's throttle", until=until)
    return None


def _named(core: Core, key: str, run: Run) -> _Key:
    """What a key is called: by its expression and value, or as its function's own."""
    if key.startswith(APP_KEY):
        return _Key("a free worker of its app")
    if key.startswith(DISCOVERY_KEY):
        return _Key("the end of its app's call that is under way")
    whole = key.startswith("run:")
    evaluated = key.removeprefix("run:")
    runs = " of whole runs" if whole else ""
    if evaluated == run.function_id:
        return _Key(f"its function's concurrency limit{runs}")
    scope, digest, _, value = evaluated.removeprefix("run-").split(":", 3)
    function = core.function(run)
    limits: tuple[ConcurrencyLimit, ...] = ()
    if function is not None:
        concurrency = function.config.concurrency
        limits = concurrency.runs if whole else concurrency.steps
    expression = next((item.key for item in limits if item.scope == scope and item.hash == digest), None)
    return _Key(f"the concurrency key{runs} {expression} = {value}", expression, value)


def _for_throttles(core: Core, wanted: set[_Ref], now: int) -> Iterator[tuple[_Ref, Reason]]:
    for queue in core.throttles.queues():
        for ref, ahead, entry in _places(core, queue, wanted):
            assert entry.gate is not None
            after = ahead * entry.gate.rate.emission // NS_PER_MS
            until = core.throttles.free_at(entry.gate, now) + after
            go_first = f"; {ahead} go first" if ahead else ""
            text = f"its function's throttle lets it start at {when(until)}{go_first}"
            yield ref, Reason(kind=ReasonKind.THROTTLE, text=text, until=until, ahead=ahead)


def _for_slots(core: Core, wanted: set[_Ref]) -> Iterator[tuple[_Ref, Reason]]:
    queues = list(core.queue.slots.backlogs())
    for queue in queues:
        for ref, ahead, entry in _places(core, queue, wanted):
            # Functions take turns: of each other one, as many go first as of its own, and perhaps one more.
            first = ahead + sum(min(len(other), ahead + 1) for other in queues if other is not queue)
            workers = core.settings.workers
            text = f"all {workers} worker slots are taken; {first} go first"
            if core.queue.slots.sated(entry.function_id):
                first, workers = ahead, share(workers)
                text = f"its function holds {workers} worker slots, as many as one function may; {ahead} go first"
            yield ref, Reason(kind=ReasonKind.WORKER, text=text, limit=workers, ahead=first)


def _for_resumption(core: Core, wanted: set[_Ref]) -> Iterator[tuple[_Ref, Reason]]:
    for function_id, held in core.pausing.held.items():
        for ahead, ref in enumerate(held):
            if ref in wanted:
                mode = core.pausing.modes[function_id].value
                text = f"its function is paused (new runs: {mode}); it starts once that is resumed"
                yield ref, Reason(kind=ReasonKind.PAUSED, text=text, mode=mode, ahead=ahead)
