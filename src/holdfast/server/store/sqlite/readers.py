"""Read-only connections to an SQLite file, in a few threads of their own beside the one writer.

In WAL mode a reader never waits for the writer and sees the last commit as a whole. SQLite works without the
interpreter's lock, so a long query costs the event loop nothing but its rows.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from holdfast.server.store.sqlite.queries import named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.server.store.store import Value

T = TypeVar("T")

_READERS: Final = 2
_BUSY_S: Final = 5.0


class Readers:
    """A few threads that read one file. It has to exist when the first query comes. Close it when done."""

    def __init__(self, path: str | Path) -> None:
        self._uri = f"{Path(path).absolute().as_uri()}?mode=ro"
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="history")
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []

    def close(self) -> None:
        """End the readers; a query under way is waited for."""
        self._threads.shutdown()
        for connection in self._open:
            connection.close()
        self._open.clear()

    async def select(self, statement: str, parameters: Sequence[Value] = ()) -> list[tuple[Value, ...]]:
        """The rows of a query, by its name `<file>.<section>`."""
        query = named(statement)
        return await self.call(lambda connection: connection.execute(query, parameters).fetchall())

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with a connection, in a reader's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(self._connection()))

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            # Closed from another thread, when this one has ended.
            connection = sqlite3.connect(
                self._uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA query_only = 1")
            self._local.connection = connection
            self._open.append(connection)
        return connection
