"""Sessions and their runs, read in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.protocol.ids import ulid_time
from holdfast.server.store.history import SessionKey, StoredSession
from holdfast.server.store.sql import rows
from holdfast.server.store.sql.lists import LAST, id_range

if TYPE_CHECKING:
    from holdfast.server.store.history import SessionFilter, StoredRun
    from holdfast.server.store.sql.reader import Reader


async def keys(db: Reader, search: str, limit: int, after: str) -> list[SessionKey]:
    """A page of keys, in their order."""
    given = {"search": search, "limit": limit, "after": after}
    return [SessionKey(key, ulid_time(first)) for key, first in await db.select("sessions.keys", given)]


async def page(db: Reader, where: SessionFilter, limit: int, before: tuple[str, str]) -> list[StoredSession]:
    """A page of a key's sessions, the one that was active last first, `before` a place: last run and id."""
    window = _window(where)
    place = {"before_run": before[0] or LAST, "before": before[1], "search": where.search, "limit": limit}
    found: list[tuple[str, str]] = [(row[0], row[1]) for row in await db.select("sessions.page", {**window, **place})]
    sessions = {id: StoredSession(id, last) for id, last in found}
    ids = list(sessions)
    for id, function, runs, failed in await db.select("sessions.tallies", {**window, "ids": ids}):
        session = sessions[id]
        session.runs += runs
        session.failed += failed
        session.functions.append(function)
    return list(sessions.values())


async def runs(db: Reader, where: SessionFilter, id: str, limit: int, before: str) -> list[StoredRun]:
    """A page of a session's runs, the newest first, `before` one."""
    given = {**_window(where), "id": id, "limit": limit, "before": before or LAST}
    ids = [run_id for (run_id,) in await db.select("sessions.runs", given)]
    found = {run.id: run for run in map(rows.read_run, await db.select("history.runs_by_id", (ids,)))}
    return [found[id] for id in ids if id in found]


def _window(where: SessionFilter) -> dict[str, str]:
    low, high = id_range(where.since, where.until)
    return {"key": where.key, "low": low, "high": high}
