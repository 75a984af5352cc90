"""Every question of History has the same answer from PostgreSQL as from SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from api.book import START, Book, Library
from holdfast.protocol.ids import ulid
from holdfast.server.model.status import RunStatus
from holdfast.server.store.export import START as FIRST
from holdfast.server.store.export import Wanted
from holdfast.server.store.history import (
    EventFilter,
    ExperimentFilter,
    History,
    RunFilter,
    RunOrder,
    RunTime,
    SessionFilter,
    StreamFilter,
)
from holdfast.server.store.search import parse_search, text_search
from holdfast.server.store.sql.export import SqlExport
from holdfast.server.store.sql.history import SqlHistory
from holdfast.server.store.sqlite.history import SqliteHistory
from mirror import Mirror

RUNS = [ulid(START + n, n) for n in range(6)]
EVENTS = [ulid(START + n, 100 + n) for n in range(6)]
BY_END = [RunOrder(RunTime.ENDED, descending=False)]
DONE = RunFilter(statuses=(RunStatus.COMPLETED,))
ORDER = [RunOrder(RunTime.QUEUED, descending=True)]


def fill(library: Library) -> None:
    """A little of everything."""
    for n in range(6):
        library.event(EVENTS[n], "go" if n % 2 else "inngest/x", START + n, {"n": n, "s": f"text é {n}", "none": None})
        book = Book(n, start=START + n, event_ids=[EVENTS[n]])
        book.id = RUNS[n]
        library.run(book.step("a", n).returns({"n": n, "deep": {"list": [1, 2, n]}}))
    many = library.db.executemany
    many(
        "INSERT INTO event_sessions VALUES (?,?,?,?)",
        [("user", "Ann", RUNS[0], RUNS[2]), ("user", "bob", RUNS[1], RUNS[1])],
    )
    many(
        "INSERT INTO session_runs VALUES (?,?,?)",
        [("user", "Ann", RUNS[0]), ("user", "Ann", RUNS[2]), ("user", "bob", RUNS[1])],
    )
    many("INSERT INTO experiment_runs VALUES (?,?,?,?,?,?,?)",
         [(f"f{n % 2}", "exp", RUNS[n], "ab"[n % 2], "weighted", '["a","b"]', '{"a":1.5}')
          for n in range(4)])  # fmt: skip
    many("INSERT INTO scores VALUES (?,?,?,?)", [(RUNS[n], "", "score", n / 3) for n in range(4)])
    many("INSERT INTO metadata VALUES (?,?,?,?,?,?,?,?,?)",
         [(RUNS[0], ulid(START, 9), "run", "", None, "", "inngest.ai", "merge", '{"a":1}')])  # fmt: skip
    many("INSERT INTO event_traces VALUES (?,?)", [(EVENTS[0], '["00-1"]')])
    many("INSERT INTO deferred_runs VALUES (?,?)", [(RUNS[3], RUNS[0])])
    many("INSERT INTO debug_runs VALUES (?,?)", [(RUNS[4], "fd")])
    many("INSERT INTO audit VALUES (?,?,?,?,?,?,?)", [(f"a{n}", n, f"u{n % 2}", "do", "t", "ok", "") for n in range(5)])
    many("INSERT INTO idempotency VALUES (?,?,?,?)", [("key", RUNS[0], 5, 0)])
    many("INSERT INTO apps VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
         [("a1", "shop", "u", "serve", "py", "1", "", "", "c", "", 1, None, 1),
          ("a2", "old", "u", "serve", "", "", "", "", "", "", 1, 2, 0)])  # fmt: skip
    many("INSERT OR REPLACE INTO functions VALUES (?,?,?,?,?,?,?,?)",
         [("f0", "a1", "shop-pay", "Pay", 1, '{"é":1}', 1, None),
          ("f1", "a1", "shop-old", "Old", 1, "{}", 1, 5)])  # fmt: skip


QUESTIONS: dict[str, Callable[[History], Awaitable[Any]]] = {
    "run": lambda h: h.run(RUNS[0]),
    "no run": lambda h: h.run("nobody"),
    "runs": lambda h: h.runs(RunFilter(), ORDER, 4),
    "runs by the end": lambda h: h.runs(
        RunFilter(statuses=(RunStatus.COMPLETED,)), [RunOrder(RunTime.ENDED, descending=False)], 9
    ),
    "count": lambda h: h.count_runs(RunFilter(time=RunTime.ENDED, since=START)),
    "counts": lambda h: h.count_each([RunFilter(), RunFilter(deferred=True), RunFilter(apps=("a1",))]),
    "times": lambda h: h.run_times("", [(START, START + 10)], 9),
    "times of a function": lambda h: h.run_times("f0", [(START, START + 10)], 9),
    "spans": lambda h: h.step_spans(RUNS, 9),
    "outputs": lambda h: h.outputs(RUNS),
    "key": lambda h: h.run_of_key("key"),
    "runs of events": lambda h: h.runs_of_events(EVENTS),
    "deferred": lambda h: h.deferred_runs(RUNS),
    "debug": lambda h: h.debug_runs("fd", "x", ""),
    "session keys": lambda h: h.session_keys("US", 9),
    "sessions": lambda h: h.sessions(SessionFilter("user"), 9),
    "sessions of a name": lambda h: h.sessions(SessionFilter("user", START, START + 1, "AN"), 9),
    "session runs": lambda h: h.session_runs(SessionFilter("user"), "Ann", 9),
    "experiments": lambda h: h.experiments("", 9),
    "experiment": lambda h: h.experiment(ExperimentFilter("f0", "exp", since=START)),
    "traces": lambda h: h.traces(RUNS),
    "failed attempts": lambda h: h.failed_attempts(RUNS),
    "models": lambda h: h.ai_runs(RUNS),
    "a row": lambda h: h.trace_row(RUNS[0], 1),
    "saved": lambda h: h.saved_steps(RUNS[0]),
    "jobs": lambda h: h.jobs(RUNS),
    "events": lambda h: h.events(EventFilter(), 9),
    "events by name": lambda h: h.events(EventFilter(names=("go",)), 2),
    "internal events": lambda h: h.events(EventFilter(internal=True, since=START, until=START + 3), 9),
    "count events": lambda h: h.count_events(EventFilter(since=START)),
    "events by id": lambda h: h.events_by_id(EVENTS),
    "stream": lambda h: h.stream(StreamFilter(internal=True), 9),
    "apps": lambda h: h.apps(),
    "archived apps": lambda h: h.archived_apps(),
    "apps by id": lambda h: h.apps_by_id(["a1", "a2"]),
    "functions": lambda h: h.functions(),
    "functions by id": lambda h: h.functions_by_id(["f0", "f1"]),
    "functions by slug": lambda h: h.functions_by_slug(["shop-pay", "shop-old"]),
    "functions of apps": lambda h: h.functions_of_apps(["a1"]),
    "metadata": lambda h: h.metadata_size(RUNS[0]),
    "user spans": lambda h: h.user_spans_kept(RUNS),
    "event traces": lambda h: h.event_traces(EVENTS),
    "audit": lambda h: h.audit_page(2, "a4", "u1", "do"),
    "ping": lambda h: h.ping(),
}
SEARCHES = (
    "event.data.n > 2", "event.data.n == 3.0", "event.data.s == 'text é 1'", "event.data.none == null",
    "event.data.gone == null",
    "output.n != 2", "output.deep.list[2] >= 4", "!(output.n < 3) && event.data.n < 5", "error.name == 'x'",
    "output.n == true",
    "event.data.s > 'text é 3'",
)  # fmt: skip
for _text in SEARCHES:
    QUESTIONS[f"search {_text}"] = lambda h, q=_text: h.runs(RunFilter(search=parse_search(q)), ORDER, 9)  # type: ignore[misc]
    QUESTIONS[f"search events {_text}"] = lambda h, q=_text: h.events(
        EventFilter(internal=True, search=parse_search(q)), 9
    )  # type: ignore[misc]
for _text in ("TEXT", "é 2", "pay", RUNS[1], '"deep"', "100%"):
    QUESTIONS[f"text {_text}"] = lambda h, q=_text: h.runs(RunFilter(search=text_search(q)), ORDER, 9)  # type: ignore[misc]


def test_every_question_has_the_same_answer(library: Library) -> None:
    fill(library)
    sqlite, postgres = SqliteHistory(library.path), SqlHistory(Mirror(library.path))

    answered: list[bool] = []

    async def main() -> None:
        for name, ask in QUESTIONS.items():
            known, found = await ask(sqlite), await ask(postgres)
            assert found == known, name
            answered.append(bool(known))
        for wanted in (
            Wanted(),
            Wanted(with_steps=True, functions=("shop-pay",)),
            Wanted(names=("go",), internal=True),
        ):
            known_, found_ = SqlExport(sqlite.readers), SqlExport(postgres.readers)
            assert await found_.runs(wanted, FIRST) == await known_.runs(wanted, FIRST)
            assert await found_.events(wanted, FIRST) == await known_.events(wanted, FIRST)

    try:
        asyncio.run(main())
    finally:
        sqlite.close()
        postgres.close()
    assert sum(answered) > len(answered) * 3 / 4, "most questions are about something that is there"
