"""Lists, counts and their pages, against the plainest reading of the same rows."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import msgspec
import pytest

from api.book import START, Book, Library
from holdfast.protocol.events import Event
from holdfast.protocol.ids import ulid
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.derive import derive
from holdfast.server.engine.run import Run
from holdfast.server.model.run import RunDetail
from holdfast.server.model.status import RunStatus
from holdfast.server.store.history import (
    EventFilter,
    Page,
    RunFilter,
    RunOrder,
    RunPosition,
    RunTime,
    StoredEvent,
    StoredRun,
    TooSlowError,
)
from holdfast.server.store.search import parse_search
from holdfast.server.store.sql import history as history_module
from holdfast.server.store.sqlite.counting import count_events
from holdfast.server.store.sqlite.history import SqliteHistory
from holdfast.server.store.sqlite.readers import Readers

if TYPE_CHECKING:
    import sqlite3

SPREAD = 3 * 2**25  # ms: a few buckets of totals
FUNCTIONS = [f"f{number}" for number in range(4)]
APPS = {"f0": "a0", "f1": "a0", "f2": "a1", "f3": "a1"}
PAGES = [1, 7, 40]


def stock(library: Library, rnd: random.Random, runs: int = 160) -> list[StoredRun]:
    """Runs of all kinds; few distinct times, so that orders have ties."""
    for id, app in APPS.items():
        library.db.execute("INSERT INTO functions VALUES (?,?,?,?,1,'{}',0,NULL)", (id, app, id, id))
    for number in range(runs):
        at = START + rnd.randrange(20) * (SPREAD // 20)
        function = rnd.choice(FUNCTIONS)
        book = Book(number, function, APPS[function], start=at)
        book.status = rnd.choice(list(RunStatus))
        book.started_at = at + rnd.randrange(5) * 1_000 if rnd.random() < 0.8 else None
        # Some runs take days.
        book.ended_at = at + rnd.choice([5_000, 6_000, SPREAD // 2]) if book.status.ended else None
        debug = "d" if rnd.random() < 0.1 else ""
        book.detail = RunDetail(debug_run_id=debug, deferred_from=ulid(START, 1) if rnd.random() < 0.2 else "")
        library.run(book)
    return read_all(library.db)


def end(library: Library, run: StoredRun, status: RunStatus) -> None:
    """What a commit does when a run ends."""
    ended = Run(run.id, run.function_id, run.app_id, run.scheduled_at)
    ended.status, ended.started_at, ended.ended_at = status, run.started_at, run.scheduled_at + 9
    ended.detail = run.detail
    changes = Changes()
    changes.runs[run.id] = ended
    changes.ended.append(ended)
    derive(changes)
    library.store.commit(changes)


def read_all(db: sqlite3.Connection) -> list[StoredRun]:
    from holdfast.server.store.sql import rows
    from holdfast.server.store.sqlite.queries import named

    return [rows.read_run(row) for row in db.execute(f"SELECT {named('history.run_columns')} FROM runs r")]


def expected(stored: list[StoredRun], where: RunFilter, order: list[RunOrder]) -> list[str]:
    found = [run for run in stored if fits(run, where)]
    found.sort(key=lambda run: run.id)
    for level in reversed(order):
        found.sort(key=lambda run, level=level: key(run, level.time), reverse=level.descending)  # type: ignore[misc]
    return [run.id for run in found]


def key(run: StoredRun, time: RunTime) -> str | int:
    return run.id if time is RunTime.QUEUED else RunPosition.of(run).times[time]


def fits(run: StoredRun, where: RunFilter) -> bool:
    at = {RunTime.QUEUED: run.scheduled_at, RunTime.STARTED: run.started_at, RunTime.ENDED: run.ended_at}[where.time]
    return (
        run.status is not RunStatus.SKIPPED
        and not run.detail.debug_run_id
        and at is not None
        and where.since <= at
        and (where.until is None or at <= where.until)
        and (not where.statuses or run.status in where.statuses)
        and (not where.functions or run.function_id in where.functions)
        and (not where.apps or run.app_id in where.apps)
        and (where.deferred is None or where.deferred == bool(run.detail.deferred_from))
    )


def some_filter(rnd: random.Random) -> RunFilter:
    moments = [0, START, START + SPREAD // 20 * 5, START + SPREAD // 20 * 11 + 1_000, START + SPREAD]
    return RunFilter(
        since=rnd.choice(moments),
        until=rnd.choice([None, None, *moments]),
        time=rnd.choice(list(RunTime)),
        statuses=tuple(rnd.sample([s for s in RunStatus if s is not RunStatus.SKIPPED], rnd.choice([0, 0, 1, 2]))),
        functions=tuple(rnd.sample([*FUNCTIONS, "gone"], rnd.choice([0, 0, 1, 3]))),
        apps=tuple(rnd.sample(["a0", "a1", "gone"], rnd.choice([0, 0, 1, 2]))),
        deferred=rnd.choice([None, None, True, False]),
    )


def some_order(rnd: random.Random) -> list[RunOrder]:
    times = rnd.sample(list(RunTime), rnd.choice([0, 1, 1, 2, 3]))
    return [RunOrder(time, rnd.random() < 0.5) for time in times]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each list is asked of SQLite and of PostgreSQL."""
    if "history" in metafunc.fixturenames:
        metafunc.parametrize("history", ["sqlite", "postgresql"], indirect=True)


