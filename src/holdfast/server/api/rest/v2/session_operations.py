"""Sessions: runs by what their events belong to, such as a chat or an order (`protocol/http-apis.md` §2.5, §10.2).

An event names its sessions in `meta.sessions`, an id by key; a run is in those of its events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from holdfast.protocol.ids import ulid_time
from holdfast.server.api.common.cursors import id_cursor
from holdfast.server.api.rest.v2.envelope import (
    Answer,
    Sent,
    Shown,
    TimeRange,
    page_of,
    page_size,
    show_moment,
    show_time,
)
from holdfast.server.api.rest.v2.fields import Cursor, From, Limit100, Until, read_place
from holdfast.server.api.rest.v2.function_operations import UNKNOWN, OwnedFunction, show_functions
from holdfast.server.api.rest.v2.operation import Operation, runner
from holdfast.server.api.rest.v2.run_operations import show_status, window
from holdfast.server.store.history import SessionFilter

if TYPE_CHECKING:
    from holdfast.server.api.common.backend import Backend
    from holdfast.server.store.history import StoredRun, StoredSession

SessionKey = Annotated[str, Meta(description="The session's key.")]
SessionId = Annotated[str, Meta(description="The session's id.")]
Search = Annotated[str, Meta(description="Only ids that contain this text, in any case.")]

_ULID: Final = 26


class ListSessionKeys(Sent):
    """A page of the keys that sessions have."""

    search: Search = ""
    cursor: Cursor = ""
    limit: Limit100 | None = None


class ListSessions(Sent, kw_only=True):
    """A page of a key's sessions."""

    session_key: SessionKey
    search: Search = ""
    from_: From = msgspec.field(name="from", default="")
    until: Until = ""
    cursor: Cursor = ""
    limit: Limit100 | None = None


class ListSessionRuns(Sent, kw_only=True):
    """A page of a session's runs."""

    session_key: SessionKey
    session_id: SessionId
    from_: From = msgspec.field(name="from", default="")
    until: Until = ""
    cursor: Cursor = ""
    limit: Limit100 | None = None


class Key(Shown, kw_only=True):
    """A key, and when the first run of any of its sessions was queued."""

    id: str
    created_at: str


class Session(Shown, kw_only=True):
    """A session. Runs are counted within the window; `failureRate` is the failed ones' share of them."""

    id: str
    run_count: int
    failed_run_count: int
    failure_rate: float
    last_active_at: str  # when its newest run was queued
    functions: list[OwnedFunction]


class SessionRun(Shown, kw_only=True):
    """A run of a session."""

    id: str
    function: OwnedFunction
    event_name: str = ""
    status: str
    queued_at: str
    started_at: str = ""
    ended_at: str = ""


async def _keys(backend: Backend, given: ListSessionKeys) -> Answer:
    size = page_size(given.limit, 100)
    found = await backend.history.session_keys(given.search, size + 1, read_place(given.cursor))
    shown = [Key(id=each.key, created_at=show_time(each.created_at)) for each in found[:size]]
    return Answer(shown, page_of(found, size, id_cursor(shown[-1].id) if shown else ""))


async def _sessions(backend: Backend, given: ListSessions) -> Answer:
    size = page_size(given.limit, 100)
    since, until = window(given.from_, given.until)
    where = SessionFilter(given.session_key, since, until, given.search)
    place = read_place(given.cursor)
    found = await backend.history.sessions(where, size + 1, (place[:_ULID], place[_ULID:]))
    shown = found[:size]
    functions = await show_functions(backend, {id for session in shown for id in session.functions})
    cursor = id_cursor(shown[-1].last_run + shown[-1].id) if shown else ""
    sessions = [_session(session, functions) for session in shown]
    return Answer(sessions, page_of(found, size, cursor), TimeRange.of(given.from_, given.until))


async def _runs(backend: Backend, given: ListSessionRuns) -> Answer:
    size = page_size(given.limit, 100)
    where = SessionFilter(given.session_key, *window(given.from_, given.until))
    found = await backend.history.session_runs(where, given.session_id, size + 1, read_place(given.cursor))
    shown = found[:size]
    functions = await show_functions(backend, {run.function_id for run in shown})
    page = page_of(found, size, id_cursor(shown[-1].id) if shown else "")
    runs = [_run(run, functions.get(run.function_id, UNKNOWN)) for run in shown]
    return Answer(runs, page, TimeRange.of(given.from_, given.until))


def _session(session: StoredSession, functions: dict[str, OwnedFunction]) -> Session:
    return Session(
        id=session.id, run_count=session.runs, failed_run_count=session.failed,
        failure_rate=session.failed / session.runs if session.runs else 0.0,
        last_active_at=show_time(ulid_time(session.last_run)),
        functions=[functions[id] for id in session.functions if id in functions],
    )  # fmt: skip


def _run(run: StoredRun, function: OwnedFunction) -> SessionRun:
    return SessionRun(
        id=run.id, function=function, event_name=run.event_name, status=show_status(run),
        queued_at=show_time(run.scheduled_at), started_at=show_moment(run.started_at),
        ended_at=show_moment(run.ended_at if run.status.ended else None),
    )  # fmt: skip


OPERATIONS: Final = (
    Operation(
        id="ListSessionKeys", method="GET", path="/sessions", summary="List session keys",
        description="List the keys of sessions, in order, in pages.",
        request=ListSessionKeys, run=runner(ListSessionKeys, _keys), answer=list[Key], paged=True,
        command="list-session-keys",
    ),
    Operation(
        id="ListSessions", method="GET", path="/sessions/{session_key}", summary="List sessions",
        description="List a key's sessions with runs in the time range, last active first, in pages.",
        request=ListSessions, run=runner(ListSessions, _sessions), answer=list[Session], paged=True,
        command="list-sessions",
    ),
    Operation(
        id="ListSessionRuns", method="GET", path="/sessions/{session_key}/{session_id:path}/runs",
        summary="List runs of a session", description="List the runs of a session, newest first, in pages.",
        request=ListSessionRuns, run=runner(ListSessionRuns, _runs), answer=list[SessionRun], paged=True,
        command="list-session-runs",
    ),
)  # fmt: skip
