"""The audit log: who did what, to what, from where, and what came of it. Rows are added, never changed."""

from __future__ import annotations

from typing import Protocol

from holdfast.protocol.ids import UlidSource
from holdfast.server.access.principals import Principal, current
from holdfast.server.clock import now_ms
from holdfast.server.model.account import AuditEntry
from holdfast.server.store.records import Accounts


class AuditReader(Protocol):
    """Reads the log beside the writer, as `History` does."""

    async def audit_page(self, limit: int, before: str = "", actor: str = "", action: str = "") -> list[AuditEntry]:
        """Return the newest entries, or those older than the entry `before`; of one actor, of one action."""
        ...


class Audit:
    """Writes and reads the log. Entries are durable with the turn in which they are written."""

    def __init__(self, records: Accounts, ids: UlidSource, reader: AuditReader) -> None:
        self._records = records
        self._ids = ids
        self._reader = reader

    def note(self, action: str, target: str = "", outcome: str = "ok", by: Principal | None = None) -> None:
        """Adds an entry, of the request at hand unless `by` somebody else."""
        by = by or current.get()
        now = now_ms()
        actor, address = (by.actor, by.address) if by else ("server", "")
        entry = AuditEntry(self._ids.next(now), now, actor, action, target[:200], outcome[:200], address)
        self._records.add_audit_entry(entry)

    async def page(self, limit: int, before: str = "", actor: str = "", action: str = "") -> list[AuditEntry]:
        """The newest entries, or those older than the entry `before`; of one actor, of one action."""
        return await self._reader.audit_page(limit, before, actor, action)
