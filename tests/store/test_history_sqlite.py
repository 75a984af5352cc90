"""The SQLite readers: snapshots, batches, behaviour beside a writer."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from api.book import START, Book, Library
from holdfast.protocol.ids import ulid
from holdfast.server.model.status import RunStatus
from holdfast.server.store.sqlite.history import SqliteHistory


def test_a_trace_holds_everything_by_seq(library: Library, history: SqliteHistory) -> None:
    book = Book().step("a", 1).step_errors("b").plan().waits("nap", "Sleep", {"ms": 1_000})
    book.waits("answer", "WaitForEvent", {"event": "x", "expires": START + 9})
    library.run(book)
    trace = asyncio.run(history.traces([book.id, ulid(START, 99)]))[book.id]
    assert [(row.seq, row.memoised, row.span.kind) for row in trace.rows] == [
        (1, True, "step"),
        (2, False, "attempt"),
        (3, False, "plan"),
    ]
    assert trace.rows[0].output == b'{"data":1}'
    assert [job.name for job in trace.jobs] == ["nap"]
    assert [pause.name for pause in trace.pauses] == ["answer"]


def test_readers_cannot_write(history: SqliteHistory) -> None:
    with pytest.raises(sqlite3.OperationalError):
        asyncio.run(history.readers.call(lambda db: db.rows("DELETE FROM runs")))


def test_a_writer_under_way_is_neither_seen_nor_waited_for(library: Library, history: SqliteHistory) -> None:
    book = Book().step("a", 1)
    library.run(book)
    library.db.execute("BEGIN IMMEDIATE")
    library.db.execute("UPDATE runs SET status = ?, output = '1'", (int(RunStatus.COMPLETED),))
    run = asyncio.run(history.run(book.id))
    assert run is not None
    assert (run.status, asyncio.run(history.outputs([book.id]))) == (RunStatus.RUNNING, {})
    library.db.execute("COMMIT")
    run = asyncio.run(history.run(book.id))
    assert run is not None
    assert (run.status, asyncio.run(history.outputs([book.id]))) == (RunStatus.COMPLETED, {book.id: b"1"})


def test_values_bound_as_bytes_are_read_too(library: Library, history: SqliteHistory) -> None:
    book = Book().returns({"a": 1})
    library.run(book)
    library.db.execute("UPDATE runs SET output = CAST(output AS BLOB), detail = CAST(detail AS BLOB)")
    run = asyncio.run(history.run(book.id))
    assert run is not None
    assert asyncio.run(history.outputs([book.id])) == {book.id: b'{"a":1}'}


def test_empty_lists_of_ids_ask_nothing(history: SqliteHistory) -> None:
    assert asyncio.run(history.traces([])) == {}
    assert asyncio.run(history.deferred_runs([])) == {}
    assert asyncio.run(history.runs_by_id([])) == {}
    assert asyncio.run(history.outputs([])) == {}