async def all_pages(history: SqliteHistory, where: RunFilter, order: list[RunOrder], size: int) -> list[str]:
    found: list[str] = []
    after: RunPosition | None = None
    while True:
        page = await history.runs(where, order, size, after)
        found += [run.id for run in page]
        if len(page) < size and page.stopped is None:
            return found
        after = RunPosition.of(page[-1]) if page.stopped is None else page.stopped  # type: ignore[assignment]


@pytest.mark.parametrize("few", [2_000, 5], ids=["sorted", "walked"])
@pytest.mark.parametrize("seed", range(6))
def test_any_list_is_what_its_filter_and_order_say(
    library: Library, history: SqliteHistory, monkeypatch: pytest.MonkeyPatch, seed: int, few: int
) -> None:
    monkeypatch.setattr("holdfast.server.store.sql.pages._FEW", few)
    monkeypatch.setattr("holdfast.server.store.sql.lists._MOST_RANGES", 8 if seed % 2 else 200)
    rnd = random.Random(seed)
    stored = stock(library, rnd)

    async def check() -> None:
        for _ in range(60):
            where, order = some_filter(rnd), some_order(rnd)
            wanted = expected(stored, where, order)
            assert await all_pages(history, where, order, rnd.choice(PAGES)) == wanted, (where, order)
            assert await history.count_runs(where) == len(wanted), where

    asyncio.run(check())


@pytest.mark.parametrize("seed", range(3))
def test_totals_follow_what_changes_and_goes(library: Library, history: SqliteHistory, seed: int) -> None:
    rnd = random.Random(seed)
    for run in stock(library, rnd):
        chance = rnd.random()
        if chance < 0.2:
            library.db.execute("DELETE FROM runs WHERE id = ?", (run.id,))
        elif chance < 0.6 and not run.status.ended:
            end(library, run, rnd.choice([RunStatus.COMPLETED, RunStatus.FAILED]))
    stored = read_all(library.db)

    async def check() -> None:
        for _ in range(40):
            where, order = some_filter(rnd), some_order(rnd)
            wanted = expected(stored, where, order)
            assert await history.count_runs(where) == len(wanted), where
            assert [run.id for run in await history.runs(where, order, 400)] == wanted, (where, order)

    asyncio.run(check())
    (negative,) = library.db.execute("SELECT count(*) FROM run_totals WHERE n < 0").fetchone()
    assert negative == 0


# --- events -----------------------------------------------------------------------------------------------------------

NAMES = ["shop/paid", "shop/sent", "inngest/function.finished", "inngest/function.failed"]


def put_event(library: Library, id: str, n: int, name: str, at: int) -> None:
    json = f'{{"data":{{"n":{n}}}}}'
    count_events(library.db, [Event(id, name, id, at, at, b"", deduplicated=True)])
    library.db.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?,0)", (id, n, name, id, at, at, json))


def stock_events(library: Library, rnd: random.Random) -> None:
    """Events whose ids say other times than that of reception, and some that were stored twice."""
    for n in range(150):
        at = START + rnd.randrange(SPREAD)
        id = ulid(rnd.choice([at, at, rnd.randrange(SPREAD * 9)]), n)
        name = rnd.choice(NAMES)
        put_event(library, id, n, name, at)
        if not n % 10:
            put_event(library, id, n + 1_000, name, at + rnd.randrange(SPREAD))


def expected_events(db: sqlite3.Connection, where: EventFilter) -> list[str]:
    rows = db.execute("SELECT id, name, min(n), received_at FROM events GROUP BY id ORDER BY id DESC").fetchall()
    return [
        id
        for id, name, _, at in rows
        if where.since <= at
        and (where.until is None or at <= where.until)
        and (not where.names or name in where.names)
        and (where.internal or not name.startswith("inngest/"))
    ]


async def all_events(history: SqliteHistory, where: EventFilter, size: int) -> list[str]:
    found: list[str] = []
    before = ""
    while True:
        page: Page[StoredEvent] = await history.events(where, size, before)
        found += [event.id for event in page]
        if len(page) < size and not page.stopped:
            return found
        before = str(page.stopped) if page.stopped else page[-1].id


