"""Sessions and their runs: noted as runs are inserted, read in pages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from holdfast.protocol.ids import ulid_time
from holdfast.server.store.history import SessionKey, StoredSession
from holdfast.server.store.sql import rows
from holdfast.server.store.sqlite.lists import LAST, id_range
from holdfast.server.store.sqlite.queries import load_queries

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from holdfast.server.store.history import SessionFilter, StoredRun

_QUERIES: Final = load_queries("sessions")
_RUN: Final = load_queries("history")["runs_by_id"]


def link_sessions(db: sqlite3.Connection, found: Sequence[tuple[str, str, str]]) -> None:
    """Note the sessions of runs that are inserted: key, id, run id."""
    db.executemany(_QUERIES["add_session"], found)
    db.executemany(_QUERIES["add_run"], found)


def keys(db: sqlite3.Connection, search: str, limit: int, after: str) -> list[SessionKey]:
    """A page of keys, in their order."""
    given = {"search": search, "limit": limit, "after": after}
    return [SessionKey(key, ulid_time(first)) for key, first in db.execute(_QUERIES["keys"], given)]


def page(db: sqlite3.Connection, where: SessionFilter, limit: int, before: tuple[str, str]) -> list[StoredSession]:
    """A page of a key's sessions, the one that was active last first, `before` a place: last run and id."""
    window = _window(where)
    place = {"before_run": before[0] or LAST, "before": before[1], "search": where.search, "limit": limit}
    found: list[tuple[str, str]] = db.execute(_QUERIES["page"], {**window, **place}).fetchall()
    sessions = {id: StoredSession(id, last) for id, last in found}
    ids = json.dumps(list(sessions))
    for id, function, runs, failed in db.execute(_QUERIES["tallies"], {**window, "ids": ids}):
        session = sessions[id]
        session.runs += runs
        session.failed += failed
        session.functions.append(function)
    return list(sessions.values())


def runs(db: sqlite3.Connection, where: SessionFilter, id: str, limit: int, before: str) -> list[StoredRun]:
    """A page of a session's runs, the newest first, `before` one."""
    given = {**_window(where), "id": id, "limit": limit, "before": before or LAST}
    ids = [run_id for (run_id,) in db.execute(_QUERIES["runs"], given)]
    found = {run.id: run for run in map(rows.read_run, db.execute(_RUN, (json.dumps(ids),)))}
    return [found[id] for id in ids if id in found]


def _window(where: SessionFilter) -> dict[str, str]:
    low, high = id_range(where.since, where.until)
    return {"key": where.key, "low": low, "high": high}
