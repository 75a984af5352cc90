"""What lists and counts cost: how SQLite answers them, whatever is stored.

No statement reads a whole table or index, and none sorts more than a page or what is few by itself.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from api.book import FUNCTION_ID, START, Library
from holdfast.protocol.ids import ulid
from holdfast.server.model.status import RunStatus
from holdfast.server.store.history import (
    EventFilter,
    ExperimentFilter,
    RunFilter,
    RunOrder,
    RunPosition,
    RunTime,
    SessionFilter,
    StreamFilter,
)
from holdfast.server.store.sqlite.history import SqliteHistory

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from holdfast.server.store.sqlite.readers import Readers

LARGE = {
    "runs",
    "r",
    "events",
    "e",
    "event_runs",
    "er",
    "steps",
    "spans",
    "event_sessions",
    "s",
    "session_runs",
    "x",
    "experiment_runs",
    "scores",
}
"""Tables that grow with what is done, and what queries call them."""


@pytest.fixture(autouse=True)
def _rows(library: Library) -> None:
    library.db.execute("INSERT INTO functions VALUES ('f', 'a', 'f', 'f', 1, '{}', 0, NULL)")
    event = (ulid(START, 1), 1, "shop/paid", "e", START, START, "{}", 0)
    library.db.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?,?)", event)


def plans(history: SqliteHistory, monkeypatch: pytest.MonkeyPatch, ask: Callable[[], Any]) -> list[str]:
    """The plan of each statement that a question runs."""
    asked: list[str] = []
    original = history.readers._connection

    def watched(_self: Readers) -> sqlite3.Connection:
        connection = original()
        connection.set_trace_callback(asked.append)
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(type(history.readers), "_connection", watched)
        asyncio.run(ask())
    found: list[str] = []

    async def explain() -> None:
        for sql in asked:
            if sql.startswith(("SELECT", "WITH")):
                rows = await history.readers.call(
                    lambda db, sql=sql: db.rows(f"EXPLAIN QUERY PLAN {sql}")  # type: ignore[misc]
                )
                found.extend(str(row[3]) for row in rows)

    asyncio.run(explain())
    assert found
    return found


def scans(lines: list[str]) -> list[str]:
    """Reads of whole large tables or indexes; that of the runs that have not ended is as small as those are few."""
    found = [line for line in lines if line.split()[0] == "SCAN" and line.split()[1] in LARGE]
    return [line for line in found if not line.endswith("COVERING INDEX runs_live")]


def sorts(lines: list[str]) -> list[str]:
    """Sorts of whole results. One of what is equal on the first level is of few rows."""
    return [line for line in lines if "TEMP B-TREE FOR ORDER BY" in line]


WHERES = {
    "all": {},
    "3 days": {"since": START},
    "a day": {"since": START, "until": START + 86_400_000},
    "status": {"statuses": (RunStatus.FAILED,)},
    "statuses": {"statuses": (RunStatus.FAILED, RunStatus.RUNNING)},
    "function": {"functions": (FUNCTION_ID,)},
    "functions": {"functions": (FUNCTION_ID, "g"), "statuses": (RunStatus.COMPLETED,), "since": START},
    "app": {"apps": ("a",)},
    "deferred": {"deferred": True},
    "not deferred": {"deferred": False, "since": START},
}
CASES = [
    pytest.param(RunFilter(time=time, **where), time, id=f"{time.name} {name}")  # type: ignore[arg-type]
    for time, (name, where) in itertools.product(RunTime, WHERES.items())
]


@pytest.mark.parametrize("descending", [True, False], ids=["desc", "asc"])
@pytest.mark.parametrize(("where", "_time"), CASES)
def test_a_page_reads_from_its_place_in_an_index(
    history: SqliteHistory, monkeypatch: pytest.MonkeyPatch, where: RunFilter, _time: RunTime, descending: bool
) -> None:
    monkeypatch.setattr("holdfast.server.store.sql.pages._FEW", 0)  # as if there were many of everything
    for time in RunTime:
        after = RunPosition(ulid(START, 5), {RunTime.STARTED: START, RunTime.ENDED: START})
        order = [RunOrder(time, descending)]
        lines = plans(history, monkeypatch, lambda: history.runs(where, order, 40, after))  # noqa: B023 - asked at once
        assert scans(lines) == []
        # Runs that have not ended are sorted by their start, and deferred ones by times: there is no index of that.
        allowed = time is RunTime.STARTED or (where.deferred and time is not RunTime.QUEUED)
        assert allowed or sorts(lines) == []


@pytest.mark.parametrize(("where", "time"), CASES)
def test_a_count_reads_totals_and_ranges(
    history: SqliteHistory, monkeypatch: pytest.MonkeyPatch, where: RunFilter, time: RunTime
) -> None:
    lines = plans(history, monkeypatch, lambda: history.count_runs(where))
    assert scans(lines) == []
    if not where.deferred and where.deferred is None:
        runs = [line for line in lines if line.startswith(("SEARCH r", "SCAN r"))]
        assert all("COVERING INDEX" in line for line in runs), "only the index is read"
    assert time is where.time


EVENTS = {
    "user": EventFilter(),
    "all": EventFilter(internal=True),
    "hour": EventFilter(START - 10, START + 10),
    "name": EventFilter(names=("shop/paid",)),
    "names": EventFilter(START - 10, names=("shop/paid", "b", "c")),
}


@pytest.mark.parametrize("where", EVENTS.values(), ids=EVENTS)
def test_events_are_read_from_their_place(
    history: SqliteHistory, monkeypatch: pytest.MonkeyPatch, where: EventFilter
) -> None:
    for ask in (lambda: history.events(where, 40, ulid(START, 9)), lambda: history.count_events(where)):
        lines = plans(history, monkeypatch, ask)
        assert scans(lines) == []
        assert sorts(lines) == []


def test_sessions_are_read_from_their_place(history: SqliteHistory, monkeypatch: pytest.MonkeyPatch) -> None:
    where = SessionFilter("chat", START, START + 10, "c")
    for ask in (
        lambda: history.session_keys("c", 20, "a"),
        lambda: history.sessions(where, 20, (ulid(START, 9), "c")),
        lambda: history.session_runs(where, "c1", 20, ulid(START, 9)),
    ):
        lines = [line for line in plans(history, monkeypatch, ask) if line != "SCAN s VIRTUAL TABLE INDEX 1:"]
        assert scans(lines) == []
        assert sorts(lines) == []


def test_experiments_are_found_by_function_and_name(history: SqliteHistory, monkeypatch: pytest.MonkeyPatch) -> None:
    where = ExperimentFilter("f", "e", "a", START, START + 10)
    for ask in (lambda: history.experiment(where), lambda: history.experiments("f", 20, ("f", "d"))):
        assert scans(plans(history, monkeypatch, ask)) == []


def test_what_belongs_to_ids_is_found_by_them(history: SqliteHistory, monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[Callable[[], Any]] = [
        lambda: history.runs_by_id(["a", "b"]),
        lambda: history.runs_of_events(["a", "b"]),
        lambda: history.deferred_runs(["a", "b"]),
        lambda: history.debug_runs("f", "d", ""),
        lambda: history.traces(["a", "b"]),
        lambda: history.trace_row("a", 1),
        lambda: history.saved_steps("a", "b"),
        lambda: history.jobs(["a"]),
        lambda: history.events_by_id(["a"]),
        lambda: history.run_times("", [(START, START + 10)], 5),
        lambda: history.run_times("f", [(START, START + 10)], 5),
        lambda: history.step_spans(["a", "b"], 5),
    ]
    for ask in questions:
        assert scans(plans(history, monkeypatch, ask)) == []


def test_the_stream_is_read_from_its_end(history: SqliteHistory, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = plans(history, monkeypatch, lambda: history.stream(StreamFilter(before=ulid(START, 9)), 40))
    assert sorts(lines) == []
