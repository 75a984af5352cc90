"""The SQLite store without a file: the same tables and statements, gone when it is closed. For tests of functions.

There is one connection and no thread: who reads shares it with the writer, on the event loop's thread. So a long query
holds up the loop, which a server can't afford and a test doesn't notice.
"""

from __future__ import annotations

import functools
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from holdfast.server.store.sqlite.log import Log
from holdfast.server.store.sqlite.migrate import migrate
from holdfast.server.store.sqlite.readers import Readers
from holdfast.server.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@functools.cache
def _empty() -> bytes:
    """Return a database with all tables and no rows: migrations run once per process."""
    connection = sqlite3.connect(":memory:")
    try:
        migrate(connection)
        return connection.serialize()
    finally:
        connection.close()


class _NoLog(Log):
    """A database in memory has no log."""

    def __init__(self) -> None:
        super().__init__(Path(":memory:"), -1)

    @property
    def pages(self) -> int:
        """Return 0."""
        return 0


class MemoryStore(SqliteStore):
    """A store in memory. Nothing of it is ever durable, and no file can be missing or full."""

    def __init__(self) -> None:
        self.path = Path(":memory:")
        self.durability = "none"
        self.epoch = 0
        self.commit_s = 0.0
        self.connection = self._db = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        self._db.deserialize(_empty())
        self._count_epoch()
        self._copy = self.epoch << 40
        self.log, self._disk = _NoLog(), None

    def sync(self) -> None:
        """Do nothing: there is no disk."""

    def probe(self) -> None:
        """Do nothing: there is no disk that could be full."""

    def _look(self) -> None:
        pass

    def close(self) -> None:
        """Drop everything."""
        self._db.close()


class MemoryReaders(Readers):
    """Reads through the connection of a store in memory. There is no deadline, and nothing to close."""

    def __init__(self, store: MemoryStore) -> None:
        self._connected = store.connection

    def close(self) -> None:
        """Do nothing: the connection is the store's."""

    async def _run(self, work: Callable[[sqlite3.Connection], T], *, search: bool = False) -> T:  # noqa: ARG002
        return work(self._connected)
