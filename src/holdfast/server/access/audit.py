"""The audit log: who did what, to what, from where, and what came of it. Rows are added, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from holdfast.protocol.ids import UlidSource
from holdfast.server.access.principals import Principal, current
from holdfast.server.access.records import Records, read
from holdfast.server.clock import now_ms
from holdfast.server.store.store import Value


class Reader(Protocol):
    """Reads beside the writer, as `store.sqlite.readers.Readers` does."""

    async def select(self, statement: str, parameters: Sequence[Value] = ()) -> list[tuple[Value, ...]]:
        """The rows of a statement."""
        ...


class Entry(msgspec.Struct, frozen=True):
    """One thing that was done. `at` is ms since the epoch."""

    id: str
    at: int
    actor: str
    action: str
    target: str
    outcome: str
    address: str


class Audit:
    """Writes and reads the log. Entries are durable with the turn in which they are written."""

    def __init__(self, records: Records, ids: UlidSource, reader: Reader) -> None:
        self._records = records
        self._ids = ids
        self._reader = reader

    def note(self, action: str, target: str = "", outcome: str = "ok", by: Principal | None = None) -> None:
        """Adds an entry, of the request at hand unless `by` somebody else."""
        by = by or current.get()
        now = now_ms()
        actor, address = (by.actor, by.address) if by else ("server", "")
        self._records.write(
            "access.note", (self._ids.next(now), now, actor, action, target[:200], outcome[:200], address)
        )

    async def page(self, limit: int, before: str = "", actor: str = "", action: str = "") -> list[Entry]:
        """The newest entries, or those older than the entry `before`; of one actor, of one action."""
        rows = await self._reader.select("access.audit", (before, actor, action, limit))
        return [read(row, Entry) for row in rows]
