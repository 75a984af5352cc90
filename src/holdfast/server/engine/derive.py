"""What follows from the rows of a turn: totals, and the sessions, experiments and scores that runs belong to.

Derived once, here: a store writes what it finds in `Changes`, and knows none of these rules.
"""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.protocol.events import Event
from holdfast.protocol.sessions import sessions_of
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.run import Run
from holdfast.server.model.experiment import noted_in_step
from holdfast.server.model.span import NULL
from holdfast.server.model.status import RunStatus
from holdfast.server.model.totals import EVENT_BITS, RUN_DIGITS, EventTotal, RunTotal


def derive(changes: Changes) -> None:
    """Fill in what follows from a turn's runs and steps; its events are counted by `total_events`."""
    if changes.new_runs:
        _link(changes, changes.new_runs.values())
    if changes.steps:
        changes.noted = [
            noted
            for run_id, _, step_id, _, span in changes.steps
            if span.metadata is not NULL
            for noted in noted_in_step(run_id, step_id, bytes(span.metadata))
        ]
    if changes.ended:
        changes.run_totals = _total_runs(changes.ended)


def total_events(events: Iterable[Event]) -> list[EventTotal]:
    """Count events. Of an id that is stored more than once only the first copy may be among them."""
    ids: dict[tuple[int, str], list[str]] = {}
    for event in events:
        bucket = event.received_at >> EVENT_BITS, event.name
        found = ids.get(bucket)
        if found is None:
            ids[bucket] = [event.id]
        else:
            found.append(event.id)
    return [EventTotal(*bucket, len(found), min(found), max(found)) for bucket, found in ids.items()]


def _link(changes: Changes, begun: Iterable[Run]) -> None:
    """Note what runs belong to. Runs that were skipped, and debug runs, are in no session."""
    changes.deferred_runs = [(run.id, run.detail.deferred_from) for run in begun if run.detail.deferred_from]
    changes.debug_runs = [(run.id, run.function_id) for run in begun if run.detail.debug_run_id]
    changes.sessions = [
        (key, id, run.id)
        for run in begun
        if run.body is not None and run.status is not RunStatus.SKIPPED and not run.detail.debug_run_id
        for event in run.body.events
        for key, id in sessions_of(event).items()
    ]


def _total_runs(ended: Iterable[Run]) -> list[RunTotal]:
    """Count runs that ended; debug runs are no part of totals."""
    totals: dict[tuple[str, str, int], list[Run]] = {}
    for run in ended:
        if not run.detail.debug_run_id:
            totals.setdefault((run.id[:RUN_DIGITS], run.function_id, int(run.status)), []).append(run)
    return [RunTotal(*bucket, len(runs), *_times(runs)) for bucket, runs in totals.items()]


def _times(runs: list[Run]) -> tuple[int | None, int | None, int | None, int | None]:
    """When the first and the last of some runs started, then when they ended."""
    started = [run.started_at for run in runs if run.started_at is not None]
    ended = [run.ended_at for run in runs if run.ended_at is not None]
    return min(started, default=None), max(started, default=None), min(ended, default=None), max(ended, default=None)
