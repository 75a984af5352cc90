"""Access without a server: rows go straight to a store."""

from __future__ import annotations

from secrets import randbits

from holdfast.protocol.ids import UlidSource
from holdfast.server.engine.changes import Changes
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import StoreError, Value, Write


class Direct:
    """`Records` over a store; `broken` makes commits fail."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.broken = False
        self._writes: list[Write] = []

    def write(self, statement: str, *rows: tuple[Value, ...]) -> None:
        self._writes.append(Write(statement, rows))

    async def committed(self) -> None:
        writes, self._writes = self._writes, []
        if self.broken:
            raise StoreError("disk full")
        self.store.commit(Changes(), writes)


def ids() -> UlidSource:
    return UlidSource(randbits)
