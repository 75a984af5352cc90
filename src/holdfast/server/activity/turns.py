"""What a committed turn did, as happenings: events, runs, attempts of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import partial

import msgspec

from holdfast.protocol.errors import standard_error
from holdfast.protocol.events import Event
from holdfast.server.activity.happening import Happening, What, first_line
from holdfast.server.engine.changes import Changes, Dispatch
from holdfast.server.engine.run import Run
from holdfast.server.engine.view import View
from holdfast.server.model.job import Job, JobKind
from holdfast.server.model.span import Span
from holdfast.server.model.status import RunStatus, SpanStatus

Told = tuple[What, Callable[[], Happening]]
"""What happened, and a function that makes its happening: it is called only if there is room to tell it."""


class _Error(msgspec.Struct):
    name: str = ""
    message: str = ""


def failed_runs(changes: Changes, view: View) -> Iterator[Told]:
    """Yield the runs of a turn that failed: what a server tells in any case."""
    for run in changes.ended:
        if run.status is RunStatus.FAILED:
            yield What.RUN_FAILED, partial(_ended, run, view)


def all_of(changes: Changes, view: View, now: int) -> Iterator[Told]:
    """Yield everything of a turn, in the order in which it came about."""
    for event in changes.events:
        if not event.internal:
            yield What.EVENT, partial(_event, event, changes, view)
    for effect in changes.effects:
        if isinstance(effect, Dispatch) and effect.job.kind is JobKind.START and effect.job.attempt == 0:
            yield What.RUN_STARTED, partial(_run, What.RUN_STARTED, effect.run, view, now)
    yield from _failures(changes, view)
    yield from _ends(changes, view)


def _failures(changes: Changes, view: View) -> Iterator[Told]:
    """Attempts that are tried again, and steps that failed for good: their function may go on."""
    for run_id, _, output, span in changes.spans:
        if span.status is SpanStatus.ERRORED:
            yield What.STEP_FAILED, partial(_failed, run_id, output, span, changes, view)
    for run_id, _, _, output, span in changes.steps:
        if span.status is SpanStatus.FAILED:
            yield What.STEP_FAILED, partial(_failed, run_id, output, span, changes, view)


def _ends(changes: Changes, view: View) -> Iterator[Told]:
    for run in changes.new_runs.values():
        if run.status is RunStatus.SKIPPED:
            yield What.RUN_ENDED, partial(_ended, run, view)
    for run in changes.ended:
        what = What.RUN_FAILED if run.status is RunStatus.FAILED else What.RUN_ENDED
        yield what, partial(_ended, run, view)


def _event(event: Event, changes: Changes, view: View) -> Happening:
    listeners = view.listeners(event.name)
    heard = listeners or view.awaited(event.name) or _ended_a_wait(event, changes)
    return Happening(
        what=What.EVENT, time=event.received_at, event=event.name, event_id=event.id, functions=listeners,
        hint="" if heard else _nobody(event.name, view),
    )  # fmt: skip


def _ended_a_wait(event: Event, changes: Changes) -> bool:
    """Return whether a wait for an event of this name ended in this turn, or a run that it cancels did."""
    waited = any(span.info and span.info.get("event") == event.name for *_, span in changes.steps)
    return waited or any(run.detail.cancelled_by == event.id for run in changes.ended)


def _nobody(name: str, view: View) -> str:
    known = {t.event for f in view.functions.values() for t in f.config.triggers if t.event}
    if not view.functions:
        return "no function listens: no app has synced yet"
    close = get_close_matches(name, sorted(known), n=1)
    return "no function listens" + (f"; did you mean {close[0]}?" if close else "")


def _run(what: What, run: Run, view: View, now: int) -> Happening:
    function = view.functions.get(run.function_id)
    return Happening(
        what=what, time=now, run_id=run.id, function=function.slug if function else run.function_id,
        event=run.event_name, started_at=run.started_at or run.scheduled_at,
    )  # fmt: skip


def _ended(run: Run, view: View) -> Happening:
    failed = run.status is RunStatus.FAILED
    told = _run(What.RUN_FAILED if failed else What.RUN_ENDED, run, view, run.ended_at or run.scheduled_at)
    told.status = run.status.name.lower()
    told.error = error_line(run.output, run.detail.error) if failed else run.detail.skip_reason
    return told


def _failed(run_id: str, output: bytes | None, span: Span, changes: Changes, view: View) -> Happening:
    run = changes.new_runs.get(run_id) or changes.runs.get(run_id) or view.run(run_id)
    function = view.functions.get(run.function_id) if run is not None else None
    again = next((j for j in changes.jobs.values() if j is not None and j.id == span.job and _is_retry(j, span)), None)
    return Happening(
        what=What.STEP_FAILED, time=span.ended_at, run_id=run_id, function=function.slug if function else "",
        step=span.name, attempt=span.attempt + 1, attempts=span.max_attempts,
        error=error_line(output, span.error), retry_at=again.due if again is not None else 0,
    )  # fmt: skip


def _is_retry(job: Job, span: Span) -> bool:
    return job.attempt == span.attempt + 1


def error_line(output: bytes | None, text: str) -> str:
    """Return the first line of an error, with its name unless that says nothing."""
    try:
        error = msgspec.json.decode(standard_error(output, text), type=_Error)
    except msgspec.DecodeError:
        return first_line(text)
    named = error.name not in {"", "Error"} and not error.message.startswith(error.name)
    return first_line(f"{error.name}: {error.message}" if named else error.message)
