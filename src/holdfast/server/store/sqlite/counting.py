"""Totals of events and of ended runs, added to as rows are written (docs/adr/0007).

Whoever inserts events, or writes runs that have ended, adds them here in the same transaction. What is deleted
goes from the totals by triggers, since deletions are plain statements (retention).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.server.store.sqlite.queries import load_queries

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from holdfast.protocol.events import Event
    from holdfast.server.engine.run import Run

_QUERIES: Final = load_queries("counting")
_ADD_EVENTS: Final = _QUERIES["add_events"]
_ADD_RUNS: Final = _QUERIES["add_runs"]
_STORED: Final = _QUERIES["stored_events"]

_EVENT_BITS: Final = 24  # a bucket of events is 2^24 ms of reception
_RUN_DIGITS: Final = 5  # a bucket of runs is 2^25 ms of the time in their ids


def count_events(db: sqlite3.Connection, events: Sequence[Event]) -> None:
    """Adds events that are about to be inserted. Of an id that is stored more than once, the first copy counts."""
    totals: dict[tuple[int, str], list[str]] = {}
    for event in _first_copies(db, events):
        bucket = event.received_at >> _EVENT_BITS, event.name
        ids = totals.get(bucket)
        if ids is None:
            totals[bucket] = [event.id]
        else:
            ids.append(event.id)
    if totals:
        db.executemany(_ADD_EVENTS, [(*bucket, len(ids), min(ids), max(ids)) for bucket, ids in totals.items()])


def _first_copies(db: sqlite3.Connection, events: Sequence[Event]) -> Iterable[Event]:
    """Those whose id is new. Only a sender that gives ids, or a seed for them, can repeat one."""
    given = [event.id for event in events if event.deduplicated]
    if not given:
        return events
    stored = {id for (id,) in db.execute(_STORED, (msgspec.json.encode(given).decode(),))}
    return {event.id: event for event in reversed(events) if event.id not in stored}.values()


def count_runs(db: sqlite3.Connection, ended: Iterable[Run]) -> None:
    """Adds runs whose end is written; debug runs are no part of totals."""
    totals: dict[tuple[str, str, int], list[Run]] = {}
    for run in ended:
        if not run.detail.debug_run_id:
            totals.setdefault((run.id[:_RUN_DIGITS], run.function_id, int(run.status)), []).append(run)
    if totals:
        db.executemany(_ADD_RUNS, [(*bucket, len(runs), *_times(runs)) for bucket, runs in totals.items()])


def _times(runs: list[Run]) -> tuple[int | None, int | None, int | None, int | None]:
    """When the first and the last of some runs started, then when they ended."""
    started = [run.started_at for run in runs if run.started_at is not None]
    ended = [run.ended_at for run in runs if run.ended_at is not None]
    return min(started, default=None), max(started, default=None), min(ended, default=None), max(ended, default=None)


def link_runs(db: sqlite3.Connection, begun: Iterable[Run]) -> None:
    """Notes which of the runs that are inserted were deferred by another one, and which are debug runs: few."""
    for run in begun:
        detail = run.detail
        if detail.deferred_from:
            db.execute(_QUERIES["add_deferred"], (run.id, detail.deferred_from))
        if detail.debug_run_id:
            db.execute(_QUERIES["add_debug"], (run.id, run.function_id))
