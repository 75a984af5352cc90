"""Access without a server: rows go straight to a store."""

from __future__ import annotations

from secrets import randbits

from holdfast.protocol.ids import UlidSource
from holdfast.server.store.records import Immediate
from holdfast.server.store.sql.records import SqlRecords
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import StoreError


class Breakable(Immediate):
    """A sink; `broken` makes commits fail."""

    broken = False

    async def committed(self) -> None:
        if self.broken:
            self.writes.clear()
            raise StoreError("disk full")
        await super().committed()


class Direct(SqlRecords):
    """Records over a store."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.sink = Breakable(store)
        super().__init__(store, self.sink)


def ids() -> UlidSource:
    return UlidSource(randbits)