@pytest.mark.parametrize("rare", [20, 0], ids=["met", "by name"])
@pytest.mark.parametrize("seed", range(4))
def test_any_list_of_events_is_what_its_filter_says(
    library: Library, history: SqliteHistory, monkeypatch: pytest.MonkeyPatch, seed: int, rare: int
) -> None:
    monkeypatch.setattr("holdfast.server.store.sql.event_lists._RARE", rare)
    rnd = random.Random(seed)
    stock_events(library, rnd)

    async def check() -> None:
        moments = [0, START - 5, START + SPREAD // 3, START + SPREAD // 2, START + SPREAD * 3]
        for _ in range(40):
            names = tuple(rnd.sample([*NAMES, "nope"], rnd.choice([0, 0, 1, 2])))
            where = EventFilter(rnd.choice(moments), rnd.choice([None, *moments]), names, internal=rnd.random() < 0.5)
            wanted = expected_events(library.db, where)
            assert await all_events(history, where, rnd.choice(PAGES)) == wanted, where
            assert await history.count_events(where) == len(wanted), where

    asyncio.run(check())
    for id, n in library.db.execute("SELECT id, n FROM events").fetchall():
        if rnd.random() < 0.3:
            library.db.execute("DELETE FROM events WHERE id = ? AND n = ?", (id, n))
    asyncio.run(check())


# --- searches ---------------------------------------------------------------------------------------------------------


def test_a_search_stops_in_time_and_goes_on(
    library: Library, history: SqliteHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no time at all each page looks at one chunk: all pages together still find everything, in order."""
    monkeypatch.setattr(history_module, "SEARCH_S", 0.0)
    monkeypatch.setattr("holdfast.server.store.sql.pages._CHUNK", 10)
    for number in range(95):
        library.run(Book(number, start=START + number).returns({"n": number}))
    where = RunFilter(search=parse_search("output.n >= 30 && output.n < 33"))
    order = [RunOrder(RunTime.QUEUED, descending=True)]

    async def check() -> None:
        first = await history.runs(where, order, 5)
        assert list(first) == []
        assert first.stopped == RunPosition(ulid(START + 85, 85), {})
        found = await all_pages(history, where, order, 5)
        assert found == [ulid(START + n, n) for n in (32, 31, 30)]
        assert await history.count_runs(where) <= 3, "what was found in time"

    asyncio.run(check())
    monkeypatch.setattr(history_module, "SEARCH_S", 60.0)
    assert asyncio.run(history.count_runs(where)) == 3


def test_a_search_of_events_goes_on_too(
    library: Library, history: SqliteHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "SEARCH_S", 0.0)
    monkeypatch.setattr("holdfast.server.store.sql.pages._CHUNK", 10)
    for n in range(45):
        put_event(library, ulid(START + n, n), n, "shop/paid", START + n)
    where = EventFilter(search=parse_search("event.data.n < 2"))
    assert asyncio.run(all_events(history, where, 5)) == [ulid(START + 1, 1), ulid(START, 0)]


# --- readers ----------------------------------------------------------------------------------------------------------

_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_a_query_that_takes_too_long_ends(library: Library) -> None:
    readers = Readers(library.path, deadline_s=0.05)
    with pytest.raises(TooSlowError, match="narrow its time range"):
        asyncio.run(readers.call(lambda db: db.rows(_ENDLESS)))
    assert asyncio.run(readers.call(lambda db: db.rows("SELECT 1"))) == [(1,)]
    readers.close()


def test_a_query_ends_with_its_caller(library: Library) -> None:
    async def main() -> None:
        readers = Readers(library.path)
        tasks = [asyncio.create_task(readers.call(lambda db: db.rows(_ENDLESS))) for _ in range(2)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Both threads are free again long before any deadline.
        assert await asyncio.wait_for(readers.call(lambda db: db.rows("SELECT 1")), 5) == [(1,)]
        readers.close()

    asyncio.run(main())


def test_searches_hold_nothing_up(library: Library) -> None:
    async def main() -> None:
        readers = Readers(library.path)
        slow = [asyncio.create_task(readers.search(lambda db: db.rows(_ENDLESS))) for _ in range(3)]
        await asyncio.sleep(0.01)
        assert await asyncio.wait_for(readers.call(lambda db: db.rows("SELECT 1")), 5) == [(1,)]
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        readers.close()

    asyncio.run(main())


def test_columns_of_a_run_are_in_the_totals(library: Library) -> None:
    """A row of totals tells between which times its runs started and ended, also if some never started."""
    library.run(Book(1, status=RunStatus.CANCELLED, ended_at=START + 9))
    library.run(Book(2, status=RunStatus.CANCELLED, started_at=START + 3, ended_at=START + 5))
    row = library.db.execute(
        "SELECT n, first_started_at, last_started_at, first_ended_at, last_ended_at FROM run_totals"
    ).fetchone()
    assert row == (2, START + 3, START + 3, START + 5, START + 9)
    assert msgspec.json.decode(library.db.execute("SELECT detail FROM runs").fetchone()[0]) == {}
