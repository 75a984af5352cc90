"""Read-only connections to an SQLite file, in a few threads of their own beside the one writer.

In WAL mode a reader never waits for the writer and sees the last commit as a whole. SQLite works without the
interpreter's lock, so a long query costs the event loop nothing but its rows. Searches have a thread of their own: they
are slow by nature, and must not hold up anything else.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from holdfast.server.store.history import TooSlowError
from holdfast.server.store.sqlite.dialect import SqliteDialect
from holdfast.server.store.sqlite.queries import named

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine

    from holdfast.server.store.sql.reader import Dialect, Parameters, Reader
    from holdfast.server.store.sql.rows import Row

T = TypeVar("T")

_READERS: Final = 2
_BUSY_S: Final = 5.0
_STATEMENTS: Final = 256
_OPCODES: Final = 100_000
"""Instructions of SQLite's machine between two looks at the clock: a few ms."""


class SqliteReader:
    """`holdfast.server.store.sql.reader.Reader` over a connection. None of its coroutines ever waits."""

    dialect: Dialect = SqliteDialect()

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def named(self, statement: str) -> str:
        """Return a statement by its name, `<file>.<section>`."""
        return named(statement)

    async def select(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """Return the rows of a query, by its name."""
        return await self.rows(named(statement), parameters)

    async def rows(self, text: str, parameters: Parameters = ()) -> list[Row]:
        """Return the rows of a query."""
        return self._connection.execute(text, _bound(parameters)).fetchall()

    async def each(self, statement: str, parameters: Parameters) -> AsyncGenerator[Row]:
        """Yield the rows of a query one by one."""
        with closing(self._connection.execute(named(statement), _bound(parameters))) as rows:
            for row in rows:
                yield row


def _bound(parameters: Parameters) -> Any:
    """Return parameters as SQLite takes them: lists as JSON, so that one statement serves any number of values."""
    if isinstance(parameters, Mapping):
        return {name: _scalar(value) for name, value in parameters.items()}
    return [_scalar(value) for value in parameters]


def _scalar(value: object) -> object:
    return json.dumps(value) if isinstance(value, (list, tuple)) else value


def read(connection: sqlite3.Connection, work: Callable[[Reader], Awaitable[T]]) -> T:
    """Do something whose queries see one state of the database."""
    connection.execute("BEGIN")
    try:
        return finish(work(SqliteReader(connection)))
    finally:
        connection.execute("ROLLBACK")


def finish(work: Awaitable[T]) -> T:
    """Run a coroutine that never waits to its end."""
    coroutine = cast("Coroutine[None, None, T]", work)
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("reading SQLite never waits")


class _Work:
    """One query under way: when it has to be done, and whether anyone still waits for it."""

    __slots__ = ("deadline", "unwanted")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.unwanted = False

    def over(self) -> bool:
        return self.unwanted or time.monotonic() > self.deadline


class Readers:
    """A few threads that read one file. It has to exist when the first query comes. Close it when done."""

    def __init__(self, path: str | Path, deadline_s: float = 10.0) -> None:
        self._uri = f"{Path(path).absolute().as_uri()}?mode=ro"
        self._deadline_s = deadline_s
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="history")
        self._searches = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []

    def close(self) -> None:
        """End the readers; a query under way is waited for."""
        self._threads.shutdown()
        self._searches.shutdown(cancel_futures=True)
        for connection in self._open:
            connection.close()
        self._open.clear()

    async def call(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """Do something with a connection, in a reader's thread. What takes too long ends with TooSlowError.

        When the caller is cancelled, so is the query.
        """
        return await self._run(lambda db: read(db, work))

    async def search(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """The same in the thread of searches."""
        return await self._run(lambda db: read(db, work), search=True)

    async def _run(self, work: Callable[[sqlite3.Connection], T], *, search: bool = False) -> T:
        threads = self._searches if search else self._threads
        task = _Work(time.monotonic() + self._deadline_s)
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, lambda: self._work(work, task))
        except asyncio.CancelledError:
            task.unwanted = True
            raise

    def _work(self, work: Callable[[sqlite3.Connection], T], task: _Work) -> T:
        connection = self._connection()
        self._local.task = task
        try:
            if task.over():
                raise TooSlowError
            return work(connection)
        except sqlite3.OperationalError as error:
            if task.over() and "interrupted" in str(error):
                raise TooSlowError from None
            raise

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            # Closed from another thread, when this one has ended.
            connection = sqlite3.connect(
                self._uri,
                uri=True,
                timeout=_BUSY_S,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=_STATEMENTS,
            )
            self._open.append(connection)
            connection.execute("PRAGMA query_only = 1")
            connection.set_progress_handler(self._over, _OPCODES)
            self._local.connection = connection
        return connection

    def _over(self) -> int:
        """Called by SQLite in the midst of a query, in its thread: whether to end it."""
        task: _Work = self._local.task
        return int(task.over())
