"""Totals are added to by the commit that writes the rows. What is deleted leaves them by triggers (docs/adr/0007)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.server.engine.derive import total_events
from holdfast.server.store.sqlite.queries import load_queries

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from holdfast.protocol.events import Event
    from holdfast.server.engine.changes import Changes

_QUERIES: Final = load_queries("counting")
_SESSIONS: Final = load_queries("sessions")
_ADD_EVENTS: Final = _QUERIES["add_events"]
_ADD_RUNS: Final = _QUERIES["add_runs"]
_STORED: Final = _QUERIES["stored_events"]


def count_events(db: sqlite3.Connection, events: Sequence[Event]) -> None:
    """Add events that are about to be inserted. Of an id that is stored more than once the first copy counts."""
    db.executemany(_ADD_EVENTS, total_events(_first_copies(db, events)))


def _first_copies(db: sqlite3.Connection, events: Sequence[Event]) -> Iterable[Event]:
    """Return those whose id is new. Only a sender that gives ids, or a seed for them, can repeat one."""
    given = [event.id for event in events if event.deduplicated]
    if not given:
        return events
    stored = {id for (id,) in db.execute(_STORED, (msgspec.json.encode(given).decode(),))}
    return {event.id: event for event in reversed(events) if event.id not in stored}.values()


def count_runs(db: sqlite3.Connection, changes: Changes) -> None:
    """Add runs whose end is written."""
    db.executemany(_ADD_RUNS, changes.run_totals)


def link_runs(db: sqlite3.Connection, changes: Changes) -> None:
    """Note which of the runs that are inserted were deferred by another one, and which are debug runs: few."""
    if changes.deferred_runs:
        db.executemany(_QUERIES["add_deferred"], changes.deferred_runs)
    if changes.debug_runs:
        db.executemany(_QUERIES["add_debug"], changes.debug_runs)


def link_sessions(db: sqlite3.Connection, found: Sequence[tuple[str, str, str]]) -> None:
    """Note the sessions of runs that are inserted: key, id, run id."""
    db.executemany(_SESSIONS["add_session"], found)
    db.executemany(_SESSIONS["add_run"], found)
